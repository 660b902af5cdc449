//! `cargo xtask doctor`: what the kernel's own doctor says, and what the lab needs beyond it. It changes
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::environment::{Choice, Environment};
use crate::pins::Pins;
use crate::process::output;
use crate::setup::{KERNEL, KERNEL_NAME};

/// What was found, or what to do.
type Finding = Result<String, String>;

const SETUP: &str = "run cargo xtask setup";

/// Reads a kernel.json.
const LIBTORCH: &str = "import json, sys; print(json.load(open(sys.argv[1]))['env']['LIBTORCH'])";

/// Asks the environment's PyTorch, which is built on the libtorch of the cells. Status 1 is a fault.
const ASK_FOR_GPUS: &str = r#"
import sys, torch
if torch.version.cuda is None:
    print("none that this libtorch could use; cells run on the CPU")
else:
    try:
        # Its count of devices is the driver's: only this says whether libtorch can use them.
        torch.cuda.init()
        print(", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count()))))
        sys.exit()
    except Exception as error:
        reason = str(error).splitlines()[0]
    if "no NVIDIA driver" in reason or "No CUDA GPUs" in reason:
        print("none that the NVIDIA driver knows; cells run on the CPU")
    else:
        print("libtorch can use none, so that cells run on the CPU:", reason, "(in a cell,",
              'googlenet_lib::device::named("cuda")? says more)')
        sys.exit(1)
"#;

/// Prints what was found; fails if there is a fault.
pub(crate) fn doctor(root: &Path) -> Result<ExitCode> {
    let environment = match Choice::find(root, &Pins::read(root)?)? {
        Choice::Active(environment) | Choice::Own(environment) => environment,
        Choice::ToMake(reason) => {
            let reason =
                reason.map_or("there is no .venv".into(), |reason| format!(".venv {reason}"));
            return Ok(report([("environment", Err(format!("{reason}: {SETUP}")))]));
        }
    };
    let kernel = environment.prefix.join("bin").join(KERNEL);
    if !kernel.is_file() {
        let missing = format!("there is no {}: {SETUP}", kernel.display());
        return Ok(report([("kernel", Err(missing))]));
    }
    let own = Command::new(&kernel).args(["doctor", "--name", KERNEL_NAME]).status();
    let own = own.with_context(|| format!("cannot start {}", kernel.display()))?;
    let libtorch = libtorch_of_the_cells(&environment);
    let gpu = match &libtorch {
        Some(folder) => gpu(&environment, folder),
        None => Ok("unknown, without a libtorch".into()),
    };
    let lab = report([("libtorch", torch(libtorch.as_deref())), ("GPU", gpu)]);
    Ok(if own.success() { lab } else { ExitCode::FAILURE })
}

/// In the form of the kernel's report.
fn report<const N: usize>(findings: [(&str, Finding); N]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (about, found) in findings {
        match found {
            Ok(found) => println!("ok    {about:<11} {found}"),
            Err(remedy) => {
                code = ExitCode::FAILURE;
                println!("FAULT {about:<11} {remedy}");
            }
        }
    }
    code
}

/// The torch folder that the kernelspec names.
fn libtorch_of_the_cells(environment: &Environment) -> Option<PathBuf> {
    let kernels = environment.prefix.join("share/jupyter/kernels");
    let spec = kernels.join(KERNEL_NAME).join("kernel.json");
    let named = output(Command::new(&environment.python).args(["-I", "-c", LIBTORCH]).arg(spec))?;
    Some(PathBuf::from(named.trim_end()))
}

fn torch(folder: Option<&Path>) -> Finding {
    let folder = folder.ok_or_else(|| format!("cells will not find it: {SETUP}"))?;
    let core = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };
    if !folder.join("lib").join(core).is_file() {
        return Err(format!("{} holds no lib/{core}: {SETUP}", folder.display()));
    }
    let version = fs::read_to_string(folder.join("version.py")).unwrap_or_default();
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
fn gpu(environment: &Environment, libtorch: &Path) -> Finding {
    if !libtorch.join("lib/libtorch_cuda.so").is_file() {
        return Ok("none that this libtorch could use; cells run on the CPU".to_owned());
    }
    let asked = Command::new(&environment.python).args(["-I", "-c", ASK_FOR_GPUS]).output();
    let asked = asked.map_err(|error| format!("PyTorch cannot be asked: {error}"))?;
    let last_line = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).trim_end().lines().last().unwrap_or_default().to_owned()
    };
    match (asked.status.success(), last_line(&asked.stdout)) {
        (true, found) => Ok(found),
        (false, fault) if !fault.is_empty() => Err(fault),
        // It did not come so far as to answer.
        (false, _) => Err(format!(
            "libtorch's CUDA half does not load, so that cells run on the CPU: {}",
            last_line(&asked.stderr)
        )),
    }
}
