//! What cargo looked at when it compiled a template: so that both always agree whether it still fits.
//!
//! Cargo compiles a local crate anew when one of its sources has another time than when it was
//! compiled, whatever is in it: after a new clone, a `git switch` there and back, a copy. A template
//! that did not know it would be called prepared, and every session would compile the crate again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

use crate::upstream::cargo;

/// Files, and variables that build scripts have asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Inputs {
    /// When cargo was called, in seconds since 1970: the layers of an image keep no more of a time.
    began: u64,
    files: BTreeMap<PathBuf, State>,
    environment: BTreeMap<String, Option<String>>,
    /// The names of the local packages.
    packages: BTreeSet<String>,
}

/// A file as it was compiled.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Its bytes, as a hash; 0 for a folder.
    content: u64,
    /// When it was modified, in seconds since 1970. None for a manifest, which cargo takes by its
    /// content.
    modified: Option<u64>,
}

/// Why what was compiled fits no longer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file with another content, or one that is no more.
    Content(PathBuf),
    /// A file with the same content and a time after cargo was called: cargo goes by that.
    Time(PathBuf),
    /// A variable that a build script reads.
    Variable(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Content(file) => write!(f, "the library was changed: {}", file.display()),
            Change::Time(file) => write!(
                f,
                "a file of the library has a newer time than when it was compiled: {}",
                file.display()
            ),
            Change::Variable(name) => {
                write!(f, "{name}, which a build script reads, has another value")
            }
        }
    }
}

impl Inputs {
    /// Reads in a folder of cells what cargo, called at `began`, has looked at.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn of(cells: &Path, began: SystemTime) -> Result<Inputs> {
        let mut inputs = Inputs { began: seconds(began), ..Inputs::default() };
        let notes = Notes::read(cells)?;
        for name in notes.variables {
            let value = value_of(&name);
            inputs.environment.insert(name, value);
        }
        let mut packages = BTreeSet::new();
        for source in notes.sources {
            packages.extend(package_of(&source));
            inputs.add_all(&source)?;
        }
        for package in packages {
            let name = name_of(&package)?;
            if notes.untold.contains(&name) {
                inputs.add_all(&package)?;
            }
            inputs.packages.insert(name);
            let workspace = package.parent().and_then(package_of);
            for folder in workspace.iter().chain([&package]) {
                for manifest in ["Cargo.toml", "Cargo.lock"] {
                    let file = folder.join(manifest);
                    if file.is_file() {
                        let content = content_of(&file)?;
                        inputs.files.insert(file, State { content, modified: None });
                    }
                }
            }
        }
        Ok(inputs)
    }

    /// A file, or a folder with all that is in it.
    fn add_all(&mut self, path: &Path) -> Result<()> {
        let mut add = |path: &Path| -> Result<()> {
            let modified = Some(seconds(modified(path)?));
            self.files.insert(path.to_owned(), State { content: content_of(path)?, modified });
            Ok(())
        };
        add(path)?;
        if path.is_dir() {
            // What is compiled there is no source.
            let is_source = |entry: &DirEntry| {
                let name = entry.file_name().to_string_lossy();
                entry.depth() == 0 || (name != "target" && !name.starts_with('.'))
            };
            for entry in WalkDir::new(path).into_iter().filter_entry(is_source) {
                let entry = entry?;
                if entry.depth() > 0 && !entry.path_is_symlink() {
                    add(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// The first change since; None where cargo would compile nothing.
    pub(super) fn change(&self) -> Option<Change> {
        let files = self.files.iter().find_map(|(file, state)| state.change(file, self.began));
        files.or_else(|| {
            let (name, _) =
                self.environment.iter().find(|(name, value)| value_of(name) != **value)?;
            Some(Change::Variable(name.clone()))
        })
    }

    /// Cargo would overlook a source that was changed and is dated before `made`: makes it compile the
    /// local packages anew where there is one.
    ///
    /// # Errors
    /// A folder that cannot be changed.
    pub(super) fn forget_overlooked(&self, cells: &Path, made: SystemTime) -> Result<()> {
        let overlooked = self.files.iter().any(|(file, state)| {
            let changed = matches!(state.change(file, self.began), Some(Change::Content(_)));
            changed && state.modified.is_some() && modified(file).is_ok_and(|time| time <= made)
        });
        if !overlooked {
            return Ok(());
        }
        let is_unit = |path: &Path| path.parent().is_some_and(|at| at.ends_with(".fingerprint"));
        let mut found = Vec::new();
        let mut walk = WalkDir::new(cells.join("target")).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry?;
            if !is_unit(entry.path()) {
                continue;
            }
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            let unit = entry.file_name().to_string_lossy();
            let package = unit.rsplit_once('-').map_or("", |(package, _hash)| package);
            if self.packages.contains(package) {
                found.push(entry.into_path());
            }
        }
        for unit in found {
            fs::remove_dir_all(&unit)
                .with_context(|| format!("{} cannot be removed", unit.display()))?;
        }
        Ok(())
    }

    /// A file whose time has not come: cargo compiles its crate anew whenever it is asked to.
    pub(super) fn dated_ahead(&self) -> Option<&Path> {
        let now = seconds(SystemTime::now());
        let found = self.files.iter().find(|(_, state)| state.modified.is_some_and(|at| at > now));
        found.map(|(file, _)| file.as_path())
    }
}

impl State {
    /// What has changed since cargo was called at `began`.
    fn change(&self, file: &Path, began: u64) -> Option<Change> {
        let now = seconds(SystemTime::now());
        let found = modified(file).ok().map(seconds);
        let same = self.modified.is_some() && found == self.modified;
        if !same && content_of(file).ok() != Some(self.content) {
            return Some(Change::Content(file.to_owned()));
        }
        // A file that was changed while cargo was at work may have been read before or after the change:
        // it counts as changed. A date in the future does not, since it would be newer after the next
        // preparation, too, and the one after that.
        let newer = found.is_some_and(|at| began < at && (at <= now || !same));
        let newer = newer && self.modified.is_some();
        newer.then(|| Change::Time(file.to_owned()))
    }
}

/// What cargo wrote down about the crates on this machine that a cell was compiled with.
#[derive(Debug, Default)]
struct Notes {
    /// Files, and folders that a build script named.
    sources: Vec<PathBuf>,
    /// Variables that build scripts named.
    variables: BTreeSet<String>,
    /// Packages whose build script named nothing: cargo looks at all of their files.
    untold: BTreeSet<String>,
}

impl Notes {
    fn read(cells: &Path) -> Result<Notes> {
        let mut notes = Notes::default();
        const NO_NOTES: [&str; 4] = ["deps", "incremental", ".fingerprint", "out"];
        let may_hold_notes = |entry: &DirEntry| {
            let name = entry.file_name().to_string_lossy();
            !(entry.depth() > 0 && entry.file_type().is_dir() && NO_NOTES.contains(&&*name))
        };
        for entry in WalkDir::new(cells.join("target")).into_iter().filter_entry(may_hold_notes) {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let unit = path.parent().unwrap_or(path);
            let of_a_script = unit.parent().is_some_and(|folder| folder.ends_with("build"));
            if entry.file_type().is_dir() {
                continue;
            }
            if name == "libctx.d" {
                let listed = cargo::listed(path)?;
                notes
                    .sources
                    .extend(listed.into_iter().filter(|source| !source.starts_with(cells)));
            } else if name == "output" && of_a_script {
                let said = fs::read_to_string(path).unwrap_or_default();
                let told = |about: &str| -> BTreeSet<String> {
                    said.lines()
                        .filter_map(|line| line.strip_prefix("cargo:"))
                        .map(|line| line.strip_prefix(':').unwrap_or(line))
                        .filter_map(|line| line.strip_prefix(about)?.strip_prefix('='))
                        .map(str::to_owned)
                        .collect()
                };
                let variables = told("rerun-if-env-changed");
                if variables.is_empty() && told("rerun-if-changed").is_empty() {
                    // The folder is called by the package and a hash.
                    let unit = unit.file_name().unwrap_or_default().to_string_lossy();
                    notes.untold.extend(unit.rsplit_once('-').map(|(name, _)| name.to_owned()));
                }
                notes.variables.extend(variables);
            }
        }
        Ok(notes)
    }
}

/// The folder of the package that a file belongs to.
fn package_of(file: &Path) -> Option<PathBuf> {
    file.ancestors().find(|folder| folder.join("Cargo.toml").is_file()).map(Path::to_owned)
}

fn name_of(package: &Path) -> Result<String> {
    let file = package.join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(&file)
        .with_context(|| format!("{} cannot be read", file.display()))?
        .parse()
        .with_context(|| format!("{} is no manifest", file.display()))?;
    let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
    Ok(name.unwrap_or_default().to_owned())
}

fn value_of(variable: &str) -> Option<String> {
    std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

pub(super) fn content_of(file: &Path) -> Result<u64> {
    if file.is_dir() {
        return Ok(0);
    }
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(hasher.finish())
}

/// When a file was modified.
///
/// # Errors
/// A file that is not there.
pub(super) fn modified(file: &Path) -> Result<SystemTime> {
    let data = fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(data.modified()?)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A cell compiled with a crate of a workspace, as cargo leaves it.
    fn compiled(folder: &Path, said: &str) -> (PathBuf, Inputs) {
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            // An hour ago: before the compilation that `Inputs::of` is told of.
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        };
        write("Cargo.toml", "[workspace]");
        write("Cargo.lock", "");
        write("lib/Cargo.toml", "[package]\nname = \"lib\"");
        write("lib/README.md", "");
        write("lib/src/lib.rs", "");
        write("lib/cpp/a.cpp", "");
        let cells = folder.join("cells");
        let listed = format!(
            "{0}/cells/libctx.so: {0}/cells/src/lib.rs {0}/lib/cpp {0}/lib/src/lib.rs",
            folder.display()
        );
        write("cells/target/t/debug/libctx.d", &listed);
        write("cells/target/t/debug/build/lib-0123/output", said);
        for changed in ["lib", "lib/cpp", "lib/src"] {
            let changed = fs::File::open(folder.join(changed)).unwrap();
            changed.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        }
        let began = SystemTime::now() - Duration::from_secs(60);
        (cells.clone(), Inputs::of(&cells, began).unwrap())
    }

    fn touch(file: &Path) {
        fs::File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(SystemTime::now())
            .unwrap();
    }

    #[test]
    fn sources_go_by_time_and_manifests_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let (_, inputs) = compiled(folder.path(), "cargo:rerun-if-changed=cpp\n");
        assert_eq!(inputs.change(), None);
        for manifest in ["Cargo.toml", "Cargo.lock", "lib/Cargo.toml"] {
            let file = folder.path().join(manifest);
            let before = fs::read_to_string(&file).unwrap();
            touch(&file);
            assert_eq!(inputs.change(), None, "{manifest}");
            fs::write(&file, "# changed").unwrap();
            assert_eq!(inputs.change(), Some(Change::Content(file.clone())));
            fs::write(&file, before).unwrap();
        }
        // No script asked for it.
        touch(&folder.path().join("lib/README.md"));
        for source in ["lib/cpp/a.cpp", "lib/src/lib.rs"] {
            let folder = tempfile::tempdir().unwrap();
            let (_, inputs) = compiled(folder.path(), "cargo::rerun-if-changed=cpp\n");
            let file = folder.path().join(source);
            touch(&file);
            assert_eq!(inputs.change(), Some(Change::Time(file.clone())));
            fs::write(&file, "changed").unwrap();
            assert_eq!(inputs.change(), Some(Change::Content(file.clone())));
            fs::remove_file(&file).unwrap();
            assert!(inputs.change().is_some(), "{source}");
        }
    }

    #[test]
    fn what_cargo_would_overlook_is_compiled_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (cells, inputs) = compiled(folder.path(), "cargo:rerun-if-changed=cpp\n");
        let units = cells.join("target/t/debug/.fingerprint");
        for unit in ["lib-0123", "lib-other-0123", "libc-0123"] {
            fs::create_dir_all(units.join(unit)).unwrap();
        }
        let now = SystemTime::now();
        inputs.forget_overlooked(&cells, now).unwrap();
        assert!(units.join("lib-0123").exists());
        let source = folder.path().join("lib/src/lib.rs");
        fs::write(&source, "changed").unwrap();
        // Cargo sees that it is newer.
        inputs.forget_overlooked(&cells, now - Duration::from_secs(60)).unwrap();
        assert!(units.join("lib-0123").exists());
        inputs.forget_overlooked(&cells, SystemTime::now()).unwrap();
        assert!(!units.join("lib-0123").exists());
        assert!(units.join("lib-other-0123").exists() && units.join("libc-0123").exists());
    }

    #[test]
    fn a_script_that_names_no_file_is_about_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let (_, inputs) = compiled(folder.path(), "cargo:rustc-link-lib=c\n");
        let file = folder.path().join("lib/README.md");
        touch(&file);
        assert_eq!(inputs.change(), Some(Change::Time(file)));
    }

    #[test]
    fn a_variable_that_a_script_reads_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let said = "cargo:rerun-if-env-changed=INPUTS_TEST_CXX\n";
        let (_, mut inputs) = compiled(folder.path(), said);
        assert_eq!(inputs.change(), None);
        let wanted = Some("another compiler".to_owned());
        inputs.environment.insert("INPUTS_TEST_CXX".into(), wanted);
        let change = inputs.change().unwrap();
        assert_eq!(change, Change::Variable("INPUTS_TEST_CXX".into()));
    }

    #[test]
    fn what_was_changed_meanwhile_is_compiled_again_and_the_future_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (cells, before_all) = compiled(folder.path(), "cargo:rerun-if-changed=cpp\n");
        let file = folder.path().join("lib/src/lib.rs");
        // Older than what was compiled, as a copy may be: cargo compiles nothing.
        let older = SystemTime::now() - Duration::from_secs(7200);
        fs::File::options().write(true).open(&file).unwrap().set_modified(older).unwrap();
        assert_eq!(before_all.change(), None);
        touch(&file);
        let before = SystemTime::now() - Duration::from_secs(60);
        let inputs = Inputs::of(&cells, before).unwrap();
        assert!(matches!(inputs.change(), Some(Change::Time(_))));
        assert_eq!(inputs.dated_ahead(), None);
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        fs::File::options().write(true).open(&file).unwrap().set_modified(tomorrow).unwrap();
        let inputs = Inputs::of(&cells, SystemTime::now()).unwrap();
        assert_eq!(inputs.dated_ahead(), Some(file.as_path()));
        assert_eq!(inputs.change(), None);
    }
}
