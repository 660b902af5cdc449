//! Showing things: what is shown, where, and how it is replaced.

use std::io::{IsTerminal as _, Write as _};

use serde_json::{Map, Value, json};

/// Width of a notebook's page, in pixels: what is wider is scaled down or cut off.
pub const PAGE_WIDTH: u32 = 960;

/// Where this program runs, as far as showing things is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A kernel that sends Jupyter messages as they come.
    Live,
    /// evcxr_jupyter, which shows content at the end of a cell.
    EndOfCell,
    /// A terminal.
    Terminal,
    /// A file, a pipe, a log.
    Plain,
}

impl Place {
    /// Where this program runs.
    pub fn here() -> Place {
        if std::env::var_os("EVCXR_JUPYTER_MESSAGES").is_some() {
            Place::Live
        } else if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
            Place::EndOfCell
        } else if std::io::stderr().is_terminal() {
            Place::Terminal
        } else {
            Place::Plain
        }
    }

    /// Whether it is a notebook.
    pub fn is_notebook(self) -> bool {
        matches!(self, Place::Live | Place::EndOfCell)
    }
}

/// Something that a notebook can show.
pub trait Show {
    /// The same thing in several ways, by MIME type; a notebook takes the richest that it can show.
    fn content(&self) -> Vec<(&'static str, String)>;
}

/// HTML, shown as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html(pub String);

impl Show for Html {
    fn content(&self) -> Vec<(&'static str, String)> {
        vec![("text/html", self.0.clone())]
    }
}

impl Show for str {
    fn content(&self) -> Vec<(&'static str, String)> {
        vec![("text/plain", self.to_owned())]
    }
}

impl Show for String {
    fn content(&self) -> Vec<(&'static str, String)> {
        self.as_str().content()
    }
}

/// An error is shown as its words.
impl<S: Show, E: std::fmt::Display> Show for Result<S, E> {
    fn content(&self) -> Vec<(&'static str, String)> {
        match self {
            Ok(value) => value.content(),
            Err(error) => {
                let words = escape(&error.to_string());
                let style = "border-left:3px solid #d03b3b;padding-left:0.6em;white-space:pre-wrap";
                vec![
                    ("text/html", format!("<div style=\"{style}\">{words}</div>")),
                    ("text/plain", format!("error: {error}")),
                ]
            }
        }
    }
}

/// Something that was shown and can be replaced.
#[derive(Debug)]
pub struct DisplayHandle {
    place: Place,
    /// Random: a counter would begin anew in every cell.
    id: String,
}

/// Shows something now.
pub fn display<S: Show + ?Sized>(value: &S) -> DisplayHandle {
    let handle =
        DisplayHandle { place: Place::here(), id: format!("{:032x}", rand::random::<u128>()) };
    match handle.place {
        Place::Live => handle.send("display_data", value),
        Place::EndOfCell => at_end_of_cell(value),
        Place::Terminal | Place::Plain => {
            if let Some((_, text)) =
                value.content().into_iter().find(|(kind, _)| *kind == "text/plain")
            {
                println!("{text}");
            }
        }
    }
    handle
}

impl DisplayHandle {
    /// Shows something else in its place.
    pub fn update<S: Show + ?Sized>(&self, value: &S) {
        match self.place {
            Place::Live => self.send("update_display_data", value),
            Place::EndOfCell => at_end_of_cell(value),
            Place::Terminal | Place::Plain => {}
        }
    }

    fn send<S: Show + ?Sized>(&self, kind: &str, value: &S) {
        let data: Map<String, Value> = value
            .content()
            .into_iter()
            .map(|(kind, body)| (kind.to_owned(), as_sent(kind, body)))
            .collect();
        let content =
            json!({ "data": data, "metadata": {}, "transient": { "display_id": self.id } });
        // JSON holds no newline of its own, and one line is one message. Standard output that is
        // gone has nobody who could be told.
        let mut out = std::io::stdout().lock();
        let _ =
            writeln!(out, "EVCXR_JUPYTER_MESSAGE {}", json!({ "type": kind, "content": content }));
        let _ = out.flush();
    }
}

/// What is JSON is sent as such, all else as text.
fn as_sent(kind: &str, body: String) -> Value {
    let json = kind.ends_with("json").then(|| serde_json::from_str(&body).ok());
    json.flatten().unwrap_or_else(|| body.into())
}

/// Shows something as evcxr shows the value that a cell ends in, which is what `evcxr_display` of a type
/// does: at the end of the cell, and not to be replaced.
pub fn at_end_of_cell<S: Show + ?Sized>(value: &S) {
    for (kind, body) in value.content() {
        println!("EVCXR_BEGIN_CONTENT {kind}\n{body}\nEVCXR_END_CONTENT");
    }
}

/// Text as it stands in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_as_its_words() {
        let shown: Result<String, &str> = Err("1 < 2");
        let [(_, html), (_, text)] = &shown.content()[..] else { panic!("two ways") };
        assert!(html.contains("1 &lt; 2"), "{html}");
        assert_eq!(text, "error: 1 < 2");
        assert_eq!(Ok::<_, &str>(text.clone()).content(), text.content());
    }

    #[test]
    fn json_is_sent_as_json_and_text_as_text() {
        assert_eq!(as_sent("application/a+json", "[1]".into()), json!([1]));
        assert_eq!(as_sent("application/json", "[1".into()), json!("[1"));
        assert_eq!(as_sent("text/plain", "1".into()), json!("1"));
    }
}
