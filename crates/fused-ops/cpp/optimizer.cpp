// libtorch's optimizers that take a step in one pass over the memory, which tch leaves out.

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/full.h>

#include "native.h"

using at::Tensor;
using native::problem_of;

extern "C" {

// SGD with Nesterov's momentum. Returns null, or what went wrong, to be freed.
char *fused_ops_sgd(const Tensor *weights, const Tensor *gradient, const Tensor *velocity,
                    double learning_rate, double weight_decay, double momentum) {
  return problem_of([&] {
    bool moving = momentum > 0;
    at::TensorList velocities = moving ? at::TensorList(*velocity) : at::TensorList();
    at::_fused_sgd_(at::TensorList(*weights), at::TensorList(*gradient), velocities, weight_decay,
                    momentum, learning_rate, /*dampening=*/0.0, /*nesterov=*/moving,
                    /*maximize=*/false, /*is_first_step=*/false);
  });
}

// Adam with decoupled weight decay, the step of this number, counted from 1. Returns as above.
char *fused_ops_adam(const Tensor *weights, const Tensor *gradient, const Tensor *mean,
                     const Tensor *square, int64_t step, double learning_rate, double weight_decay,
                     double beta_1, double beta_2, double epsilon) {
  return problem_of([&] {
    Tensor steps = at::full({}, step, weights->options().dtype(at::kFloat));
    at::_fused_adamw_(at::TensorList(*weights), at::TensorList(*gradient), at::TensorList(*mean),
                      at::TensorList(*square), {}, at::TensorList(steps), learning_rate, beta_1,
                      beta_2, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}
}
