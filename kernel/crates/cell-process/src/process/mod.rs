//! The process that runs the cells.

mod calls;
mod comms;
mod input;
mod interrupt;
mod output;
mod programs;
mod stack;

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context as _, Result};

use crate::frame::{Frame, Order, Outcome, Panic};
use input::Input;
use output::Output;

/// Set by the kernel: its socket.
pub(crate) const SOCKET: &str = "RUST_LIVE_SOCKET";
/// Set by the kernel: the support library.
pub(crate) const SUPPORT: &str = "RUST_LIVE_SUPPORT";
/// Set by the kernel: the descriptors of the other ends of standard output and standard error.
pub(crate) const PIPES: &str = "RUST_LIVE_PIPES";
/// How the process ends that cannot begin.
pub(crate) const CANNOT_BEGIN: i32 = 99;
/// Tells a cell that Jupyter messages on standard output are understood.
const LIVE: &str = "EVCXR_JUPYTER_MESSAGES";

/// The stacks of the thread that runs the cells, in the order in which they are tried. Memory is only
/// taken as it is used.
const STACKS: [usize; 2] = [256 << 20, 64 << 20];

/// How many panics of the running cell were followed to a cell's line.
static FOLLOWED: AtomicU32 = AtomicU32::new(0);
/// A cell may catch thousands of panics, and each takes milliseconds.
const FOLLOWS: u32 = 16;

static OUTPUT: std::sync::OnceLock<&'static Output> = std::sync::OnceLock::new();

/// Becomes the process that runs the cells, if this is it: the kernel has started this program by
/// [`start`](crate::host::start). To be called first in `main`.
pub fn enter() {
    let (Some(socket), Some(support)) = (std::env::var_os(SOCKET), std::env::var_os(SUPPORT))
    else {
        return;
    };
    match run(socket, support) {
        Ok(()) => kernel_is_gone(),
        Err(error) => {
            eprintln!("the process that runs the cells: {error:#}");
            std::process::exit(CANNOT_BEGIN);
        }
    }
}

/// Returns when the kernel has gone.
fn run(socket: OsString, support: OsString) -> Result<()> {
    let mut kernel = UnixStream::connect(&socket)
        .with_context(|| format!("cannot connect to {}", Path::new(&socket).display()))?;
    let pipes = output::pipes(&std::env::var(PIPES).context("no pipes are named")?)?;
    // SAFETY: nothing else runs in this process yet.
    unsafe {
        for variable in [SOCKET, SUPPORT, PIPES] {
            std::env::remove_var(variable);
        }
        std::env::set_var(LIVE, "1");
        // The standard library takes it for a wish.
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value.is_empty()) {
            std::env::remove_var("RUST_BACKTRACE");
        }
    }
    interrupt::leave_it_to_cells();
    let library = Support::load(&support)?;
    stack::listen();
    programs::set_up();
    let output = Output::take_over(kernel.try_clone()?, pipes)?;
    let output = OUTPUT.get_or_init(|| output);
    let input = Input::take_over(output, library.flush);
    let (sender, orders) = channel();
    start_cells(Cells { output, input, support: library, orders })?;
    // An end in the middle of an order is an end as any other.
    while let Ok(Some(order)) = Order::read(&mut kernel) {
        match order {
            Order::Line { question, line } => input.answer(question, line),
            Order::Run { library, symbol } => run_later(&sender, library, symbol)?,
            Order::Comm(parts) => comms::deliver(&parts),
        }
    }
    Ok(())
}

type Cell = (std::path::PathBuf, String);

fn run_later(cells: &Sender<Cell>, library: std::path::PathBuf, symbol: String) -> Result<()> {
    cells.send((library, symbol)).context("the thread that runs the cells has ended")
}

/// What the thread that runs the cells needs.
struct Cells {
    output: &'static Output,
    input: &'static Input,
    support: Support,
    orders: Receiver<Cell>,
}

/// Starts the thread that runs the cells.
fn start_cells(cells: Cells) -> Result<()> {
    let start = cells.support.start;
    let cells = Box::into_raw(Box::new(cells));
    let mut error = 0;
    for size in STACKS {
        error = start(size, run_cells, cells as usize);
        if error == 0 {
            return Ok(());
        }
    }
    // SAFETY: made above, and no thread has begun that could take it.
    drop(unsafe { Box::from_raw(cells) });
    Err(std::io::Error::from_raw_os_error(error)).context("no stack is small enough for the system")
}

/// The thread that runs the cells: to the end of the process.
extern "C" fn run_cells(cells: usize) {
    // SAFETY: `start_cells` has made it for this one call.
    let Cells { output, input, support, orders } = *unsafe { Box::from_raw(cells as *mut Cells) };
    interrupt::set_up(support.flag());
    (support.install)(report, interrupt::concerns_this_thread);
    (support.offer)(&comms::FUNCTIONS);
    output.send(&Frame::Hello(std::process::id()));
    for (library, symbol) in orders {
        // Before the kernel knows of it: from then on an interrupt is meant for it.
        interrupt::begin();
        input.begin();
        output.send(&Frame::Begin);
        let outcome = load_and_run(&library, &symbol)
            .unwrap_or_else(|error| Outcome::NotRun(format!("{error:#}")));
        interrupt::end();
        (support.flush)();
        // SAFETY: null flushes all of the C library's streams.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        input.end(support.discard);
        output.send(&Frame::End(outcome));
    }
}

/// Runs one cell. Code and variables of earlier cells stay loaded to the end of the process.
fn load_and_run(library: &Path, symbol: &str) -> Result<Outcome> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
    // SAFETY: a cell's library was just compiled by the kernel, with a function of this type. It
    // stays loaded.
    unsafe {
        let opened = Library::open(Some(library), RTLD_LAZY | RTLD_GLOBAL)
            .with_context(|| format!("{} cannot be loaded", library.display()))?;
        let cell: extern "C" fn() -> u8 = *opened
            .get(symbol.as_bytes())
            .with_context(|| format!("{} has no function {symbol}", library.display()))?;
        std::mem::forget(opened);
        FOLLOWED.store(0, Ordering::Relaxed);
        Ok(Outcome::of(cell()))
    }
}

/// Sends what the hook of the support library says about a panic.
extern "C" fn report(text: *const u8, length: usize) {
    let Some(output) = OUTPUT.get() else { return };
    // SAFETY: the hook passes on a text that lives as long as the call.
    match Panic::decode(unsafe { std::slice::from_raw_parts(text, length) }) {
        Ok(panic) => output.send(&Frame::Panic(followed(panic))),
        Err(error) => eprintln!("a panic was told in a way that is not understood: {error}"),
    }
}

/// A panic with what there is to say of the calls that led to it. To be called where it happens.
fn followed(mut panic: Panic) -> Panic {
    let is_wished =
        std::env::var_os("RUST_BACKTRACE").is_some_and(|value| !value.is_empty() && value != "0");
    // In a crate or the standard library: the reader looks for the line that called it.
    let is_far = !calls::is_of_cell(&panic.file);
    // Told when it has ended the cell: there are no calls any more.
    if panic.file.is_empty() {
        return panic;
    }
    if (is_wished || is_far) && FOLLOWED.fetch_add(1, Ordering::Relaxed) < FOLLOWS {
        panic.called_at = is_far.then(calls::place_in_cell).flatten();
        panic.backtrace = is_wished.then(calls::backtrace).flatten();
    }
    panic
}

/// The first part that is not empty, of those that `readv(2)` and `writev(2)` take.
///
/// # Safety
/// `parts` must point to `count` of them.
#[cfg(target_os = "linux")]
unsafe fn first_part(parts: *const libc::iovec, count: libc::c_int) -> Option<libc::iovec> {
    let count = usize::try_from(count).ok()?;
    // SAFETY: the caller says that so many parts are there.
    (0..count).map(|part| unsafe { *parts.add(part) }).find(|part| part.iov_len > 0)
}

/// A process that nobody listens to ends, with all that it has started.
fn kernel_is_gone() -> ! {
    // SAFETY: calls to the system that touch no memory; nothing of this process is used any more.
    unsafe {
        if libc::getpgrp() == libc::getpid() {
            libc::kill(0, libc::SIGKILL);
        }
        libc::_exit(0)
    }
}

/// The functions of the support library.
#[derive(Clone, Copy)]
struct Support {
    start: extern "C" fn(usize, extern "C" fn(usize), usize) -> i32,
    install: extern "C" fn(extern "C" fn(*const u8, usize), extern "C" fn() -> bool),
    offer: extern "C" fn(&'static comms::Functions),
    flush: extern "C" fn(),
    discard: extern "C" fn(),
    flag: extern "C" fn() -> *const AtomicBool,
}

impl Support {
    fn load(path: &OsString) -> Result<Support> {
        // SAFETY: the functions in `kernel/src/support` have these types. The library stays loaded.
        unsafe {
            let library = libloading::Library::new(path)
                .with_context(|| format!("{} cannot be loaded", path.to_string_lossy()))?;
            let support = Support {
                start: *library.get(b"live_start")?,
                install: *library.get(b"live_install")?,
                offer: *library.get(b"live_offer")?,
                flush: *library.get(b"live_flush")?,
                discard: *library.get(b"live_discard_input")?,
                flag: *library.get(b"live_interrupt_flag")?,
            };
            std::mem::forget(library);
            Ok(support)
        }
    }

    fn flag(&self) -> *const AtomicBool {
        (self.flag)()
    }
}
