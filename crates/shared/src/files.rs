//! Files that are written whole or not at all, and locks that other programs respect.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a file, and the folder that holds it. Whoever reads it meanwhile sees the old content or the
/// new one: it is written beside its place and renamed.
///
/// # Errors
/// A folder or file that cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // A temporary file is its owner's alone by default; this one is to be like any other.
        let mut part = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        part.write_all(content)?;
        part.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a file and locks it. Where another program holds the lock, `waiting` is called once, and the
/// lock is waited for. It ends with the returned file, or with this process.
///
/// # Errors
/// A file that cannot be made or locked.
pub fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let locked = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            waiting();
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    locked.with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        for text in ["one", "another"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&usual));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let error = format!("{:#}", replace(&usual.join("below"), b"").unwrap_err());
        assert!(error.contains("usual/below"), "{error}");
    }

    #[test]
    fn a_lock_that_is_held_is_waited_for_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path, || panic!("nobody holds it")).unwrap();
        let (told, hear) = channel();
        let other = std::thread::spawn(move || lock(&path, || told.send(()).unwrap()).is_ok());
        hear.recv().unwrap();
        assert!(!other.is_finished());
        drop(held);
        assert!(other.join().unwrap());
        assert!(hear.recv().is_err());
    }
}
