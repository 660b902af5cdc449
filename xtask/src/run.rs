//! `cargo xtask run N`: lesson N without a browser. The notebook is run by Python's nbclient, as
//! every test of the notebooks is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::setup::{self, SetupOptions};

/// What a person may choose.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Number of the lesson
    #[arg(value_name = "N")]
    lesson: u8,
    /// The kernel that runs it
    #[arg(long, value_name = "NAME", default_value = "googlenet")]
    kernel: String,
    /// Where the executed notebook and its HTML page are written; without it, runs/ of the clone
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write the outputs back into notebooks/, without times, paths and machine names
    #[arg(long)]
    in_place: bool,
    #[command(flatten)]
    setup: SetupOptions,
}

/// Sets up what is missing and runs the lesson. A cell that fails ends it, with status 1.
pub(crate) fn run(root: &Path, options: &RunOptions) -> Result<ExitCode> {
    let notebook = find(&root.join("notebooks"), options.lesson)?;
    let environment = setup::setup(root, &options.setup)?;
    let mut command = Command::new(&environment.python);
    command.arg(root.join("xtask/run_lesson.py")).arg(notebook);
    command.args(["--kernel", &options.kernel, "--out"]);
    command.arg(options.out.clone().unwrap_or_else(|| root.join("runs")));
    if options.in_place {
        command.arg("--in-place");
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", environment.python.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The notebook whose name begins with the lesson's number.
fn find(folder: &Path, lesson: u8) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut lessons = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".ipynb") && name.starts_with(|first: char| first.is_ascii_digit()) {
            lessons.push(name);
        }
    }
    lessons.sort();
    match lessons.iter().find(|name| name.starts_with(&format!("{lesson:02}-"))) {
        Some(name) => Ok(folder.join(name)),
        None => {
            bail!("there is no lesson {lesson}: give the number of one of {}", lessons.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_is_found_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["01-one.ipynb", "02-two.ipynb", "12-more.ipynb", "hello.ipynb"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(find(folder.path(), 2).unwrap(), folder.path().join("02-two.ipynb"));
        let error = find(folder.path(), 7).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no lesson 7: give the number of one of 01-one.ipynb, 02-two.ipynb, \
             12-more.ipynb"
        );
    }
}
