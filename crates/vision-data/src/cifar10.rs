//! CIFAR-10 in its binary version, from a directory.

use crate::{Dataset, Error, ImageSet, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The directory that the official archive unpacks to.
pub(crate) const DIRECTORY: &str = "cifar-10-batches-bin";

/// Name and sha256 of each file of the binary version, training first.
pub(crate) type Files<'a> = [(&'a str, &'a str); 6];

/// The official files.
pub(crate) const FILES: Files<'static> = [
    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
];

/// A record is a label byte, then 1024 bytes each of red, green and blue, row by row.
const RECORD: usize = 1 + 3 * 32 * 32;
const RECORDS: usize = 10_000;

/// Size of each of [`FILES`], in bytes.
pub(crate) const FILE_SIZE: u64 = (RECORDS * RECORD) as u64;

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const GET_IT: &str = "get the binary version, https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, and unpack it";

/// CIFAR-10: where to find it, and how to read it.
#[derive(Clone, Copy, Debug)]
pub struct Cifar10;

impl Cifar10 {
    /// Reads CIFAR-10's binary version from `dir`, which holds `data_batch_1.bin` to
    /// `data_batch_5.bin` and `test_batch.bin`, or holds the directory `cifar-10-batches-bin` that
    /// does. The images are on the CPU.
    ///
    /// The data set is called "CIFAR-10" alone only where the sha256 of all six files is the official
    /// one; else its name says which directory it came from.
    ///
    /// # Errors
    /// [`Error::Data`] where a file is missing, has not its 30,730,000 bytes, or holds a label
    /// above 9, with the file and the byte; or where `dir` holds another data set.
    pub fn open(dir: impl AsRef<Path>) -> Result<Dataset> {
        let dir = find(dir.as_ref())?;
        let (mut data, other) = read(&dir, &FILES)?;
        if other.is_some() {
            data.name = format!("CIFAR-10 (files in {}, not the official ones)", short_name(&dir));
        }
        Ok(data)
    }
}

/// Reads `files`, each with the sha256 that it should have, from `dir`. Also gives the first file
/// whose sha256 is another one.
pub(crate) fn read(dir: &Path, files: &Files<'_>) -> Result<(Dataset, Option<PathBuf>)> {
    let (train, test) = files.split_at(5);
    let (train, other_train) = read_split(dir, train)?;
    let (test, other_test) = read_split(dir, test)?;
    Ok((Dataset::new("CIFAR-10", &CLASSES, train, test)?, other_train.or(other_test)))
}

fn read_split(dir: &Path, files: &[(&str, &str)]) -> Result<(ImageSet, Option<PathBuf>)> {
    let (mut images, mut labels, mut other) = (Vec::new(), Vec::new(), None);
    for (name, sha256) in files {
        let path = dir.join(name);
        let bytes = read_file(&path)?;
        check_labels(&path, &bytes)?;
        let (file_images, file_labels) = parse(&bytes)?;
        images.push(file_images);
        labels.push(file_labels);
        if format!("{:x}", Sha256::digest(&bytes)) != *sha256 {
            other = other.or(Some(path));
        }
    }
    let set = ImageSet::new(Tensor::f_cat(&images, 0)?, Tensor::f_cat(&labels, 0)?)?;
    Ok((set, other))
}

/// The bytes of a file of the binary version, whole.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(data(path, "this file of CIFAR-10 is missing", GET_IT));
        }
        other => other.map_err(Error::io(path))?,
    };
    let (size, whole) = (bytes.len(), FILE_SIZE as usize);
    if size < whole {
        let problem = format!("ends at byte {size} of {whole}, in record {}", size / RECORD);
        return Err(data(path, problem, GET_IT));
    }
    if size > whole {
        let problem = format!("has {size} bytes, {whole} is the size of a file of CIFAR-10");
        return Err(data(path, problem, GET_IT));
    }
    Ok(bytes)
}

fn check_labels(path: &Path, bytes: &[u8]) -> Result<()> {
    for (record, bytes) in bytes.chunks_exact(RECORD).enumerate() {
        let label = bytes[0];
        if usize::from(label) >= CLASSES.len() {
            let offset = record * RECORD;
            let problem =
                format!("byte {offset}, the label of record {record}, is {label}, not 0 to 9");
            return Err(data(path, problem, GET_IT));
        }
    }
    Ok(())
}

/// Images u8 (N, 32, 32, 3) and labels i64 (N) of the records in `bytes`.
fn parse(bytes: &[u8]) -> Result<(Tensor, Tensor)> {
    let n = (bytes.len() / RECORD) as i64;
    let records = Tensor::f_from_data_size(bytes, &[n, RECORD as i64], Kind::Uint8)?;
    let planes = records.f_narrow(1, 1, RECORD as i64 - 1)?.f_view([n, 3, 32, 32])?;
    let labels = records.f_select(1, 0)?.f_to_kind(Kind::Int64)?;
    Ok((planes.f_permute([0, 2, 3, 1])?.f_contiguous()?, labels))
}

/// The directory that holds the files: `dir`, or the official one in it.
fn find(dir: &Path) -> Result<PathBuf> {
    if !dir.exists() {
        return Err(data(dir, "there is no such directory", GET_IT));
    }
    if !dir.is_dir() {
        return Err(data(
            dir,
            "is a file, not a directory",
            "give the directory of the .bin files",
        ));
    }
    for candidate in [dir.to_owned(), dir.join(DIRECTORY)] {
        if FILES.iter().any(|(name, _)| candidate.join(name).exists()) {
            return Ok(candidate);
        }
    }
    let problem = match looks_like(dir) {
        Some(found) => format!("holds {found}, not the binary version of CIFAR-10"),
        None => "holds no data_batch_1.bin".to_owned(),
    };
    Err(data(dir, problem, GET_IT))
}

/// What a directory without the files of the binary version holds, by the names in it.
fn looks_like(dir: &Path) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 20] = [
        ("cifar-10-binary.tar.gz", "the archive cifar-10-binary.tar.gz, not yet unpacked"),
        ("data_batch_1", "the Python version of CIFAR-10"),
        ("cifar-10-batches-py", "the Python version of CIFAR-10"),
        ("cifar-10-python.tar.gz", "the Python version of CIFAR-10"),
        ("data_batch_1.mat", "the Matlab version of CIFAR-10"),
        ("cifar-10-batches-mat", "the Matlab version of CIFAR-10"),
        ("cifar-10-matlab.tar.gz", "the Matlab version of CIFAR-10"),
        ("train.bin", "CIFAR-100"),
        ("test.bin", "CIFAR-100"),
        ("cifar-100-binary", "CIFAR-100"),
        ("cifar-100-python", "CIFAR-100"),
        ("coarse_label_names.txt", "CIFAR-100"),
        ("train-images-idx3-ubyte", "MNIST"),
        ("train-images-idx3-ubyte.gz", "MNIST"),
        ("train-images.idx3-ubyte", "MNIST"),
        ("MNIST", "MNIST"),
        ("FashionMNIST", "FashionMNIST"),
        ("airplane", "one folder of pictures a class"),
        ("train/airplane", "one folder of pictures a class"),
        ("train_32x32.mat", "SVHN"),
    ];
    SIGNS.iter().find(|(name, _)| dir.join(name).exists()).map(|&(_, found)| found)
}

/// A name for `dir` that tells it from others and fits under a plot.
fn short_name(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let dir = match dir.parent() {
        Some(parent) if dir.ends_with(DIRECTORY) => parent,
        _ => &dir,
    };
    match dir.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => dir.display().to_string(),
    }
}

fn data(path: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::Data { path: path.to_owned(), problem: problem.into(), remedy: remedy.into() }
}
