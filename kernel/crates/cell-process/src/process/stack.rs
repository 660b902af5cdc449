//! Says so when a thread has used up its stack.
//!
//! The standard library says it for the threads that it starts, where it has set up its own `main`.
//! That of the cells has not, so all threads of the process are prepared here, those of C code
//! included: each gets a small stack on which a signal can be handled, and remembers where its own
//! ends.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::interrupt;
use super::output::Output;

/// The room that the handler itself needs, besides what the system stores.
const ROOM: usize = 32 << 10;
/// A thread's name has no more bytes, with the zero behind it.
const NAME: usize = 16;

/// Whether threads are prepared: in the process that runs the cells.
static ACTIVE: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Clone, Copy)]
struct Stack {
    /// Addresses that belong to the pages behind the stack's end.
    guard: (usize, usize),
    /// The name that the thread has from the one that started it.
    inherited: [u8; NAME],
}

thread_local! {
    static STACK: Cell<Option<Stack>> = const { Cell::new(None) };
}

/// Listens for overflows of the threads that are started from now on.
pub(super) fn listen() {
    ACTIVE.store(true, Ordering::SeqCst);
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: a signal action of zeros is one without flags; the handler calls only what a
        // handler may call, and runs on a stack of its own.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

unsafe extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut c_void,
) {
    // SAFETY: the system passes a valid description.
    let (address, by_system) = unsafe { ((*info).si_addr() as usize, (*info).si_code > 0) };
    if by_system
        && let Some(stack) = STACK.get()
        && (stack.guard.0..stack.guard.1).contains(&address)
    {
        let name = name();
        let known: &[u8] = if name == stack.inherited { b"without a name" } else { text(&name) };
        let mut words = [0; 96];
        let mut length = 0;
        for part in [b"\nstack overflow in thread '", known, b"'\n"] {
            words[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        Output::last_words(&words[..length]);
        // SAFETY: the process ends.
        unsafe { libc::abort() }
    }
    // It happens again, and ends the process as if nobody had listened.
    // SAFETY: the default action is set.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// The part before the zero.
fn text(name: &[u8; NAME]) -> &[u8] {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    &name[..end]
}

#[cfg(target_os = "linux")]
fn name() -> [u8; NAME] {
    let mut name = [0; NAME];
    // SAFETY: the call writes at most this many bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

#[cfg(not(target_os = "linux"))]
fn name() -> [u8; NAME] {
    [0; NAME]
}

/// What a thread that is being started needs to begin.
#[cfg(target_os = "linux")]
struct Start {
    routine: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
    /// The cell in which it is started.
    cell: u32,
}

/// A small stack for signals, until the thread ends.
#[cfg(target_os = "linux")]
struct SignalStack(libc::stack_t);

#[cfg(target_os = "linux")]
impl SignalStack {
    /// None where the thread has one, or there is no memory for it.
    fn new() -> Option<SignalStack> {
        // SAFETY: the calls read and write what they are given; the memory is fresh.
        unsafe {
            let mut stack: libc::stack_t = std::mem::zeroed();
            if libc::sigaltstack(std::ptr::null(), &mut stack) != 0
                || stack.ss_flags & libc::SS_DISABLE == 0
            {
                return None;
            }
            let size = ROOM + (libc::getauxval(libc::AT_MINSIGSTKSZ) as usize).max(libc::SIGSTKSZ);
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
            let memory = libc::mmap(std::ptr::null_mut(), size, protection, kind, -1, 0);
            if memory == libc::MAP_FAILED {
                return None;
            }
            let stack = SignalStack(libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: size });
            (libc::sigaltstack(&stack.0, std::ptr::null_mut()) == 0).then_some(stack)
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for SignalStack {
    fn drop(&mut self) {
        let none = libc::stack_t { ss_flags: libc::SS_DISABLE, ..self.0 };
        // SAFETY: nothing runs on it: the thread is about to end.
        unsafe {
            libc::sigaltstack(&none, std::ptr::null_mut());
            libc::munmap(self.0.ss_sp, self.0.ss_size);
        }
    }
}

/// Where this thread's stack ends.
#[cfg(target_os = "linux")]
fn this_stack() -> Option<Stack> {
    // SAFETY: the calls fill in what they are given; the attributes are given back.
    unsafe {
        let mut attributes = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let (mut low, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
        let known = libc::pthread_attr_getstack(&attributes, &mut low, &mut size) == 0
            && libc::pthread_attr_getguardsize(&attributes, &mut guard) == 0;
        libc::pthread_attr_destroy(&mut attributes);
        // C libraries differ in whether the guard is part of the stack.
        let guard = (low as usize - guard, low as usize + guard);
        known.then(|| Stack { guard, inherited: name() })
    }
}

#[cfg(target_os = "linux")]
extern "C-unwind" fn prepared(start: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` below has made it for this one call.
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    let Start { routine, argument, cell } = *start;
    interrupt::belong_to(cell);
    STACK.set(this_stack());
    let _stack = SignalStack::new();
    routine(argument)
}

/// Stands before the C library's `pthread_create` in this program.
///
/// # Safety
/// As for `pthread_create(3)`.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    routine: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> libc::c_int {
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> libc::c_int;
    static NEXT: OnceLock<Option<Create>> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        // SAFETY: the C library's function of this name has this type.
        unsafe {
            let next = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
            std::mem::transmute::<*mut c_void, Option<Create>>(next)
        }
    });
    let Some(next) = next else { return libc::EAGAIN };
    if !ACTIVE.load(Ordering::SeqCst) {
        // SAFETY: as the caller says.
        return unsafe { next(thread, attributes, routine, argument) };
    }
    let start = Box::new(Start { routine, argument, cell: interrupt::cell_of_a_new_thread() });
    let start = Box::into_raw(start);
    // SAFETY: as the caller says; the thread takes what it is given.
    let error = unsafe { next(thread, attributes, prepared, start.cast()) };
    if error != 0 {
        // SAFETY: no thread has begun that could take it.
        drop(unsafe { Box::from_raw(start) });
    }
    error
}
