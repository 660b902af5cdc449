//! Says whether everything is there that cells need.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::kernelspec::Installed;
use crate::template::{Home, Key, Standing, Template, future_date, rustc};

const RUST: &str = env!("CARGO_PKG_RUST_VERSION");
const INSTALL_RUST: &str =
    concat!("install Rust ", env!("CARGO_PKG_RUST_VERSION"), " or newer from https://rustup.rs");

/// A line of the report: what was looked at, and what was found or what to do.
struct Finding {
    about: &'static str,
    found: Result<String, String>,
}

/// Prints the report; fails if there is a fault.
pub fn examine() -> ExitCode {
    let installed = Installed::find();
    if let Some(installed) = &installed {
        installed.apply_environment();
    }
    let libtorch = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let findings = [
        finding("rustc", program("rustc", INSTALL_RUST).and_then(new_enough).and_then(with_source)),
        finding("cargo", program("cargo", INSTALL_RUST)),
        finding("linker", program("cc", "install a C++ compiler, such as g++")),
        finding("evcxr", Ok("0.22.0, built in".to_owned())),
        finding("kernelspec", kernelspec(installed.as_ref())),
        finding("libtorch", torch(libtorch.as_deref())),
        finding("GPU", gpu(libtorch.as_deref())),
        finding("library", library(installed.as_ref())),
    ];
    let mut faults = 0;
    for Finding { about, found } in &findings {
        match found {
            Ok(found) => println!("ok    {about:<11} {found}"),
            Err(remedy) => {
                faults += 1;
                println!("FAULT {about:<11} {remedy}");
            }
        }
    }
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn finding(about: &'static str, found: Result<String, String>) -> Finding {
    Finding { about, found }
}

/// What a program says of its version.
fn program(name: &str, remedy: &str) -> Result<String, String> {
    let output = Command::new(name)
        .arg("--version")
        .output()
        .map_err(|error| format!("{name} does not run ({error}): {remedy}"))?;
    let first_line =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
    if !output.status.success() {
        return Err(format!("{name} fails ({}): {remedy}", first_line(&output.stderr)));
    }
    Ok(first_line(&output.stdout))
}

/// A line such as `rustc 1.95.0 (…)` of a compiler that evcxr can use.
fn new_enough(line: String) -> Result<String, String> {
    let numbers = |version: &str| -> Vec<u32> {
        version.split(['.', '-']).map_while(|number| number.parse().ok()).collect()
    };
    let found = numbers(line.split(' ').nth(1).unwrap_or_default());
    if found < numbers(RUST) {
        return Err(format!("{line} is too old for evcxr, which needs {RUST}: run rustup update"));
    }
    Ok(line)
}

/// Without the source of the standard library, the types of variables are not known.
fn with_source(line: String) -> Result<String, String> {
    let sysroot = rustc(&["--print", "sysroot"]).map_err(|error| format!("{error:#}"))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if library.join("std/src/lib.rs").is_file() {
        return Ok(line);
    }
    Err(format!("{line} has no {}: run rustup component add rust-src", library.display()))
}

fn kernelspec(installed: Option<&Installed>) -> Result<String, String> {
    let installed = installed.ok_or(
        "Jupyter knows no kernel googlenet: run cargo xtask setup, or googlenet-kernel install",
    )?;
    Ok(installed.file.display().to_string())
}

fn torch(folder: Option<&Path>) -> Result<String, String> {
    let folder = folder.ok_or(
        "cells will not find it: install the kernel again with --libtorch and the torch folder \
         of a Python environment",
    )?;
    let core = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };
    if !folder.join("lib").join(core).is_file() {
        return Err(format!(
            "{} holds no lib/{core}: install the kernel again with --libtorch",
            folder.display()
        ));
    }
    let version = std::fs::read_to_string(folder.join("version.py")).unwrap_or_default();
    let value = |name: &str| {
        let line = version.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once('=')?.1.trim().trim_matches('\'').to_owned())
    };
    let number = value("__version__").unwrap_or_else(|| "of unknown version".to_owned());
    let cuda = match value("cuda") {
        Some(cuda) if cuda != "None" => format!("CUDA {cuda}"),
        _ => "for the CPU alone".to_owned(),
    };
    Ok(format!("{number}, {cuda}, in {}", folder.display()))
}

/// The GPUs that cells can use. Having none is no fault: cells then run on the CPU.
fn gpu(libtorch: Option<&Path>) -> Result<String, String> {
    let Some(libtorch) = libtorch.filter(|folder| folder.join(CUDA_HALF).is_file()) else {
        return Ok("none that this libtorch could use; cells run on the CPU".to_owned());
    };
    let names = gpu_names().unwrap_or_default();
    let usable = usable_gpus(libtorch)?;
    match (usable, names.len()) {
        (0, 0) => Ok("none that the NVIDIA driver knows; cells run on the CPU".to_owned()),
        (0, _) => Err(format!(
            "the NVIDIA driver has {}, and libtorch can use none: in a cell, \
             googlenet_lib::device::named(\"cuda\")? says why",
            names.join(", ")
        )),
        _ => Ok(names.into_iter().take(usable).collect::<Vec<_>>().join(", ")),
    }
}

/// In libtorch's folder: what is needed to use a GPU.
const CUDA_HALF: &str = "lib/libtorch_cuda.so";

/// How many GPUs libtorch can use. It is asked in a process of its own, which may fail.
fn usable_gpus(libtorch: &Path) -> Result<usize, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let asked = Command::new(this).arg("count-gpus").arg("--libtorch").arg(libtorch).output();
    let asked = asked.map_err(|error| format!("libtorch cannot be asked: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match said(&asked.stdout).parse() {
        Ok(count) if asked.status.success() => Ok(count),
        _ => Err(format!(
            "libtorch's CUDA half does not load, so that cells run on the CPU: {}",
            said(&asked.stderr)
        )),
    }
}

/// The process that [`usable_gpus`] starts: prints the number.
///
/// # Errors
/// A libtorch that does not load.
pub fn count_gpus(libtorch: &Path) -> anyhow::Result<()> {
    /// `c10::DeviceIndex torch::cuda::device_count()`; the index has eight bits.
    const COUNT: &[u8] = b"_ZN5torch4cuda12device_countEv";
    let core = libtorch.join("lib/libtorch_cpu.so");
    // SAFETY: as when a cell is loaded: initialisers of libtorch's own, and a function that takes
    // nothing and returns a number. The CUDA half comes first: libtorch looks for it once.
    unsafe {
        let core = libloading::Library::new(core)?;
        let _half = libloading::Library::new(libtorch.join(CUDA_HALF))?;
        let count = core.get::<unsafe extern "C" fn() -> i8>(COUNT)?;
        println!("{}", count());
    }
    Ok(())
}

fn gpu_names() -> Result<Vec<String>, libloading::Error> {
    type Init = unsafe extern "C" fn(u32) -> i32;
    type Count = unsafe extern "C" fn(*mut i32) -> i32;
    type Name = unsafe extern "C" fn(*mut u8, i32, i32) -> i32;
    let mut names = Vec::new();
    // SAFETY: the driver API gives these functions these types, and a buffer's length is passed with it.
    unsafe {
        let driver = libloading::Library::new("libcuda.so.1")?;
        let init = driver.get::<Init>(b"cuInit")?;
        let count = driver.get::<Count>(b"cuDeviceGetCount")?;
        let name = driver.get::<Name>(b"cuDeviceGetName")?;
        let mut devices = 0;
        if init(0) == 0 && count(&mut devices) == 0 {
            for device in 0..devices {
                let mut text = [0; 128];
                if name(text.as_mut_ptr(), 127, device) == 0 {
                    let end = text.iter().position(|byte| *byte == 0).unwrap_or(0);
                    names.push(String::from_utf8_lossy(&text[..end]).into_owned());
                }
            }
        }
    }
    Ok(names)
}

fn library(installed: Option<&Installed>) -> Result<String, String> {
    let Some(library) = installed.and_then(Installed::library) else {
        return Ok("none is prepared".to_owned());
    };
    let home = Home::find().map_err(|error| error.to_string())?;
    let key = Key::of(&library).map_err(|error| format!("{error:#}"))?;
    let template = Template::of(&home, &library);
    let again = "run googlenet-kernel prepare, or wait for it in the first cell";
    match template.standing(&key) {
        Standing::Ready => {
            if let Some(file) = template.dated_ahead() {
                return Err(future_date(&file));
            }
            Ok(format!("{} is prepared in {}", library.display(), template.folder().display()))
        }
        Standing::Missing => Err(format!("{} is not prepared: {again}", library.display())),
        Standing::Stale(reason) => Err(format!("{}: {reason}: {again}", library.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_compiler_is_a_fault() {
        for line in ["rustc 1.95.0 (abc 2026-04-14)", "rustc 1.102.0-nightly (abc)", "rustc 2.0.0"]
        {
            assert!(new_enough(line.into()).is_ok(), "{line}");
        }
        for line in ["rustc 1.94.1 (abc)", "rustc 1.9.0", "nonsense"] {
            assert!(new_enough(line.into()).unwrap_err().contains("rustup update"), "{line}");
        }
    }
}
