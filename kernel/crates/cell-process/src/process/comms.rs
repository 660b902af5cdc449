//! What crates may ask of the process: messages to front ends and from them, and writing to the output of an
//! earlier cell. Crates find the functions by name in the support library (`kernel/src/support/comms.rs`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{OUTPUT, interrupt, output};
use crate::frame::Frame;

/// Takes a message, in parts, and returns at once.
type Receiver = extern "C" fn(*const u8, usize);

static RECEIVERS: Mutex<Vec<Receiver>> = Mutex::new(Vec::new());
static OUTPUTS: AtomicU32 = AtomicU32::new(0);

/// What the support library hands on, in this order.
#[repr(C)]
pub(super) struct Functions {
    send: extern "C" fn(*const u8, usize),
    listen: extern "C" fn(Receiver),
    new_output: extern "C" fn() -> u32,
    enter_output: extern "C" fn(u32) -> u32,
}

/// Those of this process.
pub(super) static FUNCTIONS: Functions = Functions { send, listen, new_output, enter_output };

/// Hands a message of a front end to all that listen.
pub(super) fn deliver(parts: &[u8]) {
    let receivers = RECEIVERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for receiver in receivers {
        receiver(parts.as_ptr(), parts.len());
    }
}

extern "C" fn send(parts: *const u8, length: usize) {
    // SAFETY: the caller says that so many bytes are there.
    let parts = unsafe { std::slice::from_raw_parts(parts, length) };
    tell(&Frame::Comm(parts.to_vec()));
}

extern "C" fn listen(receiver: Receiver) {
    RECEIVERS.lock().unwrap_or_else(PoisonError::into_inner).push(receiver);
}

extern "C" fn new_output() -> u32 {
    let number = OUTPUTS.fetch_add(1, Ordering::SeqCst) + 1;
    tell(&Frame::NewOutput(number));
    number
}

extern "C" fn enter_output(number: u32) -> u32 {
    interrupt::set_callback(number != 0);
    output::enter(number)
}

/// A copy of this process that is about to become another program has nothing to say.
fn tell(frame: &Frame) {
    if let Some(output) = OUTPUT.get().filter(|output| output.is_ours()) {
        output.send(frame);
    }
}
