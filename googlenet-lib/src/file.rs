//! Writing files so that one that bears its name is whole.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::{Error, Result};

/// Makes `path` by writing a temporary file beside it and renaming that. The folder is made if it
/// is missing; a failed write leaves what was there before.
pub(crate) fn write_beside(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.file_name().is_none() {
        return Err(Error::invalid(
            "file name",
            format!("'{}'", path.display()),
            "give a path that ends in a file name",
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    // As readable as any other new file: a temporary one is its owner's alone.
    let temporary = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(Error::io(path))?
        .into_temp_path();
    write(&temporary)?;
    temporary.persist(path).map_err(|error| Error::io(path)(error.error))
}

/// [`write_beside`] for bytes in memory.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_beside(path, |temporary| fs::write(temporary, bytes).map_err(Error::io(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_and_as_readable_as_any() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("new/file"), folder.path().join("other"));
        write_bytes(&path, b"one").unwrap();
        fs::write(&other, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
        let failed = write_beside(&path, |temporary| {
            fs::write(temporary, b"tw").unwrap();
            Err(Error::invalid("a", "b", "c"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "a is b: c");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_bytes(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
