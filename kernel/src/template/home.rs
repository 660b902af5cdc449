//! Where this kernel keeps its files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The directories of this kernel.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// What can be made again: templates, sessions, hooks.
    pub cache: PathBuf,
    /// What cannot: the history.
    pub state: PathBuf,
}

impl Home {
    /// Where the cells that use a library are compiled, or those that use none.
    ///
    /// The libraries are kept apart, since Cargo finds the profile of one in the folder above.
    pub(crate) fn build_dir(&self, library: Option<&Path>) -> PathBuf {
        let Some(library) = library else { return self.cache.join("plain") };
        let mut hasher = DefaultHasher::new();
        library.canonicalize().unwrap_or_else(|_| library.to_path_buf()).hash(&mut hasher);
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        self.cache.join(format!("{name}-{:08x}", hasher.finish() as u32))
    }

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
