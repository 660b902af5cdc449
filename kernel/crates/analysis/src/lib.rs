//! Completion and help in the cells of a notebook: rust-analyzer as a library.
//!
//! [`Analysis`] is asked about the whole text of a crate's root file. It reads the standard library and the
//! crates that the crate's Cargo.toml names, which takes seconds, in [`Analysis::load`]; answers take
//! milliseconds then. Nothing is compiled: build scripts and procedural macros do not run.

mod completions;
mod dependencies;
mod documentation;
mod graph;
mod limits;
mod markdown;
mod sources;
mod toolchain;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, ensure};
use cell_questions::{Completion, Documentation};
use ra_ap_base_db::SourceDatabase as _;
use ra_ap_base_db::salsa::{CancellationToken, Cancelled, Database as _, Durability};
use ra_ap_hir::attach_db_allow_change;
use ra_ap_ide::{AnalysisHost, FilePosition, FileRange, TextRange, TextSize};
use ra_ap_ide_db::RootDatabase;

use crate::dependencies::{Metadata, Package};
use crate::sources::Sources;
use crate::toolchain::Toolchain;

/// What knows the code of a notebook.
#[derive(Debug)]
pub struct Analysis {
    rustc: PathBuf,
    cargo: PathBuf,
    /// The folder of the cells' Cargo.toml.
    folder: PathBuf,
    /// What the compiler said, which is asked once.
    toolchain: Option<Toolchain>,
    state: Option<State>,
    canceller: Canceller,
    #[cfg(test)]
    panics: bool,
}

/// Breaks off what an [`Analysis`] is doing, from another thread.
#[derive(Debug, Clone, Default)]
pub struct Canceller(Arc<Work>);

#[derive(Debug, Default)]
struct Work {
    is_cancelled: AtomicBool,
    /// Of the question that is being answered.
    token: Mutex<Option<CancellationToken>>,
}

/// What was read.
#[derive(Debug)]
struct State {
    host: Host,
    sources: Sources,
    /// The manifest and the versions as they were.
    manifest: Manifest,
    is_loaded: bool,
}

/// rust-analyzer's own, which cannot be looked into.
struct Host(AnalysisHost);

/// The contents of Cargo.toml and Cargo.lock.
type Manifest = [Option<Vec<u8>>; 2];

/// Asked once before the first question: what that would have to wait for otherwise.
const FIRST: &str = "fn first(words: Vec<String>) {\n\
    let mut lengths = std::collections::HashMap::new();\n\
    for word in &words { *lengths.entry(word.len()).or_insert(0) += 1; }\n\
    println!(\"{lengths:?}\");\n\
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(0);\n\
    words[longest].\n}\n";

impl Analysis {
    /// For the crate in a folder, with the compiler and the cargo that its cells are compiled with. Reads
    /// nothing yet.
    ///
    /// # Errors
    /// A folder that cannot be found.
    pub fn new(
        rustc: impl Into<PathBuf>,
        cargo: impl Into<PathBuf>,
        manifest_folder: &Path,
    ) -> Result<Analysis> {
        let folder = manifest_folder
            .canonicalize()
            .with_context(|| format!("{} cannot be found", manifest_folder.display()))?;
        Ok(Analysis {
            rustc: rustc.into(),
            cargo: cargo.into(),
            folder,
            toolchain: None,
            state: None,
            canceller: Canceller::default(),
            #[cfg(test)]
            panics: false,
        })
    }

    /// Whether the next question is answered at once: all is read, and Cargo.toml is as it was then.
    pub fn is_loaded(&self) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.is_loaded && manifest(&self.folder).is_ok_and(|now| now == state.manifest)
        })
    }

    /// What breaks off [`Analysis::load`], which is gone on with the next time, and
    /// [`Analysis::complete`], which then has no answer. Where all is read, [`Analysis::inspect`] takes
    /// too short for that.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Reads what was not read yet: all of it at first, later crates that Cargo.toml names since. Where
    /// that is nothing, or a canceller breaks it off, it returns at once.
    ///
    /// # Errors
    /// A compiler or cargo that fails, and files that cannot be read.
    pub fn load(&mut self) -> Result<()> {
        self.begin();
        self.load_on(false)
    }

    /// As [`Analysis::load`], and looks again at the crates whose sources are the reader's own.
    ///
    /// # Errors
    /// Those of [`Analysis::load`].
    pub fn reload(&mut self) -> Result<()> {
        self.begin();
        self.load_on(true)
    }

    /// What may stand at a place of the crate's root file, the best first. It is loaded before, if it is
    /// not.
    ///
    /// # Errors
    /// Those of [`Analysis::load`].
    pub fn complete(&mut self, source: &str, offset: usize) -> Result<Vec<Completion>> {
        self.begin();
        let Some(position) = position(source, offset) else { return Ok(Vec::new()) };
        self.load_on(false)?;
        let asked = completions::with_a_name(source, offset);
        let found = self.ask(&asked, |db, file| {
            let position = FilePosition { file_id: file, offset: position };
            let config = completions::config();
            let found = ra_ap_ide_completion::completions(db, &config, position, None);
            completions::chosen(source, offset, found.unwrap_or_default())
        });
        Ok(found.unwrap_or_default())
    }

    /// What is known of the name at a place of the crate's root file or, between the arguments of a call,
    /// of what is called. It is loaded before, if it is not.
    ///
    /// # Errors
    /// Those of [`Analysis::load`].
    pub fn inspect(&mut self, source: &str, offset: usize) -> Result<Option<Documentation>> {
        self.begin();
        let Some(offset) = position(source, offset) else { return Ok(None) };
        self.load_on(false)?;
        if self.is_cancelled() {
            return Ok(None);
        }
        let found = self.ask_host(source, |host, file_id| {
            let analysis = host.analysis();
            let of_name = || {
                let range = TextRange::empty(offset);
                let found = analysis.hover(&documentation::config(), FileRange { file_id, range });
                Ok(found?.and_then(|found| documentation::of_name(&found.info)))
            };
            let of_call = || {
                let found = analysis.signature_help(FilePosition { file_id, offset });
                Ok(found?.and_then(|found| documentation::of_call(&found)))
            };
            // A name within a call is asked about for itself.
            match documentation::is_name(source, offset) {
                true => of_name()?.map_or_else(of_call, |found| Ok(Some(found))),
                false => of_call()?.map_or_else(of_name, |found| Ok(Some(found))),
            }
        });
        Ok(found.flatten())
    }

    fn begin(&self) {
        self.canceller.0.is_cancelled.store(false, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.canceller.0.is_cancelled.load(Ordering::Relaxed)
    }

    fn load_on(&mut self, again: bool) -> Result<()> {
        if !again && self.is_loaded() {
            return Ok(());
        }
        let manifest = manifest(&self.folder)?;
        let is_read = |state: &State| state.manifest == manifest;
        if again || !self.state.as_ref().is_some_and(is_read) {
            self.read()?;
        }
        let place = FIRST.find(".\n}").map_or(0, |place| place + 1);
        let Some(offset) = position(FIRST, place) else { return Ok(()) };
        let found = self.ask(FIRST, |db, file_id| {
            let position = FilePosition { file_id, offset };
            ra_ap_ide_completion::completions(db, &completions::config(), position, None);
        });
        if let (Some(()), Some(state)) = (found, &mut self.state) {
            state.is_loaded = true;
        }
        Ok(())
    }

    /// Reads the sources of all crates, unless it is broken off before.
    fn read(&mut self) -> Result<()> {
        let toolchain = match self.toolchain.take() {
            Some(toolchain) => toolchain,
            None => Toolchain::of(&self.rustc)?,
        };
        let toolchain = self.toolchain.insert(toolchain);
        let is_cancelled = || self.canceller.0.is_cancelled.load(Ordering::Relaxed);
        if is_cancelled() {
            return Ok(());
        }
        let metadata = Metadata::of(&self.cargo, &self.rustc, &self.folder, &toolchain.host)?;
        let packages = metadata.nameable();
        ensure!(!packages.is_empty(), "{} is no library", self.folder.display());
        if is_cancelled() {
            return Ok(());
        }
        // Cargo may have written Cargo.lock.
        let manifest = manifest(&self.folder)?;
        let before = self.state.take();
        let read = limits::on_large_stack(|| State::read(before, toolchain, &packages));
        let mut state = read.map_err(|panic| {
            anyhow!("rust-analyzer panicked while it read: {}", message(&*panic))
        })??;
        state.manifest = manifest;
        self.state = Some(state);
        Ok(())
    }

    /// Asks about a text what can be broken off.
    fn ask<T: Send>(
        &mut self,
        source: &str,
        question: impl FnOnce(&RootDatabase, ra_ap_ide::FileId) -> T + Send,
    ) -> Option<T> {
        let work = self.canceller.0.clone();
        self.ask_host(source, move |host, file| {
            let db = host.raw_database().clone();
            let token = db.cancellation_token();
            *lock(&work.token) = Some(token.clone());
            if work.is_cancelled.load(Ordering::Relaxed) {
                token.cancel();
            }
            let answer = attach_db_allow_change(&db, || {
                Cancelled::catch(AssertUnwindSafe(|| question(&db, file)))
            });
            *lock(&work.token) = None;
            answer
        })
    }

    /// Asks about a text. None where that is nested too deep, the question was broken off, or rust-analyzer
    /// panicked.
    fn ask_host<T: Send>(
        &mut self,
        source: &str,
        question: impl FnOnce(&AnalysisHost, ra_ap_ide::FileId) -> Result<T, Cancelled> + Send,
    ) -> Option<T> {
        #[cfg(test)]
        let panics = std::mem::take(&mut self.panics);
        let state = self.state.as_mut()?;
        let file = state.sources.cells();
        let Host(host) = &mut state.host;
        let asked = || {
            if !limits::holds(source) {
                return None;
            }
            let db = host.raw_database_mut();
            if &**db.file_text(file).text(db) != source {
                db.set_file_text_with_durability(file, source, Durability::LOW);
            }
            #[cfg(test)]
            assert!(!panics, "as a test wants it");
            let answer = question(host, file);
            if answer.is_err() {
                // What was broken off may have left a question half answered.
                host.trigger_cancellation();
            }
            answer.ok()
        };
        match limits::on_large_stack(asked) {
            Ok(answer) => answer,
            Err(panic) => {
                log::warn!("rust-analyzer panicked, and is started again: {}", message(&*panic));
                // What it knows may be only half written; nothing of it is used again.
                self.state = None;
                *lock(&self.canceller.0.token) = None;
                None
            }
        }
    }
}

impl State {
    /// Tells rust-analyzer of what it does not know yet, and of what may have changed.
    fn read(before: Option<State>, toolchain: &Toolchain, packages: &[Package]) -> Result<State> {
        let (first, others) = packages.split_first().context("there is no crate")?;
        let (mut host, mut sources) = match before {
            Some(State { host: Host(host), sources, .. }) => (host, sources),
            None => {
                let mut host = AnalysisHost::default();
                let sources = Sources::new(host.raw_database_mut(), first.root.clone())?;
                (host, sources)
            }
        };
        let db = host.raw_database_mut();
        match &toolchain.library {
            Some(library) => graph::read_standard(library, &mut sources, db)?,
            None => log::warn!(
                "the standard library's sources are missing: rustup component add rust-src"
            ),
        }
        for package in others {
            if package.is_local || !sources.knows(&package.folder) {
                sources.read(db, std::slice::from_ref(&package.folder))?;
            }
        }
        graph::crates(toolchain, packages, &sources)?.set_in_db(db);
        Ok(State { host: Host(host), sources, manifest: Manifest::default(), is_loaded: false })
    }
}

impl Canceller {
    /// Breaks off what is being done. The next question is not touched.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
        if let Some(token) = &*lock(&self.0.token) {
            token.cancel();
        }
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// None where a text has no such place.
fn position(source: &str, offset: usize) -> Option<TextSize> {
    u32::try_from(source.len()).ok()?;
    u32::try_from(offset).ok().filter(|_| source.is_char_boundary(offset)).map(TextSize::new)
}

fn manifest(folder: &Path) -> Result<Manifest> {
    let toml = folder.join("Cargo.toml");
    let read =
        std::fs::read(&toml).with_context(|| format!("{} cannot be read", toml.display()))?;
    // There is none before cargo has chosen versions.
    Ok([Some(read), std::fs::read(folder.join("Cargo.lock")).ok()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_answers_nothing_and_the_next_question_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
        let manifest = "[package]\nname = \"cells\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        let mut analysis = Analysis::new("rustc", "cargo", folder.path()).unwrap();
        analysis.load().unwrap();
        assert!(analysis.is_loaded());
        let text = "fn f() { let number = 1; numb }";
        analysis.panics = true;
        assert!(analysis.complete(text, 29).unwrap().is_empty());
        assert!(!analysis.is_loaded());
        assert_eq!(analysis.complete(text, 29).unwrap()[0].text, "number");
        analysis.panics = true;
        assert_eq!(analysis.inspect(text, 29).unwrap(), None);
        assert!(analysis.inspect(text, 15).unwrap().unwrap().plain.contains("let number: i32"));
        // What panics while it is loaded leaves it unloaded.
        analysis.panics = true;
        analysis.reload().unwrap();
        assert!(!analysis.is_loaded());
    }

    #[test]
    fn places_that_there_are() {
        assert_eq!(position("aé", 1), Some(TextSize::new(1)));
        assert_eq!(position("aé", 2), None);
        assert_eq!(position("a", 2), None);
        assert_eq!(position("", 0), Some(TextSize::new(0)));
    }
}
