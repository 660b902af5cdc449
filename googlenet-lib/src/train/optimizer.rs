//! Optimizers that work on all parameters at once.
//!
//! The parameters are laid out in one flat buffer, of which each weight becomes a view; a step is
//! then a handful of operations, whatever the number of layers. Weights that decay come first.

use tch::{Tensor, nn, no_grad};

use super::recipe::{OptimizerSpec, Recipe};
use crate::Result;

/// An optimizer and its state.
#[derive(Debug)]
pub(crate) struct Optimizer {
    spec: OptimizerSpec,
    weight_decay: f64,
    /// Views of `flat`, in its order.
    parameters: Vec<Tensor>,
    flat: Tensor,
    /// How many values of `flat`, from its start, decay.
    decayed: i64,
    /// SGD: the momentum. Adam: means of the gradients and of their squares.
    state: Vec<Tensor>,
    steps: i32,
}

/// A tensor's values in one row, in the order in which they lie in memory.
fn flatten(tensor: &Tensor) -> Result<Tensor> {
    Ok(match tensor.dim() {
        4 => tensor.f_permute([0, 2, 3, 1])?.f_reshape([-1])?,
        _ => tensor.f_reshape([-1])?,
    })
}

/// The inverse of [`flatten`]: a view of a part of `flat` with the shape of `like`.
fn view_as(flat: &Tensor, start: i64, like: &Tensor) -> Result<Tensor> {
    let part = flat.f_narrow(0, start, like.numel() as i64)?;
    Ok(match *like.size() {
        [n, c, h, w] => part.f_view([n, h, w, c])?.f_permute([0, 3, 1, 2])?,
        ref shape => part.f_view(shape)?,
    })
}

impl Optimizer {
    /// Takes over the trainable variables: their values move into the flat buffer.
    pub(crate) fn new(variables: &nn::VarStore, recipe: &Recipe) -> Result<Optimizer> {
        let (decay, keep): (Vec<_>, Vec<_>) =
            variables.trainable_variables().into_iter().partition(|t| t.dim() > 1);
        let decayed = decay.iter().map(|t| t.numel() as i64).sum();
        let mut parameters: Vec<Tensor> = decay.into_iter().chain(keep).collect();
        let flat = no_grad(|| -> Result<Tensor> {
            let rows = parameters.iter().map(flatten).collect::<Result<Vec<_>>>()?;
            let flat = Tensor::f_cat(&rows, 0)?.f_detach()?;
            let mut start = 0;
            for parameter in &mut parameters {
                let view = view_as(&flat, start, parameter)?;
                start += parameter.numel() as i64;
                parameter.set_data(&view);
            }
            Ok(flat)
        })?;
        let states = match recipe.optimizer {
            OptimizerSpec::Sgd { .. } => 1,
            OptimizerSpec::Adam { .. } => 2,
        };
        let state =
            (0..states).map(|_| flat.f_zeros_like()).collect::<std::result::Result<_, _>>()?;
        Ok(Optimizer {
            spec: recipe.optimizer,
            weight_decay: recipe.weight_decay,
            parameters,
            flat,
            decayed,
            state,
            steps: 0,
        })
    }

    /// Computes the gradients of `loss` and takes one step.
    pub(crate) fn step(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let gradients = Tensor::f_run_backward(&[loss], &self.parameters, false, false)?;
        no_grad(|| {
            let rows = gradients.iter().map(flatten).collect::<Result<Vec<_>>>()?;
            self.update(&Tensor::f_cat(&rows, 0)?, learning_rate)
        })
    }

    fn update(&mut self, gradient: &Tensor, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        let mut weights = self.flat.f_narrow(0, 0, self.decayed)?;
        match self.spec {
            OptimizerSpec::Sgd { momentum } => {
                if self.weight_decay > 0.0 {
                    let mut part = gradient.f_narrow(0, 0, self.decayed)?;
                    let _ = part.f_add_(&(&weights * self.weight_decay))?;
                }
                let velocity = &mut self.state[0];
                let _ = velocity.f_mul_scalar_(momentum)?.f_add_(gradient)?;
                let step =
                    (&*velocity * momentum).f_add_(gradient)?.f_mul_scalar_(-learning_rate)?;
                let _ = self.flat.f_add_(&step)?;
            }
            OptimizerSpec::Adam { beta_1, beta_2, epsilon } => {
                if self.weight_decay > 0.0 {
                    let _ = weights.f_mul_scalar_(1.0 - learning_rate * self.weight_decay)?;
                }
                let [mean, square] = self.state.as_mut_slice() else {
                    unreachable!("Adam is made with two states")
                };
                let _ = mean.f_lerp_(gradient, 1.0 - beta_1)?;
                let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - beta_2)?;
                let bias_1 = 1.0 - beta_1.powi(self.steps);
                let bias_2 = 1.0 - beta_2.powi(self.steps);
                let mut root = square.f_sqrt()?.f_div_scalar_(bias_2.sqrt())?;
                let root = root.f_add_scalar_(epsilon)?;
                let step = (&*mean * (-learning_rate / bias_1)).f_div_(&root)?;
                let _ = self.flat.f_add_(&step)?;
            }
        }
        Ok(())
    }
}
