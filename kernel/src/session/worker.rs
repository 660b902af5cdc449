//! evcxr's own thread: it prepares the session, then answers one request after the other.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use evcxr::{CommandContext, EvalCallbacks, EvalContext};
use serde_json::Map;

use super::library::{self, Library};
use super::notices::Notices;
use super::{Setup, Shared, spellings};
use crate::completeness;
use crate::engine::{Ask, CellOutcome, EngineRequest, Output};
use crate::runtime;
use crate::template::{self, Key, Template};
use crate::upstream::{answers, cargo, display};

/// A reader who has sent nothing for this long is taken to be reading.
const READING: Duration = Duration::from_millis(500);

/// Time between two looks at whether a cell waits for the library.
const LOOK: Duration = Duration::from_millis(50);

/// The template of the library, which is made first if there is none that fits.
fn prepare(setup: &Setup, library: &Library, notices: &Notices) -> Result<Template> {
    let template = Template::of(&setup.home, &library.folder);
    let key = Key::of(&library.folder, &setup.fingerprints)?;
    std::thread::scope(|scope| {
        // Ends the thread when it is dropped, however the preparation ends.
        let (_prepared, ended) = channel::<()>();
        scope.spawn(move || {
            // A cell may come while the compiler has nothing to say.
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                notices.show();
            }
        });
        template.prepare(&setup.home, &key, &|line| notices.say(line))
    })?;
    Ok(template)
}

fn context(setup: &Setup, socket: &Path) -> Result<CommandContext> {
    let mut cells = Command::new(std::env::current_exe()?);
    cells.env(runtime::SOCKET, socket).env(runtime::HOOKS, template::hooks(&setup.home)?);
    cargo::hide_from(&mut cells);
    if let Some(value) = std::env::var_os("RUST_BACKTRACE").filter(|value| !value.is_empty()) {
        cells.env(runtime::BACKTRACE, value);
    }
    let (context, outputs) = EvalContext::with_subprocess_command(cells)?;
    // All that cells write comes by the socket; what comes here was written before or beside it.
    drop(outputs.stdout);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        for line in outputs.stderr {
            log::warn!("the process that runs the cells: {line}");
        }
    })?;
    let mut context = CommandContext::with_eval_context(context);
    context.execute(":load_config --quiet")?;
    Ok(context)
}

/// evcxr, and what makes its answers fast.
pub(super) struct Worker {
    context: CommandContext,
    shared: Arc<Shared>,
    notices: Notices,
    /// The prepared crate, until a cell names it.
    library: Option<Library>,
    /// The level at which cells are optimised, which evcxr writes into its Cargo.toml.
    level: String,
    /// Whether nothing but the cells' own crate was analysed yet.
    unanalysed: bool,
    /// What is analysed while the reader reads.
    warm: std::vec::IntoIter<String>,
}

/// What a session without crates analyses while the reader reads: what its first variables need.
const WARM: &str = "let numbers = vec![1, 2, 3]; let text = format!(\"{}\", numbers.len()); text";

impl Worker {
    pub(super) fn new(
        setup: &Setup,
        socket: &Path,
        shared: Arc<Shared>,
        output: Output,
    ) -> Result<Worker> {
        let notices = Notices::new(Arc::clone(&shared), output);
        let library = setup.library.as_deref().map(Library::of);
        let template = match library.as_ref().filter(|library| library.is_in_notebook()) {
            Some(library) => Some(prepare(setup, library, &notices)?),
            None => None,
        };
        std::fs::write(cargo::unanalysed(), "")?;
        // Thousands of files are linked while evcxr starts, which needs none of them.
        let (context, filled) = std::thread::scope(|scope| {
            let fill = || template.as_ref().map_or(Ok(()), |template| setup.folder.fill(template));
            let filling = scope.spawn(fill);
            (context(setup, socket), filling.join())
        });
        filled.map_err(|_| anyhow!("the thread that fills the directory ended early"))??;
        let manifest = std::fs::read_to_string(setup.folder.path().join("Cargo.toml"))?;
        let level = manifest.lines().find_map(|line| line.strip_prefix("opt-level = "));
        let level = level.context("evcxr's Cargo.toml names no opt-level")?.to_owned();
        let warm = steps(WARM);
        let unanalysed = true;
        let mut worker =
            Worker { context: context?, shared, notices, library, level, unanalysed, warm };
        if let Some(template) = template {
            worker.load_library(setup, &template)?;
        }
        Ok(worker)
    }

    /// Makes the prepared crate known if this cell is the first to name it.
    fn load_if_named(&mut self, setup: &Setup, code: &str) -> Result<()> {
        let Some(library) = self.library.as_ref().filter(|library| library.is_named_in(code))
        else {
            return Ok(());
        };
        let template = prepare(setup, library, &self.notices)?;
        setup.folder.fill(&template)?;
        std::fs::write(cargo::unanalysed(), "")?;
        self.unanalysed = true;
        self.load_library(setup, &template)
    }

    /// Makes the prepared crate known, as a cell with `:dep` would. Where that fails, the next cell that
    /// names it tries again.
    fn load_library(&mut self, setup: &Setup, template: &Template) -> Result<()> {
        let Some(library) = &self.library else { return Ok(()) };
        // A session compiles with the versions that are prepared, and with its own beside them.
        let own = setup.folder.path().join("Cargo.lock");
        if let Some(prepared) = template.lock() {
            let present = std::fs::read_to_string(&own).unwrap_or_default();
            let joined = library::joined_lock(&String::from_utf8_lossy(&prepared), &present);
            std::fs::write(&own, joined.map_or(prepared, String::into_bytes))?;
        }
        // All of it is on this machine: no index has to be asked.
        let loaded = self.context.execute(&format!(
            ":offline 1\n:dep {}\n:opt {}{}",
            library.folder.display(),
            self.level,
            cargo::UNANALYSED,
        ));
        self.context.execute(":offline 0")?;
        loaded?;
        self.library = None;
        self.warm = steps(setup.warm.as_deref().unwrap_or_default());
        Ok(())
    }

    /// Lets all that can be named be analysed, from the next cell on: seconds, which a cell that
    /// declares no variable need not wait for. rust-analyzer looks anew at the crates when
    /// Cargo.toml has changed.
    fn analyse(&mut self) -> Result<()> {
        if self.unanalysed {
            self.unanalysed = false;
            std::fs::remove_file(cargo::unanalysed())?;
            self.context.execute(&format!(":opt {}{}", self.level, cargo::ANALYSED))?;
        }
        Ok(())
    }

    /// Answers requests as they come and, while there are none, what makes the first of them fast.
    pub(super) fn work(mut self, setup: &Setup, queue: &Receiver<EngineRequest>) {
        self.shared.ready.store(true, Ordering::SeqCst);
        loop {
            // No step can be broken off, so that each is small, and none comes between cells that
            // are run one after the other.
            let request = match self.warm.as_slice() {
                [_, ..] => queue.recv_timeout(READING),
                [] => queue.recv().map_err(RecvTimeoutError::from),
            };
            match request {
                Ok(request) => self.answer(setup, request),
                Err(RecvTimeoutError::Timeout) => {
                    let Some(step) = self.warm.next() else { continue };
                    let seen = self.analyse();
                    let seen = seen.and_then(|()| self.context.hover_at(&step, step.len()));
                    if let Err(error) = seen {
                        log::warn!("while warming up: {error:#}");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn answer(&mut self, setup: &Setup, request: EngineRequest) {
        // Nobody waits for the answer of a request whose session has ended.
        match request {
            EngineRequest::Execute { code, input, done } => {
                self.notices.show();
                if let Some(outcome) = self.execute(setup, &code, &input) {
                    let _ = done.send(outcome);
                }
            }
            EngineRequest::Complete { code, position, done } => {
                let found = self.analyse().and_then(|()| self.context.completions(&code, position));
                // rust-analyzer has nothing to say where the cell cannot be parsed.
                let _ = done.send(found.ok().map(answers::completions));
            }
            EngineRequest::Inspect { code, position, done } => {
                let found = self.analyse().and_then(|()| self.context.hover_at(&code, position));
                let _ = done.send(found.ok().and_then(answers::documentation));
            }
        }
    }

    /// None where the session ends meanwhile.
    fn execute(&mut self, setup: &Setup, code: &str, input: &Ask) -> Option<CellOutcome> {
        let mut callbacks =
            EvalCallbacks { input_reader: &|request| input(&request.prompt, request.is_password) };
        let (code, hints) = spellings::of_today(code);
        let code = code.as_str();
        for hint in hints {
            self.notices.say(&hint);
        }
        let ready = self.load_if_named(setup, code);
        let ready = ready.and_then(|()| if needs_analysis(code) { self.analyse() } else { Ok(()) });
        // One of evcxr's commands may change how values are shown. Where this file cannot be written,
        // expressions take longer.
        let commands = code.lines().any(is_command);
        if commands {
            let _ = std::fs::remove_file(cargo::by_debug());
        }
        let result = if self.shared.state.interrupted() {
            Err(evcxr::Error::from("interrupted before it began"))
        } else if let Err(error) = ready {
            Err(evcxr::Error::from(format!("{error:#}")))
        } else {
            self.context.execute_with_callbacks(code, &mut callbacks)
        };
        if self.shared.shutting_down.load(Ordering::SeqCst) {
            return None;
        }
        let compiled = self.context.last_source().unwrap_or_default();
        if !commands && display::is_by_debug(&compiled) {
            let _ = std::fs::write(cargo::by_debug(), "");
        }
        let (commands, error) = match result {
            Ok(outputs) => (answers::shown(outputs), None),
            Err(error) => (Map::new(), Some(answers::cell_error(error))),
        };
        Some(CellOutcome { commands, value: Map::new(), error, compiled })
    }
}

/// Whether evcxr asks rust-analyzer for anything: for the types of the variables that a cell declares,
/// and for what some of its commands show.
fn needs_analysis(code: &str) -> bool {
    let (commands, code): (Vec<_>, Vec<_>) = code.lines().partition(|line| is_command(line));
    let other = |command: &&str| !command.trim_start().starts_with(":dep ");
    commands.iter().any(other) || completeness::may_declare_variables(&code.join("\n"))
}

/// Whether evcxr may take a line of a cell for one of its commands.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with(':')
}

/// What rust-analyzer reads before the first variable needs it: the code up to the end of each of its
/// statements. Imports alone are none: evcxr answers nothing about them.
fn steps(code: &str) -> std::vec::IntoIter<String> {
    let ends = code.match_indices(';').map(|(place, _)| place);
    let steps = ends.chain([code.len()]).map(|end| &code[..end]).filter(|step| {
        let last = step.rsplit(';').next().unwrap_or_default().trim_start();
        !last.is_empty() && !last.starts_with("use ")
    });
    steps.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_cells_with_variables_need_an_analysis() {
        for code in ["let a = 1;", "use a::b;\nlet (a, b) = c();", ":vars", "let a ="] {
            assert!(needs_analysis(code), "{code}");
        }
        for code in
            [":dep a = \"1\"\nuse a::b;", "1 + 1", "{ let a = 1; a }", "fn f() { let a = 1; }"]
        {
            assert!(!needs_analysis(code), "{code}");
        }
    }

    #[test]
    fn warming_up_goes_statement_by_statement() {
        let all: Vec<_> = steps("use a::b; let c = 1; c").collect();
        assert_eq!(all, ["use a::b; let c = 1", "use a::b; let c = 1; c"]);
        assert_eq!(steps("").count(), 0);
    }

    proptest! {
        #[test]
        fn warming_up_ends_with_all_of_the_code(code in "[a-z=;: \n{}é]{0,24}") {
            let all: Vec<_> = steps(&code).collect();
            prop_assert!(all.iter().all(|step| code.starts_with(step)));
            prop_assert!(all.iter().zip(all.iter().skip(1)).all(|(one, next)| one.len() < next.len()));
            let last = code.rsplit(';').next().unwrap_or_default().trim_start();
            if !last.is_empty() && !last.starts_with("use ") {
                prop_assert_eq!(all.last(), Some(&code.to_owned()));
            }
        }

        #[test]
        fn a_command_among_other_lines_is_seen(
            before in "[a-z1+ ]{0,6}", indent in " {0,3}", after in "[a-z1+ ]{0,6}"
        ) {
            let code = format!("{before}\n{indent}:vars\n{after}");
            prop_assert!(needs_analysis(&code));
        }
    }
}
