//! `cargo xtask lab`: JupyterLab on the notebooks.

use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::setup;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    setup: setup::Options,
    /// Do not open a browser; the address is printed either way
    #[arg(long)]
    no_browser: bool,
    /// Port to listen on, or the next free one if it is taken
    #[arg(long, value_name = "N", default_value_t = 8888)]
    port: u16,
    /// Address to listen on; any other than 127.0.0.1 lets other machines in, if they have the token
    #[arg(long, value_name = "A", default_value = "127.0.0.1")]
    ip: IpAddr,
}

/// Sets up and becomes JupyterLab.
pub fn lab(root: &Path, options: &Options) -> Result<()> {
    let environment = setup::setup(root, &options.setup)?;
    if !options.ip.is_loopback() {
        println!(
            "JupyterLab will listen on {}: whoever reaches this machine and has the token can run \
             programs on it.",
            options.ip
        );
    }
    let notebooks = root.join("notebooks");
    std::fs::create_dir_all(&notebooks)
        .with_context(|| format!("{} cannot be made", notebooks.display()))?;
    let mut jupyter = Command::new(environment.python());
    jupyter
        .current_dir(&notebooks)
        .args(["-m", "jupyterlab", "--port", &options.port.to_string()])
        .arg(format!("--ServerApp.ip={}", options.ip))
        .arg(format!("--ServerApp.root_dir={}", notebooks.display()));
    if options.no_browser {
        jupyter.arg("--no-browser");
    }
    // Jupyter refuses to run as root, as it does in a container, unless told so.
    if rustix::process::geteuid().is_root() {
        println!("You are root: cells run as root too.");
        jupyter.arg("--allow-root");
    }
    Err(jupyter.exec()).context("JupyterLab cannot be started")
}
