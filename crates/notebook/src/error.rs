//! What can go wrong.

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A row that does not go with its table's header.
    #[error("number of cells in a row is {cells}: the table has {columns} columns")]
    Row {
        /// The cells of the row.
        cells: usize,
        /// The columns of the table.
        columns: usize,
    },
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
