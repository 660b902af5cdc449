//! Training: a [`Recipe`] says how, a [`Trainer`] does it, a [`Control`] turns its knobs meanwhile, a
//! [`History`] remembers it, and a checkpoint keeps all of it ([`Trainer::checkpoint`]).
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
//!
//! // All of it in a folder; a later process takes it up with `resume`.
//! let folder = std::env::temp_dir().join(format!("googlenet-{}", std::process::id()));
//! run.checkpoint(&folder)?;
//! let run = Trainer::resume(&folder, &data, Device::Cpu)?;
//! assert_eq!(run.history().epochs.len(), 2);
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok::<(), Error>(())
//! ```

mod callback;
mod checkpoint;
mod control;
mod evaluator;
mod history;
mod optimizer;
mod probe;
mod recipe;
mod trainer;
mod turns;

/// The name before 2026-11-26.
pub use callback::Callback as Observer;
pub use callback::{Callback, StepReport};
pub use checkpoint::has_checkpoint;
pub use control::Control;
pub use devices::Precision;
pub(crate) use evaluator::{Computed, Evaluator};
pub use history::{Epoch, History, Step};
pub use optimizer::OptimizerSpec;
pub use probe::Probe;
pub use recipe::{Recipe, Schedule, SizeStep};
pub use trainer::{Epochs, Evaluation, Trainer};
pub use turns::{Turn, TurnKind};
// They are at home in `live`, which shows a run; cells know them by these names.
pub use crate::live::{Fit, Live};
