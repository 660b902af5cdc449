//! What a reader is told while a cell waits for a compiler.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use crate::engine::{EngineEvent, Output, Phase};
use crate::runtime::frame::Frame;
use crate::runtime::stdio;

/// evcxr names each crate that it compiles on this process's standard error. The reader wants to
/// see it: a first `:dep` may take minutes.
pub(super) fn show_compiling(shared: Arc<Shared>, output: Output) {
    stdio::take_writes(move |stream, bytes| {
        let compiling = stream == 2
            && shared.state.phase() == Phase::Compiling
            && bytes.trim_ascii_start().starts_with(b"Compiling ");
        if compiling {
            let line = [bytes, b"\n"].concat();
            output(EngineEvent::Frame(Frame::Stderr(line)));
        }
        compiling
    });
}

/// What is told about the preparation of the library. A reader sees it in a cell that waits for it, or in
/// the first one after it.
pub(super) struct Notices {
    shared: Arc<Shared>,
    output: Output,
    /// What was said while no cell was there to show it.
    unseen: Mutex<Vec<String>>,
}

impl Notices {
    pub(super) fn new(shared: Arc<Shared>, output: Output) -> Notices {
        Notices { shared, output, unseen: Mutex::default() }
    }

    pub(super) fn say(&self, line: &str) {
        log::info!("{line}");
        // The names of crates that are compiled are of interest only while they are.
        let passing = line.starts_with(char::is_whitespace);
        if !passing || self.shared.state.phase() == Phase::Compiling {
            self.unseen().push(line.to_owned());
        }
        self.show();
    }

    /// Shows what was not seen yet, if a cell is there for it.
    pub(super) fn show(&self) {
        if self.shared.state.phase() == Phase::Compiling {
            for line in self.unseen().drain(..) {
                let line = format!("{line}\n").into_bytes();
                (self.output)(EngineEvent::Frame(Frame::Stderr(line)));
            }
        }
    }

    fn unseen(&self) -> MutexGuard<'_, Vec<String>> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
