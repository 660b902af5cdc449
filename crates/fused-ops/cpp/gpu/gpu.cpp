// Compiles kernels.cu with NVIDIA's run-time compiler when it is first needed, and launches them.
//
// A toolkit with a compiler for GPUs is not asked for: the run-time compiler comes with libtorch, and the
// driver with the GPU. Both are loaded already, by libtorch; their functions are looked up by name.

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "gpu.h"
#include "../native.h"

namespace gpu {
namespace {

const char *const SOURCE =
#include "kernels.cu"
    ;

const char *const KERNELS[] = {"pool_forward",  "pool_backward", "statistics",  "normalise",
                               "forward",       "gradient_sums", "denormalise", "backward"};

template <typename F> F find(void *library, const char *name) {
  void *found = dlsym(library, name);
  TORCH_CHECK(found, "there is no function ", name, ": ", dlerror());
  return reinterpret_cast<F>(found);
}

// The folder of the CUDA runtime, if it can be seen from here: the run-time compiler lies beside it.
std::string beside_runtime() {
  Dl_info found;
  void *function = dlsym(RTLD_DEFAULT, "cudaRuntimeGetVersion");
  if (!function || !dladdr(function, &found))
    return "";
  std::string path = found.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

void *loaded(const std::vector<std::string> &names) {
  for (const std::string &folder : {std::string(), beside_runtime()})
    for (const std::string &name : names)
      if (void *library = dlopen((folder + name).c_str(), RTLD_LAZY))
        return library;
  TORCH_CHECK(false, names[0], " does not load");
}

// NVRTC, <https://docs.nvidia.com/cuda/nvrtc>.
struct Compiler {
  void *library = loaded({"libnvrtc.so.13", "libnvrtc.so.12"});
  using Program = void *;
  int (*create)(Program *, const char *, const char *, int, const char *const *,
                const char *const *) = find<decltype(create)>(library, "nvrtcCreateProgram");
  int (*compile)(Program, int, const char *const *) =
      find<decltype(compile)>(library, "nvrtcCompileProgram");
  int (*log_size)(Program, size_t *) = find<decltype(log_size)>(library, "nvrtcGetProgramLogSize");
  int (*log)(Program, char *) = find<decltype(log)>(library, "nvrtcGetProgramLog");
  int (*size)(Program, size_t *) = find<decltype(size)>(library, "nvrtcGetCUBINSize");
  int (*code)(Program, char *) = find<decltype(code)>(library, "nvrtcGetCUBIN");
  int (*destroy)(Program *) = find<decltype(destroy)>(library, "nvrtcDestroyProgram");
  int (*version)(int *, int *) = find<decltype(version)>(library, "nvrtcVersion");

  // It looks for its builtins by their bare name.
  Compiler() {
    int major = 0, minor = 0;
    version(&major, &minor);
    loaded({"libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor)});
  }
};

// CUDA driver API, <https://docs.nvidia.com/cuda/cuda-driver-api>.
struct Driver {
  void *library = loaded({"libcuda.so.1"});
  using Module = void *;
  using Function = void *;
  int (*attribute)(int *, int, int) = find<decltype(attribute)>(library, "cuDeviceGetAttribute");
  int (*current)(void **) = find<decltype(current)>(library, "cuCtxGetCurrent");
  int (*retain)(void **, int) = find<decltype(retain)>(library, "cuDevicePrimaryCtxRetain");
  int (*set)(void *) = find<decltype(set)>(library, "cuCtxSetCurrent");
  int (*load)(Module *, const void *) = find<decltype(load)>(library, "cuModuleLoadData");
  int (*function)(Function *, Module, const char *) =
      find<decltype(function)>(library, "cuModuleGetFunction");
  int (*launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                void *, void **, void **) = find<decltype(launch)>(library, "cuLaunchKernel");
};

// Every call looks again where one failed before: it throws.
const Driver &driver() {
  static Driver functions;
  return functions;
}

void succeeded(int code, const char *what) {
  TORCH_CHECK(code == 0, what, " failed with CUDA's error ", code);
}

std::string compiled(const std::string &architecture, bool bf16, int64_t vector) {
  static Compiler compiler;
  Compiler::Program program;
  succeeded(compiler.create(&program, SOURCE, "kernels.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  std::string options[] = {"--gpu-architecture=" + architecture, "--std=c++17",
                           std::string("-DBF16=") + (bf16 ? "1" : "0"),
                           "-DVEC=" + std::to_string(vector)};
  std::vector<const char *> words;
  for (const std::string &option : options)
    words.push_back(option.c_str());
  int code = compiler.compile(program, static_cast<int>(words.size()), words.data());
  size_t size = 0;
  std::string log, binary;
  if (code != 0) {
    compiler.log_size(program, &size);
    log.resize(size);
    compiler.log(program, log.data());
  } else {
    succeeded(compiler.size(program, &size), "nvrtcGetCUBINSize");
    binary.resize(size);
    succeeded(compiler.code(program, binary.data()), "nvrtcGetCUBIN");
  }
  compiler.destroy(&program);
  TORCH_CHECK(code == 0, "the kernels were not compiled for ", architecture, ": ", log);
  return binary;
}

using Functions = std::map<std::string, Driver::Function>;

Functions load(int device, bool bf16, int64_t vector) {
  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
  int major = 0, minor = 0;
  succeeded(driver().attribute(&major, 75, device), "cuDeviceGetAttribute");
  succeeded(driver().attribute(&minor, 76, device), "cuDeviceGetAttribute");
  std::string architecture = "sm_" + std::to_string(major) + std::to_string(minor);
  std::string binary = compiled(architecture, bf16, vector);
  Driver::Module module;
  succeeded(driver().load(&module, binary.data()), "cuModuleLoadData");
  Functions functions;
  for (const char *name : KERNELS)
    succeeded(driver().function(&functions[name], module, name), name);
  return functions;
}

// Kernels live as long as the process, as libtorch's do.
const Functions &functions_for(int device, bool bf16, int64_t vector) {
  static std::mutex mutex;
  static std::map<std::tuple<int, bool, int64_t>, Functions> known;
  std::lock_guard<std::mutex> lock(mutex);
  auto key = std::make_tuple(device, bf16, vector);
  auto found = known.find(key);
  if (found == known.end())
    found = known.emplace(key, load(device, bf16, vector)).first;
  return found->second;
}

// A thread that has not yet used the GPU has no context.
void enter(int device) {
  void *context = nullptr;
  succeeded(driver().current(&context), "cuCtxGetCurrent");
  if (context)
    return;
  succeeded(driver().retain(&context, device), "cuDevicePrimaryCtxRetain");
  succeeded(driver().set(context), "cuCtxSetCurrent");
}

} // namespace

int64_t vector_of(const at::Tensor &x, std::initializer_list<int64_t> numbers) {
  int64_t vector = 16 / x.element_size();
  for (int64_t number : numbers)
    if (number % vector != 0)
      return 1;
  return vector;
}

void launch(const char *kernel, const at::Tensor &x, int64_t vector, Grid grid, void **arguments) {
  auto &device_guard = *c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA);
  c10::Device before = device_guard.exchangeDevice(x.device());
  int device = x.device().index();
  enter(device);
  auto function = functions_for(device, x.scalar_type() == at::kBFloat16, vector).at(kernel);
  void *stream = device_guard.getStreamNativeHandle(device_guard.getStream(x.device()));
  int code = driver().launch(function, grid.x, grid.y, 1, grid.threads_x, grid.threads_y, 1, 0, stream,
                             arguments, nullptr);
  device_guard.exchangeDevice(before);
  succeeded(code, kernel);
}

} // namespace gpu

extern "C" {

// Compiles the kernels for bfloat16 or float32 on the GPU of this number. Returns null, or what went wrong,
// to be freed.
char *fused_ops_gpu_prepare(int device, int bf16) {
  return native::problem_of([&] {
    gpu::enter(device);
    for (int64_t vector : {int64_t(1), int64_t(bf16 ? 8 : 4)})
      gpu::functions_for(device, bf16 != 0, vector);
  });
}

// Compiles the kernels for an architecture (`sm_90`), without a GPU. Returns as above.
char *fused_ops_gpu_compile(const char *architecture) {
  return native::problem_of([&] {
    for (bool bf16 : {false, true})
      for (int64_t vector : {int64_t(1), int64_t(bf16 ? 8 : 4)})
        gpu::compiled(architecture, bf16, vector);
  });
}
}
