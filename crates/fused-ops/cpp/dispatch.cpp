// Which of the compiled kernels this machine can run.

#include <string>

#include <ATen/Version.h>

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
// Nothing that libtorch was told not to use, by ATEN_CPU_CAPABILITY.
bool allows(const std::string &level) {
  static const std::string most = at::get_cpu_capability();
  return most.rfind("AVX512", 0) == 0 || most == level;
}
const bool AVX2 = has_avx2() && allows("AVX2"), AVX512 = has_avx512() && allows("AVX512");
} // namespace

#define CHOSEN(of) (AVX512 ? avx512::of : AVX2 ? avx2::of : baseline::of)
#else
// On aarch64 the baseline is the level for NEON, which every such CPU has: GCC's -O3 makes NEON's vectors
// of all loops over channels. There is no level for SVE, whose vectors are no longer on most CPUs that
// have it, and no level was measured on one whose are.
DECLARED(baseline)
#define CHOSEN(of) (baseline::of)
#endif

template <> const Kernels<float> &kernels<float>() { return CHOSEN(of_float); }
template <> const Kernels<bf16> &kernels<bf16>() { return CHOSEN(of_bf16); }
