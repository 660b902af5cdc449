//! A session: evcxr on a thread of its own, and the process that runs its cells.

mod cells;
mod library;
mod notices;
pub(crate) mod processes;
mod spellings;
mod worker;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context as _, Result};

use crate::engine::{CellOutcome, Engine, EngineRequest, Output, Signal, State};
use crate::template::{Home, SessionFolder};
use cells::Cells;
use worker::Worker;

/// What a session needs to begin.
pub(crate) struct Setup {
    /// Where the template is.
    pub home: Home,
    /// The directory in which cells are compiled.
    pub folder: Arc<SessionFolder>,
    /// A crate that is prepared for the cells that name it, by its folder.
    pub library: Option<PathBuf>,
    /// Files that change with what that crate is built on.
    pub fingerprints: Vec<PathBuf>,
    /// Code that is analysed, and not run, while the reader reads.
    pub warm: Option<String>,
}

/// What all threads of a session know.
#[derive(Debug, Default)]
struct Shared {
    state: State,
    /// The process that runs the cells.
    cells: Cells,
    /// Whether what is run is the reader's: evcxr runs a cell of its own before the first.
    ready: AtomicBool,
    shutting_down: AtomicBool,
}

/// Evaluates cells by evcxr.
pub(crate) struct Session {
    requests: Sender<EngineRequest>,
    shared: Arc<Shared>,
}

impl Session {
    /// Starts its threads.
    ///
    /// # Errors
    /// A socket that cannot be made.
    pub(crate) fn start(setup: Setup, output: Output) -> Result<Session> {
        let socket = setup.folder.socket();
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("the socket {} cannot be made", socket.display()))?;
        let shared = Arc::new(Shared::default());
        std::thread::Builder::new().name("cells".into()).spawn({
            let (shared, output) = (Arc::clone(&shared), Arc::clone(&output));
            move || cells::listen(&listener, &shared, &output)
        })?;
        notices::show_compiling(Arc::clone(&shared), Arc::clone(&output));

        let (requests, queue) = channel();
        std::thread::Builder::new().name("evcxr".into()).spawn({
            let shared = Arc::clone(&shared);
            move || match Worker::new(&setup, &socket, shared, output) {
                Ok(worker) => worker.work(&setup, &queue),
                Err(error) => refuse(&format!("{error:#}"), &queue),
            }
        })?;
        Ok(Session { requests, shared })
    }
}

impl Engine for Session {
    fn submit(&self, request: EngineRequest) {
        // Where the thread has ended, the request is dropped, and with it the channel for its answer.
        let _ = self.requests.send(request);
    }

    fn signal(&self, signal: Signal) {
        let Shared { cells, shutting_down, .. } = &*self.shared;
        match signal {
            Signal::StopCompiling => processes::kill_compilers(cells.process()),
            Signal::Interrupt => cells.signal(libc::SIGINT),
            Signal::Kill => cells.signal(libc::SIGKILL),
            Signal::End => {
                shutting_down.store(true, Ordering::SeqCst);
                cells.signal(libc::SIGKILL);
                processes::kill_compilers(0);
            }
        }
    }

    fn state(&self) -> &State {
        &self.shared.state
    }
}

/// Answers every request with the reason for which there is no session.
fn refuse(reason: &str, queue: &Receiver<EngineRequest>) {
    log::error!("evcxr did not start: {reason}");
    for request in queue {
        if let EngineRequest::Execute { done, .. } = request {
            let message = format!("evcxr did not start: {reason}\nTry: rust-live doctor");
            // Nobody waits for the answer of a request whose session has ended.
            let _ = done.send(CellOutcome::failed(message));
        }
    }
}
