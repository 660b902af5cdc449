//! Where this kernel keeps its files, and the reader's compiler.

mod folder;
mod toolchain;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

pub(crate) use folder::{SessionFolder, remove_session};
pub(crate) use toolchain::Toolchain;

/// This program, to be started again: also where another version has taken its place meanwhile.
///
/// # Errors
/// A system that does not say which one it is.
pub(crate) fn this_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// A program that was installed beside this one.
///
/// # Errors
/// There is none.
pub(crate) fn program_beside(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let file = this.with_file_name(name);
    ensure!(file.is_file(), "there is no {}", file.display());
    Ok(file)
}

/// The directories of this kernel.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// What can be made again: the store of crates, sessions, what cells share.
    pub cache: PathBuf,
    /// What cannot: the history.
    pub state: PathBuf,
}

impl Home {
    /// Those of the person who runs this program.
    ///
    /// # Errors
    /// A person without a home directory.
    pub(crate) fn find() -> Result<Home> {
        let none = "there is no home directory: set HOME";
        let cache = dirs::cache_dir().context(none)?;
        let state = dirs::state_dir().or_else(dirs::data_local_dir).context(none)?;
        let name = env!("CARGO_PKG_NAME");
        Ok(Home { cache: cache.join(name), state: state.join(name) })
    }
}
