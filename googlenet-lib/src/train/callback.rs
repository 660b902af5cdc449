//! Watching a training run, and stopping it.

use std::ops::ControlFlow;

use super::history::{Epoch, History};

/// Sees every step and every epoch of a training run.
pub trait Callback {
    /// Called after every step. [`ControlFlow::Break`] stops the training there; the network and
    /// its history are kept, and the next `fit` goes on.
    fn step(&mut self, _report: &StepReport) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called when the training is paused, and about every 50 ms until it goes on.
    /// [`ControlFlow::Break`] ends the pause, and the training with it.
    fn paused(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called when new losses have come into the history, which waits for the device.
    fn look(&mut self, _history: &History) {}

    /// Called after every epoch, when its test is done.
    fn epoch(&mut self, _history: &History) {}
}

/// Where a training run stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Number of the last epoch of this `fit`.
    pub epochs: u32,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of a whole epoch.
    pub steps: usize,
    /// Mean loss since the last look; `None` where nobody looked, since looking waits for the
    /// device.
    pub loss: Option<f64>,
    /// Training images a second in this epoch.
    pub images_per_second: f64,
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "epoch {:3}  loss {:.4}  train {:5.2} %  test {:5.2} %  {:.0} images/s  {:.1} s",
            self.epoch,
            self.train_loss,
            100.0 * self.train_accuracy,
            100.0 * self.test_accuracy,
            self.images_per_second,
            self.seconds,
        )
    }
}
