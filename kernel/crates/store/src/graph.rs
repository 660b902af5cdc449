//! What belongs to a manifest: all that cells need of the crates that it names.
//!
//! It is kept beside what was compiled, so that a later session of the same manifest asks nobody: not
//! the network, not cargo, not even a lock that another session holds for minutes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::cargo::Built;
use crate::inputs::{Change, Environment, Inputs};
use crate::place::Place;
use crate::units::{Kind, Unit};

/// What belongs to a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Graph {
    /// The text of Cargo.lock.
    pub versions: String,
    /// All that was compiled.
    pub units: Vec<Unit>,
    /// The crates that a cell can name.
    pub externs: Vec<Extern>,
    /// Where C libraries are looked for.
    pub searches: Vec<Search>,
    /// What all that was compiled from.
    pub inputs: Inputs,
}

/// A crate that a cell can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extern {
    /// How.
    pub name: String,
    /// Its file, within the target directory.
    pub file: PathBuf,
}

/// Where C libraries are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Search {
    /// As rustc takes it behind `-L`.
    Outside(String),
    /// A folder in the target directory, which a build script has filled.
    Inside {
        /// What stands before the `=`.
        kind: String,
        /// Within the target directory.
        folder: PathBuf,
    },
}

impl Graph {
    /// Reads it from what cargo has told.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn of(
        built: &Built,
        units: Vec<Unit>,
        place: &Place,
        versions: String,
        manifests: Inputs,
    ) -> anyhow::Result<Graph> {
        let target = place.target();
        let mut graph =
            Graph { versions, units, externs: Vec::new(), searches: Vec::new(), inputs: manifests };
        for unit in &graph.units {
            graph.inputs.extend(&unit.inputs);
        }
        let pairs = built.call.iter().zip(built.call.iter().skip(1));
        for (option, value) in pairs {
            match option.as_str() {
                "--extern" => {
                    // Options may stand before the name.
                    let (name, file) = value.split_once('=').context("a crate without a file")?;
                    let name = name.rsplit(':').next().unwrap_or(name).to_owned();
                    let mut file = PathBuf::from(file);
                    if file.extension().is_some_and(|ending| ending == "rmeta") {
                        file.set_extension("rlib");
                    }
                    let file = file.strip_prefix(&target).unwrap_or(&file).to_owned();
                    graph.externs.push(Extern { name, file });
                }
                "-L" => graph.searches.extend(Search::of(value, &target)),
                _ => {}
            }
        }
        graph.externs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(graph)
    }

    /// One that was kept, if all that it was made of is as it was.
    pub(crate) fn kept(place: &Place, key: &str, environment: &Environment) -> Option<Graph> {
        let path = Graph::path(place, key);
        let mut graph: Graph = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        match graph.inputs.compare(Some(environment)) {
            Change::Content => return None,
            // The next session is spared the reading; in a store that cannot be written it is not.
            Change::Times => drop(graph.keep(place, key)),
            Change::Nothing => {}
        }
        Some(graph)
    }

    /// All that are kept, whatever has become of what they name.
    pub(crate) fn all(place: &Place) -> anyhow::Result<Vec<Graph>> {
        let entries =
            fs::read_dir(place.graphs()).context("the notes of a store cannot be read")?;
        let mut graphs = Vec::new();
        for entry in entries {
            // A mark is none, and one that cannot be read helps nobody.
            graphs.extend(serde_json::from_slice::<Graph>(&fs::read(entry?.path())?));
        }
        Ok(graphs)
    }

    /// Keeps it for later sessions.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub(crate) fn keep(&self, place: &Place, key: &str) -> anyhow::Result<()> {
        shared::files::replace(&Graph::path(place, key), &serde_json::to_vec(self)?)
    }

    fn path(place: &Place, key: &str) -> PathBuf {
        place.graphs().join(format!("{key}.json"))
    }

    /// The file that says when it was last used, and whether it is.
    pub(crate) fn mark(place: &Place, key: &str) -> PathBuf {
        place.graphs().join(format!("{key}.used"))
    }

    /// The units whose files a session needs.
    pub(crate) fn linkable(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| matches!(unit.kind, Kind::Library | Kind::Macro))
    }
}

impl Search {
    fn of(value: &str, target: &Path) -> Option<Search> {
        let (kind, folder) = value.split_once('=').unwrap_or(("all", value));
        if kind == "dependency" {
            return None;
        }
        Some(match Path::new(folder).strip_prefix(target) {
            Ok(folder) => Search::Inside { kind: kind.to_owned(), folder: folder.to_owned() },
            Err(_) => Search::Outside(value.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_of_rustc_tells_which_crates_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().to_owned() };
        let target = place.target();
        let at = |name: &str| target.join("debug/deps").join(name).display().to_string();
        let out = target.join("debug/build/c-1/out");
        let call = [
            "--crate-name".to_owned(),
            "cells".to_owned(),
            "-L".to_owned(),
            format!("dependency={}", at("")),
            "--extern".to_owned(),
            format!("two={}", at("libtwo-2.so")),
            "--extern".to_owned(),
            format!("noprelude:one={}", at("libone-1.rmeta")),
            "-L".to_owned(),
            format!("native={}", out.display()),
            "-L".to_owned(),
            "/usr/lib/c".to_owned(),
        ];
        let built = Built { call: call.to_vec(), ..Built::default() };
        let inputs = Inputs::default();
        let graph = Graph::of(&built, Vec::new(), &place, "locked".into(), inputs).unwrap();
        let named = |name: &str, file: &str| Extern {
            name: name.into(),
            file: Path::new("debug/deps").join(file),
        };
        assert_eq!(graph.externs, [named("one", "libone-1.rlib"), named("two", "libtwo-2.so")]);
        let inside = Search::Inside { kind: "native".into(), folder: "debug/build/c-1/out".into() };
        assert_eq!(graph.searches, [inside, Search::Outside("/usr/lib/c".into())]);
        place.prepare().unwrap();
        graph.keep(&place, "key").unwrap();
        assert_eq!(Graph::kept(&place, "key", &Environment::new()), Some(graph));
        assert_eq!(Graph::kept(&place, "other", &Environment::new()), None);
    }
}
