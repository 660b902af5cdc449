//! The kernel's modules import each other in one direction only.

#[path = "../../tests/rust_imports.rs"]
mod rust_imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rust_imports::{code, imports, named_in, sources};

/// Each may import those before it.
const ORDER: [&str; 6] = ["completeness", "home", "engine", "session", "protocol", "cli"];
/// Programs of their own, and sources that the reader's compiler compiles.
const NO_MODULES: [&str; 2] = ["main", "support"];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn no_module_imports_one_above_it() {
    let imports = imports(&source_folder(), "");
    for (place, module) in ORDER.iter().enumerate() {
        let above = imports[*module].iter().filter(|name| !ORDER[..place].contains(&&***name));
        let above: Vec<_> = above.collect();
        assert!(above.is_empty(), "{module} imports {above:?}, which stand above it");
    }
    assert!(imports["session"].contains("engine"), "imports are found");
    let unplaced: Vec<_> = imports
        .keys()
        .filter(|name| !ORDER.contains(&&***name) && !NO_MODULES.contains(&&***name))
        .collect();
    assert!(unplaced.is_empty(), "give {unplaced:?} a place in the order");
}

#[test]
fn nothing_but_upstream_s_own_program_stands_on_evcxr() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let files = [sources(&source_folder()), sources(&crates)].concat();
    assert!(files.iter().any(|file| file.ends_with("crates/store/src/lib.rs")));
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for name in ["evcxr::", "evcxr_jupyter::"] {
            assert!(!text.contains(name), "{} names evcxr's crate", file.display());
        }
    }
}

#[test]
fn the_protocol_knows_nothing_of_what_evaluates_cells() {
    for folder in ["protocol", "engine"] {
        let files = sources(&source_folder().join(folder));
        assert!(!files.is_empty());
        for file in &files {
            let text = code(file, "");
            for name in
                ["crate::session", "cell_program", "cell_compiler", "cell_process", "rustc::"]
            {
                assert!(!text.contains(name), "{} names {name}", file.display());
            }
        }
    }
}

/// The kernel is for any crate: what the lab needs comes to it by its command line.
#[test]
fn the_kernel_names_nothing_of_the_lab() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    for file in [sources(&source_folder()), sources(&crates)].concat() {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for name in ["googlenet", "torch", "cuda", "nvidia", "xtask"] {
            assert!(!text.contains(name), "{} names {name}", file.display());
        }
    }
}

#[test]
fn names_are_found_alone_and_in_braces() {
    let found = named_in("use crate::a::{B, C};\nuse crate::{d, e::F};\nlet x = crate::g(1);");
    assert_eq!(found, BTreeSet::from(["a", "d", "e", "g"].map(str::to_owned)));
}
