//! The stop button: a signal sets the flag that cells poll, and ends their sleeps.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// The flag in the support library.
static FLAG: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());
/// The number of the cell that is running, from 1; 0 between cells, when nobody is interrupted.
static CELL: AtomicU32 = AtomicU32::new(0);
/// How many cells have begun.
static BEGUN: AtomicU32 = AtomicU32::new(0);
/// The thread that runs cells, as the system numbers it.
static CELLS_THREAD: AtomicI32 = AtomicI32::new(0);

/// How many threads run code of earlier cells, such as what a widget calls.
static CALLBACKS: AtomicU32 = AtomicU32::new(0);

/// The number that stands for every cell.
const ANY: u32 = u32::MAX;

thread_local! {
    /// The cell that was running when this thread began.
    static BORN_IN: Cell<u32> = const { Cell::new(0) };
    /// Whether this thread runs code of an earlier cell.
    static IS_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Leaves the signal to the thread that runs cells: one that took it for that thread, and waited for a turn,
/// would let the cell go on meanwhile. To be called before any other thread begins.
pub(super) fn leave_it_to_cells() {
    mask(libc::SIG_BLOCK);
}

fn mask(how: libc::c_int) {
    // SAFETY: a set of signals of zeros is one; the calls fill in and read it.
    unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, libc::SIGINT);
        libc::pthread_sigmask(how, &signals, std::ptr::null_mut());
    }
}

/// Makes this thread the one that runs cells. The flag lives as long as the process.
pub(super) fn set_up(flag: *const AtomicBool) {
    FLAG.store(flag.cast_mut(), Ordering::SeqCst);
    CELLS_THREAD.store(thread_id(), Ordering::SeqCst);
    belong_to(ANY);
    listen();
    mask(libc::SIG_UNBLOCK);
}

/// A cell begins.
pub(super) fn begin() {
    set_flag(false);
    listen();
    CELL.store(BEGUN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
}

/// The cell has ended.
pub(super) fn end() {
    CELL.store(0, Ordering::SeqCst);
    // A library of the cell's may have left a handler of its own.
    listen();
    set_flag(false);
}

/// This thread runs code of an earlier cell from now on, or does no longer. Where no cell runs, an interrupt
/// is meant for it.
pub(super) fn set_callback(is_callback: bool) {
    if IS_CALLBACK.replace(is_callback) == is_callback {
        return;
    }
    if is_callback {
        CALLBACKS.fetch_add(1, Ordering::SeqCst);
    } else if CALLBACKS.fetch_sub(1, Ordering::SeqCst) == 1 && cell() == 0 {
        set_flag(false);
    }
}

/// The cell that is running; 0 between cells.
pub(super) fn cell() -> u32 {
    CELL.load(Ordering::SeqCst)
}

/// The cell to which a thread belongs that this thread starts: what threads of earlier cells start is
/// as old as they are.
pub(super) fn cell_of_a_new_thread() -> u32 {
    match BORN_IN.get() {
        ANY => cell(),
        earlier => earlier,
    }
}

/// Makes this thread one of those that began in a cell.
pub(super) fn belong_to(cell: u32) {
    BORN_IN.set(cell);
}

/// Whether an interrupt is meant for this thread, too: that of the running cell, or of callbacks where there
/// is none.
pub(super) extern "C" fn concerns_this_thread() -> bool {
    let (born, cell) = (BORN_IN.get(), cell());
    born == ANY || (born != 0 && born == cell) || (cell == 0 && IS_CALLBACK.get())
}

/// Whether the running cell was interrupted.
pub(super) fn interrupted() -> bool {
    let flag = FLAG.load(Ordering::SeqCst);
    // SAFETY: the flag lives as long as the process.
    !flag.is_null() && unsafe { (*flag).load(Ordering::SeqCst) }
}

fn set_flag(interrupted: bool) {
    let flag = FLAG.load(Ordering::SeqCst);
    if !flag.is_null() {
        // SAFETY: the flag lives as long as the process.
        unsafe { (*flag).store(interrupted, Ordering::SeqCst) };
    }
}

/// Takes the signal. It is never ignored: programs that cells start would ignore it, too.
fn listen() {
    // SAFETY: a signal action of zeros is one without flags; the handler sets atomics and calls
    // functions that a handler may call. Calls to the system are not begun again after it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_interrupt as *const () as libc::sighandler_t;
        libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
    }
}

extern "C" fn on_interrupt(_signal: libc::c_int) {
    if CELL.load(Ordering::SeqCst) == 0 {
        if CALLBACKS.load(Ordering::SeqCst) > 0 {
            set_flag(true);
        }
        return;
    }
    set_flag(true);
    // A thread that a cell has started may take the signal, and the thread that runs the cell be in a call
    // that only a signal of its own ends.
    let cells = CELLS_THREAD.load(Ordering::SeqCst);
    if cells != thread_id() {
        signal_thread(cells);
    }
}

#[cfg(target_os = "linux")]
fn thread_id() -> i32 {
    // SAFETY: a call to the system that touches no memory.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

#[cfg(target_os = "linux")]
fn signal_thread(thread: i32) {
    // SAFETY: a call to the system; its error number, which the interrupted code may be about to
    // read, is put back.
    unsafe {
        let before = *libc::__errno_location();
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGINT);
        *libc::__errno_location() = before;
    }
}

#[cfg(not(target_os = "linux"))]
fn thread_id() -> i32 {
    0
}

#[cfg(not(target_os = "linux"))]
fn signal_thread(_thread: i32) {}

#[cfg(target_os = "linux")]
mod sleep {
    use super::{concerns_this_thread, interrupted};

    /// A sleep looks this often for an interrupt: one that comes just before a call to the system
    /// does not end it.
    const LOOK: i64 = 50_000_000;
    const SECOND: i64 = 1_000_000_000;

    /// Stands before the C library's `nanosleep` in this program.
    ///
    /// # Safety
    /// As for `nanosleep(2)`.
    #[unsafe(no_mangle)]
    pub(in crate::process) unsafe extern "C" fn nanosleep(
        time: *const libc::timespec,
        left: *mut libc::timespec,
    ) -> libc::c_int {
        if !concerns_this_thread() {
            // SAFETY: as `nanosleep(2)`, in whose place this stands.
            return unsafe { libc::syscall(libc::SYS_nanosleep, time, left) as libc::c_int };
        }
        // SAFETY: as the caller says.
        let error = unsafe { clock_nanosleep(libc::CLOCK_MONOTONIC, 0, time, left) };
        if error == 0 {
            return 0;
        }
        // SAFETY: this thread's own error number.
        unsafe { *libc::__errno_location() = error };
        -1
    }

    /// Stands before the C library's `clock_nanosleep` in this program. An interrupt of the cell ends
    /// the sleep as if its time had come: the standard library begins it again after any other
    /// answer.
    ///
    /// # Safety
    /// As for `clock_nanosleep(2)`.
    #[unsafe(no_mangle)]
    pub(in crate::process) unsafe extern "C" fn clock_nanosleep(
        clock: libc::clockid_t,
        flags: libc::c_int,
        time: *const libc::timespec,
        left: *mut libc::timespec,
    ) -> libc::c_int {
        let sleep = |flags: libc::c_int, time: *const libc::timespec, left: *mut libc::timespec| {
            // SAFETY: as `clock_nanosleep(2)`, in whose place this stands.
            match unsafe { libc::syscall(libc::SYS_clock_nanosleep, clock, flags, time, left) } {
                0 => 0,
                // SAFETY: this thread's own error number.
                _ => unsafe { *libc::__errno_location() },
            }
        };
        // SAFETY: the caller says that the time may be read.
        let wanted = unsafe { time.as_ref() };
        let Some(wanted) = wanted.filter(|_| concerns_this_thread()) else {
            return sleep(flags, time, left);
        };
        let Some(now) = now(clock) else { return sleep(flags, time, left) };
        let is_absolute = flags & libc::TIMER_ABSTIME != 0;
        if !(0..SECOND).contains(&wanted.tv_nsec) || wanted.tv_sec < 0 {
            return libc::EINVAL;
        }
        let end = if is_absolute { nanoseconds(wanted) } else { now + nanoseconds(wanted) };
        let mut now = now;
        while now < end {
            if interrupted() {
                return 0;
            }
            let next = timespec(end.min(now + i128::from(LOOK)));
            let error = sleep(libc::TIMER_ABSTIME, &next, std::ptr::null_mut());
            if interrupted() {
                return 0;
            }
            now = self::now(clock).unwrap_or(end);
            if error != 0 {
                if error == libc::EINTR && !is_absolute && !left.is_null() {
                    // SAFETY: the caller says that what is left may be written there.
                    unsafe { *left = timespec((end - now).max(0)) };
                }
                return error;
            }
        }
        0
    }

    fn now(clock: libc::clockid_t) -> Option<i128> {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call fills in the time.
        (unsafe { libc::clock_gettime(clock, &mut now) } == 0).then(|| nanoseconds(&now))
    }

    fn nanoseconds(time: &libc::timespec) -> i128 {
        i128::from(time.tv_sec) * i128::from(SECOND) + i128::from(time.tv_nsec)
    }

    fn timespec(nanoseconds: i128) -> libc::timespec {
        let second = i128::from(SECOND);
        libc::timespec {
            tv_sec: (nanoseconds / second).try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: (nanoseconds % second) as libc::c_long,
        }
    }
}
