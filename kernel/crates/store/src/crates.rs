//! The crates of one session.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml::Value;

use crate::apart::Decision;
use crate::cargo::SOURCE;
use crate::content::hash_of;
use crate::error::Error;
use crate::graph::Graph;
use crate::inputs::Environment;
use crate::linked::Linked;
use crate::locks;
use crate::manifest::{self, Dependency, Library};
use crate::place::{Place, Toolchain};
use crate::prelink::{self, Prelinker};
use crate::process::Interrupter;
use crate::resolve::{LOCK, MANIFEST, Resolved, Wanted, read};
use crate::said::Said;
use crate::store::{LIMIT, Store, absolute};
use crate::units::{Unit, remove};
use crate::versions;

/// The crates of one session: which they are, and what its cells link.
#[derive(Debug)]
pub struct Crates {
    pub(crate) store: Store,
    /// The session's own folder.
    pub(crate) folder: PathBuf,
    /// Where paths of dependencies begin.
    base: PathBuf,
    linker: PathBuf,
    dependencies: BTreeMap<String, Value>,
    linked: Linked,
    pub(crate) variables: Environment,
    pub(crate) offline: bool,
    pub(crate) lock_file: Option<PathBuf>,
    pub(crate) toolchain: Option<Toolchain>,
    /// Whether the store cannot be written: the session compiles in its own folder from then on.
    pub(crate) alone: bool,
    pub(crate) interrupter: Interrupter,
    /// What the session uses of the store, marked for as long as it does.
    in_use: Vec<File>,
    /// Crates of which was told that there are two builds of them.
    told: BTreeSet<String>,
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

/// All that a session is to have.
struct Whole {
    manifest: String,
    versions: String,
    linked: Linked,
    /// What its libraries have by themselves, where there is more than them.
    of_libraries: Option<Linked>,
    /// The names of its libraries.
    libraries: Vec<String>,
    /// Crates that cells name and that these have in another build.
    twice: Vec<String>,
    /// Where is said what of the store is in use.
    marks: Vec<PathBuf>,
    toolchain: Toolchain,
    compiled: bool,
}

impl Whole {
    /// All of it resolved in one go.
    fn of(wanted: Wanted, resolved: Resolved) -> Whole {
        let Wanted { manifest, toolchain, .. } = wanted;
        let marks = resolved.marks();
        let Resolved { graph, linked, compiled, .. } = resolved;
        let versions = graph.versions;
        Whole {
            manifest,
            versions,
            linked,
            of_libraries: None,
            libraries: Vec::new(),
            twice: Vec::new(),
            marks,
            toolchain,
            compiled,
        }
    }
}

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
            told: BTreeSet::new(),
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
        let own = self.own_versions().context("there are no crates yet, and no versions of any")?;
        let text = fs::read(&own).with_context(|| format!("{} cannot be read", own.display()))?;
        Ok(shared::files::replace(path, &text)?)
    }

    /// Where the versions of this session's crates stand. Before there are crates, a Cargo.lock at that place is that of
    /// whoever has asked cargo about the folder, as rust-analyzer does, and decides nothing.
    pub(crate) fn own_versions(&self) -> Option<PathBuf> {
        let own = self.manifest_folder().join(LOCK);
        (!self.dependencies.is_empty() && own.exists()).then_some(own)
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
        self.told.clear();
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
        let mut whole = self.whole(&dependencies, say)?;
        let (linked, layers_used) = self.prelinked(&mut whole, say)?;
        let added = Added { compiled: whole.compiled, ..compare(&self.linked, &linked) };
        self.publish(&whole.manifest, &whole.versions)?;
        let marks = whole.marks.iter().chain(&layers_used);
        self.in_use = marks.filter_map(|mark| locks::in_use(mark)).collect();
        self.tell_of_two_builds(whole, say);
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
        let libraries = Library::all(&dependencies);
        let wanted = self.wanted(&dependencies, &libraries)?;
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

    /// Everything: all resolved together, or the libraries by themselves and the rest beside them.
    fn whole(
        &mut self,
        dependencies: &BTreeMap<String, Value>,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Whole, Error> {
        let libraries = Library::all(dependencies);
        let mut wanted = self.wanted(dependencies, &libraries)?;
        let (of_libraries, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            dependencies.clone().into_iter().partition(|(name, spec)| {
                libraries.contains_key(name) || libraries.values().any(|one| one.meets(name, spec))
            });
        if libraries.is_empty() || others.is_empty() {
            let resolved = self.resolve(&wanted, say)?;
            return Ok(Whole::of(wanted, resolved));
        }
        let library_wanted = self.libraries(&of_libraries, &libraries)?;
        let mut library = self.resolve(&library_wanted, say)?;
        let came_later = !self.dependencies.is_empty()
            && !libraries.keys().any(|name| self.dependencies.contains_key(name));
        wanted.versions = Some(match wanted.versions {
            // Crates that came before the libraries go on with the versions of these.
            Some(own) if came_later && self.lock_file.is_none() => {
                versions::of_both(&own, &library.graph.versions)?
            }
            Some(own) => own,
            None => library.graph.versions.clone(),
        });
        let decision = self.decision(&wanted, &libraries, &library, &others, say)?;
        let mut compiled = library.compiled;
        if let Some(Decision { versions, apart: Some(apart) }) = decision {
            let beside = wanted.beside(
                &versions,
                manifest::text(
                    &apart.with_features(&others),
                    &apart.features_for_host,
                    manifest::profile(dependencies, &libraries),
                )?,
                &apart.crates,
            );
            let beside = self.resolve(&beside, say)?;
            compiled |= beside.compiled;
            if beside.place.folder != library.place.folder {
                // The store could not be written: what is linked together is of one place.
                library = self.resolve(&library_wanted, say)?;
            }
            if are_met(&libraries, &library.graph, &beside.graph) {
                if let Some(path) = wanted.keep_versions.filter(|_| !self.alone) {
                    shared::files::replace(&path, versions.as_bytes())?;
                }
                let mut marks = library.marks();
                marks.extend(beside.marks());
                return Ok(Whole {
                    manifest: wanted.manifest,
                    versions,
                    linked: library.linked.clone().and(beside.linked),
                    of_libraries: Some(library.linked),
                    libraries: libraries.into_keys().collect(),
                    twice: apart.twice,
                    marks,
                    toolchain: wanted.toolchain,
                    compiled,
                });
            }
        }
        let resolved = self.resolve(&wanted, say)?;
        let whole = Whole::of(wanted, resolved);
        compiled |= whole.compiled;
        Ok(Whole { compiled, of_libraries: Some(library.linked), ..whole })
    }

    /// How what a session adds is resolved beside its libraries. None where cargo cannot say.
    fn decision(
        &self,
        wanted: &Wanted,
        libraries: &BTreeMap<String, Library>,
        library: &Resolved,
        others: &BTreeMap<String, Value>,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Option<Decision>, Error> {
        let key = |versions: &str| {
            let mut parts = vec![wanted.key(versions)];
            parts.extend(library.graph.units.iter().map(|unit| unit.hash.clone()));
            for (name, library) in libraries {
                parts.push(name.clone());
                parts.extend(library.public.iter().cloned());
            }
            hash_of(parts.iter().map(String::as_str))
        };
        let begun = wanted.versions.as_deref().unwrap_or_default();
        if let Some(decision) = Decision::kept(&library.place, &key(begun)) {
            return Ok(Some(decision));
        }
        let adding = self.folder.join("adding");
        remove(&adding)?;
        let request = self.request(wanted, &library.place, &adding)?;
        let ask = |offline| request.units(offline, &self.interrupter, say);
        let units = match ask(true)? {
            Err(_) if !self.offline => ask(false)?,
            other => other,
        };
        let versions = fs::read_to_string(adding.join(LOCK));
        remove(&adding)?;
        let units = match units {
            Ok(units) => units,
            Err(failure) if failure.is_of_unit_graph() => {
                say(Said::Word(
                    "cargo does not say what it would compile: it may be more than needed",
                ));
                return Ok(None);
            }
            Err(failure) => return Err(self.told(failure)),
        };
        let versions = versions.context("cargo wrote no lock")?;
        let apart = units.decide(libraries, &library.graph, others);
        let decision = Decision { versions, apart };
        // Where it cannot be written, cargo is asked again; so it is where a local crate may have changed.
        let is_local = |spec: &Value| spec.get("path").is_some();
        if !others.values().any(is_local) {
            for key in [key(begun), key(&decision.versions)] {
                let _ = decision.keep(&library.place, &key);
            }
        }
        Ok(Some(decision))
    }

    /// The libraries of a session by themselves, as set-up has prepared them if it has.
    fn libraries(
        &mut self,
        dependencies: &BTreeMap<String, Value>,
        libraries: &BTreeMap<String, Library>,
    ) -> Result<Wanted, Error> {
        let mut wanted = self.wanted(dependencies, libraries)?;
        if self.lock_file.is_none() {
            let kept = self.store.versions(&hash_of([wanted.manifest.as_str()]));
            let begun = if kept.exists() {
                Some(read(&kept)?)
            } else {
                self.prepared(dependencies, libraries)?
            };
            wanted.versions = begun.or(wanted.versions);
            wanted.keep_versions = Some(kept);
        }
        // There are more than it needs.
        wanted.locked = false;
        Ok(wanted)
    }

    /// Tells once of each crate that cells name and a library has in another build.
    fn tell_of_two_builds(&mut self, whole: Whole, say: &dyn Fn(Said<'_>)) {
        let twice = whole.twice.into_iter();
        let news: Vec<_> = twice.filter(|name| !self.told.contains(name)).collect();
        if !news.is_empty() {
            say(Said::Word(&format!(
                "{} keeps its own {}: types of the two are not the same",
                whole.libraries.join(", "),
                news.join(", ")
            )));
        }
        self.told.extend(news);
    }

    /// The session's own files of crates.
    pub(crate) fn crates(&self) -> PathBuf {
        self.folder.join("crates")
    }

    /// With the layers that hold, and more for what is new.
    fn prelinked(
        &self,
        whole: &mut Whole,
        say: &dyn Fn(Said<'_>),
    ) -> Result<(Linked, Vec<PathBuf>), Error> {
        let mut linked = std::mem::take(&mut whole.linked);
        let mut layers = prelink::that_hold(&self.linked.layers, &linked);
        let place = Place::new(self.store.root(), &whole.toolchain);
        let prelinker = Prelinker {
            store: &place.layers(),
            sealed: place.sealed(),
            own: &self.folder.join("layers"),
            linker: &self.linker,
            toolchain: &whole.toolchain,
            variables: &self.variables,
            interrupter: &self.interrupter,
            say,
        };
        // The libraries first: whatever comes beside them, it is one library then.
        let of_libraries = whole.of_libraries.as_ref();
        let of_libraries =
            of_libraries.filter(|first| layers.is_empty() && linked.holds(&first.contents));
        let mut not_prelinked = None;
        for part in of_libraries.into_iter().chain([&linked]) {
            match prelinker.layer(&layers, part) {
                Ok(None) => {}
                Ok(Some((layer, _))) => layers.push(layer),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    let why = error.to_string();
                    say(Said::Word(&format!(
                        "these crates do not go into one library, so that cells are linked more \
                         slowly and do not share what is static in them: {why}"
                    )));
                    // Half of the crates in a library and half not would be two of some.
                    layers.clear();
                    not_prelinked = Some(why);
                    break;
                }
            }
        }
        (linked.layers, linked.not_prelinked) = (layers, not_prelinked);
        let marks = linked.layers.iter().map(|layer| place.layers().join(&layer.hash).join(USED));
        let marks = marks.collect();
        Ok((linked, marks))
    }
}

/// In the folder of a layer: marks it as in use.
pub(crate) const USED: &str = "used";

/// Whether what users of the libraries meet is the same files beside them.
fn are_met(libraries: &BTreeMap<String, Library>, library: &Graph, beside: &Graph) -> bool {
    let is_met = |unit: &&Unit| libraries.values().any(|one| one.public.contains(&unit.package));
    let is_there = |unit: &Unit| library.units.iter().any(|one| one.hash == unit.hash);
    beside.linkable().filter(is_met).all(is_there)
}

/// What has changed for cells.
fn compare(before: &Linked, now: &Linked) -> Added {
    let same = |file: &String, content| now.contents.get(file) == Some(content);
    let held = before.layers.iter().flat_map(|layer| &layer.contents);
    // Where nothing was put into libraries, all that cells may have linked counts.
    let loose = before.contents.iter().filter(|_| before.layers.is_empty());
    let linked: Vec<_> = held.chain(loose).collect();
    let changed = linked.iter().filter(|(file, content)| !same(file, content));
    let changed = changed.map(|(_, (package, _))| package.clone());
    // A name of cells may mean another build now, while a library keeps the one before.
    let had: BTreeSet<_> = before.contents.values().map(|(package, _)| package).collect();
    let renamed = now.externs.iter().filter_map(|(_, file)| {
        let file = file.file_name()?.to_string_lossy().into_owned();
        let (package, _) = now.contents.get(&file)?;
        (!before.contents.contains_key(&file) && had.contains(package)).then(|| package.clone())
    });
    let changed: BTreeSet<_> = changed.chain(renamed).collect();
    let gone = before.layers.iter().filter(|layer| !now.layers.contains(layer));
    let relinked: BTreeSet<_> = gone
        .flat_map(|layer| layer.contents.values())
        .map(|(package, _)| package.clone())
        .filter(|package| !changed.contains(package))
        .collect();
    let (changed, relinked) = (Vec::from_iter(changed), Vec::from_iter(relinked));
    Added { changed, relinked, compiled: false }
}
