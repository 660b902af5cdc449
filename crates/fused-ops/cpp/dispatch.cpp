// Which of the compiled kernels this machine can run.

#include "kernels.h"

#define DECLARED(LEVEL)                                                                           \
  namespace LEVEL {                                                                               \
  extern const Kernels<float> of_float;                                                           \
  extern const Kernels<bf16> of_bf16;                                                             \
  }

#if defined(__x86_64__)
DECLARED(baseline)
DECLARED(avx2)
DECLARED(avx512)

namespace {
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
const bool AVX2 = has_avx2(), AVX512 = has_avx512();
} // namespace

#define CHOSEN(of) (AVX512 ? avx512::of : AVX2 ? avx2::of : baseline::of)
#else
DECLARED(baseline)
#define CHOSEN(of) (baseline::of)
#endif

template <> const Kernels<float> &kernels<float>() { return CHOSEN(of_float); }
template <> const Kernels<bf16> &kernels<bf16>() { return CHOSEN(of_bf16); }
