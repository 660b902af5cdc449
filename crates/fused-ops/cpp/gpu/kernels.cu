R"cuda(
// The passes over channels-last activations on a GPU, compiled when they are first needed, once for each
// kind of value (BF16: bfloat16, else float32) and for so many values at a time (VEC): see gpu.cpp. They
// compute what ../kernels.cpp computes.
//
// A row is the values of one pixel. Strides are the distances between rows, in values.

typedef long long i64;
typedef unsigned char u8;

#if BF16
typedef unsigned short T;
__device__ float load(T bits) { return __uint_as_float((unsigned)bits << 16); }
__device__ T rounded(float value) {
  unsigned bits = __float_as_uint(value);
  if (value != value)
    return (T)((bits >> 16) | 0x40u);
  return (T)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
#else
typedef float T;
__device__ float load(T value) { return value; }
__device__ T rounded(float value) { return value; }
#endif

struct alignas(sizeof(T) * VEC) Values {
  T at[VEC];
};
struct alignas(VEC) Places {
  u8 at[VEC];
};

__device__ i64 index() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }

struct Window {
  i64 images, channels, height, width, out_height, out_width;
  i64 kernel, stride, padding;
};

// The greatest values and, unless `places` is null, their places in the window; a thread for each VEC
// channels of a pixel of the output.
extern "C" __global__ void pool_forward(const T *x, T *y, u8 *places, Window w) {
  i64 groups = w.channels / VEC, at = index();
  if (at >= w.images * w.out_height * w.out_width * groups)
    return;
  i64 channel = at % groups * VEC, pixel = at / groups;
  i64 column = pixel % w.out_width * w.stride - w.padding;
  i64 row = pixel / w.out_width % w.out_height * w.stride - w.padding;
  const T *image = x + pixel / w.out_width / w.out_height * w.height * w.width * w.channels;
  float best[VEC];
  Values value;
  Places place;
  bool none = true;
  for (i64 i = 0; i < w.kernel; ++i) {
    if (row + i < 0 || row + i >= w.height)
      continue;
    for (i64 j = 0; j < w.kernel; ++j) {
      if (column + j < 0 || column + j >= w.width)
        continue;
      Values here = *(const Values *)(image + ((row + i) * w.width + column + j) * w.channels + channel);
#pragma unroll
      for (int c = 0; c < VEC; ++c) {
        float candidate = load(here.at[c]);
        // What is not a number is the greatest.
        if (none || candidate > best[c] || candidate != candidate) {
          best[c] = candidate;
          value.at[c] = here.at[c];
          place.at[c] = (u8)(i * w.kernel + j);
        }
      }
      none = false;
    }
  }
  i64 out = pixel * w.channels + channel;
  *(Values *)(y + out) = value;
  if (places)
    *(Places *)(places + out) = place;
}

// The gradient of the input: each pixel gathers what the windows over it send back.
extern "C" __global__ void pool_backward(const T *g, const u8 *places, T *dx, Window w) {
  i64 groups = w.channels / VEC, at = index();
  if (at >= w.images * w.height * w.width * groups)
    return;
  i64 channel = at % groups * VEC, pixel = at / groups;
  i64 column = pixel % w.width + w.padding, row = pixel / w.width % w.height + w.padding;
  i64 image = pixel / w.width / w.height * w.out_height * w.out_width;
  float sums[VEC];
#pragma unroll
  for (int c = 0; c < VEC; ++c)
    sums[c] = 0.0f;
  for (i64 i = row % w.stride; i < w.kernel && i <= row; i += w.stride) {
    i64 above = (row - i) / w.stride;
    if (above >= w.out_height)
      continue;
    for (i64 j = column % w.stride; j < w.kernel && j <= column; j += w.stride) {
      i64 beside = (column - j) / w.stride;
      if (beside >= w.out_width)
        continue;
      i64 from = (image + above * w.out_width + beside) * w.channels + channel;
      Places place = *(const Places *)(places + from);
      Values gradient = *(const Values *)(g + from);
#pragma unroll
      for (int c = 0; c < VEC; ++c)
        if (place.at[c] == (u8)(i * w.kernel + j))
          sums[c] += load(gradient.at[c]);
    }
  }
  Values result;
#pragma unroll
  for (int c = 0; c < VEC; ++c)
    result.at[c] = rounded(sums[c]);
  *(Values *)(dx + pixel * w.channels + channel) = result;
}

// What was done to an input, a number for each channel: x * scale + shift, and the floor where that is
// below it. Without a scale nothing but the floor.
struct Way {
  const float *scale, *shift, *mean;
  float floor;
};

__device__ float forward_of(float value, const Way &way, i64 c) {
  return way.scale ? value * way.scale[c] + way.shift[c] : value;
}

// A block's threads are blockDim.x groups of VEC channels wide and blockDim.y rows high, and go through a
// part of the rows. Adds up two numbers for each channel, which `terms(row, first channel, at, to)` gives;
// writes them to `partial` (blocks of rows, 2, channels).
template <typename F>
__device__ void add_up(i64 rows, i64 channels, float *partial, F terms) {
  __shared__ float shared[2][256 * VEC];
  i64 first = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  bool there = first < channels;
  i64 each = (rows + gridDim.y - 1) / gridDim.y;
  i64 begin = blockIdx.y * each, end = begin + each < rows ? begin + each : rows;
  float a[VEC], b[VEC];
#pragma unroll
  for (int c = 0; c < VEC; ++c)
    a[c] = b[c] = 0.0f;
  if (there)
    for (i64 row = begin + threadIdx.y; row < end; row += blockDim.y)
      terms(row, first, a, b);
  int mine = (threadIdx.y * blockDim.x + threadIdx.x) * VEC;
#pragma unroll
  for (int c = 0; c < VEC; ++c) {
    shared[0][mine + c] = a[c];
    shared[1][mine + c] = b[c];
  }
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.y < half) {
      int other = mine + half * blockDim.x * VEC;
#pragma unroll
      for (int c = 0; c < VEC; ++c) {
        shared[0][mine + c] += shared[0][other + c];
        shared[1][mine + c] += shared[1][other + c];
      }
    }
  }
  if (there && threadIdx.y == 0) {
    float *out = partial + (i64)blockIdx.y * 2 * channels + first;
#pragma unroll
    for (int c = 0; c < VEC; ++c) {
      out[c] = shared[0][mine + c];
      out[channels + c] = shared[1][mine + c];
    }
  }
}

// Sums of the distances from the first row, and of their squares.
extern "C" __global__ void statistics(const T *x, i64 stride, i64 rows, i64 channels, float *partial) {
  i64 first = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  float origin[VEC];
  if (first < channels) {
    Values values = *(const Values *)(x + first);
#pragma unroll
    for (int c = 0; c < VEC; ++c)
      origin[c] = load(values.at[c]);
  }
  add_up(rows, channels, partial, [&](i64 row, i64 from, float *sums, float *squares) {
    Values values = *(const Values *)(x + row * stride + from);
#pragma unroll
    for (int c = 0; c < VEC; ++c) {
      float distance = load(values.at[c]) - origin[c];
      sums[c] += distance;
      squares[c] += distance * distance;
    }
  });
}

// The two sums of one channel over all parts, by the 8 threads of a column. In double precision.
__device__ bool total(const float *partial, i64 parts, i64 channels, i64 c, double *sums) {
  __shared__ double shared[2][8][32];
  double a = 0, b = 0;
  if (c < channels)
    for (i64 part = threadIdx.y; part < parts; part += 8) {
      a += partial[part * 2 * channels + c];
      b += partial[(part * 2 + 1) * channels + c];
    }
  shared[0][threadIdx.y][threadIdx.x] = a;
  shared[1][threadIdx.y][threadIdx.x] = b;
  __syncthreads();
  if (threadIdx.y || c >= channels)
    return false;
  for (int other = 1; other < 8; ++other) {
    a += shared[0][other][threadIdx.x];
    b += shared[1][other][threadIdx.x];
  }
  sums[0] = a;
  sums[1] = b;
  return true;
}

// From the sums of `statistics`: mean, one over the deviation, the way, and the running statistics.
extern "C" __global__ void normalise(const T *x, const float *partial, i64 parts, i64 channels, i64 rows,
                                     const float *weight, const float *bias, float epsilon,
                                     float momentum, float *mean, float *inverse, float *scale,
                                     float *shift, float *running_mean, float *running_var) {
  i64 c = (i64)blockIdx.x * 32 + threadIdx.x;
  double sums[2];
  if (!total(partial, parts, channels, c, sums))
    return;
  double distance = sums[0] / rows, square = sums[1] / rows - distance * distance;
  square = square > 0 ? square : 0;
  float middle = (float)(load(x[c]) + distance);
  float one_over = (float)(1.0 / sqrt(square + epsilon));
  float variance = (float)(square * rows / (rows - 1));
  mean[c] = middle;
  inverse[c] = one_over;
  scale[c] = weight[c] * one_over;
  shift[c] = bias[c] - middle * scale[c];
  running_mean[c] += momentum * (middle - running_mean[c]);
  running_var[c] += momentum * (variance - running_var[c]);
}

// Goes the way. What is not a number stays.
extern "C" __global__ void forward(const T *x, i64 x_stride, T *y, i64 y_stride, i64 rows, i64 channels,
                                   Way way) {
  i64 groups = channels / VEC, at = index();
  if (at >= rows * groups)
    return;
  i64 row = at / groups, first = at % groups * VEC;
  Values values = *(const Values *)(x + row * x_stride + first);
#pragma unroll
  for (int c = 0; c < VEC; ++c) {
    float value = forward_of(load(values.at[c]), way, first + c);
    values.at[c] = rounded(value < way.floor ? way.floor : value);
  }
  *(Values *)(y + row * y_stride + first) = values;
}

// Sums of the gradient before the floor, and of its product with the distance of x from its mean.
extern "C" __global__ void gradient_sums(const T *x, i64 x_stride, const T *g, i64 g_stride, i64 rows,
                                         i64 channels, Way way, float *partial) {
  add_up(rows, channels, partial, [&](i64 row, i64 first, float *sums, float *products) {
    Values values = *(const Values *)(x + row * x_stride + first);
    Values above = *(const Values *)(g + row * g_stride + first);
#pragma unroll
    for (int c = 0; c < VEC; ++c) {
      float value = load(values.at[c]);
      float gradient = forward_of(value, way, first + c) > way.floor ? load(above.at[c]) : 0.0f;
      sums[c] += gradient;
      products[c] += gradient * (value - way.mean[first + c]);
    }
  });
}

// From the sums of `gradient_sums`: the factors of `backward`, and the gradients of weight and bias.
extern "C" __global__ void denormalise(const float *partial, i64 parts, i64 channels, i64 rows,
                                       const float *scale, const float *inverse, float *b, float *d,
                                       float *of_weight, float *of_bias) {
  i64 c = (i64)blockIdx.x * 32 + threadIdx.x;
  double sums[2];
  if (!total(partial, parts, channels, c, sums))
    return;
  double inverse_square = (double)inverse[c] * inverse[c];
  b[c] = (float)(-scale[c] * inverse_square * sums[1] / rows);
  d[c] = (float)(-scale[c] * sums[0] / rows);
  of_weight[c] = (float)(sums[1] * inverse[c]);
  of_bias[c] = (float)sums[0];
}

// dx = gradient * scale + (x - mean) * b + d, with the gradient before the floor. Without a scale the
// gradient itself.
extern "C" __global__ void backward(const T *x, i64 x_stride, const T *g, i64 g_stride, T *dx,
                                    i64 dx_stride, i64 rows, i64 channels, Way way, const float *b,
                                    const float *d) {
  i64 groups = channels / VEC, at = index();
  if (at >= rows * groups)
    return;
  i64 row = at / groups, first = at % groups * VEC;
  Values values = *(const Values *)(x + row * x_stride + first);
  Values above = *(const Values *)(g + row * g_stride + first);
#pragma unroll
  for (int i = 0; i < VEC; ++i) {
    i64 c = first + i;
    float value = load(values.at[i]);
    float gradient = forward_of(value, way, c) > way.floor ? load(above.at[i]) : 0.0f;
    if (way.scale)
      gradient = gradient * way.scale[c] + (value - way.mean[c]) * b[c] + d[c];
    values.at[i] = rounded(gradient);
  }
  *(Values *)(dx + row * dx_stride + first) = values;
}
)cuda"
