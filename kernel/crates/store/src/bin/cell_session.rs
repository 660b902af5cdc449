//! A session in a process of its own, which tests kill, starve and run side by side.
//!
//! `cell_session CACHE SESSION BASE MANIFEST` adds the `[dependencies]` of a manifest, says on standard
//! error what happens, and writes the arguments for rustc, one a line, on standard output. With a fifth
//! argument, it then waits until its standard input ends.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use cell_store::{Crates, Dependency, LINKER, Store, enter};

fn main() -> ExitCode {
    enter();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [cache, session, base, manifest, waits @ ..] = arguments.as_slice() else {
        bail!("usage: cell_session CACHE SESSION BASE MANIFEST [WAIT]");
    };
    std::fs::create_dir_all(session)?;
    let linker = linker(session)?;
    let text = std::fs::read_to_string(manifest)?;
    let table: toml::Table = text.parse()?;
    let dependencies = table.get("dependencies").and_then(toml::Value::as_table);
    let dependencies = dependencies.context("there are no dependencies")?;
    let dependencies: Vec<_> = dependencies
        .iter()
        .map(|(name, spec)| Dependency { name: name.clone(), spec: spec.clone() })
        .collect();
    let mut crates = Crates::new(Store::open(cache), session, base, linker);
    let added = crates.add(&dependencies, &|said| eprintln!("{}", said.line()))?;
    eprintln!("compiled: {}", added.compiled);
    for argument in crates.linked().rustc_arguments() {
        println!("{argument}");
    }
    println!("{}", crates.linked().declarations());
    if !waits.is_empty() {
        std::io::stdin().read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// This program by the name of a linker.
fn linker(session: &Path) -> Result<PathBuf> {
    let link = session.join(LINKER);
    if !link.is_symlink() {
        std::os::unix::fs::symlink(std::env::current_exe()?, &link)?;
    }
    Ok(link)
}
