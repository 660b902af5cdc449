//! What can go wrong.

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A row that does not go with its table's header.
    #[error("number of cells in a row is {cells}: the table has {columns} columns")]
    Row {
        /// The cells of the row.
        cells: usize,
        /// The columns of the table.
        columns: usize,
    },
    /// A value from which no control can be made.
    #[error("{what} of '{control}' is {value}: {remedy}")]
    Control {
        /// Name of the control.
        control: String,
        /// Which value.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        remedy: &'static str,
    },
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
