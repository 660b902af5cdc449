//! `cargo xtask bench`: what is measured, each by a Python program of its own.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use crate::process::run;
use crate::setup::{self, SetupOptions};

/// What can be measured.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Bench {
    /// This kernel beside evcxr_jupyter; writes docs/results/kernel.md. Takes minutes, and nothing
    /// else should run meanwhile
    Kernel,
    /// Training and evaluation beside PyTorch; writes docs/results/train-cpu.md or train-cuda.md.
    /// Takes minutes, and nothing else should run meanwhile
    Train {
        /// Where to compute
        #[arg(long, value_enum, default_value = "cpu")]
        device: Device,
        /// Every row, but so short that the figures mean nothing; writes to runs/bench
        #[arg(long)]
        short: bool,
    },
}

/// Where to compute.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Device {
    /// The processor
    Cpu,
    /// The first GPU
    Cuda,
}

impl Bench {
    /// The program that measures, and its arguments.
    fn program(self) -> Vec<&'static str> {
        match self {
            Bench::Kernel => vec!["xtask/bench_kernel.py"],
            Bench::Train { device, short } => {
                let device = match device {
                    Device::Cpu => "cpu",
                    Device::Cuda => "cuda",
                };
                let mut program = vec!["xtask/bench_train.py", "--device", device];
                program.extend(short.then_some("--short"));
                program
            }
        }
    }
}

/// Sets up and measures.
pub fn bench(root: &Path, bench: Bench) -> Result<ExitCode> {
    let environment = setup::setup(root, &SetupOptions::default())?;
    run(Command::new(&environment.python).args(bench.program()).current_dir(root))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_on() {
        let short = Bench::Train { device: Device::Cuda, short: true };
        assert_eq!(short.program(), ["xtask/bench_train.py", "--device", "cuda", "--short"]);
        let whole = Bench::Train { device: Device::Cpu, short: false };
        assert_eq!(whole.program(), ["xtask/bench_train.py", "--device", "cpu"]);
    }
}
