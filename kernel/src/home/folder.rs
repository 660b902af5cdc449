//! The private directory of a session.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use shared::files;

use super::Home;

/// How the directory is called that holds that of a session whose cache cannot be written.
const PRIVATE: &str = "rust-live-";

/// A session's private directory; it is removed at the end.
#[derive(Debug)]
pub(crate) struct SessionFolder {
    folder: PathBuf,
    /// Held as long as the session lives: a directory whose lock is free has been left behind.
    _lock: File,
}

impl SessionFolder {
    /// A new directory, empty: in the cache or, where that cannot be written, beside other temporary files.
    ///
    /// # Errors
    /// Neither can be written.
    pub(crate) fn new(home: &Home) -> Result<SessionFolder> {
        let sessions = home.cache.join("sessions");
        let why = match SessionFolder::within(&sessions) {
            Ok(folder) => return Ok(folder),
            Err(why) => why,
        };
        log::warn!("{why:#}: the session keeps its files in {}", std::env::temp_dir().display());
        let private = tempfile::Builder::new().prefix(PRIVATE).tempdir();
        let private = private.with_context(|| format!("{why:#}, and no temporary one either"))?;
        SessionFolder::within(&private.keep())
    }

    fn within(sessions: &Path) -> Result<SessionFolder> {
        fs::create_dir_all(sessions)
            .with_context(|| format!("{} cannot be made", sessions.display()))?;
        remove_left_behind(sessions);
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = sessions.join(&name[..12]);
        let lock_file = folder.with_extension("lock");
        let lock = files::lock(&lock_file, || ())?;
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(SessionFolder { folder, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the process that runs the cells is heard.
    pub(crate) fn socket(&self) -> PathBuf {
        socket_of(&self.folder)
    }
}

impl Drop for SessionFolder {
    fn drop(&mut self) {
        remove_session(&self.folder);
    }
}

/// Removes the directory of a session. Who is still compiling in it is waited for; what is left all
/// the same, the next kernel removes.
pub(crate) fn remove_session(folder: &Path) {
    let _ = fs::remove_file(socket_of(folder));
    for _ in 0..40 {
        let gone = fs::remove_dir_all(folder);
        if gone.is_ok() || !folder.exists() {
            let _ = fs::remove_file(folder.with_extension("lock"));
            let above = folder.parent().filter(|above| {
                above.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PRIVATE))
            });
            // It holds nothing else.
            let _ = above.map(fs::remove_dir);
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// In the session's directory, or where that path is too long for a socket, beside other temporary
/// files.
fn socket_of(folder: &Path) -> PathBuf {
    let path = folder.join("cells.sock");
    if path.as_os_str().len() < 100 {
        return path;
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    std::env::temp_dir().join(format!("rust-live-{name}.sock"))
}

/// Removes the directories of kernels that were killed.
fn remove_left_behind(sessions: &Path) {
    let Ok(entries) = fs::read_dir(sessions) else { return };
    for lock_file in entries.flatten().map(|entry| entry.path()) {
        if lock_file.extension().is_none_or(|ending| ending != "lock") {
            continue;
        }
        let Ok(file) = File::open(&lock_file) else { continue };
        // A kernel makes the file first and locks it then: one that is seconds old may be about to be held.
        let young = file
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age < Duration::from_secs(5)));
        if !young && file.try_lock().is_ok() {
            let _ = fs::remove_file(socket_of(&lock_file.with_extension("")));
            let _ = fs::remove_dir_all(lock_file.with_extension(""));
            let _ = fs::remove_file(&lock_file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(folder: &Path) -> Home {
        Home { cache: folder.join("cache"), state: folder.join("state") }
    }

    #[test]
    fn a_session_s_folder_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let session = SessionFolder::new(&home).unwrap();
        let path = session.path().to_path_buf();
        fs::write(path.join("file"), "").unwrap();
        drop(session);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(home.cache.join("sessions")).unwrap().count(), 0);
    }

    #[test]
    fn a_session_whose_cache_cannot_be_written_has_a_temporary_folder_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        fs::write(&home.cache, "a file in its place").unwrap();
        let session = SessionFolder::new(&home).unwrap();
        let path = session.path().to_path_buf();
        assert!(path.starts_with(std::env::temp_dir()) && !path.starts_with(folder.path()));
        fs::write(path.join("file"), "").unwrap();
        drop(session);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn what_a_killed_kernel_left_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        // Too long for a socket within it.
        let home = home(&folder.path().join("long".repeat(25)));
        let used = SessionFolder::new(&home).unwrap();
        let sessions = home.cache.join("sessions");
        let socket = socket_of(&sessions.join("dead"));
        assert!(socket.starts_with(std::env::temp_dir()) && !socket.starts_with(&sessions));
        fs::write(&socket, "").unwrap();
        fs::create_dir(sessions.join("dead")).unwrap();
        let lock = File::create(sessions.join("dead.lock")).unwrap();
        lock.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        drop(lock);
        let _new = SessionFolder::new(&home).unwrap();
        assert!(!sessions.join("dead").exists() && !sessions.join("dead.lock").exists());
        assert!(!socket.exists());
        assert!(used.path().exists());
    }
}
