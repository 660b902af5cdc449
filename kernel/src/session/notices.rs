//! What a reader is told beside what cells write: dimmed, on standard error.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use cell_store::Said;

use super::{Shared, lock};
use crate::engine::{EngineEvent, Output, Phase};

/// Grey rather than faint, which JupyterLab does not show.
const DIM: &str = "\x1b[90m";
const RESET: &str = "\x1b[0m";

/// A reader sees it in the cell that is evaluated, or in the next one.
#[derive(Clone)]
pub(super) struct Notices {
    shared: Arc<Shared>,
    output: Output,
    /// What was said while no cell was there to show it.
    unseen: Arc<Mutex<Vec<String>>>,
    progress: Arc<Mutex<Option<Progress>>>,
}

/// Crates that are made ready.
struct Progress {
    since: Instant,
    compiled: usize,
    /// How many characters the line takes that shows it; 0 as long as none was shown.
    width: usize,
    /// Whether what is shown next stands in that line.
    is_open: bool,
}

impl Notices {
    pub(super) fn new(shared: Arc<Shared>, output: Output) -> Notices {
        Notices { shared, output, unseen: Arc::default(), progress: Arc::default() }
    }

    /// Says what is told of crates that are made ready, to the end of which
    /// [`have_told`](Notices::have_told) puts a word. Progress takes one line, whatever there is of it.
    pub(super) fn tell(&self, said: Said<'_>) {
        let line = match said {
            Said::Word(line) => return self.say(line),
            Said::Progress(line) => line,
        };
        log::info!("{line}");
        let mut progress = lock(&self.progress);
        let begun = Progress { since: Instant::now(), compiled: 0, width: 0, is_open: false };
        let now = progress.get_or_insert(begun);
        now.compiled += usize::from(line.starts_with("Compiling "));
        if self.shared.state.phase() == Phase::Compiling {
            now.width = now.width.max(line.chars().count());
            now.is_open = true;
            self.show_over(line, now.width, "");
        }
    }

    /// The crates are ready, or cannot be had.
    pub(super) fn have_told(&self) {
        let Some(done) = lock(&self.progress).take().filter(|done| done.width > 0) else { return };
        let seconds = done.since.elapsed().as_secs_f64();
        match done.compiled {
            0 if done.is_open => {
                // The last line stays.
                (self.output)(EngineEvent::Stderr(b"\n".to_vec()));
            }
            0 => {}
            count => {
                let crates = if count == 1 { "crate" } else { "crates" };
                let words = format!("Compiled {count} {crates} in {seconds:.0} s");
                self.show_over(&words, done.width, "\n");
            }
        }
    }

    /// Shows a line in place of the one that stands there.
    fn show_over(&self, line: &str, width: usize, end: &str) {
        let text = format!("\r{DIM}{line:<width$}{RESET}{end}");
        (self.output)(EngineEvent::Stderr(text.into_bytes()));
    }

    pub(super) fn say(&self, line: &str) {
        log::info!("{line}");
        lock(&self.unseen).push(line.to_owned());
        self.show();
    }

    /// Shows what was not seen yet, if a cell is there for it.
    pub(super) fn show(&self) {
        if self.shared.state.phase() == Phase::Compiling {
            for line in lock(&self.unseen).drain(..) {
                self.show_one(&line);
            }
        }
    }

    /// Lines that have colours of their own.
    pub(super) fn coloured(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        (self.output)(EngineEvent::Stderr(text.into_bytes()));
    }

    fn show_one(&self, line: &str) {
        let mut progress = lock(&self.progress);
        if let Some(now) = progress.as_mut().filter(|now| now.is_open) {
            self.show_over(line, now.width, "\n");
            now.is_open = false;
        } else {
            (self.output)(dimmed(line));
        }
    }
}

/// Lines in grey, on standard error.
pub(super) fn dimmed(text: &str) -> EngineEvent {
    let line = |line: &str| format!("{DIM}{line}{RESET}\n");
    EngineEvent::Stderr(text.lines().map(line).collect::<String>().into_bytes())
}
