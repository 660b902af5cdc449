//! What a template is made of, but for what cargo looks at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::inputs::content_of;
use super::rust::rustc_version;
use crate::upstream;

/// What a template was made of. Another key is another template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// The crate, by its folder.
    pub library: PathBuf,
    /// `rustc -Vv`.
    pub rustc: String,
    /// The version of this kernel and of evcxr.
    pub kernel: String,
    /// Files that change with what the crate is built on, each by its content, as a hash; None for one
    /// that is not there. A copy of the same content has another time, and asks for no compilation: so
    /// the times of these files do not count.
    pub fingerprints: BTreeMap<PathBuf, Option<u64>>,
}

impl Key {
    /// The key of a crate, and of the files that change with what it is built on, as they are now.
    ///
    /// # Errors
    /// A folder that is no crate, and a rustc that does not run.
    pub(crate) fn of(library: &Path, fingerprints: &[PathBuf]) -> Result<Key> {
        let manifest = library.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "{} is no crate: it has no Cargo.toml; name another folder with --library",
            library.display()
        );
        let library = library.canonicalize()?;
        let fingerprints = fingerprints.iter().map(|file| {
            let file = file.canonicalize().unwrap_or_else(|_| file.clone());
            let content = content_of(&file).ok();
            (file, content)
        });
        Ok(Key {
            library,
            rustc: rustc_version()?.to_owned(),
            kernel: format!("{} on evcxr {}", env!("CARGO_PKG_VERSION"), upstream::version()),
            fingerprints: fingerprints.collect(),
        })
    }

    /// A file by which the two keys differ.
    pub(super) fn other_fingerprint(&self, other: &Key) -> Option<PathBuf> {
        let differs = |a: &Key, b: &Key| {
            let found =
                a.fingerprints.iter().find(|(file, said)| b.fingerprints.get(*file) != Some(said));
            found.map(|(file, _)| file.clone())
        };
        differs(self, other).or_else(|| differs(other, self))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_crate_has_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let error = Key::of(folder.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("is no crate"), "{error}");
        fs::write(folder.path().join("Cargo.toml"), "[package]").unwrap();
        assert_eq!(Key::of(folder.path(), &[]).unwrap(), Key::of(folder.path(), &[]).unwrap());
    }

    #[test]
    fn a_file_that_stands_for_a_c_library_counts_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[package]").unwrap();
        let file = folder.path().canonicalize().unwrap().join("version");
        let key = || Key::of(folder.path(), std::slice::from_ref(&file)).unwrap();
        let (missing, _) = (key(), fs::write(&file, "1").unwrap());
        let first = key();
        assert_eq!(missing.other_fingerprint(&first), Some(file.clone()));
        // Written anew, as by a reinstallation.
        fs::remove_file(&file).unwrap();
        fs::write(&file, "1").unwrap();
        assert_eq!(first.other_fingerprint(&key()), None);
        assert_eq!(first, key());
        fs::write(&file, "2").unwrap();
        assert_eq!(first.other_fingerprint(&key()), Some(file.clone()));
        let none = Key::of(folder.path(), &[]).unwrap();
        assert_eq!(none.other_fingerprint(&first), Some(file));
    }
}
