//! For tests: a device that is not the CPU to libtorch and to tch, and computes on the host, with the CPU's
//! kernels. What runs on a GPU runs there, on any machine: tensors of the CPU and of the device do not mix,
//! and what would wait for a GPU is written down.
//!
//! It cannot show what needs a real one: streams, timing, kernels of its own.
//!
//! ```
//! use tch::{Kind, Tensor};
//!
//! let device = host_device::register();
//! let xs = Tensor::ones([2], (Kind::Float, device));
//! assert_eq!(xs.device(), device);
//! assert!(xs.f_add(&Tensor::ones([2], (Kind::Float, tch::Device::Cpu))).is_err());
//!
//! assert_eq!((&xs + 1.0).sum(Kind::Float).double_value(&[]), 4.0);
//! assert_eq!(host_device::take_waits(), ["aten::_local_scalar_dense"]);
//! ```

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use tch::Device;

unsafe extern "C" {
    fn host_device_register() -> *mut c_char;
    fn host_device_take_operations() -> *mut c_char;
    fn host_device_take_waits() -> *mut c_char;
}

/// The device. The first call registers it for the life of the process; it must come before the first
/// backward pass, since libtorch starts its threads then, one for each device that there is.
///
/// # Panics
/// Where libtorch has devices of this name of its own: Vulkan, which PyTorch's packages leave out.
pub fn register() -> Device {
    static PROBLEM: OnceLock<Option<String>> = OnceLock::new();
    let problem = PROBLEM.get_or_init(|| {
        // SAFETY: it takes nothing, and is called once.
        text(unsafe { host_device_register() })
    });
    assert!(problem.is_none(), "{}", problem.as_deref().unwrap_or_default());
    Device::Vulkan
}

/// What has waited for the device since the last call, in any thread, oldest first: copies to and from
/// the host, and operations of which a value (`item`) or the shape of a result (`nonzero`) depends on data.
pub fn take_waits() -> Vec<String> {
    // SAFETY: it takes nothing.
    let lines = text(unsafe { host_device_take_waits() });
    lines.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// How often the device was given each operation since the last call, in any thread. Counted is that for which a GPU
/// would have at least one kernel to launch: no views, and no memory alone.
pub fn take_operations() -> BTreeMap<String, usize> {
    // SAFETY: it takes nothing.
    let lines = text(unsafe { host_device_take_operations() }).unwrap_or_default();
    let one = |line: &str| {
        let (name, times) = line.split_once(' ')?;
        Some((name.trim_start_matches("aten::").to_owned(), times.parse().ok()?))
    };
    lines.lines().filter_map(one).collect()
}

/// A string of C++'s, which is freed; `None` where there is none.
fn text(raw: *mut c_char) -> Option<String> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: a string that strdup made, which is ours.
    let text = unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used again.
    unsafe { libc::free(raw.cast()) };
    Some(text)
}
