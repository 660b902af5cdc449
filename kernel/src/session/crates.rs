//! The crates of a session: those that its cells have named, and those that its notebook will name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use cell_program::{Cell, Program};
use cell_store::{Crates, Dependency, LINKER, Linked, Package, Store};

use super::library::{self, Library};
use super::notices::Notices;
use super::{Setup, Shared, dependencies, lock};
use crate::engine::CellError;

/// The crates.
pub(super) struct CratesOfSession {
    crates: Crates,
    /// By its name in Cargo.toml, what a cell has asked for.
    named: BTreeMap<String, Dependency>,
    /// What the notebook names is made ready here.
    ahead: Option<JoinHandle<(Crates, Vec<Dependency>)>>,
    /// What was made ready, and no cell has named yet.
    ready: Vec<Dependency>,
    library: Option<Library>,
    /// Where relative paths begin.
    folder: PathBuf,
    shared: Arc<Shared>,
    notices: Notices,
}

impl CratesOfSession {
    /// None yet. What the notebook names, if it can be read, is made ready from now on.
    pub(super) fn new(
        setup: &Setup,
        folder: &Path,
        library: Option<Library>,
        shared: &Arc<Shared>,
        notices: &Notices,
    ) -> Result<CratesOfSession> {
        let linker = setup.folder.path().join(LINKER);
        std::os::unix::fs::symlink(std::env::current_exe()?, &linker)
            .with_context(|| format!("{} cannot be made", linker.display()))?;
        let new = || {
            let store = Store::open(&setup.home.cache);
            let mut crates = Crates::new(store, setup.folder.path(), folder, linker.clone());
            crates.lock_file(library::lock_of_notebook().filter(|path| path.is_file()));
            *lock(&shared.crates) = Some(crates.interrupter());
            crates
        };
        let mut made = CratesOfSession {
            crates: new(),
            named: BTreeMap::new(),
            ahead: None,
            ready: Vec::new(),
            library,
            folder: folder.to_owned(),
            shared: Arc::clone(shared),
            notices: notices.clone(),
        };
        let wanted = made.named_in_notebook();
        if !wanted.is_empty() {
            made.ahead = Some(made.read_ahead(new(), wanted)?);
        }
        Ok(made)
    }

    fn named_in_notebook(&self) -> Vec<Dependency> {
        let mut wanted: Vec<Dependency> = Vec::new();
        for cell in library::cells_of_notebook() {
            for command in Program::default().parse(1, &cell, &self.folder).commands {
                if command.name == "dep"
                    && let Ok((found, _)) = dependencies::parse(&command.argument, &self.folder)
                {
                    // The last one counts, as it will when the cells are run.
                    wanted.retain(|before| found.iter().all(|one| one.name != before.name));
                    wanted.extend(found);
                }
            }
            if let Some(library) = self.library.as_ref().filter(|one| one.is_named_in(&cell))
                && wanted.iter().all(|one| one.name != library.package)
                && let Ok(found) =
                    dependencies::local(&library.folder.to_string_lossy(), &self.folder)
            {
                wanted.push(found);
            }
        }
        wanted
    }

    fn read_ahead(
        &self,
        mut crates: Crates,
        mut wanted: Vec<Dependency>,
    ) -> Result<JoinHandle<(Crates, Vec<Dependency>)>> {
        let notices = self.notices.clone();
        let ahead = std::thread::Builder::new().name("crates".into()).spawn(move || {
            if let Err(error) = crates.add(&wanted, &|said| notices.tell(said)) {
                // The cell that names it will say so.
                log::info!("what the notebook names cannot be made ready: {error}");
                wanted.clear();
            }
            (crates, wanted)
        })?;
        Ok(ahead)
    }

    /// Whether what the notebook names is ready and was not taken yet; None where there is nothing of it.
    pub(super) fn is_ahead_ready(&self) -> Option<bool> {
        self.ahead.as_ref().map(JoinHandle::is_finished)
    }

    /// Waits for the crates that the notebook names.
    pub(super) fn take_what_is_ready(&mut self) -> Result<(), CellError> {
        let Some(ahead) = self.ahead.take() else { return Ok(()) };
        let (crates, ready) = ahead
            .join()
            .map_err(|_| CellError::Other("the thread that makes crates ready has ended".into()))?;
        self.notices.have_told();
        if !ready.is_empty() {
            (self.crates, self.ready) = (crates, ready);
        }
        *lock(&self.shared.crates) = Some(self.crates.interrupter());
        Ok(())
    }

    /// Makes crates known to the cells. Returns the packages that are others than before.
    pub(super) fn add(&mut self, wanted: Vec<Dependency>) -> Result<Vec<String>, CellError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.take_what_is_ready()?;
        let is_ready = |one: &&Dependency| self.ready.contains(one);
        let missing: Vec<_> = wanted.iter().filter(|one| !is_ready(one)).cloned().collect();
        let mut changed = Vec::new();
        if !missing.is_empty() {
            let added = self.crates.add(&missing, &|said| self.notices.tell(said));
            self.notices.have_told();
            changed = added.map_err(|error| CellError::Other(error.to_string()))?.changed;
        }
        self.ready.retain(|one| wanted.iter().all(|wanted| wanted.name != one.name));
        for one in wanted {
            self.named.insert(one.name.clone(), one);
        }
        if let Some(why) = &self.crates.linked().not_prelinked {
            self.notices.say(&format!("cells are linked with each crate by itself: {why}"));
        }
        Ok(changed)
    }

    /// The crates that a cell names without a `:dep`: the library, and those of `extern crate`.
    pub(super) fn named_in(&self, cell: &Cell) -> Result<Vec<Dependency>, CellError> {
        let mut wanted = Vec::new();
        if let Some(library) = &self.library
            && library.is_named_in(&cell.text)
            && !self.named.contains_key(&library.package)
        {
            let found = dependencies::local(&library.folder.to_string_lossy(), &self.folder);
            wanted.push(found.map_err(|error| CellError::Other(format!("{error:#}")))?);
        }
        for name in cell.extern_crates() {
            if !self.named.keys().any(|known| known.replace('-', "_") == name) {
                wanted.push(Dependency::version(&name, "*"));
            }
        }
        Ok(wanted)
    }

    /// The crate tokio where others have brought it along and a cell cannot name it: futures of theirs wait
    /// for its runtime.
    pub(super) fn tokio(&self) -> Vec<Dependency> {
        let package = self.crates.linked().package("tokio");
        let Some(package) = package.filter(|_| !self.named.contains_key("tokio")) else {
            return Vec::new();
        };
        vec![Dependency { name: "tokio".into(), spec: tokio(&format!("={}", package.version)) }]
    }

    /// Whether cells can name a crate by now.
    pub(super) fn is_direct(&self, name: &str) -> bool {
        let is_ahead = self.ready.iter().any(|one| one.name == name);
        !is_ahead && self.crates.linked().externs.iter().any(|(known, _)| known == name)
    }

    /// How rustc is called: what the notebook names further down cannot be named yet.
    pub(super) fn arguments(&self) -> Vec<String> {
        let is_ahead = |value: &String| {
            let name = value.split('=').next().unwrap_or_default();
            self.ready.iter().any(|one| one.name.replace('-', "_") == name)
        };
        let mut arguments = Vec::new();
        let mut all = self.crates.linked().rustc_arguments().into_iter();
        while let Some(option) = all.next() {
            let value = all.next().filter(|value| option != "--extern" || !is_ahead(value));
            // Types of crates that no cell can name may have to be named all the same.
            if let Some(folder) = value.as_ref().and_then(|value| value.strip_prefix("dependency="))
            {
                arguments.extend(["-L".to_owned(), format!("crate={folder}")]);
            }
            arguments.extend(value.map(|value| [option, value]).into_iter().flatten());
        }
        arguments
    }

    /// The names of all crates that are linked, as Rust writes them.
    pub(super) fn names(&self) -> Vec<String> {
        self.crates.linked().packages.iter().map(|one| one.name.replace('-', "_")).collect()
    }

    /// What stands before all items of a cell.
    pub(super) fn declarations(&self) -> String {
        self.crates.linked().declarations() + self.shows()
    }

    /// How values of some crates show themselves.
    fn shows(&self) -> &'static str {
        if self.is_direct("image") { shows_images(self.crates.linked()) } else { "" }
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.named.clear();
        self.ready.clear();
        Ok(self.crates.forget()?)
    }

    /// What cells have named, as it stands in Cargo.toml.
    pub(super) fn named(&self) -> impl Iterator<Item = &Dependency> {
        self.named.values()
    }

    /// The crates themselves.
    pub(super) fn own(&mut self) -> &mut Crates {
        &mut self.crates
    }
}

/// The crate tokio in a version, as Cargo.toml names it, with what a runtime needs for futures of others.
pub(crate) fn tokio(version: &str) -> toml::Value {
    let features = vec!["rt-multi-thread", "time", "net", "io-util"];
    let spec = [("version".to_owned(), version.into()), ("features".to_owned(), features.into())];
    toml::Table::from_iter(spec).into()
}

/// How pictures of the crate `image` are shown, if it writes PNG.
fn shows_images(linked: &Linked) -> &'static str {
    const SHOWS: &str = "trait __RustLiveImage { fn evcxr_display(&self); } \
        impl __RustLiveImage for ::image::DynamicImage { fn evcxr_display(&self) { \
            let mut png = ::std::io::Cursor::new(::std::vec::Vec::new()); \
            let text = ::std::format!(\"{} x {} pixels, {:?}\", self.width(), self.height(), self.color()); \
            match self.write_to(&mut png, ::image::ImageFormat::Png) { \
                ::std::result::Result::Ok(()) => ::rust_live::show_png(png.get_ref(), &text), \
                ::std::result::Result::Err(_) => ::rust_live::show_as(\"text/plain\", &text), } } } \
        macro_rules! __rust_live_images { ($($buffer:ident)*) => { \
            $(impl __RustLiveImage for ::image::$buffer { fn evcxr_display(&self) { \
                __RustLiveImage::evcxr_display(&::image::DynamicImage::from(self.clone())) } })* } } \
        __rust_live_images! { GrayImage RgbImage RgbaImage } ";
    // What is called is that version's.
    let is_meant = |package: &Package| {
        package.version.starts_with("0.25.") && package.features.iter().any(|on| on == "png")
    };
    match linked.package("image") {
        Some(package) if is_meant(package) => SHOWS,
        _ => "",
    }
}
