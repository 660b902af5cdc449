//! `cargo xtask wheel`: the kernel as a file that pip installs, with what Jupyter needs to start it. Such a file may also
//! take the place of a kernel that set-up builds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::pins;
use crate::process::{find, output, run};
use crate::setup::{ANALYSIS, KERNEL};

/// The profile that is for other machines than this one.
const FOR_ALL: &str = "wheel";
/// Of Linux machines, those with glibc 2.17 or newer.
const OLDEST_LINUX: &str = "manylinux2014";
/// Where maturin finds the program that lies beside the kernel: kernel/wheel leads to it.
const SCRIPTS: &str = "target/wheel-scripts";

/// In the place of cargo. maturin chooses the kernel's package; chosen so, crates have fewer features than in a build
/// of the whole workspace, and each of them would be compiled a second time.
const CARGO: &str = r#"#!/bin/sh
if [ "$1" = rustc ]; then
    shift
    set -- build --workspace "$@"
fi
exec "$LAB_CARGO" "$@"
"#;

/// Writes programs of a wheel into a folder.
const UNPACK: &str = r#"
import pathlib, sys, zipfile
file, folder, *programs = sys.argv[1:]
with zipfile.ZipFile(file) as wheel:
    for program in programs:
        (name,) = [name for name in wheel.namelist() if name.endswith(".data/scripts/" + program)]
        pathlib.Path(folder, program).write_bytes(wheel.read(name))
"#;

/// What a person may choose.
#[derive(Debug, Args)]
pub(crate) struct WheelOptions {
    /// The folder that it is written to [default: target/wheels]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cargo's profile. `wheel` is for all machines of this kind; any other is quicker to build, and for those whose C
    /// library is not older than this machine's. `dev` packs the kernel that set-up has built
    #[arg(long, value_name = "NAME", default_value = FOR_ALL)]
    profile: String,
}

/// Builds it, by maturin.
pub(crate) fn wheel(root: &Path, options: &WheelOptions) -> Result<()> {
    let out = options.out.clone().unwrap_or_else(|| root.join("target/wheels"));
    let out = std::path::absolute(&out)
        .with_context(|| format!("the folder {} cannot be named in full", out.display()))?;
    let is_for_all = options.profile == FOR_ALL;
    let zig = (is_for_all && cfg!(target_os = "linux")).then_some("ziglang");
    let tools = Tools::prepare(root, ["maturin"].into_iter().chain(zig))?;
    let build = |package: &str, out: &Path| {
        let mut maturin = tools.maturin(root)?;
        maturin.args(["build", "--locked", "--profile", &options.profile]);
        if zig.is_some() {
            maturin.args(["--zig", "--compatibility", OLDEST_LINUX]);
        }
        let manifest = root.join(package).join("Cargo.toml");
        run(maturin.arg("--manifest-path").arg(manifest).arg("--out").arg(out))
    };
    // maturin packs the programs of one package, and whatever lies beside: so there is a wheel for each, and what is in
    // the first is put beside the second.
    let first = tempfile::tempdir_in(root.join("target")).context("no temporary folder")?;
    build("kernel/crates/analysis", first.path())?;
    let mut files = fs::read_dir(first.path())?;
    let file = files.next().context("maturin has written nothing")??.path();
    let scripts = root.join(SCRIPTS);
    fs::create_dir_all(&scripts).with_context(|| format!("cannot make {}", scripts.display()))?;
    unpack(&file, &tools.python_file(), &scripts, &[ANALYSIS])?;
    build("kernel", &out)
}

/// Puts programs into a folder, by a Python; returns where they are.
fn unpack(wheel: &Path, python: &Path, folder: &Path, programs: &[&str]) -> Result<Vec<PathBuf>> {
    let mut unpack = Command::new(python);
    unpack.args(["-I", "-c", UNPACK]).arg(wheel).arg(folder).args(programs);
    output(&mut unpack).with_context(|| format!("{} cannot be unpacked", wheel.display()))?;
    let unpacked: Vec<_> = programs.iter().map(|program| folder.join(program)).collect();
    unpacked.iter().try_for_each(|program| executable(program))?;
    Ok(unpacked)
}

/// The Python environment that wheels are built with.
struct Tools {
    prefix: PathBuf,
}

impl Tools {
    /// Makes it, with some packages in the versions that kernel/pyproject.toml names.
    fn prepare<'a>(root: &Path, packages: impl Iterator<Item = &'a str>) -> Result<Tools> {
        let tools = Tools { prefix: root.join("target/wheel-tools") };
        let pinned = packages.map(|package| pins::of_the_wheel(root, package));
        let pinned = pinned.collect::<Result<Vec<_>>>()?;
        let installed = output(tools.python().args(["-m", "pip", "freeze"])).unwrap_or_default();
        if pinned.iter().all(|pin| installed.lines().any(|line| line == pin)) {
            return Ok(tools);
        }
        if installed.is_empty() {
            let python = find("python3").context(
                "wheels are built by maturin, a Python package, and there is no python3 on PATH: \
                 install Python (on Debian and Ubuntu, apt install python3 python3-venv)",
            )?;
            run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&tools.prefix))?;
        }
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(tools.python().args(install).args(&pinned)).with_context(|| {
            format!("{} could not be installed from the package index", pinned.join(" and "))
        })?;
        Ok(tools)
    }

    fn python_file(&self) -> PathBuf {
        self.prefix.join("bin/python")
    }

    fn python(&self) -> Command {
        Command::new(self.python_file())
    }

    /// maturin, whose cargo builds with the features of the whole workspace.
    fn maturin(&self, root: &Path) -> Result<Command> {
        let cargo = self.prefix.join("bin/cargo-of-the-workspace");
        shared::files::replace(&cargo, CARGO.as_bytes())?;
        executable(&cargo)?;
        let own = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut maturin = self.python();
        maturin.args(["-m", "maturin"]).current_dir(root);
        for name in shared::environment::told_by_cargo() {
            maturin.env_remove(name);
        }
        // maturin finds zig by the Python on PATH.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = [self.prefix.join("bin")].into_iter().chain(std::env::split_paths(&path));
        maturin.env("PATH", std::env::join_paths(path)?);
        // The lab need not be set up: the kernel stands on no libtorch.
        maturin.env("CARGO", cargo).env("LAB_CARGO", own).env("LAB_SETUP", "1");
        Ok(maturin)
    }
}

fn executable(file: &Path) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} cannot be made executable", file.display()))
}

/// A wheel of the kernel that was built before, here or elsewhere.
#[derive(Debug)]
pub(crate) struct KernelWheel {
    file: PathBuf,
}

impl KernelWheel {
    /// Looks whether there is such a file, and by its name whether it is one for this lab and machine.
    pub(crate) fn find(file: &Path) -> Result<KernelWheel> {
        const REMEDY: &str = "name one that `cargo xtask wheel` has written, or leave \
                              --kernel-wheel out, and the kernel is built";
        let shown = file.display();
        ensure!(file.is_file(), "there is no file {shown}: {REMEDY}");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let parts: Vec<&str> = name.strip_suffix(".whl").unwrap_or_default().split('-').collect();
        let [package, version, .., platforms] = parts[..] else {
            bail!("{shown} is no wheel of {KERNEL}: {REMEDY}");
        };
        ensure!(
            pins::normal_name(package) == KERNEL,
            "{shown} is no wheel of {KERNEL}, but of {package}: {REMEDY}"
        );
        let own = env!("CARGO_PKG_VERSION");
        ensure!(
            version == own,
            "{shown} holds {KERNEL} {version}, and this lab is {own}: {REMEDY}"
        );
        let (os, machine) = (std::env::consts::OS, std::env::consts::ARCH);
        ensure!(
            platforms.split('.').any(|platform| is_for(platform, os, machine)),
            "{shown} is for {platforms}, and this is {os} on {machine}: {REMEDY}"
        );
        Ok(KernelWheel { file: file.to_path_buf() })
    }

    /// Puts the programs into a folder, by the Python of an environment, and tries whether they run here.
    pub(crate) fn unpack(&self, python: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
        let shown = self.file.display();
        let unpacked = unpack(&self.file, python, folder, &[KERNEL, ANALYSIS]);
        let unpacked = unpacked.with_context(|| {
            format!(
                "{shown} does not hold {KERNEL} and {ANALYSIS}, or not all of them: copy it again, or build it by \
                 `cargo xtask wheel`"
            )
        })?;
        let said = Command::new(folder.join(KERNEL)).arg("--version").output();
        let fault = match &said {
            Ok(said) if said.status.success() => return Ok(unpacked),
            Ok(said) => String::from_utf8_lossy(&said.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        bail!(
            "{shown} holds a program that does not run here ({fault}): build one by `cargo xtask \
             wheel`, or leave --kernel-wheel out, and the kernel is built"
        )
    }
}

/// Whether a tag of a wheel's name stands for a machine.
fn is_for(platform: &str, os: &str, machine: &str) -> bool {
    let (family, machine) = match (os, machine) {
        ("macos", _) if platform.ends_with("_universal2") => ("macosx_", "universal2"),
        ("macos", "aarch64") => ("macosx_", "arm64"),
        ("macos", other) => ("macosx_", other),
        (_, other) if platform.starts_with("manylinux") => ("manylinux", other),
        (_, other) => ("linux_", other),
    };
    platform.starts_with(family) && platform.ends_with(&format!("_{machine}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = env!("CARGO_PKG_VERSION");

    fn tag() -> String {
        let machine = std::env::consts::ARCH;
        match std::env::consts::OS {
            "macos" => "macosx_11_0_universal2".into(),
            _ => format!("manylinux_2_17_{machine}.manylinux2014_{machine}"),
        }
    }

    fn found(name: &str) -> Result<KernelWheel> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, "").unwrap();
        KernelWheel::find(&file)
    }

    #[test]
    fn a_wheel_for_this_lab_and_machine_is_taken() {
        found(&format!("rust_live-{OWN}-py3-none-{}.whl", tag())).unwrap();
    }

    #[test]
    fn any_other_is_refused_by_name_with_the_remedy() {
        let tag = tag();
        for (name, why) in [
            (format!("rust_live-{OWN}-py3-none-win_amd64.whl"), "is for win_amd64, and this is "),
            (
                format!("rust_live-0.0.9-py3-none-{tag}.whl"),
                "holds rust-live 0.0.9, and this lab is ",
            ),
            (format!("torch-{OWN}-py3-none-{tag}.whl"), "is no wheel of rust-live, but of torch"),
            ("rust-live".into(), "is no wheel of rust-live"),
            ("rust_live-0.1.0.tar.gz".into(), "is no wheel of rust-live"),
        ] {
            let error = found(&name).unwrap_err().to_string();
            for words in [&*name, why, "cargo xtask wheel", "leave --kernel-wheel out"] {
                assert!(error.contains(words), "{name}: {error}");
            }
        }
        let error = KernelWheel::find(Path::new("/no/wheel.whl")).unwrap_err().to_string();
        assert!(error.contains("there is no file /no/wheel.whl"), "{error}");
    }

    #[test]
    fn a_tag_stands_for_a_system_and_its_machine() {
        for (platform, os, machine) in [
            ("manylinux_2_17_x86_64", "linux", "x86_64"),
            ("manylinux2014_aarch64", "linux", "aarch64"),
            ("linux_x86_64", "linux", "x86_64"),
            ("macosx_11_0_arm64", "macos", "aarch64"),
            ("macosx_11_0_universal2", "macos", "x86_64"),
        ] {
            assert!(is_for(platform, os, machine), "{platform}");
        }
        for (platform, os, machine) in [
            ("manylinux_2_17_x86_64", "linux", "aarch64"),
            ("manylinux_2_17_x86_64", "macos", "x86_64"),
            ("musllinux_1_2_x86_64", "linux", "x86_64"),
            ("macosx_11_0_arm64", "linux", "aarch64"),
            ("win_amd64", "linux", "x86_64"),
            ("any", "linux", "x86_64"),
        ] {
            assert!(!is_for(platform, os, machine), "{platform}");
        }
    }
}
