//! What is told while crates are added.

/// A line for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// Of interest while it happens: which crate is compiled, that somebody is waited for.
    Progress(&'a str),
    /// To be known afterwards, too.
    Word(&'a str),
}

impl<'a> Said<'a> {
    /// The line.
    pub fn line(self) -> &'a str {
        match self {
            Said::Progress(line) | Said::Word(line) => line,
        }
    }
}
