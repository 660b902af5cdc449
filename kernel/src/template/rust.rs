//! The reader's compiler, and the library that it makes for the process that runs the cells.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

use super::Home;

/// What rustc answers.
///
/// # Errors
/// A rustc that does not run.
pub(crate) fn rustc(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc").args(arguments).output().context(concat!(
        "rustc does not run: install Rust ",
        env!("CARGO_PKG_RUST_VERSION"),
        " from https://rustup.rs"
    ))?;
    ensure!(output.status.success(), "rustc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `rustc -Vv`, asked once: a session that starts needs it twice.
pub(super) fn rustc_version() -> Result<&'static str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version);
    }
    let version = rustc(&["-Vv"])?;
    Ok(VERSION.get_or_init(|| version))
}

/// The library made of `hooks.rs`, for the rustc that compiles the cells.
///
/// # Errors
/// A rustc that does not run or does not compile it.
pub(crate) fn hooks(home: &Home) -> Result<PathBuf> {
    const SOURCE: &str = include_str!("../runtime/hooks.rs");
    let mut hasher = DefaultHasher::new();
    (SOURCE, rustc_version()?).hash(&mut hasher);
    let path = home.cache.join(format!("hooks-{:016x}.so", hasher.finish()));
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&home.cache)
        .with_context(|| format!("{} cannot be made", home.cache.display()))?;
    let work = tempfile::tempdir_in(&home.cache)?;
    let (source, library) = (work.path().join("hooks.rs"), work.path().join("hooks.so"));
    fs::write(&source, SOURCE)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let options = ["--edition", "2024", "--crate-type", "cdylib", "-O", "-C", "prefer-dynamic"];
    let files = ["-o", &text(&library), &text(&source)];
    rustc(&[&options[..], &files[..]].concat()).context("the panic hook does not compile")?;
    fs::rename(&library, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hooks_compile_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { cache: folder.path().join("cache"), state: folder.path().join("state") };
        let path = hooks(&home).unwrap();
        let made = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(hooks(&home).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made);
    }
}
