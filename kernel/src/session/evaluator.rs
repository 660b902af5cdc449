//! Evaluates one cell after the other.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cell_compiler::{Rustc, build_support, compile};
use cell_process::Outcome;
use cell_program::{Cell, Program};
use cell_store::Dependency;
use diagnose::Level;
use serde_json::{Map, Value};

use super::crates::CratesOfSession;
use super::library::Library;
use super::notices::Notices;
use super::process::{Report, Returned, Runner};
use super::{Setup, Shared, commands, lock, messages, shell};
use crate::engine::{Ask, CellError, CellOutcome, EngineRequest, Output, value_of};
use crate::home::Toolchain;

/// A reader who has sent nothing for this long is taken to be reading.
const READING: Duration = Duration::from_millis(700);

/// How much was made ready while the reader reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Warm {
    Nothing,
    /// The compiler, and the process of the cells.
    Compiler,
    All,
}

/// Numbers of what is evaluated and is no cell of the notebook begin here.
const HIDDEN: usize = 1_000_000;

/// What a session knows and has.
pub(super) struct Evaluator {
    pub(super) setup: Setup,
    pub(super) shared: Arc<Shared>,
    pub(super) output: Output,
    pub(super) notices: Notices,
    pub(super) program: Program,
    pub(super) rustc: Rustc,
    toolchain: Toolchain,
    pub(super) crates: CratesOfSession,
    runner: Option<Runner>,
    /// Where relative paths begin: the notebook's folder, in which Jupyter starts kernels.
    pub(super) folder: PathBuf,
    /// Variables of the environment of cells.
    pub(super) environment: Vec<(String, String)>,
    /// Whether values are shown over several lines.
    pub(super) is_pretty: bool,
    /// Whether each cell says how long it took.
    pub(super) shows_times: bool,
    /// The numbers of the last errors of the compiler.
    pub(super) last_errors: BTreeSet<String>,
    /// The values that the last cell has told.
    values: Option<String>,
    hidden: usize,
    last_number: usize,
}

impl Evaluator {
    pub(super) fn new(setup: Setup, shared: Arc<Shared>, output: Output) -> Result<Evaluator> {
        let toolchain = Toolchain::find(None)?;
        let support = support(&toolchain, &setup)?;
        let folder = std::env::current_dir().context("this folder is not there any more")?;
        let notices = Notices::new(Arc::clone(&shared), Arc::clone(&output));
        let rustc = Rustc {
            program: toolchain.rustc.clone(),
            folder: setup.folder.path().to_owned(),
            support,
            level: "2".into(),
            edition: "2024".into(),
            crates: Vec::new(),
            environment: Vec::new(),
        };
        let library = setup.library.as_deref().map(Library::of);
        let crates = CratesOfSession::new(&setup, &folder, library, &shared, &notices)?;
        let mut evaluator = Evaluator {
            crates,
            setup,
            shared,
            output,
            notices,
            program: Program::default(),
            rustc,
            toolchain,
            runner: None,
            folder,
            environment: Vec::new(),
            is_pretty: false,
            shows_times: false,
            last_errors: BTreeSet::new(),
            values: None,
            hidden: 0,
            last_number: 0,
        };
        evaluator.runner = Some(evaluator.started()?);
        Ok(evaluator)
    }

    /// Answers requests as they come and, while there are none, makes ready what the first cells need.
    pub(super) fn work(&mut self, queue: &Receiver<EngineRequest>) {
        let mut warm = Warm::Nothing;
        loop {
            let request = match warm {
                Warm::All => queue.recv().map_err(RecvTimeoutError::from),
                _ => queue.recv_timeout(READING),
            };
            let request = match request {
                Ok(request) => request,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    warm = self.warm_up(warm);
                    continue;
                }
            };
            let EngineRequest::Execute { code, number, input, done } = request else { continue };
            self.notices.show();
            let caught = catch_unwind(AssertUnwindSafe(|| self.execute(&code, number, &input)));
            let outcome = caught.unwrap_or_else(|_| {
                CellOutcome::failed(
                    "the kernel itself has failed at this cell, which is a fault of its own; what \
                     earlier cells have left is kept",
                )
            });
            *lock(&self.shared.program) = Arc::new(self.program.clone());
            if self.shared.shutting_down.load(Ordering::SeqCst) {
                return;
            }
            // Nobody waits for the answer of a request whose session has ended.
            let _ = done.send(outcome);
        }
    }

    /// Runs a cell of nothing, so that compiler and libraries are in memory: first by itself, then with the
    /// crates of the notebook once they are ready.
    fn warm_up(&mut self, warm: Warm) -> Warm {
        let next = match (warm, self.crates.is_ahead_ready()) {
            (Warm::Nothing, _) => Warm::Compiler,
            (_, None) => return Warm::All,
            (_, Some(false)) => return warm,
            (_, Some(true)) => {
                if let Err(error) = self.crates.take_what_is_ready() {
                    log::warn!("while warming up: {error:?}");
                }
                Warm::All
            }
        };
        let cell = self.hidden_cell("{}");
        self.shared.is_warming.store(true, Ordering::SeqCst);
        if let Err(error) = self.evaluate_code(&cell, &|_: &str, _: bool| None) {
            log::warn!("while warming up: {error:?}");
        }
        self.shared.is_warming.store(false, Ordering::SeqCst);
        next
    }

    /// The number of the next one that is no cell of the notebook.
    fn hidden_number(&mut self) -> usize {
        self.hidden += 1;
        HIDDEN + self.hidden
    }

    fn hidden_cell(&mut self, code: &str) -> Cell {
        let number = self.hidden_number();
        self.program.parse(number, code, &self.folder)
    }

    fn execute(&mut self, code: &str, number: Option<usize>, input: &Ask) -> CellOutcome {
        let number = match number.filter(|number| *number > self.last_number) {
            Some(number) => {
                self.last_number = number;
                number
            }
            None => self.hidden_number(),
        };
        let start = Instant::now();
        let mut outcome = self.evaluate(code, number, input);
        if self.shows_times {
            self.notices.say(&format!("took {} ms", start.elapsed().as_millis()));
        }
        if self.shared.state.interrupted() && outcome.error.is_none() {
            outcome.value = Map::new();
        }
        outcome
    }

    fn evaluate(&mut self, code: &str, number: usize, input: &Ask) -> CellOutcome {
        let mut outcome = CellOutcome::default();
        if self.shared.state.interrupted() {
            outcome.error = Some(CellError::Other("interrupted before it began".into()));
            return outcome;
        }
        let cell = self.program.parse(number, code, &self.folder);
        let first = cell.code_start();
        let (before, after): (Vec<_>, Vec<_>) =
            cell.commands.iter().partition(|command| command.range.start < first);
        let mut shown = Map::new();
        let mut run = |evaluator: &mut Evaluator, list: &[&cell_program::Command]| {
            commands::run(evaluator, list).map(|more| merge(&mut shown, more))
        };
        if let Err(error) = run(self, &before) {
            outcome.error = Some(error);
            outcome.commands = shown;
            return outcome;
        }
        // A command may have changed what is known.
        let again = (!before.is_empty()).then(|| self.program.parse(number, code, &self.folder));
        outcome.error = self.evaluate_code(again.as_ref().unwrap_or(&cell), input).err();
        if outcome.error.is_none()
            && let Err(error) = run(self, &after)
        {
            outcome.error = Some(error);
        }
        outcome.commands = shown;
        outcome
    }

    fn evaluate_code(
        &mut self,
        cell: &Cell,
        input: &dyn Fn(&str, bool) -> Option<String>,
    ) -> Result<(), CellError> {
        self.add(self.crates.named_in(cell)?)?;
        if !cell.has_anything() {
            return Ok(());
        }
        let fault = |error: anyhow::Error| CellError::Other(format!("{error:#}"));
        if cell.has_future() {
            self.add(self.crates.tokio())?;
        }
        let session = cell_program::Session {
            has_tokio: self.crates.is_direct("tokio"),
            declarations: self.crates.declarations(),
            crates: self.crates.names(),
            is_pretty: self.is_pretty,
        };
        self.rustc.crates = self.crates.arguments();
        let compiled = match compile(&self.rustc, &self.program, cell, &session) {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(refused)) => {
                return Err(self.refusal(cell, &session, &refused));
            }
            Err(error) => return Err(fault(error)),
        };
        let warnings = messages::of(&self.program, cell, &compiled.source, &compiled.messages);
        for warning in warnings.iter().filter(|found| found.level == Level::Warning) {
            self.notices.coloured(&warning.rendered);
        }
        for note in &compiled.notes {
            self.notices.say(note);
        }
        for name in self.program.define(cell, &compiled.source, &compiled.choices) {
            if let Some(lost) = self.program.lost(&name) {
                self.notices.say(&format!("`{name}` {}", lost.reason));
            }
        }
        let runner = match self.runner.take() {
            Some(runner) => runner,
            None => self.started().map_err(fault)?,
        };
        lock(&self.shared.places).add(&cell.text, &compiled.source);
        if let Err(error) = runner.process.run(&compiled.library, &compiled.source.symbol) {
            log::info!("the process of the cells has gone: {error}");
        }
        let returned = loop {
            match runner.reports.recv() {
                Ok(Report::Asks { question, prompt, is_password }) => {
                    let line = input(&prompt, is_password);
                    // A process that has ended says so next.
                    let _ = runner.process.answer(question, line.as_deref());
                }
                Ok(Report::Returned(returned)) => {
                    self.runner = Some(runner);
                    break *returned;
                }
                Ok(Report::Ended(how)) => {
                    self.program.restarted(cell.number);
                    return Err(CellError::ProcessEnded { how, last_words: String::new() });
                }
                Err(_) => {
                    self.program.restarted(cell.number);
                    let how = "cannot be heard any more".to_owned();
                    return Err(CellError::ProcessEnded { how, last_words: String::new() });
                }
            }
        };
        let Returned { outcome, panic, error, kept, values } = returned;
        self.values = values;
        let mut left = compiled.kept;
        match (&outcome, kept) {
            // Only a cell with a `return` says so: any other has printed what looks like it.
            (Outcome::Done, Some(names)) if cell.returns() => {
                left.retain(|(name, _)| names.split(' ').any(|kept| kept == name));
            }
            (Outcome::Done, _) => {}
            _ => left.clear(),
        }
        self.program.leave(cell, &compiled.source, &compiled.choices, &left);
        if !matches!(outcome, Outcome::Done) {
            self.program.left_undone(cell);
        }
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed => Err(CellError::Returned(error.unwrap_or_default())),
            Outcome::Panicked => {
                let placed = |panic| Box::new(lock(&self.shared.places).panic(panic));
                Err(CellError::Panic(panic.map(placed)))
            }
            Outcome::Interrupted => Err(CellError::Interrupted),
            Outcome::NotRun(why) => Err(CellError::Other(why)),
        }
    }

    /// What is wrong with a cell, as its reader sees it.
    fn refusal(
        &mut self,
        cell: &Cell,
        session: &cell_program::Session,
        refused: &cell_compiler::Refused,
    ) -> CellError {
        let found = messages::of(&self.program, cell, &refused.source, &refused.messages);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| found.level == Level::Warning);
        for warning in warnings {
            self.notices.coloured(&warning.rendered);
        }
        self.last_errors = errors.iter().filter_map(|found| found.code.clone()).collect();
        let mut errors = messages::with_what_was_lost(errors, &self.program, &refused.choices);
        if messages::is_of_an_older_edition(&refused.messages) && self.rustc.edition == "2024" {
            let older = Rustc { edition: "2021".into(), ..self.rustc.clone() };
            if matches!(compile(&older, &self.program, cell, session), Ok(Ok(_)))
                && let Some(last) = errors.last_mut()
            {
                last.rendered.push(messages::OLDER_EDITION.to_owned());
            }
        }
        if errors.is_empty() {
            let text = format!("cell {} does not compile, and rustc does not say why", cell.number);
            return CellError::Other(text);
        }
        CellError::Compilation(errors)
    }

    /// Makes crates known to the cells, from this one on.
    pub(super) fn add(&mut self, wanted: Vec<Dependency>) -> Result<(), CellError> {
        let changed = self.crates.add(wanted)?;
        for (name, package) in self.program.lose_types_of(&changed, self.last_number) {
            self.notices.say(&format!("`{name}` is gone: the crate {package} is another one now"));
        }
        Ok(())
    }

    fn started(&self) -> Result<Runner> {
        Runner::start(
            &self.setup.folder,
            &self.toolchain,
            &self.rustc.support,
            &self.environment,
            &self.shared,
            &self.output,
        )
    }

    /// Another toolchain compiles the cells from now on; all variables are lost.
    pub(super) fn set_toolchain(&mut self, name: &str) -> Result<()> {
        let toolchain = Toolchain::find(Some(name))?;
        self.rustc.support = support(&toolchain, &self.setup)?;
        self.rustc.program.clone_from(&toolchain.rustc);
        self.toolchain = toolchain;
        self.crates.own().set_env("RUSTUP_TOOLCHAIN", name);
        self.restart()
    }

    /// Ends the process of the cells and starts another.
    pub(super) fn restart(&mut self) -> Result<()> {
        if let Some(runner) = self.runner.take() {
            runner.process.kill();
            while !matches!(runner.reports.recv(), Ok(Report::Ended(_)) | Err(_)) {}
        }
        self.program.restarted(self.last_number);
        self.runner = Some(self.started()?);
        Ok(())
    }

    /// Forgets variables, items and crates.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.restart()?;
        self.program = Program::default();
        self.program.set_edition(&self.rustc.edition);
        self.crates.forget()
    }

    /// The edition of the cells from now on.
    pub(super) fn set_edition(&mut self, edition: &str) {
        edition.clone_into(&mut self.rustc.edition);
        self.program.set_edition(edition);
    }

    /// The values of variables, in a line each; nothing for those without Debug.
    ///
    /// # Errors
    /// What is wrong with the cell that tells them.
    pub(super) fn values(&mut self, names: &[String]) -> Result<Vec<String>, CellError> {
        let brief =
            |name: &String| format!("(&::rust_live::Brief(&{})).brief()", cell_program::raw(name));
        let briefs: Vec<String> = names.iter().map(brief).collect();
        let code = format!(
            "{{ use ::rust_live::{{BriefByDebug as _, BriefOfAny as _}}; ::rust_live::tell_values(&[{}]); }}",
            briefs.join(", ")
        );
        let cell = self.hidden_cell(&code);
        // It looks at all variables at once, and leaves them as they were.
        let before = self.program.clone();
        self.evaluate_code(&cell, &|_: &str, _: bool| None)?;
        self.program = before;
        let told = self.values.take().unwrap_or_default();
        Ok(told.split('\t').map(str::to_owned).collect())
    }

    pub(super) fn run_shell(&mut self, command: &str) -> Result<Option<String>> {
        shell::run(command, &self.environment, &self.shared, &self.output)
    }
}

/// What cells share, from the cache. Where that cannot be written, the session has its own.
fn support(toolchain: &Toolchain, setup: &Setup) -> Result<PathBuf> {
    let Toolchain { rustc, version, .. } = toolchain;
    build_support(rustc, version, &setup.home.cache).or_else(|error| {
        log::warn!("what cells share cannot be kept for other sessions: {error:#}");
        build_support(rustc, version, setup.folder.path())
    })
}

/// Several commands of a cell may show something.
fn merge(shown: &mut Map<String, Value>, more: String) {
    if more.is_empty() {
        return;
    }
    let before = shown.get("text/plain").and_then(Value::as_str).map(|text| format!("{text}\n"));
    let text = before.unwrap_or_default() + more.trim_end();
    shown.insert("text/plain".to_owned(), value_of("text/plain", &text));
}
