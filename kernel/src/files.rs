//! Locks that other kernels respect, and walks over folders.

use std::fs::{self, File};
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

/// Walks over all files and folders below one; does not enter a folder for which `entry` says no.
pub fn walk_all(
    folder: &Path,
    entry: &mut dyn FnMut(&Path, fs::FileType) -> Result<bool>,
) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for item in entries {
        let item = item?;
        let kind = item.file_type()?;
        let enter = entry(&item.path(), kind)?;
        if kind.is_dir() && enter {
            walk_all(&item.path(), entry)?;
        }
    }
    Ok(())
}
