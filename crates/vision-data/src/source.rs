//! Where CIFAR-10 comes from: a directory of the reader's, the cache, or the official server.

use crate::cifar10::{self, Cifar10, Files};
use crate::download::{Archive, Failure, Network};
use crate::{Dataset, Error, Result, Shapes10};
use std::path::PathBuf;

/// The official archive, <https://www.cs.toronto.edu/~kriz/cifar.html>.
const OFFICIAL: Archive<'static> = Archive {
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size: 170_052_171,
    sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    directory: cifar10::DIRECTORY,
    files: &cifar10::FILES,
    file_size: cifar10::FILE_SIZE,
    network: Network::DEFAULT,
};

impl Cifar10 {
    /// CIFAR-10 from the directory named by the environment variable `CIFAR10_DIR`, as by
    /// [`Cifar10::open`]; where that is not set, from `cifar-10-batches-bin` in the cache, after a
    /// download of the official archive (170 MB, 340 MB more while it is unpacked) where it is not
    /// there yet. The cache is the directory `googlenet-lab` in the user's cache directory
    /// (`~/.cache` on Linux), or the one that `GOOGLENET_CACHE_DIR` names.
    ///
    /// A download that was broken off goes on where it ended. The sha256 of the archive and of each
    /// file is checked.
    ///
    /// # Errors
    /// Those of [`Cifar10::open`]; [`Error::Download`] where the server cannot be reached, does not
    /// send the archive whole, or sends something else; [`Error::Data`] where the cache cannot be
    /// written to, or holds other bytes than the official ones.
    pub fn open_or_download() -> Result<Dataset> {
        Ok(open_or_download(&Places::of_environment(), &OFFICIAL, &cifar10::FILES)?)
    }
}

/// CIFAR-10 as by [`Cifar10::open_or_download`], or, only where there is no network, [`Shapes10`]:
/// 10,000 training and 2,000 test images from seed 1. That is said on standard error, and the name
/// of the data set says it too.
///
/// # Errors
/// Those of [`Cifar10::open_or_download`], except for a server that cannot be reached or does not
/// have the archive.
pub fn cifar10_or_shapes10() -> Result<Dataset> {
    or_shapes10(open_or_download(&Places::of_environment(), &OFFICIAL, &cifar10::FILES))
}

fn or_shapes10(cifar10: Result<Dataset, Failure>) -> Result<Dataset> {
    match cifar10 {
        Err(Failure::Unreachable(error)) => {
            let shapes = Shapes10::generate(10_000, 2_000, 1)?;
            eprintln!("{error}\nCIFAR-10 is not here. In its place: {}", shapes.name);
            Ok(shapes)
        }
        other => Ok(other?),
    }
}

/// The directories to look in.
#[derive(Clone, Debug)]
struct Places {
    /// A directory of the reader's, which goes before the cache.
    own: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl Places {
    fn of_environment() -> Self {
        let variable =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Places {
            own: variable("CIFAR10_DIR"),
            cache: variable("GOOGLENET_CACHE_DIR")
                .or_else(|| Some(dirs::cache_dir()?.join("googlenet-lab"))),
        }
    }
}

fn open_or_download(
    places: &Places,
    archive: &Archive<'_>,
    files: &Files<'_>,
) -> Result<Dataset, Failure> {
    if let Some(dir) = &places.own {
        return Ok(Cifar10::open(dir).map_err(named_by_variable)?);
    }
    let cache = places.cache.as_ref().ok_or_else(|| {
        Error::invalid(
            "GOOGLENET_CACHE_DIR",
            "not set",
            "this user has no cache directory: set it to one that can be written to",
        )
    })?;
    let dir = archive.ensure(cache)?;
    let remedy = || format!("delete {} and run again: it is downloaded anew", dir.display());
    match cifar10::read(&dir, files) {
        Ok((data, None)) => Ok(data),
        Ok((_, Some(path))) => {
            let problem = "is not the official file: its sha256 is another one".to_owned();
            Err(Error::Data { path, problem, remedy: remedy() }.into())
        }
        Err(Error::Data { path, problem, .. }) => {
            Err(Error::Data { path, problem, remedy: remedy() }.into())
        }
        Err(other) => Err(other.into()),
    }
}

/// A reader may have forgotten that the variable is set.
fn named_by_variable(error: Error) -> Error {
    match error {
        Error::Data { path, problem, remedy } => {
            let remedy = format!("{remedy}, or unset CIFAR10_DIR, which names the directory");
            Error::Data { path, problem, remedy }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
