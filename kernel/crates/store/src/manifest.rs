//! The manifest of a session's crates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The package whose dependencies they are.
const PACKAGE: &str = "cells";

/// A line of `[dependencies]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// What stands before the `=`.
    pub name: String,
    /// What stands behind it.
    pub spec: Value,
}

impl Dependency {
    /// A dependency on any version that fits a requirement such as `"1"`.
    pub fn version(name: &str, requirement: &str) -> Dependency {
        Dependency { name: name.to_owned(), spec: Value::String(requirement.to_owned()) }
    }

    /// The same, with a path that holds wherever the manifest lies.
    pub(crate) fn below(mut self, base: &Path) -> Dependency {
        if let Some(path) = self.spec.get("path").and_then(Value::as_str) {
            let path = base.join(path);
            // Notebooks that name a folder in two ways share what is compiled. One that is not there
            // is an error of cargo's.
            let path = path.canonicalize().unwrap_or(path);
            let path = Value::String(path.to_string_lossy().into_owned());
            if let Some(table) = self.spec.as_table_mut() {
                table.insert("path".into(), path);
            }
        }
        self
    }
}

/// A crate on this machine that says which packages its users meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    /// Their names, its own included.
    pub public: BTreeSet<String>,
}

impl Library {
    /// Those among dependencies: in `[package.metadata.rust-live.public-dependencies]` of its manifest, each
    /// names for the packages that its users meet which others these let them meet.
    pub(crate) fn all(dependencies: &BTreeMap<String, Value>) -> BTreeMap<String, Library> {
        let libraries = dependencies.iter().filter_map(|(name, spec)| {
            let manifest = Path::new(spec.get("path")?.as_str()?).join("Cargo.toml");
            // One that cannot be read is an error of cargo's, which says more about it.
            let manifest: Table = fs::read_to_string(manifest).ok()?.parse().ok()?;
            let metadata = manifest.get("package")?.get("metadata")?.get("rust-live")?;
            let public = metadata.get("public-dependencies")?.as_table()?;
            Some((name.clone(), Library { public: public.keys().cloned().collect() }))
        });
        libraries.collect()
    }

    /// Whether a dependency is a package that its users meet.
    pub(crate) fn meets(&self, name: &str, spec: &Value) -> bool {
        let package = spec.get("package").and_then(Value::as_str).unwrap_or(name);
        self.public.contains(package)
    }
}

/// The text of a manifest.
///
/// # Errors
/// A dependency that cannot be written.
pub(crate) fn text(
    dependencies: &BTreeMap<String, Value>,
    for_host: &Table,
    profile: Value,
) -> anyhow::Result<String> {
    let mut manifest = Table::from_iter([
        ("package".to_owned(), package().into()),
        ("lib".to_owned(), Table::from_iter([("path".to_owned(), "src/lib.rs".into())]).into()),
        ("workspace".to_owned(), Table::new().into()),
        ("dependencies".to_owned(), Table::from_iter(dependencies.clone()).into()),
        ("profile".to_owned(), Table::from_iter([("dev".to_owned(), profile)]).into()),
    ]);
    if !for_host.is_empty() {
        manifest.insert("build-dependencies".into(), for_host.clone().into());
    }
    Ok(toml::to_string(&manifest)?)
}

/// How dependencies are compiled: as the owner of the libraries' folder has set, and without libraries as
/// that of another one has. Beside a library it makes no difference what else there is.
pub(crate) fn profile(
    dependencies: &BTreeMap<String, Value>,
    libraries: &BTreeMap<String, Library>,
) -> Value {
    let counts = |name: &str| libraries.is_empty() || libraries.contains_key(name);
    let folders = dependencies.iter().filter(|(name, _)| counts(name));
    let mut folders = folders.filter_map(|(_, spec)| spec.get("path")?.as_str());
    let tuned = folders.find_map(|folder| tuned_profile(Path::new(folder)));
    tuned.unwrap_or_else(default_profile)
}

fn package() -> Table {
    Table::from_iter([
        ("name".to_owned(), PACKAGE.into()),
        ("version".to_owned(), "0.0.0".into()),
        ("edition".to_owned(), "2024".into()),
        ("publish".to_owned(), false.into()),
    ])
}

/// Cells call crates in loops: they are worth optimising, and nobody debugs them.
fn default_profile() -> Value {
    let profile = Table::from_iter([
        ("opt-level".to_owned(), 2.into()),
        ("debug".to_owned(), false.into()),
        ("incremental".to_owned(), false.into()),
        ("codegen-units".to_owned(), 16.into()),
    ]);
    Value::Table(profile)
}

/// The `[profile.dev]` of the workspace that a folder lies in: its owner has tuned it.
fn tuned_profile(folder: &Path) -> Option<Value> {
    let root = workspace_of(folder)?;
    root.get("profile")?.get("dev").cloned()
}

/// The root manifest. One that cannot be read is an error of cargo's, which says more about it.
fn workspace_of(folder: &Path) -> Option<Table> {
    manifests_above(folder).into_iter().find_map(|path| {
        let table: Table = fs::read_to_string(path).ok()?.parse().ok()?;
        table.contains_key("workspace").then_some(table)
    })
}

/// Where cargo looks for the manifest of a package and for that of its workspace.
pub(crate) fn manifests_above(folder: &Path) -> Vec<PathBuf> {
    folder.ancestors().map(|folder| folder.join("Cargo.toml")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_path(path: &Path) -> BTreeMap<String, Value> {
        let spec = Table::from_iter([("path".to_owned(), path.to_string_lossy().as_ref().into())]);
        BTreeMap::from([("one".to_owned(), Value::Table(spec))])
    }

    #[test]
    fn a_path_is_taken_from_the_base_folder() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("notebooks")).unwrap();
        fs::create_dir_all(base.join("one")).unwrap();
        let spec: Table = "path = '../one'".parse().unwrap();
        let dependency = Dependency { name: "one".into(), spec: spec.into() };
        let found = dependency.below(&base.join("notebooks")).spec;
        assert_eq!(
            found.get("path").unwrap().as_str().unwrap(),
            base.join("one").to_str().unwrap()
        );
        let plain = Dependency::version("serde", "1");
        assert_eq!(plain.clone().below(&base), plain);
    }

    #[test]
    fn the_profile_is_that_of_the_workspace_where_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        fs::create_dir_all(&one).unwrap();
        let level = || {
            let profile = profile(&with_path(&one), &BTreeMap::new());
            profile["opt-level"].as_integer().unwrap()
        };
        fs::write(one.join("Cargo.toml"), "[package]\nname = 'one'\n").unwrap();
        assert_eq!(level(), 2);
        let root = folder.path().join("Cargo.toml");
        fs::write(&root, "[workspace]\n").unwrap();
        assert_eq!(level(), 2);
        fs::write(&root, "[workspace]\n[profile.dev]\nopt-level = 1\n").unwrap();
        assert_eq!(level(), 1);
        fs::write(&root, "[workspace]\n[profile.dev\n").unwrap();
        assert_eq!(level(), 2);
    }
}
