//! What a reader is told beside what cells write: dimmed, on standard error.

use std::sync::{Arc, Mutex};

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
}

impl Notices {
    pub(super) fn new(shared: Arc<Shared>, output: Output) -> Notices {
        Notices { shared, output, unseen: Arc::default() }
    }

    /// Says what is of interest only while it happens: the names of crates that are compiled.
    pub(super) fn pass(&self, line: &str) {
        log::info!("{line}");
        if self.shared.state.phase() == Phase::Compiling {
            self.show_one(line);
        }
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
        (self.output)(dimmed(line));
    }
}

/// Lines in grey, on standard error.
pub(super) fn dimmed(text: &str) -> EngineEvent {
    let line = |line: &str| format!("{DIM}{line}{RESET}\n");
    EngineEvent::Stderr(text.lines().map(line).collect::<String>().into_bytes())
}
