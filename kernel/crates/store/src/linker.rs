//! The program in the place of a linker, when crates are put into one library.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// What this program is called by as a linker.
pub const LINKER: &str = "cells-linker";
/// Set for the linker: a folder for empty libraries in the place of C libraries.
pub(crate) const STAND_INS: &str = "CELL_STORE_STAND_INS";
/// Set for the linker: where it writes which crates it has put into the library.
pub(crate) const CONTENTS: &str = "CELL_STORE_CONTENTS";

/// Becomes the linker where this program is called by that name, and does not return then.
pub fn enter() {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).unwrap_or_default();
    if program.file_name().is_none_or(|name| name != LINKER) {
        return;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let code = link(&arguments).unwrap_or_else(|error| {
        eprintln!("{LINKER}: {error:#}");
        101
    });
    std::process::exit(code);
}

/// The functions of C libraries stay visible, which rustc hides, since generic functions that are
/// compiled with a cell call them. Beside it, every C library that is looked for in a folder gets an
/// empty one of its name.
fn link(arguments: &[OsString]) -> Result<i32> {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let list = texts.iter().find_map(|text| text.strip_prefix("-Wl,--version-script="));
    let rlibs = || texts.iter().map(|text| &**text).filter(|text| text.ends_with(".rlib"));
    if let Some(list) = list {
        // Not those of compiler_builtins: every library has a copy of its own of what it calls of it.
        let crates: Vec<_> = rlibs().filter(|file| !file.contains("compiler_builtins")).collect();
        show(Path::new(list), &functions_of_c(&crates)?)?;
    }
    if let Some(contents) = std::env::var_os(CONTENTS) {
        let names = rlibs().filter_map(|file| Path::new(file).file_name()?.to_str());
        fs::write(contents, names.collect::<Vec<_>>().join("\n"))?;
    }
    if let Some(folder) = std::env::var_os(STAND_INS) {
        let pairs = texts.iter().zip(texts.iter().skip(1));
        let folders = pairs.filter(|(option, _)| *option == "-L");
        let folders: Vec<_> = folders.map(|(_, folder)| PathBuf::from(&**folder)).collect();
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
fn functions_of_c(rlibs: &[&str]) -> Result<BTreeSet<String>> {
    if rlibs.is_empty() {
        return Ok(BTreeSet::new());
    }
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
