//! What the calls into C++ share.

use std::ffi::{CStr, c_char, c_void};

use tch::{TchError, Tensor};

use crate::{Error, Result};

/// The tensor as C++ sees it: an `at::Tensor`, valid for as long as this one is borrowed.
pub(crate) fn pointer(tensor: &Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}

/// The error that a call ended with, if it did.
pub(crate) fn check(problem: *mut c_char) -> Result<()> {
    if problem.is_null() {
        return Ok(());
    }
    // SAFETY: a string that strdup made, which is ours.
    let text = unsafe { CStr::from_ptr(problem) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used again.
    unsafe { libc::free(problem.cast()) };
    Err(Error::from(TchError::Torch(text)))
}
