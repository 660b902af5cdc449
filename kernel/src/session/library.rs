//! The crate that this kernel was installed for, and whether a notebook is about it.
//!
//! A session knows no crate that its notebook has not named: the features that the library asks of a crate
//! would be everybody's.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A crate that cells may name without a `:dep`.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    /// Where its sources are.
    pub(super) folder: PathBuf,
    /// Its package's name, with hyphens.
    pub(crate) package: String,
}

impl Library {
    /// The crate in this folder.
    pub(crate) fn of(folder: &Path) -> Library {
        let of_folder = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = || -> Option<String> {
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
            let manifest: toml::Table = manifest.parse().ok()?;
            Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
        };
        Library { folder: folder.to_path_buf(), package: name().unwrap_or_else(of_folder) }
    }

    /// Whether a cell names it: in a `:dep`, or its code in the way in which Rust writes it.
    pub(crate) fn is_named_in(&self, code: &str) -> bool {
        code.lines().any(|line| match line.trim_start().strip_prefix(":dep") {
            Some(crates) => has_word(crates, &self.package),
            None => has_word(line, &self.package.replace('-', "_")),
        })
    }
}

/// The notebook for which this kernel was started, where the Jupyter server says which one that is.
fn notebook() -> Option<PathBuf> {
    let path = std::env::var_os("JPY_SESSION_NAME").filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// The cells of the notebook. One that cannot be read is told by the front end; its cells are read when they
/// are run.
pub(super) fn cells_of_notebook() -> Vec<String> {
    let notebook = notebook().and_then(|path| fs::read(path).ok());
    notebook.map(|notebook| code_cells(&notebook)).unwrap_or_default()
}

/// The file beside the notebook that names the versions of its crates; it need not be there.
pub(super) fn lock_of_notebook() -> Option<PathBuf> {
    notebook().map(|path| path.with_extension("lock"))
}

fn code_cells(notebook: &[u8]) -> Vec<String> {
    let Ok(notebook) = serde_json::from_slice::<Value>(notebook) else { return Vec::new() };
    let cells = notebook["cells"].as_array().into_iter().flatten();
    let code = cells.filter(|cell| cell["cell_type"] == "code");
    code.map(|cell| source(&cell["source"])).collect()
}

/// A cell's source: text, or a list of lines.
pub(crate) fn source(source: &Value) -> String {
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
        let named =
            |notebook: &[u8]| code_cells(notebook).iter().any(|cell| library().is_named_in(cell));
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
}
