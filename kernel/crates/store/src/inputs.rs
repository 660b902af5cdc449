//! What was read to compile something, so that a change of it is noticed by its content.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

use crate::content::{changed, digest, hash_of, modified};

/// The variables that programs are given: those of this process, and what a session has set.
pub(crate) type Environment = BTreeMap<String, String>;

/// Files and variables, as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// None for one that is not there.
    files: BTreeMap<PathBuf, Option<Seen>>,
    /// None for one that is not set.
    variables: BTreeMap<String, Option<String>>,
}

/// A file that was read. No program can set when a file was changed, so that two of the same values are
/// the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    size: u64,
    modified: i64,
    changed: i64,
    inode: u64,
    content: String,
}

/// How inputs are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// As they were, at a glance.
    Nothing,
    /// Of the same content, with other times. The inputs know the new ones now.
    Times,
    /// Another content.
    Content,
}

impl Inputs {
    /// Adds a file, or a folder with all that is in it, as it is now.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub(crate) fn add(&mut self, path: &Path) -> std::io::Result<()> {
        if self.files.contains_key(path) {
            return Ok(());
        }
        self.files.insert(path.to_owned(), Seen::of(path)?);
        if path.is_dir() {
            for entry in sources_below(path) {
                let entry = entry?;
                self.files.insert(entry.path().to_owned(), Seen::of(entry.path())?);
            }
        }
        Ok(())
    }

    /// Adds a variable.
    pub(crate) fn add_variable(&mut self, name: &str, environment: &Environment) {
        self.variables.insert(name.to_owned(), environment.get(name).cloned());
    }

    /// Adds what others have read.
    pub(crate) fn extend(&mut self, others: &Inputs) {
        self.files.extend(others.files.clone());
        self.variables.extend(others.variables.clone());
    }

    /// Whether a file was changed later than this: what was read of it is not known then.
    pub(crate) fn changed_after(&self, time: i64) -> bool {
        self.files.values().flatten().any(|seen| seen.changed > time)
    }

    /// The newest time of a file, as cargo looks at it.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.files.values().flatten().map(|seen| seen.modified).max()
    }

    /// What has changed since. Variables count where an environment is given.
    pub(crate) fn compare(&mut self, environment: Option<&Environment>) -> Change {
        if let Some(environment) = environment
            && self.variables.iter().any(|(name, value)| environment.get(name) != value.as_ref())
        {
            return Change::Content;
        }
        let mut change = Change::Nothing;
        for (path, seen) in &mut self.files {
            if seen.as_ref().is_some_and(|seen| seen.at_a_glance(path)) {
                continue;
            }
            let Ok(now) = Seen::of(path) else { return Change::Content };
            let content = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.content.clone());
            if content(seen) != content(&now) {
                return Change::Content;
            }
            if *seen != now {
                change = Change::Times;
                *seen = now;
            }
        }
        change
    }
}

impl Seen {
    /// None for what is not there.
    fn of(path: &Path) -> std::io::Result<Option<Seen>> {
        let data = match path.metadata() {
            Ok(data) => data,
            Err(error) => {
                let gone = [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory];
                return if gone.contains(&error.kind()) { Ok(None) } else { Err(error) };
            }
        };
        // A folder is what it lists; what lies in it counts on its own.
        let content = if data.is_dir() { listing(path)? } else { digest(&mut File::open(path)?)? };
        let (size, inode) = if data.is_dir() { (0, 0) } else { (data.len(), data.ino()) };
        let changed = if data.is_dir() { 0 } else { changed(&data) };
        Ok(Some(Seen { size, modified: modified(&data), changed, inode, content }))
    }

    fn at_a_glance(&self, path: &Path) -> bool {
        let Ok(data) = path.metadata() else { return false };
        data.is_file()
            && self.inode == data.ino()
            && (self.size, self.modified, self.changed)
                == (data.len(), modified(&data), changed(&data))
    }
}

fn listing(folder: &Path) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_source(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(hash_of(names.iter().map(String::as_str)))
}

/// What is compiled there is no source, and what is hidden is an editor's or git's.
fn is_source(name: &str) -> bool {
    name != "target" && !name.starts_with('.')
}

fn sources_below(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_source = |entry: &DirEntry| is_source(&entry.file_name().to_string_lossy());
    WalkDir::new(folder).min_depth(1).into_iter().filter_entry(is_source)
}

/// What a list of rustc's names: files, and variables that the source asks for.
pub(crate) fn listed(text: &str) -> (Vec<PathBuf>, Vec<String>) {
    let mut files = Vec::new();
    let mut variables = Vec::new();
    for line in text.lines() {
        if let Some(variable) = line.strip_prefix("# env-dep:") {
            variables.extend(variable.split('=').next().map(str::to_owned));
        } else if let Some((_, names)) = line.split_once(": ").filter(|_| files.is_empty()) {
            // A space within a name has a backslash before it.
            let names = names.trim().replace("\\ ", "\0");
            files.extend(names.split_whitespace().map(|name| name.replace('\0', " ").into()));
        }
    }
    (files, variables)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn touch(path: &Path, time: SystemTime) {
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn another_content_counts_and_another_time_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lib.rs");
        fs::write(&file, "one").unwrap();
        let mut inputs = Inputs::default();
        inputs.add(&file).unwrap();
        inputs.add(&folder.path().join("missing")).unwrap();
        assert_eq!(inputs.compare(None), Change::Nothing);
        touch(&file, SystemTime::now() + Duration::from_secs(1000));
        assert_eq!(inputs.compare(None), Change::Times);
        assert_eq!(inputs.compare(None), Change::Nothing);
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "two").unwrap();
        touch(&file, before);
        assert_eq!(inputs.compare(None), Change::Content);
        fs::write(&file, "one").unwrap();
        assert_eq!(inputs.compare(None), Change::Times);
        fs::write(folder.path().join("missing"), "").unwrap();
        assert_eq!(inputs.compare(None), Change::Content);
    }

    #[test]
    fn a_folder_is_all_that_is_in_it_but_for_what_is_compiled_or_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("inner")).unwrap();
        fs::write(at("inner/a"), "one").unwrap();
        let mut inputs = Inputs::default();
        inputs.add(folder.path()).unwrap();
        for ignored in ["target", ".git"] {
            fs::create_dir(at(ignored)).unwrap();
            fs::write(at(ignored).join("file"), "").unwrap();
        }
        assert_ne!(inputs.compare(None), Change::Content);
        fs::write(at("inner/b"), "").unwrap();
        assert_eq!(inputs.compare(None), Change::Content);
        fs::remove_file(at("inner/b")).unwrap();
        assert_ne!(inputs.compare(None), Change::Content);
        fs::write(at("inner/a"), "two").unwrap();
        assert_eq!(inputs.compare(None), Change::Content);
    }

    #[test]
    fn variables_count_where_an_environment_is_given() {
        let environment = |value: &str| Environment::from([("A".into(), value.into())]);
        let mut inputs = Inputs::default();
        inputs.add_variable("A", &environment("1"));
        inputs.add_variable("B", &environment("1"));
        assert_eq!(inputs.compare(Some(&environment("1"))), Change::Nothing);
        assert_eq!(inputs.compare(Some(&environment("2"))), Change::Content);
        assert_eq!(inputs.compare(None), Change::Nothing);
    }

    #[test]
    fn a_list_names_files_and_variables() {
        let text = "/d/libone.rlib: /s/a\\ b.rs /s/c.rs\n\n/s/c.rs:\n\n# env-dep:NAME=value\n\
                    # env-dep:NONE\n";
        let (files, variables) = listed(text);
        assert_eq!(files, [Path::new("/s/a b.rs"), Path::new("/s/c.rs")]);
        assert_eq!(variables, ["NAME", "NONE"]);
    }
}
