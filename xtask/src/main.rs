//! The lab's commands: `cargo xtask setup`, `lab`, `run`, `grade`, `doctor`, `bench`, `wheel` and `test`.

mod bench;
mod doctor;
mod environment;
mod files;
mod grade;
mod lab;
mod pins;
mod prerequisites;
mod process;
mod run;
mod setup;
mod summary;
mod test;
mod wheel;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::bench::Bench;
use crate::grade::GradeOptions;
use crate::lab::LabOptions;
use crate::run::RunOptions;
use crate::setup::SetupOptions;
use crate::test::TestOptions;
use crate::wheel::WheelOptions;

/// Sets up, starts and tests the GoogLeNet lab.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Prepare the Python environment, libtorch and the Jupyter kernels
    Setup(SetupOptions),
    /// What `lab` leaves of a setup, beside JupyterLab, which has the terminal
    #[command(hide = true)]
    Beside(SetupOptions),
    /// Set up, then start JupyterLab on notebooks/
    Lab(LabOptions),
    /// Set up, then run a lesson without a browser
    Run(RunOptions),
    /// Set up, then run the checks of notebooks that were handed in, and say who solved what
    Grade(GradeOptions),
    /// Say whether everything is there that the lab needs, and what to do about what is not
    Doctor,
    /// Set up, then measure and write down what was measured
    #[command(subcommand)]
    Bench(Bench),
    /// Build the kernel as a wheel, which `pip install` puts into any Python environment
    Wheel(WheelOptions),
    /// Set up, then run every check and test
    Test(TestOptions),
}

fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    let root = root();
    match action {
        Action::Setup(options) => setup::ready(&root, &options).map(|()| ExitCode::SUCCESS),
        Action::Beside(options) => setup::beside(&root, &options).map(|()| ExitCode::SUCCESS),
        Action::Lab(options) => lab::lab(&root, &options),
        Action::Run(options) => run::run(&root, &options),
        Action::Grade(options) => grade::grade(&root, &options),
        Action::Doctor => doctor::doctor(&root),
        Action::Bench(what) => bench::bench(&root, &what),
        Action::Wheel(options) => wheel::wheel(&root, &options).map(|()| ExitCode::SUCCESS),
        Action::Test(options) => test::test(&root, &options),
    }
}

/// The repository: cargo names the folder of this package, also where the clone was moved since.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map_or(package.clone(), PathBuf::from)
}
