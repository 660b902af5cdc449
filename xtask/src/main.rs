//! The lab's commands: `cargo xtask setup`, `lab` and `test`.

mod environment;
mod lab;
mod prerequisites;
mod requirements;
mod run;
mod setup;
mod test;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Sets up, opens and tests the GoogLeNet lab.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make or complete the Python environment, build the kernels, register them with Jupyter
    Setup(setup::Options),
    /// Set up if need be, then open JupyterLab on the notebooks
    Lab(lab::Options),
    /// Set up if need be, then run every check and every test
    Test(setup::Options),
}

fn main() -> Result<()> {
    let root = root()?;
    match Cli::parse().command {
        Action::Setup(options) => setup::setup(&root, &options).map(drop),
        Action::Lab(options) => lab::lab(&root, &options),
        Action::Test(options) => test::test(&root, &options),
    }
}

/// The top of the repository.
fn root() -> Result<PathBuf> {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(PathBuf::from)
        .context("xtask lies in no folder")
}
