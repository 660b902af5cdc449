//! A Jupyter kernel for Rust.
//!
//! A cell goes one way: `protocol` takes it from the front end and hands it to an `engine`; the one that
//! there is, `session`, has it compiled and run, and what it writes comes back by the engine to the IOPub
//! channel of `protocol`. What a cell means, how it is compiled, where crates are kept, the process that
//! runs it: each is a crate of its own in `kernel/crates`.

mod cli;
mod completeness;
mod engine;
mod home;
mod protocol;
mod session;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Other programs live in this one, each of which ends in its call: the linker of crates, and the
    // process that runs the cells.
    cell_store::enter();
    cell_process::enter();
    cli::main()
}
