//! Says whether everything is there that cells need.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitCode};

use super::kernelspec::Installed;
use super::store;
use crate::home::{self, Home, Toolchain};

const RUST: &str = env!("CARGO_PKG_RUST_VERSION");
const INSTALL_RUST: &str =
    concat!("install Rust ", env!("CARGO_PKG_RUST_VERSION"), " or newer from https://rustup.rs");
const INSTALL_LINKER: &str = "install a C++ compiler, such as g++, which links every cell (on Debian and Ubuntu, \
                              apt install g++; on macOS, xcode-select --install)";

/// A line of the report: what was looked at, and what was found or what to do.
struct Finding {
    about: &'static str,
    found: Result<String, String>,
}

/// Prints the report; fails if there is a fault.
pub(super) fn examine(name: Option<&str>) -> ExitCode {
    let installed = Installed::find(name);
    if let Some(installed) = &installed {
        installed.apply_environment();
    }
    let findings = [
        finding("rustc", program("rustc", INSTALL_RUST).and_then(new_enough).and_then(with_source)),
        finding("cargo", program("cargo", INSTALL_RUST)),
        finding("linker", program("cc", INSTALL_LINKER)),
        finding("ports", ports()),
        finding("completion", completion()),
        finding("kernelspec", kernelspec(installed.as_ref())),
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

/// Cells run without it.
fn completion() -> Result<String, String> {
    match home::program_beside(cell_questions::NAME) {
        Ok(file) => Ok(file.display().to_string()),
        Err(error) => Err(format!(
            "{error:#}, without which there is no completion and no help: install the kernel again; a set-up may be \
             compiling it just now"
        )),
    }
}

/// A line such as `rustc 1.95.0 (…)` of a compiler that is new enough.
fn new_enough(line: String) -> Result<String, String> {
    let numbers = |version: &str| -> Vec<u32> {
        version.split(['.', '-']).map_while(|number| number.parse().ok()).collect()
    };
    let found = numbers(line.split(' ').nth(1).unwrap_or_default());
    if found < numbers(RUST) {
        return Err(format!(
            "{line} is too old for this kernel, which needs {RUST}: run rustup update"
        ));
    }
    Ok(line)
}

/// Without the source of the standard library, nothing can be completed or explained.
fn with_source(line: String) -> Result<String, String> {
    let toolchain = Toolchain::find(None).map_err(|error| format!("{error:#}"))?;
    let library = toolchain.sysroot.join("lib/rustlib/src/rust/library");
    if library.join("std/src/lib.rs").is_file() {
        return Ok(line);
    }
    Err(format!(
        "{line} has no {}: run rustup component add rust-src, or, where Rust did not come by rustup, install the \
         package rust-src of where it came from",
        library.display()
    ))
}

/// Jupyter talks to a kernel through five ports of this machine.
fn ports() -> Result<String, String> {
    let sockets: std::io::Result<Vec<_>> =
        (0..5).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    sockets.map(|_| "five are free".to_owned()).map_err(|error| {
        format!(
            "no ports of {} can be listened on ({error}): Jupyter needs five to talk to a kernel",
            Ipv4Addr::LOCALHOST
        )
    })
}

fn kernelspec(installed: Option<&Installed>) -> Result<String, String> {
    let installed = installed
        .ok_or("Jupyter knows no kernel that starts this program: run rust-live install")?;
    Ok(installed.file.display().to_string())
}

fn library(installed: Option<&Installed>) -> Result<String, String> {
    let Some(library) = installed.and_then(Installed::library) else {
        return Ok("none is known".to_owned());
    };
    let home = Home::find().map_err(|error| error.to_string())?;
    match store::is_prepared(&home, &library) {
        Ok(true) => Ok(format!("{} is compiled", library.display())),
        Ok(false) => Err(format!(
            "{} is not compiled as it is now: run rust-live prepare, or wait for it in the first cell",
            library.display()
        )),
        Err(error) => Err(format!("{error:#}")),
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
