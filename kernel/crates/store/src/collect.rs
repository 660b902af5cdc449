//! How a store is listed, and kept small.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use walkdir::WalkDir;

use crate::crates::USED;
use crate::graph::Graph;
use crate::locks;
use crate::place::Place;
use crate::store::Entry;
use crate::units::remove;

/// The folder of the versions that were taken.
pub(crate) const VERSIONS: &str = "versions";
/// How the names of folders begin that are about to be removed.
const LEAVING: &str = ".leaving-";
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Something that can be removed on its own.
struct Item {
    entry: Entry,
    /// In this order: cargo's note goes first, without which the rest is nothing.
    paths: Vec<PathBuf>,
    /// Notes that name it.
    graphs: Vec<PathBuf>,
}

/// What a graph says about its units.
struct Use {
    note: PathBuf,
    last: Option<SystemTime>,
    now: bool,
}

/// What is in a store, the longest unused first.
pub(crate) fn list(root: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for place in places(root)? {
        entries.extend(items(&place)?.into_iter().map(|item| item.entry));
    }
    entries.sort_by_key(|entry| entry.last_used);
    Ok(entries)
}

/// The bytes of all files.
pub(crate) fn size(root: &Path) -> Result<u64> {
    if !root.exists() {
        return Ok(0);
    }
    let mut size = 0;
    for entry in WalkDir::new(root) {
        // A file that is gone meanwhile has no size.
        if let Ok(data) =
            entry.map_err(std::io::Error::from).and_then(|entry| Ok(entry.metadata()?))
            && data.is_file()
        {
            size += data.len();
        }
    }
    Ok(size)
}

/// Removes all.
pub(crate) fn clear(root: &Path) -> Result<()> {
    for place in places(root)? {
        if place.sealed().is_some() {
            bail!(
                "{} is part of an image: removing it would free nothing, and sessions use it",
                place.folder.display()
            );
        }
        let Some(_locks) = locked(&place)? else {
            bail!("a notebook is compiling crates: clear the store when it has ended");
        };
        // Out of sight in one step: nobody finds half of it.
        let name = place.folder.file_name().unwrap_or_default().to_string_lossy();
        let leaving = root.join(format!("{LEAVING}{}-{name}", std::process::id()));
        fs::rename(&place.folder, &leaving)
            .with_context(|| format!("{} cannot be removed", place.folder.display()))?;
        remove(&leaving)?;
    }
    remove(&root.join(VERSIONS))?;
    remove_left_behind(root)
}

/// Removes the longest unused.
pub(crate) fn collect(root: &Path, limit: u64) -> Result<u64> {
    let all = size(root)?;
    let mut removed = 0;
    if all <= limit {
        return Ok(0);
    }
    remove_left_behind(root)?;
    let mut items_of_all = Vec::new();
    // Held until the end.
    let mut held = Vec::new();
    for place in places(root)? {
        if let Some(locks) = locked(&place)? {
            items_of_all.extend(items(&place)?);
            held.push(locks);
        }
    }
    items_of_all.sort_by_key(|item| item.entry.last_used);
    for item in items_of_all.iter().filter(|item| !item.entry.in_use) {
        if all - removed <= limit {
            break;
        }
        item.graphs.iter().chain(&item.paths).try_for_each(|path| remove(path))?;
        removed += item.entry.size;
    }
    Ok(removed)
}

/// A program that was killed while it cleared a store has left them.
fn remove_left_behind(root: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(root) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(LEAVING) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// The folders of the toolchains.
pub(crate) fn places(root: &Path) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    if !root.exists() {
        return Ok(places);
    }
    let entries = fs::read_dir(root).with_context(|| format!("{} is no store", root.display()))?;
    for entry in entries {
        let folder = entry?.path();
        let place = Place { folder };
        let hidden = place.folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if !hidden && place.units().is_dir() {
            places.push(place);
        }
    }
    Ok(places)
}

/// Ours and cargo's, since a cargo may be at work whose session was killed. None where one is held.
fn locked(place: &Place) -> Result<Option<Vec<File>>> {
    let mut held = Vec::new();
    let of_cargo = place.profiles().into_iter().map(|profile| profile.join(".cargo-lock"));
    for path in [place.lock()].into_iter().chain(of_cargo) {
        match locks::try_alone(&path)? {
            Some(lock) => held.push(lock),
            None => return Ok(None),
        }
    }
    Ok(Some(held))
}

fn items(place: &Place) -> Result<Vec<Item>> {
    let uses = uses(place)?;
    let toolchain = place.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for profile in place.profiles() {
        for kind in [".fingerprint", "build", "deps"] {
            let Ok(entries) = fs::read_dir(profile.join(kind)) else { continue };
            for entry in entries {
                let path = entry?.path();
                let Some((name, hash)) = unit_of(&path) else { continue };
                let item = items.entry(hash.clone()).or_insert_with(|| Item {
                    entry: Entry {
                        name,
                        version: String::new(),
                        toolchain: toolchain.clone(),
                        size: 0,
                        last_used: None,
                        in_use: false,
                    },
                    paths: Vec::new(),
                    graphs: Vec::new(),
                });
                item.entry.size += size(&path)?;
                item.paths.push(path);
                if item.graphs.is_empty() {
                    for of in uses.get(&hash).into_iter().flatten() {
                        item.entry.last_used = item.entry.last_used.max(of.last);
                        item.entry.in_use |= of.now;
                        item.graphs.extend([of.note.clone(), of.note.with_extension(USED)]);
                    }
                }
            }
        }
    }
    let notes = fs::read_dir(place.units()).context("the notes of a store cannot be read")?;
    for note in notes {
        let path = note?.path();
        let stem = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = stem.split('.').next().unwrap_or_default().to_owned();
        let hash = stem.rsplit_once('-').map_or("", |(_, hash)| hash);
        if let Some(item) = items.get_mut(hash) {
            let text = fs::read(&path).unwrap_or_default();
            let note: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            item.entry.version = note["version"].as_str().unwrap_or_default().to_owned();
            item.entry.size += text.len() as u64;
            item.paths.push(path);
        }
    }
    let mut items: Vec<_> = items.into_values().collect();
    let layers = fs::read_dir(place.layers()).context("the libraries cannot be read")?;
    for layer in layers {
        let path = layer?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden && !modified(&path).is_some_and(|at| at.elapsed().is_ok_and(|age| age > AN_HOUR))
        {
            // One that is being made, by a session that holds no lock for it.
            continue;
        }
        let mark = path.join(USED);
        let (last_used, in_use) = (modified(&mark).or_else(|| modified(&path)), is_used(&mark));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let entry = Entry {
            name: format!("library {name}"),
            version: String::new(),
            toolchain: toolchain.clone(),
            size: size(&path)?,
            last_used,
            in_use,
        };
        items.push(Item { entry, paths: vec![path], graphs: Vec::new() });
    }
    Ok(items)
}

/// The package or crate, and the hash, that a file of cargo's is called by.
fn unit_of(path: &Path) -> Option<(String, String)> {
    let stem = if path.is_dir() { path.file_name()? } else { path.file_stem()? };
    let stem = stem.to_string_lossy();
    let (name, hash) = stem.rsplit_once('-')?;
    // Parts of a build that was killed are called by the hash and more.
    let hash = hash.split('.').next()?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = if path.is_dir() { name } else { name.strip_prefix("lib").unwrap_or(name) };
    is_hash.then(|| (name.to_owned(), hash.to_owned()))
}

/// By the hash of each unit: the graphs that name it.
fn uses(place: &Place) -> Result<HashMap<String, Vec<Use>>> {
    let mut uses: HashMap<String, Vec<Use>> = HashMap::new();
    let notes = fs::read_dir(place.graphs()).context("the notes of a store cannot be read")?;
    for note in notes {
        let path = note?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Ok(graph) = serde_json::from_slice::<Graph>(&fs::read(&path).unwrap_or_default())
        else {
            continue;
        };
        let mark = path.with_extension(USED);
        let last = modified(&mark).or_else(|| modified(&path));
        let now = is_used(&mark);
        for unit in graph.units {
            uses.entry(unit.hash).or_default().push(Use { note: path.clone(), last, now });
        }
    }
    Ok(uses)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Whether a session holds a mark.
fn is_used(mark: &Path) -> bool {
    // One that cannot be opened was never marked.
    File::open(mark).is_ok_and(|file| file.try_lock().is_err())
}
