// How libtorch computes on a GPU: see tune.rs.

#include <ATen/Context.h>

#include "native.h"

extern "C" {

// A setting of the process. Returns null, or what went wrong, to be freed.
char *fused_ops_allow_tensor_float32(int allow) {
  return native::problem_of([&] { at::globalContext().setAllowTF32CuDNN(allow != 0); });
}
}
