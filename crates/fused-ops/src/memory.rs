//! Memory of large tensors on the CPU, kept for the next ones.
//!
//! The C library gives memory of more than some megabytes back to the system as soon as a tensor ends, and gets it
//! anew for the next one, page by page, each filled with zeros: a fifth of the time that CIFAR takes in evaluation at
//! batch 32. A training makes tensors of the same sizes at every step.

use std::ffi::c_char;

use crate::Result;
use crate::native::check;

unsafe extern "C" {
    fn fused_ops_keep_memory() -> *mut c_char;
    fn fused_ops_keep_memory_no_more();
    fn fused_ops_free_old_memory() -> usize;
}

/// As long as one of these is there, memory of tensors on the CPU of 1 MiB and more is kept for the next ones. With
/// the last of them, what is unused goes back to the system.
#[derive(Debug)]
pub struct KeptMemory(());

impl KeptMemory {
    /// Keeps memory, that of other threads too.
    ///
    /// # Errors
    /// A libtorch that takes no allocator.
    pub fn new() -> Result<KeptMemory> {
        // SAFETY: it touches nothing but its own lists and libtorch's allocator for the CPU.
        check(unsafe { fused_ops_keep_memory() })?;
        Ok(KeptMemory(()))
    }

    /// Gives back what no tensor has used since the last call, such as memory of batches of another size. Returns how
    /// many bytes.
    pub fn free_old(&self) -> usize {
        // SAFETY: what is unused is no tensor's.
        unsafe { fused_ops_free_old_memory() }
    }
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        // SAFETY: the one call for the one of `new`.
        unsafe { fused_ops_keep_memory_no_more() }
    }
}
