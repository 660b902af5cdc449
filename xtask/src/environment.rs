//! The Python environment: the active one if it has the right PyTorch, else `.venv`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::prerequisites;
use crate::requirements::Requirements;
use crate::run::{output, run};

/// In `.venv`: what was installed there. It is written last, so that without it, or with another
/// content, the environment is not complete.
const STAMP: &str = "googlenet-lab-requirements.txt";

/// A Python environment with everything that the lab needs.
#[derive(Debug)]
pub struct Environment {
    /// Its folder.
    pub prefix: PathBuf,
    /// Its `torch` folder, with `lib` and `include`.
    pub torch: PathBuf,
}

impl Environment {
    /// Its Python.
    pub fn python(&self) -> PathBuf {
        python_of(&self.prefix)
    }

    /// The folder of its programs.
    pub fn bin(&self) -> PathBuf {
        self.prefix.join("bin")
    }

    /// The environment to use, made or completed if need be.
    pub fn ensure(root: &Path, pins: &Requirements, torch_index: Option<&str>) -> Result<Self> {
        if let Some(environment) = Self::active(pins)? {
            return Ok(environment);
        }
        let prefix = root.join(".venv");
        let stamp = prefix.join(STAMP);
        let complete = fs::read_to_string(&stamp).is_ok_and(|text| text == pins.text);
        if complete && torch_folder(&prefix).is_some() {
            if torch_index.is_some() {
                println!("{} is complete: delete it to use --torch-index.", prefix.display());
            }
            return Self::of(prefix);
        }
        make(&prefix, pins, torch_index)?;
        let environment = Self::of(prefix)?;
        fs::write(&stamp, &pins.text)
            .with_context(|| format!("{} cannot be written", stamp.display()))?;
        Ok(environment)
    }

    /// The active conda or virtual environment, if it has the pinned PyTorch. Packages that it
    /// lacks are added; nothing in it is changed.
    fn active(pins: &Requirements) -> Result<Option<Self>> {
        let Some(prefix) = ["VIRTUAL_ENV", "CONDA_PREFIX"]
            .iter()
            .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
            .map(PathBuf::from)
        else {
            return Ok(None);
        };
        let python = python_of(&prefix);
        let wanted = pins.version("torch")?;
        let found = installed_version(&python, "torch");
        if !found.as_deref().is_some_and(|found| same_version(found, wanted)) {
            println!(
                "The active environment {} has {}, not torch {wanted}: .venv is used instead.",
                prefix.display(),
                found.map_or("no torch".into(), |version| format!("torch {version}"))
            );
            return Ok(None);
        }
        let missing = missing(&python, &pins.asked_for())?;
        if !missing.is_empty() {
            println!("Adding to the active environment {}:", prefix.display());
            run(Command::new(&python).args(["-m", "pip", "install"]).args(missing))?;
        }
        Self::of(prefix).map(Some)
    }

    fn of(prefix: PathBuf) -> Result<Self> {
        let torch = torch_folder(&prefix).with_context(|| {
            format!(
                "{} holds no torch with libtorch in it: delete that environment and run again",
                prefix.display()
            )
        })?;
        Ok(Environment { prefix, torch })
    }
}

/// Makes `.venv`, or completes one that an earlier run left half made.
fn make(prefix: &Path, pins: &Requirements, torch_index: Option<&str>) -> Result<()> {
    let uv = output(Command::new("uv").arg("--version")).is_some();
    let works = output(Command::new(python_of(prefix)).arg("--version")).is_some();
    if works {
        println!("Completing the Python environment {}.", prefix.display());
    } else {
        println!("Making the Python environment {}.", prefix.display());
        let python = prerequisites::python()?;
        if uv {
            run(Command::new("uv")
                .args(["venv", "--clear"])
                .arg("--python")
                .arg(python)
                .arg(prefix))?;
        } else {
            run(Command::new(python).args(["-m", "venv", "--clear"]).arg(prefix))?;
        }
    }
    let install = |args: &[&OsStr]| {
        let mut command = Command::new(if uv { "uv".into() } else { python_of(prefix) });
        if uv {
            command.args(["pip", "install", "--python"]).arg(python_of(prefix));
        } else {
            command.args(["-m", "pip", "install"]);
        }
        run(command.args(args))
    };
    let Some(index) = torch_index else {
        println!("Installing requirements.txt; PyTorch with CUDA is 3 GB to download.");
        return install(&["-r".as_ref(), pins.file.as_ref()]);
    };
    println!("Installing PyTorch from {index}, the rest of requirements.txt as usual.");
    let mut torch: Vec<&OsStr> = vec!["--no-deps".as_ref(), "--index-url".as_ref(), index.as_ref()];
    torch.extend(pins.torch().into_iter().map(OsStr::new));
    install(&torch)
        .with_context(|| format!("is {index} an index that has {}?", pins.torch().join(" and ")))?;
    let rest = prefix.join("requirements-without-torch.txt");
    fs::write(&rest, pins.without_torch().join("\n") + "\n")
        .with_context(|| format!("{} cannot be written", rest.display()))?;
    install(&["-r".as_ref(), rest.as_ref()])
}

fn python_of(prefix: &Path) -> PathBuf {
    prefix.join("bin/python")
}

/// The folder of torch in an environment, if libtorch and its headers are there.
fn torch_folder(prefix: &Path) -> Option<PathBuf> {
    let script =
        "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
    let folder = PathBuf::from(output(Command::new(python_of(prefix)).args(["-c", script]))?);
    let library = if cfg!(target_os = "macos") { "lib/libtorch.dylib" } else { "lib/libtorch.so" };
    (folder.join(library).exists() && folder.join("include").is_dir()).then_some(folder)
}

fn installed_version(python: &Path, package: &str) -> Option<String> {
    let script = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))";
    output(Command::new(python).args(["-c", script, package]))
}

/// Those of these requirement lines whose package is not installed at all.
fn missing<'a>(python: &Path, lines: &[&'a str]) -> Result<Vec<&'a str>> {
    let script = "import importlib.metadata as m, json; \
                  print(json.dumps([d.metadata['Name'].lower() for d in m.distributions()]))";
    let Some(text) = output(Command::new(python).args(["-c", script])) else {
        bail!("{} cannot list its packages: is the environment whole?", python.display());
    };
    let installed: Vec<String> = serde_json::from_str(&text)?;
    let normal = |name: &str| name.to_lowercase().replace(['_', '.'], "-");
    let installed: Vec<String> = installed.iter().map(|name| normal(name)).collect();
    Ok(lines
        .iter()
        .filter(|line| !line.contains(" ; "))
        .filter(|line| {
            let name = line.split("==").next().unwrap_or(line);
            !installed.contains(&normal(name))
        })
        .copied()
        .collect())
}

/// Whether an installed version is the pinned one, whatever it was built for (`2.11.0+cpu`).
fn same_version(found: &str, wanted: &str) -> bool {
    found.split('+').next() == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_for_the_cpu_is_the_same_version() {
        assert!(same_version("2.11.0", "2.11.0"));
        assert!(same_version("2.11.0+cpu", "2.11.0"));
        assert!(!same_version("2.11.1", "2.11.0"));
        assert!(!same_version("2.1", "2.11.0"));
    }

    #[test]
    fn a_folder_that_is_no_environment_has_no_torch() {
        let folder = tempfile::tempdir().unwrap();
        assert!(torch_folder(folder.path()).is_none());
        let error = Environment::of(folder.path().into()).unwrap_err().to_string();
        assert!(error.contains("delete that environment"), "{error}");
    }
}
