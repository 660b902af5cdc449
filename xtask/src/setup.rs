//! `cargo xtask setup`: environment, link to libtorch, kernels, kernelspecs. Done again, it
//! changes nothing; interrupted, it goes on.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::environment::{Choice, Environment};
use crate::files::{self, Linked};
use crate::pins::Pins;
use crate::prerequisites;
use crate::process::{Beside, cargo, output, run};

const KERNELS: [&str; 2] = ["googlenet-kernel", "evcxr_jupyter"];

/// What a person may choose.
#[derive(Debug, Default, Args)]
pub struct SetupOptions {
    /// Take PyTorch, and only it, from this pip index, such as
    /// https://download.pytorch.org/whl/cpu for the smaller build without CUDA
    #[arg(long, value_name = "URL", value_parser = index_url)]
    torch_index: Option<String>,
}

/// Prepares everything and returns the environment.
pub fn setup(root: &Path, options: &SetupOptions) -> Result<Environment> {
    let _lock = lock(root)?;
    let pins = Pins::read(root)?;
    let choice = Choice::find(root, &pins)?;
    let exists = !matches!(choice, Choice::ToMake(_));
    let complete = choice.is_complete(&pins);
    let python = prerequisites::check(root, exists, complete)?;

    // Long, both: pip waits for the network, the compiler for the processor.
    let kernels = build_kernels(root)?;
    if !complete {
        println!("The kernels are compiled meanwhile; what cargo says of it follows later");
    }
    let environment = choice.complete(root, &pins, &python, options.torch_index.as_deref())?;
    link_libtorch(root, &environment)?;
    add_source_of_the_standard_library()?;
    kernels.finish()?;
    install_kernels(root, &environment)?;
    println!("The lab is set up in {}", environment.prefix.display());
    Ok(environment)
}

/// Two setups at once would install over each other.
fn lock(root: &Path) -> Result<File> {
    let folder = root.join("target");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("setup.lock");
    let lock = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            println!("Another setup is running: waiting for its end");
            lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => bail!("cannot lock {}: {error}", path.display()),
    }
    Ok(lock)
}

fn link_libtorch(root: &Path, environment: &Environment) -> Result<()> {
    let torch = environment.torch();
    // Relative where it can be, so that the clone may be moved.
    let target = torch.strip_prefix(root).unwrap_or(torch);
    match files::link(target, &root.join(".libtorch"))? {
        Linked::Unchanged => Ok(()),
        Linked::New => {
            println!(".libtorch leads to {}", torch.display());
            Ok(())
        }
        Linked::Redirected => {
            println!(".libtorch now leads to {}: torch-sys is built again", torch.display());
            run(cargo(root).args(["clean", "--package", "torch-sys"]))
        }
    }
}

/// The kernels read in it what types a cell's variables have.
fn add_source_of_the_standard_library() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]));
    let sysroot = sysroot.context("rustc --print sysroot failed")?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if library.join("std/src/lib.rs").is_file() {
        return Ok(());
    }
    run(Command::new("rustup").args(["component", "add", "rust-src"])).with_context(|| {
        format!(
            "the source of the standard library is not in {}: add the component rust-src, or, in a \
             conda environment, the package rust-src",
            library.display()
        )
    })
}

/// The kernels are built by the dev profile, on purpose: dependencies are optimised in it, and
/// `cargo test` shares the build. It does so only if both choose the whole workspace: cargo unites
/// the features of the packages that are chosen, and other features are another build. No program
/// among them needs libtorch.
fn build_kernels(root: &Path) -> Result<Beside> {
    Beside::start(cargo(root).args(["build", "--workspace", "--bins"]))
}

/// The kernels are copied, so that `cargo clean` does not take them from Jupyter.
fn install_kernels(root: &Path, environment: &Environment) -> Result<()> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let built = this.parent().context("this program lies in no folder")?;
    let bin = environment.prefix.join("bin");
    for kernel in KERNELS {
        if files::copy(&built.join(kernel), &bin.join(kernel))? {
            println!("kernel {kernel} copied to {}", bin.display());
        }
    }
    let kernel = bin.join(KERNELS[0]);
    run(Command::new(&kernel)
        .args(["install", "--with-evcxr", "--warm", WARM, "--prefix"])
        .arg(&environment.prefix)
        .arg("--libtorch")
        .arg(environment.torch())
        .arg("--library")
        .arg(root.join("googlenet-lib")))?;
    run(Command::new(&kernel).arg("prepare"))
}

/// What a first lesson uses: rust-analyzer has read it before the reader runs it.
const WARM: &str = "use googlenet_lib::prelude::*; \
                    let net = GoogLeNet::new(&spec::COMPACT, best_device())?; \
                    let images = Tensor::randn([2, 3, 32, 32], (Kind::Float, net.device())); \
                    let logits = net.forward_t(&images, false)?; logits";

fn index_url(text: &str) -> Result<String, String> {
    if ["https://", "http://", "file://"].iter().any(|scheme| text.starts_with(scheme)) {
        Ok(text.to_owned())
    } else {
        Err("an index is an address that starts with https://, http:// or file://".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_must_be_an_address() {
        assert_eq!(index_url("https://example.org/whl").as_deref(), Ok("https://example.org/whl"));
        assert!(index_url("cpu").unwrap_err().contains("https://"));
        assert!(index_url("-r").is_err());
    }
}
