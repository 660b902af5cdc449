//! Kernels of our own for a GPU, compiled where they run: see `cpp/gpu/gpu.cpp`.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::sync::{Mutex, PoisonError};

use crate::native::check;

/// The environment variable that switches them off with the value 0.
const VARIABLE: &str = "GOOGLENET_CUDA_KERNELS";

unsafe extern "C" {
    fn fused_ops_gpu_prepare(device: c_int, bf16: c_int) -> *mut c_char;
    #[cfg(test)]
    fn fused_ops_gpu_compile(architecture: *const c_char) -> *mut c_char;
}

/// Whether the kernels can be used on this GPU for values in bfloat16, else in float32. The first question
/// compiles them, in about a second, and says so if that fails.
pub(crate) fn is_ready(gpu: usize, bf16: bool) -> bool {
    static READY: Mutex<BTreeMap<(usize, bool), bool>> = Mutex::new(BTreeMap::new());
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    *ready.entry((gpu, bf16)).or_insert_with(|| {
        if std::env::var_os(VARIABLE).is_some_and(|value| value == "0") {
            return false;
        }
        // SAFETY: it takes the number of a GPU and a flag.
        let prepared = check(unsafe { fused_ops_gpu_prepare(gpu as c_int, c_int::from(bf16)) });
        if let Err(error) = &prepared {
            eprintln!(
                "This goes on with libtorch's kernels alone, and slower: {error}. {VARIABLE}=0 leaves \
                 ours alone from the start."
            );
        }
        prepared.is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It needs no GPU, but the compiler that comes with libtorch's CUDA half.
    #[test]
    fn the_kernels_are_compiled_for_the_gpus_of_ten_years() {
        // SAFETY: it takes a string.
        let compile =
            |name: &std::ffi::CStr| check(unsafe { fused_ops_gpu_compile(name.as_ptr()) });
        if let Err(error) = compile(c"sm_90")
            && error.to_string().contains("does not load")
        {
            println!("skipped: the_kernels_are_compiled_for_the_gpus_of_ten_years ({error})");
            return;
        }
        for architecture in [c"sm_75", c"sm_80", c"sm_89", c"sm_90", c"sm_100", c"sm_120"] {
            compile(architecture).unwrap();
        }
        let error = compile(c"sm_1").unwrap_err().to_string();
        assert!(error.contains("were not compiled for sm_1"), "{error}");
    }
}
