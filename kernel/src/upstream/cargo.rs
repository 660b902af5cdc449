//! A shim before cargo, which calls rustc at once where nothing but the cell has changed.
//!
//! evcxr has cargo look through all dependencies whenever it compiles a cell, and an expression is
//! compiled twice. Here the first such call goes to cargo, which tells how it calls rustc; the next
//! ones are that call again, as long as all that cargo would look at is as it was.
//!
//! evcxr asks `rustup which cargo` for its cargo, rust-analyzer looks into cargo's home. A folder that
//! is both on the path and that home holds programs of the names `rustup` and `cargo`, one that cargo
//! calls in the place of rustc, and one that rustc calls in the place of a linker; all are this program.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::upstream::dependencies::{self, Needed};
use crate::upstream::display;
use crate::upstream::prelink::{Compiler, LINKER, Prelinked, link};

/// Set by the kernel: the real cargo, which the shim calls.
const CARGO: &str = "RUST_LIVE_CARGO";
/// Set by the kernel: the reader's own `CARGO_HOME`, where there is one.
const HOME: &str = "RUST_LIVE_CARGO_HOME";
const CARGO_HOME: &str = "CARGO_HOME";
/// Cargo's own variable, which counts more than its configurations: whether it must not ask the network.
const NET_OFFLINE: &str = "CARGO_NET_OFFLINE";
/// Set for cargo: where its call of rustc is written.
const RECORD: &str = "RUST_LIVE_RECORD";
/// Set by evcxr: where it reads which file was made.
const SHARED_OBJECT: &str = "EVCXR_EXECUTION_SO_PATH";
/// With any of these, cargo does not call rustc itself.
const WRAPPERS: [&str; 4] = [
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
];
/// Beside the cell crate's Cargo.toml: its last call of rustc.
pub(crate) const CALL: &str = "rustc-call.json";
/// A comment behind the `opt-level` in Cargo.toml where rust-analyzer is shown no other crates.
pub(crate) const UNANALYSED: &str = " # nothing is analysed yet";
/// The one where it is shown them: the file has changed, so that it looks at the crates again.
pub(crate) const ANALYSED: &str = " # analysed";
/// In the folder of the cells: the cell.
const CELL: &str = "src/lib.rs";
const RECORDER: &str = "rustc-recorder";
const FOLDER: &str = "tools";

/// Becomes one of the programs of that folder, if this is one.
pub(crate) fn enter() {
    let Some(program) = std::env::args_os().next().and_then(|name| on_path(name.into())) else {
        return;
    };
    let within = program.ancestors().nth(2).and_then(Path::file_name).is_some_and(|name| {
        name.to_string_lossy().strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('-'))
    });
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let ended = match program.file_name().and_then(OsStr::to_str) {
        Some("rustup") if within => rustup(&program, &arguments),
        Some("cargo") if within => cargo(&program, &arguments),
        Some(RECORDER) if within => record(&arguments),
        Some(LINKER) if within => link(&arguments).map(|code| std::process::exit(code)),
        _ => return,
    };
    let Err(error) = ended;
    eprintln!("{}: {error:#}", program.display());
    std::process::exit(101);
}

/// Where a program is that was called by its name alone.
fn on_path(program: PathBuf) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(&program)).find(|file| file.is_file())
}

/// Makes the folder of shims, programs of the names `cargo` and `rustup` that are this one; puts it before
/// this process's path, and makes it cargo's home.
///
/// # Errors
/// A cache that cannot be written.
pub(crate) fn install_shims(cache: &Path, set: fn(&str, OsString)) -> Result<()> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let mut hasher = DefaultHasher::new();
    this.hash(&mut hasher);
    let home = cache.join(format!("{FOLDER}-{:08x}", hasher.finish() as u32));
    let folder = home.join("bin");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for name in ["rustup", "cargo", RECORDER, LINKER] {
        let link = folder.join(name);
        let made = std::os::unix::fs::symlink(&this, &link);
        ensure!(
            made.is_ok() || fs::read_link(&link).is_ok_and(|target| target == this),
            "{} cannot be made",
            link.display()
        );
    }
    set(CARGO, real_cargo());
    if let Some(own) = std::env::var_os(CARGO_HOME) {
        set(HOME, own);
    }
    set(CARGO_HOME, home.into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [folder].into_iter().chain(std::env::split_paths(&path));
    set("PATH", std::env::join_paths(folders)?);
    Ok(())
}

/// The cargo that evcxr would have found.
fn real_cargo() -> OsString {
    let rustup = Command::new("rustup").args(["which", "cargo"]).output();
    match rustup {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned().into()
        }
        _ => "cargo".into(),
    }
}

/// The reader's own path: programs that cells start must find nothing of this.
pub(crate) fn path_of_the_reader() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = |folder: &PathBuf| folder.join(RECORDER).exists();
    let folders = std::env::split_paths(&path).filter(|folder| !own(folder));
    std::env::join_paths(folders).unwrap_or(path.clone())
}

/// Gives a program the environment that the reader gave to the kernel.
pub(crate) fn hide_from(command: &mut Command) -> &mut Command {
    match std::env::var_os(HOME) {
        Some(own) => command.env(CARGO_HOME, own),
        None => command.env_remove(CARGO_HOME),
    };
    command.env("PATH", path_of_the_reader()).env_remove(CARGO).env_remove(HOME)
}

/// Answers where cargo is; asks the real rustup everything else.
fn rustup(program: &Path, arguments: &[OsString]) -> Result<Infallible> {
    if arguments == ["which", "cargo"] {
        println!("{}", program.with_file_name("cargo").display());
        std::process::exit(0);
    }
    exec(hide_from(Command::new("rustup").args(arguments)))
}

fn cargo(program: &Path, arguments: &[OsString]) -> Result<Infallible> {
    let real = std::env::var_os(CARGO).unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(real);
    hide_from(command.args(arguments));
    // rust-analyzer asks for one platform, evcxr for all.
    let analyses = |argument: &OsString| argument == "--filter-platform";
    let metadata = arguments.iter().any(|argument| argument == "metadata");
    if metadata && arguments.iter().any(analyses) {
        let output = command.stderr(Stdio::inherit()).output()?;
        let needed = if unanalysed().is_file() { Needed::Nothing } else { Needed::Public };
        let spared = serde_json::from_slice(&output.stdout)
            .ok()
            .and_then(|metadata| dependencies::spare(metadata, needed));
        match spared {
            Some(spared) => println!("{spared}"),
            None => std::io::stdout().write_all(&output.stdout)?,
        }
        std::process::exit(output.status.code().unwrap_or(101));
    }
    if metadata {
        // evcxr says by an argument whether the network may be asked. What it has written into the
        // configuration of this folder is what held for the last cell that was compiled.
        let offline = arguments.iter().any(|argument| argument == "--offline");
        if !offline && std::env::var_os(NET_OFFLINE).is_none() {
            command.env(NET_OFFLINE, "false");
        }
        std::process::exit(keeping_versions(&mut command)?);
    }
    let builds = arguments.iter().any(|argument| argument == "build")
        && std::env::var_os(SHARED_OBJECT).is_some()
        && WRAPPERS.iter().all(|wrapper| std::env::var_os(wrapper).is_none());
    if !builds {
        exec(&mut command)?;
    }
    let here = std::env::current_dir()?;
    let file = here.join(CALL);
    if let Some(call) = Call::read(&file)
        && key(&here, arguments, &call.target).is_ok_and(|key| key == call.key)
    {
        call.again(&here)?;
    }
    // Written by cargo's rustc, and good only if cargo comes to a good end.
    let part = file.with_extension("part");
    let _ = fs::remove_file(&part);
    let _ = fs::remove_file(&file);
    command.env("RUSTC_WORKSPACE_WRAPPER", program.with_file_name(RECORDER)).env(RECORD, &part);
    let status = command.status().with_context(|| format!("{command:?} does not start"))?;
    if status.success()
        && let Some(mut call) = Call::read(&part)
        && let Ok(key) = key(&here, arguments, &call.target)
    {
        call.key = key;
        let linker = program.with_file_name(LINKER);
        match Prelinked::of(&call.compiler(), &linker) {
            Ok(prelinked) => call.prelinked = prelinked,
            Err(error) => call.not_prelinked = Some(format!("{error:#}")),
        }
        fs::write(&file, serde_json::to_vec(&call)?)?;
    }
    std::process::exit(status.code().unwrap_or(101));
}

/// evcxr tries a new dependency in a package of its own, in the folder of the cells. The versions of
/// all others would be forgotten, and newer ones compiled.
fn keeping_versions(metadata: &mut Command) -> Result<i32> {
    let here = std::env::current_dir()?;
    let lock = here.join("Cargo.lock");
    let tries = fs::read_to_string(here.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.contains("\"evcxr_dummy_validate_dep\""));
    let versions = fs::read(&lock).ok().filter(|_| tries);
    let status = metadata.status().context("cargo metadata does not start")?;
    if let Some(versions) = versions {
        fs::write(lock, versions)?;
    }
    Ok(status.code().unwrap_or(101))
}

/// In the place of rustc: writes down how it was called, and calls it.
fn record(arguments: &[OsString]) -> Result<Infallible> {
    let (rustc, arguments) = arguments.split_first().context("no rustc is named")?;
    if let Some(part) = std::env::var_os(RECORD)
        && let Some(call) = Call::of(rustc, arguments)
    {
        fs::write(part, serde_json::to_vec(&call)?)?;
    }
    exec(Command::new(rustc).args(arguments).env_remove(RECORD))
}

/// A file that is there until the first cell needs an analysis of other crates.
pub(crate) fn unanalysed() -> PathBuf {
    in_session("unanalysed")
}

/// A file that is there as long as evcxr shows values by `{:?}`, which its commands may change.
pub(crate) fn by_debug() -> PathBuf {
    in_session("by-debug")
}

fn in_session(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("EVCXR_TMPDIR").unwrap_or_default()).join(name)
}

fn exec(command: &mut Command) -> Result<Infallible> {
    Err(command.exec()).with_context(|| format!("{command:?} does not start"))
}

/// How cargo calls rustc for a cell.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    /// All that cargo looked at, as a hash.
    key: u64,
    rustc: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// The folder of the compiled cell.
    target: PathBuf,
    prelinked: Option<Prelinked>,
    /// Why there is nothing that was linked before: cells are slower then, and work.
    not_prelinked: Option<String>,
}

impl Call {
    /// None for a crate that is no cell, and where something is no text.
    fn of(rustc: &OsStr, arguments: &[OsString]) -> Option<Call> {
        let text = |value: &OsStr| value.to_str().map(str::to_owned);
        let arguments: Vec<_> = arguments.iter().map(|a| text(a)).collect::<Option<_>>()?;
        let after = |name: &str| {
            let place = arguments.iter().position(|argument| argument == name)?;
            arguments.get(place + 1)
        };
        let is_cell = after("--crate-name")? == "ctx" && after("--crate-type")? == "cdylib";
        let links = arguments.iter().any(|a| a.starts_with("--emit=") && a.contains("link"));
        if !is_cell || !links {
            return None;
        }
        let target = PathBuf::from(after("--out-dir")?);
        // The job server ends with cargo.
        let of_this_call = [RECORD, "CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];
        let environment = std::env::vars_os()
            .filter(|(name, _)| of_this_call.iter().all(|of_this_call| name != of_this_call))
            .map(|(name, value)| Some((text(&name)?, text(&value)?)))
            .collect::<Option<_>>()?;
        // Cargo takes the colours out of what the compiler renders.
        let arguments = arguments
            .iter()
            .map(|argument| match argument.strip_prefix("--json=") {
                Some(kinds) => {
                    let kinds = kinds.split(',').filter(|kind| *kind != "diagnostic-rendered-ansi");
                    format!("--json={}", kinds.collect::<Vec<_>>().join(","))
                }
                None => argument.clone(),
            })
            .collect();
        let rustc = text(rustc)?;
        let (prelinked, not_prelinked) = (None, None);
        Some(Call { key: 0, rustc, arguments, environment, target, prelinked, not_prelinked })
    }

    fn read(path: &Path) -> Option<Call> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn compiler(&self) -> Compiler<'_> {
        let Call { rustc, arguments, environment, target, .. } = self;
        Compiler { rustc, arguments, environment, target }
    }

    /// evcxr reads what the compiler says, and which file it made, if it comes to a good end.
    fn again(&self, here: &Path) -> Result<Infallible> {
        let shared_object = std::env::var_os(SHARED_OBJECT).context("evcxr names no file")?;
        let made = self.target.join(format!("libctx{}", std::env::consts::DLL_SUFFIX));
        fs::write(shared_object, made.as_os_str().as_encoded_bytes())?;
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let mut rustc = Command::new(&self.rustc);
        let cell = here.join(CELL);
        if by_debug().is_file()
            && let Some(program) = display::once(&fs::read_to_string(&cell)?)
        {
            fs::write(&cell, program)?;
        }
        if let Some(prelinked) = &self.prelinked {
            prelinked.name_in(&cell)?;
            rustc.args(prelinked.arguments()?);
        }
        exec(rustc.args(&self.arguments).env_clear().envs(environment))
    }
}

/// All that cargo would look at, in the folder of the cells: what it is asked, the manifest, the versions,
/// the configurations, the environment, and every source file but the cell itself. Whether it may ask an
/// index, which evcxr also writes into a configuration in this folder, changes no call of rustc.
///
/// # Errors
/// A file that cannot be read: cargo will say more about it.
fn key(here: &Path, arguments: &[OsString], target: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let asked = arguments.iter().filter(|argument| *argument != "--offline");
    asked.collect::<Vec<_>>().hash(&mut hasher);
    let mut environment: Vec<_> = std::env::vars_os().collect();
    environment.sort();
    environment.hash(&mut hasher);
    let manifest = fs::read_to_string(here.join("Cargo.toml"))?;
    manifest.replace(UNANALYSED, "").replace(ANALYSED, "").hash(&mut hasher);
    fs::read(here.join("Cargo.lock"))?.hash(&mut hasher);
    let home = std::env::var_os(HOME).map(PathBuf::from);
    for folder in here.ancestors().skip(1).map(|folder| folder.join(".cargo")).chain(home) {
        for name in ["config.toml", "config"] {
            fs::read(folder.join(name)).ok().hash(&mut hasher);
        }
    }
    for source in sources(here, target)? {
        source.hash(&mut hasher);
        modified(&source)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// What the cell was compiled from, sources of crates on this machine included, as cargo has
/// written it beside the cell.
fn sources(here: &Path, target: &Path) -> Result<Vec<PathBuf>> {
    let list = target.parent().context("a target of no folder")?.join("libctx.d");
    let cell = here.join(CELL);
    Ok(listed(&list)?.into_iter().filter(|name| *name != cell).collect())
}

/// The files that a list of cargo's names, each once.
///
/// # Errors
/// A list that is not there or is none.
pub(crate) fn listed(list: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string(list)?;
    let (_, sources) = text.split_once(": ").context("a list without a target")?;
    // A space within a name has a backslash before it.
    let names = sources.trim().replace("\\ ", "\0");
    Ok(names.split_whitespace().map(|name| PathBuf::from(name.replace('\0', " "))).collect())
}

fn modified(file: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(file)?.modified()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL_FOR_A_CELL: &str = "--crate-name ctx --edition=2024 src/lib.rs --error-format=json \
                        --json=diagnostic-rendered-ansi,artifacts --crate-type cdylib \
                        --emit=dep-info,link --out-dir /session/target/debug/deps";

    fn call(arguments: &str) -> Option<Call> {
        let arguments: Vec<OsString> = arguments.split_whitespace().map(OsString::from).collect();
        Call::of(OsStr::new("/rust/bin/rustc"), &arguments)
    }

    #[test]
    fn only_a_cell_that_is_linked_is_written_down() {
        let written = call(CALL_FOR_A_CELL).unwrap();
        assert_eq!(written.target, Path::new("/session/target/debug/deps"));
        assert!(written.arguments.contains(&"--json=artifacts".to_owned()));
        for (from, to) in [("ctx", "serde"), ("cdylib", "lib"), ("dep-info,link", "metadata")] {
            assert!(call(&CALL_FOR_A_CELL.replace(from, to)).is_none(), "{to}");
        }
    }

    #[test]
    fn the_key_changes_with_all_that_cargo_looks_at_but_the_cell() {
        let folder = tempfile::tempdir().unwrap();
        let here = &folder.path().join("session");
        let deps = here.join("target/debug/deps");
        fs::create_dir_all(&deps).unwrap();
        fs::create_dir_all(folder.path().join(".cargo")).unwrap();
        fs::create_dir_all(here.join("src")).unwrap();
        let (cell, library) = (here.join("src/lib.rs"), here.join("a library.rs"));
        let list = format!(
            "{}/libctx.so: {} {}\n",
            here.display(),
            cell.display(),
            library.display().to_string().replace(' ', "\\ ")
        );
        fs::write(deps.with_file_name("libctx.d"), list).unwrap();
        let files = ["Cargo.toml", "Cargo.lock", "../.cargo/config.toml", "a library.rs"];
        for file in files {
            fs::write(here.join(file), "before").unwrap();
        }
        assert_eq!(sources(here, &deps).unwrap(), [library.as_path()]);
        let of = |arguments: &str| key(here, &[arguments.into()], &deps).unwrap();
        let before = of("build");
        fs::write(&cell, "another cell").unwrap();
        assert_eq!(of("build"), before);
        assert_ne!(of("check"), before);
        let offline = [OsString::from("--offline"), "build".into()];
        assert_eq!(key(here, &offline, &deps).unwrap(), before);
        for comment in [UNANALYSED, ANALYSED] {
            fs::write(here.join("Cargo.toml"), format!("before{comment}")).unwrap();
            assert_eq!(of("build"), before);
        }
        for file in files {
            let last = of("build");
            std::thread::sleep(std::time::Duration::from_millis(20));
            fs::write(here.join(file), "after").unwrap();
            assert_ne!(of("build"), last, "{file}");
        }
        fs::remove_file(&library).unwrap();
        assert!(key(here, &["build".into()], &deps).is_err());
    }

    #[test]
    fn a_program_called_by_its_name_is_found_on_the_path() {
        assert_eq!(on_path("/a/cargo".into()), Some(PathBuf::from("/a/cargo")));
        assert!(on_path("sh".into()).unwrap().is_absolute());
        assert_eq!(on_path("no-such-program".into()), None);
    }
}
