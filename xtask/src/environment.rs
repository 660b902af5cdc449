//! The Python environment: the active one if it has the right PyTorch, else `.venv`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::files;
use crate::pins::{Pins, normal_name};
use crate::prerequisites::PythonSource;
use crate::process::{find, output, run};

/// Says where an environment lies, where its torch is, and what is installed in it.
const PROBE: &str = r#"
import importlib.metadata, importlib.util, sys
torch = importlib.util.find_spec("torch")
print(sys.prefix)
print("%d.%d" % sys.version_info[:2])
print(torch.submodule_search_locations[0] if torch and torch.submodule_search_locations else "")
for package in importlib.metadata.distributions():
    if package.metadata["Name"]:
        print(package.metadata["Name"] + "==" + package.version)
"#;

/// Forgets packages with files missing or cut short, as an interrupted installation leaves them,
/// so that they are installed again.
const FORGET_BROKEN: &str = r#"
import importlib.metadata, shutil

def whole(file):
    path = file.locate()
    return path.exists() and file.size in (None, path.stat().st_size)

for package in list(importlib.metadata.distributions()):
    files = package.files
    if files is None or not all(whole(file) for file in files if file.suffix != ".pyc"):
        print("repairing", package.metadata["Name"], flush=True)
        shutil.rmtree(package._path)
"#;

/// A Python environment that works.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Its folder.
    pub prefix: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
    version: String,
    torch: PathBuf,
    installed: BTreeMap<String, String>,
}

/// The environment that setup decided for, before it changes anything.
#[derive(Debug)]
pub(crate) enum Choice {
    /// The activated environment, which has the right PyTorch.
    Active(Environment),
    /// `.venv`, as it is.
    Own(Environment),
    /// `.venv`, to be made; with the reason where one is there that does not work.
    ToMake(Option<String>),
}

impl Choice {
    /// Looks at the activated environments and at `.venv`.
    pub(crate) fn find(root: &Path, pins: &Pins) -> Result<Self> {
        let own = root.join(".venv");
        let torch = pins.version("torch")?;
        for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            let Some(active) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
                continue;
            };
            let active = PathBuf::from(active);
            if same(&active, &own) {
                continue;
            }
            match Environment::probe(&active) {
                Some(environment) if environment.has_torch(pins) => {
                    return Ok(Self::Active(environment));
                }
                _ => println!(
                    "The active environment {} has no PyTorch {torch}: using .venv instead",
                    active.display()
                ),
            }
        }
        if !own.exists() && own.read_link().is_err() {
            return Ok(Self::ToMake(None));
        }
        Ok(match Environment::probe(&own) {
            Some(environment) if PythonSource::supports(&environment.version) => {
                Self::Own(environment)
            }
            Some(environment) => Self::ToMake(Some(format!("has Python {}", environment.version))),
            None => Self::ToMake(Some("does not work".into())),
        })
    }

    /// Whether nothing has to be installed.
    pub(crate) fn is_complete(&self, pins: &Pins) -> bool {
        match self {
            Self::Active(environment) | Self::Own(environment) => environment.is_complete(pins),
            Self::ToMake(_) => false,
        }
    }

    /// Makes the environment complete.
    pub(crate) fn complete(
        self,
        root: &Path,
        pins: &Pins,
        python: &PythonSource,
        torch_index: Option<&str>,
    ) -> Result<Environment> {
        let environment = match self {
            Self::Active(environment) => {
                if !environment.is_complete(pins) {
                    println!(
                        "Installing the lab's Python packages into the active environment {}; its \
                         PyTorch stays as it is",
                        environment.prefix.display()
                    );
                }
                environment
            }
            Self::Own(environment) => {
                if !environment.is_complete(pins) {
                    println!("Completing .venv from requirements.txt");
                    run(Command::new(&environment.python).args(["-I", "-c", FORGET_BROKEN]))?;
                }
                environment
            }
            Self::ToMake(reason) => make(&root.join(".venv"), reason.as_deref(), python)?,
        };
        if environment.is_complete(pins) {
            if torch_index.is_some() {
                println!(
                    "{} has PyTorch {} already: --torch-index changes nothing (remove the folder \
                     to start anew)",
                    environment.prefix.display(),
                    environment.torch_version()
                );
            }
            return Ok(environment);
        }
        environment.install(pins, torch_index)
    }
}

impl Environment {
    /// Asks the interpreter of an environment; None where it does not answer, or answers for
    /// another environment, as a half-made virtual environment does.
    pub(crate) fn probe(prefix: &Path) -> Option<Self> {
        let python = prefix.join("bin/python");
        let answer = output(Command::new(&python).args(["-I", "-c", PROBE]))?;
        let mut lines = answer.lines();
        if !same(Path::new(lines.next()?), prefix) {
            return None;
        }
        Some(Self {
            prefix: prefix.to_path_buf(),
            python,
            version: lines.next()?.to_owned(),
            torch: PathBuf::from(lines.next()?),
            installed: lines
                .filter_map(|line| line.split_once("=="))
                .map(|(name, version)| (normal_name(name), version.to_owned()))
                .collect(),
        })
    }

    /// The torch folder, whose lib/ holds libtorch.
    pub(crate) fn torch(&self) -> &Path {
        &self.torch
    }

    fn torch_version(&self) -> &str {
        self.installed.get("torch").map_or("none", String::as_str)
    }

    fn has_torch(&self, pins: &Pins) -> bool {
        let library =
            if cfg!(target_os = "macos") { "lib/libtorch.dylib" } else { "lib/libtorch.so" };
        pins.allows("torch", self.torch_version()) && self.torch.join(library).is_file()
    }

    fn is_complete(&self, pins: &Pins) -> bool {
        self.has_torch(pins)
            && pins.missing(&self.installed).is_empty()
            && fs::read_to_string(self.stamp()).is_ok_and(|stamp| stamp == pins.text)
    }

    /// The requirements.txt that was last installed whole.
    fn stamp(&self) -> PathBuf {
        self.prefix.join("share/googlenet-lab/requirements.txt")
    }

    /// requirements.in with requirements.txt as constraints, not requirements.txt itself: a
    /// PyTorch built for the CPU alone then brings no CUDA packages along.
    fn install(self, pins: &Pins, torch_index: Option<&str>) -> Result<Self> {
        files::remove_if_there(&self.stamp())?;
        if let Some(index) = torch_index.filter(|_| !self.has_torch(pins)) {
            println!("Installing PyTorch from {index}");
            let torch = ["torch", "torchvision"]
                .map(|name| pins.version(name).map(|version| format!("{name}=={version}")));
            let torch = torch.into_iter().collect::<Result<Vec<_>>>()?;
            let from_index = |command: &mut Command| {
                command.args(["--no-deps", "--index-url", index]).args(&torch);
            };
            self.run_installer(pins, from_index).with_context(|| {
                format!(
                    "PyTorch could not be installed from {index}: is it a pip index that has it?"
                )
            })?;
        }
        println!("Installing the Python packages of requirements.txt (PyTorch alone is 2.5 GB)");
        let all = |command: &mut Command| {
            command.arg("-r").arg(&pins.named).arg("-c").arg(&pins.complete);
        };
        self.run_installer(pins, all).context(
            "the Python packages could not be installed: see above; once that is put right, run \
             this again, it goes on where it stopped",
        )?;
        let complete = Self::probe(&self.prefix)
            .with_context(|| format!("{} no longer works", self.prefix.display()))?;
        let missing = complete.missing_after_install(pins);
        ensure!(
            missing.is_empty(),
            "{} was installed without: {}",
            complete.prefix.display(),
            missing.join(", ")
        );
        shared::files::replace(&complete.stamp(), pins.text.as_bytes())?;
        Ok(complete)
    }

    fn missing_after_install<'a>(&self, pins: &'a Pins) -> Vec<&'a str> {
        let mut missing = pins.missing(&self.installed);
        if missing.is_empty() && !self.has_torch(pins) {
            missing.push("libtorch");
        }
        missing
    }

    /// Installs by uv where the machine has it, or pip fetches it; else by pip.
    fn run_installer(&self, pins: &Pins, arguments: impl Fn(&mut Command)) -> Result<()> {
        let of_pip = match find("uv") {
            Some(uv) => {
                let mut command = self.uv(&uv);
                arguments(&mut command);
                return run(&mut command);
            }
            None => {
                self.add_pip()?;
                PipSettings::read(&self.python)
            }
        };
        if let Some(uv) = of_pip.uv_understands.then(|| self.fetch_uv(pins)).flatten() {
            let mut command = self.uv(&uv);
            arguments(&mut command);
            match run(command.envs(of_pip.for_uv)) {
                Ok(()) => return Ok(()),
                Err(error) => println!("uv has failed ({error:#}): pip has its turn"),
            }
        }
        let mut command = self.pip();
        arguments(&mut command);
        run(&mut command)
    }

    /// uv in the version that requirements.txt pins, if it does. Where it cannot be had, pip will do.
    fn fetch_uv(&self, pins: &Pins) -> Option<PathBuf> {
        let pin = format!("uv=={}", pins.version("uv").ok()?);
        let uv = self.prefix.join("bin/uv");
        match run(self.pip().args(["--quiet", &pin])) {
            Ok(()) if uv.is_file() => return Some(uv),
            Ok(()) => println!("{pin} holds no program uv: pip installs the rest"),
            Err(error) => {
                println!("{pin} could not be installed ({error:#}): pip installs the rest")
            }
        }
        None
    }

    fn uv(&self, uv: &Path) -> Command {
        let mut command = Command::new(uv);
        command.args(["pip", "install", "--python"]).arg(&self.python);
        command
    }

    fn pip(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "pip", "install", "--disable-pip-version-check"]);
        command
    }

    fn add_pip(&self) -> Result<()> {
        if output(Command::new(&self.python).args(["-m", "pip", "--version"])).is_some() {
            return Ok(());
        }
        run(Command::new(&self.python).args(["-m", "ensurepip"]))
    }
}

/// What a person has told pip about where packages come from: a mirror, say, which is the only one that they reach.
#[derive(Debug, PartialEq, Eq)]
struct PipSettings {
    uv_understands: bool,
    /// The same for uv, which does not read pip's.
    for_uv: Vec<(&'static str, String)>,
}

impl PipSettings {
    fn read(python: &Path) -> PipSettings {
        let said = output(Command::new(python).args(["-m", "pip", "config", "list"]));
        said.map_or(PipSettings { uv_understands: false, for_uv: Vec::new() }, |said| {
            PipSettings::parse(&said)
        })
    }

    /// Of lines such as `global.index-url='https://example.org/simple'`; the environment's come first.
    fn parse(said: &str) -> PipSettings {
        let mut settings = PipSettings { uv_understands: true, for_uv: Vec::new() };
        for (key, value) in said.lines().filter_map(|line| line.split_once('=')) {
            let name = match key.rsplit('.').next() {
                Some("index-url") => "UV_DEFAULT_INDEX",
                Some("cert") => "SSL_CERT_FILE",
                Some("extra-index-url" | "no-index" | "proxy" | "trusted-host" | "client-cert") => {
                    settings.uv_understands = false;
                    continue;
                }
                _ => continue,
            };
            if std::env::var_os(name).is_none() && settings.for_uv.iter().all(|(n, _)| *n != name) {
                settings.for_uv.push((name, value.trim_matches('\'').to_owned()));
            }
        }
        settings
    }
}

fn make(prefix: &Path, broken: Option<&str>, python: &PythonSource) -> Result<Environment> {
    if let Some(reason) = broken {
        println!("{} {reason}: making it anew", prefix.display());
        let removed = if prefix.is_dir() && !prefix.is_symlink() {
            fs::remove_dir_all(prefix)
        } else {
            fs::remove_file(prefix)
        };
        removed.with_context(|| format!("cannot remove {}", prefix.display()))?;
    }
    println!("Making the Python environment {}", prefix.display());
    match python {
        PythonSource::Uv { uv, request } => {
            run(Command::new(uv).args(["venv", "--python", request]).arg(prefix))?;
        }
        PythonSource::Interpreter(python) => {
            run(Command::new(python).args(["-m", "venv"]).arg(prefix))?;
        }
        PythonSource::NotNeeded => bail!("no Python was looked for to make {}", prefix.display()),
    }
    Environment::probe(prefix)
        .with_context(|| format!("{} was made, but does not work", prefix.display()))
}

fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_s_settings_are_handed_to_uv_or_keep_it_away() {
        let of = |said: &str| PipSettings::parse(said);
        let plain = PipSettings { uv_understands: true, for_uv: Vec::new() };
        assert_eq!(of(""), plain);
        assert_eq!(of(":env:.disable-pip-version-check='1'\nglobal.timeout='60'\n"), plain);
        let mirror = of("global.index-url='https://example.org/a=b'\nglobal.timeout='60'\n");
        let index = ("UV_DEFAULT_INDEX", "https://example.org/a=b".to_owned());
        assert_eq!(mirror, PipSettings { uv_understands: true, for_uv: vec![index] });
        let both = of(":env:.index-url='https://one'\nglobal.index-url='https://two'\n");
        assert_eq!(both.for_uv, [("UV_DEFAULT_INDEX", "https://one".to_owned())]);
        for key in ["global.extra-index-url", ":env:.no-index", "install.proxy"] {
            assert!(!of(&format!("{key}='1'")).uv_understands, "{key}");
        }
    }
}
