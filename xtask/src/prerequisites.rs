//! What must be on the machine before setup changes anything. Every lack is named with its remedy.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{find, output};

const RUST: &str = env!("CARGO_PKG_RUST_VERSION");
/// The Python versions that requirements.txt has wheels for.
const PYTHON_MIN: (u32, u32) = (3, 10);
const PYTHON_MAX: (u32, u32) = (3, 14);
const DISK_GB: u64 = 10;

/// Where the interpreter of a new environment comes from.
#[derive(Debug)]
pub(crate) enum PythonSource {
    /// uv makes the environment, and fetches a Python where the machine has none.
    Uv {
        /// The program.
        uv: PathBuf,
        /// The versions it may take.
        request: String,
    },
    /// An interpreter with the venv module.
    Interpreter(PathBuf),
    /// The environment is there.
    NotNeeded,
}

impl PythonSource {
    /// Whether the lab can use a Python of this version.
    pub(crate) fn supports(version: &str) -> bool {
        number(version).is_some_and(|found| (PYTHON_MIN..=PYTHON_MAX).contains(&found))
    }
}

/// A prerequisite that is not there.
#[derive(Debug)]
struct Lack {
    what: String,
    remedy: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  remedy: {}", self.what, self.remedy)
    }
}

/// Checks everything and reports all that is missing at once.
pub(crate) fn check(root: &Path, environment_exists: bool, complete: bool) -> Result<PythonSource> {
    let mut lacks = Vec::new();
    lacks.extend(rust(output(Command::new("rustc").arg("--version")).as_deref()));
    let python = if environment_exists { Ok(PythonSource::NotNeeded) } else { python() };
    let source = python.map_err(|lack| lacks.push(lack)).unwrap_or(PythonSource::NotNeeded);
    lacks.extend(compiler(std::env::var("CXX").ok().as_deref()));
    if !complete {
        lacks.extend(disk(free_bytes(root)?, root));
    }
    if lacks.is_empty() {
        return Ok(source);
    }
    let lacks = lacks.iter().map(Lack::to_string).collect::<Vec<_>>();
    bail!("{}", lacks.join("\nerror: "))
}

fn rust(version: Option<&str>) -> Option<Lack> {
    let needed = format!("Rust {RUST} or later is needed");
    let found = version.and_then(|text| text.split_whitespace().nth(1));
    let lack = match found {
        None => format!("{needed}, and there is no rustc on PATH"),
        Some(found) if number(found) < number(RUST) => {
            format!("{needed}, and rustc is {found}")
        }
        Some(_) => return None,
    };
    Some(Lack {
        what: lack,
        remedy: "rustup update stable (rustup is at https://rustup.rs)".into(),
    })
}

fn python() -> Result<PythonSource, Lack> {
    if let Some(uv) = find("uv") {
        let (min, max) = (text(PYTHON_MIN), text((PYTHON_MAX.0, PYTHON_MAX.1 + 1)));
        return Ok(PythonSource::Uv { uv, request: format!(">={min},<{max}") });
    }
    let names = ["python3".to_owned()].into_iter().chain(
        (PYTHON_MIN.1..=PYTHON_MAX.1).rev().map(|minor| format!("python{}.{minor}", PYTHON_MIN.0)),
    );
    let mut unfit = Vec::new();
    for name in names {
        let Some(python) = find(&name) else { continue };
        let version = output(
            Command::new(&python).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]),
        );
        let version = version.as_deref().unwrap_or("of unknown version").trim();
        if !PythonSource::supports(version) {
            unfit.push(format!("{} is {version}", python.display()));
        } else if output(Command::new(&python).args(["-c", "import venv, ensurepip"])).is_none() {
            return Err(Lack {
                what: format!("{} ({version}) has no venv module", python.display()),
                remedy: format!(
                    "on Debian and Ubuntu, apt install python{version}-venv; elsewhere install \
                     Python from https://www.python.org, or uv from https://docs.astral.sh/uv"
                ),
            });
        } else {
            return Ok(PythonSource::Interpreter(python));
        }
    }
    let found = if unfit.is_empty() { "none is on PATH".to_owned() } else { unfit.join(", ") };
    Err(Lack {
        what: format!("Python {} to {} is needed: {found}", text(PYTHON_MIN), text(PYTHON_MAX)),
        remedy: "install one of them (on Debian and Ubuntu, apt install python3 python3-venv), or \
                 uv from https://docs.astral.sh/uv, which fetches one"
            .into(),
    })
}

/// torch-sys compiles a C++ file against libtorch, here and in the first cell of every notebook.
fn compiler(cxx: Option<&str>) -> Option<Lack> {
    let works = |program: &str| output(Command::new(program).arg("--version")).is_some();
    let remedy = "on Debian and Ubuntu, apt install g++; on macOS, xcode-select --install".into();
    match cxx.and_then(|cxx| cxx.split_whitespace().next()) {
        Some(cxx) if works(cxx) => None,
        Some(cxx) => Some(Lack {
            what: format!("CXX names the C++ compiler {cxx}, which does not start"),
            remedy: format!("unset CXX, or name one that is there; {remedy}"),
        }),
        None if works("c++") => None,
        None => match ["g++", "clang++"].into_iter().find(|program| works(program)) {
            Some(other) => Some(Lack {
                what: format!("the C++ compiler {other} is there, but not under the name c++"),
                remedy: format!("export CXX={other}"),
            }),
            None => Some(Lack { what: "a C++ compiler is needed: there is no c++".into(), remedy }),
        },
    }
}

fn disk(free: u64, folder: &Path) -> Option<Lack> {
    const GB: u64 = 1_000_000_000;
    (free < DISK_GB * GB).then(|| Lack {
        what: format!(
            "{DISK_GB} GB of disk are needed at {}, and {:.1} GB are free",
            folder.display(),
            free as f64 / GB as f64
        ),
        remedy: "free some, or clone the repository to a larger disk".into(),
    })
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder)
        .with_context(|| format!("the free space at {} cannot be read", folder.display()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Major and minor version at the start of a text such as 1.95.0-nightly.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().split(['.', '-', '+', ' ']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn text((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_numbers() {
        assert_eq!(number("1.95.0"), Some((1, 95)));
        assert_eq!(number("1.100.0-nightly"), Some((1, 100)));
        assert_eq!(number("3.9"), Some((3, 9)));
        assert_eq!(number("three"), None);
    }

    #[test]
    fn rust_is_compared_by_number_and_a_lack_names_the_remedy() {
        assert!(rust(Some("rustc 1.95.0 (59807616e 2026-04-14)")).is_none());
        assert!(rust(Some("rustc 1.100.0-nightly (aaa 2027-01-01)")).is_none());
        let old = rust(Some("rustc 1.94.1 (bbb 2026-03-01)")).unwrap().to_string();
        assert!(old.contains("rustc is 1.94.1") && old.contains("rustup update"), "{old}");
        assert!(rust(None).unwrap().to_string().contains("no rustc on PATH"));
    }

    #[test]
    fn python_is_taken_from_3_10_to_3_14() {
        for good in ["3.10", "3.11.7", "3.14"] {
            assert!(PythonSource::supports(good), "{good}");
        }
        for bad in ["3.9", "3.15", "2.7", "of unknown version"] {
            assert!(!PythonSource::supports(bad), "{bad}");
        }
    }

    #[test]
    fn a_named_compiler_that_is_missing_is_an_error() {
        let lack = compiler(Some("/no/such/c++ -O2")).unwrap().to_string();
        assert!(lack.contains("/no/such/c++,") && lack.contains("unset CXX"), "{lack}");
    }

    #[test]
    fn too_little_disk_is_told_with_the_figure() {
        assert!(disk(10_000_000_000, Path::new("/lab")).is_none());
        let lack = disk(9_940_000_000, Path::new("/lab")).unwrap().to_string();
        assert!(lack.contains("at /lab") && lack.contains("9.9 GB are free"), "{lack}");
    }

    #[test]
    fn the_free_space_of_a_missing_folder_is_an_error() {
        assert!(free_bytes(Path::new("/no/such/folder")).is_err());
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
    }
}
