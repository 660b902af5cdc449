//! Notes about what cargo has made: what each file holds, and what it was made of.
//!
//! Cargo takes a file for good that bears the right name, and a source for changed that bears a new
//! time. The notes know both by content.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::cargo::{Artifact, Built, PackageId, Script};
use crate::content::{Now, State, is_time, modified};
use crate::inputs::{Change, Environment, Inputs, listed};
use crate::place::Place;

/// Something that cargo makes in one go: a crate, or the run of a build script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Cargo's hash of all that it is made of but for sources; part of the names of its files.
    pub hash: String,
    /// The name of its package.
    pub package: String,
    /// The version of its package.
    pub version: String,
    /// Whether its sources lie on this machine, and may change.
    pub local: bool,
    /// The features that are on.
    pub features: Vec<String>,
    /// What it is.
    pub kind: Kind,
    /// The folder of the profile, within the target directory.
    pub profile: PathBuf,
    /// Its files, within the target directory.
    pub files: BTreeMap<PathBuf, State>,
    /// When cargo began to make it.
    pub began: i64,
    /// What it was made of.
    pub inputs: Inputs,
    /// Whether a source was changed while it was made: which content was compiled is not known then.
    pub doubtful: bool,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A crate that is linked.
    Library,
    /// A crate that the compiler loads.
    Macro,
    /// A build script, compiled.
    Script,
    /// What a build script has made.
    ScriptRun,
}

/// What was found after a build.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// All units.
    pub units: Vec<Unit>,
    /// Units whose files were changed by somebody else; they are gone now.
    pub altered: Vec<String>,
    /// Whether cargo must be called again, since something is gone.
    pub again: bool,
}

impl Unit {
    fn of_artifact(artifact: &Artifact, target: &Path) -> Option<Unit> {
        let first = artifact.files.first()?;
        let is = |kind: &str| artifact.kinds.iter().any(|found| found == kind);
        let (kind, named) = if is("custom-build") {
            (Kind::Script, first.parent()?.file_name()?)
        } else {
            let kind = if is("proc-macro") { Kind::Macro } else { Kind::Library };
            (kind, first.file_stem()?)
        };
        let levels = if kind == Kind::Script { 3 } else { 2 };
        let mut unit = Unit::new(&artifact.package, kind, &named.to_string_lossy())?;
        unit.features.clone_from(&artifact.features);
        unit.profile = first.ancestors().nth(levels)?.strip_prefix(target).ok()?.to_owned();
        Some(unit)
    }

    fn of_script(script: &Script, target: &Path) -> Option<Unit> {
        let folder = script.out.parent()?;
        let named = folder.file_name()?.to_string_lossy();
        let mut unit = Unit::new(&script.package, Kind::ScriptRun, &named)?;
        unit.profile = folder.ancestors().nth(2)?.strip_prefix(target).ok()?.to_owned();
        Some(unit)
    }

    fn new(package: &PackageId, kind: Kind, named: &str) -> Option<Unit> {
        Some(Unit {
            hash: named.rsplit_once('-')?.1.to_owned(),
            package: package.name.clone(),
            version: package.version.clone(),
            local: package.local,
            features: Vec::new(),
            kind,
            profile: PathBuf::new(),
            files: BTreeMap::new(),
            began: 0,
            inputs: Inputs::default(),
            doubtful: false,
        })
    }

    fn described(&self) -> String {
        format!("{} v{}", self.package, self.version)
    }

    /// Where the note about it is. Those that may ask for a compilation are read before each build.
    fn note(&self, place: &Place) -> PathBuf {
        let ending = if self.local || self.doubtful { LOCAL } else { "json" };
        place.units().join(format!("{}-{}.{ending}", self.package, self.hash))
    }

    /// Where cargo's note about it is.
    fn fingerprint(&self, place: &Place) -> PathBuf {
        let name = format!("{}-{}", self.package, self.hash);
        place.target().join(&self.profile).join(".fingerprint").join(name)
    }

    fn run_folder(&self, place: &Place) -> PathBuf {
        let name = format!("{}-{}", self.package, self.hash);
        place.target().join(&self.profile).join("build").join(name)
    }

    /// Whether it is what there is now, and not what was there before.
    fn is_there(&self, place: &Place) -> bool {
        self.begun(place).is_some_and(|begun| is_time(self.began, begun))
    }

    /// When cargo began to make what there is now; None where it never did.
    fn begun(&self, place: &Place) -> Option<i64> {
        let folder = match self.kind {
            Kind::ScriptRun => self.run_folder(place),
            _ => self.fingerprint(place),
        };
        Some(modified(&folder.join("invoked.timestamp").metadata().ok()?))
    }

    /// The note about what there is now: one about what was there before says nothing.
    fn noted(&self, place: &Place) -> Option<Unit> {
        read(&self.note(place)).filter(|note| is_time(note.began, self.began))
    }

    /// Makes cargo make it anew, and with it all that leans on it: for cargo those are stale if files
    /// are missing. A build script finds again what it made before.
    fn forget(&self, place: &Place) -> anyhow::Result<()> {
        remove(&self.fingerprint(place))?;
        remove(&self.note(place))?;
        self.outputs(place).iter().try_for_each(|file| remove(file))
    }

    /// The same, and removes all that it has made.
    fn discard(&self, place: &Place) -> anyhow::Result<()> {
        self.forget(place)?;
        self.remove_files(place)
    }

    /// The files by whose time cargo knows when it was made.
    fn outputs(&self, place: &Place) -> Vec<PathBuf> {
        if self.kind == Kind::ScriptRun {
            return vec![self.run_folder(place).join(OUTPUT)];
        }
        let target = place.target();
        self.files.keys().map(|file| target.join(file)).collect()
    }

    fn remove_files(&self, place: &Place) -> anyhow::Result<()> {
        let target = place.target();
        self.files.keys().try_for_each(|file| remove(&target.join(file)))
    }

    fn write(&self, place: &Place) -> anyhow::Result<()> {
        shared::files::replace(&self.note(place), &serde_json::to_vec(self)?)
    }
}

const LOCAL: &str = "local.json";
/// What a build script has written to its standard output.
const OUTPUT: &str = "output";

/// Removes a file or folder; one that is not there is as good.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// What was found before a build.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Units whose files were changed by somebody else; they are gone now.
    pub altered: Vec<String>,
    /// Runs of build scripts that cargo would repeat, since a file that they asked for has a newer time
    /// and the same content: by hash, with that time.
    pub late: BTreeMap<String, i64>,
}

/// Before a build: makes cargo go by the content of local sources. A source of another time and the
/// same content is fresh; one of another content is not, whatever its time says.
///
/// # Errors
/// A store that cannot be written.
pub(crate) fn settle(place: &Place) -> anyhow::Result<Settled> {
    let mut found = Settled::default();
    let entries = fs::read_dir(place.units()).context("the notes of the store cannot be read")?;
    for entry in entries {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(LOCAL) {
            continue;
        }
        // A note that cannot be read says nothing about its unit, as if there were none.
        let Some(mut unit) = read(&path) else {
            remove(&path)?;
            continue;
        };
        // A session that was killed has made another one of it: the note is not about that.
        if unit.doubtful || !unit.is_there(place) {
            unit.forget(place)?;
            continue;
        }
        if unit.is_altered(place)? {
            unit.discard(place)?;
            found.altered.push(unit.described());
            continue;
        }
        match unit.inputs.compare(None) {
            Change::Content => {
                unit.forget(place)?;
                continue;
            }
            Change::Times => unit.write(place)?,
            Change::Nothing => {}
        }
        let Some(newest) = unit.inputs.newest() else { continue };
        if unit.kind == Kind::ScriptRun {
            if newest > modified(&unit.run_folder(place).join(OUTPUT).metadata()?) {
                found.late.insert(unit.hash, newest);
            }
        } else if let Some(note) = dependency_note(&unit, place)
            && newest > modified(&note.metadata()?)
        {
            set_modified(&note, newest)?;
        }
    }
    Ok(found)
}

/// Makes cargo take the runs of build scripts that are late for fresh: dates what they have written after
/// what they asked for. What leans on them must be no older then, so all that is local in their graphs is
/// dated later, in the order that it has.
///
/// The graphs must be whole: each unit as it was when cargo found it fresh among the others. Then nothing
/// that cargo would find stale is hidden from it.
///
/// # Errors
/// A store that cannot be written.
pub(crate) fn date_later(
    place: &Place,
    late: &BTreeMap<String, i64>,
    graphs: &[Vec<Unit>],
) -> anyhow::Result<()> {
    let target = place.target();
    let whole = |units: &&Vec<Unit>| {
        units.iter().all(|unit| {
            unit.is_there(place)
                && unit
                    .files
                    .iter()
                    .all(|(file, state)| state.compare(&target.join(file)) != Now::Other)
        })
    };
    let graphs =
        graphs.iter().filter(|units| units.iter().any(|unit| late.contains_key(&unit.hash)));
    let mut times = BTreeMap::new();
    let (mut first, mut newest) = (i64::MAX, i64::MIN);
    for unit in graphs.filter(whole).flatten().filter(|unit| unit.local) {
        for file in unit.outputs(place) {
            times.insert(file.clone(), modified(&file.metadata()?));
        }
        if let Some(asked_for) = late.get(&unit.hash) {
            let output = unit.run_folder(place).join(OUTPUT);
            first = first.min(modified(&output.metadata()?));
            newest = newest.max(*asked_for);
        }
    }
    for (file, time) in times.into_iter().filter(|(_, time)| *time >= first) {
        set_modified(&file, newest.saturating_add(time - first))?;
    }
    Ok(())
}

/// Cargo's list of what a unit was made of; its time is what cargo compares sources with.
fn dependency_note(unit: &Unit, place: &Place) -> Option<PathBuf> {
    let entries = fs::read_dir(unit.fingerprint(place)).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dep-"))
    })
}

fn set_modified(path: &Path, nanoseconds: i64) -> anyhow::Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds.max(0).unsigned_abs());
    let file = File::options().write(true).open(path)?;
    file.set_modified(time).with_context(|| format!("{} cannot be changed", path.display()))
}

fn read(path: &Path) -> Option<Unit> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// After a build, which began at a time: compares what was there with the notes, and notes what is new.
/// What was altered is removed, and cargo is to be called again.
///
/// # Errors
/// A store that cannot be written, or that somebody clears meanwhile.
pub(crate) fn check(
    place: &Place,
    built: &Built,
    since: i64,
    environment: &Environment,
) -> anyhow::Result<Found> {
    let target = place.target();
    let mut found = Found::default();
    for artifact in &built.artifacts {
        let Some(unit) = Unit::of_artifact(artifact, &target) else { continue };
        let inputs = |unit: &Unit| inputs_of_artifact(artifact, unit, environment);
        found.judge(unit, place, since, &artifact.files, &inputs)?;
    }
    for script in &built.scripts {
        let Some(unit) = Unit::of_script(script, &target) else { continue };
        let folder = unit.run_folder(place);
        let mut files = vec![folder.join(OUTPUT)];
        for entry in WalkDir::new(&script.out) {
            let entry = entry?;
            if entry.file_type().is_file() {
                files.push(entry.into_path());
            }
        }
        let of_it = built.artifacts.iter().find(|artifact| artifact.package == script.package);
        let package = of_it.map(|artifact| artifact.folder.as_path());
        let inputs = |unit: &Unit| inputs_of_run(&folder, package, unit.local, environment);
        found.judge(unit, place, since, &files, &inputs)?;
    }
    Ok(found)
}

impl Found {
    fn judge(
        &mut self,
        mut unit: Unit,
        place: &Place,
        since: i64,
        files: &[PathBuf],
        inputs: &dyn Fn(&Unit) -> anyhow::Result<Inputs>,
    ) -> anyhow::Result<()> {
        let begun = unit.begun(place);
        unit.began = begun.with_context(|| format!("{} is gone", unit.described()))?;
        if let Some(mut note) = unit.noted(place) {
            if note.is_altered(place)? {
                note.discard(place)?;
                self.altered.push(note.described());
                self.again = true;
            } else {
                self.units.push(note);
            }
            return Ok(());
        }
        unit.files = relative(files, &place.target())?;
        let fresh = unit.began < since;
        if fresh && changed_since(&unit, files, place) {
            unit.discard(place)?;
            self.altered.push(unit.described());
            self.again = true;
            return Ok(());
        }
        match inputs(&unit) {
            Ok(inputs) => unit.inputs = inputs,
            // Without the list of its sources no change of them would be noticed.
            Err(_) if fresh => {
                unit.discard(place)?;
                self.again = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        unit.doubtful = unit.inputs.changed_after(unit.began);
        if unit.doubtful && fresh {
            // Of a session that was killed, and changed since.
            unit.forget(place)?;
            self.again = true;
            return Ok(());
        }
        // One that is made at this moment is taken; the next session makes it again.
        unit.write(place)?;
        self.units.push(unit);
        Ok(())
    }
}

impl Unit {
    /// Whether a file is another than the note says. Other times are noted.
    fn is_altered(&mut self, place: &Place) -> anyhow::Result<bool> {
        let target = place.target();
        let mut touched = false;
        for (file, state) in &mut self.files {
            match state.compare(&target.join(file)) {
                Now::Same => {}
                Now::Touched(now) => (*state, touched) = (now, true),
                Now::Other => return Ok(true),
            }
        }
        if touched {
            self.write(place)?;
        }
        Ok(false)
    }
}

fn relative(files: &[PathBuf], target: &Path) -> anyhow::Result<BTreeMap<PathBuf, State>> {
    let mut states = BTreeMap::new();
    for file in files {
        let state =
            State::of(file).with_context(|| format!("{} cannot be read", file.display()))?;
        states.insert(file.strip_prefix(target).unwrap_or(file).to_owned(), state);
    }
    Ok(states)
}

/// Whether a file that nobody has noted is newer than cargo's note, which is written last.
fn changed_since(unit: &Unit, files: &[PathBuf], place: &Place) -> bool {
    let entries = fs::read_dir(unit.fingerprint(place)).into_iter().flatten().flatten();
    let notes = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("dep-"));
    let written = notes.filter_map(|entry| Some(modified(&entry.metadata().ok()?))).max();
    let newest = files.iter().filter_map(|file| Some(modified(&file.metadata().ok()?))).max();
    newest > written
}

fn inputs_of_artifact(
    artifact: &Artifact,
    unit: &Unit,
    environment: &Environment,
) -> anyhow::Result<Inputs> {
    let mut inputs = Inputs::default();
    let folder = artifact.files.first().and_then(|file| file.parent());
    let list = folder.map(|folder| folder.join(format!("{}-{}.d", artifact.name, unit.hash)));
    let list = list.context("a crate without a file")?;
    let text =
        fs::read_to_string(&list).with_context(|| format!("{} cannot be read", list.display()))?;
    let (files, variables) = listed(&text);
    // Cargo sets those of its own names, by what the manifest says.
    let of_cargo = |name: &str| name.starts_with("CARGO") || name == "OUT_DIR";
    for name in variables.iter().filter(|name| !of_cargo(name)) {
        inputs.add_variable(name, environment);
    }
    if unit.local {
        // What a build script has made is noted with it.
        let built =
            |file: &Path| folder.and_then(Path::parent).is_some_and(|up| file.starts_with(up));
        for file in files.iter().map(|file| artifact.folder.join(file)).filter(|file| !built(file))
        {
            inputs.add(&file)?;
        }
    }
    Ok(inputs)
}

/// What a build script asks to be run again for.
fn inputs_of_run(
    folder: &Path,
    package: Option<&Path>,
    local: bool,
    environment: &Environment,
) -> anyhow::Result<Inputs> {
    let output = fs::read(folder.join(OUTPUT)).context("a build script without an output")?;
    let output = String::from_utf8_lossy(&output);
    let told = |about: &str| -> Vec<String> {
        let lines = output.lines().filter_map(|line| line.strip_prefix("cargo:"));
        let lines = lines.map(|line| line.strip_prefix(':').unwrap_or(line));
        let values = lines.filter_map(|line| line.strip_prefix(about)?.strip_prefix('='));
        values.map(|value| value.trim().to_owned()).collect()
    };
    let mut inputs = Inputs::default();
    let (files, variables) = (told("rerun-if-changed"), told("rerun-if-env-changed"));
    for name in &variables {
        inputs.add_variable(name, environment);
    }
    let Some(package) = package else { return Ok(inputs) };
    if files.is_empty() && variables.is_empty() && local {
        // Cargo looks at the whole package then.
        inputs.add(package)?;
    }
    // A package that was fetched does not change.
    let may_change = |file: &PathBuf| local || !file.starts_with(package);
    for file in files.iter().map(|file| package.join(file)).filter(may_change) {
        inputs.add(&file)?;
    }
    Ok(inputs)
}
