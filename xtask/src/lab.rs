//! `cargo xtask lab`: JupyterLab on notebooks/, for this machine alone, behind the token that it
//! makes for each start and prints (or a password, where the person has configured one).

use std::fs;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::setup::{self, SetupOptions};

/// What a person may choose.
#[derive(Debug, Args)]
pub(crate) struct LabOptions {
    /// Do not open a browser
    #[arg(long)]
    no_browser: bool,
    /// The port to listen on; without it, 8888 or the next that is free
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// The address to listen on; any but this machine's own lets others in who have the token
    #[arg(long, value_name = "A", default_value = "127.0.0.1")]
    ip: String,
    #[command(flatten)]
    setup: SetupOptions,
}

/// Sets up and becomes JupyterLab, so that Ctrl-C and a closed terminal reach it as they should.
pub(crate) fn lab(root: &Path, options: &LabOptions) -> Result<ExitCode> {
    let environment = setup::begin(root, &options.setup)?;
    let notebooks = root.join("notebooks");
    fs::create_dir_all(&notebooks)
        .with_context(|| format!("cannot make {}", notebooks.display()))?;
    if !is_loopback(&options.ip) {
        eprintln!(
            "warning: JupyterLab will answer on {}: whoever reaches it and has the token can run \
             programs as you, and the connection is not encrypted",
            options.ip
        );
    }
    let arguments = arguments(options, rustix::process::geteuid().is_root());
    let error = Command::new(&environment.python)
        .args(["-m", "jupyterlab"])
        .args(arguments)
        .current_dir(&notebooks)
        .exec();
    Err(error).with_context(|| format!("cannot start {}", environment.python.display()))
}

fn arguments(options: &LabOptions, is_root: bool) -> Vec<String> {
    let mut arguments =
        vec!["--ServerApp.root_dir=.".to_owned(), format!("--ServerApp.ip={}", options.ip)];
    if options.no_browser {
        arguments.push("--no-browser".to_owned());
    }
    if let Some(port) = options.port {
        // The port that was asked for, or an error.
        arguments.extend([format!("--port={port}"), "--ServerApp.port_retries=0".to_owned()]);
    }
    if is_root {
        // In a container the person is root, where JupyterLab would refuse.
        arguments.push("--allow-root".to_owned());
    }
    arguments
}

fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(port: Option<u16>, no_browser: bool) -> LabOptions {
        LabOptions { no_browser, port, ip: "127.0.0.1".into(), setup: SetupOptions::default() }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for own in ["127.0.0.1", "127.8.0.1", "::1", "localhost"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["0.0.0.0", "::", "192.168.0.5", "lab.example.org", "*"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn a_port_that_was_asked_for_is_not_replaced_by_another() {
        let with = arguments(&options(Some(9000), false), false);
        assert!(with.contains(&"--port=9000".into()));
        assert!(with.contains(&"--ServerApp.port_retries=0".into()));
        let without = arguments(&options(None, true), false);
        assert!(!without.iter().any(|argument| argument.contains("port")));
        assert!(without.contains(&"--no-browser".into()));
    }

    #[test]
    fn root_is_let_in_only_when_it_is_root() {
        assert!(arguments(&options(None, false), true).contains(&"--allow-root".into()));
        assert!(!arguments(&options(None, false), false).contains(&"--allow-root".into()));
    }
}
