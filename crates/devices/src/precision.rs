//! What a device computes in.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::Result;

/// What activations and their gradients are computed in. Weights, the statistics of normalisations
/// and the losses are float32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// 32 bits, 24 of them for the digits, on every device.
    #[default]
    Float32,
    /// Float32, but on a GPU convolutions round their inputs to 11 bits for the digits (TF32), which
    /// tensor cores multiply several times as fast. It is what PyTorch does unless it is told
    /// otherwise (<https://docs.pytorch.org/docs/stable/notes/cuda.html>). Elsewhere it is float32.
    TensorFloat32,
    /// bfloat16: 16 bits, 8 of them for the digits, the range of float32.
    BFloat16,
    /// bfloat16 on a GPU and on an x86-64 CPU that has instructions for it (AVX-512 BF16), else
    /// float32: on every aarch64 CPU too, where nobody has measured which is faster. A history
    /// says which it was.
    Fastest,
}

impl Precision {
    /// What it comes to on this device: [`Precision::Fastest`] is bfloat16 or float32, and only a
    /// GPU has TF32.
    pub fn on(self, device: Device) -> Precision {
        match self {
            Precision::Fastest if has_bf16(device) => Precision::BFloat16,
            Precision::Fastest => Precision::Float32,
            Precision::TensorFloat32 if !device.is_cuda() => Precision::Float32,
            other => other,
        }
    }

    /// Sets libtorch's switch for it, where the device has one: a setting of the process.
    ///
    /// # Errors
    /// A libtorch without the switch.
    pub fn choose(self, device: Device) -> Result<()> {
        if device.is_cuda() {
            fused_ops::allow_tensor_float32(self.on(device) == Precision::TensorFloat32)?;
        }
        Ok(())
    }

    /// The kind of tensor to compute in.
    pub fn kind(self, device: Device) -> Kind {
        match self.on(device) {
            Precision::BFloat16 => Kind::BFloat16,
            _ => Kind::Float,
        }
    }
}

/// What the CPU can do says nothing of a device that is neither it nor a GPU of NVIDIA's.
fn has_bf16(device: Device) -> bool {
    device.is_cuda() || (device == Device::Cpu && cpu_has_bf16())
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_bf16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_bf16() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_on_a_cpu_is_bf16_only_where_x86_has_instructions_for_it() {
        let features = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has = cfg!(target_arch = "x86_64")
            && features.split_whitespace().any(|feature| feature == "avx512_bf16");
        let wanted = if has { Precision::BFloat16 } else { Precision::Float32 };
        assert_eq!(Precision::Fastest.on(Device::Cpu), wanted);
        assert_eq!(Precision::Fastest.kind(Device::Cpu) == Kind::BFloat16, has);
        assert_eq!(Precision::Fastest.on(Device::Mps), Precision::Float32);
    }
}
