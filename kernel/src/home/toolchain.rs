//! The reader's compiler.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A Rust toolchain.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// The compiler itself, not what rustup puts before it.
    pub rustc: PathBuf,
    /// Cargo, likewise.
    pub cargo: PathBuf,
    /// `rustc -Vv`.
    pub version: String,
    /// Where all of it is installed.
    pub sysroot: PathBuf,
    /// The folder of the standard library.
    pub libraries: PathBuf,
}

impl Toolchain {
    /// The one that is on the path, or the one of rustup's of this name.
    ///
    /// # Errors
    /// A rustc that does not run.
    pub(crate) fn find(name: Option<&str>) -> Result<Toolchain> {
        let of = |program: &str, arguments: &[&str]| -> Result<String> {
            let mut command = Command::new(program);
            let output = command.args(name.map(|name| format!("+{name}"))).args(arguments).output();
            let output = output.context(concat!(
                "rustc does not run: install Rust ",
                env!("CARGO_PKG_RUST_VERSION"),
                " from https://rustup.rs"
            ))?;
            let words = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{program}: {}", words.trim());
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let printed = of("rustc", &["--print", "sysroot", "--print", "target-libdir"])?;
        let mut lines = printed.lines().map(PathBuf::from);
        let none = "rustc does not say where it is installed";
        let (sysroot, libraries) = (lines.next().context(none)?, lines.next().context(none)?);
        let program = |name: &str| {
            let path = sysroot.join("bin").join(name);
            if path.is_file() { path } else { PathBuf::from(name) }
        };
        let rustc = program("rustc");
        let cargo = program("cargo");
        let version = of(rustc.to_str().filter(|_| name.is_none()).unwrap_or("rustc"), &["-Vv"])?;
        Ok(Toolchain { cargo, rustc, version, sysroot, libraries })
    }
}
