//! What can go wrong with crates, in words for readers.

/// Why crates were not added. The session is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A crate does not compile.
    #[error("{package} does not compile:\n{rendered}")]
    Compile {
        /// Its name, version and, for one on this machine, its folder.
        package: String,
        /// What rustc says.
        rendered: String,
    },
    /// There is no such crate or version, or none that can be had.
    #[error("{0}")]
    Unavailable(String),
    /// Neither the store nor the session's own folder can be written.
    #[error("{0}")]
    NoRoom(String),
    /// Cargo or rustc was killed, or the caller has asked for it.
    #[error("interrupted")]
    Interrupted,
    /// Another error of cargo's, in its words.
    #[error("{0}")]
    Cargo(String),
    /// An error outside of cargo.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// Whether a text tells of a disk that is full or cannot be written.
pub(crate) fn tells_of_no_room(text: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "No space left on device",
        "(os error 28)",
        "File too large",
        "SIGXFSZ",
        "Disk quota exceeded",
        "Read-only file system",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}
