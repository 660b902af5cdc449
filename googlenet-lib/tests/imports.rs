//! The library's crates, and the modules of this one, import each other in one direction only.

#[path = "../../tests/rust_imports.rs"]
mod rust_imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rust_imports::{code, imports, named_in, sources};

/// What a module only passes on under its own name: that `train::Fit` is found where it always was makes
/// nothing in `train` depend on it.
const PASSED_ON: &str = "pub use crate::";

/// The modules of this crate. Each may import those before it.
const MODULES: [&str; 9] =
    ["error", "file", "spec", "cost", "model", "train", "interpret", "figures", "live"];

/// The crates of the library. Each may depend on those before it.
const CRATES: [&str; 6] =
    ["notebook", "charts", "fused-ops", "devices", "vision-data", "googlenet-lib"];

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The names of the crates that a crate depends on, without those of its tests.
fn dependencies(of: &str) -> BTreeSet<String> {
    let folder = match of {
        "googlenet-lib" => library(),
        other => library().join("../crates").join(other),
    };
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let (_, section) = manifest.split_once("\n[dependencies]\n").unwrap();
    let section = section.split("\n[").next().unwrap();
    let lines = section.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned()).collect()
}

#[test]
fn no_module_imports_one_above_it() {
    let imports = imports(&library().join("src"), PASSED_ON);
    for (place, module) in MODULES.iter().enumerate() {
        let above = imports[*module].iter().filter(|name| !MODULES[..place].contains(&&***name));
        let above: Vec<_> = above.collect();
        assert!(above.is_empty(), "{module} imports {above:?}, which do not stand below it");
    }
    assert!(imports["model"].contains("spec"), "imports are found");
    let unplaced: Vec<_> =
        imports.keys().filter(|name| !MODULES.contains(&&***name) && *name != "lib").collect();
    assert!(unplaced.is_empty(), "give {unplaced:?} a place in the order");
}

#[test]
fn training_knows_nothing_that_shows() {
    let files = sources(&library().join("src/train"));
    assert!(files.len() > 5);
    for file in files {
        for shows in ["figures::", "notebook::", "charts::", "interpret::", "println!"] {
            // A word of its own: `eprintln!` tells, and does not show.
            let code = code(&file, PASSED_ON);
            let named = code.match_indices(shows).any(|(at, _)| {
                !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
            });
            assert!(!named, "{} names {shows}", file.display());
        }
    }
}

#[test]
fn no_crate_depends_on_one_above_it() {
    for (place, name) in CRATES.iter().enumerate() {
        let found = dependencies(name);
        assert!(found.contains("thiserror"), "the dependencies of {name} are found");
        let above: Vec<_> =
            CRATES[place..].iter().filter(|above| found.contains(**above)).collect();
        assert!(above.is_empty(), "{name} depends on {above:?}, which stand above it");
    }
    let mut there: Vec<String> = fs::read_dir(library().join("../crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    // `shared` is the kernel's and xtask's.
    there.retain(|name| !CRATES.contains(&&**name) && name != "shared" && name != "host-device");
    assert!(there.is_empty(), "give {there:?} a place in the order");
}

#[test]
fn what_shows_knows_no_tensors_and_what_computes_fast_knows_nothing_else() {
    for name in ["notebook", "charts"] {
        let found = dependencies(name);
        assert!(!found.contains("tch") && !found.contains("torch-sys"), "{name} depends on tch");
    }
    let expected = ["libc", "tch", "thiserror", "torch-sys"].map(String::from);
    assert_eq!(dependencies("fused-ops"), BTreeSet::from(expected));
}

#[test]
fn names_are_found_alone_and_in_braces() {
    let found = named_in("use crate::a::{B, C};\nuse crate::{d, e::F};\nlet x = crate::g(1);");
    assert_eq!(found, BTreeSet::from(["a", "d", "e", "g"].map(str::to_owned)));
}
