//! Stands before cargo: calls rustc at once where nothing but the cell has changed.
//!
//! evcxr has cargo look through all dependencies whenever it compiles a cell, and an expression is
//! compiled twice. Here the first such call goes to cargo, which tells how it calls rustc; the next
//! ones are that call again, as long as all that cargo would look at is as it was.
//!
//! evcxr asks `rustup which cargo` for its cargo. A folder on the path holds programs of the names
//! `rustup` and `cargo`, and one that cargo calls in the place of rustc; all are this program.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// Set by the kernel: the cargo that is stood before.
const CARGO: &str = "GOOGLENET_KERNEL_CARGO";
/// Set for cargo: where its call of rustc is written.
const RECORD: &str = "GOOGLENET_KERNEL_RECORD";
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
pub const CALL: &str = "rustc-call.json";
const RECORDER: &str = "rustc-recorder";
const FOLDER: &str = "tools";

/// Becomes one of the programs of that folder, if this is one.
pub fn enter() {
    let Some(program) = std::env::args_os().next().and_then(|name| on_path(name.into())) else {
        return;
    };
    let within = program.parent().and_then(Path::file_name).is_some_and(|name| {
        name.to_string_lossy().strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('-'))
    });
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let ended = match program.file_name().and_then(OsStr::to_str) {
        Some("rustup") if within => rustup(&program, &arguments),
        Some("cargo") if within => cargo(&program, &arguments),
        Some(RECORDER) if within => record(&arguments),
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

/// What such a program never returns.
enum Never {}

/// Puts the folder onto this process's path, and before it what evcxr would have found.
///
/// # Errors
/// A cache that cannot be written.
pub fn stand_before(cache: &Path, set: fn(&str, OsString)) -> Result<()> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let mut hasher = DefaultHasher::new();
    this.hash(&mut hasher);
    let folder = cache.join(format!("{FOLDER}-{:08x}", hasher.finish() as u32));
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for name in ["rustup", "cargo", RECORDER] {
        let link = folder.join(name);
        let made = std::os::unix::fs::symlink(&this, &link);
        ensure!(
            made.is_ok() || fs::read_link(&link).is_ok_and(|target| target == this),
            "{} cannot be made",
            link.display()
        );
    }
    set(CARGO, real_cargo());
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
pub fn path_of_the_reader() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = |folder: &PathBuf| folder.join(RECORDER).exists();
    let folders = std::env::split_paths(&path).filter(|folder| !own(folder));
    std::env::join_paths(folders).unwrap_or(path.clone())
}

/// What cells need not see.
pub fn hide_from_cells(cells: &mut Command) {
    cells.env("PATH", path_of_the_reader()).env_remove(CARGO);
}

/// Answers where cargo is; asks the real rustup everything else.
fn rustup(program: &Path, arguments: &[OsString]) -> Result<Never> {
    if arguments == ["which", "cargo"] {
        println!("{}", program.with_file_name("cargo").display());
        std::process::exit(0);
    }
    exec(Command::new("rustup").args(arguments).env("PATH", path_of_the_reader()))
}

fn cargo(program: &Path, arguments: &[OsString]) -> Result<Never> {
    let real = std::env::var_os(CARGO).unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(real);
    command.args(arguments).env("PATH", path_of_the_reader()).env_remove(CARGO);
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
        call.again()?;
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
        fs::write(&file, serde_json::to_vec(&call)?)?;
    }
    std::process::exit(status.code().unwrap_or(101));
}

/// In the place of rustc: writes down how it was called, and calls it.
fn record(arguments: &[OsString]) -> Result<Never> {
    let (rustc, arguments) = arguments.split_first().context("no rustc is named")?;
    if let Some(part) = std::env::var_os(RECORD)
        && let Some(call) = Call::of(rustc, arguments)
    {
        fs::write(part, serde_json::to_vec(&call)?)?;
    }
    exec(Command::new(rustc).args(arguments).env_remove(RECORD))
}

fn exec(command: &mut Command) -> Result<Never> {
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
        let environment = std::env::vars_os()
            .filter(|(name, _)| name != RECORD)
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
        Some(Call { key: 0, rustc: text(rustc)?, arguments, environment, target })
    }

    fn read(path: &Path) -> Option<Call> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// evcxr reads what the compiler says, and which file it made, if it comes to a good end.
    fn again(&self) -> Result<Never> {
        let shared_object = std::env::var_os(SHARED_OBJECT).context("evcxr names no file")?;
        let made = self.target.join(format!("libctx{}", std::env::consts::DLL_SUFFIX));
        fs::write(shared_object, made.as_os_str().as_encoded_bytes())?;
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        exec(Command::new(&self.rustc).args(&self.arguments).env_clear().envs(environment))
    }
}

/// All that cargo would look at, in the folder of the cells: what it is asked, the manifest, the versions,
/// the configurations, the environment, and every source file but the cell itself.
///
/// # Errors
/// A file that cannot be read: cargo will say more about it.
fn key(here: &Path, arguments: &[OsString], target: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    let mut environment: Vec<_> = std::env::vars_os().collect();
    environment.sort();
    environment.hash(&mut hasher);
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::read(here.join(file))?.hash(&mut hasher);
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    for folder in here.ancestors().map(|folder| folder.join(".cargo")).chain(home) {
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
    let text = fs::read_to_string(&list)?;
    let (_, sources) = text.split_once(": ").context("a list without a target")?;
    let cell = here.join("src/lib.rs");
    // A space within a name has a backslash before it.
    let names = sources.trim().replace("\\ ", "\0");
    Ok(names
        .split_whitespace()
        .map(|name| PathBuf::from(name.replace('\0', " ")))
        .filter(|name| *name != cell)
        .collect())
}

fn modified(file: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(file)?.modified()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: &str = "--crate-name ctx --edition=2024 src/lib.rs --error-format=json \
                        --json=diagnostic-rendered-ansi,artifacts --crate-type cdylib \
                        --emit=dep-info,link --out-dir /session/target/debug/deps";

    fn call(arguments: &str) -> Option<Call> {
        let arguments: Vec<OsString> = arguments.split_whitespace().map(OsString::from).collect();
        Call::of(OsStr::new("/rust/bin/rustc"), &arguments)
    }

    #[test]
    fn only_a_cell_that_is_linked_is_written_down() {
        let written = call(CELL).unwrap();
        assert_eq!(written.target, Path::new("/session/target/debug/deps"));
        assert!(written.arguments.contains(&"--json=artifacts".to_owned()));
        for (from, to) in [("ctx", "serde"), ("cdylib", "lib"), ("dep-info,link", "metadata")] {
            assert!(call(&CELL.replace(from, to)).is_none(), "{to}");
        }
    }

    #[test]
    fn the_key_changes_with_all_that_cargo_looks_at_but_the_cell() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let deps = here.join("target/debug/deps");
        fs::create_dir_all(&deps).unwrap();
        fs::create_dir_all(here.join(".cargo")).unwrap();
        fs::create_dir_all(here.join("src")).unwrap();
        let (cell, library) = (here.join("src/lib.rs"), here.join("a library.rs"));
        let list = format!(
            "{}/libctx.so: {} {}\n",
            here.display(),
            cell.display(),
            library.display().to_string().replace(' ', "\\ ")
        );
        fs::write(deps.with_file_name("libctx.d"), list).unwrap();
        let files = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "a library.rs"];
        for file in files {
            fs::write(here.join(file), "before").unwrap();
        }
        assert_eq!(sources(here, &deps).unwrap(), [library.as_path()]);
        let of = |arguments: &str| key(here, &[arguments.into()], &deps).unwrap();
        let before = of("build");
        fs::write(&cell, "another cell").unwrap();
        assert_eq!(of("build"), before);
        assert_ne!(of("check"), before);
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
