//! The process that runs the cells, and what it tells while it does.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use cell_process::host::{self, Event, Process};
use cell_process::{Outcome, Panic};

use super::{Shared, lock};
use crate::engine::{EngineEvent, Output, Panic as Panicked, Phase};
use crate::home::{SessionFolder, Toolchain};

/// The programs that run for a cell now.
#[derive(Default)]
pub(super) struct Current {
    cells: Mutex<Option<Process>>,
    /// The group of a shell command.
    shell: Mutex<Option<i32>>,
}

impl Current {
    /// Their numbers, which are no compilers'.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let cells = lock(&self.cells).as_ref().map(Process::id);
        cells.into_iter().chain(*lock(&self.shell)).collect()
    }

    pub(super) fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    pub(super) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    pub(super) fn interrupt_callbacks(&self) {
        if let Some(cells) = &*lock(&self.cells) {
            cells.interrupt_callbacks();
        }
    }

    /// Whether there is a process that takes the message.
    pub(super) fn comm(&self, json: &[u8], buffers: &[&[u8]]) -> bool {
        let cells = lock(&self.cells).clone();
        cells.is_some_and(|cells| cells.comm(json, buffers).is_ok())
    }

    fn signal(&self, signal: i32) {
        if let Some(group) = *lock(&self.shell) {
            // SAFETY: a call to the system that touches no memory.
            unsafe { libc::kill(-group, signal) };
        } else if let Some(cells) = &*lock(&self.cells) {
            cells.signal(signal);
        }
    }

    pub(super) fn set_shell(&self, group: Option<i32>) {
        *lock(&self.shell) = group;
    }
}

/// What the process says of the cell that it runs.
pub(super) enum Report {
    /// It asks the reader for a line.
    Asks { question: u32, prompt: String, is_password: bool },
    /// The cell has returned.
    Returned(Box<Returned>),
    /// The process has ended; how, as the end of a sentence.
    Ended(String),
}

/// What came of a cell that has returned.
pub(super) struct Returned {
    pub(super) outcome: Outcome,
    pub(super) panic: Option<Panic>,
    /// What the error said that `?` returned.
    pub(super) error: Option<String>,
    /// The variables that it keeps, where a `return` ended it.
    pub(super) kept: Option<String>,
    /// The values of variables, where the kernel has asked for them.
    pub(super) values: Option<String>,
}

/// The process, for the thread that has cells run.
pub(super) struct Runner {
    pub(super) process: Process,
    pub(super) reports: Receiver<Report>,
}

impl Runner {
    /// Starts the process.
    pub(super) fn start(
        folder: &SessionFolder,
        toolchain: &Toolchain,
        support: &std::path::Path,
        environment: &[(String, String)],
        shared: &Arc<Shared>,
        output: &Output,
    ) -> Result<Runner> {
        let mut command = Command::new(crate::home::this_program()?);
        let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let folders = [toolchain.libraries.clone()];
        let folders = folders.into_iter().chain(std::env::split_paths(&path));
        command
            .env("LD_LIBRARY_PATH", std::env::join_paths(folders)?)
            // Libraries ask for it to know that a notebook shows what they write.
            .env("EVCXR_IS_RUNTIME", "1")
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let (process, events) = host::start(command, &folder.socket(), support)?;
        *lock(&shared.current.cells) = Some(process.clone());
        let (sender, reports) = channel();
        let (shared, output) = (Arc::clone(shared), Arc::clone(output));
        std::thread::Builder::new().name("events".into()).spawn(move || {
            Listener { shared, output, reports: sender, seen: Seen::default() }.listen(events);
        })?;
        Ok(Runner { process, reports })
    }
}

/// What was told of a cell before it returned.
#[derive(Default)]
struct Seen {
    panic: Option<Panic>,
    error: Option<String>,
    kept: Option<String>,
    values: Option<String>,
}

struct Listener {
    shared: Arc<Shared>,
    output: Output,
    reports: Sender<Report>,
    seen: Seen,
}

impl Listener {
    fn listen(mut self, events: host::Events) {
        for event in events {
            if !self.take(event) {
                return;
            }
        }
    }

    /// False where nobody listens any more.
    fn take(&mut self, event: Event) -> bool {
        let show = |event| (self.output)(event);
        match event {
            Event::Panic(panic) if !panic.is_on_cells => self.elsewhere(panic),
            Event::Begin => {
                self.seen = Seen::default();
                self.set_phase(Phase::Running);
                true
            }
            Event::Stdout(bytes) => show(EngineEvent::Stdout(bytes)),
            Event::Stderr(bytes) => show(EngineEvent::Stderr(bytes)),
            Event::Message(json) => show(EngineEvent::Message(json)),
            Event::Content { kind, body } => self.content(kind, body),
            Event::Comm { json, buffers } => show(EngineEvent::Comm { json, buffers }),
            Event::NewOutput(output) => show(EngineEvent::NewOutput(output)),
            Event::Output(output) => show(EngineEvent::Output(output)),
            Event::Panic(panic) => {
                // A cell that has caught one may come to another.
                let before = self.seen.panic.replace(panic);
                before.is_none_or(|before| self.caught(&before))
            }
            Event::Input { question, prompt, is_password } => {
                self.report(Report::Asks { question, prompt, is_password })
            }
            Event::InputOver(_) => true,
            Event::End(outcome) => {
                self.set_phase(Phase::Compiling);
                let Seen { mut panic, error, kept, values } = std::mem::take(&mut self.seen);
                if outcome == Outcome::Done
                    && let Some(caught) = panic.take()
                    && !self.caught(&caught)
                {
                    return false;
                }
                self.report(Report::Returned(Box::new(Returned {
                    outcome,
                    panic,
                    error,
                    kept,
                    values,
                })))
            }
            Event::Ended(ended) => {
                self.set_phase(Phase::Compiling);
                *lock(&self.shared.current.cells) = None;
                if let Some(panic) = self.seen.panic.take() {
                    self.tell("main", panic);
                }
                show(EngineEvent::Gone);
                self.report(Report::Ended(ended.words))
            }
        }
    }

    /// What the code around a cell tells, and what the cell shows.
    fn content(&mut self, kind: String, body: Vec<u8>) -> bool {
        let text = || String::from_utf8_lossy(&body).into_owned();
        match kind.as_str() {
            "application/vnd.rust-live.error" => self.seen.error = Some(text()),
            "application/vnd.rust-live.kept" => self.seen.kept = Some(text()),
            "application/vnd.rust-live.values" => self.seen.values = Some(text()),
            "application/vnd.rust-live.value" => {
                let kind = "text/plain".to_owned();
                return (self.output)(EngineEvent::Apart)
                    && (self.output)(EngineEvent::Content { kind, body });
            }
            _ => return (self.output)(EngineEvent::Content { kind, body }),
        }
        true
    }

    /// A panic that the cell itself has caught is no error, but is not kept silent either.
    fn caught(&self, panic: &Panic) -> bool {
        let panic = lock(&self.shared.places).panic(panic.clone());
        let Panicked { message, place, .. } = &panic;
        let text = format!("a panic that the cell caught: {message} ({place}{})\n", called(&panic));
        (self.output)(EngineEvent::Stderr(text.into_bytes()))
    }

    /// A cell that was sent meanwhile has a phase of its own.
    fn set_phase(&self, phase: Phase) {
        if !self.shared.is_warming.load(Ordering::SeqCst) {
            self.shared.state.set(phase);
        }
    }

    /// A panic that ends no cell: in the words of the standard library, with the reader's column.
    fn tell(&self, thread: &str, panic: Panic) -> bool {
        let panic = lock(&self.shared.places).panic(panic);
        let Panicked { message, place, backtrace, .. } = &panic;
        let mut text =
            format!("thread '{thread}' panicked at {place}{}:\n{message}\n", called(&panic));
        if let Some(backtrace) = backtrace {
            text += &format!("stack backtrace:\n{backtrace}");
        }
        (self.output)(EngineEvent::Stderr(text.into_bytes()))
    }

    fn elsewhere(&self, panic: Panic) -> bool {
        let thread = panic.thread.clone();
        self.tell(&thread, panic)
    }

    fn report(&self, report: Report) -> bool {
        self.reports.send(report).is_ok()
    }
}

fn called(panic: &Panicked) -> String {
    panic.called_at.as_ref().map(|place| format!(", called at {place}")).unwrap_or_default()
}
