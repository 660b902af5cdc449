//! What the modules of a crate name of each other: for the tests that hold the order of imports, in the
//! kernel and in the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// All sources below a folder.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// A source without comments, and without the lines that begin like this.
pub(crate) fn code(file: &Path, without: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let kept = text.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("//") && (without.is_empty() || !line.starts_with(without))
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The names that stand behind `crate::`, alone or in braces.
pub(crate) fn named_in(text: &str) -> BTreeSet<String> {
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

/// For each module at the top of a crate, whose sources lie in this folder, the others that it names in lines
/// that do not begin like this.
pub(crate) fn imports(root: &Path, without: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources(root) {
        let within = file.strip_prefix(root).unwrap().components().next().unwrap();
        let module = within.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        let mut named = named_in(&code(&file, without));
        // Modules are in lower case, what the crate exports itself is not.
        named.retain(|name| *name != module && name.starts_with(char::is_lowercase));
        all.entry(module).or_default().extend(named);
    }
    all
}
