// Batch normalisation, ReLU, splitting and concatenation in one pass over the memory, on a CPU.
//
// PyTorch's operations each read and write the whole of an activation: on a CPU that is as much time
// as the convolutions take. Here the outputs of convolutions that end in the same place are read
// once for their statistics and once more to be written, normalised and activated, where the next
// layer reads them. The backward pass does the same the other way round.
//
// The work is laid out as pieces: so many channels of one input go to one output. Pieces of an input
// lie side by side in it, in order, and so do those of an output. Rows are pixels: tensors are
// (N, C, H, W) and channels-last in memory, so that a row is the C values of one pixel.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <torch/csrc/autograd/custom_function.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
// The compiler makes one version for each kind of vector unit, and the loader chooses.
#define VECTORISED __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#define INLINED inline __attribute__((always_inline))
#else
#define VECTORISED
#define INLINED inline
#endif

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Piece {
  int64_t input;
  int64_t output;
  int64_t channels;
  bool norm;
  bool relu;
  // First channel in the input and in the output.
  int64_t from;
  int64_t to;
};

// All of a call that is no input of the derivative.
struct Layout {
  int64_t inputs;
  std::vector<Piece> pieces;
  // Running mean and variance of each piece that is normalised.
  std::vector<Tensor> running;
  double momentum;
  double epsilon;
};

// What the library hands over of a piece. Its tensors are null where nothing is normalised.
struct fused_piece {
  int64_t input;
  int64_t output;
  int64_t channels;
  int32_t relu;
  const Tensor *weight;
  const Tensor *bias;
  Tensor *running_mean;
  Tensor *running_var;
};

// Rows over which sums are kept in single precision, before they go into double precision.
constexpr int64_t BLOCK = 128;

// bfloat16 is the upper half of a float.
struct bf16 {
  uint16_t bits;
};

INLINED float load(const float *p, int64_t i) { return p[i]; }
INLINED float load(const bf16 *p, int64_t i) {
  uint32_t bits = static_cast<uint32_t>(p[i].bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
INLINED void store(float *p, int64_t i, float value) { p[i] = value; }
// To the nearest, to even at a tie. A NaN stays one: its upper half is not cleared by the carry, since
// those that arithmetic makes have their highest bit of the fraction set and no other.
INLINED void store(bf16 *p, int64_t i, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  p[i].bits = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Adds the distance of every channel's values from `shift`, and its square, to `sums` and `squares`.
template <typename T>
INLINED void statistics(const T *__restrict x, int64_t stride, int64_t rows, int64_t channels,
                        const float *__restrict shift, float *__restrict sums, float *__restrict squares) {
  for (int64_t row = 0; row < rows; ++row, x += stride)
    for (int64_t c = 0; c < channels; ++c) {
      float d = load(x, c) - shift[c];
      sums[c] += d;
      squares[c] += d * d;
    }
}

// y = x * scale + shift, and nothing below `floor`.
template <typename T>
INLINED void forward(const T *__restrict x, int64_t x_stride, T *__restrict y, int64_t y_stride, int64_t rows,
                     int64_t channels, const float *__restrict scale, const float *__restrict shift, float floor) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride)
    for (int64_t c = 0; c < channels; ++c) {
      float value = load(x, c) * scale[c] + shift[c];
      store(y, c, value < floor ? floor : value);
    }
}

// Sums over the rows of the gradient before the ReLU, and of its product with the distance of x from
// its mean. The ReLU was open where x * scale + shift > floor.
template <typename T>
INLINED void gradient_sums(const T *__restrict x, int64_t x_stride, const T *__restrict g, int64_t g_stride, int64_t rows,
                           int64_t channels, const float *__restrict scale, const float *__restrict shift, float floor,
                           const float *__restrict mean, float *__restrict sums, float *__restrict products) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride, g += g_stride)
    for (int64_t c = 0; c < channels; ++c) {
      float value = load(x, c), above = load(g, c);
      float gradient = value * scale[c] + shift[c] > floor ? above : 0.0f;
      sums[c] += gradient;
      products[c] += gradient * (value - mean[c]);
    }
}

// dx = gradient * a + (x - mean) * b + d, with the gradient before the ReLU.
template <typename T>
INLINED void backward(const T *__restrict x, int64_t x_stride, const T *__restrict g, int64_t g_stride, T *__restrict dx,
                      int64_t rows, int64_t channels, const float *__restrict scale, const float *__restrict shift,
                      float floor, const float *__restrict mean, const float *__restrict a, const float *__restrict b,
                      const float *__restrict d) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride, g += g_stride, dx += x_stride)
    for (int64_t c = 0; c < channels; ++c) {
      float value = load(x, c), above = load(g, c);
      float gradient = value * scale[c] + shift[c] > floor ? above : 0.0f;
      store(dx, c, gradient * a[c] + (value - mean[c]) * b[c] + d[c]);
    }
}

// Versions for each vector unit are made of plain functions only.
#define VERSIONS(T)                                                                              \
  VECTORISED void statistics_of(const T *x, int64_t stride, int64_t rows, int64_t channels,      \
                                const float *shift, float *sums, float *squares) {               \
    statistics(x, stride, rows, channels, shift, sums, squares);                                 \
  }                                                                                              \
  VECTORISED void forward_of(const T *x, int64_t x_stride, T *y, int64_t y_stride, int64_t rows, \
                             int64_t channels, const float *scale, const float *shift,           \
                             float floor) {                                                      \
    forward(x, x_stride, y, y_stride, rows, channels, scale, shift, floor);                      \
  }                                                                                              \
  VECTORISED void gradient_sums_of(const T *x, int64_t x_stride, const T *g, int64_t g_stride,   \
                                   int64_t rows, int64_t channels, const float *scale,           \
                                   const float *shift, float floor, const float *mean,           \
                                   float *sums, float *products) {                               \
    gradient_sums(x, x_stride, g, g_stride, rows, channels, scale, shift, floor, mean, sums,     \
                  products);                                                                     \
  }                                                                                              \
  VECTORISED void backward_of(const T *x, int64_t x_stride, const T *g, int64_t g_stride, T *dx, \
                              int64_t rows, int64_t channels, const float *scale,                \
                              const float *shift, float floor, const float *mean,                \
                              const float *a, const float *b, const float *d) {                  \
    backward(x, x_stride, g, g_stride, dx, rows, channels, scale, shift, floor, mean, a, b, d);  \
  }
VERSIONS(float)
VERSIONS(bf16)

// Nothing is below it: the ReLU is off.
constexpr float NO_FLOOR = -std::numeric_limits<float>::infinity();

float floor_of(const Piece &piece) { return piece.relu ? 0.0f : NO_FLOOR; }

// Calls `part(index, first row, last row)` on all of libtorch's threads at once, for as many equal
// parts as there are threads. Their number alone decides where a part begins, so that sums come out
// the same each time. at::parallel_for would need OpenMP in this file, and with it a second set of
// threads; TensorIterator has it inside libtorch.
template <typename F> void in_parts(int64_t rows, F part) {
  int64_t parts = at::get_num_threads();
  int64_t each = (rows + parts - 1) / parts;
  auto run = [&](int64_t index) {
    int64_t first = std::min(rows, index * each), last = std::min(rows, first + each);
    part(index, first, last);
  };
  if (rows < 2 * BLOCK) {
    for (int64_t index = 0; index < parts; ++index)
      run(index);
    return;
  }
  Tensor index = at::empty({parts}, at::kLong);
  auto *base = reinterpret_cast<char *>(index.data_ptr<int64_t>());
  auto iterator = at::TensorIterator::nullary_op(index);
  iterator.for_each(
      [&](char **data, const int64_t *strides, int64_t count) {
        for (int64_t i = 0; i < count; ++i)
          run((data[0] + i * strides[0] - base) / static_cast<int64_t>(sizeof(int64_t)));
      },
      1);
}

int64_t rows_of(const Tensor &x) { return x.size(0) * x.size(2) * x.size(3); }

template <typename T> T *pointer(const Tensor &x) { return static_cast<T *>(x.data_ptr()); }

// What the passes over the rows need of a piece, a number for each channel.
struct Channels {
  std::vector<float> scale, shift, mean;
};

std::vector<float> floats(const Tensor &x) {
  Tensor row = x.detach().to(at::kFloat).contiguous();
  const float *p = row.data_ptr<float>();
  return std::vector<float>(p, p + row.numel());
}

// Sum and sum of products of every channel, as `block(first row, rows, sums, products)` adds them up.
template <typename F>
void sum_up(int64_t rows, int64_t channels, F block, std::vector<double> &sums,
            std::vector<double> &products) {
  size_t parts = at::get_num_threads();
  std::vector<std::vector<double>> totals(parts);
  in_parts(rows, [&](int64_t index, int64_t first, int64_t last) {
    std::vector<double> &total = totals[index];
    total.assign(2 * channels, 0.0);
    std::vector<float> partial(2 * channels);
    for (int64_t row = first; row < last; row += BLOCK) {
      std::fill(partial.begin(), partial.end(), 0.0f);
      block(row, std::min(BLOCK, last - row), partial.data(), partial.data() + channels);
      for (int64_t c = 0; c < 2 * channels; ++c)
        total[c] += partial[c];
    }
  });
  sums.assign(channels, 0.0);
  products.assign(channels, 0.0);
  for (const auto &total : totals)
    for (int64_t c = 0; c < channels; ++c) {
      sums[c] += total[c];
      products[c] += total[channels + c];
    }
}

template <typename T>
void normalise(const Tensor &x, const Piece &piece, Tensor &running_mean, Tensor &running_var,
               double momentum, double epsilon, Tensor &mean, Tensor &inverse) {
  int64_t rows = rows_of(x), stride = x.size(1), channels = piece.channels;
  const T *base = pointer<T>(x) + piece.from;
  // Distances from a value that is there: squares of the values themselves would cancel.
  std::vector<float> shift(channels);
  for (int64_t c = 0; c < channels; ++c)
    shift[c] = load(base, c);
  std::vector<double> sums, squares;
  sum_up(
      rows, channels,
      [&](int64_t row, int64_t count, float *s, float *q) {
        statistics_of(base + row * stride, stride, count, channels, shift.data(), s, q);
      },
      sums, squares);
  float *means = mean.data_ptr<float>(), *inverses = inverse.data_ptr<float>();
  Tensor variance = at::empty({channels}, at::kFloat);
  float *variances = variance.data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    double distance = sums[c] / rows;
    double square = std::max(0.0, squares[c] / rows - distance * distance);
    means[c] = static_cast<float>(shift[c] + distance);
    inverses[c] = static_cast<float>(1.0 / std::sqrt(square + epsilon));
    variances[c] = static_cast<float>(square * rows / (rows - 1));
  }
  running_mean.lerp_(mean.to(running_mean.scalar_type()), momentum);
  running_var.lerp_(variance.to(running_var.scalar_type()), momentum);
}

Channels channels_of(const Piece &piece, const Tensor &weight, const Tensor &bias,
                     const Tensor &mean, const Tensor &inverse) {
  size_t count = piece.channels;
  if (!piece.norm)
    return {std::vector<float>(count, 1.0f), std::vector<float>(count), std::vector<float>(count)};
  Channels channels{floats(weight), floats(bias), floats(mean)};
  std::vector<float> inverses = floats(inverse);
  for (size_t c = 0; c < count; ++c) {
    channels.scale[c] *= inverses[c];
    channels.shift[c] -= channels.mean[c] * channels.scale[c];
  }
  return channels;
}

Tensor channels_last(const Tensor &x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

Tensor empty_rows(const Tensor &like, int64_t channels) {
  return at::empty({like.size(0), channels, like.size(2), like.size(3)}, like.options(),
                   at::MemoryFormat::ChannelsLast);
}

struct Fused : torch::autograd::Function<Fused> {
  // `tensors` holds the inputs, then weight and bias of every piece that is normalised.
  static variable_list forward(AutogradContext *context, at::TensorList tensors, Layout layout) {
    auto &[inputs, pieces, running, momentum, epsilon] = layout;
    variable_list xs;
    for (int64_t i = 0; i < inputs; ++i)
      xs.push_back(channels_last(tensors[i]));
    variable_list saved = xs;
    int64_t count = 0;
    for (const Piece &piece : pieces)
      count = std::max(count, piece.output + 1);
    variable_list outputs;
    for (int64_t output = 0; output < count; ++output) {
      int64_t channels = 0;
      for (const Piece &piece : pieces)
        channels += piece.output == output ? piece.channels : 0;
      outputs.push_back(empty_rows(xs[0], channels));
    }
    size_t parameter = inputs, statistic = 0;
    for (const Piece &piece : pieces) {
      const Tensor &x = xs[piece.input];
      Tensor weight, bias, mean, inverse;
      if (piece.norm) {
        weight = tensors[parameter++];
        bias = tensors[parameter++];
        mean = at::empty({piece.channels}, at::kFloat);
        inverse = at::empty({piece.channels}, at::kFloat);
        Tensor &running_mean = running[statistic++], &running_var = running[statistic++];
        if (x.scalar_type() == at::kFloat)
          normalise<float>(x, piece, running_mean, running_var, momentum, epsilon, mean, inverse);
        else
          normalise<bf16>(x, piece, running_mean, running_var, momentum, epsilon, mean, inverse);
        saved.insert(saved.end(), {weight, bias, mean, inverse});
      }
      Channels channels = channels_of(piece, weight, bias, mean, inverse);
      if (x.scalar_type() == at::kFloat)
        write<float>(x, piece, channels, outputs[piece.output]);
      else
        write<bf16>(x, piece, channels, outputs[piece.output]);
    }
    context->save_for_backward(std::move(saved));
    context->saved_data["inputs"] = inputs;
    context->saved_data["pieces"] = packed(pieces);
    return outputs;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "no second derivative of a fused normalisation: compute it on another device");
    variable_list saved = context->get_saved_variables();
    int64_t inputs = context->saved_data["inputs"].toInt();
    std::vector<Piece> pieces = unpacked(context->saved_data["pieces"].toIntVector());
    variable_list result;
    for (int64_t i = 0; i < inputs; ++i)
      result.push_back(at::empty_like(saved[i]));
    // What a gradient is read from; an output that nothing used has none.
    for (Tensor &gradient : gradients)
      if (gradient.defined())
        gradient = channels_last(gradient.to(saved[0].scalar_type()));
    size_t next = inputs;
    for (const Piece &piece : pieces) {
      Tensor weight, bias, mean, inverse;
      if (piece.norm) {
        weight = saved[next], bias = saved[next + 1];
        mean = saved[next + 2], inverse = saved[next + 3];
        next += 4;
      }
      const Tensor &gradient = gradients[piece.output];
      Tensor &into = result[piece.input];
      if (!gradient.defined()) {
        into.narrow(1, piece.from, piece.channels).zero_();
        if (piece.norm)
          result.insert(result.end(), {at::zeros_like(weight), at::zeros_like(bias)});
        continue;
      }
      Channels channels = channels_of(piece, weight, bias, mean, inverse);
      const Tensor &x = saved[piece.input];
      variable_list of_parameters =
          x.scalar_type() == at::kFloat
              ? unwrite<float>(x, piece, channels, inverse, gradient, into)
              : unwrite<bf16>(x, piece, channels, inverse, gradient, into);
      if (piece.norm) {
        result.push_back(of_parameters[0].to(weight.scalar_type()));
        result.push_back(of_parameters[1].to(bias.scalar_type()));
      }
    }
    result.emplace_back(); // that of the layout
    return result;
  }

private:
  template <typename T>
  static void write(const Tensor &x, const Piece &piece, const Channels &channels, Tensor &y) {
    int64_t from = x.size(1), to = y.size(1);
    const T *source = pointer<T>(x) + piece.from;
    T *target = pointer<T>(y) + piece.to;
    in_parts(rows_of(x), [&](int64_t, int64_t first, int64_t last) {
      forward_of(source + first * from, from, target + first * to, to, last - first,
                 piece.channels, channels.scale.data(), channels.shift.data(), floor_of(piece));
    });
  }

  // Writes the gradient of a piece of the input; returns those of weight and bias.
  template <typename T>
  static variable_list unwrite(const Tensor &x, const Piece &piece, const Channels &channels,
                               const Tensor &inverse, const Tensor &gradient, Tensor &into) {
    int64_t rows = rows_of(x), count = piece.channels, from = x.size(1), to = gradient.size(1);
    const T *source = pointer<T>(x) + piece.from;
    const T *above = pointer<T>(gradient) + piece.to;
    T *target = pointer<T>(into) + piece.from;
    const auto &[scale, shift, mean] = channels;
    float floor = floor_of(piece);
    std::vector<float> a(count, 1.0f), b(count), d(count);
    variable_list of_parameters;
    if (piece.norm) {
      std::vector<double> sums, products;
      sum_up(
          rows, count,
          [&](int64_t row, int64_t block, float *s, float *p) {
            gradient_sums_of(source + row * from, from, above + row * to, to, block, count,
                             scale.data(), shift.data(), floor, mean.data(), s, p);
          },
          sums, products);
      std::vector<float> inverses = floats(inverse);
      Tensor of_weight = at::empty({count}, at::kFloat), of_bias = at::empty({count}, at::kFloat);
      float *weights = of_weight.data_ptr<float>(), *biases = of_bias.data_ptr<float>();
      for (int64_t c = 0; c < count; ++c) {
        double inverse_square = static_cast<double>(inverses[c]) * inverses[c];
        a[c] = scale[c];
        b[c] = static_cast<float>(-scale[c] * inverse_square * products[c] / rows);
        d[c] = static_cast<float>(-scale[c] * sums[c] / rows);
        weights[c] = static_cast<float>(products[c] * inverses[c]);
        biases[c] = static_cast<float>(sums[c]);
      }
      of_parameters = {of_weight, of_bias};
    }
    in_parts(rows, [&](int64_t, int64_t first, int64_t last) {
      backward_of(source + first * from, from, above + first * to, to, target + first * from,
                  last - first, count, scale.data(), shift.data(), floor, mean.data(), a.data(),
                  b.data(), d.data());
    });
    return of_parameters;
  }

  static std::vector<int64_t> packed(const std::vector<Piece> &pieces) {
    std::vector<int64_t> numbers;
    for (const Piece &p : pieces)
      numbers.insert(numbers.end(), {p.input, p.output, p.channels, p.norm, p.relu, p.from, p.to});
    return numbers;
  }

  static std::vector<Piece> unpacked(const std::vector<int64_t> &n) {
    std::vector<Piece> pieces;
    for (size_t i = 0; i < n.size(); i += 7)
      pieces.push_back({n[i], n[i + 1], n[i + 2], n[i + 3] != 0, n[i + 4] != 0, n[i + 5], n[i + 6]});
    return pieces;
  }
};

} // namespace

extern "C" {

// Writes a new tensor for each output to `outputs`. Returns null, or what went wrong, to be freed.
char *googlenet_fused(const Tensor *const *inputs, int64_t inputs_len, const fused_piece *pieces,
                      int64_t pieces_len, double momentum, double epsilon, Tensor **outputs) {
  try {
    variable_list tensors;
    Layout layout{inputs_len, {}, {}, momentum, epsilon};
    std::vector<int64_t> from(inputs_len), to(pieces_len);
    for (int64_t i = 0; i < inputs_len; ++i)
      tensors.push_back(*inputs[i]);
    for (int64_t i = 0; i < pieces_len; ++i) {
      const fused_piece &p = pieces[i];
      bool norm = p.weight != nullptr;
      layout.pieces.push_back(
          {p.input, p.output, p.channels, norm, p.relu != 0, from[p.input], to[p.output]});
      from[p.input] += p.channels;
      to[p.output] += p.channels;
      if (norm) {
        tensors.insert(tensors.end(), {*p.weight, *p.bias});
        layout.running.insert(layout.running.end(), {*p.running_mean, *p.running_var});
      }
    }
    variable_list results = Fused::apply(at::TensorList(tensors), std::move(layout));
    for (size_t i = 0; i < results.size(); ++i)
      outputs[i] = new Tensor(results[i]);
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}
}
