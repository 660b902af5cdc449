//! What can go wrong.

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library.
#[derive(thiserror::Error)]
pub enum Error {
    /// A name of no device, or of one that is not there.
    #[error("{what} is {value}: {remedy}")]
    Invalid {
        /// What names it.
        what: String,
        /// The name.
        value: String,
        /// What it should be, or what stands in the way.
        remedy: String,
    },
    /// libtorch reported an error.
    #[error(transparent)]
    Torch(#[from] fused_ops::Error),
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Error {
    pub(crate) fn invalid(what: &str, value: &str, remedy: impl Into<String>) -> Error {
        Error::Invalid { what: what.into(), value: value.into(), remedy: remedy.into() }
    }
}
