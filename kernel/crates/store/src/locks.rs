//! Locks that end with the process that holds them.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::error::Error;
use crate::process::Interrupter;

/// Makes a file and locks it. Where another holds it, `waiting` is called once.
///
/// # Errors
/// A file that cannot be made or locked; [`Error::Interrupted`].
pub(crate) fn wait_for(
    path: &Path,
    interrupter: &Interrupter,
    waiting: impl FnOnce(),
) -> Result<File, Error> {
    let file = open(path)?;
    let mut waiting = Some(waiting);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
            }
            Err(TryLockError::Error(error)) => {
                return Err(error)
                    .with_context(|| format!("{} cannot be locked", path.display()))?;
            }
        }
        // Asked for again and again, since a lock that is waited for cannot be interrupted.
        interrupter.check()?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Locks a file for this process alone; None where another holds it.
///
/// # Errors
/// A file that cannot be made or locked.
pub(crate) fn try_alone(path: &Path) -> anyhow::Result<Option<File>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// Marks a file as in use, and when that began. None where the store cannot be written: nothing is
/// removed from such a store either.
pub(crate) fn in_use(path: &Path) -> Option<File> {
    let file = open(path).ok()?;
    // A collector holds it, and removes it: what the session has linked is its own.
    file.try_lock_shared().ok()?;
    file.set_modified(std::time::SystemTime::now()).ok()?;
    Some(file)
}

fn open(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.open(path).with_context(|| format!("{} cannot be made", path.display()))
}
