//! Sees what this process writes to its standard output and standard error, when it is written.
//!
//! In the process that runs the cells, two pipes would tell standard output from standard error but
//! lose the order between them; one would keep the order but lose which is which. Taking the place
//! of the C library's `write` keeps both, for everything in the process, the standard library of
//! the cells included. What does not come this way (C's own stdio, programs that are started, and
//! all of it on macOS) still arrives by the descriptors themselves.

use std::sync::OnceLock;

type Take = Box<dyn Fn(i32, &[u8]) -> bool + Send + Sync>;

static TAKE: OnceLock<Take> = OnceLock::new();

/// Hands every write to standard output (1) or standard error (2) to `take`; what it does not take
/// is written as ever. Only the first call has an effect.
pub(crate) fn take_writes(take: impl Fn(i32, &[u8]) -> bool + Send + Sync + 'static) {
    let _ = TAKE.set(Box::new(take));
}

/// Stands before the C library's `write` in this program.
///
/// # Safety
/// As for `write(2)`: `bytes` must point to `length` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(
    descriptor: libc::c_int,
    bytes: *const libc::c_void,
    length: libc::size_t,
) -> libc::ssize_t {
    // The system writes no more at a time, and callers go on with the rest: no frame is longer.
    let length = length.min(0x7fff_f000);
    if (descriptor == 1 || descriptor == 2)
        && length > 0
        && let Some(take) = TAKE.get()
        // SAFETY: the caller says that so many bytes are there.
        && take(descriptor, unsafe { std::slice::from_raw_parts(bytes.cast(), length) })
    {
        return length as libc::ssize_t;
    }
    // SAFETY: as `write(2)`, in whose place this stands.
    unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, length) as libc::ssize_t }
}
