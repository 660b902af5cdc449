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

// What one place of a window reads, and the number of the place.
template <typename T> struct Source {
  const T *values;
  const uint8_t *places;
  uint8_t place;
};

// A value that came from `load` unchanged: nothing is rounded.
inline void restore(float *p, int64_t i, float value) { p[i] = value; }
inline void restore(bf16 *p, int64_t i, float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  p[i].bits = static_cast<uint16_t>(bits >> 16);
}

// The greatest of three and its place, the first of equal ones. What is not a number is kept.
template <bool PLACES, typename T>
inline void greatest_of_three(Source<T> a, Source<T> b, Source<T> c, int64_t count, T *y,
                              uint8_t *places) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    float first = load(a.values, i), second = load(b.values, i), third = load(c.values, i);
    // Numbers of four bytes all the way: with places of one byte beside them GCC makes no vectors
    // for AVX2.
    int32_t is_second = (second > first) | (second != second) ? -1 : 0;
    float greater = is_second ? second : first;
    int32_t is_third = (third > greater) | (third != third) ? -1 : 0;
    restore(y, i, is_third ? third : greater);
    if (PLACES) {
      int32_t of_first = a.places[i] + a.place, of_second = b.places[i] + b.place;
      int32_t of_third = c.places[i] + c.place;
      int32_t of_greater = (of_second & is_second) | (of_first & ~is_second);
      places[i] = static_cast<uint8_t>((of_third & is_third) | (of_greater & ~is_third));
    }
  }
}

// A whole number for each bfloat16 value, in the same order: those under 0 are turned round, and what is not a number
// is above all. Vectors hold twice as many of them as of floats.
inline int16_t key(bf16 value) {
  int16_t bits = static_cast<int16_t>(value.bits);
  int16_t turned = static_cast<int16_t>(bits ^ ((bits >> 15) & 0x7fff));
  return static_cast<int16_t>(bits & 0x7fff) > 0x7f80 ? static_cast<int16_t>(0x7fff) : turned;
}
inline int16_t greater(int16_t a, int16_t b) { return a > b ? a : b; }

// The same where nobody asks for places.
inline void greatest_value(const float *a, const float *b, const float *c, int64_t count, float *y) {
  greatest_of_three<false>(Source<float>{a, nullptr, 0}, {b, nullptr, 0}, {c, nullptr, 0}, count, y,
                           nullptr);
}
inline void greatest_value(const bf16 *a, const bf16 *b, const bf16 *c, int64_t count, bf16 *y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    int16_t most = greater(greater(key(a[i]), key(b[i])), key(c[i]));
    y[i].bits = static_cast<uint16_t>(most ^ ((most >> 15) & 0x7fff));
  }
}

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// The same of any number. The last is read again where there are not three: nothing is above itself.
template <bool PLACES, typename T>
void greatest(const Source<T> *sources, int64_t length, int64_t count, T *y, uint8_t *places) {
  int64_t last = length - 1;
  if (!PLACES) {
    const T *before = sources[0].values;
    for (int64_t next = 1; next <= last || next == 1; next += 2, before = y)
      greatest_value(before, sources[least(next, last)].values,
                     sources[least(next + 1, last)].values, count, y);
    return;
  }
  greatest_of_three<PLACES>(sources[0], sources[least(1, last)], sources[least(2, last)], count, y,
                            places);
  for (int64_t next = 3; next <= last; next += 2)
    greatest_of_three<PLACES>(Source<T>{y, places, 0}, sources[next], sources[least(next + 1, last)],
                              count, y, places);
}

// The greatest values within each line of pixels of a window, for all windows beside each other.
template <bool PLACES, typename T>
void pool_across(const Window &w, const T *x, T *y, uint8_t *places, const uint8_t *zeros) {
  int64_t windows = 0;
  for (int64_t column = 0; column < w.out_width; column += windows) {
    int64_t left = column * w.stride - w.padding;
    int64_t from = left < 0 ? -left : 0, to = least(w.kernel, w.width - left);
    windows = 1;
    // Neighbours that lie in the image are one long row.
    if (w.stride == 1 && from == 0 && to == w.kernel)
      windows = least(w.width - w.kernel - left, w.out_width - 1 - column) + 1;
    Source<T> sources[MAX_KERNEL];
    for (int64_t j = from; j < to; ++j)
      sources[j - from] = {x + (left + j) * w.channels, zeros, static_cast<uint8_t>(j)};
    greatest<PLACES>(sources, to - from, windows * w.channels, y + column * w.channels,
                     PLACES ? places + column * w.channels : nullptr);
  }
}

template <bool PLACES, typename T>
void pool_lines(const Window &w, const T *x, T *y, uint8_t *places, T *lines, uint8_t *line_places,
                const uint8_t *zeros, int64_t first, int64_t last) {
  int64_t length = w.out_width * w.channels;
  // The input's line, counted through all images, that `lines` holds at each place.
  int64_t held[MAX_KERNEL];
  for (int64_t &line : held)
    line = -1;
  for (int64_t line = first; line < last; ++line) {
    int64_t image = line / w.out_height, top = line % w.out_height * w.stride - w.padding;
    int64_t from = top < 0 ? -top : 0, to = least(w.kernel, w.height - top);
    Source<T> sources[MAX_KERNEL];
    for (int64_t i = from; i < to; ++i) {
      int64_t row = image * w.height + top + i, slot = row % w.kernel;
      if (held[slot] != row)
        pool_across<PLACES>(w, x + row * w.width * w.channels, lines + slot * length,
                            line_places + slot * length, zeros);
      held[slot] = row;
      sources[i - from] = {lines + slot * length, line_places + slot * length,
                           static_cast<uint8_t>(i * w.kernel)};
    }
    greatest<PLACES>(sources, to - from, length, y + line * length,
                     PLACES ? places + line * length : nullptr);
  }
}

template <typename T>
void pool_forward(const Window &w, const T *x, T *y, uint8_t *places, T *lines,
                  uint8_t *line_places, const uint8_t *zeros, int64_t first, int64_t last) {
  if (places)
    pool_lines<true>(w, x, y, places, lines, line_places, zeros, first, last);
  else
    pool_lines<false>(w, x, y, places, lines, line_places, zeros, first, last);
}

// Adds those values of three that were the greatest of their windows.
template <typename T>
inline void add_where(Source<T> a, Source<T> b, Source<T> c, int64_t count, float *__restrict sums) {
  for (int64_t i = 0; i < count; ++i) {
    float first = load(a.values, i), second = load(b.values, i), third = load(c.values, i);
    float of_first = a.places[i] == a.place ? first : 0.0f;
    float of_second = b.places[i] == b.place ? second : 0.0f;
    float of_third = c.places[i] == c.place ? third : 0.0f;
    sums[i] += of_first + of_second + of_third;
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
      Source<T> sources[MAX_KERNEL * MAX_KERNEL + 2];
      int64_t length = 0;
      // This pixel's places in the windows that hold it.
      for (int64_t i = row % w.stride; i < w.kernel && i <= row; i += w.stride)
        for (int64_t j = column % w.stride; j < w.kernel && j <= column; j += w.stride) {
          int64_t above = (row - i) / w.stride, beside = (column - j) / w.stride;
          if (above >= w.out_height || beside >= w.out_width)
            continue;
          int64_t at = (image + above * w.out_width + beside) * w.channels;
          sources[length++] = {g + at, places + at, static_cast<uint8_t>(i * w.kernel + j)};
        }
      // Up to a multiple of three with a place that no window has.
      for (int64_t i = 0; i < 2; ++i)
        sources[length + i] = {g, places, NO_PLACE};
      for (int64_t c = 0; c < w.channels; ++c)
        sums[c] = 0.0f;
      for (int64_t i = 0; i < length; i += 3)
        add_where(sources[i], sources[i + 1], sources[i + 2], w.channels, sums);
      for (int64_t c = 0; c < w.channels; ++c)
        store(dx + (line * w.width + pixel) * w.channels, c, sums[c]);
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
