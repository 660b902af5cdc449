//! The process that runs the cells.
//!
//! evcxr starts it and writes `LOAD_AND_RUN library function` to its standard input. It answers
//! evcxr on the standard output that it was started with; cells get another. All that a cell writes
//! goes to the kernel over one socket, so that the order of standard output, standard error and
//! Jupyter messages is kept.

pub(crate) mod frame;
mod markers;
pub(crate) mod stdio;

use std::ffi::{OsString, c_void};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use frame::Frame;
use markers::{Part, Splitter};

/// Set by evcxr for the process that runs the cells.
pub(crate) const IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";
/// Set by the kernel: its socket.
pub(crate) const SOCKET: &str = "RUST_LIVE_SOCKET";
/// Set by the kernel: the library made from `hooks.rs`.
pub(crate) const HOOKS: &str = "RUST_LIVE_HOOKS";
/// Set by the kernel: the reader's own `RUST_BACKTRACE`, which evcxr overwrites.
pub(crate) const BACKTRACE: &str = "RUST_LIVE_BACKTRACE";
/// Tells a cell that Jupyter messages on standard output are understood.
pub(crate) const LIVE: &str = "EVCXR_JUPYTER_MESSAGES";

/// When a cell has returned, output of its C code and of programs that it started may still be on its
/// way through the pipes: it is waited for this long at most.
const DRAIN: Duration = Duration::from_millis(200);

/// Becomes the process that runs the cells, if this is it.
pub(crate) fn enter() {
    if std::env::var_os(IS_RUNTIME).is_some() && std::env::var_os(SOCKET).is_some() {
        match run() {
            Ok(()) => std::process::exit(0),
            Err(error) => {
                eprintln!("the process that runs the cells: {error:#}");
                std::process::exit(99);
            }
        }
    }
}

fn run() -> Result<()> {
    let socket = std::env::var_os(SOCKET).context("no socket is named")?;
    let kernel = UnixStream::connect(&socket)
        .with_context(|| format!("cannot connect to {}", Path::new(&socket).display()))?;
    let hooks = std::env::var_os(HOOKS).context("no hooks are named")?;
    let backtrace = std::env::var_os(BACKTRACE).is_some_and(|value| value != "0");
    // SAFETY: nothing else runs in this process yet.
    unsafe {
        for variable in [SOCKET, HOOKS, BACKTRACE, IS_RUNTIME, "RUST_BACKTRACE"] {
            std::env::remove_var(variable);
        }
        std::env::set_var(LIVE, "1");
        if backtrace {
            std::env::set_var("RUST_BACKTRACE", "1");
        }
    }
    let acknowledged = watch(kernel.try_clone()?)?;
    let output = Output::take_over(kernel)?;
    let flush = install_hooks(&hooks, backtrace)?;
    ignore_interrupt(true);

    let mut line = String::new();
    while std::io::stdin().lock().read_line(&mut line)? > 0 {
        let (library, function) = line
            .trim_end()
            .strip_prefix("LOAD_AND_RUN ")
            .and_then(|call| call.rsplit_once(' '))
            .with_context(|| format!("evcxr said {line:?}"))?;
        load_and_run(library, function, output)?;
        flush();
        output.finish();
        // The kernel has seen all of it: evcxr may go on.
        acknowledged.recv().context("the kernel has gone")?;
        output.to_evcxr(markers::COMPLETE);
        line.clear();
    }
    Ok(())
}

/// Runs one cell. Code and variables of earlier cells stay loaded to the end of the process.
fn load_and_run(library: &str, function: &str, output: &'static Output) -> Result<()> {
    static VARIABLES: Mutex<usize> = Mutex::new(0);
    type Cell = extern "C" fn(*mut c_void) -> *mut c_void;
    let mut variables = lock(&VARIABLES);
    // SAFETY: a cell's library was just compiled by evcxr, with a function of this type, which takes what the
    // one before it returned. It stays loaded.
    unsafe {
        let library = libloading::os::unix::Library::open(
            Some(library),
            libloading::os::unix::RTLD_LAZY | libloading::os::unix::RTLD_LOCAL,
        )
        .with_context(|| format!("{library} cannot be loaded"))?;
        let cell: Cell = *library.get(function.as_bytes())?;
        std::mem::forget(library);
        // An interrupt ends this process unless the cell listens to it.
        ignore_interrupt(false);
        output.send(&Frame::Begin);
        *variables = cell(*variables as *mut c_void) as usize;
        ignore_interrupt(true);
    }
    Ok(())
}

fn ignore_interrupt(ignore: bool) {
    // SAFETY: no handler is set.
    unsafe {
        libc::signal(libc::SIGINT, if ignore { libc::SIG_IGN } else { libc::SIG_DFL });
    }
}

/// Ends this process when the kernel has gone, and passes the kernel's acknowledgements on.
fn watch(mut kernel: UnixStream) -> Result<Receiver<()>> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("kernel".into()).spawn(move || {
        let mut acknowledgement = [0];
        while kernel.read_exact(&mut acknowledgement).is_ok() && sender.send(()).is_ok() {}
        // SAFETY: a process that nobody listens to ends; nothing of it is used any more.
        unsafe { libc::_exit(0) }
    })?;
    Ok(receiver)
}

/// Sets the panic hook of the cells; returns the function that flushes their standard output.
fn install_hooks(hooks: &OsString, backtrace: bool) -> Result<extern "C" fn()> {
    extern "C" fn report(text: *const u8, length: usize) {
        if let Some(output) = OUTPUT.get() {
            // SAFETY: the hook passes on a text that lives as long as the call.
            let text = unsafe { std::slice::from_raw_parts(text, length) };
            output.send(&Frame::Panic(text.to_vec()));
        }
    }
    type Install = extern "C" fn(extern "C" fn(*const u8, usize), bool);
    // SAFETY: the library was made from `hooks.rs`, whose functions have these types. It stays loaded.
    unsafe {
        let library = libloading::Library::new(hooks)
            .with_context(|| format!("{} cannot be loaded", hooks.to_string_lossy()))?;
        let install: Install = *library.get(b"live_install")?;
        let flush: extern "C" fn() = *library.get(b"live_flush")?;
        std::mem::forget(library);
        install(report, backtrace);
        Ok(flush)
    }
}

static OUTPUT: OnceLock<Output> = OnceLock::new();

/// Where everything goes that a cell writes.
struct Output {
    process: u32,
    state: Mutex<State>,
    /// The ends of standard output and standard error that this process reads itself.
    pipes: [RawFd; 2],
}

struct State {
    kernel: UnixStream,
    evcxr: std::fs::File,
    splitter: Splitter,
}

impl Output {
    /// Gives the cells a standard output and a standard error of their own.
    fn take_over(kernel: UnixStream) -> Result<&'static Output> {
        // SAFETY: the descriptor was just made, and nobody else has it.
        let evcxr = unsafe { std::fs::File::from_raw_fd(duplicate(1)?) };
        let (out, err) = (pipe_onto(1)?, pipe_onto(2)?);
        let output = OUTPUT.get_or_init(|| Output {
            process: std::process::id(),
            state: Mutex::new(State { kernel, evcxr, splitter: Splitter::default() }),
            pipes: [out.as_raw_fd(), err.as_raw_fd()],
        });
        stdio::take_writes(move |stream, bytes| {
            // A program that is being started is another process already.
            let ours = output.process == std::process::id();
            if ours {
                output.take(stream, bytes);
            }
            ours
        });
        output.send(&Frame::Hello(output.process));
        for (stream, pipe) in [(1, out), (2, err)] {
            std::thread::Builder::new().name(format!("output {stream}")).spawn(move || {
                let mut pipe = std::fs::File::from(pipe);
                let mut bytes = vec![0; 1 << 16];
                while let Ok(read) = pipe.read(&mut bytes) {
                    if read == 0 {
                        break;
                    }
                    output.take(stream, &bytes[..read]);
                }
            })?;
        }
        Ok(output)
    }

    /// Takes what was written to standard output (1) or standard error (2).
    fn take(&self, stream: i32, bytes: &[u8]) {
        let mut state = lock(&self.state);
        let State { kernel, evcxr, splitter } = &mut *state;
        if stream == 2 {
            return send(kernel, &Frame::Stderr(bytes.to_vec()));
        }
        splitter.push(bytes, |part| match part {
            Part::Text(text) => send(kernel, &Frame::Stdout(text)),
            Part::Message(json) => send(kernel, &Frame::Message(json)),
            Part::Content(content) => send(kernel, &Frame::Content(content)),
            Part::Panicked(line) => {
                send(kernel, &Frame::Panicked);
                tell(evcxr, &line);
            }
            Part::Failed(line) => {
                send(kernel, &Frame::Failed);
                tell(evcxr, &line);
            }
            Part::ForEvcxr(line) => tell(evcxr, &line),
        });
    }

    /// Sends all that is still on its way, then the end of the cell.
    fn finish(&self) {
        // SAFETY: null flushes all of the C library's streams.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        let start = Instant::now();
        while self.pipes.iter().any(|pipe| waiting(*pipe)) && start.elapsed() < DRAIN {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut state = lock(&self.state);
        let State { kernel, splitter, .. } = &mut *state;
        splitter.finish(|part| {
            if let Part::Text(text) = part {
                send(kernel, &Frame::Stdout(text));
            }
        });
        send(kernel, &Frame::End);
    }

    fn send(&self, frame: &Frame) {
        send(&mut lock(&self.state).kernel, frame);
    }

    fn to_evcxr(&self, line: &str) {
        tell(&mut lock(&self.state).evcxr, line);
    }
}

/// A kernel that has gone ends this process: nobody is left to run cells for.
fn send(kernel: &mut UnixStream, frame: &Frame) {
    if kernel.write_all(&frame.encode()).is_err() {
        // SAFETY: as in `watch`.
        unsafe { libc::_exit(0) }
    }
}

fn tell(evcxr: &mut std::fs::File, line: &str) {
    if evcxr.write_all(format!("{line}\n").as_bytes()).is_err() {
        // SAFETY: as in `watch`.
        unsafe { libc::_exit(0) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether bytes wait in a pipe.
fn waiting(pipe: RawFd) -> bool {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call fills in one number.
    unsafe { libc::ioctl(pipe, libc::FIONREAD, &mut bytes) == 0 && bytes > 0 }
}

/// A copy of a descriptor that programs started by a cell do not inherit.
fn duplicate(fd: RawFd) -> Result<RawFd> {
    // SAFETY: a call to the system that touches no memory.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        bail!("descriptor {fd} cannot be copied: {}", std::io::Error::last_os_error());
    }
    Ok(copy)
}

/// Puts a new pipe in the place of a descriptor and returns its other end.
fn pipe_onto(fd: RawFd) -> Result<OwnedFd> {
    let (reader, writer) = std::io::pipe()?;
    // SAFETY: a call to the system that touches no memory.
    if unsafe { libc::dup2(writer.as_raw_fd(), fd) } < 0 {
        bail!("descriptor {fd} cannot be replaced: {}", std::io::Error::last_os_error());
    }
    Ok(reader.into())
}
