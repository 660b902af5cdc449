//! What crates may ask of the process of the cells. They find these functions by their names, so that they
//! compile without this library and run without this kernel.
//!
//! A message is a row of parts, each behind its length (four bytes, little endian): JSON with `type` and
//! `content`, as Jupyter has them, and then its buffers.

use std::sync::OnceLock;

type Receiver = extern "C" fn(*const u8, usize);

/// As in `kernel/crates/cell-process/src/process/comms.rs`.
#[repr(C)]
pub struct Functions {
    send: extern "C" fn(*const u8, usize),
    listen: extern "C" fn(Receiver),
    new_output: extern "C" fn() -> u32,
    enter_output: extern "C" fn(u32) -> u32,
}

static FUNCTIONS: OnceLock<&'static Functions> = OnceLock::new();

/// Called by the process when it begins.
#[unsafe(no_mangle)]
pub extern "C" fn live_offer(functions: &'static Functions) {
    let _ = FUNCTIONS.set(functions);
}

/// Sends a message to the front ends: `comm_open`, `comm_msg`, `comm_close`, or `comm_target`, which says that
/// comms which a front end opens for a target are this process's.
#[unsafe(no_mangle)]
pub extern "C" fn live_comm_send(parts: *const u8, length: usize) {
    if let Some(functions) = FUNCTIONS.get() {
        (functions.send)(parts, length);
    }
}

/// Has a function called with each message of a front end, on a thread on which it must not wait.
#[unsafe(no_mangle)]
pub extern "C" fn live_comm_listen(receiver: Receiver) {
    if let Some(functions) = FUNCTIONS.get() {
        (functions.listen)(receiver);
    }
}

/// A number for the place where the output of the running cell stands.
#[unsafe(no_mangle)]
pub extern "C" fn live_output_new() -> u32 {
    FUNCTIONS.get().map_or(0, |functions| (functions.new_output)())
}

/// What this thread writes goes to the place of this number from now on, whichever cell runs; 0 is that of the
/// running cell. Returns the one before. While it is not 0, the stop button ends what the thread does if no
/// cell runs.
#[unsafe(no_mangle)]
pub extern "C" fn live_output_enter(output: u32) -> u32 {
    FUNCTIONS.get().map_or(0, |functions| (functions.enter_output)(output))
}
