//! Programs that a cell starts when it was interrupted already: they did not get the signal, and the cell may
//! wait for them for as long as they like.

use super::interrupt::{concerns_this_thread, interrupted};

/// To be called once.
pub(super) fn set_up() {
    // SAFETY: the function makes calls to the system that may be made after `fork`, and reads atomics.
    unsafe { libc::pthread_atfork(None, None, Some(in_a_copy)) };
}

/// What `fork` has made of this process is interrupted as any program is.
unsafe extern "C" fn in_a_copy() {
    // SAFETY: calls to the system that touch no memory.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        if concerns_this_thread() && interrupted() {
            libc::raise(libc::SIGINT);
        }
    }
}

#[cfg(target_os = "linux")]
mod spawn {
    use std::ffi::{c_char, c_int, c_void};

    use super::{concerns_this_thread, interrupted};

    type Spawn = unsafe extern "C" fn(
        *mut libc::pid_t,
        *const c_char,
        *const libc::posix_spawn_file_actions_t,
        *const libc::posix_spawnattr_t,
        *const *mut c_char,
        *const *mut c_char,
    ) -> c_int;

    /// Stands before the C library's `posix_spawnp` in this program: the standard library calls it. Signals
    /// that come while the program starts wait for the end of this.
    ///
    /// # Safety
    /// As for `posix_spawnp(3)`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_spawnp(
        program: *mut libc::pid_t,
        file: *const c_char,
        actions: *const libc::posix_spawn_file_actions_t,
        attributes: *const libc::posix_spawnattr_t,
        arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        let mut id = 0;
        // SAFETY: as the caller says; the number is that of a child which nobody has waited for yet.
        unsafe {
            let found = libc::dlsym(libc::RTLD_NEXT, c"posix_spawnp".as_ptr());
            let Some(spawn) = std::mem::transmute::<*mut c_void, Option<Spawn>>(found) else {
                return libc::ENOSYS;
            };
            let error = spawn(&mut id, file, actions, attributes, arguments, environment);
            if error != 0 {
                return error;
            }
            if !program.is_null() {
                *program = id;
            }
            if concerns_this_thread() && interrupted() {
                libc::kill(id, libc::SIGINT);
            }
        }
        0
    }
}
