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
    /// Number of the lesson, or hello
    #[arg(value_name = "N")]
    lesson: String,
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
    let notebook = find(&root.join("notebooks"), &options.lesson)?;
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

/// The notebook whose name begins with the lesson's number, or hello.
fn find(folder: &Path, lesson: &str) -> Result<PathBuf> {
    if lesson == "hello" {
        return Ok(folder.join("hello.ipynb"));
    }
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
    let begin = lesson.parse::<u8>().map(|number| format!("{number:02}-"));
    match lessons.iter().find(|name| begin.as_ref().is_ok_and(|begin| name.starts_with(begin))) {
        Some(name) => Ok(folder.join(name)),
        None => {
            let lessons = lessons.join(", ");
            bail!("there is no lesson {lesson}: give hello or the number of one of {lessons}")
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
        for (asked, name) in
            [("2", "02-two.ipynb"), ("12", "12-more.ipynb"), ("hello", "hello.ipynb")]
        {
            assert_eq!(find(folder.path(), asked).unwrap(), folder.path().join(name));
        }
        let error = find(folder.path(), "7").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no lesson 7: give hello or the number of one of 01-one.ipynb, 02-two.ipynb, \
             12-more.ipynb"
        );
        assert!(find(folder.path(), "two").is_err());
    }
}
