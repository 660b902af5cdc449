//! What can go wrong.

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library.
#[derive(thiserror::Error)]
pub enum Error {
    /// libtorch reported an error.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The state of an optimizer for other weights or of another rule.
    #[error("shape of the optimizer's state is {given}: this network and recipe have {wanted}")]
    State {
        /// The shapes that were given.
        given: String,
        /// Those that it has.
        wanted: String,
    },
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
