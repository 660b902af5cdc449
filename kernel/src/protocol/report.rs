//! What went wrong in a cell, as a front end shows it.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
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

    /// What the compiler says, one report for each cause, with the lines of the cell.
    pub(super) fn compilation(errors: &[Diagnostic], cell: &str) -> Vec<Report> {
        let mut reports = Vec::<Report>::new();
        for error in errors {
            let report = compilation(error, cell);
            if !reports.contains(&report) {
                reports.push(report);
            }
        }
        reports
    }

    /// A panic that ended the cell. `compiled` is the program it was in, `cells` all cells so far
    /// with their numbers, this one last.
    pub(super) fn panic(
        panic: Option<&Panic>,
        compiled: &str,
        cells: &[(usize, String)],
    ) -> Report {
        let Some(panic) = panic else { return Report::new("panic", "the cell panicked") };
        let place = place_of(panic, compiled, cells);
        let mut traceback = vec![format!("{RED}panic{RESET}: {}", panic.message)];
        match &place {
            PanicLocation::Cell { number, line, text } => {
                let this = cells.last().is_some_and(|(last, _)| last == number);
                let cell = if this { "this cell".to_owned() } else { format!("cell [{number}]") };
                traceback.push(format!("{BLUE}  --> {RESET}{cell}, line {line}"));
                traceback.push(format!("{BLUE}{line:4} | {RESET}{text}"));
            }
            PanicLocation::File(file) => traceback.push(format!("{BLUE}  --> {RESET}{file}")),
        }
        Report { name: "panic", value: panic.message.clone(), traceback }
    }

    /// The process that ran the cell has ended. `status` is what evcxr says of it.
    pub(super) fn gone(status: &str, last_words: &str) -> Report {
        let cause = cause_of(status, last_words);
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

fn compilation(error: &Diagnostic, cell: &str) -> Report {
    let Diagnostic { message, code, labels, help, note } = error;
    let title = match code {
        Some(code) => Level::ERROR.primary_title(message.clone()).id(code),
        None => Level::ERROR.primary_title(message.clone()),
    };
    let annotations = labels.iter().filter_map(|label| {
        let [start, end] = label.span.map(|(line, column)| offset(cell, line, column));
        let (start, end) = (start?, end?);
        let kind = if label.is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        Some(kind.span(start..end.max(start)).label(&label.text))
    });
    let annotations: Vec<_> = annotations.collect();
    let mut group = annotate_snippets::Group::with_title(title);
    if !annotations.is_empty() {
        group = group.element(Snippet::source(cell).path("cell").annotations(annotations));
    }
    for help in help {
        group = group.element(Level::HELP.message(help));
    }
    if let Some(note) = note {
        group = group.element(Level::NOTE.message(note));
    }
    let rendered = Renderer::styled().render(&[group]);
    Report {
        name: "compile error",
        value: message.clone(),
        traceback: rendered.lines().map(str::to_owned).collect(),
    }
}

/// Byte offset of a line and a column, both from 1 and the column in characters.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let line = line.checked_sub(1)?;
    let start = match line {
        0 => 0,
        line => text.match_indices('\n').nth(line - 1)?.0 + 1,
    };
    let rest = text[start..].split('\n').next()?;
    let within = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

enum PanicLocation {
    Cell { number: usize, line: usize, text: String },
    File(String),
}

/// Where in the cells a panic was. The compiled program holds their lines as they were written, but
/// functions and types before statements, and those of earlier cells as well: the line is looked
/// for by its text, and where it stands more than once, by the lines around it.
fn place_of(panic: &Panic, compiled: &str, cells: &[(usize, String)]) -> PanicLocation {
    let elsewhere =
        || PanicLocation::File(format!("{}:{}:{}", panic.file, panic.line, panic.column));
    if panic.file != "src/lib.rs" {
        return elsewhere();
    }
    let program: Vec<&str> = compiled.lines().map(str::trim).collect();
    let Some(index) = panic.line.checked_sub(1).filter(|index| *index < program.len()) else {
        return elsewhere();
    };
    let mut best: Option<(usize, usize, usize, &str)> = None;
    for (number, cell) in cells.iter().rev() {
        let lines: Vec<&str> = cell.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.trim() != program[index] {
                continue;
            }
            let common = agreement(&lines, at, &program, index);
            if best.is_none_or(|(most, ..)| common > most) {
                best = Some((common, *number, at + 1, line));
            }
        }
    }
    best.map_or_else(elsewhere, |(_, number, line, text)| PanicLocation::Cell {
        number,
        line,
        text: text.to_owned(),
    })
}

/// How many lines before and after agree.
fn agreement(cell: &[&str], at: usize, program: &[&str], index: usize) -> usize {
    let before = (1..=at.min(index))
        .take_while(|back| cell[at - back].trim() == program[index - back])
        .count();
    let after = cell[at + 1..]
        .iter()
        .zip(&program[index + 1..])
        .take_while(|(line, other)| line.trim() == **other)
        .count();
    before + after
}

/// Why a process has ended, in words.
fn cause_of(status: &str, last_words: &str) -> String {
    let line = status.lines().last().unwrap_or_default();
    let line = line.trim_start_matches("Subprocess terminated with status: ");
    let words = last_words.to_lowercase();
    if words.contains("has overflowed its stack") {
        "Stack overflow: a recursion without end, or a very large value on the stack".to_owned()
    } else if words.contains("memory allocation of") {
        let what = last_words.lines().find(|line| line.contains("memory allocation of"));
        format!("Out of memory: {}", what.unwrap_or_default().trim())
    } else if line.contains("signal: 9 ") {
        "The process was killed, most likely by the system for want of memory".to_owned()
    } else if line.contains("signal: 11 ") || line.contains("signal: 7 ") {
        "Segmentation fault: unsafe code or a C library used memory that is not its own".to_owned()
    } else if line.contains("signal: 6 ") {
        "The process aborted".to_owned()
    } else if line.contains("signal: 2 ") {
        "Interrupted".to_owned()
    } else if let Some(code) = line.strip_prefix("exit status: ") {
        format!("The cell ended the process with exit status {code}")
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panic_at(line: usize) -> Panic {
        Panic { file: "src/lib.rs".into(), line, column: 5, message: "oops".into() }
    }

    #[test]
    fn offsets_count_characters() {
        let cell = "let é = 1;\nlet y = é;";
        assert_eq!(offset(cell, 1, 5), Some(4));
        assert_eq!(offset(cell, 1, 7), Some(7));
        assert_eq!(offset(cell, 2, 1), Some(12));
        assert_eq!(offset(cell, 2, 99), Some(cell.len()));
        assert_eq!(offset(cell, 3, 1), None);
    }

    #[test]
    fn a_panic_is_placed_by_its_text_and_its_neighbours() {
        let compiled =
            "#![allow(x)]\nfn f() {\n    g();\n}\nextern {\nlet a = 1;\ng();\nlet b = 2;\n";
        let cells = [
            (1, "fn f() {\n    g();\n}".to_owned()),
            (2, "let a = 1;\ng();\nlet b = 2;".to_owned()),
        ];
        let traceback = Report::panic(Some(&panic_at(7)), compiled, &cells).traceback.join("\n");
        assert!(traceback.contains("this cell, line 2"), "{traceback}");
        let traceback = Report::panic(Some(&panic_at(3)), compiled, &cells).traceback.join("\n");
        assert!(traceback.contains("cell [1], line 2"), "{traceback}");
        let elsewhere = Panic { file: "/lib/x.rs".into(), ..panic_at(3) };
        let traceback = Report::panic(Some(&elsewhere), compiled, &cells).traceback.join("\n");
        assert!(traceback.contains("/lib/x.rs:3:5"), "{traceback}");
    }

    #[test]
    fn causes_are_told_in_words() {
        let status = |text: &str| format!("Subprocess terminated with status: {text}");
        let cause = |text: &str, words: &str| cause_of(&status(text), words);
        assert!(
            cause("signal: 6 (SIGABRT)", "thread main has overflowed its stack").contains("Stack")
        );
        assert!(cause("signal: 11 (SIGSEGV) (core dumped)", "").contains("Segmentation"));
        assert!(cause("exit status: 3", "").contains("exit status 3"));
        assert!(
            cause("signal: 6 (SIGABRT)", "x\nmemory allocation of 9 bytes failed")
                .contains("9 bytes")
        );
    }
}
