//! What has to happen inside the standard library of the cells: panics, interrupts, and what it
//! keeps of its standard streams.
//!
//! The process that runs the cells finds the functions `live_…` by their names when it begins.

use std::any::Any;
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a cell's function returns where it ended well.
pub const DONE: u8 = 0;
/// Where an error ended it.
pub const FAILED: u8 = 1;
/// Where a panic ended it.
pub const PANICKED: u8 = 2;
/// Where it was interrupted.
pub const INTERRUPTED: u8 = 3;

type Report = extern "C" fn(*const u8, usize);
type Concerns = extern "C" fn() -> bool;

/// Set by a signal, cleared when a cell begins and when it ends.
static FLAG: AtomicBool = AtomicBool::new(false);
/// Whether an interrupt is meant for the calling thread.
static CONCERNS: OnceLock<Concerns> = OnceLock::new();

/// Where panics go.
static REPORT: OnceLock<Report> = OnceLock::new();

thread_local! {
    static RUNS_CELLS: Cell<bool> = const { Cell::new(false) };
    /// Whether the last panic of this thread was reported.
    static IS_REPORTED: Cell<bool> = const { Cell::new(false) };
}

/// What unwinds a cell that is interrupted.
struct Interrupt;

/// Whether the cell was interrupted. For code that ends in its own way; [`check`] ends it.
#[inline]
pub fn interrupted() -> bool {
    FLAG.load(Ordering::Relaxed)
}

/// Ends the cell here if it was interrupted: its values are dropped as by a panic, of which nobody
/// hears. Threads that began in earlier cells go on.
#[inline(always)]
pub fn check() {
    if FLAG.load(Ordering::Relaxed) {
        stop();
    }
}

#[cold]
#[inline(never)]
fn stop() {
    let concerned = CONCERNS.get().is_some_and(|concerns| concerns());
    // A second unwinding would end the process.
    if concerned && !std::thread::panicking() {
        std::panic::resume_unwind(Box::new(Interrupt));
    }
}

/// Whether what unwound a thread is an interrupt.
pub fn is_interrupt(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Interrupt>()
}

/// Runs a cell's code, which says whether it ended well; returns what the cell's function returns.
pub fn run(cell: impl FnOnce() -> bool) -> u8 {
    hear_of_panics();
    IS_REPORTED.set(false);
    match std::panic::catch_unwind(AssertUnwindSafe(cell)) {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(payload) => {
            let is_interrupt = is_interrupt(&*payload);
            // The reader's own hook has had it, or it was raised without any.
            if !is_interrupt && !IS_REPORTED.get() {
                report(&described(("", 0, 0), text_of(&*payload)));
            }
            // A value whose drop panics must not end the process.
            if let Err(second) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            // What went wrong on the way out of an interrupted cell is part of the interrupt.
            if is_interrupt || interrupted() { INTERRUPTED } else { PANICKED }
        }
    }
}

/// Starts a thread that calls `cells` with `argument`: it is this standard library's, so that
/// `thread::current()` knows the name `main`. Returns 0, or the system's number of what went wrong, and then
/// `cells` is not called.
#[unsafe(no_mangle)]
pub extern "C" fn live_start(stack: usize, cells: extern "C" fn(usize), argument: usize) -> i32 {
    let thread = std::thread::Builder::new().name("main".into()).stack_size(stack);
    match thread.spawn(move || cells(argument)) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}

/// Makes the calling thread the one that runs cells, and sets the panic hook. A panic goes to `report`,
/// since only the kernel knows where in the reader's text it is, and whether it ends the cell: the thread,
/// whether it runs cells, file, line, column and message, each behind its length (four bytes, little
/// endian). `concerns` says whether an interrupt of the running cell is meant for the thread that calls it.
#[unsafe(no_mangle)]
pub extern "C" fn live_install(report: Report, concerns: Concerns) {
    let _ = CONCERNS.set(concerns);
    let _ = REPORT.set(report);
    RUNS_CELLS.set(true);
    std::panic::set_hook(Box::new(on_panic));
}

/// Sets the panic hook again where the reader has taken it, and has set none or the standard library's.
fn hear_of_panics() {
    let hook = std::panic::take_hook();
    // Behind the first call, what the second one gives is the standard library's.
    let usual = std::panic::take_hook();
    if std::ptr::eq(&*hook, &*usual) {
        std::panic::set_hook(Box::new(on_panic));
    } else {
        std::panic::set_hook(hook);
    }
}

fn on_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location();
    let place = place.map_or(("", 0, 0), |place| (place.file(), place.line(), place.column()));
    report(&described(place, text_of(panic.payload())));
    IS_REPORTED.set(true);
}

fn report(text: &[u8]) {
    if let Some(report) = REPORT.get() {
        report(text.as_ptr(), text.len());
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text")
}

/// Writes what `print!` has held back for want of a newline.
#[unsafe(no_mangle)]
pub extern "C" fn live_flush() {
    // A cell's output that cannot be written has nobody who could be told.
    let _ = std::io::stdout().flush();
}

/// Reads all that is left of standard input, which the process has emptied behind it.
#[unsafe(no_mangle)]
pub extern "C" fn live_discard_input() {
    // What cannot be read is not left over.
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
}

/// The flag that an interrupt sets.
#[unsafe(no_mangle)]
pub extern "C" fn live_interrupt_flag() -> *const AtomicBool {
    &FLAG
}

fn described((file, line, column): (&str, u32, u32), message: &str) -> Vec<u8> {
    let thread = std::thread::current();
    let (line, column) = (line.to_string(), column.to_string());
    let is_on_cells = if RUNS_CELLS.get() { "1" } else { "0" };
    let name = thread.name().unwrap_or("<unnamed>");
    let mut bytes = Vec::new();
    for field in [name, is_on_cells, file, &line, &column, message] {
        bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    bytes
}
