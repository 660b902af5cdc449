//! What can go wrong, and in which words.

use tch::TchError;

unsafe extern "C" {
    fn fused_ops_leave_frames_out();
}

/// What a function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this library.
#[derive(thiserror::Error)]
pub enum Error {
    /// libtorch reported an error.
    #[error("libtorch: {}", explained(.0))]
    Torch(#[from] TchError),
    /// The state of an optimizer for other weights or of another rule.
    #[error("shape of the optimizer's state is {given}: this network and recipe have {wanted}")]
    State {
        /// The shapes that were given.
        given: String,
        /// Those that it has.
        wanted: String,
    },
}

/// The message itself: notebooks show an error that `?` returns by its `Debug`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// From now on libtorch's errors, those with which tch panics too, name no functions of C++ that led to them: dozens
/// of lines, which tell a reader nothing. `TORCH_SHOW_CPP_STACKTRACES=1` leaves them in. A setting of the process.
pub fn leave_frames_out() {
    if std::env::var_os("TORCH_SHOW_CPP_STACKTRACES").is_some_and(|value| value == "1") {
        return;
    }
    // SAFETY: it sets a function object of libtorch's, and takes nothing.
    unsafe { fused_ops_leave_frames_out() };
}

/// What libtorch says, and what to do about it where that is known.
pub fn explained(error: &TchError) -> String {
    let said = match error {
        TchError::Torch(said) => said.clone(),
        other => other.to_string(),
    };
    let raised = said.find("\nException raised from ").unwrap_or(said.len());
    let said = if leaves_frames_out(&said) { said[..raised].trim_end() } else { &said };
    match remedy(said) {
        Some(remedy) => format!("{}: {remedy}", said.trim_end_matches('.')),
        None => said.to_owned(),
    }
}

/// Whether nothing stands behind the line that says where an error was raised.
fn leaves_frames_out(said: &str) -> bool {
    !said.contains("\nframe #")
}

/// By the words of PyTorch 2.11.
fn remedy(said: &str) -> Option<&'static str> {
    const MEMORY: &str = "take smaller batches (Recipe::with_batch) or smaller images, or restart the \
                          kernel to free what earlier cells hold";
    const REMEDIES: [(&str, &str); 7] = [
        ("CUDA out of memory", MEMORY),
        ("MPS backend out of memory", MEMORY),
        ("can't allocate memory", MEMORY),
        ("CUDNN_STATUS_ALLOC_FAILED", MEMORY),
        (
            "no kernel image is available",
            "this build of PyTorch has no code for this GPU's compute capability; use another GPU, or the CPU by \
             GOOGLENET_DEVICE=cpu",
        ),
        ("driver version is insufficient", "update the NVIDIA driver"),
        (
            "MPS device",
            "Apple's Metal does not have this operation or kind of number; use the CPU by GOOGLENET_DEVICE=cpu",
        ),
    ];
    REMEDIES.iter().find(|(words, _)| said.contains(words)).map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn of(said: &str) -> String {
        explained(&TchError::Torch(said.into()))
    }

    #[test]
    fn what_is_known_of_has_its_remedy() {
        for (said, remedy) in [
            ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has", "Recipe::with_batch"),
            (
                "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you",
                "smaller",
            ),
            ("CUDA error: no kernel image is available for execution on the device", "another GPU"),
            ("CUDA driver version is insufficient for CUDA runtime version", "update the NVIDIA"),
            ("The operator 'aten::x' is not currently implemented for the MPS device", "Metal"),
        ] {
            let words = of(said);
            assert!(words.starts_with(said) && words.contains(remedy), "{words}");
        }
        assert_eq!(of("shape '[2]' is invalid"), "shape '[2]' is invalid");
    }

    #[test]
    fn an_error_has_no_frames_of_c_plus_plus() {
        leave_frames_out();
        let ones = |size: [i64; 2]| Tensor::ones(size, (Kind::Float, Device::Cpu));
        let error = ones([2, 3]).f_matmul(&ones([2, 3])).unwrap_err();
        assert!(!error.to_string().contains("frame #"), "{error}");
        assert_eq!(explained(&error), "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
        let more = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).unwrap_err();
        let words = explained(&more);
        assert!(!words.contains('\n') && words.contains("Recipe::with_batch"), "{words}");
        // Those of other sides, such as a program that has them left in.
        let whole =
            "wrong\nException raised from f at g.cpp:1 (most recent call first):\nframe #0: h";
        assert_eq!(of(whole), whole);
    }
}
