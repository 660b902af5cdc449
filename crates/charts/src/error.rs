//! What can go wrong.

use std::path::{Path, PathBuf};

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library.
#[derive(thiserror::Error)]
pub enum Error {
    /// A value that the caller gave cannot be drawn.
    #[error("{what} is {value}: {remedy}")]
    Invalid {
        /// Which value.
        what: String,
        /// What it is.
        value: String,
        /// What it should be.
        remedy: String,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A picture could not be drawn or encoded.
    #[error("plot: {0}")]
    Drawing(String),
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// For `map_err`: what plotters or the encoder says.
    pub(crate) fn drawing(error: impl std::fmt::Display) -> Error {
        Error::Drawing(error.to_string())
    }

    /// For `map_err`: an I/O error with the file that it concerns.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn invalid(
        what: impl Into<String>,
        value: impl std::fmt::Display,
        remedy: impl Into<String>,
    ) -> Error {
        Error::Invalid { what: what.into(), value: value.to_string(), remedy: remedy.into() }
    }
}
