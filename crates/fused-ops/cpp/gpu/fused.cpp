// Batch normalisation, ReLU, splitting and concatenation in one pass over a GPU's memory: what
// ../fused.cpp does, by kernels of kernels.cu. Nothing here waits for the GPU.

#include "fused.h"
#include "gpu.h"

namespace {

using namespace rows;
using namespace pieces;

// `Way` of kernels.cu.
struct Way {
  const float *scale, *shift, *mean;
  float floor;
};

const float *numbers(const Tensor &x) { return x.defined() ? x.data_ptr<float>() : nullptr; }

Way way_of(const Piece &piece, const Tensor &scale, const Tensor &shift, const Tensor &mean) {
  return {numbers(scale), numbers(shift), numbers(mean), floor_of(piece)};
}

char *at(const Tensor &x, int64_t channel) {
  return static_cast<char *>(x.data_ptr()) + channel * x.element_size();
}

int64_t vector_of(const Piece &piece, const Tensor &x, const Tensor &y) {
  return gpu::vector_of(x, {piece.channels, piece.from, piece.to, x.size(1), y.size(1)});
}

// Blocks that go through all rows for sums: as wide as the channels need, at most 32 groups, and so many
// of them that a GPU is busy.
gpu::Grid sums_grid(int64_t rows, int64_t groups) {
  int64_t wide = 1;
  while (wide < groups && wide < 32)
    wide *= 2;
  int64_t high = 256 / wide, across = (groups + wide - 1) / wide;
  int64_t parts = std::min<int64_t>((rows + high * 4 - 1) / (high * 4), std::max<int64_t>(1, 512 / across));
  return {across, std::max<int64_t>(1, parts), wide, high};
}

gpu::Grid totals_grid(int64_t channels) { return {(channels + 31) / 32, 1, 32, 8}; }

struct FusedOnGpu : torch::autograd::Function<FusedOnGpu> {
  static variable_list forward(AutogradContext *context, at::TensorList tensors, Layout layout) {
    const std::vector<Piece> &pieces = layout.pieces;
    variable_list xs = inputs_of(tensors, layout);
    variable_list saved = xs, outputs = outputs_of(pieces, xs[0]);
    size_t parameter = layout.inputs, statistic = 0;
    for (const Piece &piece : pieces) {
      const Tensor &x = xs[piece.input];
      Tensor mean, inverse, scale, shift;
      if (piece.norm) {
        Tensor weight = tensors[parameter++].detach(), bias = tensors[parameter++].detach();
        Tensor four = at::empty({4, piece.channels}, weight.options());
        mean = four[0], inverse = four[1], scale = four[2], shift = four[3];
        Tensor &running_mean = layout.running[statistic++];
        Tensor &running_var = layout.running[statistic++];
        normalise(x, piece, layout, weight, bias, four, running_mean, running_var);
        saved.push_back(four);
      }
      Tensor &y = outputs[piece.output];
      int64_t rows = rows_of(x), vector = vector_of(piece, x, y);
      gpu::run("forward", x, vector, gpu::line(rows * piece.channels / vector), at(x, piece.from),
               x.size(1), at(y, piece.to), y.size(1), rows, piece.channels,
               way_of(piece, scale, shift, mean));
    }
    remember(context, std::move(saved), layout);
    return outputs;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    Backward call(context, std::move(gradients));
    auto &[saved, inputs, pieces, above, result] = call;
    size_t next = inputs;
    for (const Piece &piece : pieces) {
      Tensor mean, inverse, scale, shift;
      if (piece.norm) {
        const Tensor &four = saved[next++];
        mean = four[0], inverse = four[1], scale = four[2], shift = four[3];
      }
      if (call.is_unused(piece, mean))
        continue;
      const Tensor &x = saved[piece.input], &g = above[piece.output], &dx = result[piece.input];
      Way way = way_of(piece, scale, shift, mean);
      int64_t rows = rows_of(x), vector = vector_of(piece, x, g);
      Tensor factors;
      if (piece.norm) {
        factors = at::empty({4, piece.channels}, mean.options());
        gpu::Grid grid = sums_grid(rows, piece.channels / vector);
        Tensor partial = at::empty({grid.y, 2, piece.channels}, mean.options());
        gpu::run("gradient_sums", x, vector, grid, at(x, piece.from), x.size(1), at(g, piece.to),
                 g.size(1), rows, piece.channels, way, partial.data_ptr<float>());
        gpu::run("denormalise", x, vector, totals_grid(piece.channels), numbers(partial), grid.y,
                 piece.channels, rows, numbers(scale), numbers(inverse), row(factors, 0),
                 row(factors, 1), row(factors, 2), row(factors, 3));
      }
      float *b = piece.norm ? row(factors, 0) : nullptr, *d = piece.norm ? row(factors, 1) : nullptr;
      gpu::run("backward", x, vector, gpu::line(rows * piece.channels / vector), at(x, piece.from),
               x.size(1), at(g, piece.to), g.size(1), at(dx, piece.from), dx.size(1), rows,
               piece.channels, way, static_cast<const float *>(b), static_cast<const float *>(d));
      if (piece.norm)
        result.insert(result.end(), {factors[2], factors[3]});
    }
    result.emplace_back(); // that of the layout
    return result;
  }

private:
  static float *row(const Tensor &x, int64_t index) {
    return x.data_ptr<float>() + index * x.size(1);
  }

  static void normalise(const Tensor &x, const Piece &piece, const Layout &layout,
                        const Tensor &weight, const Tensor &bias, const Tensor &four,
                        Tensor &running_mean, Tensor &running_var) {
    int64_t rows = rows_of(x), stride = x.size(1), channels = piece.channels;
    int64_t vector = gpu::vector_of(x, {channels, piece.from, stride});
    gpu::Grid grid = sums_grid(rows, channels / vector);
    Tensor partial = at::empty({grid.y, 2, channels}, four.options());
    gpu::run("statistics", x, vector, grid, at(x, piece.from), stride, rows, channels,
             partial.data_ptr<float>());
    gpu::run("normalise", x, vector, totals_grid(channels), at(x, piece.from), numbers(partial),
             grid.y, channels, rows, numbers(weight), numbers(bias),
             static_cast<float>(layout.epsilon), static_cast<float>(layout.momentum), row(four, 0),
             row(four, 1), row(four, 2), row(four, 3), running_mean.data_ptr<float>(),
             running_var.data_ptr<float>());
  }
};

} // namespace

variable_list fused_on_gpu(const variable_list &tensors, Layout layout) {
  for (const Tensor &running : layout.running)
    TORCH_CHECK(running.scalar_type() == at::kFloat, "on a GPU statistics are float32");
  for (size_t i = layout.inputs; i < tensors.size(); ++i)
    TORCH_CHECK(tensors[i].scalar_type() == at::kFloat && tensors[i].is_contiguous(),
                "on a GPU weights of a normalisation are float32");
  return FusedOnGpu::apply(at::TensorList(tensors), std::move(layout));
}
