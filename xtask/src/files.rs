//! Changes of single files that are either done or not: written beside the place, then renamed.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// What became of a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// It led there already.
    Unchanged,
    /// There was none.
    New,
    /// It led elsewhere before.
    Redirected,
}

/// Makes `link` a symbolic link to `target`.
pub(crate) fn link(target: &Path, link: &Path) -> Result<Linked> {
    let linked = match fs::read_link(link) {
        Ok(present) if present == target => return Ok(Linked::Unchanged),
        Ok(_) => Linked::Redirected,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Linked::New,
        Err(_) => bail!("{} is in the way: move it, then run this again", link.display()),
    };
    let folder = link.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .make_in(folder, |part| symlink(target, part))
        .and_then(|part| Ok(part.into_temp_path().persist(link)?))
        .with_context(|| format!("the link {} cannot be made", link.display()))?;
    Ok(linked)
}

/// Copies a file with its permissions unless the same bytes are there; says whether it copied.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<bool> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let folder = to.parent().unwrap_or(Path::new("."));
    tempfile::NamedTempFile::new_in(folder)
        .map(tempfile::NamedTempFile::into_temp_path)
        .and_then(|part| {
            fs::copy(from, &part)?;
            Ok(part.persist(to)?)
        })
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

/// Removes a file; none there is as good.
pub(crate) fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_kept_and_redirected() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("link");
        assert_eq!(link(Path::new("a"), &place).unwrap(), Linked::New);
        assert_eq!(link(Path::new("a"), &place).unwrap(), Linked::Unchanged);
        assert_eq!(link(Path::new("b"), &place).unwrap(), Linked::Redirected);
        assert_eq!(fs::read_link(&place).unwrap(), Path::new("b"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_in_the_place_of_the_link_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("link");
        fs::create_dir(&place).unwrap();
        let error = link(Path::new("a"), &place).unwrap_err().to_string();
        assert!(error.contains("is in the way"), "{error}");
        assert!(place.is_dir());
    }

    #[test]
    fn a_copy_is_made_once_for_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "one").unwrap();
        assert!(copy(&from, &to).unwrap());
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions();
        assert_eq!(mode(&from), mode(&to));
        assert!(!copy(&from, &to).unwrap());
        fs::write(&from, "two").unwrap();
        assert!(copy(&from, &to).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
    }
}
