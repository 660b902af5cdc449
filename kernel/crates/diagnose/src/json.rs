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

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) message: String,
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) code: Option<Code>,
    #[serde(default)]
    pub(crate) spans: Vec<Span>,
    #[serde(default)]
    pub(crate) children: Vec<Message>,
    #[serde(default)]
    pub(crate) rendered: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Code {
    pub(crate) code: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Span {
    pub(crate) file_name: String,
    pub(crate) byte_start: usize,
    pub(crate) byte_end: usize,
    pub(crate) line_start: usize,
    pub(crate) line_end: usize,
    pub(crate) column_start: usize,
    pub(crate) column_end: usize,
    pub(crate) is_primary: bool,
    #[serde(default)]
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) text: Vec<Text>,
    #[serde(default)]
    pub(crate) suggested_replacement: Option<String>,
    #[serde(default)]
    pub(crate) expansion: Option<Box<Expansion>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Text {
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expansion {
    pub(crate) span: Span,
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
