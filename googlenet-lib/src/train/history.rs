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

    /// Images that the network has learned from so far, each as often as it was seen.
    pub fn images_seen(&self) -> i64 {
        self.steps.len() as i64 * self.recipe.batch
    }

    /// For each epoch, its number and the mean training loss.
    pub fn train_loss(&self) -> Vec<(f64, f64)> {
        self.by_epoch(|epoch| epoch.train_loss)
    }

    /// For each epoch, its number and the loss on the test images.
    pub fn test_loss(&self) -> Vec<(f64, f64)> {
        self.by_epoch(|epoch| epoch.test_loss)
    }

    /// For each epoch, its number and how many of the training images were right, in per cent.
    pub fn train_accuracy(&self) -> Vec<(f64, f64)> {
        self.by_epoch(|epoch| 100.0 * epoch.train_accuracy)
    }

    /// For each epoch, its number and how many of the test images are right, in per cent.
    ///
    /// ```
    /// use googlenet_lib::prelude::*;
    ///
    /// let data = Shapes10::generate(32, 10, 0)?;
    /// let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
    /// let mut run = Trainer::new(net, &data, Recipe::fast().with_epochs(1).with_batch(16))?;
    /// run.fit(Epochs(1))?;
    /// let last = run.history().last().map_or(0.0, |epoch| epoch.test_accuracy);
    /// assert_eq!(run.history().test_accuracy(), [(1.0, 100.0 * last)]);
    /// assert_eq!(run.history().images_seen(), 32);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn test_accuracy(&self) -> Vec<(f64, f64)> {
        self.by_epoch(|epoch| 100.0 * epoch.test_accuracy)
    }

    fn by_epoch(&self, value: impl Fn(&Epoch) -> f64) -> Vec<(f64, f64)> {
        self.epochs.iter().map(|epoch| (f64::from(epoch.epoch), value(epoch))).collect()
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
