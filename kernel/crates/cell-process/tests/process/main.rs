//! The real process, with real cells.

mod common;
mod comms;
mod ending;
mod input;
mod interrupt;
mod output;
mod panics;
mod running;
