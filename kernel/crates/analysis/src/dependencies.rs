//! Which crates a cell can name, of all that `cargo metadata` lists.
//!
//! Reading a crate takes time, before the first answer. A library may say through which of its
//! dependencies its own functions can be understood:
//!
//! ```toml
//! [package.metadata.rust-live.public-dependencies]
//! library = ["tensors"]
//! tensors = []
//! ```
//!
//! Of the crates that are named on the left, only those on the right are read as dependencies, and
//! those that a cell can name in another way. What a procedural macro is made with can be named nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// The library of a package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The name that the code of others has for it.
    pub(crate) crate_name: String,
    /// The folder of its Cargo.toml.
    pub(crate) folder: PathBuf,
    /// The file that its code begins with.
    pub(crate) root: PathBuf,
    pub(crate) edition: String,
    pub(crate) features: Vec<String>,
    pub(crate) is_proc_macro: bool,
    /// Whether its sources may change: they lie in a folder of the reader's own.
    pub(crate) is_local: bool,
    /// The names that it has for others, and which packages those are.
    pub(crate) dependencies: Vec<(String, String)>,
}

/// What `cargo metadata` says, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<ListedPackage>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct ListedPackage {
    id: String,
    name: String,
    version: String,
    manifest_path: PathBuf,
    edition: String,
    /// None for a folder of the reader's own.
    source: Option<String>,
    targets: Vec<Target>,
    #[serde(default)]
    metadata: Value,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    root: Option<String>,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    features: Vec<String>,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// None for what the library itself needs.
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo, which looks into the network only where it cannot do without.
    ///
    /// # Errors
    /// A cargo that fails, whose own words are the error.
    pub(crate) fn of(cargo: &Path, rustc: &Path, folder: &Path, host: &str) -> Result<Metadata> {
        let ask = |offline: Option<&str>| {
            Command::new(cargo)
                .args(["metadata", "--format-version", "1", "--filter-platform", host])
                .args(offline)
                .arg("--manifest-path")
                .arg(folder.join("Cargo.toml"))
                .current_dir(folder)
                .env("RUSTC", rustc)
                .output()
                .with_context(|| format!("{} does not start", cargo.display()))
        };
        let mut output = ask(Some("--offline"))?;
        if !output.status.success() {
            output = ask(None)?;
        }
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("cargo's metadata are not understood")
    }

    /// The packages that the root package can name, itself included and first.
    pub(crate) fn nameable(self) -> Vec<Package> {
        let public: BTreeMap<String, Vec<String>> = self
            .packages
            .iter()
            .filter_map(|package| {
                let table = package.metadata.pointer("/rust-live/public-dependencies")?.clone();
                serde_json::from_value::<BTreeMap<_, _>>(table)
                    .inspect_err(|error| {
                        let name = &package.name;
                        log::warn!("the public dependencies of {name} are no table: {error}");
                    })
                    .ok()
            })
            .flatten()
            .collect();
        let mut listed: BTreeMap<String, ListedPackage> =
            self.packages.into_iter().map(|package| (package.id.clone(), package)).collect();
        let mut nodes: BTreeMap<String, Node> =
            self.resolve.nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
        let names: BTreeMap<String, String> =
            listed.iter().map(|(id, package)| (id.clone(), package.name.clone())).collect();
        let mut kept: Vec<Package> = Vec::new();
        let mut next = Vec::from_iter(self.resolve.root);
        while let Some(id) = next.pop() {
            // Each is taken out, and so visited once.
            let (Some(package), Some(node)) = (listed.remove(&id), nodes.remove(&id)) else {
                continue;
            };
            let Some(mut package) = Package::new(package, node) else { continue };
            match public.get(&package.name) {
                _ if package.is_proc_macro => package.dependencies.clear(),
                Some(shown) => package.dependencies.retain(|(_, id)| {
                    names.get(id).is_some_and(|name| shown.iter().any(|shown| shown == name))
                }),
                None => (),
            }
            next.extend(package.dependencies.iter().map(|(_, id)| id.clone()));
            kept.push(package);
        }
        // A crate that is there for another reason is a dependency of those that have it, too; only
        // packages without a library are missing.
        let ids: BTreeSet<String> = kept.iter().map(|package| package.id.clone()).collect();
        for package in &mut kept {
            package.dependencies.retain(|(_, id)| ids.contains(id));
        }
        kept
    }
}

impl Package {
    /// None for a package without a library.
    fn new(listed: ListedPackage, node: Node) -> Option<Package> {
        let is_proc_macro = |target: &Target| target.kind.iter().any(|kind| kind == "proc-macro");
        let is_library = |target: &&Target| {
            let library = |kind: &String| kind.ends_with("lib") || kind == "proc-macro";
            target.kind.iter().any(library)
        };
        let target = listed.targets.iter().find(is_library)?;
        let needed = |dependency: &Dependency| {
            dependency.dep_kinds.is_empty()
                || dependency.dep_kinds.iter().any(|dependency| dependency.kind.is_none())
        };
        let dependencies = node.deps.into_iter().filter(needed);
        Some(Package {
            crate_name: target.name.replace('-', "_"),
            folder: listed.manifest_path.parent()?.to_owned(),
            root: target.src_path.clone(),
            is_proc_macro: is_proc_macro(target),
            is_local: listed.source.is_none(),
            features: node.features,
            dependencies: dependencies.map(|it| (it.name.replace('-', "_"), it.pkg)).collect(),
            id: listed.id,
            name: listed.name,
            version: listed.version,
            edition: listed.edition,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(id: &str, kind: &str, metadata: &Value) -> Value {
        json!({
            "id": id, "name": id, "version": "1.0.0", "edition": "2024", "source": null,
            "manifest_path": format!("/{id}/Cargo.toml"), "metadata": metadata,
            "targets": [
                { "name": "build-script", "kind": ["custom-build"], "src_path": "/build.rs" },
                { "name": id, "kind": [kind], "src_path": format!("/{id}/src/lib.rs") },
            ],
        })
    }

    fn node(id: &str, on: &[&str]) -> Value {
        let deps: Vec<_> = on
            .iter()
            .map(|on| json!({ "name": on, "pkg": on, "dep_kinds": [{ "kind": null }] }))
            .collect();
        json!({ "id": id, "features": [], "deps": deps })
    }

    /// A cell crate on a library on two crates, one of which has one below it.
    fn metadata(public: &Value, of_the_cell: &[&str]) -> Metadata {
        let table = json!({ "rust-live": { "public-dependencies": public } });
        let plain = |id| package(id, "lib", &Value::Null);
        serde_json::from_value(json!({
            "packages": [plain("cell"), package("library", "lib", &table), plain("tensors"),
                         plain("pictures"), plain("zip")],
            "resolve": { "root": "cell", "nodes": [
                node("cell", of_the_cell), node("library", &["tensors", "pictures"]),
                node("tensors", &["zip"]), node("pictures", &["zip"]), node("zip", &[]),
            ] },
        }))
        .unwrap()
    }

    fn kept(metadata: Metadata) -> BTreeMap<String, Vec<String>> {
        let packages = metadata.nameable();
        assert_eq!(packages[0].name, "cell");
        let names = |package: Package| package.dependencies.into_iter().map(|(name, _)| name);
        packages.into_iter().map(|it| (it.name.clone(), names(it).collect())).collect()
    }

    #[test]
    fn what_a_cell_cannot_name_is_left_out() {
        let table = json!({ "library": ["tensors"], "tensors": [] });
        let kept = kept(metadata(&table, &["library"]));
        assert_eq!(Vec::from_iter(kept.keys()), ["cell", "library", "tensors"]);
        assert_eq!(kept["library"], ["tensors"]);
        assert!(kept["tensors"].is_empty());
    }

    #[test]
    fn what_a_cell_can_name_in_another_way_stays() {
        let table = json!({ "library": ["tensors"], "tensors": [] });
        let kept = kept(metadata(&table, &["library", "zip"]));
        assert_eq!(Vec::from_iter(kept.keys()), ["cell", "library", "tensors", "zip"]);
    }

    #[test]
    fn without_a_table_all_stays() {
        let kept = kept(metadata(&Value::Null, &["library"]));
        assert_eq!(kept.len(), 5);
        assert_eq!(kept["tensors"], ["zip"]);
    }

    #[test]
    fn of_a_procedural_macro_the_names_and_nothing_below() {
        let build = json!({ "name": "zip", "pkg": "zip", "dep_kinds": [{ "kind": "build" }] });
        let metadata = serde_json::from_value(json!({
            "packages": [package("cell", "cdylib", &Value::Null),
                         package("derive", "proc-macro", &Value::Null),
                         package("syn", "lib", &Value::Null), package("zip", "lib", &Value::Null)],
            "resolve": { "root": "cell", "nodes": [
                { "id": "cell", "features": [], "deps": [
                    { "name": "derive", "pkg": "derive", "dep_kinds": [{ "kind": null }] }, build,
                ] },
                node("derive", &["syn"]), node("syn", &[]), node("zip", &[]),
            ] },
        }))
        .unwrap();
        let kept = kept(metadata);
        assert_eq!(Vec::from_iter(kept.keys()), ["cell", "derive"]);
        assert!(kept["derive"].is_empty());
    }
}
