//! The stop button, and Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the signal. Under evcxr_jupyter every cell has a copy of this crate, and so of it; under the
/// lab's kernel the cells share one.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Listens to the stop button and to Ctrl-C as long as it lives. Without a listener they end the
/// program, or the process that runs the cells.
#[derive(Debug)]
pub struct Listener {
    before: libc::sighandler_t,
}

impl Listener {
    /// Begins to listen.
    #[expect(clippy::new_without_default, reason = "it changes how the process takes a signal")]
    pub fn new() -> Listener {
        INTERRUPTED.store(false, Ordering::SeqCst);
        Listener {
            // SAFETY: the handler sets an atomic, which a handler may.
            before: unsafe { libc::signal(libc::SIGINT, note as *const () as libc::sighandler_t) },
        }
    }

    /// Whether a stop was asked for since this listener began.
    pub fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.before != libc::SIG_ERR {
            // SAFETY: what stood there before is put back.
            unsafe { libc::signal(libc::SIGINT, self.before) };
        }
    }
}

/// Whether a stop was asked for since the first call in this cell or program. From that call on, a
/// stop no longer ends it: look often, and return when it is `true`.
pub fn interrupted() -> bool {
    if !listening() {
        // To the end of the cell; the kernel puts the signal back for the next one.
        std::mem::forget(Listener::new());
    }
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Whether the signal comes to this crate.
fn listening() -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: null changes nothing; what is read was filled in where the call succeeds.
    unsafe {
        libc::sigaction(libc::SIGINT, std::ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == note as *const () as libc::sighandler_t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_hears_a_signal_and_leaves_things_as_they_were() {
        // SAFETY: no handler is set.
        let before = unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        {
            let listener = Listener::new();
            assert!(!listener.interrupted());
            // SAFETY: the listener takes it.
            unsafe { libc::raise(libc::SIGINT) };
            assert!(listener.interrupted() && listening());
            assert!(!Listener::new().interrupted());
        }
        // SAFETY: what stood there before is put back.
        assert_eq!(unsafe { libc::signal(libc::SIGINT, before) }, libc::SIG_IGN);
    }
}
