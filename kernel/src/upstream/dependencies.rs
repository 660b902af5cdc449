//! Spares the analysis of crates that a cell cannot name.
//!
//! rust-analyzer reads every crate that `cargo metadata` lists, before it knows the type of a first
//! variable. A library may say through which of its dependencies its own functions can be understood:
//!
//! ```toml
//! [package.metadata.rust-live.public-dependencies]
//! library = ["tensors"]
//! tensors = []
//! ```
//!
//! Of the crates that are named on the left, only those on the right are listed as dependencies, and
//! those that a cell can name in another way. The standard library says nothing of the kind: what
//! stands here for it is what its documentation shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A package, and those that cells can name through it.
type Public = BTreeMap<String, Vec<String>>;

/// What std, alloc and core show of each other; the package `sysroot` holds them all.
const STANDARD: [(&str, &[&str]); 6] = [
    ("sysroot", &["std", "proc_macro", "test"]),
    ("std", &["core", "alloc"]),
    ("alloc", &["core"]),
    ("core", &[]),
    ("proc_macro", &["core", "std"]),
    ("test", &["core", "std"]),
];

/// How much a cell needs to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// It declares no variable: what stands in other crates is nothing to it.
    Nothing,
    /// What can be named in it.
    Public,
}

/// Takes out of what `cargo metadata` says what is not needed. None where that is nothing.
pub(crate) fn spare(mut metadata: Value, needed: Needed) -> Option<Value> {
    let packages = metadata["packages"].as_array()?;
    let sysroot = packages.iter().find(|package| package["name"] == "sysroot");
    let mut public: Public = packages
        .iter()
        .filter_map(|package| package.pointer("/metadata/rust-live/public-dependencies").cloned())
        .filter_map(|table| serde_json::from_value::<Public>(table).ok())
        .flatten()
        .collect();
    if sysroot.is_some() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        public.extend(STANDARD.map(|(name, shown)| (name.to_owned(), owned(shown))));
    }
    if needed == Needed::Public && public.is_empty() {
        return None;
    }
    let names: BTreeMap<&str, &str> = packages
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let resolve = &metadata["resolve"];
    let nodes: BTreeMap<&str, Vec<&str>> = resolve["nodes"]
        .as_array()?
        .iter()
        .filter_map(|node| {
            let id = node["id"].as_str()?;
            let shown = names.get(id).and_then(|name| public.get(*name));
            let dependencies = node["dependencies"].as_array()?.iter().filter_map(Value::as_str);
            let kept = dependencies.filter(|dependency| {
                let name = names.get(dependency).copied().unwrap_or_default();
                shown.is_none_or(|shown| shown.iter().any(|shown| shown == name))
            });
            Some((id, kept.collect()))
        })
        .collect();
    let root = resolve["root"].as_str();
    let mut kept = BTreeSet::new();
    let mut next = Vec::from_iter(match needed {
        Needed::Nothing => root,
        Needed::Public => root.or_else(|| sysroot?["id"].as_str()),
    });
    while let Some(id) = next.pop() {
        if kept.insert(id.to_owned()) && needed == Needed::Public {
            next.extend(nodes.get(id).into_iter().flatten());
        }
    }
    metadata["workspace_members"]
        .as_array_mut()?
        .retain(|id| id.as_str().is_some_and(|id| kept.contains(id)));
    let keeps = |value: &Value| value.as_str().is_some_and(|id| kept.contains(id));
    metadata["packages"].as_array_mut()?.retain(|package| keeps(&package["id"]));
    let nodes = metadata["resolve"]["nodes"].as_array_mut()?;
    nodes.retain(|node| keeps(&node["id"]));
    for node in nodes {
        node["dependencies"].as_array_mut()?.retain(keeps);
        node["deps"].as_array_mut()?.retain(|dependency| keeps(&dependency["pkg"]));
    }
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A cell crate on a library on two crates, one of which has one below it.
    fn metadata(public: &Value, of_the_cell: &[&str]) -> Value {
        let node = |id: &str, on: &[&str]| {
            let deps: Vec<_> = on.iter().map(|on| json!({ "pkg": on })).collect();
            json!({ "id": id, "dependencies": on, "deps": deps })
        };
        let package = |id: &str| json!({ "id": id, "name": id, "metadata": null });
        let library = json!({
            "id": "library", "name": "library",
            "metadata": { "rust-live": { "public-dependencies": public } },
        });
        json!({
            "workspace_members": ["cell"],
            "packages": [package("cell"), library, package("tensors"), package("pictures"),
                         package("zip")],
            "resolve": { "root": "cell", "nodes": [
                node("cell", of_the_cell), node("library", &["tensors", "pictures"]),
                node("tensors", &["zip"]), node("pictures", &["zip"]), node("zip", &[]),
            ] },
        })
    }

    fn names(metadata: &Value) -> Vec<&str> {
        let packages = metadata["packages"].as_array().unwrap();
        packages.iter().filter_map(|package| package["name"].as_str()).collect()
    }

    #[test]
    fn what_a_cell_cannot_name_is_left_out() {
        let table = json!({ "library": ["tensors"], "tensors": [] });
        let public = spare(metadata(&table, &["library"]), Needed::Public).unwrap();
        assert_eq!(names(&public), ["cell", "library", "tensors"]);
        let nodes = public["resolve"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3);
        assert_eq!(nodes[1]["deps"], json!([{ "pkg": "tensors" }]));
        assert_eq!(nodes[2]["dependencies"], json!([]));
        let nothing = spare(metadata(&table, &["library"]), Needed::Nothing).unwrap();
        assert_eq!(names(&nothing), ["cell"]);
        assert_eq!(nothing["resolve"]["nodes"][0]["deps"], json!([]));
    }

    #[test]
    fn what_a_cell_can_name_in_another_way_stays_a_dependency_of_all() {
        let table = json!({ "library": ["tensors"], "tensors": [] });
        let public = spare(metadata(&table, &["library", "zip"]), Needed::Public).unwrap();
        assert_eq!(names(&public), ["cell", "library", "tensors", "zip"]);
        assert_eq!(public["resolve"]["nodes"][2]["deps"], json!([{ "pkg": "zip" }]));
    }

    #[test]
    fn without_a_table_all_stays() {
        assert!(spare(metadata(&Value::Null, &["library"]), Needed::Public).is_none());
    }

    #[test]
    fn of_the_standard_library_what_its_documentation_shows_or_nothing() {
        let package = |name: &str| json!({ "id": name, "name": name, "metadata": null });
        let node = |id: &str, on: &[&str]| json!({ "id": id, "dependencies": on, "deps": [] });
        let metadata = json!({
            "packages": [package("sysroot"), package("std"), package("core"), package("libc")],
            "workspace_members": ["sysroot", "std", "core"],
            "resolve": { "root": null, "nodes": [
                node("sysroot", &["std"]), node("std", &["core", "libc"]), node("core", &[]),
                node("libc", &[]),
            ] },
        });
        let public = spare(metadata.clone(), Needed::Public).unwrap();
        assert_eq!(names(&public), ["sysroot", "std", "core"]);
        assert!(names(&spare(metadata, Needed::Nothing).unwrap()).is_empty());
    }
}
