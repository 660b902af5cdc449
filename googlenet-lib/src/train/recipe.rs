//! Recipes: everything that decides how a network is trained, as data.

use std::fmt;

use devices::Precision;
use serde::{Deserialize, Serialize};
use vision_data::Augment;

use super::optimizer::OptimizerSpec;
use crate::{Error, Result};

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Its name, as it appears in histories.
    pub name: String,
    /// Epochs of one run through the learning rate schedule.
    pub epochs: u32,
    /// Images a step.
    pub batch: i64,
    /// What turns gradients into steps.
    pub optimizer: OptimizerSpec,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes over the epochs.
    pub schedule: Schedule,
    /// Weight decay of convolution and linear weights; norms and biases have none.
    pub weight_decay: f64,
    /// Share of each label that is spread over all classes, from 0 to 1.
    pub label_smoothing: f64,
    /// What activations and gradients are computed in; weights and statistics are float32 always.
    #[serde(default)]
    pub precision: Precision,
    /// Random crops, flips in every other epoch, squares cut out, and parts of other images.
    pub augment: Augment,
    /// Image sizes along the way; empty for the network's own size from start to end.
    pub sizes: Vec<SizeStep>,
    /// Whether test images are also seen mirrored, and the two results averaged.
    pub test_flip: bool,
    /// Images that pass the network at a time in evaluation, mirrored ones included. It changes speed
    /// and memory, not results.
    #[serde(default = "Recipe::default_test_batch")]
    pub test_batch: i64,
    /// Seed of the order of the images, their crops, flips and squares cut out.
    pub seed: u64,
}

/// From this part of the epochs on, images have this size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizeStep {
    /// Part of the schedule, from 0 to 1.
    pub from: f64,
    /// Rows and columns.
    pub size: i64,
}

/// How the learning rate changes over the epochs of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Up in a straight line, then down in a straight line (Smith 2018,
    /// <https://arxiv.org/abs/1803.09820>).
    OneCycle {
        /// Part of the schedule that goes up, from 0 to 1.
        warmup: f64,
        /// First learning rate, as a fraction of the highest.
        start: f64,
        /// Last learning rate, as a fraction of the highest.
        end: f64,
    },
}

impl Schedule {
    /// Factor of the highest learning rate when this part of the schedule (0 to 1) is done.
    pub fn factor(&self, progress: f64) -> f64 {
        match *self {
            Schedule::Constant => 1.0,
            Schedule::OneCycle { warmup, start, .. } if progress < warmup => {
                start + (1.0 - start) * progress / warmup
            }
            Schedule::OneCycle { warmup, end, .. } => {
                let down = (progress - warmup) / (1.0 - warmup);
                1.0 + (end - 1.0) * down
            }
        }
    }
}

/// In a few words: `constant`, `one cycle`.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let Recipe { optimizer, schedule, .. } = Recipe::fast();
/// assert_eq!(format!("{optimizer}; {schedule}"), "SGD, momentum 0.9; one cycle");
/// let Recipe { optimizer, schedule, .. } = Recipe::seed();
/// assert_eq!(format!("{optimizer}; {schedule}"), "Adam; constant");
/// ```
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Schedule::Constant => "constant",
            Schedule::OneCycle { .. } => "one cycle",
        })
    }
}

impl Recipe {
    fn default_test_batch() -> i64 {
        256
    }

    /// The blog post's recipe: 100 epochs of Adam at learning rate 0.0002, batch 100, images as
    /// they are, float32 as PyTorch computes it by default.
    pub fn seed() -> Recipe {
        Recipe {
            name: "seed".into(),
            epochs: 100,
            batch: 100,
            optimizer: OptimizerSpec::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 },
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            precision: Precision::TensorFloat32,
            augment: Augment::NONE,
            sizes: Vec::new(),
            test_flip: false,
            test_batch: Recipe::default_test_batch(),
            seed: 0,
        }
    }

    /// Our recipe for any network: SGD with Nesterov momentum through one cycle, label smoothing,
    /// weight decay not on norms and biases, random crops and flips.
    pub fn steady() -> Recipe {
        Recipe {
            name: "steady".into(),
            epochs: 20,
            batch: 128,
            optimizer: OptimizerSpec::Sgd { momentum: 0.9 },
            learning_rate: 0.2,
            schedule: Schedule::OneCycle { warmup: 0.2, start: 0.1, end: 0.0 },
            weight_decay: 5e-4,
            label_smoothing: 0.1,
            precision: Precision::Fastest,
            augment: Augment { pad: 4, flip: true, ..Augment::NONE },
            sizes: Vec::new(),
            test_flip: true,
            test_batch: Recipe::default_test_batch(),
            seed: 0,
        }
    }

    /// [`Recipe::steady`] with images that grow from 16x16 over 24x24 to 32x32, for the networks
    /// that take 32x32 and end in global average pooling: [`crate::spec::COMPACT`] and
    /// [`crate::spec::CIFAR`]. Most of what there is to learn is learned on small images, which
    /// cost a quarter, so that a few minutes on a CPU are enough (Howard 2018,
    /// <https://www.fast.ai/posts/2018-04-30-dawnbench-fastai.html>). Crops move by 2 pixels only:
    /// a short run learns too little to need more.
    pub fn fast() -> Recipe {
        Recipe {
            name: "fast".into(),
            augment: Augment { pad: 2, flip: true, ..Augment::NONE },
            sizes: vec![
                SizeStep { from: 0.0, size: 16 },
                SizeStep { from: 0.6, size: 24 },
                SizeStep { from: 0.88, size: 32 },
            ],
            ..Recipe::steady()
        }
    }

    /// [`Recipe::steady`] over 100 epochs, with more done to the images: half of them get a rectangle of
    /// another (CutMix), and a square of a quarter of the side of an image of 32x32 is cut out of each. For nine
    /// minutes on a GPU: on an H200, [`crate::spec::CIFAR`] has 93.49 % of the test images of a JPEG copy of
    /// CIFAR-10 right after 461 s of training. 54 epochs of [`Recipe::steady`] end with 99.9 % of the training
    /// images right and 92 % of the test images: more of the same would not help (docs/results/gpu.md).
    pub fn long() -> Recipe {
        let steady = Recipe::steady();
        Recipe {
            name: "long".into(),
            augment: Augment { cutout: 8, cutmix: 0.5, ..steady.augment },
            epochs: 100,
            ..steady
        }
    }

    /// The same recipe, its schedule spread over another number of epochs.
    pub fn with_epochs(mut self, epochs: u32) -> Recipe {
        self.epochs = epochs;
        self
    }

    /// The same recipe with another batch size.
    pub fn with_batch(mut self, batch: i64) -> Recipe {
        self.batch = batch;
        self
    }

    /// The same recipe computed in another precision.
    pub fn with_precision(mut self, precision: Precision) -> Recipe {
        self.precision = precision;
        self
    }

    /// The same recipe with another seed.
    pub fn with_seed(mut self, seed: u64) -> Recipe {
        self.seed = seed;
        self
    }

    /// Image size when this part of the schedule (0 to 1) is done; `None` for the network's own.
    pub(crate) fn size(&self, progress: f64) -> Option<i64> {
        self.sizes.iter().rev().find(|step| progress >= step.from).map(|step| step.size)
    }

    /// Whether every number can be used.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str, value: String, remedy: &str| {
            Err(Error::invalid(format!("{what} of recipe {}", self.name), value, remedy))
        };
        if self.epochs < 1 {
            return wrong("epochs", self.epochs.to_string(), "it must be at least 1");
        }
        for (what, value) in [("batch", self.batch), ("test_batch", self.test_batch)] {
            if value < 1 {
                return wrong(what, value.to_string(), "it must be at least 1");
            }
        }
        for (what, value) in
            [("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(what, value.to_string(), "it must be a number of at least 0");
            }
        }
        for (what, value) in [("pad", self.augment.pad), ("cutout", self.augment.cutout)] {
            if value < 0 {
                return wrong(what, value.to_string(), "it must be at least 0");
            }
        }
        if !(0.0..=1.0).contains(&self.augment.cutmix) {
            let value = self.augment.cutmix.to_string();
            return wrong("cutmix", value, "it must be from 0 to 1");
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            let value = self.label_smoothing.to_string();
            return wrong("label_smoothing", value, "it must be at least 0 and under 1");
        }
        if let Schedule::OneCycle { warmup, start, end } = self.schedule {
            if !(0.0..1.0).contains(&warmup) {
                return wrong("warmup", warmup.to_string(), "it must be at least 0 and under 1");
            }
            if !(start >= 0.0 && end >= 0.0) {
                return wrong("schedule", format!("{start} to {end}"), "both must be at least 0");
            }
        }
        if let OptimizerSpec::Sgd { momentum } = self.optimizer
            && !(0.0..1.0).contains(&momentum)
        {
            return wrong("momentum", momentum.to_string(), "it must be at least 0 and under 1");
        }
        let mut before = f64::NEG_INFINITY;
        for step in &self.sizes {
            if step.size < 1 {
                return wrong("size", step.size.to_string(), "it must be at least 1");
            }
            if !(0.0..=1.0).contains(&step.from) {
                let value = format!("from {}", step.from);
                return wrong("a size", value, "it must begin within the schedule, from 0 to 1");
            }
            if step.from <= before {
                let value = format!("from {} behind one from {before}", step.from);
                return wrong("a size", value, "each must begin after the one before it");
            }
            before = step.from;
        }
        Ok(())
    }
}
