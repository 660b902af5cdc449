//! `cargo xtask test`: setup, then every check and test to its end, then what they came to.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::process::cargo;
use crate::setup::{self, SetupOptions};
use crate::summary::{Step, Summary, Tests};

/// What a person may choose.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Only what tells most in a minute and a half: lints, Rust's unit tests, the protocol, one lesson
    #[arg(long)]
    fast: bool,
}

/// Python that is ours.
const PYTHON: [&str; 5] = ["bench", "docker", "notebooks/ko/update.py", "tests", "xtask"];
/// How many processes run pytest's tests at most: each may have a compiler and a network at work.
const WORKERS: usize = 8;
/// Of pytest's tests those that `--fast` runs.
const FAST: [&str; 3] = [
    "tests/test_kernel_protocol.py",
    "tests/test_kernel_cells.py",
    "tests/test_notebooks.py::test_a_lesson_runs_and_gives_what_is_committed[01-bottleneck-arithmetic-googlenet]",
];

/// Runs it all. A step that fails does not stop the next; only without a setup is there nothing
/// to test.
pub(crate) fn test(root: &Path, options: &TestOptions) -> Result<ExitCode> {
    let start = Instant::now();
    let environment = setup::setup(root, &SetupOptions::default())?;
    let mut summary = Summary::default();
    summary.steps.push(Step { name: "setup", ok: true, took: start.elapsed(), tests: None });

    let python = |module: &[&str]| {
        let mut command = Command::new(&environment.python);
        command.arg("-m").args(module).current_dir(root);
        command
    };
    let mut step = |name, mut command: Command, read: Option<fn(&str) -> Tests>| -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        let (ok, tests) = match read {
            None => (command.status().map(|status| status.success()), None),
            Some(read) => match passed_through(&mut command) {
                Ok((ok, output)) => (Ok(ok), Some(read(&output))),
                Err(error) => (Err(error), None),
            },
        };
        let ok = ok.with_context(|| format!("cannot run {name}"))?;
        summary.steps.push(Step { name, ok, took: start.elapsed(), tests });
        Ok(())
    };

    let cargo = |arguments: &[&str]| {
        let mut command = cargo(root);
        command.args(arguments);
        command
    };
    step("cargo fmt", cargo(&["fmt", "--all", "--check"]), None)?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    step("cargo clippy", cargo(&clippy), None)?;
    step("ruff check", python(&[&["ruff", "check"], &PYTHON[..]].concat()), None)?;
    step("ruff format", python(&[&["ruff", "format", "--check"], &PYTHON[..]].concat()), None)?;
    let units: &[&str] = if options.fast { &["--lib", "--bins"] } else { &[] };
    let tests = [&["test", "--workspace", "--no-fail-fast"], units].concat();
    step("cargo test", cargo(&tests), Some(Tests::of_cargo))?;
    let chosen: &[&str] = if options.fast { &FAST } else { &["tests"] };
    let pytest = |more: &[&str]| {
        let told = ["pytest", "-v", "-rs", "--color=no", "--durations=10"];
        python(&[&told, more, chosen].concat())
    };
    if options.fast {
        let workers = std::thread::available_parallelism()?.get().min(WORKERS).to_string();
        let several = ["-m", "not alone", "--numprocesses", &workers, "--dist", "worksteal"];
        step("pytest tests", pytest(&several), Some(Tests::of_pytest))?;
        step("pytest alone", pytest(&["-m", "alone"]), Some(Tests::of_pytest))?;
    } else {
        // All of them leave no processor idle: several processes would save little, and upstream's
        // kernel loses output where it has to wait for one.
        step("pytest tests", pytest(&[]), Some(Tests::of_pytest))?;
    }

    println!("\n{summary}");
    Ok(if summary.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command whose standard output is shown as it comes, and kept.
fn passed_through(command: &mut Command) -> std::io::Result<(bool, String)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut output = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        let mut chunk = [0; 4096];
        loop {
            let read = pipe.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            let mut terminal = std::io::stdout().lock();
            terminal.write_all(&chunk[..read])?;
            terminal.flush()?;
            output.extend_from_slice(&chunk[..read]);
        }
    }
    Ok((child.wait()?.success(), String::from_utf8_lossy(&output).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_of_a_command_are_kept() {
        let mut command = Command::new("sh");
        let (ok, output) = passed_through(command.args(["-c", "echo seen; exit 1"])).unwrap();
        assert!(!ok);
        assert_eq!(output, "seen\n");
    }
}
