// oneDNN's convolution with a weight that was laid out for it, and with ReLU on the way out, on a CPU.
// These are libtorch's own operators, which torch.compile calls; they have no derivative.

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>

#include "native.h"

using at::Tensor;
using native::problem_of;

namespace {

using Operator = std::optional<c10::OperatorHandle>;

// An operator that this build of libtorch has for the CPU.
Operator on_cpu(const char *name) {
  Operator found = c10::Dispatcher::singleton().findSchema({name, ""});
  // Laid out weights have a key of their own.
  for (auto key : {c10::DispatchKey::CPU, c10::DispatchKey::MkldnnCPU})
    if (found && found->hasKernelForDispatchKey(key))
      return found;
  return std::nullopt;
}

const Operator &laying_out() {
  static const Operator found = on_cpu("mkldnn::_reorder_convolution_weight");
  return found;
}

const Operator &convolving() {
  static const Operator found = on_cpu("mkldnn::_convolution_pointwise");
  return found;
}

// In bfloat16 these operators fail where the processor has no instructions for it.
bool has_bfloat16() {
  static const bool found = [] {
    Operator asking = c10::Dispatcher::singleton().findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
    if (!asking)
      return false;
    torch::jit::Stack stack;
    asking->callBoxed(stack);
    return stack[0].toBool();
  }();
  return found;
}

bool usable(const Tensor &x, const Tensor &weight) {
  bool differentiated =
      at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  return !differentiated && laying_out() && convolving() &&
         (x.scalar_type() == at::kFloat || has_bfloat16());
}

Tensor call(const Operator &which, torch::jit::Stack stack) {
  at::AutoDispatchBelowAutograd guard;
  which->callBoxed(stack);
  return stack[0].toTensor();
}

std::vector<int64_t> twice(int64_t n) { return {n, n}; }

Tensor lay_out(const Tensor &weight, const Tensor &x, int64_t stride, int64_t padding) {
  return call(laying_out(), {weight, twice(padding), twice(stride), twice(1), int64_t{1},
                             x.sizes().vec()});
}

Tensor convolved(const Tensor &x, const Tensor &weight, const Tensor *bias, int64_t stride,
                 int64_t padding, bool relu) {
  c10::IValue bias_or_none = bias ? c10::IValue(*bias) : c10::IValue();
  return call(convolving(), {x, weight, bias_or_none, twice(padding), twice(stride), twice(1),
                             int64_t{1}, std::string(relu ? "relu" : "none"),
                             c10::List<std::optional<at::Scalar>>(), c10::IValue()});
}

} // namespace

extern "C" {

// Writes a new tensor to `output`, and the weight, laid out for such inputs, to `packed` where that is null. Both stay
// as they are where this libtorch has no such operators, or a derivative may be asked for. Returns null, or what went
// wrong, to be freed.
char *fused_ops_prepacked(const Tensor *x, const Tensor *weight, const Tensor *bias, int64_t stride,
                          int64_t padding, int32_t relu, Tensor **packed, Tensor **output) {
  return problem_of([&] {
    if (!usable(*x, *weight))
      return;
    if (!*packed)
      *packed = new Tensor(lay_out(*weight, *x, stride, padding));
    *output = new Tensor(convolved(*x, **packed, bias, stride, padding, relu != 0));
  });
}
}
