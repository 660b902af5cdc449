//! Locks that other kernels respect.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Makes a file and locks it, waiting where another process holds it. The lock ends with the
/// returned file, or with this process.
///
/// # Errors
/// A file that cannot be made or locked.
pub fn lock(path: &Path) -> Result<File> {
    File::create(path)
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("{} cannot be locked", path.display()))
}
