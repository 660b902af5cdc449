//! A Jupyter kernel for Rust.
//!
//! A cell goes one way: `protocol` takes it from the front end and hands it to an `engine`; the one that
//! there is, `session`, has evcxr compile it (`upstream`), in a directory that was prepared
//! (`template`); `runtime` is the process that runs it, whose frames come back by the engine to the
//! IOPub channel of `protocol`.

mod cli;
mod completeness;
mod engine;
mod protocol;
mod runtime;
mod session;
mod template;
mod upstream;

use std::process::ExitCode;

/// rust-analyzer allocates millions of small things: a fifth of its time with the C library's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Other programs live in this one, each of which ends in its call: the shims before cargo, the
    // process that runs the cells, and evcxr's rustc wrapper.
    upstream::cargo::enter();
    runtime::enter();
    evcxr::runtime_hook();
    cli::main()
}
