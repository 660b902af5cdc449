//! What a template is made of, but for what cargo looks at.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::rust::rustc_version;

/// What a template was made of. Another key is another template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The crate, by its folder.
    pub library: PathBuf,
    /// `rustc -Vv`.
    pub rustc: String,
    /// The version of this kernel and of evcxr.
    pub kernel: String,
    /// Where libtorch lies, and which one it is.
    pub libtorch: String,
}

impl Key {
    /// The key of a crate as it is now.
    ///
    /// # Errors
    /// A folder that is no crate, and a rustc that does not run.
    pub fn of(library: &Path) -> Result<Key> {
        let manifest = library.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "{} is no crate: it has no Cargo.toml; name another folder with --library",
            library.display()
        );
        let library = library.canonicalize()?;
        let libtorch = std::env::var("LIBTORCH").unwrap_or_default();
        let version = Path::new(&libtorch).join("version.py");
        let version = fs::read_to_string(version).unwrap_or_default();
        Ok(Key {
            library,
            rustc: rustc_version()?.to_owned(),
            kernel: format!("{} on evcxr 0.22", env!("CARGO_PKG_VERSION")),
            libtorch: format!("{libtorch} {version}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crate_has_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let error = Key::of(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no crate"), "{error}");
        fs::write(folder.path().join("Cargo.toml"), "[package]").unwrap();
        assert_eq!(Key::of(folder.path()).unwrap(), Key::of(folder.path()).unwrap());
    }
}
