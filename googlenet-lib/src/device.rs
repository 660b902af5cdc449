//! Where tensors live.

use tch::{Cuda, Device};

use crate::counted;

/// The first GPU that libtorch can use, else the CPU.
pub fn best_device() -> Device {
    load_cuda();
    Device::cuda_if_available()
}

/// A device in words, for plots and histories: `CPU (name, n threads)` or `GPU (name)`.
pub fn describe(device: Device) -> String {
    match device {
        Device::Cpu => {
            format!("CPU ({}, {})", cpu_name(), counted(tch::get_num_threads(), "thread"))
        }
        Device::Cuda(index) => format!("GPU ({})", gpu_name(index)),
        other => format!("{other:?}"),
    }
}

/// Loads libtorch_cuda if it is there and nothing has loaded it yet.
///
/// No symbol of it is named in Rust, so that a linker leaves it out, and a program that was not
/// linked with `--no-as-needed` (a notebook cell is one) would not see the GPU.
fn load_cuda() {
    if Cuda::is_available() {
        return;
    }
    // SAFETY: the initialisers of libtorch_cuda register its kernels with the libtorch that is
    // loaded already; Python's `import torch` does the same.
    if let Ok(library) = unsafe { libloading::Library::new("libtorch_cuda.so") } {
        // It stays for the life of the process.
        std::mem::forget(library);
    }
}

fn cpu_name() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

fn gpu_name(index: usize) -> String {
    std::process::Command::new("nvidia-smi")
        .args(["--query-gpu=name", "--format=csv,noheader", &format!("--id={index}")])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("CUDA device {index}"))
}
