//! Small crates on this machine, and sessions that use them.

#![allow(dead_code)]

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use cell_store::{Added, Crates, Dependency, Error, LINKER, Store};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use tempfile::TempDir;

/// What a session is told that waits.
pub(crate) const WAITING: &str = "waiting for another notebook that compiles crates";

/// A folder with a store, crates and sessions.
pub(crate) struct World {
    pub(crate) folder: TempDir,
}

/// A session, and what it was told.
pub(crate) struct Session {
    pub(crate) crates: Crates,
    pub(crate) folder: PathBuf,
    told: RefCell<Vec<String>>,
}

impl World {
    pub(crate) fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path("cache"))
    }

    /// Writes a crate with one source.
    pub(crate) fn write(&self, name: &str, manifest: &str, source: &str) {
        let folder = self.path(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let package = format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2024'\n");
        fs::write(folder.join("Cargo.toml"), format!("{package}{manifest}")).unwrap();
        fs::write(folder.join("src/lib.rs"), source).unwrap();
    }

    pub(crate) fn session(&self, name: &str) -> Session {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        let linker = folder.join(LINKER);
        if !linker.exists() {
            symlink(env!("CARGO_BIN_EXE_cell_session"), &linker).unwrap();
        }
        let mut crates = Crates::new(self.store(), &folder, &self.path(""), linker);
        // These tests ask no network.
        crates.offline(true);
        Session { crates, folder, told: RefCell::default() }
    }

    /// A session in a process of its own.
    pub(crate) fn process(&self, name: &str, dependencies: &str) -> Command {
        let manifest = self.path(&format!("{name}.toml"));
        fs::write(&manifest, format!("[dependencies]\n{dependencies}\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cell_session"));
        command.args([self.path("cache"), self.path(name), self.path(""), manifest]);
        command.env("CARGO_NET_OFFLINE", "true");
        command
    }

    /// All files of the store whose names begin so.
    pub(crate) fn files_of_store(&self, start: &str) -> Vec<PathBuf> {
        files_below(&self.path("cache"), start)
    }
}

pub(crate) fn files_below(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    named.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).collect()
}

impl Session {
    /// Adds what lines of `[dependencies]` say.
    pub(crate) fn add(&mut self, lines: &str) -> Result<Added, Error> {
        let table: toml::Table = lines.parse().unwrap();
        let new: Vec<_> = table.into_iter().map(|(name, spec)| Dependency { name, spec }).collect();
        let told = &self.told;
        self.crates.add(&new, &|said| told.borrow_mut().push(said.line().to_owned()))
    }

    /// Which crates were compiled since this was last asked.
    pub(crate) fn compiled(&self) -> Vec<String> {
        let told = self.told.take();
        let lines = told.iter().filter_map(|line| line.strip_prefix("Compiling "));
        let mut names: Vec<_> =
            lines.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    }

    /// All that was told since this was last asked.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.take()
    }

    /// The same, but for waiting: cargo has one lock for the sources of all tests.
    pub(crate) fn told_of_crates(&self) -> Vec<String> {
        let mut told = self.told();
        told.retain(|line| line != WAITING);
        told
    }

    /// Compiles a cell.
    pub(crate) fn cell(&self, name: &str, body: &str) -> PathBuf {
        let linked = self.crates.linked();
        let source = self.folder.join(format!("{name}.rs"));
        let library = self.folder.join(format!("{name}.so"));
        let text = format!(
            "{}\n#[unsafe(no_mangle)] pub extern \"C\" fn run() -> i64 {{ {body} }}\n",
            linked.declarations()
        );
        fs::write(&source, text).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-C", "prefer-dynamic"]);
        rustc.args(linked.rustc_arguments()).arg("-o").arg(&library).arg(&source);
        let output = rustc.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        library
    }

    /// Compiles a cell, runs it in this process and answers its value.
    pub(crate) fn run(&self, name: &str, body: &str) -> i64 {
        let library = self.cell(name, body);
        // SAFETY: a library that was compiled just now, with one function of this type.
        unsafe {
            let library = Library::open(Some(library), RTLD_NOW | RTLD_LOCAL).unwrap();
            let run = *library.get::<extern "C" fn() -> i64>(b"run").unwrap();
            // What it has loaded stays.
            std::mem::forget(library);
            run()
        }
    }
}

pub(crate) fn touch(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

pub(crate) fn ahead(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=a", "-c", "user.email=a@b", "-c"]);
    git.args(["init.defaultBranch=main"]).args(arguments);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
