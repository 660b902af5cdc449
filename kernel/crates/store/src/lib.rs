//! The crates of a session: resolved, compiled once for all sessions, linked for cells.
//!
//! [`Crates`] are those of one session. What it compiles lies in a [`Store`] that all sessions share, a
//! target directory of cargo's, and is linked from there into the session's own folder: nothing that
//! happens to the store afterwards touches a session that runs. [`Linked`] says how rustc is called for
//! a cell.
//!
//! A program that uses this crate calls [`enter`] before all else in `main`.

mod apart;
mod cargo;
mod collect;
mod content;
mod crates;
mod error;
mod graph;
mod inputs;
mod linked;
mod linker;
mod locks;
mod manifest;
mod place;
mod prelink;
mod process;
mod resolve;
mod said;
mod store;
mod units;
mod versions;

pub use crates::{Added, Crates};
pub use error::Error;
pub use linked::{Layer, Linked, Package};
pub use linker::{LINKER, enter};
pub use manifest::Dependency;
pub use process::Interrupter;
pub use said::Said;
pub use store::{Entry, Store};
