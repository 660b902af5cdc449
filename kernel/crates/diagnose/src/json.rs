//! What rustc writes, line by line.

use serde::Deserialize;

/// A line of rustc's output.
pub(crate) enum Line<'a> {
    Diagnostic(Box<Message>),
    /// Of no interest: an artifact, a summary, an empty line.
    Other,
    /// No JSON: rustc, or what it called, died.
    Text(&'a str),
}

/// A diagnostic.
#[derive(Debug, Deserialize)]
pub struct Message {
    /// What is said.
    pub message: String,
    /// `error`, `warning` and others.
    pub level: String,
    /// Its number, or the name of a lint.
    #[serde(default)]
    pub code: Option<Code>,
    /// The places that it is about.
    #[serde(default)]
    pub spans: Vec<Span>,
    /// Notes and help.
    #[serde(default)]
    pub children: Vec<Message>,
    /// The whole as rustc shows it.
    #[serde(default)]
    pub rendered: Option<String>,
}

/// The number of a diagnostic.
#[derive(Debug, Deserialize)]
pub struct Code {
    /// Such as `E0308`, or the name of a lint.
    pub code: String,
}

/// A place.
#[derive(Debug, Deserialize)]
pub struct Span {
    /// The file, as it was named.
    pub file_name: String,
    /// Its first byte in the file.
    pub byte_start: usize,
    /// The byte behind its last.
    pub byte_end: usize,
    /// Its first line, from 1.
    pub line_start: usize,
    /// Its last line, from 1.
    pub line_end: usize,
    /// Its first column, in characters from 1.
    pub column_start: usize,
    /// The column behind its last.
    pub column_end: usize,
    /// Whether it is where the error is.
    pub is_primary: bool,
    /// What is said about it.
    #[serde(default)]
    pub label: Option<String>,
    /// Its lines.
    #[serde(default)]
    pub text: Vec<Text>,
    /// What may stand there instead.
    #[serde(default)]
    pub suggested_replacement: Option<String>,
    /// The macro that made the code.
    #[serde(default)]
    pub expansion: Option<Box<Expansion>>,
}

impl Span {
    /// Where the code is called for that macros have made here; this place, if none has.
    pub fn called_at(&self) -> &Span {
        self.expansion.as_ref().map_or(self, |expansion| expansion.span.called_at())
    }
}

/// A line of a file.
#[derive(Debug, Deserialize)]
pub struct Text {
    /// As it stands there.
    pub text: String,
}

/// What a macro made.
#[derive(Debug, Deserialize)]
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

/// What a line is.
pub(crate) fn parse(line: &str) -> Line<'_> {
    if line.trim().is_empty() {
        return Line::Other;
    }
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
        return Line::Text(line);
    };
    if value.get("$message_type").is_some_and(|kind| kind != "diagnostic") {
        return Line::Other;
    }
    match serde_json::from_value::<Message>(value) {
        Ok(message) if is_summary(&message) => Line::Other,
        Ok(message) => Line::Diagnostic(Box::new(message)),
        Err(_) => Line::Text(line),
    }
}

/// The last words of a failed call tell nothing that was not told before.
fn is_summary(message: &Message) -> bool {
    let text = &message.message;
    let counts = text.starts_with("aborting due to")
        || text.ends_with("warning emitted")
        || text.ends_with("warnings emitted");
    message.level == "failure-note" || (message.spans.is_empty() && counts)
}
