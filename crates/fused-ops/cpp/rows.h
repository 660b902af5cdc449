// What the passes over channels-last activations share: libtorch's memory and its threads.

#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

#include "kernels.h"
#include "native.h"

namespace rows {

using at::Tensor;
using native::problem_of;

template <typename T> T *pointer(const Tensor &x) { return static_cast<T *>(x.data_ptr()); }

inline Tensor channels_last(const Tensor &x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

// A new tensor of so many images with its values where channels-last tensors have them.
inline Tensor empty_rows(const Tensor &like, int64_t channels, int64_t height, int64_t width,
                         at::ScalarType kind) {
  return at::empty({like.size(0), channels, height, width}, like.options().dtype(kind),
                   at::MemoryFormat::ChannelsLast);
}
inline Tensor empty_rows(const Tensor &like, int64_t channels, int64_t height, int64_t width) {
  return empty_rows(like, channels, height, width, like.scalar_type());
}

// Calls `work` with a value of the type that `x` holds: float32, else bfloat16.
template <typename F> auto by_kind(const Tensor &x, F work) {
  return x.scalar_type() == at::kFloat ? work(float()) : work(bf16());
}

inline void refuse_second_derivative() {
  TORCH_CHECK(!at::GradMode::is_enabled(),
              "no second derivative in float32: compute it in double precision");
}

// Calls `part(index, first, last)` on all of libtorch's threads at once, for as many equal parts of
// `count` as there are threads, or on this one alone if there are fewer than `least`. The number of
// threads alone decides where a part begins, so that sums come out the same each time.
// at::parallel_for would need OpenMP in this file, and with it a second set of threads;
// TensorIterator has it inside libtorch.
template <typename F> void in_parts(int64_t count, int64_t least, F part) {
  int64_t parts = at::get_num_threads();
  int64_t each = (count + parts - 1) / parts;
  auto run = [&](int64_t index) {
    int64_t first = std::min(count, index * each), last = std::min(count, first + each);
    part(index, first, last);
  };
  if (count < least) {
    for (int64_t index = 0; index < parts; ++index)
      run(index);
    return;
  }
  Tensor index = at::empty({parts}, at::kLong);
  auto *base = reinterpret_cast<char *>(index.data_ptr<int64_t>());
  auto iterator = at::TensorIterator::nullary_op(index);
  iterator.for_each(
      [&](char **data, const int64_t *strides, int64_t here) {
        for (int64_t i = 0; i < here; ++i)
          run((data[0] + i * strides[0] - base) / static_cast<int64_t>(sizeof(int64_t)));
      },
      1);
}

} // namespace rows
