//! `cargo xtask bench`: what is measured, each by a Python program of its own.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use crate::process::run;
use crate::setup::{self, SetupOptions};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// This kernel beside evcxr_jupyter; writes docs/results/kernel.md. Takes minutes, and nothing
    /// else should run meanwhile
    Kernel,
    /// Students at one JupyterHub on this machine, under both kernels; writes docs/results/class.md.
    /// Takes an hour, needs npm, and nothing else should run meanwhile
    Class {
        /// How many students, one class after the other [default: 1 2 4 8 16]
        #[arg(long, value_name = "N", num_args = 1..)]
        students: Vec<u32>,
        /// The same under evcxr_jupyter, where each student compiles the library [default: 1 2 4]
        #[arg(long, value_name = "N", num_args = 1..)]
        evcxr: Vec<u32>,
    },
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
    /// A network trained by our library and by PyTorch with one recipe and several seeds; writes
    /// docs/results/accuracy-NETWORK.md. Nothing else should run meanwhile
    Accuracy {
        /// Folder of CIFAR-10's binary files
        #[arg(long)]
        data: String,
        /// compact or cifar
        #[arg(long, default_value = "compact")]
        network: String,
        /// Epochs of each training
        #[arg(long, default_value_t = 2)]
        epochs: u32,
        /// Trainings on each side
        #[arg(long, default_value_t = 3)]
        seeds: u32,
    },
    /// What lessons compare, with several seeds; writes notebooks/seeds/NN.json, which they load. Takes
    /// minutes, in which other work may go on
    Seeds {
        /// Of which lessons, by number [default: 3 4]
        #[arg(long, value_name = "N", num_args = 1..)]
        lesson: Vec<u32>,
        /// How many, from 0 on
        #[arg(long, default_value_t = 5)]
        seeds: u32,
        /// Folder of CIFAR-10's binary files; without it, CIFAR10_DIR, your cache, or a download
        #[arg(long)]
        data: Option<String>,
    },
    /// Examples of the standard library's documentation as cells, under this kernel and
    /// evcxr_jupyter; writes docs/results/examples.md. Takes minutes, needs rustup's component
    /// rust-src, and nothing else should run meanwhile
    Examples {
        /// How many
        #[arg(long, default_value_t = 100)]
        count: u32,
        /// Which: another seed draws others
        #[arg(long, default_value_t = 1)]
        seed: u32,
        /// A kernel's name; several are allowed [default: googlenet evcxr]
        #[arg(long, value_name = "NAME")]
        kernel: Vec<String>,
        /// A cell for each statement; writes docs/results/statements.md
        #[arg(long)]
        statements: bool,
    },
    /// Tests, training benchmark and training, packed for a machine with PyTorch and without Rust
    Bundle {
        /// A new folder, or a new file that ends in .tar.gz
        out: String,
        /// Cargo's profile
        #[arg(long, default_value = "release")]
        profile: String,
    },
}

/// Where to compute.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Device {
    /// The processor
    Cpu,
    /// The first GPU
    Cuda,
}

impl Bench {
    /// The program that measures, and its arguments.
    fn program(&self) -> Vec<String> {
        let (program, options) = match self {
            Bench::Kernel => ("kernel", Vec::new()),
            Bench::Class { students, evcxr } => {
                let given = [("--students", students), ("--evcxr", evcxr)];
                let options = given.into_iter().filter(|(_, numbers)| !numbers.is_empty());
                let words = |(name, numbers): (&str, &Vec<u32>)| {
                    std::iter::once(name.into()).chain(numbers.iter().map(u32::to_string)).collect()
                };
                ("class", options.map(words).collect())
            }
            Bench::Train { device, short } => {
                let device = match device {
                    Device::Cpu => "cpu",
                    Device::Cuda => "cuda",
                };
                let short = short.then(|| "--short".to_owned());
                ("train", vec![vec!["--device".into(), device.into()], Vec::from_iter(short)])
            }
            Bench::Accuracy { data, network, epochs, seeds } => {
                let (epochs, seeds) = (epochs.to_string(), seeds.to_string());
                let options = [
                    ("--data", data),
                    ("--network", network),
                    ("--epochs", &epochs),
                    ("--seeds", &seeds),
                ];
                let options = options.map(|(name, value)| vec![name.to_owned(), value.clone()]);
                ("accuracy", options.to_vec())
            }
            Bench::Seeds { lesson, seeds, data } => {
                let lessons = lesson.iter().map(u32::to_string);
                let lessons = (!lesson.is_empty())
                    .then(|| std::iter::once("--lesson".to_owned()).chain(lessons).collect());
                let data = data.as_ref().map(|data| vec!["--data".to_owned(), data.clone()]);
                let seeds = vec!["--seeds".to_owned(), seeds.to_string()];
                ("seeds", lessons.into_iter().chain([seeds]).chain(data).collect())
            }
            Bench::Examples { count, seed, kernel, statements } => {
                let numbers = [("--count", count), ("--seed", seed)];
                let numbers = numbers.map(|(name, number)| vec![name.into(), number.to_string()]);
                let kernels = kernel.iter().map(|name| vec!["--kernel".into(), name.clone()]);
                let statements = statements.then(|| vec!["--statements".to_owned()]);
                ("examples", numbers.into_iter().chain(kernels).chain(statements).collect())
            }
            Bench::Bundle { out, profile } => {
                ("bundle", vec![vec![out.clone(), "--profile".into(), profile.clone()]])
            }
        };
        [format!("bench/bench_{program}.py")].into_iter().chain(options.concat()).collect()
    }
}

/// Sets up and measures.
pub(crate) fn bench(root: &Path, bench: &Bench) -> Result<ExitCode> {
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
        assert_eq!(short.program(), ["bench/bench_train.py", "--device", "cuda", "--short"]);
        let whole = Bench::Train { device: Device::Cpu, short: false };
        assert_eq!(whole.program(), ["bench/bench_train.py", "--device", "cpu"]);
        assert_eq!(Bench::Kernel.program(), ["bench/bench_kernel.py"]);
        let bundle = Bench::Bundle { out: "b".into(), profile: "dev".into() };
        assert_eq!(bundle.program(), ["bench/bench_bundle.py", "b", "--profile", "dev"]);
        let accuracy =
            Bench::Accuracy { data: "d".into(), network: "cifar".into(), epochs: 2, seeds: 3 };
        let options = ["--data", "d", "--network", "cifar", "--epochs", "2", "--seeds", "3"];
        assert_eq!(accuracy.program()[1..], options);
        let seeds = Bench::Seeds { lesson: vec![3, 4], seeds: 5, data: Some("d".into()) };
        let options = ["--lesson", "3", "4", "--seeds", "5", "--data", "d"];
        assert_eq!(seeds.program()[1..], options);
        let seeds = Bench::Seeds { lesson: Vec::new(), seeds: 2, data: None };
        assert_eq!(seeds.program(), ["bench/bench_seeds.py", "--seeds", "2"]);
        let kernel = vec!["k".into()];
        let examples = Bench::Examples { count: 50, seed: 2, kernel, statements: true };
        let options = ["--count", "50", "--seed", "2", "--kernel", "k", "--statements"];
        assert_eq!(examples.program()[1..], options);
        let class = Bench::Class { students: vec![1, 2], evcxr: Vec::new() };
        assert_eq!(class.program(), ["bench/bench_class.py", "--students", "1", "2"]);
        let upstreams = Bench::Class { students: Vec::new(), evcxr: vec![4] };
        assert_eq!(upstreams.program(), ["bench/bench_class.py", "--evcxr", "4"]);
    }
}
