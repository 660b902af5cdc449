//! From rustc's diagnostics to what a reader of a notebook sees.
//!
//! The program that rustc compiles is not what the reader wrote: generated code stands before,
//! between and behind the reader's lines. [`read`] leads every place back to the reader's text,
//! leaves out what is about the generated code alone, and draws the rest as rustc does.
//!
//! A file is the kernel's own if `rust_live` occurs in its path; so is a name that begins with
//! `rust_live` or `__rust_live`.

mod context;
mod draft;
mod draw;
mod json;
mod locate;
mod words;

use std::ops::Range;

pub use json::{Code, Expansion, Message, Span, Text};

/// What rustc is to be called with, so that [`read`] understands it.
pub const OPTIONS: [&str; 1] = ["--error-format=json"];

/// A stretch of the reader's text that was replaced before rustc saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Bytes of the reader's text; empty where something was only inserted.
    pub range: Range<usize>,
    /// How many bytes stand there instead.
    pub len: usize,
}

/// A file that rustc reads, and what of it is the reader's.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name by which rustc calls it, such as `cell 7`.
    pub name: &'a str,
    /// The number of the cell.
    pub cell: usize,
    /// What the reader wrote.
    pub text: &'a str,
    /// How many bytes of generated code stand before the reader's first character.
    pub prefix: usize,
    /// What was changed within the reader's text, in the order of the text, without overlap.
    pub edits: &'a [Edit],
}

/// All that is known of the program.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The cell that is being compiled.
    pub cell: usize,
    /// The files with cells, each once.
    pub files: &'a [Source<'a>],
    /// The names of the notebook's variables, those of this cell among them.
    pub variables: &'a [&'a str],
    /// The names of variables whose values cells have moved.
    pub moved: &'a [&'a str],
    /// The names of variables that are none any more for another reason.
    pub lost: &'a [&'a str],
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The cell cannot run.
    Error,
    /// The cell runs.
    Warning,
}

/// A place in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of the cell.
    pub cell: usize,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// What rustc has to say, in the reader's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// Such as `E0308`, or the name of a lint.
    pub code: Option<String>,
    /// The title, without level and code.
    pub message: String,
    /// Where it is, if it is anywhere in the cells.
    pub primary: Option<Place>,
    /// Whether that is in another cell than the one that is being compiled.
    pub elsewhere: bool,
    /// What the title has in backticks, in its order: names and types.
    pub names: Vec<String>,
    /// The lines to show, with ANSI colours. Those of a warning are grey.
    pub rendered: Vec<String>,
}

/// The diagnostics in rustc's output, as rustc writes them.
pub fn messages(output: &str) -> Vec<Message> {
    let diagnostics = output.lines().filter_map(|line| match json::parse(line) {
        json::Line::Diagnostic(message) => Some(*message),
        json::Line::Other | json::Line::Text(_) => None,
    });
    diagnostics.collect()
}

/// The variable of a place as rustc names it: of `*v` and of `v.field`.
pub fn variable_of(place: &str) -> &str {
    let place = place.trim_start_matches(['*', '(', '&']);
    place.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// What of rustc's output a reader is to see, in rustc's order and each once.
///
/// `output` is rustc's standard error under [`OPTIONS`]. A warning is told where it arises: those in
/// earlier cells were shown with them. If rustc fails without a diagnostic, what it wrote instead
/// is the one error.
pub fn read(output: &str, sources: &Sources<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::<Diagnostic>::new();
    let mut stray = Vec::new();
    for line in output.lines() {
        match json::parse(line) {
            json::Line::Diagnostic(message) => {
                let seen = draft::draft(&message, sources)
                    .map(|draft| draw::draw(&words::reword(draft, sources), sources));
                found.extend(seen.filter(|seen| !found.contains(seen)));
            }
            json::Line::Other => {}
            json::Line::Text(text) => stray.push(text),
        }
    }
    let failed = found.iter().any(|diagnostic| diagnostic.level == Level::Error);
    if !failed && let Some(first) = stray.iter().find(|line| !line.trim().is_empty()) {
        found.push(Diagnostic {
            level: Level::Error,
            code: None,
            message: (*first).to_owned(),
            primary: None,
            elsewhere: false,
            names: Vec::new(),
            rendered: draw::plain(&stray),
        });
    }
    found
}
