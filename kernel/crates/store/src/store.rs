//! What is compiled for all sessions.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::collect;
use crate::place::Place;

/// The crates that sessions have compiled, for those to come.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Something in a store that can be removed on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The package, or what a library holds.
    pub name: String,
    /// The version of the package; empty where it is not known.
    pub version: String,
    /// The folder of its compiler.
    pub toolchain: String,
    /// In bytes.
    pub size: u64,
    /// When a session last asked for it; None for one that no session asks for as it is.
    pub last_used: Option<SystemTime>,
    /// Whether a session that runs uses it.
    pub in_use: bool,
}

/// No store is larger after a build: ten gigabytes.
pub(crate) const LIMIT: u64 = 10_000_000_000;

impl Store {
    /// The store in a cache folder. It is made when something is compiled for the first time.
    pub fn open(cache: &Path) -> Store {
        Store { root: absolute(cache).join("store") }
    }

    /// What is in it, the longest unused first.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<Entry>> {
        collect::list(&self.root)
    }

    /// How large it is, in bytes.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn size(&self) -> anyhow::Result<u64> {
        collect::size(&self.root)
    }

    /// Says that what is in it now stays as it is: sessions link to it by name.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn seal(&self) -> anyhow::Result<()> {
        collect::places(&self.root)?.iter().try_for_each(Place::seal)
    }

    /// Removes all of it. Sessions that run have files of their own.
    ///
    /// # Errors
    /// A session that is compiling; a folder that cannot be changed; a store that is part of an image.
    pub fn clear(&self) -> anyhow::Result<()> {
        collect::clear(&self.root)
    }

    /// Removes what was not used for the longest time, until the rest is no larger than the limit.
    /// Nothing that is in use, and nothing where a session is compiling. The answer is how many bytes
    /// were removed.
    ///
    /// # Errors
    /// A folder that cannot be changed.
    pub fn collect(&self, limit: u64) -> anyhow::Result<u64> {
        collect::collect(&self.root, limit)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The versions that were taken for a manifest. They outlive what was compiled.
    pub(crate) fn versions(&self, key: &str) -> PathBuf {
        self.root.join(collect::VERSIONS).join(format!("{key}.lock"))
    }
}

/// Programs that are started in other folders get these paths, too.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
