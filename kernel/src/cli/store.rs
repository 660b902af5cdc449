//! The store of compiled crates, by hand.

use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use cell_store::{Crates, Dependency, LINKER, Store};

use crate::home::{Home, SessionFolder, Toolchain};

/// What can be done with the store.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List the crates in it, the one used last first
    List,
    /// Say how large it is
    Size,
    /// Remove all that no session uses
    Clear,
    /// For an image that the store is part of: what is in it stays as it is, and sessions take it without a copy
    Seal,
}

/// Does it.
pub(super) fn act(home: &Home, action: Option<&Action>, say: &dyn Fn(&str)) -> Result<()> {
    match print(home, action, say) {
        // `rust-live store | head` has seen enough.
        Err(error) if is_closed(&error) => Ok(()),
        other => other,
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn print(home: &Home, action: Option<&Action>, say: &dyn Fn(&str)) -> Result<()> {
    let store = Store::open(&home.cache);
    let mut out = std::io::stdout().lock();
    match action.unwrap_or(&Action::List) {
        Action::List => {
            let mut entries = store.list()?;
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.last_used));
            for entry in entries {
                let days =
                    entry.last_used.and_then(|used| SystemTime::now().duration_since(used).ok());
                let used = match days.map(|days| days.as_secs() / 86_400) {
                    Some(0) => "today".to_owned(),
                    Some(1) => "yesterday".to_owned(),
                    Some(days) => format!("{days} days ago"),
                    None => "never".to_owned(),
                };
                let in_use = if entry.in_use { ", in use" } else { "" };
                writeln!(
                    out,
                    "{:>8} {} {} ({used}{in_use})",
                    megabytes(entry.size),
                    entry.name,
                    entry.version
                )?;
            }
            writeln!(out, "{:>8} in all", megabytes(store.size()?))?;
        }
        Action::Size => writeln!(out, "{}", megabytes(store.size()?))?,
        Action::Seal => store.seal()?,
        Action::Clear => {
            store.clear()?;
            say(&format!("{} are left", megabytes(store.size()?)));
        }
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Whether a crate is in the store as it is now. Nothing is compiled to find out.
pub(super) fn is_prepared(home: &Home, library: &Path) -> Result<bool> {
    let mut session = Compiling::of(home, library)?;
    Ok(session.crates.has(&[session.wanted])?)
}

/// Compiles a crate, so that sessions find it in the store.
pub(super) fn prepare(home: &Home, library: &Path, say: &dyn Fn(&str)) -> Result<()> {
    // What cells share, for the first session's sake.
    let toolchain = Toolchain::find(None)?;
    cell_compiler::build_support(&toolchain.rustc, &toolchain.version, &home.cache)?;
    let mut session = Compiling::of(home, library)?;
    let added = session.crates.add(&[session.wanted], &|said| say(said.line()))?;
    if added.compiled {
        say(&format!("{} is compiled for all sessions", library.display()));
    }
    Ok(())
}

/// A session without cells.
struct Compiling {
    crates: Crates,
    wanted: Dependency,
    /// Is removed with it.
    _folder: SessionFolder,
}

impl Compiling {
    fn of(home: &Home, library: &Path) -> Result<Compiling> {
        let library = library
            .canonicalize()
            .with_context(|| format!("the crate {} cannot be read", library.display()))?;
        let wanted = crate::session::local_crate(&library.to_string_lossy(), Path::new("/"))?;
        let folder = SessionFolder::new(home)?;
        let linker = folder.path().join(LINKER);
        std::os::unix::fs::symlink(std::env::current_exe()?, &linker)?;
        let store = Store::open(&home.cache);
        let crates = Crates::new(store, folder.path(), Path::new("/"), linker);
        Ok(Compiling { crates, wanted, _folder: folder })
    }
}
