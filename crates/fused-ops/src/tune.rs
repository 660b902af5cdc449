//! How libtorch computes on a GPU.

use std::ffi::c_char;

use crate::Result;
use crate::native::check;

unsafe extern "C" {
    fn fused_ops_allow_tensor_float32(allow: i32) -> *mut c_char;
}

/// Whether float32 convolutions on a GPU may round their inputs to TF32: a setting of the process.
///
/// # Errors
/// A libtorch that does not know of it.
pub fn allow_tensor_float32(allow: bool) -> Result<()> {
    // SAFETY: it takes a number and sets a switch of libtorch's.
    check(unsafe { fused_ops_allow_tensor_float32(i32::from(allow)) })
}
