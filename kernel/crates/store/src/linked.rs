//! What a session has of the crates: files of its own, and how rustc finds them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::content::State;
use crate::graph::{Graph, Search};
use crate::place::{Place, Sealed};
use crate::units::Kind;

/// The crates of a session, for the compiler of its cells.
#[derive(Debug, Clone, Default)]
pub struct Linked {
    /// The crates that a cell can name, each with its file.
    pub externs: Vec<(String, PathBuf)>,
    /// Where C libraries are looked for, as rustc takes it behind `-L`.
    pub searches: Vec<String>,
    /// Libraries that hold the crates, each only what those before it do not.
    pub layers: Vec<Layer>,
    /// Why there are no such libraries where there are crates: cells link more slowly then, and each
    /// has statics of its own.
    pub not_prelinked: Option<String>,
    /// All packages, those that a cell can name first.
    pub packages: Vec<Package>,
    /// The session's folder of crates.
    pub(crate) folder: PathBuf,
    /// Folders of that folder in which C libraries lie that cells load.
    pub(crate) loaded_from: Vec<PathBuf>,
    /// The files that cells link, and what is in them, each with its package.
    pub(crate) contents: BTreeMap<String, (String, String)>,
}

/// A library that holds crates, linked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The name of the crate that a cell must name, so that rustc takes the others out of it.
    pub name: String,
    /// The library, in the session's folder.
    pub library: PathBuf,
    /// A folder of empty libraries in the place of the C libraries behind it, which no linker need read.
    pub stand_ins: PathBuf,
    /// What it is made of, as a hash.
    pub(crate) hash: String,
    /// The files of crates that it holds, and what was in them.
    pub(crate) contents: BTreeMap<String, (String, String)>,
}

/// A package that cells are linked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The features that are on.
    pub features: Vec<String>,
    /// Whether a cell can name it.
    pub direct: bool,
}

impl Linked {
    /// What rustc is told for a cell, beside what it is told for any.
    pub fn rustc_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        for layer in &self.layers {
            add("-L", format!("native={}", layer.stand_ins.display()));
        }
        for layer in &self.layers {
            add("--extern", format!("{}={}", layer.name, layer.library.display()));
        }
        for (name, file) in &self.externs {
            add("--extern", format!("{name}={}", file.display()));
        }
        if !self.externs.is_empty() {
            add("-L", format!("dependency={}", self.folder.display()));
        }
        for search in &self.searches {
            add("-L", search.clone());
        }
        let folders = Some(&self.folder).filter(|_| !self.layers.is_empty());
        for folder in folders.into_iter().chain(&self.loaded_from) {
            // Not by -Wl: there may be a comma in the path.
            for argument in ["-Xlinker", "-rpath", "-Xlinker"] {
                add("-C", format!("link-arg={argument}"));
            }
            add("-C", format!("link-arg={}", folder.display()));
        }
        arguments
    }

    /// What must stand in the root file of a cell for the layers to be used.
    pub fn declarations(&self) -> String {
        self.layers.iter().map(|layer| format!("extern crate {} as _; ", layer.name)).collect()
    }

    /// Whether all of some files are among those that cells link, with the content that they had.
    pub(crate) fn holds(&self, contents: &BTreeMap<String, (String, String)>) -> bool {
        contents.iter().all(|(file, content)| self.contents.get(file) == Some(content))
    }

    /// With what others need beside it.
    pub(crate) fn and(mut self, others: Linked) -> Linked {
        fn add<T: PartialEq>(to: &mut Vec<T>, more: Vec<T>) {
            for each in more {
                if !to.contains(&each) {
                    to.push(each);
                }
            }
        }
        add(&mut self.externs, others.externs);
        self.externs.sort();
        add(&mut self.searches, others.searches);
        add(&mut self.loaded_from, others.loaded_from);
        add(&mut self.packages, others.packages);
        sort(&mut self.packages);
        self.contents.extend(others.contents);
        self
    }

    /// A package by its name; of several versions the one that a cell can name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

/// Links or copies what a graph needs into a session's folder. None where a file of the store is
/// another than it should be, or is gone.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn link(graph: &Graph, place: &Place, folder: &Path) -> anyhow::Result<Option<Linked>> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let (target, sealed) = (place.target(), place.sealed());
    let mut linked = Linked { folder: folder.to_owned(), ..Linked::default() };
    for unit in graph.linkable() {
        for (file, state) in &unit.files {
            let name = file.file_name().context("a file without a name")?;
            if !bring(&target.join(file), &folder.join(name), state, sealed)? {
                return Ok(None);
            }
            if unit.kind == Kind::Library && file.extension().is_none_or(|ending| ending != "rmeta")
            {
                let content = (unit.package.clone(), state.content.clone());
                linked.contents.insert(name.to_string_lossy().into_owned(), content);
            }
        }
    }
    for each in &graph.externs {
        let name = each.file.file_name().context("a file without a name")?;
        linked.externs.push((each.name.clone(), folder.join(name)));
    }
    for search in &graph.searches {
        match search {
            Search::Outside(value) => linked.searches.push(value.clone()),
            Search::Inside { kind, folder: inside } => {
                let own = folder.join("native").join(name_of(inside));
                fs::create_dir_all(&own)?;
                let Some(loads) = bring_folder(graph, place, inside, &own)? else {
                    return Ok(None);
                };
                linked.searches.push(format!("{kind}={}", own.display()));
                if loads {
                    linked.loaded_from.push(own);
                }
            }
        }
    }
    let direct = |file: &Path| graph.externs.iter().any(|each| each.file == file);
    for unit in graph.linkable() {
        let package = Package {
            name: unit.package.clone(),
            version: unit.version.clone(),
            features: unit.features.clone(),
            direct: unit.files.keys().any(|file| direct(file)),
        };
        linked.packages.push(package);
    }
    sort(&mut linked.packages);
    linked.packages.dedup();
    Ok(Some(linked))
}

/// Those that a cell can name first.
fn sort(packages: &mut [Package]) {
    packages
        .sort_by(|a, b| (!a.direct, &a.name, &a.version).cmp(&(!b.direct, &b.name, &b.version)));
}

/// What a build script has put into a folder of C libraries. The answer is whether a program that was
/// linked with one must find it; None where a file is another than it should be.
fn bring_folder(
    graph: &Graph,
    place: &Place,
    inside: &Path,
    own: &Path,
) -> anyhow::Result<Option<bool>> {
    let (target, sealed) = (place.target(), place.sealed());
    let mut loads = false;
    let files = graph.units.iter().filter(|unit| unit.kind == Kind::ScriptRun);
    for (file, state) in files.flat_map(|unit| &unit.files) {
        if file.parent() != Some(inside) {
            continue;
        }
        let name = file.file_name().context("a file without a name")?;
        if !bring(&target.join(file), &own.join(name), state, sealed)? {
            return Ok(None);
        }
        loads |= name.to_string_lossy().contains(std::env::consts::DLL_SUFFIX);
    }
    Ok(Some(loads))
}

/// A path within the target directory as one name.
fn name_of(inside: &Path) -> String {
    let parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    parts.collect::<Vec<_>>().join("-")
}

/// Links a file, or copies it where it cannot be linked. False where it is not what it should be. One that stays as it
/// is gets a link by name: in a container the file system of an image copies a whole file for a second name of its own.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn bring(
    from: &Path,
    to: &Path,
    state: &State,
    sealed: Option<Sealed>,
) -> anyhow::Result<bool> {
    let Ok(source) = fs::metadata(from) else { return Ok(false) };
    if !state.is_of(&source) {
        return Ok(false);
    }
    if let Ok(there) = fs::metadata(to)
        && (there.dev(), there.ino()) == (source.dev(), source.ino())
    {
        return Ok(true);
    }
    let stays = sealed.is_some_and(|sealed| sealed.holds(&source));
    let link = |to: &Path| if stays { symlink(from, to) } else { fs::hard_link(from, to) };
    if link(to).is_ok() {
        // Another file may have come into the place of the one above.
        if state.is_of(&fs::metadata(to)?) {
            return Ok(true);
        }
        fs::remove_file(to)?;
        return Ok(false);
    }
    // Beside its place, then renamed: a program that has the old file loaded keeps it.
    let folder = to.parent().context("a file without a folder")?;
    let part = tempfile::Builder::new().prefix(".part-").tempdir_in(folder)?;
    let new = part.path().join("file");
    if link(&new).is_err() {
        // Another disk, or a store of somebody else.
        match fs::copy(from, &new) {
            Ok(_) => {}
            Err(_) if !from.exists() => return Ok(false),
            Err(error) => bail!("{} cannot be copied: {error}", from.display()),
        }
        let file = fs::File::options().write(true).open(&new)?;
        file.set_modified(source.modified()?)?;
    }
    if !state.is_of(&fs::metadata(&new)?) {
        return Ok(false);
    }
    fs::rename(&new, to).with_context(|| format!("{} cannot be made", to.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_linked_and_survives_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "one").unwrap();
        let state = State::of(&from).unwrap();
        assert!(bring(&from, &to, &state, None).unwrap());
        assert_eq!(fs::metadata(&to).unwrap().ino(), fs::metadata(&from).unwrap().ino());
        assert!(bring(&from, &to, &state, None).unwrap());
        fs::remove_file(&from).unwrap();
        fs::write(&from, "other").unwrap();
        assert!(!bring(&from, &to, &state, None).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "one");
        let state = State::of(&from).unwrap();
        assert!(bring(&from, &to, &state, None).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "other");
        fs::remove_file(&from).unwrap();
        assert!(!bring(&from, &to, &state, None).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_stays_as_it_is_gets_a_link_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().join("toolchain") };
        fs::create_dir_all(place.units()).unwrap();
        let file = |name: &str| place.folder.join(name);
        let brought = |from: &str, to: &str| {
            let state = State::of(&file(from)).unwrap();
            bring(&file(from), &file(to), &state, place.sealed()).unwrap()
        };
        fs::write(file("old"), "old").unwrap();
        assert!(brought("old", "before"));
        assert!(!file("before").is_symlink());
        place.seal().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(file("new"), "new").unwrap();
        for (from, is_by_name) in [("old", true), ("new", false), ("old", true)] {
            assert!(brought(from, "to") && brought(from, "to"));
            assert_eq!(file("to").is_symlink(), is_by_name);
            assert_eq!(fs::read_to_string(file("to")).unwrap(), from);
        }
        let refused = crate::collect::clear(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("is part of an image"), "{refused}");
        assert!(file("old").exists());
    }
}
