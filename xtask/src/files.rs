//! Changes of single files that are either done or not: written beside the place, then renamed.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// What became of a link.
#[derive(Debug, PartialEq, Eq)]
pub enum Linked {
    /// It led there already.
    Unchanged,
    /// There was none.
    New,
    /// It led elsewhere before.
    Redirected,
}

/// Makes `link` a symbolic link to `target`.
pub fn link(target: &Path, link: &Path) -> Result<Linked> {
    let linked = match fs::read_link(link) {
        Ok(present) if present == target => return Ok(Linked::Unchanged),
        Ok(_) => Linked::Redirected,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Linked::New,
        Err(_) => bail!("{} is in the way: move it, then run this again", link.display()),
    };
    let part = part(link);
    remove_if_there(&part)
        .and_then(|()| symlink(target, &part))
        .and_then(|()| fs::rename(&part, link))
        .with_context(|| format!("the link {} cannot be made", link.display()))?;
    Ok(linked)
}

/// Copies a file with its permissions unless the same bytes are there; says whether it copied.
pub fn copy(from: &Path, to: &Path) -> Result<bool> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let part = part(to);
    fs::copy(from, &part)
        .and_then(|_| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

/// Writes a text, and the folder that holds it.
pub fn write(text: &str, to: &Path) -> Result<()> {
    let part = part(to);
    to.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&part, text))
        .and_then(|()| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))
}

/// Removes a file; none there is as good.
pub fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn part(of: &Path) -> PathBuf {
    let mut name = of.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
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
        assert!(!copy(&from, &to).unwrap());
        fs::write(&from, "two").unwrap();
        assert!(copy(&from, &to).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
    }
}
