//! evcxr on a thread of its own, and the process that runs its cells.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use evcxr::{CommandContext, EvalCallbacks, EvalContext};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::cargo;
use crate::completeness;
use crate::display;
use crate::frame::Frame;
use crate::live::{Event, value_of};
use crate::processes;
use crate::runtime;
use crate::template::{self, Home, Key, SessionFolder, Template};

/// Who has sent nothing for as long is reading.
const READING: Duration = Duration::from_millis(500);

/// Asks the reader for a line: the prompt, and whether the answer is hidden.
pub type Ask = Box<dyn Fn(&str, bool) -> String + Send>;

/// What the session is asked to do.
pub enum Job {
    /// Evaluate a cell.
    Execute {
        /// The cell.
        code: String,
        /// Asks the reader for a line.
        input: Ask,
        /// Where the outcome goes.
        done: oneshot::Sender<Outcome>,
    },
    /// What may stand at a place.
    Complete {
        /// The cell.
        code: String,
        /// Byte offset of the cursor.
        position: usize,
        /// Where the answer goes.
        done: oneshot::Sender<Result<evcxr::Completions>>,
    },
    /// What stands at a place: plain text and HTML.
    Inspect {
        /// The cell.
        code: String,
        /// Byte offset of the end of the expression.
        position: usize,
        /// Where the answer goes.
        done: oneshot::Sender<Result<(String, String)>>,
    },
}

/// How an evaluation ended, as far as evcxr knows.
pub struct Outcome {
    /// Content of evcxr's own commands, by MIME type, or what was wrong.
    pub result: Result<Map<String, Value>, evcxr::Error>,
    /// The program that was compiled last.
    pub compiled: String,
}

/// What a session needs to begin.
pub struct Setup {
    /// Where the template is.
    pub home: Home,
    /// The directory in which cells are compiled.
    pub folder: Arc<SessionFolder>,
    /// A crate that every cell may use, by its folder.
    pub library: Option<PathBuf>,
    /// Code that is analysed, and not run, while the reader reads.
    pub warm: Option<String>,
}

/// Where the session stands; anybody may look.
#[derive(Debug, Default)]
pub struct State {
    phase: AtomicU8,
    /// Process that runs the cells; 0 while there is none.
    cells: AtomicI32,
    interrupts: AtomicU32,
    /// How many cells have begun: an interrupt is meant for one of them.
    begun: AtomicU32,
    /// Whether what is run is the reader's: evcxr runs a cell of its own before the first.
    ready: AtomicBool,
    shutting_down: AtomicBool,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing that could be interrupted.
    Idle = 0,
    /// Compiling a cell.
    Compiling = 1,
    /// Running a cell.
    Running = 2,
}

/// An interrupt that was counted.
#[derive(Debug)]
pub struct Interrupt {
    /// The number of the cell that it is meant for.
    cell: u32,
    /// Whether that cell was interrupted before.
    again: bool,
}

impl State {
    /// What it is doing.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            1 => Phase::Compiling,
            2 => Phase::Running,
            _ => Phase::Idle,
        }
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// A cell begins.
    pub fn begin(&self) {
        self.interrupts.store(0, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.set(Phase::Compiling);
    }

    /// The cell has ended; says how often it was interrupted.
    pub fn end(&self) -> u32 {
        self.set(Phase::Idle);
        self.interrupts.load(Ordering::SeqCst)
    }

    /// Whether the cell that is being evaluated was interrupted.
    pub fn interrupted(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    /// Counts an interrupt of the cell that is being evaluated; None where there is none. Whatever ends
    /// the cell from now on, it was interrupted.
    pub fn count_interrupt(&self) -> Option<Interrupt> {
        if self.phase() == Phase::Idle {
            return None;
        }
        let cell = self.begun.load(Ordering::SeqCst);
        let before = self.interrupts.fetch_add(1, Ordering::SeqCst);
        Some(Interrupt { cell, again: before > 0 })
    }

    /// Interrupts the cell: the compiler is stopped; a running cell is asked to stop, and killed
    /// when asked again. A cell that does not listen ends at once.
    pub async fn interrupt(&self, Interrupt { cell, again }: Interrupt) {
        let is = |phase| self.phase() == phase && self.begun.load(Ordering::SeqCst) == cell;
        while is(Phase::Compiling) {
            processes::kill_compilers(self.cells.load(Ordering::SeqCst));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if is(Phase::Running) {
            self.signal(if again { libc::SIGKILL } else { libc::SIGINT });
        }
    }

    /// Ends everything that this session has started.
    pub fn kill(&self) {
        self.shutting_down.store(true, Ordering::SeqCst);
        self.signal(libc::SIGKILL);
        processes::kill_compilers(0);
    }

    fn signal(&self, signal: i32) {
        let cells = self.cells.load(Ordering::SeqCst);
        if cells > 0 {
            unsafe { libc::kill(cells, signal) };
        }
    }
}

/// Starts the session's thread. Returns where jobs go.
///
/// # Errors
/// A socket that cannot be made.
pub fn start(setup: Setup, state: Arc<State>, events: mpsc::Sender<Event>) -> Result<Sender<Job>> {
    let socket = setup.folder.socket();
    let listener = UnixListener::bind(&socket)
        .with_context(|| format!("the socket {} cannot be made", socket.display()))?;
    std::thread::Builder::new().name("cells".into()).spawn({
        let (state, events) = (Arc::clone(&state), events.clone());
        move || listen(&listener, &state, &events)
    })?;
    show_compiling(Arc::clone(&state), events.clone());

    let (jobs, queue) = channel();
    std::thread::Builder::new().name("evcxr".into()).spawn(move || {
        match Worker::new(&setup, &socket, Arc::clone(&state), &events) {
            Ok(worker) => worker.work(&setup, &queue),
            Err(error) => refuse(&format!("{error:#}"), &queue),
        }
    })?;
    Ok(jobs)
}

/// Reads what the processes that run the cells say, one process after the other.
fn listen(listener: &UnixListener, state: &State, events: &mpsc::Sender<Event>) {
    for stream in listener.incoming().flatten() {
        if let Err(error) = read_frames(stream, state, events) {
            eprintln!("the process that runs the cells: {error}");
        }
        state.cells.store(0, Ordering::SeqCst);
        if events.blocking_send(Event::Gone).is_err() {
            return;
        }
    }
}

fn read_frames(
    stream: UnixStream,
    state: &State,
    events: &mpsc::Sender<Event>,
) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut acknowledge = stream.try_clone()?;
    let mut frames = std::io::BufReader::with_capacity(1 << 17, stream);
    while let Some(frame) = Frame::read(&mut frames)? {
        match frame {
            Frame::Hello(process) => state.cells.store(process as i32, Ordering::SeqCst),
            Frame::Begin => state.set(Phase::Running),
            Frame::End => state.set(Phase::Compiling),
            _ => {}
        }
        let end = frame == Frame::End;
        let shown = state.ready.load(Ordering::SeqCst) || matches!(frame, Frame::Hello(_));
        if shown && events.blocking_send(Event::Frame(frame)).is_err() {
            return Ok(());
        }
        if end {
            acknowledge.write_all(&[1])?;
        }
    }
    Ok(())
}

/// evcxr names each crate that it compiles on this process's standard error. The reader wants to
/// see it: a first `:dep` may take minutes.
fn show_compiling(state: Arc<State>, events: mpsc::Sender<Event>) {
    crate::stdio::take_writes(move |stream, bytes| {
        let compiling = stream == 2
            && state.phase() == Phase::Compiling
            && bytes.trim_ascii_start().starts_with(b"Compiling ");
        if compiling {
            let line = [bytes, b"\n"].concat();
            let _ = events.blocking_send(Event::Frame(Frame::Stderr(line)));
        }
        compiling
    });
}

/// What is told about the preparation of the library. A reader sees it in a cell that waits for it, or in
/// the first one after it.
struct Notices {
    state: Arc<State>,
    events: mpsc::Sender<Event>,
    /// What was said while no cell was there to show it.
    unseen: Mutex<Vec<String>>,
}

impl Notices {
    fn say(&self, line: &str) {
        eprintln!("{line}");
        // The names of crates that are compiled are of interest only while they are.
        let passing = line.starts_with(char::is_whitespace);
        if !passing || self.state.phase() == Phase::Compiling {
            self.unseen().push(line.to_owned());
        }
        self.show();
    }

    /// Shows what was not seen yet, if a cell is there for it.
    fn show(&self) {
        if self.state.phase() == Phase::Compiling {
            for line in self.unseen().drain(..) {
                let line = format!("{line}\n").into_bytes();
                let _ = self.events.blocking_send(Event::Frame(Frame::Stderr(line)));
            }
        }
    }

    fn unseen(&self) -> MutexGuard<'_, Vec<String>> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The template of the library, which is made first if there is none that fits.
fn prepare(setup: &Setup, notices: &Notices) -> Result<Option<Template>> {
    let Some(library) = &setup.library else { return Ok(None) };
    let template = Template::of(&setup.home, library);
    let key = Key::of(library)?;
    // A cell may come while the compiler has nothing to say.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                notices.show();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let prepared = template.prepare(&setup.home, &key, &|line| notices.say(line));
        done.store(true, Ordering::SeqCst);
        prepared
    })?;
    Ok(Some(template))
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
            eprintln!("{line}");
        }
    })?;
    let mut context = CommandContext::with_eval_context(context);
    context.execute(":load_config --quiet")?;
    Ok(context)
}

/// Answers every job with the reason for which there is no session.
fn refuse(reason: &str, queue: &Receiver<Job>) {
    eprintln!("evcxr did not start: {reason}");
    for job in queue {
        let error = || anyhow::anyhow!("evcxr did not start: {reason}");
        match job {
            Job::Execute { done, .. } => {
                let message = format!("{:#}\nTry: googlenet-kernel doctor", error());
                let result = Err(evcxr::Error::Message(message));
                let _ = done.send(Outcome { result, compiled: String::new() });
            }
            Job::Complete { done, .. } => {
                let _ = done.send(Err(error()));
            }
            Job::Inspect { done, .. } => {
                let _ = done.send(Err(error()));
            }
        }
    }
}

struct Worker {
    context: CommandContext,
    state: Arc<State>,
    notices: Notices,
    /// A Cargo.lock that knows the versions that are prepared.
    lock: Option<Vec<u8>>,
    /// As long as no crate but the cells' own was analysed: the level at which cells are optimised.
    unanalysed: Option<String>,
}

impl Worker {
    fn new(
        setup: &Setup,
        socket: &Path,
        state: Arc<State>,
        events: &mpsc::Sender<Event>,
    ) -> Result<Worker> {
        let notices =
            Notices { state: Arc::clone(&state), events: events.clone(), unseen: Mutex::default() };
        let template = prepare(setup, &notices)?;
        if template.is_some() {
            std::fs::write(cargo::unanalysed(), "")?;
        }
        // Thousands of files are linked while evcxr starts, which needs none of them.
        let (context, filled) = std::thread::scope(|scope| {
            let fill = || template.as_ref().map_or(Ok(()), |template| setup.folder.fill(template));
            let filling = scope.spawn(fill);
            (context(setup, socket), filling.join())
        });
        filled.map_err(|_| anyhow!("the thread that fills the directory ended early"))??;
        let lock = template.and_then(|template| template.lock());
        let mut worker = Worker { context: context?, state, notices, lock, unanalysed: None };
        worker.load_library(setup)?;
        Ok(worker)
    }

    /// Makes the prepared crate known, as a cell with `:dep` would.
    fn load_library(&mut self, setup: &Setup) -> Result<()> {
        let folder = setup.folder.path();
        if let Some(lock) = &self.lock {
            std::fs::write(folder.join("Cargo.lock"), lock)?;
        }
        if let Some(library) = &setup.library {
            let manifest = std::fs::read_to_string(folder.join("Cargo.toml"))?;
            let level = manifest.lines().find_map(|line| line.strip_prefix("opt-level = "));
            let level = level.context("evcxr's Cargo.toml names no opt-level")?;
            // All of it is on this machine: no index has to be asked.
            self.context.execute(&format!(
                ":offline 1\n:dep {}\n:opt {level}{}",
                library.display(),
                cargo::UNANALYSED,
            ))?;
            self.context.execute(":offline 0")?;
            self.unanalysed = Some(level.to_owned());
        }
        Ok(())
    }

    /// Lets all that can be named be analysed, from the next cell on: seconds, which a cell that
    /// declares no variable need not wait for. rust-analyzer looks anew at the crates when
    /// Cargo.toml has changed.
    fn analyse(&mut self) -> Result<()> {
        let Some(level) = self.unanalysed.take() else { return Ok(()) };
        std::fs::remove_file(cargo::unanalysed())?;
        self.context.execute(&format!(":opt {level}"))?;
        Ok(())
    }

    /// Does jobs as they come and, while there are none, what makes the first of them fast.
    fn work(mut self, setup: &Setup, queue: &Receiver<Job>) {
        self.state.ready.store(true, Ordering::SeqCst);
        let mut steps = steps(setup.warm.as_deref().unwrap_or_default()).peekable();
        loop {
            // No step can be broken off, so that each is small, and none comes between cells that
            // are run one after the other.
            let job = match steps.peek() {
                Some(_) => queue.recv_timeout(READING),
                None => queue.recv().map_err(RecvTimeoutError::from),
            };
            match job {
                Ok(job) => self.job(job),
                Err(RecvTimeoutError::Timeout) => {
                    let Some(step) = steps.next() else { continue };
                    let seen = self.analyse();
                    let seen = seen.and_then(|()| self.context.hover_at(step, step.len()));
                    if let Err(error) = seen {
                        eprintln!("while warming up: {error:#}");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn job(&mut self, job: Job) {
        // Nobody waits for the answer of a request whose session has ended.
        match job {
            Job::Execute { code, input, done } => {
                self.notices.show();
                let mut callbacks = EvalCallbacks {
                    input_reader: &|request| input(&request.prompt, request.is_password),
                };
                let ready = if needs_analysis(&code) { self.analyse() } else { Ok(()) };
                // One of evcxr's commands may change how values are shown. Where this file cannot be
                // written, expressions take longer.
                let commands = code.lines().any(is_command);
                if commands {
                    let _ = std::fs::remove_file(cargo::by_debug());
                }
                let result = if self.state.interrupted() {
                    Err(evcxr::Error::from("interrupted before it began"))
                } else if let Err(error) = ready {
                    Err(evcxr::Error::from(format!("{error:#}")))
                } else {
                    self.context.execute_with_callbacks(&code, &mut callbacks)
                };
                if self.state.shutting_down.load(Ordering::SeqCst) {
                    return;
                }
                let result = result.map(|outputs| {
                    let content = outputs.content_by_mime_type.into_iter();
                    content
                        .map(|(kind, body)| {
                            let value = value_of(&kind, &body);
                            (kind, value)
                        })
                        .collect()
                });
                let compiled = self.context.last_source().unwrap_or_default();
                if !commands && display::is_by_debug(&compiled) {
                    let _ = std::fs::write(cargo::by_debug(), "");
                }
                let _ = done.send(Outcome { result, compiled });
            }
            Job::Complete { code, position, done } => {
                let ready = self.analyse();
                let _ = done.send(ready.and_then(|()| self.context.completions(&code, position)));
            }
            Job::Inspect { code, position, done } => {
                let ready = self.analyse();
                let _ = done.send(ready.and_then(|()| self.context.hover_at(&code, position)));
            }
        }
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
fn steps(code: &str) -> impl Iterator<Item = &str> {
    let ends = code.match_indices(';').map(|(place, _)| place);
    ends.chain([code.len()]).map(|end| &code[..end]).filter(|step| {
        let last = step.rsplit(';').next().unwrap_or_default().trim_start();
        !last.is_empty() && !last.starts_with("use ")
    })
}

#[cfg(test)]
mod tests {
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
}
