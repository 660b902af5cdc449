//! The kernel's modules import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each may import those before it.
const ORDER: [&str; 8] =
    ["completeness", "runtime", "engine", "upstream", "template", "session", "protocol", "cli"];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All sources below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The names that stand behind `crate::`, alone or in braces.
fn named_in(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(several) => {
                let several = several.split('}').next().unwrap_or_default();
                names.extend(several.split(',').map(word));
            }
            None => {
                names.insert(word(rest));
            }
        }
    }
    names
}

/// Which top-level modules each of them names.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = source_folder();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let within = file.strip_prefix(&root).unwrap().components().next().unwrap();
        let module = within.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<_> =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let mut named = named_in(&code.join("\n"));
        named.retain(|name| *name != module && ORDER.contains(&&**name));
        all.entry(module).or_default().extend(named);
    }
    all
}

#[test]
fn no_module_imports_one_above_it() {
    let imports = imports();
    for (place, module) in ORDER.iter().enumerate() {
        let above = imports[*module].iter().filter(|name| !ORDER[..place].contains(&&***name));
        let above: Vec<_> = above.collect();
        assert!(above.is_empty(), "{module} imports {above:?}, which stand above it");
    }
    assert!(imports["session"].contains("engine"), "imports are found");
    let unplaced: Vec<_> =
        imports.keys().filter(|name| !ORDER.contains(&&***name) && *name != "main").collect();
    assert!(unplaced.is_empty(), "give {unplaced:?} a place in the order");
}

#[test]
fn the_protocol_and_all_below_it_know_nothing_of_evcxr() {
    for folder in ["protocol", "engine", "runtime"] {
        let mut files = Vec::new();
        sources(&source_folder().join(folder), &mut files);
        assert!(!files.is_empty());
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("evcxr::"), "{} names evcxr's crate", file.display());
        }
    }
}

/// The kernel is for any crate: what the lab needs comes to it by its command line.
#[test]
fn the_kernel_names_nothing_of_the_lab() {
    let mut files = Vec::new();
    sources(&source_folder(), &mut files);
    for file in files {
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
