//! What happened in a training run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::recipe::Recipe;
use super::turns::Turn;
use crate::{Error, Result, file};

/// A training run from its first step on: what was trained, on what, where, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Name of the network's spec.
    pub network: String,
    /// Number of learned values.
    pub parameters: i64,
    /// Name of the data set, as plots show it.
    pub dataset: String,
    /// The device in words.
    pub device: String,
    /// The recipe.
    pub recipe: Recipe,
    /// Steps of a whole epoch.
    pub steps_per_epoch: usize,
    /// One record a step.
    pub steps: Vec<Step>,
    /// One record an epoch.
    pub epochs: Vec<Epoch>,
    /// The knobs that were turned, in the order in which they took effect.
    #[serde(default)]
    pub turns: Vec<Turn>,
}

/// One step of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Training loss of the batch, before the step.
    pub loss: f32,
    /// Learning rate of the step.
    pub learning_rate: f32,
}

/// One epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u32,
    /// Mean training loss, with label smoothing and auxiliary classifiers.
    pub train_loss: f64,
    /// Share of the training images that the network got right while it learned, from 0 to 1.
    pub train_accuracy: f64,
    /// Mean cross-entropy on the test images, at the image size with which the epoch ended.
    pub test_loss: f64,
    /// Share of the test images that the network gets right at that size, from 0 to 1.
    pub test_accuracy: f64,
    /// Seconds of training, without the test and without pauses.
    pub seconds: f64,
    /// Training images a second.
    pub images_per_second: f64,
}

impl History {
    /// Seconds of training so far, without the tests and without pauses.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// The last epoch, if one is complete.
    pub fn last(&self) -> Option<&Epoch> {
        self.epochs.last()
    }

    /// Writes it as JSON; a file of this name is always whole.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::Json { path: path.to_path_buf(), source })?;
        bytes.push(b'\n');
        file::write_bytes(path, &bytes)
    }

    /// Reads what [`History::save`] wrote.
    ///
    /// # Errors
    /// A file that is missing or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<History> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        serde_json::from_slice(&bytes)
            .map_err(|source| Error::Json { path: path.to_path_buf(), source })
    }
}
