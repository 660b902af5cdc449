//! `cargo xtask bench kernel` and `bench class`: what is measured, each by a Python program of its
//! own.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::process::run;
use crate::setup::{self, SetupOptions};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// This kernel beside evcxr_jupyter; writes docs/results/kernel.md. Takes minutes, and nothing
    /// else should run meanwhile
    Kernel,
    /// Students at one JupyterHub on this machine, under both kernels; writes docs/results/class.md.
    /// Takes hours, needs npm, and nothing else should run meanwhile
    Class(Class),
}

/// What a person may choose.
#[derive(Debug, Args)]
pub struct Class {
    /// How many students, one class after the other [default: 1 2 4 8 16]
    #[arg(long, value_name = "N", num_args = 1..)]
    students: Vec<u32>,
    /// The kernels, googlenet or evcxr [default: both]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    kernels: Vec<String>,
}

impl Class {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if !self.students.is_empty() {
            arguments.push("--students".to_owned());
            arguments.extend(self.students.iter().map(u32::to_string));
        }
        if !self.kernels.is_empty() {
            arguments.push("--kernels".to_owned());
            arguments.extend(self.kernels.iter().cloned());
        }
        arguments
    }
}

/// Sets up and measures.
pub fn bench(root: &Path, bench: &Bench) -> Result<ExitCode> {
    let environment = setup::setup(root, &SetupOptions::default())?;
    let (program, arguments) = match bench {
        Bench::Kernel => ("xtask/bench_kernel.py", Vec::new()),
        Bench::Class(class) => ("xtask/bench_class.py", class.arguments()),
    };
    run(Command::new(&environment.python)
        .arg(root.join(program))
        .args(arguments)
        .current_dir(root))?;
    Ok(ExitCode::SUCCESS)
}
