//! Whether what a session adds goes together with its libraries.
//!
//! Cargo unites the features of a crate over all that is resolved together: whoever asks for more of a crate
//! that a library uses would have the library compiled anew, and values of its types would be of no use any
//! more. A library that says which packages its users meet stays as it was compiled by itself. What
//! would have changed it is resolved without it, with the very features that it has beside it: what is alike in
//! both is the same files then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::cargo::{PackageId, folder};
use crate::graph::Graph;
use crate::manifest::Library;
use crate::place::Place;
use crate::units::Kind;

/// What cargo would compile.
#[derive(Debug, Deserialize)]
pub(crate) struct Units {
    units: Vec<Planned>,
    roots: Vec<usize>,
}

/// A unit that cargo would compile.
#[derive(Debug, Deserialize)]
struct Planned {
    pkg_id: String,
    target: Target,
    mode: String,
    features: BTreeSet<String>,
    dependencies: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    index: usize,
    extern_crate_name: String,
}

/// How what a session adds is resolved beside its libraries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// The text of Cargo.lock for all of it.
    pub versions: String,
    /// None where all goes together.
    pub apart: Option<Apart>,
}

/// What is resolved without the libraries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Apart {
    /// Crates with exactly the features that they have beside the libraries, by the names that
    /// cells know them by, or others.
    pub features: Table,
    /// The same for build scripts and macros.
    pub features_for_host: Table,
    /// The crates of it that cells can name.
    pub crates: BTreeSet<String>,
    /// Those that the libraries have in another build, by their packages.
    pub twice: Vec<String>,
}

/// What tells whether two units are the same but for what they lean on.
type Likeness = (String, String, Kind, BTreeSet<String>);

impl Planned {
    fn kind(&self) -> Kind {
        let is = |kind: &str| self.target.kind.iter().any(|found| found == kind);
        match self.mode.as_str() {
            "run-custom-build" => Kind::ScriptRun,
            _ if is("custom-build") => Kind::Script,
            _ if is("proc-macro") => Kind::Macro,
            _ => Kind::Library,
        }
    }

    fn likeness(&self) -> Likeness {
        let PackageId { name, version, .. } = PackageId::of(&self.pkg_id);
        let kind = self.kind();
        // The note about the run of a build script has none.
        let features =
            if kind == Kind::ScriptRun { BTreeSet::new() } else { self.features.clone() };
        (name, version, kind, features)
    }
}

impl Units {
    /// Looks at what cargo would compile for all crates together. `library` is what there is of the
    /// libraries by themselves, `others` are the other dependencies.
    pub(crate) fn decide(
        &self,
        libraries: &BTreeMap<String, Library>,
        library: &Graph,
        others: &BTreeMap<String, Value>,
    ) -> Option<Apart> {
        let there: BTreeSet<Likeness> = library
            .units
            .iter()
            .map(|unit| {
                let features = unit.features.iter().cloned().collect();
                (unit.package.clone(), unit.version.clone(), unit.kind, features)
            })
            .collect();
        let changed = self.changed(&there);
        let named = self.roots.iter().flat_map(|root| &self.units[*root].dependencies);
        let (mut stays, mut roots, mut crates) = (true, Vec::new(), BTreeSet::new());
        for Edge { index, extern_crate_name } in named {
            // A crate may have another name than its package: md-5 is `md5`.
            let package = PackageId::of(&self.units[*index].pkg_id).name;
            let is_it = |(name, spec): &(&String, &Value)| match spec.get("package") {
                Some(_) => name.replace('-', "_") == *extern_crate_name,
                None => **name == package,
            };
            match others.iter().find(is_it) {
                Some((name, _)) => {
                    crates.insert(extern_crate_name.clone());
                    roots.push((name, *index));
                }
                None => stays &= !changed[*index],
            }
        }
        if stays {
            return None;
        }
        let mut reached = BTreeSet::new();
        roots.iter().for_each(|(_, index)| self.reach(*index, false, &mut reached));
        // Types that meet must be of one crate.
        let meets = |index: usize| {
            let name = PackageId::of(&self.units[index].pkg_id).name;
            changed[index] && libraries.values().any(|library| library.public.contains(&name))
        };
        if reached.iter().any(|(index, _)| meets(*index)) {
            return None;
        }
        let mut apart = Apart { crates, ..Apart::default() };
        for (index, for_host) in &reached {
            let unit = &self.units[*index];
            let into = if *for_host { &mut apart.features_for_host } else { &mut apart.features };
            let named = roots.iter().find(|(_, root)| self.units[*root].pkg_id == unit.pkg_id);
            if let Some((name, mut spec)) = exactly(unit) {
                let name = named.map_or(name, |(name, _)| (*name).clone());
                // Cargo takes a name that is written out for another one than the same left out.
                if spec.get("package").and_then(Value::as_str) == Some(&name) {
                    spec.remove("package");
                }
                into.insert(name, spec.into());
            }
        }
        let others = roots.iter().filter(|(_, index)| changed[*index]);
        let names = others.map(|(_, index)| PackageId::of(&self.units[*index].pkg_id).name);
        let has = |name: &String| library.linkable().any(|unit| unit.package == *name);
        apart.twice = names.filter(has).collect();
        Some(apart)
    }

    /// Of each unit whether it, or what it leans on, is none of those that are there.
    fn changed(&self, there: &BTreeSet<Likeness>) -> Vec<bool> {
        let mut changed: Vec<bool> =
            self.units.iter().map(|unit| !there.contains(&unit.likeness())).collect();
        loop {
            let mut again = false;
            for (index, unit) in self.units.iter().enumerate() {
                if !changed[index] && unit.dependencies.iter().any(|edge| changed[edge.index]) {
                    changed[index] = true;
                    again = true;
                }
            }
            if !again {
                return changed;
            }
        }
    }

    /// All that a unit leans on, itself included, each with whether it runs while others are compiled.
    fn reach(&self, index: usize, for_host: bool, reached: &mut BTreeSet<(usize, bool)>) {
        let unit = &self.units[index];
        let for_host = for_host || matches!(unit.kind(), Kind::Macro | Kind::Script);
        if reached.insert((index, for_host)) {
            unit.dependencies.iter().for_each(|edge| self.reach(edge.index, for_host, reached));
        }
    }
}

/// A dependency on a crate with exactly the features of a unit. None for what no manifest can name so.
/// Cargo wants one name for a package of one version, in all lists.
fn exactly(unit: &Planned) -> Option<(String, Table)> {
    if !matches!(unit.kind(), Kind::Library | Kind::Macro) {
        return None;
    }
    let PackageId { name, version, text, .. } = PackageId::of(&unit.pkg_id);
    let mut spec = Table::new();
    if let Some(folder) = folder(&text) {
        spec.insert("path".into(), folder.into());
    } else if text.starts_with("registry+https://github.com/rust-lang/crates.io-index#") {
        let version = version.split('+').next().unwrap_or(&version);
        spec.insert("version".into(), format!("={version}").into());
    } else {
        return None;
    }
    spec.insert("package".into(), name.clone().into());
    spec.insert("default-features".into(), false.into());
    spec.insert("features".into(), unit.features.iter().cloned().collect::<Vec<_>>().into());
    Some((format!("{name}-{version}").replace(['.', '+'], "-"), spec))
}

impl Decision {
    fn path(place: &Place, key: &str) -> PathBuf {
        place.apart().join(format!("{key}.json"))
    }

    /// What an earlier session has decided.
    pub(crate) fn kept(place: &Place, key: &str) -> Option<Decision> {
        serde_json::from_slice(&fs::read(Decision::path(place, key)).ok()?).ok()
    }

    /// Keeps it for later sessions.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub(crate) fn keep(&self, place: &Place, key: &str) -> anyhow::Result<()> {
        let text = serde_json::to_vec(self).context("a decision cannot be written")?;
        shared::files::replace(&Decision::path(place, key), &text)
            .context("a decision cannot be written")
    }
}

impl Apart {
    /// The dependencies of a manifest for the rest alone.
    pub(crate) fn with_features(
        &self,
        others: &BTreeMap<String, Value>,
    ) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        let mut features = self.features.clone();
        for (name, spec) in others {
            // As the reader has written it, with the features that others ask for as well.
            let exact = features.remove(name);
            all.insert(
                name.clone(),
                exact.map_or_else(|| spec.clone(), |exact| united(spec, &exact)),
            );
        }
        all.extend(features);
        all
    }
}

/// A dependency with the features of another one, too.
fn united(spec: &Value, other: &Value) -> Value {
    let mut spec = match spec {
        Value::Table(spec) => spec.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    let of = |spec: Option<&Value>| spec.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut features = of(spec.get("features"));
    for feature in of(other.get("features")) {
        if !features.contains(&feature) {
            features.push(feature);
        }
    }
    spec.insert("features".into(), features.into());
    spec.into()
}
