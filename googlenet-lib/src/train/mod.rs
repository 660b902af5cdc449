//! Training: a [`Recipe`] says how, a [`Trainer`] does it, a [`History`] remembers it.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! // 128 drawn images, two small epochs.
//! let data = Shapes10::generate(128, 64, 0)?;
//! let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
//! let mut run = Trainer::new(net, &data, Recipe::fast().with_epochs(2).with_batch(32))?;
//! run.fit(Epochs(1))?;
//! run.fit(Epochs(1))?; // goes on from there
//! assert_eq!(run.history().epochs.len(), 2);
//! # Ok::<(), Error>(())
//! ```

mod history;
mod live;
mod observer;
mod optimizer;
mod recipe;
mod trainer;

pub use history::{Epoch, History, Step};
pub use live::Live;
pub use observer::{Observer, StepReport};
pub use recipe::{OptimizerSpec, Recipe, Schedule, SizeStep};
pub use trainer::{Epochs, Evaluation, Fit, Trainer};
