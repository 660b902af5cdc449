//! The private directory of a session.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shared::files;
use walkdir::{DirEntry, WalkDir};

use super::{Home, TARGET, Template};

/// A session's private directory; it is removed at the end.
#[derive(Debug)]
pub(crate) struct SessionFolder {
    folder: PathBuf,
    /// Whether it is being removed: nothing more may be put there.
    closed: AtomicBool,
    /// Held as long as the session lives: a directory whose lock is free has been left behind.
    _lock: File,
}

impl SessionFolder {
    /// A new directory, empty.
    ///
    /// # Errors
    /// A cache that cannot be written.
    pub(crate) fn new(home: &Home, library: Option<&Path>) -> Result<SessionFolder> {
        let sessions = home.build_dir(library).join("sessions");
        fs::create_dir_all(&sessions)
            .with_context(|| format!("{} cannot be made", sessions.display()))?;
        remove_left_behind(&sessions);
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = sessions.join(&name[..12]);
        let lock_file = folder.with_extension("lock");
        let lock = files::lock(&lock_file, || ())?;
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(SessionFolder { folder, closed: AtomicBool::new(false), _lock: lock })
    }

    /// Fills it with what was compiled in a template; a compiler may be at work there.
    ///
    /// # Errors
    /// A cache that cannot be read or written.
    pub(crate) fn fill(&self, template: &Template) -> Result<()> {
        let (from, to) = (template.folder.join(TARGET), self.folder.join(TARGET));
        fs::create_dir_all(&to)?;
        link_or_copy(&from, &to, &self.closed)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the process that runs the cells is heard.
    pub(crate) fn socket(&self) -> PathBuf {
        socket_of(&self.folder)
    }

    /// Nothing more is put into it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

impl Drop for SessionFolder {
    fn drop(&mut self) {
        self.close();
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

/// Links what compilers replace and never change; copies all else that is needed, with its time.
fn link_or_copy(from: &Path, to: &Path, closed: &AtomicBool) -> Result<()> {
    // What only a change to the library would need, and the most that would be copied.
    let is_needed =
        |entry: &DirEntry| !(entry.file_type().is_dir() && entry.file_name() == "incremental");
    for entry in WalkDir::new(from).min_depth(1).into_iter().filter_entry(is_needed) {
        ensure!(!closed.load(Ordering::SeqCst), "the session has ended");
        let entry = entry?;
        let path = entry.path();
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if is_note(path) {
            continue;
        } else if is_output(path) {
            match fs::hard_link(path, &target) {
                // What the session has compiled itself is as good.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                linked => {
                    linked.with_context(|| format!("{} cannot be linked", path.display()))?;
                }
            }
        } else if !target.exists() {
            fs::copy(path, &target)
                .with_context(|| format!("{} cannot be copied", path.display()))?;
            let modified = fs::metadata(path)?.modified()?;
            File::options().write(true).open(&target)?.set_modified(modified)?;
        }
    }
    Ok(())
}

/// Whether a file is cargo's note of how it came to what it made, which it reads only to make it again.
fn is_note(path: &Path) -> bool {
    let ends = |ending: &str| path.extension().is_some_and(|found| found == ending);
    let of_a_unit = path.ancestors().nth(2).and_then(Path::file_name);
    let in_fingerprints = of_a_unit.is_some_and(|folder| folder == ".fingerprint");
    ends("d") || ends("timestamp") || (in_fingerprints && ends("json"))
}

/// Whether a file is a compiler's output, which is never opened for writing again: a library, or the
/// program that is a build script.
fn is_output(path: &Path) -> bool {
    let Some(ending) = path.extension() else {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.ancestors().nth(2).and_then(Path::file_name);
        return folder.is_some_and(|folder| folder == "build")
            && (name.starts_with("build-script-") || name.starts_with("build_script_"));
    };
    ["rlib", "rmeta", "so", "dylib", "a", "o"].contains(&&*ending.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(folder: &Path) -> Home {
        Home { cache: folder.join("cache"), state: folder.join("state") }
    }

    fn template_of(home: &Home) -> Template {
        let template = Template { folder: home.cache.join("template") };
        let files = [
            ("target/liba.rlib", "compiled"),
            ("target/a.d", "a note"),
            ("target/debug/.fingerprint/a-1/lib-a", "in place"),
            ("target/debug/.fingerprint/a-1/lib-a.json", "a note"),
            ("target/debug/incremental/a-1/s-1/dep-graph.bin", "large"),
        ];
        for (file, text) in files {
            let path = template.folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        template
    }

    #[test]
    fn a_session_shares_outputs_and_owns_the_rest() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let template = template_of(&home);
        let session = SessionFolder::new(&home, None).unwrap();
        session.fill(&template).unwrap();
        let same = |file: &str| {
            let inode = |folder: &Path| fs::metadata(folder.join(file)).unwrap().ino();
            inode(&template.folder) == inode(session.path())
        };
        assert!(same("target/liba.rlib"));
        let owned = "target/debug/.fingerprint/a-1/lib-a";
        assert!(!same(owned));
        assert!(!session.path().join(format!("{owned}.json")).exists());
        assert!(!session.path().join("target/a.d").exists());
        assert!(!session.path().join("target/debug/incremental").exists());
        let time = |folder: &Path| fs::metadata(folder.join(owned)).unwrap().modified();
        assert_eq!(time(&template.folder).unwrap(), time(session.path()).unwrap());
        let path = session.path().to_path_buf();
        drop(session);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(home.build_dir(None).join("sessions")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_kernel_left_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        // Too long for a socket within it.
        let home = home(&folder.path().join("long".repeat(25)));
        let used = SessionFolder::new(&home, None).unwrap();
        let sessions = home.build_dir(None).join("sessions");
        let socket = socket_of(&sessions.join("dead"));
        assert!(socket.starts_with(std::env::temp_dir()) && !socket.starts_with(&sessions));
        fs::write(&socket, "").unwrap();
        fs::create_dir(sessions.join("dead")).unwrap();
        let lock = File::create(sessions.join("dead.lock")).unwrap();
        lock.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        drop(lock);
        let _new = SessionFolder::new(&home, None).unwrap();
        assert!(!sessions.join("dead").exists() && !sessions.join("dead.lock").exists());
        assert!(!socket.exists());
        assert!(used.path().exists());
    }
}
