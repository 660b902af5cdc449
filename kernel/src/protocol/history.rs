//! The cells that were run, of this session and of earlier ones.
//!
//! One file of JSON lines in the person's state directory. Kernels that run at once append to it
//! under a lock; a line that cannot be read is passed over.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jupyter_protocol::{HistoryEntry, HistoryRequest};
use serde::{Deserialize, Serialize};
use shared::files;

/// Beyond twice as many cells the oldest are forgotten.
const KEEP: usize = 5_000;
const LOCK: &str = "history.lock";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    session: usize,
    line: usize,
    input: String,
    output: Option<String>,
}

/// The history, open for this session.
#[derive(Debug)]
pub(crate) struct History {
    file: PathBuf,
    session: usize,
}

impl History {
    /// Opens the history in `folder`, which is made if there is none, and begins a session.
    ///
    /// # Errors
    /// A folder or file that cannot be read or written.
    pub(crate) fn open(folder: &Path) -> Result<History> {
        fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        let file = folder.join("history.jsonl");
        let _lock = files::lock(&folder.join(LOCK), || ())?;
        let mut entries = read(&file)?;
        let session = 1 + entries.last().map_or(0, |entry| entry.session);
        if entries.len() > 2 * KEEP {
            entries.drain(..entries.len() - KEEP);
            files::replace(&file, lines(&entries)?.as_bytes())?;
        }
        // Takes the session's number, so that no other kernel gets it.
        append(&file, &Entry { session, line: 0, input: String::new(), output: None })?;
        Ok(History { file, session })
    }

    /// Adds a cell.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn add(&self, line: usize, input: &str, output: Option<String>) -> Result<()> {
        let _lock = files::lock(&self.file.with_file_name(LOCK), || ())?;
        append(&self.file, &Entry { session: self.session, line, input: input.into(), output })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn answer(&self, request: &HistoryRequest) -> Result<Vec<HistoryEntry>> {
        let mut entries = read(&self.file)?;
        entries.retain(|entry| entry.line > 0);
        let (entries, output) = match request {
            HistoryRequest::Tail { n, output, .. } => (last(entries, *n), *output),
            HistoryRequest::Range { session, start, stop, output, .. } => {
                // 0 and less count back from this session.
                let session = session.unwrap_or(0);
                let session = match usize::try_from(session) {
                    Ok(session) if session > 0 => session,
                    _ => self.session.saturating_sub(session.unsigned_abs() as usize),
                };
                let start = usize::try_from(*start).unwrap_or(0);
                let stop = usize::try_from(*stop).ok().filter(|stop| *stop > 0);
                entries.retain(|entry| {
                    entry.session == session
                        && entry.line >= start
                        && stop.is_none_or(|stop| entry.line < stop)
                });
                (entries, *output)
            }
            HistoryRequest::Search { pattern, unique, output, n, .. } => {
                entries.retain(|entry| matches(pattern, &entry.input));
                if *unique {
                    // The newest of equal cells stays.
                    let mut known = HashSet::new();
                    entries.reverse();
                    entries.retain(|entry| known.insert(entry.input.clone()));
                    entries.reverse();
                }
                (last(entries, *n), *output)
            }
        };
        let answer = |entry: Entry| match (output, entry.output) {
            (true, text) => HistoryEntry::InputOutput(
                entry.session,
                entry.line,
                (entry.input, text.unwrap_or_default()),
            ),
            (false, _) => HistoryEntry::Input(entry.session, entry.line, entry.input),
        };
        Ok(entries.into_iter().map(answer).collect())
    }
}

/// The last `n` entries; all of them if `n` is not given, which the protocol says as 0 or less.
fn last(mut entries: Vec<Entry>, n: i32) -> Vec<Entry> {
    if let Ok(n) = usize::try_from(n)
        && n > 0
    {
        entries.drain(..entries.len().saturating_sub(n));
    }
    entries
}

/// Whether a text matches a pattern of `*` (any text) and `?` (any character), as in IPython.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and how much of the text it takes.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(character) if *character == '?' || *character == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

fn read(file: &Path) -> Result<Vec<Entry>> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.with_context(|| format!("{} cannot be read", file.display()))?,
    };
    let lines = BufReader::new(opened).lines();
    Ok(lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect())
}

fn append(file: &Path, entry: &Entry) -> Result<()> {
    let mut line = serde_json::to_string(entry)?;
    // A line that a killed kernel left without its end must not swallow this one.
    line.insert(0, '\n');
    line.push('\n');
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("{} cannot be written", file.display()))
}

fn lines(entries: &[Entry]) -> Result<String> {
    let lines: Result<Vec<String>, _> = entries.iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(history: &History, request: &HistoryRequest) -> Vec<String> {
        let entries = history.answer(request).unwrap();
        let input = |entry| match entry {
            HistoryEntry::Input(_, _, input) => input,
            HistoryEntry::InputOutput(_, _, (input, output)) => format!("{input} -> {output}"),
        };
        entries.into_iter().map(input).collect()
    }

    fn search(pattern: &str, unique: bool) -> HistoryRequest {
        HistoryRequest::Search { pattern: pattern.into(), unique, output: false, raw: true, n: 0 }
    }

    fn range(session: i32, start: i32, stop: i32) -> HistoryRequest {
        HistoryRequest::Range { session: Some(session), start, stop, output: false, raw: true }
    }

    #[test]
    fn tail_range_and_search_over_two_sessions() {
        let folder = tempfile::tempdir().unwrap();
        let first = History::open(folder.path()).unwrap();
        first.add(1, "let a = 1;", None).unwrap();
        first.add(2, "a + 1", Some("2".into())).unwrap();
        let second = History::open(folder.path()).unwrap();
        second.add(1, "let a = 1;", None).unwrap();

        let tail = |n, output| HistoryRequest::Tail { n, output, raw: true };
        assert_eq!(inputs(&second, &tail(2, false)), ["a + 1", "let a = 1;"]);
        assert_eq!(inputs(&second, &tail(2, true)), ["a + 1 -> 2", "let a = 1; -> "]);
        assert_eq!(inputs(&second, &range(0, 1, 10)), ["let a = 1;"]);
        assert_eq!(inputs(&second, &range(1, 2, 3)), ["a + 1"]);
        assert_eq!(inputs(&second, &range(-1, 1, 2)), ["let a = 1;"]);
        assert_eq!(inputs(&second, &search("let*", false)).len(), 2);
        assert_eq!(inputs(&second, &search("let ? = ?;", true)).len(), 1);
        assert!(inputs(&second, &search("b*", false)).is_empty());
    }

    #[test]
    fn a_damaged_line_costs_that_line_alone() {
        let folder = tempfile::tempdir().unwrap();
        History::open(folder.path()).unwrap().add(1, "kept", None).unwrap();
        let mut file =
            OpenOptions::new().append(true).open(folder.path().join("history.jsonl")).unwrap();
        file.write_all(b"{\"session\":1,\"li").unwrap();
        let history = History::open(folder.path()).unwrap();
        history.add(1, "kept too", None).unwrap();
        assert_eq!(inputs(&history, &search("*", false)), ["kept", "kept too"]);
        assert_eq!(history.session, 2);
    }

    #[test]
    fn the_oldest_cells_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |line| Entry { session: 1, line, input: "x".into(), output: None };
        let all: Vec<Entry> = (1..=2 * KEEP + 1).map(entry).collect();
        fs::write(folder.path().join("history.jsonl"), lines(&all).unwrap()).unwrap();
        let history = History::open(folder.path()).unwrap();
        assert_eq!(history.session, 2);
        let kept = read(&history.file).unwrap();
        // The new session's own entry comes on top.
        assert_eq!(kept.len(), KEEP + 1);
        assert_eq!(kept[KEEP - 1].line, 2 * KEEP + 1);
    }

    #[test]
    fn patterns() {
        for (pattern, text) in [("a*c", "abbc"), ("*", ""), ("?b*", "ab"), ("*b*b", "abcb")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*c", "ab"), ("?", "")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
