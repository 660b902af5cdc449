//! The crates of one session.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use toml::Value;

use crate::cargo::{Built, Failure, Request, WAITING};
use crate::content::hash_of;
use crate::error::{Error, tells_of_no_room};
use crate::graph::Graph;
use crate::inputs::{Environment, Inputs};
use crate::linked::{self, Linked};
use crate::locks;
use crate::manifest::{self, Dependency};
use crate::place::{Place, Toolchain};
use crate::prelink::{self, Prelinker, altered};
use crate::process::Interrupter;
use crate::said::Said;
use crate::store::{LIMIT, Store, absolute};
use crate::units::{self, remove};

/// The crates of one session: which they are, and what its cells link.
#[derive(Debug)]
pub struct Crates {
    store: Store,
    /// The session's own folder.
    folder: PathBuf,
    /// Where paths of dependencies begin.
    base: PathBuf,
    linker: PathBuf,
    dependencies: BTreeMap<String, Value>,
    linked: Linked,
    variables: Environment,
    offline: bool,
    lock_file: Option<PathBuf>,
    toolchain: Option<Toolchain>,
    /// Whether the store cannot be written: the session compiles in its own folder from then on.
    alone: bool,
    interrupter: Interrupter,
    /// What the session uses of the store, marked for as long as it does.
    in_use: Vec<File>,
}

/// What came of an `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// Packages that were linked before and are others now, by their content or features: variables
    /// of their types are of no use any more.
    pub changed: Vec<String>,
    /// Packages that were linked before, are the same, and have new statics, since something in their
    /// library has changed.
    pub relinked: Vec<String>,
    /// Whether anything was compiled.
    pub compiled: bool,
}

/// A graph, and where its files are.
struct Resolved {
    graph: Graph,
    place: Place,
    /// By which names it is kept.
    keys: Vec<String>,
    linked: Linked,
    compiled: bool,
}

/// What is asked for by an `add`.
struct Wanted {
    manifest: String,
    /// The text of Cargo.lock to begin with.
    versions: Option<String>,
    /// All else that has a say in what cargo does, but for what the graph itself notes.
    circumstances: Vec<String>,
    /// Where the versions are kept that were taken for these dependencies, if this session has none of
    /// its own: those of the next one are to be the same.
    keep_versions: Option<PathBuf>,
    toolchain: Toolchain,
    environment: Environment,
}

impl Wanted {
    /// Names the graph of these versions.
    fn key(&self, versions: &str) -> String {
        let circumstances = self.circumstances.iter().map(String::as_str);
        hash_of([self.manifest.as_str(), versions].into_iter().chain(circumstances))
    }
}

/// How often cargo is called again where what it found was altered.
const ATTEMPTS: usize = 3;

impl Crates {
    /// A session without crates. Nothing is read or written until some are added.
    ///
    /// `folder` is the session's own; paths of dependencies begin at `base`. `linker` is a link of the
    /// name [`LINKER`](crate::LINKER) to a program that calls [`enter`](crate::enter).
    pub fn new(store: Store, folder: &Path, base: &Path, linker: PathBuf) -> Crates {
        Crates {
            store,
            folder: absolute(folder),
            base: absolute(base),
            linker: absolute(&linker),
            dependencies: BTreeMap::new(),
            linked: Linked::default(),
            variables: Environment::new(),
            offline: false,
            lock_file: None,
            toolchain: None,
            alone: false,
            interrupter: Interrupter::default(),
            in_use: Vec::new(),
        }
    }

    /// Whether the network is never asked.
    pub fn offline(&mut self, offline: bool) {
        self.offline = offline;
    }

    /// Sets a variable for compilers and build scripts.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
        // The compiler may be another one now.
        self.toolchain = None;
    }

    /// Versions are exactly those of this file, from the next `add` on; None takes that back.
    pub fn lock_file(&mut self, path: Option<PathBuf>) {
        self.lock_file = path;
    }

    /// Writes the versions of this session into a file, for [`Crates::lock_file`].
    ///
    /// # Errors
    /// A session without crates; a file that cannot be written.
    pub fn write_lock_file(&self, path: &Path) -> Result<(), Error> {
        let own = self.manifest_folder().join(LOCK);
        let text = fs::read(own).context("there are no crates yet, and no versions of any")?;
        Ok(shared::files::replace(path, &text)?)
    }

    /// What ends an `add` from another thread.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// How cells are compiled with the crates.
    pub fn linked(&self) -> &Linked {
        &self.linked
    }

    /// The folder of the session's package: Cargo.toml, Cargo.lock and src/lib.rs. It is there once
    /// crates were added.
    pub fn manifest_folder(&self) -> PathBuf {
        self.folder.join("cells")
    }

    /// Forgets all crates.
    ///
    /// # Errors
    /// A folder that cannot be changed.
    pub fn forget(&mut self) -> Result<(), Error> {
        remove(&self.manifest_folder())?;
        self.dependencies.clear();
        self.linked = Linked::default();
        self.in_use.clear();
        Ok(())
    }

    /// Adds crates, or other specifications of those that are there: all are resolved and compiled in
    /// one go. `say` is told what happens. With nothing new, local crates that have changed are
    /// compiled anew.
    ///
    /// # Errors
    /// Crates that cannot be had or do not compile. Nothing of the session has changed then.
    pub fn add(&mut self, new: &[Dependency], say: &dyn Fn(Said<'_>)) -> Result<Added, Error> {
        self.interrupter.reset();
        let dependencies = self.with(new);
        if dependencies.is_empty() {
            return Ok(Added::default());
        }
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("{} cannot be made", self.folder.display()))?;
        let wanted = self.wanted(&dependencies)?;
        let resolved = self.resolve(&wanted, say)?;
        let (linked, layers_used) = self.prelinked(resolved.linked, &wanted, say)?;
        let added = Added { compiled: resolved.compiled, ..compare(&self.linked, &linked) };
        self.publish(&wanted.manifest, &resolved.graph.versions)?;
        let marks = resolved.keys.iter().map(|key| Graph::mark(&resolved.place, key));
        let marks = marks.chain(layers_used);
        self.in_use = marks.filter_map(|mark| locks::in_use(&mark)).collect();
        self.dependencies = dependencies;
        self.linked = linked;
        if added.compiled && !self.alone {
            // What was added is there all the same.
            if let Err(error) = self.store.collect(LIMIT) {
                say(Said::Word(&format!("old crates cannot be removed from the store: {error:#}")));
            }
        }
        Ok(added)
    }

    /// Whether the store holds all that an `add` of these would bring, as it is now: then nothing has to be
    /// compiled. Cargo is not asked, so that a set of crates that no session has added as it is counts as
    /// missing, whatever is there of it.
    ///
    /// # Errors
    /// A compiler that does not run; a folder that cannot be written.
    pub fn has(&mut self, new: &[Dependency]) -> Result<bool, Error> {
        let dependencies = self.with(new);
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("{} cannot be made", self.folder.display()))?;
        let wanted = self.wanted(&dependencies)?;
        let place = Place::new(self.store.root(), &wanted.toolchain);
        Ok(self.kept(&place, &wanted)?.is_some())
    }

    /// The crates that there are, and these.
    fn with(&self, new: &[Dependency]) -> BTreeMap<String, Value> {
        let mut dependencies = self.dependencies.clone();
        for dependency in new {
            let Dependency { name, spec } = dependency.clone().below(&self.base);
            dependencies.insert(name, spec);
        }
        dependencies
    }

    /// Puts the package where rust-analyzer and the next `add` find it.
    fn publish(&self, manifest: &str, versions: &str) -> Result<(), Error> {
        let folder = self.manifest_folder();
        let source = folder.join(SOURCE);
        if !source.exists() {
            shared::files::replace(&source, b"")?;
        }
        shared::files::replace(&folder.join(LOCK), versions.as_bytes())?;
        Ok(shared::files::replace(&folder.join(MANIFEST), manifest.as_bytes())?)
    }

    fn wanted(&mut self, dependencies: &BTreeMap<String, Value>) -> Result<Wanted, Error> {
        let mut environment: Environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        environment.extend(self.variables.clone());
        let toolchain = match &self.toolchain {
            Some(toolchain) => toolchain.clone(),
            None => Toolchain::find(&self.folder, &environment, &self.interrupter)?,
        };
        self.toolchain = Some(toolchain.clone());
        let manifest = manifest::text(dependencies)?;
        let read = |path: &Path| {
            let text = fs::read_to_string(path);
            text.with_context(|| format!("{} cannot be read", path.display()))
        };
        let own = self.manifest_folder().join(LOCK);
        let kept = self.store.versions(&hash_of([manifest.as_str()]));
        let (versions, keep_versions) = if let Some(path) = &self.lock_file {
            (Some(read(path)?), None)
        } else if own.exists() {
            (Some(read(&own)?), None)
        } else {
            (kept.exists().then(|| read(&kept)).transpose()?, Some(kept))
        };
        let locked = if self.lock_file.is_some() { "exactly" } else { "" };
        let mut circumstances = vec![locked.to_owned()];
        for (name, value) in environment.iter().filter(|(name, _)| is_of_cargo(name)) {
            circumstances.extend([name.clone(), value.clone()]);
        }
        circumstances.extend(self.configurations(&environment));
        Ok(Wanted { manifest, versions, circumstances, keep_versions, toolchain, environment })
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
    fn resolve(&mut self, wanted: &Wanted, say: &dyn Fn(Said<'_>)) -> Result<Resolved, Error> {
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
    fn kept(&self, place: &Place, wanted: &Wanted) -> Result<Option<Resolved>, Error> {
        let key = wanted.key(wanted.versions.as_deref().unwrap_or_default());
        let Some(graph) = Graph::kept(place, &key, &wanted.environment) else {
            return Ok(None);
        };
        let linked = linked::link(&graph, place, &self.crates())?;
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
        shared::files::replace(&adding.join(MANIFEST), wanted.manifest.as_bytes())?;
        if let Some(versions) = &wanted.versions {
            shared::files::replace(&adding.join(LOCK), versions.as_bytes())?;
        }
        let request = Request {
            folder: adding,
            place,
            toolchain: &wanted.toolchain,
            variables: &self.variables,
            locked: self.lock_file.is_some(),
        };
        // A file system's clock may be a little behind.
        let since = nanoseconds(SystemTime::now() - Duration::from_millis(20));
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
            let linked = linked::link(&graph, place, &self.crates())?;
            let Some(linked) = linked else { continue };
            let place = place.clone();
            return Ok(Resolved { graph, place, keys, linked, compiled });
        }
        Err(anyhow!("the store is changed by another program again and again"))?
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
    fn told(&self, failure: Failure) -> Error {
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

    /// The session's own files of crates.
    fn crates(&self) -> PathBuf {
        self.folder.join("crates")
    }

    /// With the layers that hold, and one more for what is new.
    fn prelinked(
        &self,
        mut linked: Linked,
        wanted: &Wanted,
        say: &dyn Fn(Said<'_>),
    ) -> Result<(Linked, Vec<PathBuf>), Error> {
        linked.layers = prelink::that_hold(&self.linked.layers, &linked);
        let place = Place::new(self.store.root(), &wanted.toolchain);
        let prelinker = Prelinker {
            store: &place.layers(),
            own: &self.folder.join("layers"),
            linker: &self.linker,
            toolchain: &wanted.toolchain,
            variables: &self.variables,
            interrupter: &self.interrupter,
            say,
        };
        match prelinker.layer(&linked.layers, &linked) {
            Ok(None) => {}
            Ok(Some((layer, _))) => linked.layers.push(layer),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                let why = error.to_string();
                say(Said::Word(&format!(
                    "these crates do not go into one library, so that cells are linked more \
                     slowly and do not share what is static in them: {why}"
                )));
                // Half of the crates in a library and half not would be two of some.
                linked.layers.clear();
                linked.not_prelinked = Some(why);
            }
        }
        let marks = linked.layers.iter().map(|layer| place.layers().join(&layer.hash).join(USED));
        let marks = marks.collect();
        Ok((linked, marks))
    }
}

const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";
const SOURCE: &str = "src/lib.rs";
/// In the folder of a layer: marks it as in use.
pub(crate) const USED: &str = "used";

/// Whether a variable has a say in what cargo does. Those that it sets for the programs that it starts
/// have not.
fn is_of_cargo(name: &str) -> bool {
    const SET_BY_CARGO: [&str; 6] = [
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
        && SET_BY_CARGO.iter().all(|start| !name.starts_with(start))
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

/// What has changed for cells.
fn compare(before: &Linked, now: &Linked) -> Added {
    let same = |file: &String, content| now.contents.get(file) == Some(content);
    let held = before.layers.iter().flat_map(|layer| &layer.contents);
    // Where nothing was put into libraries, all that cells may have linked counts.
    let loose = before.contents.iter().filter(|_| before.layers.is_empty());
    let linked: Vec<_> = held.chain(loose).collect();
    let changed: BTreeSet<_> = linked
        .iter()
        .filter(|(file, content)| !same(file, content))
        .map(|(_, (package, _))| package.clone())
        .collect();
    let gone = before.layers.iter().filter(|layer| !now.layers.contains(layer));
    let relinked: BTreeSet<_> = gone
        .flat_map(|layer| layer.contents.values())
        .map(|(package, _)| package.clone())
        .filter(|package| !changed.contains(package))
        .collect();
    let (changed, relinked) = (Vec::from_iter(changed), Vec::from_iter(relinked));
    Added { changed, relinked, compiled: false }
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
