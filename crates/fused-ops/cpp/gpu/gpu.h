// Kernels for a GPU that are compiled where they run: see gpu.cpp.

#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace gpu {

// How many blocks of how many threads.
struct Grid {
  int64_t x, y;
  int64_t threads_x, threads_y;
};

// For so many threads in all, in one row.
inline Grid line(int64_t threads) { return {(threads + 255) / 256, 1, 256, 1}; }

// So many values of `x` at a time as all these numbers are multiples of: 16 bytes of them, else one.
int64_t vector_of(const at::Tensor &x, std::initializer_list<int64_t> numbers);

// Launches a kernel of kernels.cu for values of the kind of `x`, so many at a time, on the stream in use
// on the device of `x`. `arguments` points to each argument.
void launch(const char *kernel, const at::Tensor &x, int64_t vector, Grid grid, void **arguments);

// The same with the arguments themselves.
template <typename... A>
void run(const char *kernel, const at::Tensor &x, int64_t vector, Grid grid, A... arguments) {
  void *pointers[] = {const_cast<void *>(static_cast<const void *>(&arguments))...};
  launch(kernel, x, vector, grid, pointers);
}

} // namespace gpu
