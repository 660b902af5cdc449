//! Optimizers that work on all parameters at once.
//!
//! The parameters are laid out in one flat buffer, of which each weight becomes a view; a step is
//! then two passes over the memory, whatever the number of layers: one over the weights that decay,
//! which come first, and one over the others.

use std::ffi::{c_char, c_void};

use tch::{Tensor, nn, no_grad};

use crate::native::{check, pointer};
use crate::{Error, Result};

unsafe extern "C" {
    fn fused_ops_sgd(
        weights: *const c_void,
        gradient: *const c_void,
        velocity: *const c_void,
        learning_rate: f64,
        weight_decay: f64,
        momentum: f64,
    ) -> *mut c_char;

    fn fused_ops_adam(
        weights: *const c_void,
        gradient: *const c_void,
        mean: *const c_void,
        square: *const c_void,
        step: i64,
        learning_rate: f64,
        weight_decay: f64,
        beta_1: f64,
        beta_2: f64,
        epsilon: f64,
    ) -> *mut c_char;
}

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent with Nesterov momentum, as in PyTorch.
    Sgd {
        /// Part of the last step that is kept.
        momentum: f64,
    },
    /// Adam with decoupled weight decay (AdamW).
    Adam {
        /// Decay of the mean of the gradients.
        beta_1: f64,
        /// Decay of the mean of their squares.
        beta_2: f64,
        /// Added to the root of that mean.
        epsilon: f64,
    },
}

/// An optimizer and its state. Weights of more than one axis decay, others do not.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
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
    ///
    /// # Errors
    /// A device without room for another copy of them.
    pub fn new(variables: &nn::VarStore, rule: Rule, weight_decay: f64) -> Result<Optimizer> {
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
        let states = match rule {
            Rule::Sgd { .. } => 1,
            Rule::Adam { .. } => 2,
        };
        let state =
            (0..states).map(|_| flat.f_zeros_like()).collect::<std::result::Result<_, _>>()?;
        Ok(Optimizer { rule, weight_decay, parameters, flat, decayed, state, steps: 0 })
    }

    /// What it remembers between steps, each laid out as the flat buffer is, and its number of steps.
    pub fn state(&self) -> (&[Tensor], i32) {
        (&self.state, self.steps)
    }

    /// Takes over what [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// Another number of tensors, or tensors of another size: nothing is changed then.
    pub fn restore(&mut self, state: &[Tensor], steps: i32) -> Result<()> {
        let sizes = |tensors: &[Tensor]| tensors.iter().map(Tensor::size).collect::<Vec<_>>();
        if sizes(state) != sizes(&self.state) {
            return Err(Error::State {
                given: format!("{:?}", sizes(state)),
                wanted: format!("{:?}", sizes(&self.state)),
            });
        }
        no_grad(|| -> Result<()> {
            for (mine, given) in self.state.iter_mut().zip(state) {
                mine.f_copy_(given)?;
            }
            Ok(())
        })?;
        self.steps = steps;
        Ok(())
    }

    /// The gradients of `loss`, laid out as the flat buffer is.
    ///
    /// # Errors
    /// A device that fails, for want of memory for example.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor> {
        let gradients = Tensor::f_run_backward(&[loss], &self.parameters, false, false)?;
        no_grad(|| {
            let rows = gradients.iter().map(flatten).collect::<Result<Vec<_>>>()?;
            Ok(Tensor::f_cat(&rows, 0)?)
        })
    }

    /// Takes one step with what [`Optimizer::gradient`] gave.
    ///
    /// # Errors
    /// As there.
    pub fn step(&mut self, gradient: &Tensor, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        let rest = self.flat.numel() as i64 - self.decayed;
        for (start, count, weight_decay) in
            [(0, self.decayed, self.weight_decay), (self.decayed, rest, 0.0)]
        {
            if count > 0 {
                self.update_part(gradient, learning_rate, start, count, weight_decay)?;
            }
        }
        Ok(())
    }

    /// The step of `count` values of the flat buffer from `start` on.
    fn update_part(
        &self,
        gradient: &Tensor,
        learning_rate: f64,
        start: i64,
        count: i64,
        weight_decay: f64,
    ) -> Result<()> {
        let part = |tensor: &Tensor| tensor.f_narrow(0, start, count);
        let (weights, gradient) = (part(&self.flat)?, part(gradient)?);
        let state = self.state.iter().map(part).collect::<std::result::Result<Vec<_>, _>>()?;
        // SAFETY: the tensors live until the call returns, and libtorch checks them.
        check(unsafe {
            match self.rule {
                Rule::Sgd { momentum } => fused_ops_sgd(
                    pointer(&weights),
                    pointer(&gradient),
                    pointer(&state[0]),
                    learning_rate,
                    weight_decay,
                    momentum,
                ),
                Rule::Adam { beta_1, beta_2, epsilon } => fused_ops_adam(
                    pointer(&weights),
                    pointer(&gradient),
                    pointer(&state[0]),
                    pointer(&state[1]),
                    i64::from(self.steps),
                    learning_rate,
                    weight_decay,
                    beta_1,
                    beta_2,
                    epsilon,
                ),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::OptimizerConfig;
    use tch::{Device, Kind};

    const RATE: f64 = 0.01;

    /// Two weights and, if asked for, a bias. Nothing is drawn: other tests draw from the same generator.
    fn variables(with_bias: bool) -> nn::VarStore {
        let store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let values = |size: &[i64]| {
            let count = size.iter().product::<i64>();
            (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1.7).sin().view(size)
        };
        let _ = root.add("conv", values(&[4, 3, 3, 3]), true);
        let _ = root.add("linear", values(&[5, 4]), true);
        if with_bias {
            let _ = root.add("bias", values(&[5]), true);
        }
        store
    }

    fn loss(store: &nn::VarStore) -> Tensor {
        let v = store.variables();
        let images = Tensor::arange(2 * 3 * 8 * 8, (Kind::Float, Device::Cpu));
        let images = (images.view([2, 3, 8, 8]) * 0.37).sin();
        let features = images.conv2d(&v["conv"], None::<Tensor>, 1, 1, 1, 1).relu();
        let logits = features.mean_dim([2, 3].as_slice(), false, Kind::Float);
        logits.linear(&v["linear"], v.get("bias")).square().mean(Kind::Float)
    }

    /// Ten steps of ours and of libtorch's own optimizer give the same values.
    fn same_as_libtorch(rule: Rule, decay: f64, with_bias: bool, other: impl OptimizerConfig) {
        let (ours, theirs) = (variables(with_bias), variables(with_bias));
        let before = loss(&ours).double_value(&[]);
        let mut optimizer = Optimizer::new(&ours, rule, decay).unwrap();
        let mut reference = other.build(&theirs, RATE).unwrap();
        reference.set_weight_decay(decay);
        for _ in 0..10 {
            let gradient = optimizer.gradient(&loss(&ours)).unwrap();
            optimizer.step(&gradient, RATE).unwrap();
            reference.backward_step(&loss(&theirs));
        }
        let theirs_variables = theirs.variables();
        for (name, value) in ours.variables() {
            let error = (&value - &theirs_variables[&name]).abs().max().double_value(&[]);
            assert!(error < 1e-6, "{name} is {error} from libtorch's");
        }
        assert!(loss(&ours).double_value(&[]) < before);
    }

    #[test]
    fn sgd_is_libtorchs() {
        let sgd = Rule::Sgd { momentum: 0.9 };
        let theirs = nn::Sgd { momentum: 0.9, nesterov: true, ..nn::Sgd::default() };
        same_as_libtorch(sgd, 0.0, true, theirs);
        same_as_libtorch(sgd, 0.1, false, theirs);
    }

    #[test]
    fn adam_is_libtorchs() {
        let adam = Rule::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 };
        same_as_libtorch(adam, 0.0, true, nn::Adam::default());
        same_as_libtorch(adam, 0.1, false, nn::AdamW::default());
    }

    #[test]
    fn biases_do_not_decay() {
        let store = variables(true);
        let bias = store.variables()["bias"].copy();
        let weight = store.variables()["linear"].copy();
        let sgd = Rule::Sgd { momentum: 0.0 };
        let mut optimizer = Optimizer::new(&store, sgd, 0.5).unwrap();
        // A loss that does not depend on any of them: only decay is left.
        let nothing: Tensor = store.variables().values().map(|t| (t * 0.0).sum(Kind::Float)).sum();
        let gradient = optimizer.gradient(&nothing).unwrap();
        optimizer.step(&gradient, 0.1).unwrap();
        assert_eq!(store.variables()["bias"], bias);
        let shrunk = &store.variables()["linear"] - weight * 0.95;
        assert!(shrunk.abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn weights_stay_channels_last() {
        let store = variables(true);
        let _optimizer = Optimizer::new(&store, Rule::Sgd { momentum: 0.9 }, 5e-4).unwrap();
        assert_eq!(store.variables()["conv"].stride(), [27, 1, 9, 3]);
    }
}
