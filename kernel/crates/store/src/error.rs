//! What can go wrong with crates, in words for readers.

use std::path::Path;

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

/// Whether a text tells of a program that wrote to memory that is a file: on a full disk, that is how a
/// linker ends.
pub(crate) fn tells_of_a_bus_error(text: &str) -> bool {
    text.contains("Bus error") || text.contains("SIGBUS")
}

/// Whether a library may be what did not fit on the disk of a folder.
pub(crate) fn is_full(folder: &Path) -> bool {
    const LIBRARY: u64 = 64 << 20;
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail * disk.f_frsize < LIBRARY)
}
