//! What may stand at a place of a cell, and what is known of a name: rust-analyzer answers, in a program of its own.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Result, bail};
use cell_questions::{Answer, Failure, Program, Question};

use super::{Shared, commands, lock};
use crate::engine::{Completion, Completions, Documentation, EngineRequest, Phase};
use crate::home::{self, SessionFolder, Toolchain};

/// A reader who has asked nothing for this long is taken to be reading. JupyterLab waits a second for what may
/// stand at a place, and shows nothing where that comes later: what has to be read for it is read early.
const READING: Duration = Duration::from_secs(1);

/// Answers questions as they come and, while there are none, has read what the first needs.
pub(super) fn answer(folder: &SessionFolder, shared: &Shared, asked: &Receiver<EngineRequest>) {
    let mut analyst = Analyst { folder, shared, program: None };
    // Not tried again before somebody asks.
    let mut has_failed = false;
    loop {
        let done = match asked.recv_timeout(READING) {
            Ok(request) => of_commands(request).map_or(Ok(()), |request| analyst.respond(request)),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if has_failed || shared.state.phase() != Phase::Idle || !analyst.is_there() {
                    continue;
                }
                analyst.ask(&Question::Load).map(|_| ())
            }
        };
        // What is read is asked of programs, which end with the session.
        if shared.shutting_down.load(Ordering::SeqCst) {
            return;
        }
        has_failed = done.is_err();
        if let Err(error) = done {
            log::warn!("a question was not answered: {error:#}");
        }
    }
}

/// Answers what is asked of the kernel's own commands; returns what is not.
fn of_commands(request: EngineRequest) -> Option<EngineRequest> {
    let EngineRequest::Complete { code, position, done } = request else { return Some(request) };
    let Some((start, found)) = commands::complete(&code[..position]) else {
        return Some(EngineRequest::Complete { code, position, done });
    };
    let items = found.into_iter().map(|(code, signature)| Completion {
        code,
        kind: "keyword".into(),
        signature,
    });
    // Nobody waits for the answer of a request whose session has ended.
    let _ = done.send(Some(Completions { replaced: start..position, items: items.collect() }));
    None
}

/// The session's end of the program.
struct Analyst<'a> {
    folder: &'a SessionFolder,
    shared: &'a Shared,
    program: Option<Program>,
}

impl Analyst<'_> {
    /// A set-up may still be at work on it.
    fn is_there(&self) -> bool {
        self.program.is_some() || home::program_beside(cell_questions::NAME).is_ok()
    }

    /// Asks it, and starts it where it does not run. One that has ended since the last question is started again.
    fn ask(&mut self, question: &Question) -> Result<Answer> {
        if let Some(mut program) = self.program.take() {
            let is_wanted = || !self.shared.shutting_down.load(Ordering::SeqCst);
            match program.ask(question) {
                Err(Failure::Ended(error)) if is_wanted() => {
                    log::warn!("{error:#}: it is started again");
                }
                answered => return self.keep(program, answered),
            }
        }
        let mut program = self.start()?;
        let answered = program.ask(question);
        self.keep(program, answered)
    }

    fn keep(&mut self, program: Program, answered: Result<Answer, Failure>) -> Result<Answer> {
        let (kept, answered) = match answered {
            Ok(answer) => (Some(program), Ok(answer)),
            Err(Failure::Said(error)) => (Some(program), Err(error)),
            Err(Failure::Ended(error)) => (None, Err(error)),
        };
        self.program = kept;
        answered
    }

    fn start(&self) -> Result<Program> {
        let toolchain = Toolchain::find(None)?;
        let package = self.folder.path().join("cells");
        if !package.join("Cargo.toml").exists() {
            fs::create_dir_all(package.join("src"))?;
            fs::write(package.join("src/lib.rs"), "")?;
            fs::write(
                package.join("Cargo.toml"),
                "[package]\nname = \"cells\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
            )?;
        }
        let file = home::program_beside(cell_questions::NAME)?;
        let program = Program::start(&file, &toolchain.rustc, &toolchain.cargo, &package)?;
        *lock(&self.shared.analysis) = Some((program.id(), program.canceller()));
        Ok(program)
    }

    /// Answers one question. Nobody waits for the answer of a request whose session has ended.
    fn respond(&mut self, request: EngineRequest) -> Result<()> {
        if !self.is_there() {
            if let EngineRequest::Inspect { done, .. } = request {
                let _ = done.send(Some(not_there()));
            }
            return Ok(());
        }
        let program = Arc::clone(&lock(&self.shared.program));
        match request {
            EngineRequest::Complete { code, position, done } => {
                let (source, start) = program.for_analysis(&code);
                let offset = start + position;
                let Answer::Completions(found) =
                    self.ask(&Question::Complete { source, offset })?
                else {
                    bail!("{} has answered another question", cell_questions::NAME)
                };
                let place = found.first().map(|first| first.range.clone());
                let replaced = place.map_or(position..position, |range| {
                    range.start.saturating_sub(start)..range.end.saturating_sub(start)
                });
                let items = found.into_iter().map(|item| Completion {
                    signature: item.signature.unwrap_or(item.label),
                    code: item.text,
                    kind: item.kind,
                });
                let _ = done.send(Some(Completions { replaced, items: items.collect() }));
            }
            EngineRequest::Inspect { code, position, done } => {
                let (source, start) = program.for_analysis(&code);
                let offset = start + position;
                let Answer::Documentation(found) =
                    self.ask(&Question::Inspect { source, offset })?
                else {
                    bail!("{} has answered another question", cell_questions::NAME)
                };
                let found =
                    found.map(|found| Documentation { plain: found.plain, html: found.html });
                let _ = done.send(found);
            }
            EngineRequest::Execute { .. } => {}
        }
        Ok(())
    }
}

/// What a reader is told who asks for help before there can be any.
fn not_there() -> Documentation {
    let plain = format!(
        "There is no help yet, and no completion: {} is not beside rust-live. A set-up may still be compiling it.",
        cell_questions::NAME
    );
    let html = format!("<p>{plain}</p>");
    Documentation { plain, html }
}
