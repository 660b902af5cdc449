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
// What stands before functions of the C library is of Linux: elsewhere output comes through pipes alone, a read of
// standard input finds its end, and a used up stack says nothing. What only they call is left over there.
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused, reason = "called by what stands before read(2)")
)]
mod process;

pub use frame::{Outcome, Panic};
pub use process::enter;
