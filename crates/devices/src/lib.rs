//! Where tensors live: devices by name and in words, what stands in the way of a GPU, and the precision
//! that a device computes in.
//!
//! A program or a library that holds this crate loads libtorch's CUDA half before anything of libtorch
//! runs.

mod cuda;
mod driver;
mod error;
mod precision;

use std::env;
use std::sync::Once;

use notebook::number::counted;
use tch::{Cuda, Device};

pub use error::{Error, Result};
pub use precision::Precision;

/// The environment variable that names the device for [`best_device`]: `cpu`, `cuda`, `cuda:N` or
/// `mps`.
pub const DEVICE_VARIABLE: &str = "GOOGLENET_DEVICE";

/// The device that `GOOGLENET_DEVICE` names; where it is not set, the first GPU that libtorch can use,
/// else the CPU.
///
/// Where a machine has an NVIDIA card that libtorch cannot use, or where libtorch's CUDA half does not
/// load, it says on standard error what stands in the way.
///
/// # Panics
/// Where `GOOGLENET_DEVICE` names a device that is not there: work that was meant for a GPU must not
/// run on the CPU unseen. [`try_best_device`] returns that as an error.
#[track_caller]
pub fn best_device() -> Device {
    match try_best_device() {
        Ok(device) => device,
        Err(error) => panic!("{error}"),
    }
}

/// [`best_device`], without its panic.
///
/// # Errors
/// `GOOGLENET_DEVICE` names what is no device, or one that is not there; the message says why.
pub fn try_best_device() -> Result<Device> {
    match env::var_os(DEVICE_VARIABLE) {
        Some(name) if !name.is_empty() => named_by(DEVICE_VARIABLE, &name.to_string_lossy()),
        _ => Ok(first_gpu().unwrap_or(Device::Cpu)),
    }
}

fn first_gpu() -> Option<Device> {
    let gpus = Cuda::device_count();
    if gpus > 0 {
        static SAID: Once = Once::new();
        if let Some(words) = one_of(gpus, &describe(Device::Cuda(0))) {
            SAID.call_once(|| eprintln!("{words}"));
        }
        return Some(Device::Cuda(0));
    }
    if driver::has_card() || cuda::failed() {
        cuda::say_obstacle_once();
    }
    None
}

/// What is said of the first of several GPUs: a training runs on one.
fn one_of(gpus: i64, first: &str) -> Option<String> {
    (gpus > 1).then(|| {
        format!(
            "cuda:0 of {gpus} GPUs is used, {first}. {DEVICE_VARIABLE}=cuda:1, set before the start, takes the second."
        )
    })
}

/// The device of this name: `cpu`, `cuda` (the first GPU), `cuda:N` (CUDA's numbering, from 0), `mps`.
///
/// # Errors
/// A name that is none of these, and a device that is not there: the message says what stands in the
/// way.
pub fn named(name: &str) -> Result<Device> {
    named_by("device", name)
}

fn named_by(what: &str, name: &str) -> Result<Device> {
    let wrong = |remedy: String| Error::invalid(what, name, remedy);
    let device = parse(name)
        .ok_or_else(|| wrong("give cpu, cuda, cuda:N with a number from 0, or mps".into()))?;
    match device {
        Device::Cuda(index) => {
            let devices = Cuda::device_count();
            if devices <= 0 {
                return Err(wrong(cuda::obstacle()));
            }
            if index as i64 >= devices {
                let last = devices - 1;
                return Err(wrong(format!(
                    "libtorch can use {}, from cuda:0 to cuda:{last}",
                    counted(devices, "GPU")
                )));
            }
        }
        Device::Mps if !tch::utils::has_mps() => {
            return Err(wrong(
                "this libtorch has no Metal, which Macs with Apple's chips have".into(),
            ));
        }
        _ => {}
    }
    Ok(device)
}

fn parse(name: &str) -> Option<Device> {
    match name.trim() {
        "cpu" => Some(Device::Cpu),
        "cuda" => Some(Device::Cuda(0)),
        "mps" => Some(Device::Mps),
        name => name.strip_prefix("cuda:")?.parse().ok().map(Device::Cuda),
    }
}

/// A device in words, for plots and histories: `CPU (name, n threads)` or `GPU (name)`.
pub fn describe(device: Device) -> String {
    match device {
        Device::Cpu => {
            format!("CPU ({}, {})", cpu_name(), counted(tch::get_num_threads(), "thread"))
        }
        Device::Cuda(index) => {
            let name = driver::card_name(index);
            format!("GPU ({})", name.unwrap_or_else(|| format!("CUDA device {index}")))
        }
        Device::Mps => "GPU (Apple's, by Metal)".into(),
        other => format!("{other:?}"),
    }
}

/// Lets cuDNN try out which of its algorithms is the fastest for each new shape, where it is used: a
/// setting of the process.
pub fn let_cudnn_choose(device: Device) {
    if device.is_cuda() {
        Cuda::cudnn_set_benchmark(true);
    }
}

fn cpu_name() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        })
        .unwrap_or_else(|| env::consts::ARCH.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_names_that_pytorch_gives_them() {
        assert_eq!(parse("cpu"), Some(Device::Cpu));
        assert_eq!(parse("cuda"), Some(Device::Cuda(0)));
        assert_eq!(parse(" cuda:3\n"), Some(Device::Cuda(3)));
        assert_eq!(parse("mps"), Some(Device::Mps));
        for name in ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn of_several_gpus_it_is_said_which_is_used() {
        assert_eq!(one_of(1, "GPU (A)"), None);
        let words = one_of(4, "GPU (A)").unwrap();
        assert!(words.starts_with("cuda:0 of 4 GPUs is used, GPU (A)."), "{words}");
        assert!(words.contains("GOOGLENET_DEVICE=cuda:1"), "{words}");
        assert_eq!(describe(Device::Mps), "GPU (Apple's, by Metal)");
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_that_says_why() {
        let error = named("gpu").unwrap_err().to_string();
        assert!(error.starts_with("device is gpu: give cpu, cuda, cuda:N"), "{error}");
        if Cuda::device_count() == 0 {
            let error = named("cuda:1").unwrap_err().to_string();
            assert_eq!(error, format!("device is cuda:1: {}", cuda::obstacle()));
        } else {
            let error = named("cuda:1000").unwrap_err().to_string();
            assert!(error.contains("from cuda:0 to cuda:"), "{error}");
            assert!(describe(Device::Cuda(0)).starts_with("GPU ("));
        }
        assert_eq!(named("cpu").unwrap(), Device::Cpu);
    }
}
