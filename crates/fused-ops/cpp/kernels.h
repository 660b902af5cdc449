// The passes over the memory, compiled once for each kind of vector unit: see kernels.cpp.
//
// Tensors are (N, C, H, W) in shape and channels-last in memory: a row is the C values of one pixel.
// Strides are the distances between rows, in values.

#pragma once

#include <cstdint>

// bfloat16 is the upper half of a float.
struct bf16 {
  uint16_t bits;
};

// What was done to an input, a number for each channel: x * scale + shift, and 0 where that is not
// above the floor. `mean` is that of x.
struct Way {
  const float *scale, *shift, *mean;
  float floor;
};

// Sizes of the input and of the output of a pooling, and its window.
struct Window {
  int64_t images, channels, height, width, out_height, out_width;
  int64_t kernel, stride, padding;
};

// The largest window of a pooling. A place in it is one byte, and one byte is none.
constexpr int64_t MAX_KERNEL = 15;
constexpr uint8_t NO_PLACE = 255;

template <typename T> struct Kernels {
  // Adds the distance of every channel's values from `shift`, and its square, to `sums` and `squares`.
  void (*statistics)(const T *x, int64_t stride, int64_t rows, int64_t channels, const float *shift,
                     float *sums, float *squares);
  // Goes the way. What is not a number stays.
  void (*forward)(const T *x, int64_t x_stride, T *y, int64_t y_stride, int64_t rows,
                  int64_t channels, Way way);
  // Sums over the rows of the gradient before the floor, and of its product with the distance of x
  // from its mean.
  void (*gradient_sums)(const T *x, int64_t x_stride, const T *g, int64_t g_stride, int64_t rows,
                        int64_t channels, Way way, float *sums, float *products);
  // dx = gradient * a + (x - mean) * b + d, with the gradient before the floor.
  void (*backward)(const T *x, int64_t x_stride, const T *g, int64_t g_stride, T *dx, int64_t rows,
                   int64_t channels, Way way, const float *a, const float *b, const float *d);
  // The greatest values and, unless `places` is null, their places in the window, for the output's
  // lines of pixels from `first` to `last`, counted through all images. `lines` and `line_places` have
  // room for as many of the output's lines as the window is high, `zeros` holds one.
  void (*pool_forward)(const Window &window, const T *x, T *y, uint8_t *places, T *lines,
                       uint8_t *line_places, const uint8_t *zeros, int64_t first, int64_t last);
  // The gradient of the input's lines of pixels from `first` to `last`. `sums` has room
  // for a number for each channel.
  void (*pool_backward)(const Window &window, const T *g, const uint8_t *places, T *dx, float *sums,
                        int64_t first, int64_t last);
};

// Those for this machine.
template <typename T> const Kernels<T> &kernels();
