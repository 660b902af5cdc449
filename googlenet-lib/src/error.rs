//! The one error type of the library. Every message names the file or the value, what is wrong
//! with it, and what to do.

use std::path::{Path, PathBuf};

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this library.
#[derive(thiserror::Error)]
#[non_exhaustive]
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
    /// The training loss is not a number any more; the weights are lost.
    #[error(
        "the loss is {loss} at step {step}: start again from fresh weights with a learning rate \
         under {learning_rate}"
    )]
    Diverged {
        /// Number of the step, from 1.
        step: usize,
        /// The loss.
        loss: f32,
        /// Learning rate of the step.
        learning_rate: f32,
    },
    /// A picture could not be drawn, encoded or written.
    #[error(transparent)]
    Plot(#[from] charts::Error),
    /// A device has no such name, or is not there.
    #[error(transparent)]
    Device(#[from] devices::Error),
    /// An operation of libtorch's, or one beside them, failed.
    #[error(transparent)]
    Operation(#[from] fused_ops::Error),
    /// A table cannot hold this.
    #[error(transparent)]
    Table(#[from] notebook::Error),
    /// libtorch reported an error.
    #[error("libtorch: {}", fused_ops::explained(.0))]
    Torch(#[from] tch::TchError),
    /// JSON could not be written or read.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the JSON reader or writer said.
        source: serde_json::Error,
    },
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<vision_data::Error> for Error {
    fn from(error: vision_data::Error) -> Error {
        use vision_data::Error as Of;
        match error {
            Of::Io { path, source } => Error::Io { path, source },
            Of::Data { path, problem, remedy } => Error::Data { path, problem, remedy },
            Of::Download { url, problem, remedy } => Error::Download { url, problem, remedy },
            Of::Invalid { what, value, remedy } => Error::Invalid { what, value, remedy },
            Of::Torch(error) => Error::Torch(error),
        }
    }
}

impl Error {
    /// For `map_err`: an I/O error with the path that it concerns.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// A value that the caller gave and that cannot be used.
    pub(crate) fn invalid(
        what: impl Into<String>,
        value: impl std::fmt::Display,
        remedy: impl Into<String>,
    ) -> Error {
        Error::Invalid { what: what.into(), value: value.to_string(), remedy: remedy.into() }
    }
}
