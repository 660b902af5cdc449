//! Puts the crates of a session into one library, so that a cell is linked with one file instead of a
//! hundred, and all cells share the crates' statics.
//!
//! A crate that holds nothing but the others becomes a dynamic library; rustc then takes the others out
//! of it. Crates that come later make a library of their own, which is linked to those before: what was
//! loaded stays what it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};

use crate::content::{Now, State, hash_of};
use crate::error::{Error, is_full, tells_of_a_bus_error, tells_of_no_room};
use crate::inputs::Environment;
use crate::linked::{Layer, Linked, bring};
use crate::linker::{CONTENTS, STAND_INS};
use crate::place::{Sealed, Toolchain};
use crate::process::Interrupter;
use crate::said::Said;
use crate::units::remove;

/// How a library is made.
pub(crate) struct Prelinker<'a> {
    /// Where libraries are kept for all sessions.
    pub store: &'a Path,
    /// Which of those stay as they are.
    pub sealed: Option<Sealed>,
    /// Where they are kept if that cannot be written.
    pub own: &'a Path,
    /// This program, called by the name of the linker.
    pub linker: &'a Path,
    /// The compiler.
    pub toolchain: &'a Toolchain,
    /// What the session has set.
    pub variables: &'a Environment,
    /// Ends it.
    pub interrupter: &'a Interrupter,
    /// Told what happens.
    pub say: &'a dyn Fn(Said<'_>),
}

/// A library that is to be.
struct Plan<'a> {
    name: String,
    hash: String,
    /// What it is linked to.
    layers: &'a [Layer],
    linked: &'a Linked,
    /// The crates that a cell can name and that are in no layer.
    new: Vec<&'a (String, PathBuf)>,
}

/// Beside a library: what it is.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    library: State,
    /// The files of crates that are in it.
    crates: Vec<String>,
}

const NOTE: &str = "note.json";
const LIBRARY: &str = "library.so";
const EMPTY: &str = "stand-ins";
/// How the folder of a library that is being made begins.
const PART: &str = ".part-";

/// The layers that still hold: those of which every crate is the same file as it was.
pub(crate) fn that_hold(layers: &[Layer], linked: &Linked) -> Vec<Layer> {
    layers.iter().take_while(|layer| linked.holds(&layer.contents)).cloned().collect()
}

impl Prelinker<'_> {
    /// Adds a layer of the crates that are in none. None where there are no such crates. The second
    /// is the folder of it in the store.
    ///
    /// # Errors
    /// Crates that do not go into one library.
    pub(crate) fn layer(
        &self,
        layers: &[Layer],
        linked: &Linked,
    ) -> Result<Option<(Layer, PathBuf)>, Error> {
        let held = |file: &Path| {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            layers.iter().any(|layer| layer.contents.contains_key(&name))
        };
        let is_rlib = |file: &Path| file.extension().is_some_and(|ending| ending == "rlib");
        let new = linked.externs.iter().filter(|(_, file)| is_rlib(file) && !held(file));
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return Ok(None);
        }
        if !cfg!(target_os = "linux") {
            return Err(anyhow!("this was tried on Linux alone"))?;
        }
        if self.toolchain.flags.contains("linker=") {
            return Err(anyhow!("another linker is configured"))?;
        }
        let before = layers.last().map_or(String::new(), |layer| layer.hash.clone());
        let own = linked.folder.display().to_string();
        // Folders of the session's own are the same for every session.
        let searches: Vec<_> = linked.searches.iter().map(|each| each.replace(&own, ".")).collect();
        let mut parts = vec![before.as_str()];
        parts.extend(new.iter().map(|(name, _)| name.as_str()));
        for (file, (_, content)) in &linked.contents {
            parts.extend([file.as_str(), content.as_str()]);
        }
        parts.extend(searches.iter().map(String::as_str));
        let hash = hash_of(parts);
        let name = format!("crates_{}", layers.len() + 1);
        let plan = Plan { name, hash, layers, linked, new };
        let mut failed = None;
        for root in [self.store, self.own] {
            let folder = root.join(&plan.hash);
            match self.made(root, &folder, &plan) {
                Ok(note) => return Ok(Some((self.brought(&folder, &plan, &note)?, folder))),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error @ Error::NoRoom(_)) => failed = Some(error),
                Err(Error::Other(error)) if tells_of_no_room(&format!("{error:#}")) => {
                    failed = Some(Error::NoRoom(format!("{error:#}")));
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or(Error::Interrupted))
    }

    /// The note about a library that was there, or is now.
    fn made(&self, root: &Path, folder: &Path, plan: &Plan<'_>) -> Result<Note, Error> {
        let Plan { name, hash, layers, linked, new } = plan;
        if let Some(note) = self.there(folder, name)? {
            return Ok(note);
        }
        // Renamed at the end: a folder that bears its name is whole.
        let begin = || {
            fs::create_dir_all(root)?;
            tempfile::Builder::new().prefix(PART).tempdir_in(root)
        };
        let work = begin().map_err(|error| {
            Error::NoRoom(format!("{} cannot be made: {error}", root.display()))
        })?;
        let empty = work.path().join(EMPTY);
        fs::create_dir(&empty).context("a folder cannot be made")?;
        let source = work.path().join("crates.rs");
        let mut text = String::new();
        for layer in *layers {
            text.push_str(&format!("extern crate {} as _;\n", layer.name));
        }
        for (name, _) in new {
            text.push_str(&format!("pub extern crate {name};\n"));
        }
        fs::write(&source, text).context("a source cannot be written")?;
        let contents = work.path().join("contents");
        let mut rustc = Command::new("rustc");
        rustc.current_dir(&linked.folder).envs(self.variables);
        rustc.args(["--crate-name", name, "--crate-type", "dylib", "--edition", "2024"]);
        rustc.args(["--emit", "link", "-C", &format!("metadata={hash}")]);
        rustc.args(["-C", &format!("extra-filename=-{hash}")]);
        rustc.arg("-C").arg(format!("linker={}", self.linker.display()));
        rustc.args(self.toolchain.flags.split_whitespace());
        // Those before it lie beside it in the session's folder.
        rustc.args(["-C", "link-arg=-Wl,-rpath,$ORIGIN"]);
        for folder in &linked.loaded_from {
            let folder = folder.strip_prefix(&linked.folder).unwrap_or(folder);
            let rpath = format!("link-arg=-Wl,-rpath,$ORIGIN/{}", folder.display());
            rustc.args(["-C", &rpath]);
        }
        for layer in *layers {
            rustc.arg("--extern").arg(format!("{}={}", layer.name, layer.library.display()));
        }
        for (name, file) in &linked.externs {
            rustc.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        rustc.arg("-L").arg(format!("dependency={}", linked.folder.display()));
        for search in &linked.searches {
            rustc.args(["-L", search]);
        }
        rustc.arg("--out-dir").arg(work.path()).arg(&source);
        rustc.env(STAND_INS, &empty).env(CONTENTS, &contents);
        let output = self.interrupter.run(&mut rustc, &mut |_| ())?;
        if !output.status.success() && tells_of_a_bus_error(&output.stderr) && is_full(root) {
            return Err(Error::NoRoom(format!("{} is full", root.display())));
        }
        if !output.status.success() {
            return Err(anyhow!("{}", output.stderr.trim_end()))?;
        }
        let library = work.path().join(LIBRARY);
        let made = work.path().join(file_name(name, hash));
        fs::rename(&made, &library).context("rustc made no library")?;
        let crates = fs::read_to_string(&contents).context("the linker said nothing")?;
        let note = Note {
            library: State::of(&library).context("a library cannot be read")?,
            crates: crates.lines().map(str::to_owned).collect(),
        };
        let text = serde_json::to_vec(&note).context("a note cannot be written")?;
        fs::write(work.path().join(NOTE), text).context("a note cannot be written")?;
        fs::remove_file(&source).context("a source cannot be removed")?;
        match fs::rename(work.path(), folder) {
            Ok(()) => Ok(note),
            // Another session was faster, and has made the same.
            Err(_) if folder.exists() => match self.there(folder, name)? {
                Some(note) => Ok(note),
                None => Err(anyhow!("{} was altered at once", folder.display()))?,
            },
            Err(error) => {
                Err(error).with_context(|| format!("{} cannot be made", folder.display()))?
            }
        }
    }

    /// The note about a library that is there, and is what it was.
    fn there(&self, folder: &Path, name: &str) -> Result<Option<Note>, Error> {
        if !folder.exists() {
            return Ok(None);
        }
        // It came with its folder: one that cannot be read was altered.
        let path = folder.join(NOTE);
        let text = fs::read(&path).unwrap_or_default();
        let note: Option<Note> = serde_json::from_slice(&text).ok();
        let compared = note.as_ref().map(|note| note.library.compare(&folder.join(LIBRARY)));
        match (note, compared) {
            (Some(note), Some(Now::Same)) => Ok(Some(note)),
            (Some(note), Some(Now::Touched(library))) => {
                let note = Note { library, ..note };
                let text = serde_json::to_vec(&note).context("a note cannot be written")?;
                shared::files::replace(&path, &text)?;
                Ok(Some(note))
            }
            _ => {
                (self.say)(Said::Word(&altered(name)));
                remove(folder)?;
                Ok(None)
            }
        }
    }

    /// Links a library into the session's folder.
    fn brought(&self, folder: &Path, plan: &Plan<'_>, note: &Note) -> Result<Layer, Error> {
        let Plan { name, hash, linked, .. } = plan;
        let library = linked.folder.join(file_name(name, hash));
        if !bring(&folder.join(LIBRARY), &library, &note.library, self.sealed)? {
            return Err(anyhow!("{} was removed by another program", folder.display()))?;
        }
        let stand_ins = linked.folder.join(format!("{EMPTY}-{hash}"));
        fs::create_dir_all(&stand_ins).context("a folder cannot be made")?;
        let entries = fs::read_dir(folder.join(EMPTY)).context("a folder cannot be read")?;
        for entry in entries {
            let path = entry.context("a folder cannot be read")?.path();
            let state = State::of(&path).context("a file cannot be read")?;
            let to = stand_ins.join(path.file_name().unwrap_or_default());
            bring(&path, &to, &state, self.sealed)?;
        }
        // What belongs to rustc itself is in no folder of the session.
        let contents: BTreeMap<_, _> = note
            .crates
            .iter()
            .filter_map(|file| Some((file.clone(), linked.contents.get(file)?.clone())))
            .collect();
        Ok(Layer { name: name.clone(), library, stand_ins, hash: hash.clone(), contents })
    }
}

/// What a reader is told of something that somebody else has changed.
pub(crate) fn altered(name: &str) -> String {
    format!("{name} was altered in the store: it is compiled anew")
}

fn file_name(name: &str, hash: &str) -> String {
    format!("lib{name}-{hash}{}", std::env::consts::DLL_SUFFIX)
}
