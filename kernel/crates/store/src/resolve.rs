//! How what a session wants is had: from what earlier sessions have left, or by cargo.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use toml::Value;

use crate::cargo::{Built, Failure, Request, WAITING};
use crate::content::hash_of;
use crate::crates::Crates;
use crate::error::{Error, tells_of_no_room};
use crate::graph::Graph;
use crate::inputs::{Environment, Inputs};
use crate::linked::{self, Linked};
use crate::locks;
use crate::manifest::{self, Library};
use crate::place::{Place, Toolchain};
use crate::prelink::altered;
use crate::said::Said;
use crate::units::{self, remove};

pub(crate) const MANIFEST: &str = "Cargo.toml";
pub(crate) const LOCK: &str = "Cargo.lock";
/// A graph, and where its files are.
pub(crate) struct Resolved {
    /// All of it.
    pub graph: Graph,
    pub place: Place,
    /// By which names it is kept.
    pub keys: Vec<String>,
    /// The same, in the session.
    pub linked: Linked,
    /// Whether anything was compiled.
    pub compiled: bool,
}

/// What cargo is to resolve.
pub(crate) struct Wanted {
    pub manifest: String,
    /// The text of Cargo.lock to begin with.
    pub versions: Option<String>,
    /// Whether the versions must be these.
    pub locked: bool,
    /// The crates that cells can name, if not all of them.
    pub named: Option<BTreeSet<String>>,
    /// All else that has a say in what cargo does, but for what the graph itself notes.
    pub circumstances: Vec<String>,
    /// Where the versions are kept that were taken for these dependencies, if this session has none of
    /// its own: those of the next one are to be the same.
    pub keep_versions: Option<PathBuf>,
    pub toolchain: Toolchain,
    pub environment: Environment,
}

impl Wanted {
    /// Names the graph of these versions.
    pub(crate) fn key(&self, versions: &str) -> String {
        let locked = if self.locked { "exactly" } else { "" };
        let circumstances = self.circumstances.iter().map(String::as_str);
        hash_of([self.manifest.as_str(), versions, locked].into_iter().chain(circumstances))
    }

    /// The rest of it alone, of which cells can name these crates.
    pub(crate) fn beside(
        &self,
        versions: &str,
        manifest: String,
        crates: &BTreeSet<String>,
    ) -> Wanted {
        Wanted {
            manifest,
            versions: Some(versions.to_owned()),
            // What belongs to the libraries alone is taken out of them.
            locked: false,
            named: Some(crates.clone()),
            circumstances: self.circumstances.clone(),
            keep_versions: None,
            toolchain: self.toolchain.clone(),
            environment: self.environment.clone(),
        }
    }

    /// A graph without the crates that cells cannot name.
    fn for_cells<'a>(&self, graph: &'a Graph) -> Cow<'a, Graph> {
        let Some(named) = &self.named else { return Cow::Borrowed(graph) };
        let mut graph = graph.clone();
        graph.externs.retain(|each| named.contains(&each.name));
        Cow::Owned(graph)
    }
}

impl Resolved {
    /// Where is said that it is in use.
    pub(crate) fn marks(&self) -> Vec<PathBuf> {
        self.keys.iter().map(|key| Graph::mark(&self.place, key)).collect()
    }
}

/// How often cargo is called again where what it found was altered.
const ATTEMPTS: usize = 3;

/// How far a file system's clock may be behind the computer's.
const CLOCK_LAG: Duration = Duration::from_millis(20);

impl Crates {
    pub(crate) fn wanted(
        &mut self,
        dependencies: &BTreeMap<String, Value>,
        libraries: &BTreeMap<String, Library>,
    ) -> Result<Wanted, Error> {
        let mut environment: Environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        environment.extend(self.variables.clone());
        let toolchain = match &self.toolchain {
            Some(toolchain) => toolchain.clone(),
            None => Toolchain::find(&self.folder, &environment, &self.interrupter)?,
        };
        self.toolchain = Some(toolchain.clone());
        let profile = manifest::profile(dependencies, libraries);
        let manifest = manifest::text(dependencies, &toml::Table::new(), profile)?;
        let kept = self.store.versions(&hash_of([manifest.as_str()]));
        let (versions, keep_versions) = if let Some(path) = &self.lock_file {
            (Some(read(path)?), None)
        } else if let Some(own) = self.own_versions() {
            (Some(read(&own)?), None)
        } else if kept.exists() {
            (Some(read(&kept)?), Some(kept))
        } else {
            (self.prepared(dependencies, libraries)?, Some(kept))
        };
        let locked = self.lock_file.is_some();
        let mut circumstances = Vec::new();
        for (name, value) in environment.iter().filter(|(name, _)| is_of_cargo(name)) {
            circumstances.extend([name.clone(), value.clone()]);
        }
        circumstances.extend(self.configurations(&environment));
        Ok(Wanted {
            manifest,
            versions,
            locked,
            named: None,
            circumstances,
            keep_versions,
            toolchain,
            environment,
        })
    }

    /// The versions of what set-up has prepared: the libraries among dependencies, and nothing else.
    pub(crate) fn prepared(
        &self,
        dependencies: &BTreeMap<String, Value>,
        libraries: &BTreeMap<String, Library>,
    ) -> Result<Option<String>, Error> {
        let alone = dependencies.iter().filter(|(name, _)| libraries.contains_key(*name));
        let alone = alone.map(|(name, spec)| (name.clone(), spec.clone())).collect();
        let profile = manifest::profile(&alone, libraries);
        let text = manifest::text(&alone, &toml::Table::new(), profile)?;
        let kept = self.store.versions(&hash_of([text.as_str()]));
        Ok(kept.exists().then(|| read(&kept)).transpose()?)
    }

    /// The texts of cargo's configurations that hold in the session's folder.
    fn configurations(&self, environment: &Environment) -> Vec<String> {
        let home = environment
            .get("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| environment.get("HOME").map(|home| Path::new(home).join(".cargo")));
        let above = self.folder.ancestors().map(|folder| folder.join(".cargo"));
        let names = ["config.toml", "config"];
        let files = above.chain(home).flat_map(|folder| names.map(|name| folder.join(name)));
        files.filter_map(|file| fs::read_to_string(file).ok()).collect()
    }

    /// From what is kept, or by cargo.
    pub(crate) fn resolve(
        &mut self,
        wanted: &Wanted,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Resolved, Error> {
        if !self.alone {
            let place = Place::new(self.store.root(), &wanted.toolchain);
            match self.resolve_in(&place, wanted, say) {
                Err(Error::NoRoom(why)) => {
                    say(Said::Word(&format!(
                        "the store of crates cannot be written ({why}): \
                         these are compiled for this session alone"
                    )));
                    self.alone = true;
                }
                other => return other,
            }
        }
        let place = Place::new(&self.folder.join("store"), &wanted.toolchain);
        self.resolve_in(&place, wanted, say).map_err(|error| match error {
            Error::NoRoom(why) => Error::NoRoom(format!(
                "there is no room to compile crates, neither in the store nor in {}: {why}",
                self.folder.display()
            )),
            other => other,
        })
    }

    fn resolve_in(
        &self,
        place: &Place,
        wanted: &Wanted,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Resolved, Error> {
        if let Some(resolved) = self.kept(place, wanted)? {
            return Ok(resolved);
        }
        let cannot = |error: anyhow::Error| Error::NoRoom(format!("{error:#}"));
        place.prepare().map_err(cannot)?;
        let _lock =
            locks::wait_for(&place.lock(), &self.interrupter, || say(Said::Progress(WAITING)));
        let _lock = match _lock {
            Err(Error::Other(error)) => return Err(cannot(error)),
            other => other?,
        };
        // The session that was waited for may have compiled the same.
        if let Some(resolved) = self.kept(place, wanted)? {
            return Ok(resolved);
        }
        let settled = units::settle(place).map_err(room)?;
        settled.altered.iter().for_each(|name| say(Said::Word(&altered(name))));
        if !settled.late.is_empty() {
            let graphs = Graph::all(place).map_err(room)?;
            let graphs: Vec<_> = graphs.into_iter().map(|graph| graph.units).collect();
            units::date_later(place, &settled.late, &graphs).map_err(room)?;
        }
        let adding = self.folder.join("adding");
        remove(&adding)?;
        let resolved = self.compile(place, wanted, &adding, say);
        remove(&adding)?;
        resolved
    }

    /// What an earlier session has left, with no other program asked.
    pub(crate) fn kept(&self, place: &Place, wanted: &Wanted) -> Result<Option<Resolved>, Error> {
        let key = wanted.key(wanted.versions.as_deref().unwrap_or_default());
        let Some(graph) = Graph::kept(place, &key, &wanted.environment) else {
            return Ok(None);
        };
        let linked = linked::link(&wanted.for_cells(&graph), place, &self.crates())?;
        let (keys, place) = (vec![key], place.clone());
        Ok(linked.map(|linked| Resolved { graph, place, keys, linked, compiled: false }))
    }

    /// By cargo. The place is locked.
    fn compile(
        &self,
        place: &Place,
        wanted: &Wanted,
        adding: &Path,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Resolved, Error> {
        let request = self.request(wanted, place, adding)?;
        // What was written until now cargo reads. A file system's clock may be a little behind, so that
        // what is written once cargo runs is not dated before this.
        let since = nanoseconds(SystemTime::now());
        std::thread::sleep(CLOCK_LAG);
        let mut compiled = false;
        for _ in 0..ATTEMPTS {
            let built = match self.build(&request, say)? {
                Ok(built) => built,
                Err(failure) => {
                    if let Some(why) = failure.no_room(&place.folder) {
                        return Err(Error::NoRoom(why));
                    }
                    // A crate that was altered may be why another does not compile.
                    let found = units::check(place, &failure.built, since, &wanted.environment);
                    let found = found.map_err(room)?;
                    if !found.again {
                        return Err(self.told(failure));
                    }
                    found.altered.iter().for_each(|name| say(Said::Word(&altered(name))));
                    continue;
                }
            };
            compiled |= built.artifacts.iter().any(|artifact| !artifact.fresh);
            let found = units::check(place, &built, since, &wanted.environment).map_err(room)?;
            if found.again {
                let names: BTreeSet<_> = found.altered.iter().collect();
                names.into_iter().for_each(|name| say(Said::Word(&altered(name))));
                continue;
            }
            let versions = fs::read_to_string(adding.join(LOCK)).context("cargo wrote no lock")?;
            let manifests = manifests(&built)?;
            // Else it is not known which of two manifests cargo has read.
            let known =
                !manifests.changed_after(since) && !found.units.iter().any(|unit| unit.doubtful);
            let graph = Graph::of(&built, found.units, place, versions, manifests)?;
            // For a session that begins with the same versions, and for one that begins with these.
            let begun = wanted.versions.as_ref().filter(|versions| **versions != graph.versions);
            let names = begun.into_iter().chain([&graph.versions]);
            let keys: Vec<_> = names.map(|versions| wanted.key(versions)).collect();
            if known {
                keys.iter().try_for_each(|key| graph.keep(place, key)).map_err(room)?;
            }
            if let Some(path) = &wanted.keep_versions
                && !self.alone
            {
                shared::files::replace(path, graph.versions.as_bytes()).map_err(room)?;
            }
            let linked = linked::link(&wanted.for_cells(&graph), place, &self.crates())?;
            let Some(linked) = linked else { continue };
            let place = place.clone();
            return Ok(Resolved { graph, place, keys, linked, compiled });
        }
        Err(anyhow!("the store is changed by another program again and again"))?
    }

    /// A folder with a manifest, for cargo.
    pub(crate) fn request<'a>(
        &'a self,
        wanted: &'a Wanted,
        place: &'a Place,
        folder: &'a Path,
    ) -> Result<Request<'a>, Error> {
        shared::files::replace(&folder.join(MANIFEST), wanted.manifest.as_bytes())?;
        if let Some(versions) = &wanted.versions {
            shared::files::replace(&folder.join(LOCK), versions.as_bytes())?;
        }
        let Wanted { toolchain, locked, .. } = wanted;
        Ok(Request { folder, place, toolchain, variables: &self.variables, locked: *locked })
    }

    /// Without the network first: where all is at hand, versions stay and nobody is waited for.
    fn build(
        &self,
        request: &Request<'_>,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Result<Built, Failure>, Error> {
        let build = |offline| request.build(offline, &self.interrupter, say);
        match build(true)? {
            Err(failure) if !failure.began && !self.offline => build(false),
            other => Ok(other),
        }
    }

    /// In words for readers.
    pub(crate) fn told(&self, failure: Failure) -> Error {
        if let Some(path) = &self.lock_file
            && !failure.began
            && failure.stderr.contains("--locked")
        {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Error::Unavailable(format!(
                "{name} does not hold the versions of all these crates: write it anew"
            ));
        }
        failure.into_error(self.offline)
    }
}

/// Whether a variable has a say in what cargo compiles. Those that it sets for the programs that it starts
/// have not, nor have those that say how crates come here and what is written on a screen. Of its home, the
/// text of the configuration counts, wherever that lies.
fn is_of_cargo(name: &str) -> bool {
    const OTHERS: [&str; 10] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_TERM_",
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
        "CARGO_TARGET_TMPDIR",
    ];
    // Of rustup's, the one that chooses the compiler; a note counts elsewhere without the others.
    let read = ["CARGO_", "RUSTC"].iter().any(|start| name.starts_with(start));
    (read || matches!(name, "RUSTFLAGS" | "RUSTUP_TOOLCHAIN"))
        && OTHERS.iter().all(|start| !name.starts_with(start))
}

/// The manifests of local packages and of what lies above them, and where a build script would be.
fn manifests(built: &Built) -> Result<Inputs, Error> {
    let mut inputs = Inputs::default();
    for artifact in built.artifacts.iter().filter(|artifact| artifact.package.local) {
        let script = artifact.folder.join("build.rs");
        for path in manifest::manifests_above(&artifact.folder).into_iter().chain([script]) {
            inputs.add(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        }
    }
    Ok(inputs)
}

/// The text of a file, which is named where it cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// An error of writing the store.
fn room(error: anyhow::Error) -> Error {
    let text = format!("{error:#}");
    if tells_of_no_room(&text) { Error::NoRoom(text) } else { Error::Other(error) }
}
