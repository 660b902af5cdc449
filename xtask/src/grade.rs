//! `cargo xtask grade FILE..`: marks notebooks that were handed in. What does it is Python, in
//! `xtask/grade`, for Jupyter's client is Python's.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::setup::{self, SetupOptions};

/// What a person may choose.
#[derive(Debug, Args)]
pub(crate) struct GradeOptions {
    /// Notebooks, or folders with notebooks, such as nbgrader's `submitted`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Also write who solved what to this file
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
    /// How long an answer may take together with its check [default: 60]
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// How much memory a session may use, in GB [default: 4]
    #[arg(long, value_name = "N")]
    memory: Option<f64>,
    /// How many notebooks are marked at a time [default: 1]
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Go on where cells cannot be kept from the network and from your files
    #[arg(long)]
    r#unsafe: bool,
    #[command(flatten)]
    setup: SetupOptions,
}

/// Sets up what is missing and marks. Whatever the marks, the status is 0.
pub(crate) fn grade(root: &Path, options: &GradeOptions) -> Result<ExitCode> {
    let environment = setup::setup(root, &options.setup)?;
    let mut command = Command::new(&environment.python);
    command.arg(root.join("xtask/grade")).args(arguments(options));
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", environment.python.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn arguments(options: &GradeOptions) -> Vec<PathBuf> {
    let mut arguments = Vec::new();
    let numbers = [
        ("--seconds", options.seconds.map(|number| number.to_string())),
        ("--memory", options.memory.map(|number| number.to_string())),
        ("--jobs", options.jobs.map(|number| number.to_string())),
    ];
    let csv = options.csv.clone().map(|path| ("--csv", path));
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.into())));
    for (name, value) in numbers.chain(csv) {
        arguments.extend([name.into(), value]);
    }
    if options.r#unsafe {
        arguments.push("--unsafe".into());
    }
    arguments.push("--".into());
    arguments.extend(options.files.iter().cloned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_on_and_no_file_is_taken_for_one() {
        let options = GradeOptions {
            files: vec!["submitted".into(), "-a.ipynb".into()],
            csv: Some("marks.csv".into()),
            seconds: Some(2.5),
            memory: None,
            jobs: Some(2),
            r#unsafe: true,
            setup: SetupOptions::default(),
        };
        let words = ["--seconds", "2.5", "--jobs", "2", "--csv", "marks.csv", "--unsafe", "--"];
        let expected = words.into_iter().chain(["submitted", "-a.ipynb"]).map(PathBuf::from);
        assert_eq!(arguments(&options), expected.collect::<Vec<_>>());
    }
}
