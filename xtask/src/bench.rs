//! `cargo xtask bench kernel`: what is measured, by a Python program of its own.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Subcommand;

use crate::process::run;
use crate::setup::{self, SetupOptions};

/// What can be measured.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Bench {
    /// This kernel beside evcxr_jupyter; writes docs/results/kernel.md. Takes minutes, and nothing
    /// else should run meanwhile
    Kernel,
}

/// Sets up and measures.
pub fn bench(root: &Path, bench: Bench) -> Result<ExitCode> {
    let environment = setup::setup(root, &SetupOptions::default())?;
    let program = match bench {
        Bench::Kernel => "xtask/bench_kernel.py",
    };
    run(Command::new(&environment.python).arg(root.join(program)).current_dir(root))?;
    Ok(ExitCode::SUCCESS)
}
