// The kernels for a GPU (cpp/gpu/kernels.cu), run on a CPU: each thread of a block is a loop's turn, or a
// thread of this machine where they wait for each other. What they compute is compared with the definition,
// in double precision. Compiled and run by gpu_kernels.rs with BF16 and VEC set.

#include <algorithm>
#include <array>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

// What CUDA C++ has and C++ has not.
struct Three {
  unsigned x, y;
};
thread_local Three threadIdx, blockIdx;
static Three blockDim, gridDim;
static std::barrier<> *all_of_the_block;
#define __global__
#define __device__ inline
#define __shared__ static
static void __syncthreads() { all_of_the_block->arrive_and_wait(); }
static float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  return bits;
}

#include "kernels.inc"

static void each_block(Three grid, std::function<void(Three)> block) {
  gridDim = grid;
  for (unsigned y = 0; y < grid.y; ++y)
    for (unsigned x = 0; x < grid.x; ++x)
      block({x, y});
}

// Threads that do not wait for each other, in a row.
static void in_line(i64 threads, std::function<void()> kernel) {
  blockDim = {256, 1};
  each_block({static_cast<unsigned>((threads + 255) / 256), 1}, [&](Three here) {
    blockIdx = here;
    for (unsigned i = 0; i < 256; ++i) {
      threadIdx = {i, 0};
      kernel();
    }
  });
}

// Threads that do.
static void together(Three grid, Three block, std::function<void()> kernel) {
  blockDim = block;
  each_block(grid, [&](Three here) {
    std::barrier<> barrier(block.x * block.y);
    all_of_the_block = &barrier;
    std::vector<std::thread> threads;
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x)
        threads.emplace_back([=, &kernel] {
          blockIdx = here;
          threadIdx = {x, y};
          kernel();
        });
    for (std::thread &thread : threads)
      thread.join();
  });
}

static std::mt19937 generator(1);
static std::vector<T> random_values(i64 count, float middle, float deviation) {
  std::normal_distribution<float> normal(middle, deviation);
  std::vector<T> values(count);
  for (T &value : values)
    value = rounded(normal(generator));
  return values;
}

static double far(double found, double expected) {
  return std::fabs(found - expected) / (1 + std::fabs(expected));
}

static void small(const char *what, double error, double bound) {
  if (!(error <= bound)) {
    fprintf(stderr, "%s is %g from what it should be, over %g\n", what, error, bound);
    exit(1);
  }
}

// Of a result that is rounded, and of sums in single precision.
constexpr double ROUNDING = BF16 ? 1.0 / 256 : 2e-6, SUMS = 1e-5;

static void pool(Window w) {
  auto x = random_values(w.images * w.height * w.width * w.channels, 0, 1);
  i64 outputs = w.images * w.out_height * w.out_width * w.channels;
  auto g = random_values(outputs, 0, 1);
  std::vector<T> y(outputs), dx(x.size());
  std::vector<u8> places(outputs);
  in_line(outputs / VEC, [&] { pool_forward(x.data(), y.data(), places.data(), w); });
  in_line(x.size() / VEC, [&] { pool_backward(g.data(), places.data(), dx.data(), w); });
  std::vector<double> expected(x.size());
  double worst = 0;
  for (i64 at = 0; at < outputs; ++at) {
    i64 channel = at % w.channels, column = at / w.channels % w.out_width;
    i64 row = at / w.channels / w.out_width % w.out_height;
    i64 image = at / w.channels / w.out_width / w.out_height;
    float best = -INFINITY;
    i64 from = -1;
    for (i64 i = 0; i < w.kernel; ++i)
      for (i64 j = 0; j < w.kernel; ++j) {
        i64 r = row * w.stride - w.padding + i, c = column * w.stride - w.padding + j;
        if (r < 0 || c < 0 || r >= w.height || c >= w.width)
          continue;
        i64 here = ((image * w.height + r) * w.width + c) * w.channels + channel;
        if (load(x[here]) > best)
          best = load(x[here]), from = here;
      }
    worst = std::max(worst, std::fabs(double(load(y[at])) - best));
    expected[from] += load(g[at]);
  }
  small("a pooled value", worst, 0);
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, far(load(dx[i]), expected[i]));
  small("a gradient of a pooling", worst, ROUNDING);
}

// `channels` of an input from `from` on, which go to an output from `to` on.
static void norm(i64 rows, i64 channels, i64 from, i64 to, i64 x_stride, i64 y_stride) {
  auto x = random_values(rows * x_stride, 5, 2), g = random_values(rows * y_stride, 0, 1);
  std::vector<T> y(g.size()), dx(x.size());
  std::vector<float> weight(channels), bias(channels), running_mean(channels, 0.5f),
      running_var(channels, 2.0f), mean(channels), inverse(channels), scale(channels), shift(channels),
      b(channels), d(channels), of_weight(channels), of_bias(channels);
  for (i64 c = 0; c < channels; ++c)
    weight[c] = 0.5f + c % 7 * 0.3f, bias[c] = c % 5 * 0.4f - 0.8f;
  i64 groups = channels / VEC, wide = 1;
  while (wide < groups && wide < 32)
    wide *= 2;
  unsigned high = 256 / wide, across = (groups + wide - 1) / wide, parts = 3;
  std::vector<float> partial(parts * 2 * channels);
  Three grid{across, parts}, block{static_cast<unsigned>(wide), high};
  Three columns{static_cast<unsigned>((channels + 31) / 32), 1};
  together(grid, block, [&] { statistics(x.data() + from, x_stride, rows, channels, partial.data()); });
  together(columns, {32, 8}, [&] {
    normalise(x.data() + from, partial.data(), parts, channels, rows, weight.data(), bias.data(), 1e-5f,
              0.1f, mean.data(), inverse.data(), scale.data(), shift.data(), running_mean.data(),
              running_var.data());
  });
  Way way{scale.data(), shift.data(), mean.data(), 0.0f};
  in_line(rows * groups, [&] {
    forward(x.data() + from, x_stride, y.data() + to, y_stride, rows, channels, way);
  });
  together(grid, block, [&] {
    gradient_sums(x.data() + from, x_stride, g.data() + to, y_stride, rows, channels, way,
                  partial.data());
  });
  together(columns, {32, 8}, [&] {
    denormalise(partial.data(), parts, channels, rows, scale.data(), inverse.data(), b.data(), d.data(),
                of_weight.data(), of_bias.data());
  });
  in_line(rows * groups, [&] {
    backward(x.data() + from, x_stride, g.data() + to, y_stride, dx.data() + from, x_stride, rows,
             channels, way, b.data(), d.data());
  });

  for (i64 c = 0; c < channels; ++c) {
    auto value = [&](i64 row) { return double(load(x[row * x_stride + from + c])); };
    double middle = 0, square = 0, sum = 0, product = 0;
    for (i64 row = 0; row < rows; ++row)
      middle += value(row) / rows;
    for (i64 row = 0; row < rows; ++row)
      square += (value(row) - middle) * (value(row) - middle) / rows;
    double one_over = 1 / std::sqrt(square + 1e-5);
    small("a running mean", far(running_mean[c], 0.9 * 0.5 + 0.1 * middle), SUMS);
    small("a running variance", far(running_var[c], 0.9 * 2 + 0.1 * square * rows / (rows - 1)), SUMS);
    // Where rounding moves a value over the floor, its gradient is another one: what was computed says.
    auto passes = [&](i64 row) { return load(y[row * y_stride + to + c]) > 0; };
    auto gradient = [&](i64 row) { return passes(row) ? load(g[row * y_stride + to + c]) : 0.0; };
    for (i64 row = 0; row < rows; ++row) {
      double distance = (value(row) - middle) * one_over;
      double expected = std::max(0.0, distance * weight[c] + bias[c]);
      small("a normalised value", far(load(y[row * y_stride + to + c]), expected), ROUNDING);
      sum += gradient(row), product += gradient(row) * distance;
    }
    small("a gradient of a bias", far(of_bias[c], sum), SUMS);
    small("a gradient of a weight", far(of_weight[c], product), SUMS);
    for (i64 row = 0; row < rows; ++row) {
      double distance = (value(row) - middle) * one_over;
      double expected = weight[c] * one_over * (gradient(row) - sum / rows - distance * product / rows);
      small("a gradient", far(load(dx[row * x_stride + from + c]), expected), ROUNDING);
    }
  }
}

int main() {
  pool({2, 16, 7, 6, 7, 6, 3, 1, 1});
  pool({2, 8, 8, 8, 4, 4, 3, 2, 0});
  pool({1, 8, 8, 8, 4, 4, 3, 2, 1});
  pool({1, 8, 5, 5, 3, 3, 2, 2, 0});
  norm(300, 16, 8, 16, 32, 40);
  norm(77, 8, 0, 8, 8, 24);
  norm(150, 264, 0, 0, 264, 264);
}
