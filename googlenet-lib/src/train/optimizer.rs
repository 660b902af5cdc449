//! Which optimizer: data of a recipe. What takes the steps is [`fused_ops::Optimizer`].

use std::fmt;

use fused_ops::Rule;
use serde::{Deserialize, Serialize};

/// What turns gradients into steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum OptimizerSpec {
    /// Stochastic gradient descent with Nesterov momentum, as in PyTorch.
    Sgd {
        /// Part of the last step that is kept.
        momentum: f64,
    },
    /// Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>); weight decay is decoupled
    /// (AdamW).
    Adam {
        /// Decay of the mean of the gradients.
        beta_1: f64,
        /// Decay of the mean of their squares.
        beta_2: f64,
        /// Added to the root of that mean.
        epsilon: f64,
    },
}

impl OptimizerSpec {
    pub(super) fn rule(self) -> Rule {
        match self {
            OptimizerSpec::Sgd { momentum } => Rule::Sgd { momentum },
            OptimizerSpec::Adam { beta_1, beta_2, epsilon } => {
                Rule::Adam { beta_1, beta_2, epsilon }
            }
        }
    }
}

/// In a few words: `Adam`, `SGD, momentum 0.9`.
impl fmt::Display for OptimizerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptimizerSpec::Sgd { momentum } => write!(f, "SGD, momentum {momentum}"),
            OptimizerSpec::Adam { .. } => f.write_str("Adam"),
        }
    }
}
