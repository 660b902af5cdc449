//! Where everything goes that a cell writes.
//!
//! Two pipes would tell standard output from standard error but lose the order between them; one
//! would keep the order but lose which is which. Standing before the C library's `write` keeps both,
//! for everything in the process, the standard library of the cells included. What does not come
//! this way (C's own stdio, programs that are started, and all of it on macOS) arrives by the pipes
//! that are the descriptors themselves.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::interrupt;
use crate::frame::{self, Frame};

/// No frame is longer: the kernel must not need a gigabyte because a cell writes one at once.
const PIECE: usize = 1 << 16;

static OUTPUT: OnceLock<Output> = OnceLock::new();
/// The output that a thread has entered last, for programs that write while no cell runs.
static ENTERED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The output to which this thread writes; 0 is that of the cell.
    static WRITES_TO: Cell<u32> = const { Cell::new(0) };
}

/// The way to the kernel.
#[derive(Debug)]
pub(super) struct Output {
    /// A program that is being started has all of this, too, until it begins.
    process: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kernel: UnixStream,
    /// The output to which goes what is sent now, as the kernel was told.
    writes_to: u32,
    /// The other ends of standard output and standard error; none once the process exits, when the
    /// kernel reads what is still to come.
    pipes: Option<[File; 2]>,
}

impl Output {
    /// Takes all writes to standard output and standard error from now on; `pipes` are their other
    /// ends.
    pub(super) fn take_over(kernel: UnixStream, pipes: [File; 2]) -> Result<&'static Output> {
        let ends = pipes.each_ref().map(std::os::fd::AsRawFd::as_raw_fd);
        let state = Mutex::new(State { kernel, writes_to: 0, pipes: Some(pipes) });
        let output = OUTPUT.get_or_init(|| Output { process: std::process::id(), state });
        std::thread::Builder::new().name("output".into()).spawn(move || output.forward(ends))?;
        // SAFETY: the function may be called at any time.
        if unsafe { libc::atexit(at_exit) } != 0 {
            anyhow::bail!("there is no room for another function at exit");
        }
        Ok(output)
    }

    /// Sends a frame, and before it all that has been written.
    pub(super) fn send(&self, frame: &Frame) {
        let mut state = self.lock();
        state.write_to(WRITES_TO.get());
        state.drain();
        state.send(&frame.encode());
    }

    /// What was written to standard output (1) or standard error (2).
    fn take(&self, stream: i32, bytes: &[u8]) {
        let mut state = self.lock();
        state.write_to(WRITES_TO.get());
        // What programs have written that were waited for comes first.
        state.drain();
        state.send_text(stream, bytes);
    }

    /// Sends what arrives by the pipes while nothing else does.
    fn forward(&self, ends: [i32; 2]) {
        let mut polled = ends.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        loop {
            // SAFETY: the call fills in the array, whose length it is told.
            let ready = unsafe { libc::poll(polled.as_mut_ptr(), 2, -1) };
            let mut state = self.lock();
            if state.pipes.is_none() {
                return;
            }
            // Nobody knows who has started the program that writes.
            let entered = ENTERED.load(Ordering::SeqCst);
            state.write_to(if interrupt::cell() == 0 { entered } else { 0 });
            state.drain();
            drop(state);
            // A cell has closed its own end: the system would say so again and again.
            for pipe in polled.iter_mut().filter(|pipe| pipe.revents & libc::POLLHUP != 0) {
                pipe.fd = -1;
            }
            if ready < 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Writes words of a thread that can do nothing else any more, from within a signal handler.
    pub(super) fn last_words(words: &[u8]) {
        let Some(output) = OUTPUT.get().filter(|output| output.is_ours()) else { return };
        for _ in 0..100 {
            let state = match output.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(state)) => state.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    // SAFETY: the call touches no memory.
                    unsafe { libc::usleep(10_000) };
                    continue;
                }
            };
            let mut kernel = &state.kernel;
            let header = frame::header(Frame::STDERR, words.len() as u32);
            // A kernel that has gone needs no words.
            let _ = kernel.write_all(&header).and_then(|()| kernel.write_all(words));
            return;
        }
        // This very thread may be in the middle of a frame: the kernel finds them in the pipe.
        #[cfg(target_os = "linux")]
        // SAFETY: the bytes are there for the length of the call.
        unsafe {
            libc::syscall(libc::SYS_write, 2, words.as_ptr(), words.len())
        };
    }

    pub(super) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What this thread writes goes to another output from now on; the one before.
pub(super) fn enter(output: u32) -> u32 {
    ENTERED.store(output, Ordering::SeqCst);
    WRITES_TO.replace(output)
}

impl State {
    /// Tells the kernel to which output goes what follows.
    fn write_to(&mut self, output: u32) {
        if self.writes_to != output {
            self.writes_to = output;
            self.send(&Frame::Output(output).encode());
        }
    }

    /// Sends what is in the pipes now, and does not wait for more.
    fn drain(&mut self) {
        for stream in [1, 2] {
            let Some(pipe) = self.pipes.as_mut().map(|pipes| &mut pipes[stream - 1]) else {
                return;
            };
            let mut left = waiting(pipe);
            while left > 0 {
                let mut bytes = [0; 4096];
                let most = left.min(bytes.len());
                let Some(pipe) = self.pipes.as_mut().map(|pipes| &mut pipes[stream - 1]) else {
                    return;
                };
                match pipe.read(&mut bytes[..most]) {
                    Ok(0) => break,
                    Ok(read) => {
                        left -= read;
                        self.send_text(stream as i32, &bytes[..read]);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn send_text(&mut self, stream: i32, bytes: &[u8]) {
        let kind = if stream == 2 { Frame::STDERR } else { Frame::STDOUT };
        for piece in bytes.chunks(PIECE) {
            self.send(&[&frame::header(kind, piece.len() as u32), piece].concat());
        }
    }

    fn send(&mut self, encoded: &[u8]) {
        if self.kernel.write_all(encoded).is_err() {
            super::kernel_is_gone();
        }
    }
}

/// The other ends of standard output and standard error that the kernel has handed to this process.
pub(super) fn pipes(numbers: &str) -> Result<[File; 2]> {
    let open = |number: &str| -> Result<File> {
        let number: i32 = number.parse()?;
        // SAFETY: the kernel has left this descriptor open for this one use.
        let file = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(number) };
        // SAFETY: a call to the system that touches no memory.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(file)
    };
    let (out, err) = numbers.split_once(',').context("two pipes are needed")?;
    Ok([open(out)?, open(err)?])
}

/// Runs after all functions that cells have registered. What the C library writes later is left to
/// the kernel.
extern "C" fn at_exit() {
    if let Some(output) = OUTPUT.get().filter(|output| output.is_ours()) {
        let mut state = output.lock();
        state.drain();
        // The descriptors stay open: the C library has still to write.
        std::mem::forget(state.pipes.take());
    }
}

/// How many bytes wait in a pipe.
fn waiting(pipe: &File) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call fills in one number.
    let known = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut bytes) == 0 };
    if known { usize::try_from(bytes).unwrap_or_default() } else { 0 }
}

/// Stands before the C library's `write` in this program.
///
/// # Safety
/// As for `write(2)`: `bytes` must point to `length` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn write(
    descriptor: libc::c_int,
    bytes: *const libc::c_void,
    length: libc::size_t,
) -> libc::ssize_t {
    // The system writes no more at a time, and callers go on with the rest.
    let length = length.min(0x7fff_f000);
    if (descriptor == 1 || descriptor == 2)
        && length > 0
        && let Some(output) = OUTPUT.get().filter(|output| output.is_ours())
    {
        // SAFETY: the caller says that so many bytes are there.
        output.take(descriptor, unsafe { std::slice::from_raw_parts(bytes.cast(), length) });
        return length as libc::ssize_t;
    }
    // SAFETY: as `write(2)`, in whose place this stands.
    unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, length) as libc::ssize_t }
}

/// Stands before the C library's `writev` in this program.
///
/// # Safety
/// As for `writev(2)`: `parts` must point to `count` valid parts.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn writev(
    descriptor: libc::c_int,
    parts: *const libc::iovec,
    count: libc::c_int,
) -> libc::ssize_t {
    if (descriptor == 1 || descriptor == 2)
        // SAFETY: the caller says that so many parts are there.
        && let Some(part) = unsafe { super::first_part(parts, count) }
    {
        // Part of it may be written; callers go on with the rest.
        // SAFETY: the caller says that the part is valid.
        return unsafe { write(descriptor, part.iov_base, part.iov_len) };
    }
    // SAFETY: as `writev(2)`, in whose place this stands.
    unsafe { libc::syscall(libc::SYS_writev, descriptor, parts, count) as libc::ssize_t }
}
