//! `cargo xtask setup`: environment, link to libtorch, kernels, kernelspecs. What is there already
//! is left as it is, so that a second run changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::environment::Environment;
use crate::prerequisites;
use crate::requirements::Requirements;
use crate::run::run;

/// The two programs that Jupyter starts.
const KERNELS: [&str; 2] = ["googlenet-kernel", "evcxr_jupyter"];

#[derive(Debug, Args)]
pub struct Options {
    /// Index for PyTorch alone, such as https://download.pytorch.org/whl/cpu for its smaller wheels
    /// without CUDA
    #[arg(long, value_name = "URL")]
    torch_index: Option<String>,
}

/// Sets the lab up and returns its Python environment.
pub fn setup(root: &Path, options: &Options) -> Result<Environment> {
    prerequisites::compilers()?;
    if !root.join("target").exists() {
        prerequisites::disk(root)?;
    }
    let pins = Requirements::read(root)?;
    let environment = Environment::ensure(root, &pins, options.torch_index.as_deref())?;
    link(&root.join(".libtorch"), &environment.torch)?;

    // In the dev profile on purpose: dependencies are optimised there too (Cargo.toml), and
    // `cargo test` uses the same build.
    run(Command::new("cargo").current_dir(root).args([
        "build",
        "--package",
        "googlenet-kernel",
        "--bins",
    ]))?;
    // Copied, so that `cargo clean` leaves Jupyter's kernels alone.
    let built = target_folder(root).join("debug");
    for kernel in KERNELS {
        copy_if_changed(&built.join(kernel), &environment.bin().join(kernel))?;
    }
    run(Command::new(environment.bin().join(KERNELS[0]))
        .args(["install", "--prefix"])
        .arg(&environment.prefix)
        .arg("--libtorch")
        .arg(&environment.torch))?;
    println!("The lab is set up in {}.", environment.prefix.display());
    Ok(environment)
}

fn target_folder(root: &Path) -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), |folder| root.join(folder))
}

/// Makes `link` point to `target`; a link that does already stays as it is.
fn link(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|present| present == target) {
        return Ok(());
    }
    let new = link.with_extension(format!("new-{}", std::process::id()));
    symlink(target, &new)
        .and_then(|()| fs::rename(&new, link))
        .with_context(|| format!("the link {} cannot be made", link.display()))
}

/// Copies a program beside its target and renames it, so that a running kernel keeps its own.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("{} cannot be read", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == new) {
        return Ok(());
    }
    let part = to.with_extension(format!("new-{}", std::process::id()));
    fs::copy(from, &part)
        .and_then(|_| fs::rename(&part, to))
        .with_context(|| format!("{} cannot be written", to.display()))?;
    println!("Installed {}.", to.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_once_and_moved_when_its_target_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".libtorch");
        link(&path, Path::new("/one")).unwrap();
        let made = fs::symlink_metadata(&path).unwrap().modified().unwrap();
        link(&path, Path::new("/one")).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().modified().unwrap(), made);
        link(&path, Path::new("/two")).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("/two"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_program_is_copied_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("kernel"));
        let error = copy_if_changed(&from, &to).unwrap_err().to_string();
        assert!(error.contains("built cannot be read"), "{error}");
        fs::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let copied = fs::metadata(&to).unwrap().modified().unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), copied);
        fs::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
