//! What went wrong in a cell, as a front end shows it.

use std::collections::VecDeque;

use jupyter_protocol::{ErrorOutput, ReplyError};

use crate::engine::{Diagnostic, Panic};

/// An error of a cell: its name, one line, and all that there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    name: &'static str,
    value: String,
    traceback: Vec<String>,
}

impl Report {
    /// An error that is said in one or more lines.
    pub(super) fn new(name: &'static str, text: &str) -> Report {
        let text = if text.is_empty() { "no reason was given" } else { text };
        Report {
            name,
            value: text.lines().next().unwrap_or_default().to_owned(),
            traceback: format!("{RED}{name}{RESET}: {text}").lines().map(str::to_owned).collect(),
        }
    }

    /// What the compiler says, with the lines of the cell.
    pub(super) fn compilation(error: &Diagnostic) -> Report {
        Report {
            name: "compile error",
            value: error.message.clone(),
            traceback: error.rendered.clone(),
        }
    }

    /// A panic that ended the cell. `cells` are all cells so far with their numbers.
    pub(super) fn panic(panic: Option<&Panic>, cells: &VecDeque<(usize, String)>) -> Report {
        let Some(panic) = panic else { return Report::new("panic", "the cell panicked") };
        let Panic { place, called_at, message, backtrace } = panic;
        let mut traceback: Vec<String> =
            format!("{RED}panic{RESET}: {message}").lines().map(str::to_owned).collect();
        let place = Some(place).filter(|place| !place.file.is_empty());
        for (place, arrow) in [(place, "  --> "), (called_at.as_ref(), "  called at ")] {
            let Some(place) = place else { continue };
            traceback.push(format!("{BLUE}{arrow}{RESET}{place}"));
            let number: Option<usize> =
                place.file.strip_prefix("cell ").and_then(|number| number.parse().ok());
            let cell = cells.iter().rev().find(|(of, _)| Some(*of) == number);
            let line = place.line;
            if let Some(text) = cell.and_then(|(_, cell)| cell.lines().nth(line.saturating_sub(1)))
            {
                traceback.push(format!("{BLUE}{line:4} | {RESET}{text}"));
            }
        }
        traceback.extend(backtrace.iter().flat_map(|text| text.lines()).map(str::to_owned));
        Report { name: "panic", value: message.clone(), traceback }
    }

    /// The process that ran the cell has ended. `how` is the end of a sentence.
    pub(super) fn gone(how: &str, last_words: &str) -> Report {
        let cause = cause_of(how, last_words);
        let text = format!(
            "{cause}. The process that ran the cells has ended and all variables are gone; \
             functions, types and imports are kept"
        );
        Report::new("process ended", &text)
    }

    /// For the front end.
    pub(super) fn output(&self) -> ErrorOutput {
        ErrorOutput {
            ename: self.name.to_owned(),
            evalue: self.value.clone(),
            traceback: self.traceback.clone(),
        }
    }

    /// For the reply.
    pub(super) fn reply(&self) -> Box<ReplyError> {
        let ErrorOutput { ename, evalue, traceback } = self.output();
        Box::new(ReplyError { ename, evalue, traceback })
    }
}

const RED: &str = "\x1b[1;31m";
const BLUE: &str = "\x1b[1;34m";
const RESET: &str = "\x1b[0m";

/// Why a process has ended, in words.
fn cause_of(how: &str, last_words: &str) -> String {
    let words = last_words.to_lowercase();
    if words.contains("stack overflow") || words.contains("has overflowed its stack") {
        "Stack overflow: a recursion without end, or a very large value on the stack".to_owned()
    } else if words.contains("memory allocation of") {
        let what = last_words.lines().find(|line| line.contains("memory allocation of"));
        format!("Out of memory: {}", what.unwrap_or_default().trim())
    } else if how.contains("SIGKILL") {
        "The process was killed, most likely by the system for want of memory".to_owned()
    } else if how.contains("SIGSEGV") || how.contains("SIGBUS") {
        "Segmentation fault: unsafe code or a C library used memory that is not its own".to_owned()
    } else if how.contains("SIGABRT") {
        "The process aborted".to_owned()
    } else if let Some((_, code)) = how.split_once("exited with code ") {
        format!("The cell ended the process with exit status {code}")
    } else {
        format!("The process {how}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Place;

    #[test]
    fn a_panic_is_shown_with_the_line_of_its_cell() {
        let cells = VecDeque::from([(1, "f()".to_owned()), (2, "let a = 1;\ng();".to_owned())]);
        let place = |file: &str| Place { file: file.into(), line: 2, column: 1 };
        let panic = |file: &str| Panic {
            place: place(file),
            called_at: (file == "/lib/x.rs").then(|| place("cell 2")),
            message: "oops".into(),
            backtrace: None,
        };
        let traceback = Report::panic(Some(&panic("cell 2")), &cells).traceback.join("\n");
        assert!(traceback.contains("cell 2:2:1") && traceback.contains("g();"), "{traceback}");
        let traceback = Report::panic(Some(&panic("/lib/x.rs")), &cells).traceback.join("\n");
        assert!(traceback.contains("/lib/x.rs:2:1"), "{traceback}");
        assert!(traceback.contains("cell 2:2:1") && traceback.contains("g();"), "{traceback}");
    }

    #[test]
    fn causes_are_told_in_words() {
        let aborted = "was ended by SIGABRT: it has aborted";
        assert!(cause_of(aborted, "thread main has overflowed its stack").contains("Stack"));
        assert!(cause_of("was ended by SIGSEGV: x", "").contains("Segmentation"));
        assert!(cause_of("exited with code 3", "").contains("exit status 3"));
        let cause = cause_of(aborted, "x\nmemory allocation of 9 bytes failed");
        assert!(cause.contains("9 bytes"));
    }
}
