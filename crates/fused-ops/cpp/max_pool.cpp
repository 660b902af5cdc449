// Maximum pooling of channels-last activations.
//
// libtorch keeps the place of every maximum as a 64-bit number, four times as much memory as a
// bfloat16 activation itself, and its backward pass adds value by value. Here the place is its number
// in the window, one byte, and every pixel of the gradient gathers what the windows over it send back.

#include <vector>

#include <ATen/native/Pool.h>
#include <torch/csrc/autograd/custom_function.h>

#include "gpu/gpu.h"
#include "rows.h"

namespace {

using namespace rows;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// `places` is an undefined tensor where nothing will be differentiated.
template <typename T>
void run_forward(const Window &w, const Tensor &x, Tensor &y, const Tensor &places) {
  uint8_t *of_maxima = places.defined() ? pointer<uint8_t>(places) : nullptr;
  in_parts(w.images * w.out_height, 2, [&](int64_t, int64_t first, int64_t last) {
    int64_t line = w.out_width * w.channels;
    std::vector<T> lines(w.kernel * line);
    std::vector<uint8_t> line_places(w.kernel * line), zeros(line);
    kernels<T>().pool_forward(w, pointer<T>(x), pointer<T>(y), of_maxima, lines.data(),
                              line_places.data(), zeros.data(), first, last);
  });
}

template <typename T>
void run_backward(const Window &w, const Tensor &g, const Tensor &places, Tensor &dx) {
  in_parts(w.images * w.height, 2, [&](int64_t, int64_t first, int64_t last) {
    std::vector<float> sums(w.channels);
    kernels<T>().pool_backward(w, pointer<T>(g), pointer<uint8_t>(places), pointer<T>(dx),
                               sums.data(), first, last);
  });
}

void run_forward_on_gpu(const Window &w, const Tensor &x, Tensor &y, const Tensor &places) {
  int64_t vector = gpu::vector_of(x, {w.channels});
  gpu::Grid grid = gpu::line(w.images * w.out_height * w.out_width * w.channels / vector);
  void *of_maxima = places.defined() ? places.data_ptr() : nullptr;
  gpu::run("pool_forward", x, vector, grid, x.data_ptr(), y.data_ptr(), of_maxima, w);
}

void run_backward_on_gpu(const Window &w, const Tensor &g, const Tensor &places, Tensor &dx) {
  int64_t vector = gpu::vector_of(g, {w.channels});
  gpu::Grid grid = gpu::line(w.images * w.height * w.width * w.channels / vector);
  gpu::run("pool_backward", g, vector, grid, g.data_ptr(), places.data_ptr(), dx.data_ptr(), w);
}

Window window_of(const Tensor &x, int64_t kernel, int64_t stride, int64_t padding, bool ceil_mode) {
  auto size = [&](int64_t axis) {
    return at::native::pooling_output_shape<int64_t>(x.size(axis), kernel, padding, stride, 1,
                                                     ceil_mode);
  };
  return {x.size(0), x.size(1), x.size(2), x.size(3), size(2), size(3), kernel, stride, padding};
}

Tensor pooled(const Window &w, const Tensor &given, const Tensor &places) {
  Tensor x = channels_last(given);
  Tensor y = empty_rows(x, w.channels, w.out_height, w.out_width);
  if (x.is_cuda())
    run_forward_on_gpu(w, x, y, places);
  else
    by_kind(x, [&](auto value) { run_forward<decltype(value)>(w, x, y, places); });
  return y;
}

struct MaxPool : torch::autograd::Function<MaxPool> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Window &w) {
    Tensor places = empty_rows(x, w.channels, w.out_height, w.out_width, at::kByte);
    Tensor y = pooled(w, x, places);
    context->save_for_backward({places});
    context->saved_data["window"] =
        std::vector<int64_t>{w.height, w.width, w.kernel, w.stride, w.padding};
    return y;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    refuse_second_derivative();
    Tensor places = context->get_saved_variables()[0];
    std::vector<int64_t> n = context->saved_data["window"].toIntVector();
    Window w{places.size(0), places.size(1), n[0], n[1], places.size(2), places.size(3),
             n[2],           n[3],           n[4]};
    Tensor g = channels_last(gradients[0]);
    Tensor dx = empty_rows(g, w.channels, w.height, w.width);
    if (g.is_cuda())
      run_backward_on_gpu(w, g, places, dx);
    else
      by_kind(g, [&](auto value) { run_backward<decltype(value)>(w, g, places, dx); });
    return {dx, Tensor()};
  }
};

} // namespace

extern "C" {

// Writes a new tensor to `output`. Returns null, or what went wrong, to be freed.
char *fused_ops_max_pool(const Tensor *input, int64_t kernel, int64_t stride, int64_t padding,
                         int32_t ceil_mode, Tensor **output) {
  return problem_of([&] {
    TORCH_CHECK(kernel <= MAX_KERNEL, "a window of ", kernel, " is larger than ", MAX_KERNEL);
    Window window = window_of(*input, kernel, stride, padding, ceil_mode != 0);
    bool differentiated = at::GradMode::is_enabled() && input->requires_grad();
    *output = new Tensor(differentiated ? MaxPool::apply(*input, window)
                                        : pooled(window, *input, Tensor()));
  });
}
}
