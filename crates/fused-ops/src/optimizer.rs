//! Libtorch's optimizers that take a step in one pass over the memory: see `cpp/optimizer.cpp`.

use std::ffi::{c_char, c_void};

use tch::Tensor;

use crate::Result;
use crate::native::{check, pointer};

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

/// A step of SGD with Nesterov's momentum.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// How far it goes.
    pub learning_rate: f64,
    /// How much of a weight is added to its gradient.
    pub weight_decay: f64,
    /// Part of the last step that is kept.
    pub momentum: f64,
}

/// A step of Adam with decoupled weight decay (AdamW).
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Its number, from 1.
    pub step: i64,
    /// How far it goes.
    pub learning_rate: f64,
    /// How much of a weight is taken off it, as a part of the learning rate.
    pub weight_decay: f64,
    /// Decay of the mean of the gradients.
    pub beta_1: f64,
    /// Decay of the mean of their squares.
    pub beta_2: f64,
    /// Added to the root of that mean.
    pub epsilon: f64,
}

/// Changes `weights`, and `velocity`, which has begun as zeros.
///
/// # Errors
/// Tensors of different shapes, kinds or devices.
pub fn sgd(weights: &Tensor, gradient: &Tensor, velocity: &Tensor, with: Sgd) -> Result<()> {
    // SAFETY: the tensors live until the call returns, and libtorch checks them.
    check(unsafe {
        fused_ops_sgd(
            pointer(weights),
            pointer(gradient),
            pointer(velocity),
            with.learning_rate,
            with.weight_decay,
            with.momentum,
        )
    })
}

/// Changes `weights`, and the means of the gradients and of their squares, which have begun as zeros.
///
/// # Errors
/// Tensors of different shapes, kinds or devices.
pub fn adam(
    weights: &Tensor,
    gradient: &Tensor,
    mean: &Tensor,
    square: &Tensor,
    with: Adam,
) -> Result<()> {
    // SAFETY: the tensors live until the call returns, and libtorch checks them.
    check(unsafe {
        fused_ops_adam(
            pointer(weights),
            pointer(gradient),
            pointer(mean),
            pointer(square),
            with.step,
            with.learning_rate,
            with.weight_decay,
            with.beta_1,
            with.beta_2,
            with.epsilon,
        )
    })
}
