//! The Jupyter kernel of the GoogLeNet lab: its command line.

mod kernelspec;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::kernelspec::KernelSpec;

/// The Jupyter kernel of the GoogLeNet lab.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve one notebook; Jupyter calls this
    Run {
        /// The connection file that Jupyter wrote for this session
        #[arg(long, value_name = "FILE")]
        connection_file: PathBuf,
    },
    /// Write the kernelspecs of this kernel and of evcxr_jupyter, which must lie beside it
    Install {
        /// The environment to install into: the kernelspecs go to PREFIX/share/jupyter/kernels
        #[arg(long, value_name = "PREFIX")]
        prefix: PathBuf,
        /// The torch folder whose lib/ holds libtorch
        #[arg(long, value_name = "DIR")]
        libtorch: PathBuf,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Action::Run { connection_file } => run(&connection_file),
        Action::Install { prefix, libtorch } => install(&prefix, &libtorch),
    }
}

/// Serves the session with evcxr_jupyter, in the place of this process.
fn run(connection_file: &Path) -> Result<()> {
    let evcxr_jupyter = bin_dir()?.join("evcxr_jupyter");
    let error = Command::new(&evcxr_jupyter).arg("--control_file").arg(connection_file).exec();
    Err(error).with_context(|| format!("cannot start {}", evcxr_jupyter.display()))
}

fn install(prefix: &Path, libtorch: &Path) -> Result<()> {
    let prefix = prefix
        .canonicalize()
        .with_context(|| format!("the environment {} cannot be read", prefix.display()))?;
    let libtorch = libtorch
        .canonicalize()
        .with_context(|| format!("the torch folder {} cannot be read", libtorch.display()))?;
    let kernels = prefix.join("share/jupyter/kernels");
    let bin = bin_dir()?;
    for spec in
        [KernelSpec::evcxr(&bin, &libtorch, &kernels)?, KernelSpec::googlenet(&bin, &libtorch)?]
    {
        if spec.write(&kernels)? {
            println!(
                "kernelspec \"{}\" written to {}",
                spec.display_name,
                spec.file(&kernels).display()
            );
        }
    }
    Ok(())
}

/// The folder of this executable: both kernels lie in it.
fn bin_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("this executable cannot be found")?;
    Ok(exe.parent().context("this executable lies in no folder")?.to_path_buf())
}
