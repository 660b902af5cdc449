//! The files of crates, as rust-analyzer is told of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ra_ap_base_db::salsa::{Durability, Setter as _};
use ra_ap_base_db::{
    FileId, FileSet, LibraryRoots, LocalRoots, SourceDatabase as _, SourceRoot, SourceRootId,
    VfsPath,
};
use ra_ap_ide_db::RootDatabase;
use triomphe::Arc;
use walkdir::WalkDir;

/// All files that were read so far. Those of a folder find each other by relative paths.
#[derive(Debug)]
pub(crate) struct Sources {
    files: BTreeMap<PathBuf, FileId>,
    folders: Vec<PathBuf>,
    /// The file that is the reader's cells; it need not exist.
    cells: FileId,
}

/// What lies in a package beside its library.
const NO_LIBRARY: [&str; 4] = ["tests", "examples", "benches", "target"];

impl Sources {
    /// The file of the cells alone, which is empty.
    ///
    /// # Errors
    /// A path that is no text.
    pub(crate) fn new(db: &mut RootDatabase, cells: PathBuf) -> Result<Sources> {
        let id = FileId::from_raw(0);
        let mut files = FileSet::default();
        files.insert(id, vfs_path(&cells)?);
        let root = SourceRootId(0);
        db.set_file_source_root_with_durability(id, root, Durability::LOW);
        let local = Arc::new(SourceRoot::new_local(files));
        db.set_source_root_with_durability(root, local, Durability::LOW);
        db.set_file_text_with_durability(id, "", Durability::LOW);
        LocalRoots::get(db).set_roots(db).to([root].into_iter().collect());
        let folders = vec![cells.clone()];
        Ok(Sources { files: BTreeMap::from([(cells, id)]), folders, cells: id })
    }

    pub(crate) fn cells(&self) -> FileId {
        self.cells
    }

    pub(crate) fn file(&self, path: &Path) -> Option<FileId> {
        self.files.get(path).copied()
    }

    /// Whether a folder was read.
    pub(crate) fn knows(&self, folder: &Path) -> bool {
        self.folders.iter().any(|known| known == folder)
    }

    /// Reads the sources below some folders, which count as one that is named by the first of them.
    /// Where it was read before, what has changed is told. Text that is not UTF-8 is left out.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub(crate) fn read(&mut self, db: &mut RootDatabase, folders: &[PathBuf]) -> Result<()> {
        let Some(name) = folders.first() else { return Ok(()) };
        let found = folders.iter().map(|folder| below(folder)).collect::<Result<Vec<_>>>()?;
        self.tell(db, name, found.concat())
    }

    /// Tells of files as if they had been found in a folder.
    ///
    /// # Errors
    /// A path that is no text.
    pub(crate) fn tell(
        &mut self,
        db: &mut RootDatabase,
        name: &Path,
        found: Vec<(PathBuf, String)>,
    ) -> Result<()> {
        let place = self.folders.iter().position(|known| known == name);
        let root = place.unwrap_or(self.folders.len());
        let id = SourceRootId(u32::try_from(root)?);
        let mut set = FileSet::default();
        let mut texts = Vec::new();
        for (path, text) in found {
            let (name, next) = (vfs_path(&path)?, u32::try_from(self.files.len())?);
            let (file, is_new) = match self.files.get(&path) {
                Some(file) => (*file, false),
                None => (FileId::from_raw(next), true),
            };
            self.files.insert(path, file);
            set.insert(file, name);
            texts.push((file, text, is_new));
        }
        if place.is_none() {
            self.folders.push(name.to_owned());
        }
        let library = SourceRoot::new_library(set);
        let is_as_before = place.is_some() && *db.source_root(id).source_root(db) == library;
        // Libraries seldom change: that need not be asked again after each key.
        if !is_as_before {
            for file in library.iter() {
                db.set_file_source_root_with_durability(file, id, Durability::MEDIUM);
            }
            db.set_source_root_with_durability(id, Arc::new(library), Durability::MEDIUM);
            let libraries = (1..self.folders.len()).map(|place| SourceRootId(place as u32));
            LibraryRoots::get(db).set_roots(db).to(libraries.collect());
        }
        // What is told again counts as changed, and with it all that follows from it.
        for (file, text, is_new) in texts {
            if is_new || **db.file_text(file).text(db) != *text {
                db.set_file_text_with_durability(file, &text, Durability::HIGH);
            }
        }
        Ok(())
    }
}

fn vfs_path(path: &Path) -> Result<VfsPath> {
    let text = path.to_str().with_context(|| format!("{} is no text", path.display()))?;
    Ok(VfsPath::new_real_path(text.to_owned()))
}

/// The sources below a folder, without those of packages within it.
fn below(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        let hidden = name.starts_with('.') || (entry.depth() == 1 && NO_LIBRARY.contains(&&*name));
        let is_folder = entry.file_type().is_dir();
        entry.depth() == 0 || !(is_folder && (hidden || entry.path().join("Cargo.toml").is_file()))
    });
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Documentation may be included from a file of its own.
        let is_source = path.extension().is_some_and(|kind| kind == "rs" || kind == "md");
        if !is_source || !path.is_file() {
            continue;
        }
        let bytes =
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        match String::from_utf8(bytes) {
            Ok(text) => found.push((path.to_owned(), text)),
            Err(error) => log::debug!("{} is no text: {error}", path.display()),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_its_own_sources() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["src/lib.rs", "src/deep/tests/a.rs", "README.md", "src/data.bin"] {
            write(folder.path(), file, "fn a() {}");
        }
        for file in ["tests/b.rs", "target/c.rs", ".git/d.rs", "inner/Cargo.toml", "inner/e.rs"] {
            write(folder.path(), file, "");
        }
        std::fs::write(folder.path().join("src/latin.rs"), b"\xff").unwrap();
        let found = below(folder.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|(path, _)| path.strip_prefix(folder.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["README.md", "src/deep/tests/a.rs", "src/lib.rs"]);
        assert!(below(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_folder_that_is_read_again_keeps_its_files() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "src/lib.rs", "fn before() {}");
        let mut db = RootDatabase::new(None);
        let mut sources = Sources::new(&mut db, "/cells/src/lib.rs".into()).unwrap();
        let folders = [folder.path().to_owned()];
        sources.read(&mut db, &folders).unwrap();
        let root = folder.path().join("src/lib.rs");
        let file = sources.file(&root).unwrap();
        write(folder.path(), "src/lib.rs", "fn after() {}");
        write(folder.path(), "src/new.rs", "");
        sources.read(&mut db, &folders).unwrap();
        assert_eq!(sources.file(&root), Some(file));
        assert_eq!(&**db.file_text(file).text(&db), "fn after() {}");
        assert_eq!(sources.folders.len(), 2);
        assert_ne!(sources.file(&folder.path().join("src/new.rs")).unwrap(), sources.cells());
    }

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
