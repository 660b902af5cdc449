//! What a file holds: by its size and time at a glance, by a hash where those do not tell.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A file that was made: an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// In bytes.
    pub size: u64,
    /// In nanoseconds since 1970.
    pub modified: i64,
    /// Its bytes, as a hash.
    pub content: String,
}

/// How a file is, compared to how it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Now {
    /// At a glance.
    Same,
    /// It has another time, and the same bytes.
    Touched(State),
    /// It has other bytes, or is no more.
    Other,
}

impl State {
    /// The state of a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn of(path: &Path) -> io::Result<State> {
        let mut file = File::open(path)?;
        let data = file.metadata()?;
        let content = digest(&mut file)?;
        Ok(State { size: data.len(), modified: modified(&data), content })
    }

    /// Whether a file has this size and time.
    pub(crate) fn is_of(&self, data: &Metadata) -> bool {
        data.len() == self.size && is_time(self.modified, modified(data))
    }

    /// Compares a file with this state, and reads it only where its size or time differs.
    pub(crate) fn compare(&self, path: &Path) -> Now {
        let Ok(data) = path.metadata() else { return Now::Other };
        if self.is_of(&data) {
            return Now::Same;
        }
        match State::of(path) {
            Ok(state) if state.content == self.content => Now::Touched(state),
            _ => Now::Other,
        }
    }
}

/// When a file was modified, in nanoseconds since 1970.
pub(crate) fn modified(data: &Metadata) -> i64 {
    data.mtime().saturating_mul(SECOND).saturating_add(data.mtime_nsec())
}

/// Whether a file that had a time has it still, where it may have been moved to another disk: archives and the
/// layers of images keep whole seconds.
pub(crate) fn is_time(was: i64, is: i64) -> bool {
    is == was || is == was - was.rem_euclid(SECOND)
}

const SECOND: i64 = 1_000_000_000;

/// When a file's content, name or rights were changed, in nanoseconds since 1970: no program can set it.
pub(crate) fn changed(data: &Metadata) -> i64 {
    data.ctime().saturating_mul(SECOND).saturating_add(data.ctime_nsec())
}

/// The bytes of a file, as a hash.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A hash over parts, each of which ends where the next begins.
pub(crate) fn hash_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())[..16].to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_file_is_read_only_where_its_size_or_time_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let state = State::of(&path).unwrap();
        assert_eq!(state.compare(&path), Now::Same);
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(matches!(state.compare(&path), Now::Touched(now) if now.content == state.content));
        fs::write(&path, "two").unwrap();
        assert_eq!(state.compare(&path), Now::Other);
        fs::remove_file(&path).unwrap();
        assert_eq!(state.compare(&path), Now::Other);
    }

    #[test]
    fn parts_of_a_hash_do_not_run_into_each_other() {
        assert_ne!(hash_of(["ab", "c"]), hash_of(["a", "bc"]));
        assert_eq!(hash_of(["ab", "c"]), hash_of(["ab", "c"]));
        assert_eq!(hash_of([]).len(), 16);
    }
}
