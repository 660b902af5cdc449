//! GoogLeNet for interactive experiments, on libtorch.
//!
//! The crate is made to be loaded into a notebook cell, and holds what its six lessons need:
//!
//! 1. [`spec`]: the networks as data, one row per inception block.
//! 2. [`model`]: a network with weights, built from a spec; [`cost`]: its arithmetic.
//! 3. [`data`]: CIFAR-10 from your disk or the official archive, and drawn shapes without either.
//! 4. [`train`]: a recipe, a trainer, a history.
//! 5. [`interpret`], in cells `look`: what a network sees, and where it is wrong.
//! 6. [`figures`], in cells `plot`: pictures of a history, of a finding, and drawn from a spec.
//! 7. [`live`]: training as it is seen; [`notebook`]: showing things while a cell runs.
//!
//! Everything returns [`Result`]; an [`Error`] names the file or the value and what to do.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let device = best_device();
//! println!("on {}", describe(device));
//!
//! // The paper's network, as data; the small one, with weights.
//! let blocks = spec::PAPER.layers.iter().filter(|layer| matches!(layer, Layer::Inception(_)));
//! assert_eq!(blocks.count(), 9);
//! let net = GoogLeNet::new(&spec::COMPACT, device)?;
//!
//! // Drawn shapes need no download. `cifar10_or_shapes10` gives you the real data where it can.
//! let data = Shapes10::generate(256, 128, 0)?;
//! let mut run = Trainer::new(net, &data, Recipe::fast().with_epochs(1).with_batch(64))?;
//! let fit = run.fit(Epochs(1))?;
//! assert!(fit.plot()?.svg().contains("Shapes10"));
//! # Ok::<(), Error>(())
//! ```

pub mod cost;
pub mod error;
pub mod figures;
mod file;
pub mod interpret;
pub mod live;
pub mod model;
pub mod spec;
pub mod train;

pub use error::{Error, Result};
/// The bindings to libtorch that this crate is built on: cells name what it offers beyond the prelude
/// as `googlenet_lib::tch`.
pub use tch;
pub use {devices as device, figures as plot, interpret as look, notebook, vision_data as data};

/// What a notebook cell needs, in one `use`.
pub mod prelude {
    pub use crate::cost::{self, Bottleneck, GapVersusFc, NetworkCost, naive_comparison};
    pub use crate::data::{
        Augment, Cifar10, Dataset, Image, ImageFolder, Shapes10, Split, cifar10_or_shapes10,
    };
    pub use crate::device::{best_device, describe, try_best_device};
    pub use crate::error::{Error, Result};
    pub use crate::look::{self, Classifier, Snapshot};
    pub use crate::model::{GoogLeNet, Outputs, cross_entropy};
    pub use crate::notebook::{
        Button, Choice, Column, Decimals, Html, IntSlider, Label, LogSlider, Maybe, Percent, Play,
        Progress, Row, Scientific, Show, Slider, Table, TextField, Toggle, display, guessed,
        interact, interrupted, table,
    };
    pub use crate::plot::{self, Picture, SampleGrid, SeedTable, compare, compare_seeds};
    pub use crate::spec::{self, Layer, NetworkSpec, Shape};
    /// The name before 2026-11-26.
    pub use crate::train::Observer;
    pub use crate::train::{
        Callback, Control, Epochs, Evaluation, Fit, History, OptimizerSpec, Precision, Probe,
        Recipe, Schedule, SizeStep, StepReport, Trainer,
    };
    pub use tch::{Device, Kind, Tensor, manual_seed, no_grad};
}
