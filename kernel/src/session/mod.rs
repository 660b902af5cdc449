//! A session: cells are compiled and run on a thread of its own, questions about them answered on another.

mod commands;
mod crates;
mod dependencies;
mod evaluator;
pub(crate) mod library;
mod messages;
mod notices;
mod places;
mod process;
pub(crate) mod processes;
mod questions;
mod shell;
mod values;

pub(crate) use crates::tokio;
pub(crate) use dependencies::{local as local_crate, parse as parse_crates};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Result;
use cell_program::Program;

use crate::engine::{CellOutcome, Engine, EngineRequest, Output, Signal, State};
use crate::home::{Home, SessionFolder};
use evaluator::Evaluator;
use process::Current;

/// What a session needs to begin.
pub(crate) struct Setup {
    /// Where the store of crates is.
    pub home: Home,
    /// The directory in which cells are compiled.
    pub folder: Arc<SessionFolder>,
    /// A crate that is there for the cells that name it, by its folder.
    pub library: Option<PathBuf>,
}

/// What all threads of a session know.
#[derive(Default)]
struct Shared {
    state: State,
    /// The process that runs the cells, and a program of the shell that a cell has started.
    current: Current,
    /// What ends the compilation of crates.
    crates: Mutex<Option<cell_store::Interrupter>>,
    /// The program that answers questions: its number, and what breaks off an answer that nobody waits for.
    analysis: Mutex<Option<(u32, cell_questions::Canceller)>>,
    /// Where in the readers' texts a panic is.
    places: Mutex<places::Places>,
    /// The program as the last cell has left it.
    program: Mutex<Arc<Program>>,
    /// Whether what runs is no cell of the reader's.
    is_warming: AtomicBool,
    shutting_down: AtomicBool,
}

/// Evaluates cells.
pub(crate) struct Session {
    cells: Sender<EngineRequest>,
    questions: Sender<EngineRequest>,
    shared: Arc<Shared>,
    output: Output,
}

impl Session {
    /// Starts its threads.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub(crate) fn start(setup: Setup, output: Output) -> Result<Session> {
        let shared = Arc::new(Shared::default());
        let (cells, queue) = channel();
        let (questions, asked) = channel();
        let folder = Arc::clone(&setup.folder);
        std::thread::Builder::new().name("cells".into()).spawn({
            let (shared, output) = (Arc::clone(&shared), Arc::clone(&output));
            move || match Evaluator::new(setup, shared, output) {
                Ok(mut evaluator) => evaluator.work(&queue),
                Err(error) => refuse(&format!("{error:#}"), &queue),
            }
        })?;
        std::thread::Builder::new().name("questions".into()).spawn({
            let shared = Arc::clone(&shared);
            move || questions::answer(&folder, &shared, &asked)
        })?;
        Ok(Session { cells, questions, shared, output })
    }
}

impl Engine for Session {
    fn submit(&self, request: EngineRequest) {
        let queue = match &request {
            EngineRequest::Execute { .. } => {
                // What is read ahead of questions must not slow a cell down.
                if let Some((_, analysis)) = &*lock(&self.shared.analysis) {
                    analysis.cancel();
                }
                &self.cells
            }
            EngineRequest::Complete { .. } | EngineRequest::Inspect { .. } => &self.questions,
        };
        // Where the thread has ended, the request is dropped, and with it the channel for its answer.
        let _ = queue.send(request);
    }

    fn signal(&self, signal: Signal) {
        let Shared { current, crates, analysis, shutting_down, .. } = &*self.shared;
        let stop_compiling = |spared: Vec<i32>| {
            if let Some(crates) = &*lock(crates) {
                crates.interrupt();
            }
            processes::kill_compilers(spared);
        };
        match signal {
            Signal::StopCompiling => {
                let analysis = lock(analysis).as_ref().map(|(number, _)| *number as i32);
                stop_compiling(current.numbers().into_iter().chain(analysis).collect());
            }
            Signal::Interrupt => current.interrupt(),
            Signal::SayHowToKill => {
                let output = Arc::clone(&self.output);
                // It waits where the front end is slow.
                std::thread::spawn(move || output(notices::dimmed(KILL)));
            }
            Signal::InterruptCallbacks => current.interrupt_callbacks(),
            Signal::Kill => current.kill(),
            Signal::End => {
                shutting_down.store(true, Ordering::SeqCst);
                current.kill();
                stop_compiling(current.numbers());
            }
        }
    }

    fn comm(&self, json: &[u8], buffers: &[&[u8]]) -> bool {
        self.shared.current.comm(json, buffers)
    }

    fn state(&self) -> &State {
        &self.shared.state
    }
}

/// What a reader is told whose cell does not stop.
const KILL: &str = "the cell does not stop by being asked; interrupt it again to stop it by force: \
                    all variables are lost then, functions, types and imports are kept";

/// Answers every request with the reason for which there is no session.
fn refuse(reason: &str, queue: &Receiver<EngineRequest>) {
    log::error!("the session did not start: {reason}");
    for request in queue {
        if let EngineRequest::Execute { done, .. } = request {
            let message = format!("the session did not start: {reason}\nTry: rust-live doctor");
            // Nobody waits for the answer of a request whose session has ended.
            let _ = done.send(CellOutcome::failed(message));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
