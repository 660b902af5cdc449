//! An archive to a directory that is there whole, or not at all.

use crate::Error;
use crate::download::{Archive, unwritable};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path};

/// Unpacks the files of `archive` from the file `packed` and renames them, when all are checked, to
/// the directory `target`. What else is in the archive is left in it.
pub(crate) fn unpack(archive: &Archive<'_>, packed: &Path, target: &Path) -> Result<(), Error> {
    let unpacking = target.with_extension("unpacking");
    remove(&unpacking)?;
    let done = unpack_files(archive, packed, &unpacking)
        .and_then(|()| fs::rename(&unpacking, target).map_err(|error| unwritable(target, &error)));
    if done.is_err() {
        remove(&unpacking)?;
    }
    done
}

fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritable(dir, &error)),
        _ => Ok(()),
    }
}

fn unpack_files(archive: &Archive<'_>, packed: &Path, dir: &Path) -> Result<(), Error> {
    let broken = |problem: String| Error::Data {
        path: packed.to_owned(),
        problem,
        remedy: "delete it and run again".to_owned(),
    };
    let unreadable = |error: std::io::Error| broken(format!("cannot be unpacked: {error}"));
    fs::create_dir(dir).map_err(|error| unwritable(dir, &error))?;
    let file = File::open(packed).map_err(Error::io(packed))?;
    let mut tar = tar::Archive::new(GzDecoder::new(std::io::BufReader::new(file)));
    let mut missing = archive.files.to_vec();
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        // Written under the names wanted, never under one that the archive made up.
        let path = entry.path().map_err(unreadable)?.into_owned();
        let wanted = |name: &str| {
            let parts = path.components().filter(|part| *part != Component::CurDir);
            parts.eq(Path::new(archive.directory).join(name).components())
        };
        let Some(index) = missing.iter().position(|(name, _)| wanted(name)) else {
            continue;
        };
        let (name, sha256) = missing.swap_remove(index);
        let found = write_checked(&mut entry, &dir.join(name), archive.file_size, unreadable)?;
        if found != sha256 {
            return Err(broken(format!("sha256 of {name} is {found}, not {sha256}")));
        }
    }
    match missing.first() {
        Some((name, _)) => Err(broken(format!("{name} is not in it"))),
        None => Ok(()),
    }
}

/// Writes what `from` holds to `path`, one byte more than `size` at most, and gives its sha256.
fn write_checked(
    from: &mut impl Read,
    path: &Path,
    size: u64,
    unreadable: impl Fn(std::io::Error) -> Error,
) -> Result<String, Error> {
    let mut file = File::create(path).map_err(|error| unwritable(path, &error))?;
    let mut from = from.take(size + 1);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = from.read(&mut buffer).map_err(&unreadable)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(|error| unwritable(path, &error))?;
    }
    // On the disk before the rename, or a power cut could leave the name without the bytes.
    file.sync_all().map_err(|error| unwritable(path, &error))?;
    Ok(format!("{:x}", hasher.finalize()))
}
