// A device for tests: to libtorch it is not the CPU, and its kernels are the CPU's.
//
// Of the devices that tch can name, Vulkan is the one that nothing else has a say in: PyTorch's packages have
// no kernel for it. MPS has none outside of a Mac either, but is an accelerator, of which libtorch knows one:
// where it has a CUDA half, autograd asks CUDA for the streams of MPS. PrivateUse1, which libtorch keeps free
// for devices of one's own, has no name in tch.
//
// A tensor of this device stands on a tensor of the CPU that nobody else sees, its host storage. An
// operation is done by the CPU's kernel on the host storages of its arguments; what comes of it is put on
// the device without a copy. The addresses that a tensor of the device gives are marked: no memory is
// there, so that code which reads them as a CPU tensor's ends at once.

#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/enum_tag.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include "native.h"

namespace {

using at::Tensor;
using c10::DispatchKey;
using c10::DispatchKeySet;
using c10::IValue;
using c10::Storage;
using torch::jit::Stack;

constexpr c10::DeviceType TYPE = c10::DeviceType::Vulkan;
constexpr DispatchKey KEY = DispatchKey::Vulkan;
const c10::Device DEVICE(TYPE, 0);

// No process has memory at addresses with this bit: x86-64 and AArch64 give the lower 47 or 48 bits, and
// more only to those that ask for it.
constexpr uintptr_t MARK = uintptr_t(1) << 55;

// What waited for the device, oldest first.
std::mutex waits_guard;
std::vector<std::string> waits;

void waited(std::string what) {
  std::lock_guard<std::mutex> lock(waits_guard);
  waits.push_back(std::move(what));
}

// How often each operation was given to the device for which a GPU would have to launch something.
std::mutex operations_guard;
std::map<std::string, size_t> operations;

void counted(const std::string &name) {
  std::lock_guard<std::mutex> lock(operations_guard);
  ++operations[name];
}

void *marked(const void *host) {
  return host ? reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(host) | MARK) : nullptr;
}

void free_host(void *host) { delete static_cast<Storage *>(host); }

// The device's pointer to a host storage, which it keeps alive.
c10::DataPtr on_device(Storage host) {
  void *data = marked(host.data());
  return {data, new Storage(std::move(host)), &free_host, DEVICE};
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    c10::Allocator *cpu = c10::GetCPUAllocator();
    return on_device(Storage(Storage::use_byte_size_t(), bytes, cpu->allocate(bytes), cpu, true));
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void *, const void *, size_t) const override {
    TORCH_CHECK(false, "the host device copies tensors, not bytes");
  }
};

Allocator allocator;

// One device, which is always the current one.
struct Guard final : c10::impl::NoOpDeviceGuardImpl<TYPE> {
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }

private:
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
};

bool is_ours(const Tensor &tensor) { return tensor.defined() && tensor.device().type() == TYPE; }

const Storage &host_of(const Storage &storage) {
  const c10::DataPtr &pointer = storage.data_ptr();
  TORCH_CHECK(pointer.get_deleter() == &free_host, "memory that the host device did not give");
  return *static_cast<Storage *>(pointer.get_context());
}

// Gives one tensor the sizes, strides and offset of another.
void take_shape(const Tensor &to, const Tensor &from) {
  bool same = to.sizes() == from.sizes() && to.strides() == from.strides() &&
              to.storage_offset() == from.storage_offset();
  if (same)
    return;
  c10::TensorImpl *impl = to.unsafeGetTensorImpl();
  impl->set_storage_offset(from.storage_offset());
  impl->set_sizes_and_strides(from.sizes(), from.strides());
}

// A tensor on this storage that is like another one.
Tensor tensor_on(Storage storage, DispatchKey key, const Tensor &like) {
  DispatchKeySet keys(key);
  Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), keys, like.dtype());
  take_shape(tensor, like);
  if (like.unsafeGetTensorImpl()->is_wrapped_number())
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

// A call of an operation.
struct Call {
  const c10::OperatorHandle &op;
  // The arguments that are on the device, and what the CPU's kernel sees in their place.
  std::vector<Tensor> given, seen;
  // Those of the device that the call has to do with.
  std::vector<Storage> storages;
  // Whether a tensor of the CPU that is more than one number is among the arguments.
  bool has_other = false;

  explicit Call(const c10::OperatorHandle &op) : op(op) {}

  Storage host(const Storage &storage) {
    storages.push_back(storage);
    return host_of(storage);
  }

  Tensor host(const Tensor &tensor) {
    if (!is_ours(tensor)) {
      has_other |= tensor.defined() && tensor.dim() > 0;
      return tensor;
    }
    given.push_back(tensor);
    seen.push_back(tensor_on(host(tensor.storage()), DispatchKey::CPU, tensor));
    return seen.back();
  }

  IValue host(const IValue &value) {
    if (value.isTensor())
      return host(value.toTensor());
    if (value.isDevice() && value.toDevice().type() == TYPE)
      return c10::Device(c10::kCPU);
    if (value.isStorage() && value.toStorage().device_type() == TYPE)
      return host(value.toStorage());
    if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor &tensor : value.toTensorVector())
        list.push_back(host(tensor));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor> &tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional<Tensor>(host(*tensor)) : std::nullopt);
      return list;
    }
    return value;
  }

  // The storage of the device that stands on one of the CPU; a new one for what the kernel made.
  Storage device(const Storage &host) {
    for (const Storage &storage : storages)
      if (host_of(storage).is_alias_of(host))
        return storage;
    storages.emplace_back(Storage::use_byte_size_t(), host.nbytes(), on_device(host), &allocator, true);
    return storages.back();
  }

  // What the kernel did to its arguments beside their values: `out` may have another size.
  void bring_back() {
    for (const Storage &storage : storages) {
      Storage host = host_of(storage);
      if (storage.data() == marked(host.data()) && storage.nbytes() == host.nbytes())
        continue;
      c10::StorageImpl *impl = storage.unsafeGetStorageImpl();
      impl->set_nbytes(host.nbytes());
      impl->set_data_ptr_noswap(on_device(host));
    }
    for (size_t i = 0; i < given.size(); ++i) {
      Storage storage = device(seen[i].storage());
      if (!storage.is_alias_of(given[i].storage()))
        given[i].unsafeGetTensorImpl()->set_storage_keep_dtype(storage);
      take_shape(given[i], seen[i]);
    }
  }

  Tensor device(const Tensor &result) {
    if (!result.defined())
      return result;
    for (size_t i = 0; i < seen.size(); ++i)
      if (seen[i].is_same(result))
        return given[i];
    return tensor_on(device(result.storage()), KEY, result);
  }

  IValue device(const IValue &value) {
    if (value.isTensor())
      return device(value.toTensor());
    if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor &tensor : value.toTensorVector())
        list.push_back(device(tensor));
      return list;
    }
    return value;
  }

  // Whether the host has to know what the device computed before it can go on: for a value, or for the
  // shape of a result.
  bool waits() const {
    return op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape);
  }

  // Whether there is something to compute: not for another view of a tensor, nor for memory alone.
  bool computes() const {
    for (const c10::Argument &result : op.schema().returns())
      if (result.alias_info() && !result.alias_info()->isWrite())
        return false;
    const std::string &name = op.operator_name().name;
    for (const char *memory : {"aten::empty", "aten::new_empty", "aten::resize_", "aten::set_", "aten::_reshape_alias"})
      if (name.rfind(memory, 0) == 0)
        return false;
    return true;
  }
};

// Any operation, by the CPU's kernel. One that makes a tensor has the device among its arguments.
void by_the_cpu(const c10::OperatorHandle &op, Stack *stack) {
  Call call(op);
  for (size_t i = stack->size() - op.schema().arguments().size(); i < stack->size(); ++i)
    (*stack)[i] = call.host((*stack)[i]);
  // A GPU takes single numbers from the CPU, as an argument of the kernel.
  TORCH_CHECK(call.given.empty() || !call.has_other,
              "Expected all tensors to be on the same device, but found at least two devices, ", DEVICE,
              " and cpu! (", op.operator_name(), ")");
  if (call.waits())
    waited(c10::toString(op.operator_name()));
  if (call.computes())
    counted(op.operator_name().name);
  op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  call.bring_back();
  for (size_t i = stack->size() - op.schema().returns().size(); i < stack->size(); ++i)
    (*stack)[i] = call.device((*stack)[i]);
}

// Copies within the device, to it and from it. A GPU's queue has to run dry for the latter two, unless the
// memory is pinned, which tch cannot ask for.
Tensor &copy(Tensor &to, const Tensor &from, bool non_blocking) {
  if (from.numel() > 0 && is_ours(to) != is_ours(from))
    waited(is_ours(to) ? "copy to the device" : "copy to the host");
  if (from.numel() > 0)
    counted("aten::copy_");
  auto host = [](const Tensor &tensor) {
    return is_ours(tensor) ? tensor_on(host_of(tensor.storage()), DispatchKey::CPU, tensor) : tensor;
  };
  host(to).copy_(host(from), non_blocking);
  return to;
}

void register_all() {
  TORCH_CHECK(!c10::impl::hasDeviceGuardImpl(TYPE), "this libtorch has ", TYPE, " devices of its own");
  // All for the life of the process: libtorch does not own them.
  c10::SetAllocator(TYPE, &allocator);
  c10::impl::registerDeviceGuard(TYPE, new Guard());
  auto *all = new torch::Library(torch::Library::IMPL, "_", KEY, __FILE__, __LINE__);
  auto *some = new torch::Library(torch::Library::IMPL, "aten", KEY, __FILE__, __LINE__);
  auto kernel = [] { return torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>(); };
  all->fallback(kernel());
  some->impl("copy_", TORCH_FN(copy));
  // Where no backend has a kernel of its own, these two choose one by the device.
  some->impl("convolution", kernel());
  some->impl("convolution_backward", kernel());
}

} // namespace

extern "C" {

// To be called once, before any other use of the device. Returns null, or what went wrong, to be freed.
char *host_device_register() { return native::problem_of(register_all); }

// What the device was given to compute since the last call, a line each with how often, to be freed.
char *host_device_take_operations() {
  std::lock_guard<std::mutex> lock(operations_guard);
  std::string lines;
  for (const auto &[name, times] : operations)
    lines += name + " " + std::to_string(times) + "\n";
  operations.clear();
  return strdup(lines.c_str());
}

// The names of what has waited since the last call, a line each, to be freed.
char *host_device_take_waits() {
  std::lock_guard<std::mutex> lock(waits_guard);
  std::string lines;
  for (const std::string &name : waits)
    lines += name + "\n";
  waits.clear();
  return strdup(lines.c_str());
}
}
