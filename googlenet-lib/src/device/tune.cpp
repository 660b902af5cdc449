// How libtorch computes on a GPU: see `tune` in mod.rs.

#include <ATen/Context.h>

#include "native.h"

extern "C" {

// Both are settings of the process. Returns null, or what went wrong, to be freed.
char *googlenet_tune_cuda(int tensor_float32) {
  return native::problem_of([&] {
    at::globalContext().setBenchmarkCuDNN(true);
    at::globalContext().setAllowTF32CuDNN(tensor_float32 != 0);
  });
}
}
