// Batch normalisation, ReLU, splitting and concatenation in one pass over the memory, on a CPU.
//
// PyTorch's operations each read and write the whole of an activation. Here the outputs of
// convolutions that end in the same place are read once for their statistics and once more to be
// written, normalised and activated, where the next layer reads them. The backward pass does the same
// the other way round.
//
// The work is laid out as pieces: so many channels of one input go to one output. Pieces of an input
// lie side by side in it, in order, and so do those of an output.

#include <cmath>
#include <vector>

#include "gpu/fused.h"
#include "pieces.h"
#include "rows.h"

namespace {

using namespace rows;
using namespace pieces;

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

// What the passes over the rows need of a piece, a number for each channel.
struct Channels {
  std::vector<float> scale, shift, mean;
};

Way way_of(const Channels &channels, const Piece &piece) {
  return {channels.scale.data(), channels.shift.data(), channels.mean.data(), floor_of(piece)};
}

std::vector<float> numbers(const Tensor &x) {
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
  in_parts(rows, 2 * BLOCK, [&](int64_t index, int64_t first, int64_t last) {
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
  std::vector<float> shift =
      numbers(x.select(3, 0).select(2, 0).select(0, 0).narrow(0, piece.from, channels));
  std::vector<double> sums, squares;
  sum_up(
      rows, channels,
      [&](int64_t row, int64_t count, float *s, float *q) {
        kernels<T>().statistics(base + row * stride, stride, count, channels, shift.data(), s, q);
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
  Channels channels{numbers(weight), numbers(bias), numbers(mean)};
  std::vector<float> inverses = numbers(inverse);
  for (size_t c = 0; c < count; ++c) {
    channels.scale[c] *= inverses[c];
    channels.shift[c] -= channels.mean[c] * channels.scale[c];
  }
  return channels;
}

struct Fused : torch::autograd::Function<Fused> {
  // `tensors` holds the inputs, then weight and bias of every piece that is normalised.
  static variable_list forward(AutogradContext *context, at::TensorList tensors, Layout layout) {
    const std::vector<Piece> &pieces = layout.pieces;
    variable_list xs = inputs_of(tensors, layout);
    variable_list saved = xs;
    variable_list outputs = outputs_of(pieces, xs[0]);
    size_t parameter = layout.inputs, statistic = 0;
    for (const Piece &piece : pieces) {
      const Tensor &x = xs[piece.input];
      Tensor weight, bias, mean, inverse;
      if (piece.norm) {
        weight = tensors[parameter++];
        bias = tensors[parameter++];
        mean = at::empty({piece.channels}, at::kFloat);
        inverse = at::empty({piece.channels}, at::kFloat);
        saved.insert(saved.end(), {weight, bias, mean, inverse});
      }
      by_kind(x, [&](auto value) {
        using T = decltype(value);
        if (piece.norm) {
          Tensor &running_mean = layout.running[statistic++];
          Tensor &running_var = layout.running[statistic++];
          normalise<T>(x, piece, running_mean, running_var, layout.momentum, layout.epsilon, mean,
                       inverse);
        }
        write<T>(x, piece, channels_of(piece, weight, bias, mean, inverse), outputs[piece.output]);
      });
    }
    remember(context, std::move(saved), layout);
    return outputs;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    Backward call(context, std::move(gradients));
    auto &[saved, inputs, pieces, above, result] = call;
    size_t next = inputs;
    for (const Piece &piece : pieces) {
      Tensor weight, bias, mean, inverse;
      if (piece.norm) {
        weight = saved[next], bias = saved[next + 1];
        mean = saved[next + 2], inverse = saved[next + 3];
        next += 4;
      }
      if (call.is_unused(piece, weight))
        continue;
      Channels channels = channels_of(piece, weight, bias, mean, inverse);
      const Tensor &x = saved[piece.input], &gradient = above[piece.output];
      Tensor &into = result[piece.input];
      variable_list of_parameters = by_kind(x, [&](auto value) {
        return unwrite<decltype(value)>(x, piece, channels, inverse, gradient, into);
      });
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
    in_parts(rows_of(x), 2 * BLOCK, [&](int64_t, int64_t first, int64_t last) {
      kernels<T>().forward(source + first * from, from, target + first * to, to, last - first,
                           piece.channels, way_of(channels, piece));
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
    Way way = way_of(channels, piece);
    std::vector<float> a(count, 1.0f), b(count), d(count);
    variable_list of_parameters;
    if (piece.norm) {
      std::vector<double> sums, products;
      sum_up(
          rows, count,
          [&](int64_t row, int64_t block, float *s, float *p) {
            kernels<T>().gradient_sums(source + row * from, from, above + row * to, to, block, count,
                                       way, s, p);
          },
          sums, products);
      std::vector<float> inverses = numbers(inverse);
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
    in_parts(rows, 2 * BLOCK, [&](int64_t, int64_t first, int64_t last) {
      kernels<T>().backward(source + first * from, from, above + first * to, to,
                            target + first * from, last - first, count, way, a.data(), b.data(),
                            d.data());
    });
    return of_parameters;
  }
};

} // namespace

extern "C" {

// Writes a new tensor for each output to `outputs`. Returns null, or what went wrong, to be freed.
char *fused_ops_fused(const Tensor *const *inputs, int64_t inputs_len, const fused_piece *pieces,
                      int64_t pieces_len, double momentum, double epsilon, Tensor **outputs) {
  return problem_of([&] {
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
    bool on_gpu = tensors[0].is_cuda();
    variable_list results = on_gpu ? fused_on_gpu(tensors, std::move(layout))
                                   : Fused::apply(at::TensorList(tensors), std::move(layout));
    for (size_t i = 0; i < results.size(); ++i)
      outputs[i] = new Tensor(results[i]);
  });
}
}
