//! The crate that is prepared on this machine, and whether a session is about it.
//!
//! A session knows no crate that its notebook has not named: the features that the library asks of a crate
//! would be everybody's, and its crates would be read before the first variable.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where a Jupyter server says which notebook a kernel is for.
const NOTEBOOK: &str = "JPY_SESSION_NAME";

/// A crate that is prepared.
#[derive(Debug, Clone)]
pub(super) struct Library {
    /// Where its sources are.
    pub(super) folder: PathBuf,
    /// Its package's name, with hyphens.
    package: String,
}

impl Library {
    /// The crate in this folder.
    pub(super) fn of(folder: &Path) -> Library {
        let of_folder = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = || -> Option<String> {
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
            let manifest: toml::Table = manifest.parse().ok()?;
            Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
        };
        Library { folder: folder.to_path_buf(), package: name().unwrap_or_else(of_folder) }
    }

    /// Whether a cell names it: in a `:dep`, or its code in the way in which Rust writes it.
    pub(super) fn is_named_in(&self, code: &str) -> bool {
        code.lines().any(|line| match line.trim_start().strip_prefix(":dep") {
            Some(crates) => has_word(crates, &self.package),
            None => has_word(line, &self.package.replace('-', "_")),
        })
    }

    /// Whether the notebook for which this kernel was started names it. Not every front end says which
    /// one that is.
    pub(super) fn is_in_notebook(&self) -> bool {
        let Some(path) = std::env::var_os(NOTEBOOK).filter(|path| !path.is_empty()) else {
            return false;
        };
        // A notebook that cannot be read is told by the front end; its cells are read when they are run.
        fs::read(&path).is_ok_and(|notebook| self.is_named_in_notebook(&notebook))
    }

    fn is_named_in_notebook(&self, notebook: &[u8]) -> bool {
        let Ok(notebook) = serde_json::from_slice::<Value>(notebook) else { return false };
        let cells = notebook["cells"].as_array().into_iter().flatten();
        let code = cells.filter(|cell| cell["cell_type"] == "code");
        code.into_iter().any(|cell| self.is_named_in(&source(&cell["source"])))
    }
}

/// A cell's source: text, or a list of lines.
fn source(source: &Value) -> String {
    match source {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// Whether a text holds this name and not only a longer one.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part)
    })
}

/// The versions of both files of Cargo's: those of `prepared`, and of `session` what is not in it.
pub(super) fn joined_lock(prepared: &str, session: &str) -> Option<String> {
    let mut all: toml::Table = prepared.parse().ok()?;
    let of_session: toml::Table = session.parse().ok()?;
    let packages = all.get_mut("package")?.as_array_mut()?;
    let known: Vec<toml::Value> =
        packages.iter().filter_map(|package| package.get("name").cloned()).collect();
    let others = of_session.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let is_new =
        |package: &&toml::Value| package.get("name").is_some_and(|name| !known.contains(name));
    packages.extend(others.filter(is_new).cloned());
    toml::to_string(&all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Library {
        Library { folder: "/lab/some-lib".into(), package: "some-lib".into() }
    }

    #[test]
    fn a_crate_is_named_by_a_dep_or_in_code() {
        for code in [
            ":dep some-lib = { path = \"../some-lib\" }\nuse some_lib::prelude::*;",
            "  :dep /lab/some-lib",
            ":dep \"some-lib\"",
            "let a = 1;\nsome_lib::run(a)",
        ] {
            assert!(library().is_named_in(code), "{code}");
        }
        for code in [
            ":dep some-library = \"1\"",
            "let some_libs = 1;",
            "awesome_lib::run()",
            ":dep plotters",
            "",
        ] {
            assert!(!library().is_named_in(code), "{code}");
        }
    }

    #[test]
    fn a_notebook_names_it_in_its_code_alone() {
        let notebook = |kind: &str, source: Value| {
            let cell = serde_json::json!({"cell_type": kind, "source": source});
            serde_json::to_vec(&serde_json::json!({"cells": [cell]})).unwrap()
        };
        let named = |notebook: &[u8]| library().is_named_in_notebook(notebook);
        assert!(named(&notebook("code", ":dep some-lib = \"1\"".into())));
        assert!(named(&notebook("code", serde_json::json!(["let a = 1;\n", ":dep some-lib"]))));
        assert!(!named(&notebook("markdown", ":dep some-lib".into())));
        assert!(!named(b"{"));
        assert!(!named(b"{\"cells\": 1}"));
    }

    #[test]
    fn the_package_s_name_is_that_of_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"other-name\"\n").unwrap();
        assert_eq!(Library::of(folder.path()).package, "other-name");
        assert_eq!(Library::of(Path::new("/nothing/here")).package, "here");
    }

    #[test]
    fn a_session_s_versions_join_those_that_are_prepared() {
        let prepared = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
        let session = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.2.0\"\n\
            [[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        let joined: toml::Table = joined_lock(prepared, session).unwrap().parse().unwrap();
        let versions: Vec<_> = joined["package"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| {
                (package["name"].as_str().unwrap(), package["version"].as_str().unwrap())
            })
            .collect();
        assert_eq!(versions, [("a", "1.0.0"), ("b", "0.1.0")]);
    }
}
