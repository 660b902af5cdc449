//! Starts the real process, with cells that rustc compiles.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cell_process::host::{self, Ended, Event, Process};
use cell_process::{Outcome, Panic};

/// No test waits longer for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for this run, the support library in it, and where the standard library is.
struct Lab {
    folder: PathBuf,
    support: PathBuf,
    libraries: PathBuf,
}

fn rustc(arguments: &[&str]) -> String {
    let output = Command::new("rustc").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        // Nothing is dropped at the end of the tests: the next run clears up.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cells");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        let support = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/support");
        let root = folder.join("lib.rs");
        let module = format!(
            "#[path = \"{support}/process.rs\"] mod process;\npub use process::*;\n\
             #[path = \"{support}/comms.rs\"] mod comms;\npub use comms::*;\n\
             mod far;\npub use far::*;\n"
        );
        std::fs::write(&root, module).unwrap();
        let far = "#[inline(never)] pub fn fail() -> u32 { panic!(\"far\") }\n";
        std::fs::write(folder.join("far.rs"), far).unwrap();
        let out = folder.to_str().unwrap();
        let root = root.to_str().unwrap();
        let kind = ["--crate-type", "dylib", "--crate-name", "rust_live", "-C", "prefer-dynamic"];
        let rest = ["--edition", "2024", "-O", "-g", "-D", "warnings", "--out-dir", out, root];
        rustc(&[&kind[..], &rest[..]].concat());
        let libraries = rustc(&["--print", "target-libdir"]);
        Lab {
            support: folder.join(format!("librust_live{}", std::env::consts::DLL_SUFFIX)),
            libraries: PathBuf::from(libraries.trim()),
            folder,
        }
    })
}

/// The support library.
pub(crate) fn support() -> &'static Path {
    &lab().support
}

/// Where the standard library of the cells is.
pub(crate) fn libraries() -> &'static Path {
    &lab().libraries
}

/// Compiles a cell: items, a line `---`, and statements; statements alone where there is no such line.
pub(crate) fn compile(code: &str) -> (PathBuf, String) {
    compile_as(None, code)
}

/// The same, with a name for the file.
fn compile_as(file: Option<&str>, code: &str) -> (PathBuf, String) {
    static CELLS: AtomicUsize = AtomicUsize::new(0);
    let number = CELLS.fetch_add(1, Ordering::SeqCst);
    let (items, body) = code.split_once("---\n").unwrap_or(("", code));
    let symbol = format!("cell_{number}");
    let source = format!(
        "#![allow(warnings)]\n{items}\n#[unsafe(no_mangle)] pub extern \"C\" fn {symbol}() -> u8 \
         {{ rust_live::run(|| {{ use std::io::*;\n{body}\n; true }}) }}"
    );
    let folder = &lab().folder;
    let root = folder.join(file.map_or_else(|| format!("{symbol}.rs"), str::to_owned));
    std::fs::write(&root, source).unwrap();
    let library = folder.join(format!("lib{symbol}{}", std::env::consts::DLL_SUFFIX));
    let support = format!("rust_live={}", lab().support.display());
    let remapped = format!("{}/=", folder.display());
    let kind = [
        &["--crate-type", "cdylib", "--crate-name", "cell", "-C", "prefer-dynamic"][..],
        &["--edition", "2024", "-g", "--remap-path-prefix"],
        &[&remapped],
    ]
    .concat();
    let (root, out) = (root.to_str().unwrap(), library.to_str().unwrap());
    rustc(&[&kind[..], &["--extern", &support, "-o", out, root]].concat());
    (library, symbol)
}

/// A process, and the events that have not been looked at.
pub(crate) struct Session {
    pub(crate) process: Process,
    pub(crate) events: Receiver<Event>,
}

/// What happened while a cell ran.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) panics: Vec<Panic>,
    /// Everything, in order.
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) ended: Option<Ended>,
}

impl Session {
    pub(crate) fn start() -> Session {
        Session::start_with(&[])
    }

    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Session {
        let (process, events) = start(variables).unwrap();
        let (sender, receiver) = channel();
        std::thread::spawn(move || events.map_while(|event| sender.send(event).ok()).count());
        Session { process, events: receiver }
    }

    /// Runs a cell to its end; nobody answers.
    pub(crate) fn run(&self, code: &str) -> Told {
        self.run_with(code, |process, event| {
            if let Event::Input { question, .. } = event {
                process.answer(*question, None).unwrap();
            }
        })
    }

    /// Runs a cell whose file has this name.
    pub(crate) fn run_as(&self, file: &str, code: &str) -> Told {
        self.run_compiled(compile_as(Some(file), code), |_, _| {})
    }

    /// Runs a cell to its end, with a look at each event.
    pub(crate) fn run_with(&self, code: &str, look: impl FnMut(&Process, &Event)) -> Told {
        self.run_compiled(compile(code), look)
    }

    fn run_compiled(
        &self,
        (library, symbol): (PathBuf, String),
        mut look: impl FnMut(&Process, &Event),
    ) -> Told {
        self.process.run(&library, &symbol).unwrap();
        let mut told = Told::default();
        while told.outcome.is_none() && told.ended.is_none() {
            let event = match self.events.recv_timeout(PATIENCE) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => panic!("nothing more happens: {told:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("no end: {told:?}"),
            };
            look(&self.process, &event);
            told.add(event);
        }
        told
    }

    /// Runs a cell that says on standard output when it is to be interrupted, by a line `ready`;
    /// returns how long it took to end then.
    pub(crate) fn interrupt(&self, code: &str) -> (Told, Duration) {
        let mut pressed = None;
        let mut out = Vec::new();
        let told = self.run_with(code, |process, event| {
            if let Event::Stdout(bytes) = event
                && pressed.is_none()
            {
                out.extend_from_slice(bytes);
                if out.windows(5).any(|part| part == b"ready") {
                    std::thread::sleep(Duration::from_millis(100));
                    pressed = Some(Instant::now());
                    process.interrupt();
                }
            }
        });
        (told, pressed.expect("it was never ready").elapsed())
    }

    /// Waits until a text has come on standard output, between cells.
    pub(crate) fn wait_for(&self, text: &str) {
        let mut out = String::new();
        while !out.contains(text) {
            if let Event::Stdout(bytes) = self.events.recv_timeout(PATIENCE).expect("no output") {
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
}

impl Told {
    fn add(&mut self, event: Event) {
        match &event {
            Event::Stdout(bytes) => self.out.push_str(&String::from_utf8_lossy(bytes)),
            Event::Stderr(bytes) => self.err.push_str(&String::from_utf8_lossy(bytes)),
            Event::Panic(panic) => self.panics.push(panic.clone()),
            Event::End(outcome) => self.outcome = Some(outcome.clone()),
            Event::Ended(ended) => self.ended = Some(ended.clone()),
            _ => {}
        }
        self.events.push(event);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.outcome == Some(Outcome::Done)
    }

    /// The words with which the process has ended.
    pub(crate) fn end(&self) -> &str {
        &self.ended.as_ref().unwrap_or_else(|| panic!("it goes on: {self:?}")).words
    }
}

/// Starts a process with these variables.
pub(crate) fn start(variables: &[(&str, &str)]) -> Result<(Process, host::Events), String> {
    static SOCKETS: AtomicUsize = AtomicUsize::new(0);
    // Short: the path of a socket has little room.
    let name = format!("rl-{}-{}", std::process::id(), SOCKETS.fetch_add(1, Ordering::SeqCst));
    let socket = std::env::temp_dir().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cells"));
    command.env("LD_LIBRARY_PATH", &lab().libraries);
    command.env("DYLD_LIBRARY_PATH", &lab().libraries);
    command.env_remove("RUST_BACKTRACE").envs(variables.iter().copied());
    let support = variables
        .iter()
        .find(|(name, _)| *name == "SUPPORT")
        .map_or_else(|| lab().support.clone(), |(_, path)| PathBuf::from(path));
    let started = host::start(command, &socket, &support).map_err(|error| format!("{error:#}"));
    assert!(!socket.exists());
    started
}
