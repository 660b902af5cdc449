//! Evaluates one cell after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, Result};
use cell_compiler::{Rustc, build_support, compile};
use cell_process::Outcome;
use cell_program::{Cell, Program};
use cell_store::{Crates, Dependency, LINKER, Store};
use diagnose::Level;
use serde_json::{Map, Value};

use super::library::{self, Library};
use super::notices::Notices;
use super::process::{Report, Returned, Runner};
use super::{Setup, Shared, commands, dependencies, lock, shell};
use crate::engine::{
    Ask, CellError, CellOutcome, Diagnostic, EngineRequest, Output, value_of,
};
use crate::home::Toolchain;

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
    crates: CratesOfSession,
    runner: Option<Runner>,
    library: Option<Library>,
    /// Where relative paths begin: the notebook's folder, in which Jupyter starts kernels.
    pub(super) folder: PathBuf,
    /// Variables of the environment of cells.
    pub(super) environment: Vec<(String, String)>,
    /// Whether values that have no way of their own are shown as by `{:#?}`.
    pub(super) is_pretty: bool,
    /// Whether each cell says how long it took.
    pub(super) shows_times: bool,
    /// The numbers of the last errors of the compiler.
    pub(super) last_errors: BTreeSet<String>,
    hidden: usize,
    last_number: usize,
}

/// The crates: those that cells have named, and those that the notebook will name.
struct CratesOfSession {
    crates: Crates,
    /// By its name in Cargo.toml, what a cell has asked for.
    named: BTreeMap<String, Dependency>,
    /// What the notebook names is made ready here.
    ahead: Option<JoinHandle<(Crates, Vec<Dependency>)>>,
    /// What was made ready, and no cell has named yet.
    ready: Vec<Dependency>,
}

impl Evaluator {
    pub(super) fn new(setup: Setup, shared: Arc<Shared>, output: Output) -> Result<Evaluator> {
        let toolchain = Toolchain::find(None)?;
        let support = build_support(&toolchain.rustc, &toolchain.version, &setup.home.cache)?;
        let folder = std::env::current_dir().context("this folder is not there any more")?;
        let notices = Notices::new(Arc::clone(&shared), Arc::clone(&output));
        let library = setup.library.as_deref().map(Library::of);
        let rustc = Rustc {
            program: toolchain.rustc.clone(),
            folder: setup.folder.path().to_owned(),
            support,
            level: "2".into(),
            edition: "2024".into(),
            crates: Vec::new(),
            environment: Vec::new(),
        };
        let linker = setup.folder.path().join(LINKER);
        std::os::unix::fs::symlink(std::env::current_exe()?, &linker)
            .with_context(|| format!("{} cannot be made", linker.display()))?;
        let store = Store::open(&setup.home.cache);
        let mut crates = Crates::new(store, setup.folder.path(), &folder, linker);
        crates.lock_file(library::lock_of_notebook());
        *lock(&shared.crates) = Some(crates.interrupter());
        let mut evaluator = Evaluator {
            crates: CratesOfSession {
                crates,
                named: BTreeMap::new(),
                ahead: None,
                ready: Vec::new(),
            },
            setup,
            shared,
            output,
            notices,
            program: Program::default(),
            rustc,
            toolchain,
            runner: None,
            library,
            folder,
            environment: Vec::new(),
            is_pretty: false,
            shows_times: false,
            last_errors: BTreeSet::new(),
            hidden: 0,
            last_number: 0,
        };
        evaluator.read_ahead();
        evaluator.runner = Some(evaluator.started()?);
        Ok(evaluator)
    }

    /// Begins to make ready what the notebook names.
    fn read_ahead(&mut self) {
        let cells = library::cells_of_notebook();
        let mut wanted: Vec<Dependency> = Vec::new();
        let mut add = |found: Vec<Dependency>| {
            for one in found {
                wanted.retain(|before| before.name != one.name);
                wanted.push(one);
            }
        };
        for cell in &cells {
            for command in Program::default().parse(1, cell, &self.folder).commands {
                if command.name == "dep"
                    && let Ok((found, _)) = dependencies::parse(&command.argument, &self.folder)
                {
                    add(found);
                }
            }
            if let Some(library) = self.library.as_ref().filter(|library| library.is_named_in(cell))
                && let Ok(found) =
                    dependencies::local(&library.folder.to_string_lossy(), &self.folder)
            {
                add(vec![found]);
            }
        }
        if wanted.is_empty() {
            return;
        }
        let linker = self.setup.folder.path().join(LINKER);
        let store = Store::open(&self.setup.home.cache);
        let mut crates = Crates::new(store, self.setup.folder.path(), &self.folder, linker);
        crates.lock_file(library::lock_of_notebook());
        *lock(&self.shared.crates) = Some(crates.interrupter());
        let notices = self.notices.clone();
        let ahead = std::thread::Builder::new().name("crates".into()).spawn(move || {
            let added = crates.add(&wanted, &|line| notices.pass(line));
            if let Err(error) = added {
                // The cell that names it will say so.
                log::info!("what the notebook names cannot be made ready: {error}");
                wanted.clear();
            }
            (crates, wanted)
        });
        self.crates.ahead = ahead.ok();
    }

    /// Answers requests as they come.
    pub(super) fn work(&mut self, queue: &Receiver<EngineRequest>) {
        for request in queue {
            let EngineRequest::Execute { code, number, input, done } = request else { continue };
            self.notices.show();
            let outcome = self.execute(&code, number, &input);
            *lock(&self.shared.program) = Arc::new(self.program.clone());
            if self.shared.shutting_down.load(Ordering::SeqCst) {
                return;
            }
            // Nobody waits for the answer of a request whose session has ended.
            let _ = done.send(outcome);
        }
    }

    fn execute(&mut self, code: &str, number: Option<usize>, input: &Ask) -> CellOutcome {
        let number = match number.filter(|number| *number > self.last_number) {
            Some(number) => {
                self.last_number = number;
                number
            }
            None => {
                self.hidden += 1;
                HIDDEN + self.hidden
            }
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
        let cell = self.program.parse(number, code, &self.folder);
        outcome.error = self.evaluate_code(&cell, input).err();
        if outcome.error.is_none()
            && let Err(error) = run(self, &after)
        {
            outcome.error = Some(error);
        }
        outcome.commands = shown;
        outcome
    }

    fn evaluate_code(&mut self, cell: &Cell, input: &Ask) -> Result<(), CellError> {
        self.add_what_is_named(cell)?;
        if !cell.has_anything() {
            return Ok(());
        }
        let fault = |error: anyhow::Error| CellError::Other(format!("{error:#}"));
        if cell.has_future() {
            self.add_tokio().map_err(fault)?;
        }
        let linked = self.crates.crates.linked();
        let direct = |name: &str| linked.externs.iter().any(|(known, _)| known == name);
        let session = cell_program::Session {
            has_tokio: direct("tokio"),
            declarations: linked.declarations(),
            is_pretty: self.is_pretty,
        };
        self.rustc.crates = linked.rustc_arguments();
        let compiled = match compile(&self.rustc, &self.program, cell, &session) {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(refused)) => {
                let found = self.diagnostics(cell, &refused.source, &refused.messages);
                return Err(self.refusal(found, cell));
            }
            Err(error) => return Err(fault(error)),
        };
        let warnings = self.diagnostics(cell, &compiled.source, &compiled.messages);
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
                    break returned;
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
        let Returned { outcome, panic, error, kept } = returned;
        let mut left = compiled.kept;
        match (&outcome, kept) {
            (Outcome::Done, Some(names)) => {
                left.retain(|(name, _)| names.split(' ').any(|kept| kept == name));
            }
            (Outcome::Done, None) => {}
            _ => left.clear(),
        }
        self.program.leave(cell, &compiled.choices, &left);
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed => Err(CellError::Returned(error.unwrap_or_default())),
            Outcome::Panicked => {
                let placed = |panic| Box::new(lock(&self.shared.places).panic(panic));
                Err(CellError::Panic(panic.map(placed)))
            },
            Outcome::Interrupted => Err(CellError::Interrupted),
            Outcome::NotRun(why) => Err(CellError::Other(why)),
        }
    }

    /// What the compiler has said about a cell.
    fn diagnostics(
        &self,
        cell: &Cell,
        source: &cell_program::Source,
        messages: &str,
    ) -> Vec<diagnose::Diagnostic> {
        let edits = |edits: &[cell_program::Edit]| -> Vec<diagnose::Edit> {
            let mut all: Vec<_> = edits
                .iter()
                .map(|edit| diagnose::Edit { range: edit.range.clone(), len: edit.text.len() })
                .collect();
            all.sort_by_key(|edit| (edit.range.start, edit.range.end));
            all
        };
        let of_root = edits(&source.edits);
        let of_files: Vec<_> = source.files.iter().map(|file| edits(&file.edits)).collect();
        let mut files = vec![diagnose::Source {
            name: &source.name,
            cell: cell.number,
            text: &cell.text,
            prefix: source.prefix,
            edits: &of_root,
        }];
        for (file, edits) in source.files.iter().zip(&of_files) {
            let text = if file.cell == cell.number {
                Some(cell.text.as_str())
            } else {
                self.program.cell_text(file.cell)
            };
            files.extend(text.map(|text| diagnose::Source {
                name: &file.path,
                cell: file.cell,
                text,
                prefix: 0,
                edits,
            }));
        }
        let mut variables: Vec<&str> =
            self.program.variables().keys().map(String::as_str).collect();
        variables.extend(cell.bindings.iter().map(|binding| binding.name.as_str()));
        let sources =
            diagnose::Sources { cell: cell.number, files: &files, variables: &variables };
        diagnose::read(messages, &sources)
    }

    /// What is wrong with a cell, as its reader sees it.
    fn refusal(&mut self, found: Vec<diagnose::Diagnostic>, cell: &Cell) -> CellError {
        self.last_errors.clear();
        let mut errors = Vec::new();
        for found in found {
            if found.level == Level::Warning {
                self.notices.coloured(&found.rendered);
                continue;
            }
            self.last_errors.extend(found.code.clone());
            let mut rendered = found.rendered;
            for name in &found.names {
                let unknown = matches!(found.code.as_deref(), Some("E0425" | "E0423" | "E0424"));
                if let Some(lost) = self.program.lost(name).filter(|_| unknown) {
                    rendered.push(format!("\x1b[1m= note\x1b[0m: `{name}` {}", lost.reason));
                }
            }
            errors.push(Diagnostic { message: found.message, rendered });
        }
        if errors.is_empty() {
            let text = format!("cell {} does not compile, and rustc does not say why", cell.number);
            return CellError::Other(text);
        }
        CellError::Compilation(errors)
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
        self.rustc.support =
            build_support(&toolchain.rustc, &toolchain.version, &self.setup.home.cache)?;
        self.rustc.program.clone_from(&toolchain.rustc);
        self.toolchain = toolchain;
        self.crates.crates.set_env("RUSTUP_TOOLCHAIN", name);
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
        self.crates.named.clear();
        self.crates.crates.forget()?;
        Ok(())
    }

    pub(super) fn run_shell(&mut self, command: &str) -> Result<Option<String>> {
        shell::run(command, &self.environment, &self.shared, &self.output)
    }

    /// The crates of the session, as they are named in Cargo.toml.
    pub(super) fn named_crates(&self) -> impl Iterator<Item = &Dependency> {
        self.crates.named.values()
    }

    pub(super) fn crates_mut(&mut self) -> &mut Crates {
        &mut self.crates.crates
    }

    /// Adds the library, and crates of `extern crate`, where a cell names them.
    fn add_what_is_named(&mut self, cell: &Cell) -> Result<(), CellError> {
        let mut wanted = Vec::new();
        if let Some(library) = &self.library
            && library.is_named_in(&cell.text)
            && !self.crates.named.contains_key(&library.package)
        {
            let found = dependencies::local(&library.folder.to_string_lossy(), &self.folder);
            wanted.push(found.map_err(|error| CellError::Other(format!("{error:#}")))?);
        }
        for name in cell.extern_crates() {
            let is_known = self.crates.named.keys().any(|known| known.replace('-', "_") == name);
            if !is_known && !matches!(name.as_str(), "std" | "core" | "alloc" | "proc_macro" | "test" | "self") {
                wanted.push(Dependency::version(&name, "*"));
            }
        }
        self.add(wanted)
    }

    fn add_tokio(&mut self) -> Result<()> {
        let linked = self.crates.crates.linked();
        let is_named = self.crates.named.contains_key("tokio");
        let Some(package) = linked.package("tokio").filter(|_| !is_named) else { return Ok(()) };
        let spec = toml::Table::from_iter([
            ("version".to_owned(), toml::Value::from(format!("={}", package.version))),
            ("features".to_owned(), vec!["rt-multi-thread", "time", "net", "io-util"].into()),
        ]);
        let tokio = Dependency { name: "tokio".into(), spec: spec.into() };
        self.add(vec![tokio]).map_err(|error| match error {
            CellError::Other(text) => anyhow::anyhow!(text),
            _ => anyhow::anyhow!("tokio cannot be added"),
        })
    }

    /// Makes crates known to the cells, from this one on.
    pub(super) fn add(&mut self, wanted: Vec<Dependency>) -> Result<(), CellError> {
        // The sources of one on this machine may have changed since.
        let new = |known: &BTreeMap<String, Dependency>, one: &Dependency| {
            known.get(&one.name) != Some(one) || one.spec.get("path").is_some()
        };
        let wanted: Vec<_> =
            wanted.into_iter().filter(|one| new(&self.crates.named, one)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        if let Some(ahead) = self.crates.ahead.take() {
            let (crates, ready) = ahead
                .join()
                .map_err(|_| CellError::Other("the thread that makes crates ready has ended".into()))?;
            if !ready.is_empty() {
                (self.crates.crates, self.crates.ready) = (crates, ready);
            }
            *lock(&self.shared.crates) = Some(self.crates.crates.interrupter());
        }
        let missing: Vec<_> = wanted
            .iter()
            .filter(|one| !self.crates.ready.contains(one))
            .cloned()
            .collect();
        if !missing.is_empty() {
            let notices = self.notices.clone();
            let added = self.crates.crates.add(&missing, &|line| notices.pass(line));
            let added = added.map_err(|error| CellError::Other(error.to_string()))?;
            let gone = self.program.lose_types_of(&added.changed, self.last_number);
            for (name, package) in gone {
                self.notices.say(&format!("`{name}` is gone: the crate {package} is another one now"));
            }
        }
        self.crates.ready.retain(|one| !wanted.iter().any(|wanted| wanted.name == one.name));
        for one in wanted {
            self.crates.named.insert(one.name.clone(), one);
        }
        if let Some(why) = &self.crates.crates.linked().not_prelinked {
            self.notices.say(&format!("cells are linked with each crate by itself: {why}"));
        }
        Ok(())
    }
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
