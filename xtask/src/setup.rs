//! `cargo xtask setup`: environment, link to libtorch, kernels, kernelspecs, the library in the store.
//! Done again, it changes nothing; interrupted, it goes on.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::environment::{Choice, Environment};
use crate::files::{self, Linked};
use crate::pins::Pins;
use crate::prerequisites;
use crate::process::{Beside, cargo, output, run};
use crate::wheel::KernelWheel;

/// The lab's own kernel.
pub(crate) const KERNEL: &str = "rust-live";
/// What that has beside it to answer questions about code. It takes twice as long to compile, and cells run without it.
pub(crate) const ANALYSIS: &str = "rust-live-analysis";
/// Upstream's kernel.
pub(crate) const UPSTREAM: &str = "evcxr_jupyter";
/// What is said of the part of a setup that goes on beside JupyterLab.
const LOG: &str = "target/setup.log";
/// The name under which Jupyter knows the lab's kernel: notebooks of readers name it.
pub(crate) const KERNEL_NAME: &str = "googlenet";

/// Settings of JupyterLab.
const WIDGETS: &str = r#"{ "@jupyter-widgets/jupyterlab-manager:plugin": { "saveState": true } }
"#;

/// What a person may choose.
#[derive(Debug, Default, Args)]
pub(crate) struct SetupOptions {
    /// Take PyTorch, and only it, from this pip index, such as
    /// https://download.pytorch.org/whl/cpu for the smaller build without CUDA
    #[arg(long, value_name = "URL", value_parser = index_url)]
    torch_index: Option<String>,
    /// Take the lab's kernel out of this wheel, which `cargo xtask wheel` has written, in place of building it: all is
    /// ready as soon as PyTorch is, and the rest goes on beside. A later set-up without it builds the kernel
    #[arg(long, value_name = "FILE")]
    kernel_wheel: Option<PathBuf>,
}

/// What `cargo xtask setup` does: all of it, or with a kernel at hand, what JupyterLab needs, and the rest beside.
pub(crate) fn ready(root: &Path, options: &SetupOptions) -> Result<()> {
    if options.kernel_wheel.is_none() {
        return setup(root, options).map(|_| ());
    }
    let environment = begin(root, options)?;
    println!("JupyterLab can be opened, from {}", environment.prefix.display());
    Ok(())
}

/// Prepares everything and returns the environment.
pub(crate) fn setup(root: &Path, options: &SetupOptions) -> Result<Environment> {
    let _lock = lock(root)?;
    let environment = programs(root, options, &[KERNEL, ANALYSIS, UPSTREAM])?;
    run(&mut prepare_library(&environment))?;
    println!("The lab is set up in {}", environment.prefix.display());
    Ok(environment)
}

/// Compiles the library into the store, so that no session has to.
fn prepare_library(environment: &Environment) -> Command {
    let mut kernel = Command::new(environment.prefix.join("bin").join(KERNEL));
    kernel.args(["prepare", "--name", KERNEL_NAME]);
    kernel
}

/// Prepares what JupyterLab needs and returns the environment; the rest goes on beside it.
pub(crate) fn begin(root: &Path, options: &SetupOptions) -> Result<Environment> {
    let environment = {
        let _lock = lock(root)?;
        programs(root, options, &[KERNEL])?
    };
    if !environment.prefix.join("bin").join(UPSTREAM).exists() {
        println!(
            "While you look around, the library is compiled for all notebooks, then rust-analyzer for completion and \
             help, then upstream's kernel: {LOG} says how far that is. A cell that needs the library waits for it"
        );
    }
    let this = std::env::current_exe().context("this program cannot be found")?;
    let wheel = options.kernel_wheel.iter();
    let wheel = wheel.flat_map(|file| [OsStr::new("--kernel-wheel"), file.as_os_str()]);
    let rest = Command::new(this).arg("beside").args(wheel).spawn();
    rest.context("the rest of the set-up cannot be started")?;
    Ok(environment)
}

/// The rest of a setup. Its words go to a file, and to the terminal that it has failed.
pub(crate) fn beside(root: &Path, options: &SetupOptions) -> Result<()> {
    let mut terminal = File::from(rustix::io::dup(io::stderr()).context("no standard error")?);
    let path = root.join(LOG);
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(&log)?;
    // The reader's own cells go first.
    rustix::process::nice(10)?;
    let done = compile_beside(root, options).and_then(|()| setup(root, options));
    if let Err(error) = &done {
        let words = format!("{LOG} says more, and `cargo xtask setup` tries again");
        // JupyterLab may have closed it.
        let _ = writeln!(terminal, "error: the rest of the set-up has failed: {error:#}. {words}");
    }
    done.map(|_| ())
}

/// The library, which a lesson waits for; what that leaves of the processors compiles the rest of the programs.
fn compile_beside(root: &Path, options: &SetupOptions) -> Result<()> {
    let _lock = lock(root)?;
    let environment = programs(root, options, &[KERNEL])?;
    let library = Beside::start(&mut prepare_library(&environment))?;
    rustix::process::nice(9)?;
    let rest = build(root, &to_build(options, &[ANALYSIS, UPSTREAM]))?;
    library.finish()?;
    rest.map_or(Ok(()), Beside::finish)
}

/// Those of some programs that do not come out of a wheel.
fn to_build<'a>(options: &SetupOptions, programs: &[&'a str]) -> Vec<&'a str> {
    let is_built = |name: &&str| options.kernel_wheel.is_none() || *name == UPSTREAM;
    programs.iter().copied().filter(is_built).collect()
}

/// The environment with some programs.
fn programs(root: &Path, options: &SetupOptions, programs: &[&str]) -> Result<Environment> {
    let wheel = options.kernel_wheel.as_deref().map(KernelWheel::find).transpose()?;
    let pins = Pins::read(root)?;
    let choice = Choice::find(root, &pins)?;
    let exists = !matches!(choice, Choice::ToMake(_));
    let complete = choice.is_complete(&pins);
    let python = prerequisites::check(root, exists, complete)?;

    // Long, both: pip waits for the network, the compiler for the processor.
    let to_build = to_build(options, programs);
    let built = build(root, &to_build)?;
    if !complete && built.is_some() {
        println!("The kernel is compiled meanwhile; what cargo says of it follows later");
    }
    let environment = choice.complete(root, &pins, &python, options.torch_index.as_deref())?;
    link_libtorch(root, &environment)?;
    add_source_of_the_standard_library()?;
    built.map_or(Ok(()), Beside::finish)?;
    if let Some(wheel) = &wheel {
        install_from(wheel, root, &environment)?;
    }
    install_built(&environment, &to_build)?;
    write_kernelspecs(root, &environment, programs)?;
    keep_widgets(&environment)?;
    Ok(environment)
}

/// Has JupyterLab save with a notebook what its widgets show, so that it can be read without a kernel. The
/// settings of an environment that has some are left alone.
fn keep_widgets(environment: &Environment) -> Result<()> {
    let settings = environment.prefix.join("share/jupyter/lab/settings/overrides.json");
    if settings.exists() {
        return Ok(());
    }
    let folder = settings.parent().context("settings lie in no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    shared::files::replace(&settings, WIDGETS.as_bytes())
        .with_context(|| format!("cannot write {}", settings.display()))
}

/// Two setups at once would install over each other.
fn lock(root: &Path) -> Result<File> {
    let folder = root.join("target");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    shared::files::lock(&folder.join("setup.lock"), || {
        println!("Another setup is running: waiting for its end");
    })
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

/// The kernels complete and explain from it.
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

/// They are built by the dev profile, on purpose: dependencies are optimised in it, and
/// `cargo test` shares the build. It does so only if both choose the whole workspace: cargo unites
/// the features of the packages that are chosen, and other features are another build. No others of its
/// programs are built: those of `bench` need libtorch, and minutes.
fn build(root: &Path, programs: &[&str]) -> Result<Option<Beside>> {
    if programs.is_empty() {
        return Ok(None);
    }
    let programs = programs.iter().flat_map(|program| ["--bin", program]);
    Beside::start(cargo(root).args(["build", "--workspace"]).args(programs)).map(Some)
}

/// They are copied, so that `cargo clean` does not take them from Jupyter.
fn install_built(environment: &Environment, programs: &[&str]) -> Result<()> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let built = this.parent().context("this program lies in no folder")?;
    programs.iter().try_for_each(|program| install(&built.join(program), environment))
}

fn install_from(wheel: &KernelWheel, root: &Path, environment: &Environment) -> Result<()> {
    let folder = tempfile::tempdir_in(root.join("target")).context("no temporary folder")?;
    let unpacked = wheel.unpack(&environment.python, folder.path())?;
    unpacked.iter().try_for_each(|program| install(program, environment))
}

fn install(program: &Path, environment: &Environment) -> Result<()> {
    let name = program.file_name().context("a program without a name")?;
    let bin = environment.prefix.join("bin");
    if files::copy(program, &bin.join(name))? {
        println!("{} copied to {}", name.display(), bin.display());
    }
    Ok(())
}

fn write_kernelspecs(root: &Path, environment: &Environment, programs: &[&str]) -> Result<()> {
    let kernel = environment.prefix.join("bin").join(KERNEL);
    let [libtorch, library_path] = libtorch_environment(environment.torch())?;
    let upstream = programs.contains(&UPSTREAM).then_some("--with-evcxr");
    run(Command::new(&kernel)
        .args(["install", "--name", KERNEL_NAME, "--display-name", "Rust (GoogLeNet lab)"])
        .args(upstream)
        .args(["--env", &libtorch, "--env", &library_path])
        .arg("--prefix")
        .arg(&environment.prefix)
        .arg("--library")
        .arg(root.join("googlenet-lib")))
}

/// What a cell needs to compile against libtorch and to load it, as `NAME=VALUE`.
///
/// Jupyter replaces `${…}` by the value it has itself. Where it has none the text stays as it is
/// and names a folder that does not exist, which the dynamic linker passes over.
fn libtorch_environment(torch: &Path) -> Result<[String; 2]> {
    const LIBRARY_PATH: &str =
        if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
    let torch = torch
        .canonicalize()
        .with_context(|| format!("the torch folder {} cannot be read", torch.display()))?;
    let torch = torch
        .to_str()
        .with_context(|| format!("{} is not UTF-8: choose another folder", torch.display()))?;
    ensure!(
        !torch.contains(['$', ':', '{', '}']),
        "{torch} holds one of $ : {{ }}, which Jupyter or the dynamic linker would read as \
         something else: choose another folder"
    );
    let path = format!("{LIBRARY_PATH}={torch}/lib:${{{LIBRARY_PATH}}}");
    Ok([format!("LIBTORCH={torch}"), path])
}

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
    fn a_cell_finds_libtorch_by_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let torch = folder.path().canonicalize().unwrap();
        let [libtorch, path] = libtorch_environment(folder.path()).unwrap();
        assert_eq!(libtorch, format!("LIBTORCH={}", torch.display()));
        let (name, value) = path.split_once('=').unwrap();
        assert_eq!(value, format!("{}/lib:${{{name}}}", torch.display()));
    }

    #[test]
    fn a_torch_folder_that_jupyter_would_misread_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let torch = folder.path().join("a$b");
        fs::create_dir(&torch).unwrap();
        let error = libtorch_environment(&torch).unwrap_err().to_string();
        assert!(error.contains("a$b"), "{error}");
        assert!(libtorch_environment(&torch.join("missing")).is_err());
    }

    #[test]
    fn an_index_must_be_an_address() {
        assert_eq!(index_url("https://example.org/whl").as_deref(), Ok("https://example.org/whl"));
        assert!(index_url("cpu").unwrap_err().contains("https://"));
        assert!(index_url("-r").is_err());
    }
}
