// CUDA graphs: see src/graph.rs. libtorch's class for them lives in libtorch_cuda, whose headers need a CUDA
// toolkit and which a cell is linked without. Its five functions are looked up by name in the library that
// is loaded, with the types that ATen/cuda/CUDAGraph.h of libtorch 2.11 gives them.

#include <dlfcn.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "../native.h"

namespace {

using Pool = std::pair<unsigned long long, unsigned long long>;

// cudaStreamCaptureModeThreadLocal: what other threads do meanwhile does not break a capture off.
constexpr int THREAD_LOCAL = 1;

template <typename F> F find(const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  if (!found) {
    // Loaded by dlopen, it is not among the libraries that are searched by default.
    static void *library = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
    found = library ? dlsym(library, name) : nullptr;
  }
  if (!found) {
    throw std::runtime_error(std::string("this libtorch has no ") + name);
  }
  return reinterpret_cast<F>(found);
}

struct Class {
  void (*create)(void *, bool) = find<decltype(create)>("_ZN2at4cuda9CUDAGraphC1Eb");
  void (*destroy)(void *) = find<decltype(destroy)>("_ZN2at4cuda9CUDAGraphD1Ev");
  void (*capture_begin)(void *, Pool, int) = find<decltype(capture_begin)>(
      "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
  void (*capture_end)(void *) =
      find<decltype(capture_end)>("_ZN2at4cuda9CUDAGraph11capture_endEv");
  void (*replay)(void *) = find<decltype(replay)>("_ZN2at4cuda9CUDAGraph6replayEv");
};

const Class &functions() {
  static Class found;
  return found;
}

const c10::impl::DeviceGuardImplInterface &cuda() {
  return *c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA);
}

struct Graph {
  // An at::cuda::CUDAGraph, which takes far less.
  alignas(std::max_align_t) unsigned char object[4096] = {};
  // The stream that is used outside of the capture; the capture has one of its own.
  c10::Stream outside;

  explicit Graph(c10::Device device) : outside(cuda().getStream(device)) {
    functions().create(object, false);
  }
  ~Graph() { functions().destroy(object); }
};

} // namespace

extern "C" {

// Begins to capture what this thread asks of the GPU of this number; nothing of it runs. All return null,
// or what went wrong, to be freed.
char *fused_ops_graph_begin(int index, void **out) {
  return native::problem_of([&] {
    c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
    auto graph = std::make_unique<Graph>(device);
    cuda().synchronizeDevice(device.index());
    // What is free, and kept for later, would be kept twice.
    c10::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache();
    cuda().exchangeStream(cuda().getStreamFromGlobalPool(device));
    try {
      functions().capture_begin(graph->object, Pool(0, 0), THREAD_LOCAL);
    } catch (...) {
      cuda().exchangeStream(graph->outside);
      throw;
    }
    *out = graph.release();
  });
}

// Ends the capture, whatever came of it.
char *fused_ops_graph_end(void *graph) {
  return native::problem_of([&] {
    auto &self = *static_cast<Graph *>(graph);
    try {
      functions().capture_end(self.object);
    } catch (...) {
      cuda().exchangeStream(self.outside);
      throw;
    }
    cuda().exchangeStream(self.outside);
  });
}

// Runs what was captured, on the memory that was used then.
char *fused_ops_graph_replay(void *graph) {
  return native::problem_of([&] { functions().replay(static_cast<Graph *>(graph)->object); });
}

char *fused_ops_graph_free(void *graph) {
  return native::problem_of([&] { delete static_cast<Graph *>(graph); });
}
}
