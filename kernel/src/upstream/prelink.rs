//! Links the crates of a session once, so that a cell is linked with one library instead of a
//! hundred.
//!
//! A cell is a library that holds a copy of what it uses of every crate, and the linker reads all of
//! them, and the symbols of the C libraries behind them, for every cell. Here a crate that holds
//! nothing but the others becomes a dynamic library. rustc then takes the others out of it, and the
//! cells share one copy.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The crate that holds the others.
const NAME: &str = "cells_prelinked";
/// How the names of all begin that is made here.
pub(crate) const FILES: [&str; 2] = ["libcells_prelinked", "stand-ins"];
/// Set for rustc: the folder into which [`link`] puts empty libraries in the place of C libraries.
const STAND_INS: &str = "RUST_LIVE_STAND_INS";
/// What [`link`] is called by.
pub(crate) const LINKER: &str = "cells-linker";

/// How rustc is called for a cell.
pub(crate) struct Compiler<'a> {
    /// The compiler.
    pub rustc: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// Its environment.
    pub environment: &'a [(String, String)],
    /// Where it puts what it makes.
    pub target: &'a Path,
}

/// A library that was linked already.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prelinked {
    library: PathBuf,
    /// A folder of empty libraries, which a linker need not read.
    stand_ins: PathBuf,
}

impl Prelinked {
    /// The library of the crates that a cell may name; made, where it is not there. None where there
    /// are no such crates.
    ///
    /// # Errors
    /// Crates that do not go into one library: cells are then linked as ever.
    pub(crate) fn of(compiler: &Compiler<'_>, linker: &Path) -> Result<Option<Prelinked>> {
        let crates = crates(compiler.arguments);
        if crates.is_empty() {
            return Ok(None);
        }
        ensure!(cfg!(target_os = "linux"), "this was tried on Linux alone");
        let has_linker = compiler.arguments.iter().any(|a| a.starts_with("linker="));
        ensure!(!has_linker, "another linker is configured");
        let mut hasher = DefaultHasher::new();
        for (name, file) in &crates {
            let made = fs::metadata(file)?.modified()?;
            (name, Path::new(file).file_name(), made).hash(&mut hasher);
        }
        let hash = format!("-{:016x}", hasher.finish());
        let suffix = std::env::consts::DLL_SUFFIX;
        let prelinked = Prelinked {
            library: compiler.target.join(format!("{}{hash}{suffix}", FILES[0])),
            stand_ins: compiler.target.join(format!("{}{hash}", FILES[1])),
        };
        if !prelinked.library.exists() {
            prelinked.make(compiler, &crates, &hash, linker)?;
        }
        Ok(Some(prelinked))
    }

    fn make(
        &self,
        compiler: &Compiler<'_>,
        crates: &[(&str, &str)],
        hash: &str,
        linker: &Path,
    ) -> Result<()> {
        fs::create_dir_all(&self.stand_ins)?;
        // Renamed at the end: a library that bears its name is whole.
        let work = tempfile::tempdir_in(compiler.target)?;
        let mut rustc = Command::new(compiler.rustc);
        rustc.args(["--crate-name", NAME, "--crate-type", "dylib", "--emit", "link", "-"]);
        rustc.arg("--out-dir").arg(work.path());
        rustc.args(["-C", &format!("metadata={hash}"), "-C", &format!("extra-filename={hash}")]);
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
        rustc.args(shared_arguments(compiler.arguments));
        rustc.env_clear().envs(compiler.environment.iter().map(|(name, value)| (name, value)));
        rustc.env(STAND_INS, &self.stand_ins);
        let mut child = rustc.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let source: String =
            crates.iter().map(|(name, _)| format!("pub extern crate {name};\n")).collect();
        child.stdin.take().context("rustc reads nothing")?.write_all(source.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let name = self.library.file_name().context("a library without a name")?;
        fs::rename(work.path().join(name), &self.library)?;
        Ok(())
    }

    /// What rustc is told before all else.
    pub(crate) fn arguments(&self) -> Result<[String; 6]> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
        let folder = self.library.parent().context("a library of no folder")?;
        Ok([
            "-L".into(),
            format!("native={}", text(&self.stand_ins)?),
            "--extern".into(),
            format!("{NAME}={}", text(&self.library)?),
            "-C".into(),
            format!("link-arg=-Wl,-rpath,{}", text(folder)?),
        ])
    }

    /// Names the library in a cell, behind everything in it.
    pub(crate) fn name_in(&self, cell: &Path) -> Result<()> {
        let mut source = fs::OpenOptions::new().append(true).open(cell)?;
        Ok(writeln!(source, "\nextern crate {NAME} as _;")?)
    }
}

/// The crates that a cell may name, and their files. Macros are in none.
fn crates(arguments: &[String]) -> Vec<(&str, &str)> {
    let named = arguments.iter().zip(arguments.iter().skip(1));
    named
        .filter(|(option, _)| *option == "--extern")
        .filter_map(|(_, value)| value.split_once('='))
        .filter(|(_, file)| file.ends_with(".rlib"))
        .collect()
}

/// What holds for the library as it does for a cell.
fn shared_arguments(arguments: &[String]) -> Vec<&str> {
    let mut shared = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "--extern" | "--target" | "-L" | "-C" => {
                let Some(value) = arguments.next() else { break };
                let own = ["incremental=", "metadata=", "extra-filename="];
                if !own.iter().any(|start| value.starts_with(start)) {
                    shared.extend([argument, value]);
                }
            }
            _ if argument.starts_with("-C") || argument.starts_with("--edition") => {
                shared.push(argument);
            }
            _ => {}
        }
    }
    shared
}

/// In the place of the linker: the functions of C libraries stay visible, which rustc hides, since
/// generic functions that are compiled with a cell call them. Beside it, every C library that is
/// looked for in a folder gets an empty one of its name.
///
/// # Errors
/// A linker that does not end well.
pub(crate) fn link(arguments: &[OsString]) -> Result<i32> {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let list = texts.iter().find_map(|text| text.strip_prefix("-Wl,--version-script="));
    if let Some(list) = list {
        // Not those of compiler_builtins: every library has a copy of its own of what it calls of it.
        let rlibs = texts
            .iter()
            .filter(|text| text.ends_with(".rlib") && !text.contains("compiler_builtins"))
            .map(|text| &**text);
        show(Path::new(list), &functions_of_c(rlibs)?)?;
    }
    if let Some(folder) = std::env::var_os(STAND_INS) {
        let folders: Vec<_> = texts
            .iter()
            .zip(texts.iter().skip(1))
            .filter(|(option, _)| *option == "-L")
            .map(|(_, folder)| PathBuf::from(&**folder))
            .collect();
        for library in texts.iter().filter_map(|text| text.strip_prefix("-l")) {
            let name = format!("lib{library}{}", std::env::consts::DLL_SUFFIX);
            if folders.iter().any(|folder| folder.join(&name).is_file()) {
                fs::write(Path::new(&folder).join(name), "/* A script without a command. */\n")?;
            }
        }
    }
    // The linker leaves out what nothing calls: that the list names it all the same is no error.
    let strict = "-Wl,--no-undefined-version";
    let arguments = arguments.iter().filter(|argument| *argument != strict);
    let lenient = list.map(|_| "-Wl,--undefined-version");
    let status = Command::new("cc").args(arguments).args(lenient).status();
    let status = status.context("cc does not start")?;
    Ok(status.code().unwrap_or(1))
}

/// Adds names to those that a version script shows.
fn show(list: &Path, names: &BTreeSet<String>) -> Result<()> {
    const SHOWN: &str = "global:\n";
    let script = fs::read_to_string(list)?;
    let Some((before, after)) = script.split_once(SHOWN) else {
        bail!("{} shows nothing", list.display())
    };
    let names: String = names.iter().map(|name| format!("    {name};\n")).collect();
    Ok(fs::write(list, [before, SHOWN, &names, after].concat())?)
}

/// What the C libraries within crates define; not what C++ does, which Rust cannot name.
fn functions_of_c<'a>(rlibs: impl Iterator<Item = &'a str>) -> Result<BTreeSet<String>> {
    let output = Command::new("nm")
        .args(["--format=posix", "--extern-only", "--defined-only", "--no-demangle"])
        .args(rlibs)
        .output()
        .context("nm does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(functions_in(&String::from_utf8_lossy(&output.stdout)))
}

fn functions_in(listing: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut of_rust = true;
    for line in listing.lines() {
        if let Some(file) = line.strip_suffix("]:") {
            of_rust = file.ends_with(".rcgu.o");
        } else if let Some(name) = line.split(' ').next()
            && !of_rust
            && !name.is_empty()
            && !name.starts_with("_Z")
            && !name.contains('.')
        {
            names.insert(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_library_is_compiled_as_a_cell_is_but_is_none() {
        let cell = words(
            "--crate-name ctx --edition=2024 src/lib.rs --error-format=json --crate-type cdylib \
             --emit=dep-info,link -C opt-level=2 -C metadata=1 -C incremental=/i --out-dir /d \
             -L dependency=/d --extern one=/d/libone-1.rlib --extern derive=/d/libderive.so \
             -Cprefer-dynamic",
        );
        assert_eq!(crates(&cell), [("one", "/d/libone-1.rlib")]);
        let expected = words(
            "--edition=2024 -C opt-level=2 -L dependency=/d --extern one=/d/libone-1.rlib \
             --extern derive=/d/libderive.so -Cprefer-dynamic",
        );
        assert_eq!(shared_arguments(&cell), expected);
    }

    #[test]
    fn functions_of_c_are_those_that_neither_rust_nor_cpp_defines() {
        let listing = "libone.rlib[one-1.abc.rcgu.o]:\n_ZN3one1f T 0 1\nrust_eh T 0 1\n\
                       libone_sys.rlib[api.o]:\nat_print T 0 1\n_ZN2at D 0 1\n\
                       DW.ref.x V 0 8\nlast_error B 0 1\n\n";
        let expected = ["at_print", "last_error"].map(str::to_owned);
        assert_eq!(functions_in(listing), BTreeSet::from(expected));
    }

    #[test]
    fn names_are_added_to_those_that_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        fs::write(&list, "{\n  global:\n    a;\n  local:\n    *;\n};\n").unwrap();
        show(&list, &BTreeSet::from(["b".to_owned()])).unwrap();
        let shown = fs::read_to_string(&list).unwrap();
        assert_eq!(shown, "{\n  global:\n    b;\n    a;\n  local:\n    *;\n};\n");
        fs::write(&list, "{ local: *; };").unwrap();
        assert!(show(&list, &BTreeSet::new()).is_err());
    }
}
