//! What one call of the reader's compiler tells.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ra_ap_base_db::Version;
use ra_ap_base_db::target::{Arch, TargetData, TargetLoadResult};
use ra_ap_cfg::{CfgAtom, CfgOptions};
use ra_ap_intern::Symbol;
use serde::Deserialize;

/// The compiler's own account of itself.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The name of the platform that it compiles for, as cargo wants it.
    pub(crate) host: String,
    /// Which version it is; what is not stable in it is not offered.
    pub(crate) version: Option<Version>,
    /// Where the sources of the standard library are, if they are installed.
    pub(crate) library: Option<PathBuf>,
    /// What `cfg` holds in every crate.
    pub(crate) cfg: CfgOptions,
    /// How large types are; without it, lengths that depend on them stay unknown.
    pub(crate) target: TargetLoadResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TargetSpec {
    data_layout: String,
}

impl Toolchain {
    /// Asks a compiler.
    ///
    /// # Errors
    /// A compiler that does not start or fails.
    pub(crate) fn of(rustc: &Path) -> Result<Toolchain> {
        // The layout of types is told to nightly compilers, and to those that are to be one.
        let print = ["host-tuple", "sysroot", "cfg", "target-spec-json"];
        let mut command = Command::new(rustc);
        command.args(print.iter().flat_map(|what| ["--print", *what])).arg("-Zunstable-options");
        let answer = answer_of(command.env("RUSTC_BOOTSTRAP", "1"))?;
        let version = answer_of(Command::new(rustc).arg("--version"))?;
        Toolchain::read(&answer, &version)
    }

    fn read(answer: &str, version: &str) -> Result<Toolchain> {
        let (lines, json) = answer.split_at(answer.find("\n{").map_or(answer.len(), |end| end + 1));
        let mut lines = lines.lines();
        let host = lines.next().context("rustc names no platform")?.to_owned();
        let sysroot = Path::new(lines.next().context("rustc names no folder of its own")?);
        let library = sysroot.join("lib/rustlib/src/rust/library");
        let cfg = lines.map(|line| match line.split_once('=') {
            Some((key, value)) => CfgAtom::KeyValue {
                key: Symbol::intern(key),
                value: Symbol::intern(value.trim_matches('"')),
            },
            None => CfgAtom::Flag(Symbol::intern(line)),
        });
        let target = serde_json::from_str::<TargetSpec>(json)
            .map(|spec| TargetData {
                data_layout: spec.data_layout.into_boxed_str(),
                // All but two platforms, none of which can load libraries.
                arch: Arch::Other,
            })
            .map_err(|error| format!("rustc does not tell how large types are: {error}").into());
        let version = version.split_whitespace().nth(1).and_then(|it| Version::parse(it).ok());
        let library = library.join("core/src/lib.rs").is_file().then_some(library);
        Ok(Toolchain { host, version, library, cfg: cfg.collect(), target })
    }
}

fn answer_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(
        output.status.success(),
        "{command:?} fails: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).context("rustc's answer is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer = "x86_64-unknown-linux-gnu\n/rust\nunix\ntarget_os=\"linux\"\n\
                      {\n \"data-layout\": \"e-m:e\"\n}\n";
        let toolchain = Toolchain::read(answer, "rustc 1.95.0 (59807616e 2026-04-14)\n").unwrap();
        assert_eq!(toolchain.version, Some(Version::new(1, 95, 0)));
        assert_eq!(toolchain.host, "x86_64-unknown-linux-gnu");
        assert_eq!(toolchain.library, None);
        assert!(toolchain.cfg.check_atom(&CfgAtom::Flag(Symbol::intern("unix"))));
        assert!(toolchain.cfg.get_cfg_values("target_os").any(|value| value.as_str() == "linux"));
        assert_eq!(&*toolchain.target.unwrap().data_layout, "e-m:e");
    }

    #[test]
    fn without_a_layout_the_rest_is_known() {
        let toolchain = Toolchain::read("host\n/rust\nunix\n", "rustc of my own").unwrap();
        assert!(toolchain.target.is_err());
        assert!(toolchain.cfg.check_atom(&CfgAtom::Flag(Symbol::intern("unix"))));
        assert!(Toolchain::read("", "").is_err());
    }

    #[test]
    fn no_compiler_is_an_error() {
        assert!(Toolchain::of(Path::new("/no/such/rustc")).is_err());
    }
}
