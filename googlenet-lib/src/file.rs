//! Writing files so that one that bears its name is whole.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// Makes `path` by writing a temporary file beside it and renaming that. The folder is made if it
/// is missing; a failed write leaves what was there before.
pub(crate) fn write_beside(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(
            "file name",
            format!("'{}'", path.display()),
            "give a path that ends in a file name",
        )
    })?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written =
        write(&temporary).and_then(|()| fs::rename(&temporary, path).map_err(Error::io(path)));
    if written.is_err() {
        // The error that matters is the first one; what is left may not exist at all.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// [`write_beside`] for bytes in memory.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_beside(path, |temporary| fs::write(temporary, bytes).map_err(Error::io(path)))
}

/// `bytes` in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
