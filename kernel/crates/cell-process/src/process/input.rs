//! The standard input of the cells: a read asks the reader of the notebook.
//!
//! The descriptor itself is empty. Standing before the C library's `read` serves all that reads it
//! by that, the standard library of the cells included.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::interrupt;
use super::output::Output;
use crate::frame::Frame;

/// How often a read that waits looks for an interrupt.
const LOOK: Duration = Duration::from_millis(20);

static INPUT: OnceLock<Input> = OnceLock::new();

thread_local! {
    /// Whether this thread reads what is left over, and asks nobody.
    static DISCARDS: Cell<bool> = const { Cell::new(false) };
}

/// What cells read from.
pub(super) struct Input {
    process: u32,
    output: &'static Output,
    /// Writes what `print!` holds back: it is the question.
    flush: extern "C" fn(),
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The cell that may ask; 0 between cells.
    cell: u32,
    /// What was answered and not read.
    left: Vec<u8>,
    /// The question that is being asked.
    asked: Option<u32>,
    /// How many questions were asked.
    questions: u32,
    /// Whether this cell has read a line.
    was_read: bool,
    /// The answer that has come.
    answer: Option<Option<String>>,
}

impl Input {
    /// Answers reads of standard input from now on.
    pub(super) fn take_over(output: &'static Output, flush: extern "C" fn()) -> &'static Input {
        INPUT.get_or_init(|| Input {
            process: std::process::id(),
            output,
            flush,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// A cell begins.
    pub(super) fn begin(&self) {
        self.lock().cell = interrupt::cell();
    }

    /// The cell has ended: whoever still waits is told that there is no more. What it has not read of
    /// its lines is no line of the next cell; `discard` reads all that the standard library has kept.
    pub(super) fn end(&self, discard: extern "C" fn()) {
        let was_read = {
            let mut state = self.lock();
            state.cell = 0;
            state.left.clear();
            self.changed.notify_all();
            std::mem::take(&mut state.was_read)
        };
        if was_read {
            DISCARDS.set(true);
            discard();
            DISCARDS.set(false);
        }
    }

    /// The kernel has an answer.
    pub(super) fn answer(&self, question: u32, line: Option<String>) {
        let mut state = self.lock();
        // Whoever asked may have given up.
        if state.asked == Some(question) {
            state.answer = Some(line);
            self.changed.notify_all();
        }
    }

    /// Reads as much as there is, at most what fits.
    fn read(&self, into: &mut [u8]) -> usize {
        if DISCARDS.get() {
            return 0;
        }
        let mut state = self.lock();
        let cell = state.cell;
        loop {
            if cell == 0 || state.cell != cell || interrupt::interrupted() {
                return 0;
            }
            if !state.left.is_empty() {
                let length = into.len().min(state.left.len());
                for (to, byte) in into.iter_mut().zip(state.left.drain(..length)) {
                    *to = byte;
                }
                return length;
            }
            if state.asked.is_none() {
                break;
            }
            state = self.wait(state);
        }
        state.questions += 1;
        let question = state.questions;
        state.asked = Some(question);
        drop(state);
        (self.flush)();
        self.output.send(&Frame::Input(question));

        let mut state = self.lock();
        let answer = loop {
            if let Some(answer) = state.answer.take() {
                break answer;
            }
            if state.cell != cell || interrupt::interrupted() {
                state.asked = None;
                self.changed.notify_all();
                drop(state);
                self.output.send(&Frame::InputOver(question));
                return 0;
            }
            state = self.wait(state);
        };
        state.asked = None;
        self.changed.notify_all();
        let Some(line) = answer.filter(|_| state.cell == cell) else { return 0 };
        let line = [line.as_bytes(), b"\n"].concat();
        let (now, later) = line.split_at(line.len().min(into.len()));
        into[..now.len()].copy_from_slice(now);
        state.left = later.to_vec();
        state.was_read = true;
        now.len()
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match self.changed.wait_timeout(state, LOOK) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands before the C library's `read` in this program.
///
/// # Safety
/// As for `read(2)`: `bytes` must point to room for `length` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn read(
    descriptor: libc::c_int,
    bytes: *mut libc::c_void,
    length: libc::size_t,
) -> libc::ssize_t {
    if descriptor == 0
        && length > 0
        && let Some(input) = INPUT.get().filter(|input| input.process == std::process::id())
    {
        let length = length.min(0x7fff_f000);
        // SAFETY: the caller says that there is so much room; it is filled with zeros first, since
        // it may be fresh.
        let into = unsafe {
            std::ptr::write_bytes(bytes.cast::<u8>(), 0, length);
            std::slice::from_raw_parts_mut(bytes.cast::<u8>(), length)
        };
        return input.read(into) as libc::ssize_t;
    }
    // SAFETY: as `read(2)`, in whose place this stands.
    unsafe { libc::syscall(libc::SYS_read, descriptor, bytes, length) as libc::ssize_t }
}

/// Stands before the C library's `readv` in this program.
///
/// # Safety
/// As for `readv(2)`: `parts` must point to `count` valid parts.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn readv(
    descriptor: libc::c_int,
    parts: *const libc::iovec,
    count: libc::c_int,
) -> libc::ssize_t {
    if descriptor == 0
        // SAFETY: the caller says that so many parts are there.
        && let Some(part) = unsafe { super::first_part(parts, count) }
    {
        // Less may be read than there is room for.
        // SAFETY: the caller says that the part is valid.
        return unsafe { read(descriptor, part.iov_base, part.iov_len) };
    }
    // SAFETY: as `readv(2)`, in whose place this stands.
    unsafe { libc::syscall(libc::SYS_readv, descriptor, parts, count) as libc::ssize_t }
}
