//! What can go wrong.

use std::path::{Path, PathBuf};

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library. Every message names the file or the value, what is wrong with it,
/// and what to do.
#[derive(thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or directory was read, but does not hold what it should.
    #[error("{}: {problem}; {remedy}", path.display())]
    Data {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong, with the offset or the value.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A download failed. What was received whole is kept for the next try.
    #[error("download of {url}: {problem}; {remedy}")]
    Download {
        /// The address.
        url: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A value that the caller gave cannot be used.
    #[error("{what} is {value}: {remedy}")]
    Invalid {
        /// Which value.
        what: String,
        /// What it is.
        value: String,
        /// What it should be.
        remedy: String,
    },
    /// libtorch reported an error.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// For `map_err`: an I/O error with the path that it concerns.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    pub(crate) fn invalid(
        what: impl Into<String>,
        value: impl std::fmt::Display,
        remedy: impl Into<String>,
    ) -> Error {
        Error::Invalid { what: what.into(), value: value.to_string(), remedy: remedy.into() }
    }
}
