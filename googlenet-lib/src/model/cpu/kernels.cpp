// Compiled once for each kind of vector unit, with LEVEL as its name. The loops over the channels are
// written so that the compiler makes vectors of them. Nothing of the standard library is called: the
// linker could take its version from here for all, and another machine could not run it.

#include "kernels.h"

namespace {

inline float load(const float *p, int64_t i) { return p[i]; }
inline float load(const bf16 *p, int64_t i) {
  uint32_t bits = static_cast<uint32_t>(p[i].bits) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
inline void store(float *p, int64_t i, float value) { p[i] = value; }
// To the nearest, to even at a tie. Those NaN that arithmetic makes stay NaN: of their fraction the
// highest bit alone is set, so that nothing is carried over.
inline void store(bf16 *p, int64_t i, float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  p[i].bits = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
void statistics(const T *__restrict x, int64_t stride, int64_t rows, int64_t channels,
                const float *__restrict shift, float *__restrict sums, float *__restrict squares) {
  for (int64_t row = 0; row < rows; ++row, x += stride)
    for (int64_t c = 0; c < channels; ++c) {
      float distance = load(x, c) - shift[c];
      sums[c] += distance;
      squares[c] += distance * distance;
    }
}

template <typename T>
void forward(const T *__restrict x, int64_t x_stride, T *__restrict y, int64_t y_stride,
             int64_t rows, int64_t channels, Way way) {
  const float *__restrict scale = way.scale, *__restrict shift = way.shift;
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride)
    for (int64_t c = 0; c < channels; ++c) {
      float value = load(x, c) * scale[c] + shift[c];
      store(y, c, value < way.floor ? way.floor : value);
    }
}

template <typename T>
void gradient_sums(const T *__restrict x, int64_t x_stride, const T *__restrict g, int64_t g_stride,
                   int64_t rows, int64_t channels, Way way, float *__restrict sums,
                   float *__restrict products) {
  const float *__restrict scale = way.scale, *__restrict shift = way.shift;
  const float *__restrict mean = way.mean;
  for (int64_t row = 0; row < rows; ++row, x += x_stride, g += g_stride)
    for (int64_t c = 0; c < channels; ++c) {
      float value = load(x, c), above = load(g, c);
      float gradient = value * scale[c] + shift[c] > way.floor ? above : 0.0f;
      sums[c] += gradient;
      products[c] += gradient * (value - mean[c]);
    }
}

template <typename T>
void backward(const T *__restrict x, int64_t x_stride, const T *__restrict g, int64_t g_stride,
              T *__restrict dx, int64_t rows, int64_t channels, Way way, const float *__restrict a,
              const float *__restrict b, const float *__restrict d) {
  const float *__restrict scale = way.scale, *__restrict shift = way.shift;
  const float *__restrict mean = way.mean;
  for (int64_t row = 0; row < rows; ++row, x += x_stride, g += g_stride, dx += x_stride)
    for (int64_t c = 0; c < channels; ++c) {
      float value = load(x, c), above = load(g, c);
      float gradient = value * scale[c] + shift[c] > way.floor ? above : 0.0f;
      store(dx, c, gradient * a[c] + (value - mean[c]) * b[c] + d[c]);
    }
}

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Keeps the greater of what is there and of x, and where it stands. What is not a number is kept.
template <typename T>
inline void keep_greater(const T *__restrict x, int64_t channels, uint8_t place,
                         float *__restrict best, uint8_t *__restrict places) {
  for (int64_t c = 0; c < channels; ++c) {
    float value = load(x, c);
    bool greater = value > best[c] || value != value;
    best[c] = greater ? value : best[c];
    places[c] = greater ? place : places[c];
  }
}

// Adds the gradient where the maximum stood at this place.
template <typename T>
inline void add_where(const T *__restrict g, const uint8_t *__restrict places, int64_t channels,
                      uint8_t place, float *__restrict sums) {
  for (int64_t c = 0; c < channels; ++c) {
    float gradient = load(g, c);
    sums[c] += places[c] == place ? gradient : 0.0f;
  }
}

template <typename T>
inline void put(const float *__restrict from, int64_t channels, T *__restrict to) {
  for (int64_t c = 0; c < channels; ++c)
    store(to, c, from[c]);
}

template <typename T>
void pool_forward(const Window &w, const T *x, T *y, uint8_t *places, float *best, int64_t first,
                  int64_t last) {
  for (int64_t line = first; line < last; ++line) {
    const T *image = x + line / w.out_height * w.height * w.width * w.channels;
    int64_t top = line % w.out_height * w.stride - w.padding;
    for (int64_t column = 0; column < w.out_width; ++column) {
      int64_t left = column * w.stride - w.padding;
      int64_t at = (line * w.out_width + column) * w.channels;
      for (int64_t c = 0; c < w.channels; ++c) {
        best[c] = -__builtin_inff();
        places[at + c] = 0;
      }
      for (int64_t i = top < 0 ? -top : 0; i < least(w.kernel, w.height - top); ++i)
        for (int64_t j = left < 0 ? -left : 0; j < least(w.kernel, w.width - left); ++j)
          keep_greater(image + ((top + i) * w.width + left + j) * w.channels, w.channels,
                       static_cast<uint8_t>(i * w.kernel + j), best, places + at);
      put(best, w.channels, y + at);
    }
  }
}

template <typename T>
void pool_backward(const Window &w, const T *g, const uint8_t *places, T *dx, float *sums,
                   int64_t first, int64_t last) {
  for (int64_t line = first; line < last; ++line) {
    int64_t image = line / w.height * w.out_height * w.out_width;
    int64_t row = line % w.height + w.padding;
    for (int64_t pixel = 0; pixel < w.width; ++pixel) {
      int64_t column = pixel + w.padding;
      for (int64_t c = 0; c < w.channels; ++c)
        sums[c] = 0.0f;
      // This pixel's places in the windows that hold it.
      for (int64_t i = row % w.stride; i < w.kernel && i <= row; i += w.stride)
        for (int64_t j = column % w.stride; j < w.kernel && j <= column; j += w.stride) {
          int64_t above = (row - i) / w.stride, beside = (column - j) / w.stride;
          if (above >= w.out_height || beside >= w.out_width)
            continue;
          int64_t at = (image + above * w.out_width + beside) * w.channels;
          add_where(g + at, places + at, w.channels, static_cast<uint8_t>(i * w.kernel + j), sums);
        }
      put(sums, w.channels, dx + (line * w.width + pixel) * w.channels);
    }
  }
}

template <typename T>
constexpr Kernels<T> KERNELS = {statistics<T>, forward<T>,      gradient_sums<T>,
                                backward<T>,   pool_forward<T>, pool_backward<T>};

} // namespace

namespace LEVEL {
extern const Kernels<float> of_float;
extern const Kernels<bf16> of_bf16;
const Kernels<float> of_float = KERNELS<float>;
const Kernels<bf16> of_bf16 = KERNELS<bf16>;
} // namespace LEVEL
