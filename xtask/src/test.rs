//! `cargo xtask test`: every check and every test, then a summary.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run::line;
use crate::setup;

/// Sets up and runs every step, whether or not those before it passed.
pub fn test(root: &Path, options: &setup::Options) -> Result<()> {
    let began = Instant::now();
    let environment = setup::setup(root, options)?;
    let set_up = began.elapsed();
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command.current_dir(root).args(args);
        command
    };
    let python = |args: &[&str]| {
        let mut command = Command::new(environment.python());
        command.current_dir(root).arg("-m").args(args);
        command
    };
    let mut steps = vec![
        cargo(&["fmt", "--all", "--check"]),
        cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
        python(&["ruff", "check", "tests"]),
        python(&["ruff", "format", "--check", "tests"]),
        cargo(&["test", "--workspace", "--no-fail-fast"]),
        // -rs lists every skipped test by name, with the reason.
        python(&["pytest", "tests", "-rs", "--durations=5"]),
    ];
    let mut results = Vec::new();
    for step in &mut steps {
        println!("\n== {}", short(root, step));
        let began = Instant::now();
        let passed = match step.status() {
            Ok(status) => status.success(),
            Err(error) => {
                println!("cannot start: {error}");
                false
            }
        };
        results.push((short(root, step), passed, began.elapsed()));
    }

    println!("\n== summary\nsetup: {}", seconds(set_up));
    for (step, passed, time) in &results {
        println!("{}: {step}: {}", if *passed { "passed" } else { "FAILED" }, seconds(*time));
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} steps failed", results.len());
    }
    Ok(())
}

/// A step without the path of the environment.
fn short(root: &Path, step: &Command) -> String {
    line(step).replace(&format!("{}/", root.display()), "")
}

fn seconds(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}
