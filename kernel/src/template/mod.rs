//! The prepared build directory, and the private directory that each session gets of it.
//!
//! A first cell that loads a large crate compiles for minutes. `prepare` does it once, and
//! every session starts from hard links to what was compiled. Cargo and rustc write some files in
//! place; those are copied, so that no session can change the template or another session.

mod directory;
mod home;
mod inputs;
mod key;
mod rust;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use evcxr::{CommandContext, EvalContext};
use serde::{Deserialize, Serialize};
use shared::files;
use walkdir::WalkDir;

use crate::upstream::{cargo, prelink};
pub(crate) use directory::{SessionFolder, remove_session};
pub(crate) use home::Home;
use inputs::{Change, Inputs, modified};
pub(crate) use key::Key;
pub(crate) use rust::{hooks, rustc};

/// In the folder of the cells, and in a template: what is compiled.
const TARGET: &str = "target";

/// What a template says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    #[serde(flatten)]
    key: Key,
    inputs: Inputs,
}

/// A prepared build directory.
#[derive(Debug)]
pub(crate) struct Template {
    folder: PathBuf,
}

/// Whether a template is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TemplateStatus {
    /// Ready to be used.
    Ready,
    /// There is none.
    Missing,
    /// It was made of something else.
    Stale(Stale),
}

/// Why a template fits no longer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// The compiler.
    Rust,
    /// This program.
    Kernel,
    /// A file that changes with what the library is built on.
    Fingerprint(PathBuf),
    /// What cargo looked at.
    Input(Change),
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stale::Rust => f.write_str("Rust was updated"),
            Stale::Kernel => f.write_str("the kernel was updated"),
            Stale::Fingerprint(file) => write!(f, "{} is another", file.display()),
            Stale::Input(change) => change.fmt(f),
        }
    }
}

const KEY: &str = "template.json";

impl Made {
    /// None in a folder that is no whole template.
    fn read(folder: &Path) -> Option<Made> {
        serde_json::from_slice(&fs::read(folder.join(KEY)).ok()?).ok()
    }
}

impl Template {
    /// The place of the template of a crate.
    pub(crate) fn of(home: &Home, library: &Path) -> Template {
        Template { folder: home.build_dir(Some(library)).join("template") }
    }

    /// Whether it fits the key.
    pub(crate) fn status(&self, key: &Key) -> TemplateStatus {
        let Some(made) = Made::read(&self.folder) else { return TemplateStatus::Missing };
        if made.key.rustc != key.rustc {
            TemplateStatus::Stale(Stale::Rust)
        } else if let Some(file) = made.key.other_fingerprint(key) {
            TemplateStatus::Stale(Stale::Fingerprint(file))
        } else if made.key != *key {
            TemplateStatus::Stale(Stale::Kernel)
        } else {
            made.inputs
                .change()
                .map_or(TemplateStatus::Ready, |change| TemplateStatus::Stale(Stale::Input(change)))
        }
    }

    /// A file of the library whose time has not come: with it, every session compiles the library.
    pub(crate) fn dated_ahead(&self) -> Option<PathBuf> {
        Made::read(&self.folder)?.inputs.dated_ahead().map(Path::to_owned)
    }

    /// The versions that it was built with.
    pub(crate) fn lock(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("Cargo.lock")).ok()
    }

    /// The folder, for `doctor`.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes it unless it is there; says why it has to, to `say`.
    ///
    /// # Errors
    /// A crate that does not compile, and a cache that cannot be written.
    pub(crate) fn prepare(&self, home: &Home, key: &Key, say: &dyn Fn(&str)) -> Result<()> {
        if self.status(key) == TemplateStatus::Ready {
            return Ok(());
        }
        let build_dir = home.build_dir(Some(&key.library));
        fs::create_dir_all(build_dir.join(".cargo"))
            .with_context(|| format!("{} cannot be made", build_dir.display()))?;
        let lock = files::lock(&self.folder.with_extension("lock"), || {
            say("Another kernel is preparing the library: waiting for its end.");
        })?;
        let stale = match self.status(key) {
            TemplateStatus::Ready => return Ok(()),
            TemplateStatus::Missing => None,
            TemplateStatus::Stale(stale) => Some(stale),
        };
        let reason =
            stale.as_ref().map_or("it was not prepared yet".to_owned(), ToString::to_string);
        let name = key.library.file_name().unwrap_or_default().to_string_lossy();
        say(&format!("Preparing {name} ({reason}). This takes minutes, once."));
        let start = Instant::now();
        remove_orphans(&home.cache);
        let (config, profile) = (build_dir.join(".cargo/config.toml"), profile_of(&key.library)?);
        let part = self.folder.with_extension("part");
        // With another profile, or by another compiler, nothing can be used again that was compiled.
        let same = fs::read_to_string(&config).is_ok_and(|config| config == profile)
            && !matches!(stale, Some(Stale::Rust | Stale::Kernel));
        if !same {
            remove(&self.folder)?;
            remove(&part)?;
        }
        fs::write(config, profile)?;
        if self.folder.is_dir() {
            remove(&part)?;
            fs::rename(&self.folder, &part)
                .with_context(|| format!("{} cannot be renewed", self.folder.display()))?;
        }
        if let Some(made) = Made::read(&part) {
            made.inputs.forget_overlooked(&part, modified(&part.join(KEY))?)?;
        }
        remove(&part.join(KEY))?;
        drop_files(&part, &prelink::FILES)?;
        fs::create_dir_all(&part).with_context(|| format!("{} cannot be made", part.display()))?;
        let began = SystemTime::now();
        build(&part, key, &lock, say)?;
        let inputs = Inputs::of(&part, began)?;
        if let Some(file) = inputs.dated_ahead() {
            say(&future_date(file));
        }
        drop_files(&part, &["ctx-", "ctx.", "libctx.", "libctx-", "libcode_"])?;
        for own in ["src", cargo::CALL] {
            remove(&part.join(own))?;
        }
        let made = Made { key: key.clone(), inputs };
        fs::write(part.join(KEY), serde_json::to_vec_pretty(&made)?)?;
        fs::rename(&part, &self.folder)
            .with_context(|| format!("{} cannot be placed", self.folder.display()))?;
        say(&format!("Prepared {name} in {:.0} s.", start.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// What a file of the library's means that is dated in the future.
pub(crate) fn future_date(file: &Path) -> String {
    format!(
        "{} is dated in the future, so that cargo compiles the library in every session: touch it",
        file.display()
    )
}

/// How the library's own workspace compiles its dependencies, as a configuration of Cargo. evcxr
/// would optimise all of them, and the reader would wait.
fn profile_of(library: &Path) -> Result<String> {
    let manifest = |folder: &Path| -> Option<toml::Table> {
        fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()
    };
    let packages =
        |table: toml::Table| Some(table.get("profile")?.get("dev")?.get("package")?.clone());
    let found = [Some(library), library.parent()]
        .into_iter()
        .flatten()
        .find_map(|folder| packages(manifest(folder)?));
    let Some(packages) = found else { return Ok(String::new()) };
    let dev = toml::Table::from_iter([("package".to_owned(), packages)]);
    let profile = toml::Table::from_iter([("dev".to_owned(), toml::Value::Table(dev))]);
    let config = toml::Table::from_iter([("profile".to_owned(), toml::Value::Table(profile))]);
    Ok(toml::to_string(&config)?)
}

/// Removes the templates of libraries that are no more: half a gigabyte each.
fn remove_orphans(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for build_dir in entries.flatten().map(|entry| entry.path()) {
        let made = Made::read(&build_dir.join("template"));
        if made.is_some_and(|made| !made.key.library.is_dir()) {
            let _ = fs::remove_dir_all(&build_dir);
        }
    }
}

/// Compiles in a process of its own, since evcxr reads the folder from the environment. That process
/// goes on compiling when this one is killed, so it inherits the lock: the next one waits for it.
fn build(folder: &Path, key: &Key, lock: &File, say: &dyn Fn(&str)) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("build-template")
        .arg("--library")
        .arg(&key.library)
        .env("EVCXR_TMPDIR", folder)
        .stdin(lock.try_clone()?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut last = String::new();
    if let Some(errors) = child.stderr.take() {
        for line in BufReader::new(errors).lines() {
            let line = line?;
            // The compiler's own messages come as JSON, each with what a person reads in it.
            let line = match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(json) => match json["message"]["rendered"].as_str() {
                    Some(rendered) => rendered.to_owned(),
                    None => continue,
                },
                Err(_) => line,
            };
            say(&line);
            last.push_str(&line);
            last.push('\n');
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{} does not compile:\n{last}", key.library.display());
    Ok(())
}

/// The child of [`build`]: compiles the cell crate with the library in `EVCXR_TMPDIR`.
///
/// # Errors
/// A crate that does not compile.
pub(crate) fn build_here(library: &Path) -> Result<()> {
    let folder =
        PathBuf::from(std::env::var_os("EVCXR_TMPDIR").context("EVCXR_TMPDIR is not set")?);
    // Cells run here as evcxr's own do: this process is no session.
    let (context, _outputs) =
        EvalContext::with_subprocess_command(Command::new(std::env::current_exe()?))?;
    let mut context = CommandContext::with_eval_context(context);
    // The versions of the workspace, not the newest ones.
    if let Some(lock) = library.parent().map(|parent| parent.join("Cargo.lock"))
        && lock.is_file()
    {
        fs::copy(&lock, folder.join("Cargo.lock"))?;
    }
    context.execute(&format!(":dep {}", library.display()))?;
    let name = library.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
    context.execute(&format!("{{ use {name} as _; }}"))?;
    Ok(())
}

/// Removes all that bears a name with one of these beginnings.
fn drop_files(folder: &Path, beginnings: &[&str]) -> Result<()> {
    let target = folder.join(TARGET);
    if !target.is_dir() {
        return Ok(());
    }
    let mut found = Vec::new();
    let mut walk = WalkDir::new(&target).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if beginnings.iter().any(|beginning| name.starts_with(beginning)) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            found.push(entry.into_path());
        }
    }
    found.iter().try_for_each(|path| remove(path))
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn key(library: &Path) -> Key {
        Key {
            library: library.into(),
            rustc: "1.95".into(),
            kernel: "0.1".into(),
            fingerprints: BTreeMap::from([("/c/version".into(), Some(11))]),
        }
    }

    fn write_key(template: &Path, key: &Key) {
        fs::create_dir_all(template).unwrap();
        let made = Made { key: key.clone(), inputs: Inputs::default() };
        fs::write(template.join(KEY), serde_json::to_vec(&made).unwrap()).unwrap();
    }

    #[test]
    fn a_template_that_does_not_fit_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let template = Template { folder: folder.path().to_path_buf() };
        let key = key(Path::new("/lib"));
        assert_eq!(template.status(&key), TemplateStatus::Missing);
        write_key(folder.path(), &key);
        assert_eq!(template.status(&key), TemplateStatus::Ready);
        let updated = Key { rustc: "1.96".into(), ..key.clone() };
        assert_eq!(template.status(&updated), TemplateStatus::Stale(Stale::Rust));
        let fingerprints = BTreeMap::from([("/c/version".into(), Some(12))]);
        let other = Key { fingerprints, ..key.clone() };
        let file = Stale::Fingerprint("/c/version".into());
        assert_eq!(template.status(&other), TemplateStatus::Stale(file));
        let kernel = Key { kernel: "0.2".into(), ..key };
        assert_eq!(template.status(&kernel), TemplateStatus::Stale(Stale::Kernel));
    }

    #[test]
    fn dependencies_are_compiled_as_the_library_s_workspace_does() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lib");
        fs::create_dir(&library).unwrap();
        fs::write(library.join("Cargo.toml"), "[package]\nname = \"lib\"").unwrap();
        assert_eq!(profile_of(&library).unwrap(), "");
        let workspace = "[profile.dev.package.\"*\"]\nopt-level = 1\n";
        fs::write(folder.path().join("Cargo.toml"), workspace).unwrap();
        assert_eq!(profile_of(&library).unwrap().trim(), workspace.trim());
    }

    #[test]
    fn templates_of_libraries_that_are_no_more_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { cache: folder.path().join("cache"), state: folder.path().join("state") };
        let gone = folder.path().join("gone");
        for library in [folder.path(), &gone] {
            write_key(&home.build_dir(Some(library)).join("template"), &key(library));
        }
        remove_orphans(&home.cache);
        assert!(home.build_dir(Some(folder.path())).exists());
        assert!(!home.build_dir(Some(&gone)).exists());
    }
}
