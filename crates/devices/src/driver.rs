//! NVIDIA's driver, asked through the library that it installs, and the cards that the machine has
//! whether there is a driver or not.

use std::ffi::{c_char, c_int, c_uint};
use std::fs;
use std::path::Path;

/// What the driver says, or why it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Driver {
    /// There is none that could be loaded.
    Missing,
    /// It does not start; CUDA's number of the error.
    Broken(i32),
    /// It runs.
    Running {
        /// The newest CUDA that it can run, as CUDA counts: 13000 for 13.0.
        cuda: i32,
        /// Number of GPUs that this process may see.
        gpus: i32,
    },
}

/// The functions of `libcuda.so.1` (CUDA driver API, <https://docs.nvidia.com/cuda/cuda-driver-api>).
struct Library(libloading::Library);

impl Library {
    fn open() -> Option<Library> {
        // SAFETY: its initialisers are NVIDIA's; libtorch loads the same file.
        unsafe { libloading::Library::new("libcuda.so.1") }.ok().map(Library)
    }

    /// Calls a function that fills in one number; the error's number where it fails, or where there is
    /// no such function.
    fn number(&self, name: &str) -> Result<i32, i32> {
        type Fill = unsafe extern "C" fn(*mut c_int) -> c_int;
        const NOT_FOUND: i32 = 500;
        let mut number = 0;
        // SAFETY: the driver API gives these functions this type.
        let code = unsafe {
            let fill = self.0.get::<Fill>(name.as_bytes()).map_err(|_| NOT_FOUND)?;
            fill(&mut number)
        };
        if code == 0 { Ok(number) } else { Err(code) }
    }

    fn start(&self) -> Result<(), i32> {
        type Init = unsafe extern "C" fn(c_uint) -> c_int;
        // SAFETY: as above; 0 is the one value that it takes.
        let code = unsafe { self.0.get::<Init>(b"cuInit").map(|init| init(0)) };
        match code {
            Ok(0) => Ok(()),
            Ok(code) => Err(code),
            Err(_) => Err(500),
        }
    }

    fn name(&self, gpu: usize) -> Option<String> {
        type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
        let mut text = [0; 256];
        // SAFETY: as above; the length that is passed is the buffer's.
        let code = unsafe {
            let name = self.0.get::<Name>(b"cuDeviceGetName").ok()?;
            name(text.as_mut_ptr().cast(), text.len() as c_int, gpu as c_int)
        };
        let end = text.iter().position(|byte: &u8| *byte == 0)?;
        (code == 0).then(|| String::from_utf8_lossy(&text[..end]).into_owned())
    }
}

impl Driver {
    /// Asks it.
    pub(crate) fn ask() -> Driver {
        let Some(library) = Library::open() else { return Driver::Missing };
        let asked = library.start().and_then(|()| {
            Ok((library.number("cuDriverGetVersion")?, library.number("cuDeviceGetCount")?))
        });
        match asked {
            Ok((cuda, gpus)) => Driver::Running { cuda, gpus },
            Err(code) => Driver::Broken(code),
        }
    }
}

/// The name of a GPU by CUDA's number for this process, which `CUDA_VISIBLE_DEVICES` changes.
pub(crate) fn card_name(gpu: usize) -> Option<String> {
    let library = Library::open()?;
    library.start().ok()?;
    library.name(gpu)
}

/// Whether the machine has a graphics card by NVIDIA, with or without a driver.
pub(crate) fn has_card() -> bool {
    // The last is what a GPU is seen by in Windows' Linux.
    ["/dev/nvidiactl", "/dev/dxg"].iter().any(|file| Path::new(file).exists())
        || has_card_in(Path::new("/sys/bus/pci/devices"))
}

fn has_card_in(devices: &Path) -> bool {
    const NVIDIA: &str = "0x10de";
    /// Display controllers: VGA and 3D among them.
    const DISPLAY: &str = "0x03";
    let Ok(entries) = fs::read_dir(devices) else { return false };
    entries.flatten().any(|device| {
        let says = |file: &str, wanted: &str| {
            fs::read_to_string(device.path().join(file)).is_ok_and(|text| text.starts_with(wanted))
        };
        says("vendor", NVIDIA) && says("class", DISPLAY)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_known_by_its_vendor_and_its_class() {
        let folder = tempfile::tempdir().unwrap();
        let device = |name: &str, vendor: &str, class: &str| {
            let folder = folder.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("vendor"), vendor).unwrap();
            fs::write(folder.join("class"), class).unwrap();
        };
        assert!(!has_card_in(&folder.path().join("missing")));
        device("0000:00:00.0", "0x8086\n", "0x030000\n");
        // NVIDIA's audio device.
        device("0000:01:00.1", "0x10de\n", "0x040300\n");
        assert!(!has_card_in(folder.path()));
        device("0000:01:00.0", "0x10de\n", "0x030200\n");
        assert!(has_card_in(folder.path()));
    }

    #[test]
    fn without_a_driver_nothing_has_a_name() {
        if Driver::ask() == Driver::Missing {
            assert_eq!(card_name(0), None);
        } else {
            assert_eq!(card_name(100_000), None);
        }
    }
}
