//! The process that runs the cells of a notebook, and the kernel's end of it.
//!
//! The kernel starts its own executable ([`host::start`]); [`enter`], called first in its `main`,
//! becomes the process. One socket joins the two. All that cells write goes through it, so that the
//! order of standard output, standard error and questions is kept; the kernel says which cell to
//! run, and what the reader has answered.
//!
//! Each cell is a library with a function `extern "C" fn() -> u8` that says what came of it, see
//! [`Outcome`]. The support library that all cells link to (`kernel/src/support/process.rs`) holds
//! what has to happen inside the standard library of the cells.

mod frame;
pub mod host;
mod markers;
mod process;

pub use frame::{Outcome, Panic};
pub use process::enter;
