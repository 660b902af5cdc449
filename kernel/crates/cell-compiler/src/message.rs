//! rustc's messages, as far as they tell what to do about a cell.

use serde::Deserialize;

/// One message.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// What is said.
    pub message: String,
    /// Its number.
    pub code: Option<Code>,
    /// `error`, `warning`.
    pub level: String,
    /// The places that it is about.
    pub spans: Vec<Span>,
    /// Notes and help.
    #[serde(default)]
    pub children: Vec<Message>,
}

/// The number of a message.
#[derive(Debug, Clone, Deserialize)]
pub struct Code {
    /// Such as `E0308`, or the name of a lint.
    pub code: String,
}

/// A place.
#[derive(Debug, Clone, Deserialize)]
pub struct Span {
    /// The file, as it was named.
    pub file_name: String,
    /// Its first line, from 1.
    pub line_start: usize,
    /// Its first column, from 1.
    pub column_start: usize,
    /// Whether it is where the error is.
    pub is_primary: bool,
    /// What is said about it.
    #[serde(default)]
    pub label: Option<String>,
    /// The macro that made the code.
    pub expansion: Option<Box<Expansion>>,
}

/// What a macro made.
#[derive(Debug, Clone, Deserialize)]
pub struct Expansion {
    /// Where it was called.
    pub span: Span,
}

impl Message {
    /// Its number, or nothing.
    pub fn number(&self) -> &str {
        self.code.as_ref().map_or("", |code| &code.code)
    }

    /// All places that it and its notes are about, those of macros' calls as well.
    pub fn places(&self) -> Vec<&Span> {
        let mut places = Vec::new();
        for span in self.spans.iter().chain(self.children.iter().flat_map(|child| &child.spans)) {
            let mut next = Some(span);
            while let Some(span) = next {
                places.push(span);
                next = span.expansion.as_ref().map(|expansion| &expansion.span);
            }
        }
        places
    }
}

/// The messages among some lines.
pub(crate) fn read(lines: &str) -> Vec<Message> {
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
