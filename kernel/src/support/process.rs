//! What has to happen inside the standard library of the cells: panics, interrupts, and what it
//! keeps of its standard streams.
//!
//! The process that runs the cells finds the functions `live_…` by their names when it begins.

use std::any::Any;
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

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
/// The function of the cell that is running: backtraces end there.
static SYMBOL: Mutex<String> = Mutex::new(String::new());

/// How many panics of the running cell were followed to the cell's own line.
static WALKED: AtomicU32 = AtomicU32::new(0);
/// A cell may catch thousands of panics, and a walk takes milliseconds.
const WALKS: u32 = 16;

thread_local! {
    static RUNS_CELLS: Cell<bool> = const { Cell::new(false) };
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
    match std::panic::catch_unwind(AssertUnwindSafe(cell)) {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(payload) => {
            let is_interrupt = is_interrupt(&*payload);
            // A value whose drop panics must not end the process.
            if let Err(second) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            // What went wrong on the way out of an interrupted cell is part of the interrupt.
            if is_interrupt || interrupted() { INTERRUPTED } else { PANICKED }
        }
    }
}

/// Makes the calling thread the one that runs cells, and sets the panic hook. A panic goes to `report`,
/// since only the kernel knows where in the reader's text it is, and whether it ends the cell: the thread,
/// whether it runs cells, file, line, column, message, the cell's call that led to it, and perhaps a
/// backtrace, each behind its length (four bytes, little endian). `concerns` says whether an interrupt of
/// the running cell is meant for the thread that calls it.
#[unsafe(no_mangle)]
pub extern "C" fn live_install(report: Report, concerns: Concerns) {
    let _ = CONCERNS.set(concerns);
    RUNS_CELLS.set(true);
    std::panic::set_hook(Box::new(move |panic| {
        let text = described(panic);
        report(text.as_ptr(), text.len());
    }));
}

/// A cell begins; the name of its function.
///
/// # Safety
/// `symbol` must point to `length` bytes of text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn live_begin(symbol: *const u8, length: usize) {
    // SAFETY: the caller says so.
    let symbol = unsafe { std::slice::from_raw_parts(symbol, length) };
    *SYMBOL.lock().unwrap_or_else(PoisonError::into_inner) =
        String::from_utf8_lossy(symbol).into_owned();
    WALKED.store(0, Ordering::Relaxed);
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

fn described(panic: &PanicHookInfo<'_>) -> Vec<u8> {
    let thread = std::thread::current();
    let (file, line, column) =
        panic.location().map_or(("", 0, 0), |place| (place.file(), place.line(), place.column()));
    let wished =
        std::env::var_os("RUST_BACKTRACE").is_some_and(|value| !value.is_empty() && value != "0");
    // In a crate or the standard library: the reader looks for the line that called it.
    let is_far = !is_of_cell(file) && WALKED.fetch_add(1, Ordering::Relaxed) < WALKS;
    let backtrace =
        (wished || is_far).then(|| std::backtrace::Backtrace::force_capture().to_string());
    let called_at = backtrace.as_deref().filter(|_| is_far).and_then(place_in_cell);
    let backtrace = backtrace.as_deref().filter(|_| wished).map(of_the_cell);
    let (line, column) = (line.to_string(), column.to_string());
    let message = panic.payload_as_str().unwrap_or("a value that is no text");
    // The one that runs cells was started by another standard library.
    let (is_on_cells, unnamed) = if RUNS_CELLS.get() { ("1", "main") } else { ("0", "<unnamed>") };
    let name = thread.name().unwrap_or(unnamed);
    let called_at = called_at.unwrap_or_default();
    let fields = [name, is_on_cells, file, &line, &column, message, &called_at];
    let mut bytes = Vec::new();
    for field in fields.into_iter().chain(backtrace.as_deref()) {
        bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    bytes
}

/// Whether this is the file of a cell: `cell 7`, in whichever folder.
fn is_of_cell(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.strip_prefix("cell ")
        .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The innermost call in a cell: its file without folders, line and column.
fn place_in_cell(backtrace: &str) -> Option<String> {
    let places = backtrace.lines().filter_map(|line| line.trim_start().strip_prefix("at "));
    places
        .filter(|place| {
            let file = place.rsplitn(3, ':').nth(2).unwrap_or_default();
            is_of_cell(file)
        })
        .map(|place| place.rsplit('/').next().unwrap_or_default().to_owned())
        .next()
}

/// A backtrace without the frames of the panic itself and those below the cell's function.
fn of_the_cell(backtrace: &str) -> String {
    const PANIC: [&str; 6] = [
        "std::panicking::",
        "core::panicking::",
        "core::option::",
        "core::result::unwrap_failed",
        "core::slice::index::",
        "core::str::slice_error_fail",
    ];
    const RUN: [&str; 6] = [
        "std::panic::catch_unwind",
        "std::panicking::",
        "<core::panic::unwind_safe::AssertUnwindSafe<",
        "core::ops::function::FnOnce::call_once",
        "__rust_try",
        "rust_live::",
    ];
    let mut frames: Vec<(String, Vec<&str>)> = Vec::new();
    for line in backtrace.lines() {
        let numbered = line.trim_start().split_once(": ");
        match numbered.filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((_, name)) => frames.push((name.to_owned(), Vec::new())),
            None => {
                if let Some((_, places)) = frames.last_mut() {
                    places.push(line);
                }
            }
        }
    }
    let is = |frame: &(String, Vec<&str>), names: &[&str]| {
        names.iter().any(|name| frame.0.starts_with(name))
    };
    let of_panic =
        |frame: &(String, Vec<&str>)| is(frame, &PANIC) || frame.0.ends_with("rust_begin_unwind");
    let first = frames
        .iter()
        .position(|(name, _)| name.contains("__rust_end_short_backtrace"))
        .map_or(0, |at| at + 1);
    let first = frames[first..]
        .iter()
        .position(|frame| !of_panic(frame))
        .map_or(frames.len(), |more| first + more);
    let symbol = SYMBOL.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut last = frames.iter().position(|(name, _)| *name == symbol).unwrap_or(frames.len());
    while last > first && is(&frames[last - 1], &RUN) {
        last -= 1;
    }
    let mut text = String::new();
    for (number, (name, places)) in frames[first..last.max(first)].iter().enumerate() {
        text += &format!("{number:4}: {name}\n");
        for place in places {
            text += &format!("{place}\n");
        }
    }
    text
}
