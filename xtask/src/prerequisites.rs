//! What a machine must have before anything is changed on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::output;

const RUST: (u32, u32) = (1, 95);
const PYTHON: (u32, u32) = (3, 10);
const DISK_GB: u64 = 10;

/// Rust is new enough, and there is a C++ compiler.
pub fn compilers() -> Result<()> {
    let version = output(Command::new("rustc").arg("--version"));
    check_version(
        "Rust",
        version.as_deref(),
        RUST,
        "run `rustup update stable`, or install it from https://rustup.rs",
    )?;
    if cxx().is_none() {
        bail!(
            "no C++ compiler: install one (Debian and Ubuntu: `apt-get install g++`; Fedora: \
             `dnf install gcc-c++`; macOS: `xcode-select --install`), or name yours in CXX"
        );
    }
    Ok(())
}

fn cxx() -> Option<String> {
    let own = std::env::var("CXX").ok();
    own.iter()
        .map(String::as_str)
        .chain(["c++", "g++", "clang++"])
        .find(|compiler| output(Command::new(compiler).arg("--version")).is_some())
        .map(str::to_string)
}

/// A Python that can make an environment: new enough, with venv.
pub fn python() -> Result<PathBuf> {
    const REMEDY: &str = "install Python 3.10 or later (Debian and Ubuntu: `apt-get install \
                          python3 python3-venv`)";
    let mut last = None;
    for python in ["python3", "python"] {
        let version = output(Command::new(python).arg("--version"));
        match check_version("Python", version.as_deref(), PYTHON, REMEDY) {
            Ok(()) => {
                let venv = "import venv, ensurepip";
                if output(Command::new(python).args(["-c", venv])).is_none() {
                    bail!("{python} has no venv module: {REMEDY}");
                }
                return Ok(PathBuf::from(python));
            }
            Err(error) => last = last.or(Some(error)),
        }
    }
    match last {
        Some(error) => Err(error),
        None => bail!("Python is missing: {REMEDY}"),
    }
}

/// Room for the environment and the builds.
pub fn disk(folder: &Path) -> Result<()> {
    let free = rustix::fs::statvfs(folder)?;
    check_disk(folder, free.f_bavail * free.f_frsize)
}

fn check_disk(folder: &Path, free: u64) -> Result<()> {
    if free < DISK_GB * 1_000_000_000 {
        bail!(
            "{} has {:.1} GB free, {DISK_GB} GB are needed (PyTorch 5, builds 4): make room, or put \
             the lab on another disk",
            folder.display(),
            free as f64 / 1e9
        );
    }
    Ok(())
}

fn check_version(what: &str, found: Option<&str>, least: (u32, u32), remedy: &str) -> Result<()> {
    let (major, minor) = least;
    match found.map(|text| (text, parse_version(text))) {
        Some((_, Some(version))) if version >= least => Ok(()),
        Some((text, _)) => bail!("{what} {major}.{minor} is needed, here is `{text}`: {remedy}"),
        None => bail!("{what} {major}.{minor} is needed, here is none: {remedy}"),
    }
}

/// Major and minor of the first number with a dot in a text such as `rustc 1.95.0 (5980 2026)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(parse_version("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(parse_version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(parse_version("rustc 1.96.0-nightly (x)"), Some((1, 96)));
        assert_eq!(parse_version("no version"), None);
    }

    #[test]
    fn old_and_missing_programs_are_one_error_with_a_remedy() {
        let check = |found| check_version("Rust", found, (1, 95), "run `rustup update stable`");
        assert!(check(Some("rustc 1.95.0 (x)")).is_ok());
        assert!(check(Some("rustc 2.0.0 (x)")).is_ok());
        let old = check(Some("rustc 1.94.9 (x)")).unwrap_err().to_string();
        assert_eq!(
            old,
            "Rust 1.95 is needed, here is `rustc 1.94.9 (x)`: run `rustup update stable`"
        );
        let none = check(None).unwrap_err().to_string();
        assert_eq!(none, "Rust 1.95 is needed, here is none: run `rustup update stable`");
    }

    #[test]
    fn a_full_disk_is_named() {
        assert!(check_disk(Path::new("/lab"), 10_000_000_000).is_ok());
        let error = check_disk(Path::new("/lab"), 9_900_000_000).unwrap_err().to_string();
        assert!(error.starts_with("/lab has 9.9 GB free, 10 GB are needed"), "{error}");
    }
}
