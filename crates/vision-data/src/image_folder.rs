//! A data set of one's own: a folder of pictures for each class.

use std::fs;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use crate::{Dataset, Error, Image, ImageSet, Result};

/// JPEG and PNG files, one folder a class, as torchvision's `ImageFolder` reads them.
///
/// ```no_run
/// use vision_data::ImageFolder;
///
/// // flowers/rose/1.jpg, flowers/rose/2.jpg, ..., flowers/tulip/1.jpg, ...
/// let flowers = ImageFolder::open("flowers", 32)?;
/// assert_eq!(flowers.classes, ["rose", "tulip"]);
/// # Ok::<(), vision_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ImageFolder;

/// Of a folder without splits, every image of this number is for testing.
const TEST_EVERY: usize = 5;

impl ImageFolder {
    /// Reads all images, each fitted to `size` x `size` as by [`Image::fitted`], and holds them in
    /// memory: 3 x size x size bytes each.
    ///
    /// `dir` holds a folder for each class; then every fifth image of each class, in the order of
    /// the file names, is for testing, and the rest for training. Or it holds folders `train` and
    /// `test` (or `val`) with a folder for each class. Classes are in the order of their names.
    /// Files and folders whose names begin with a dot are passed over.
    ///
    /// # Errors
    /// A folder that is missing or empty, a class without an image or with too few for both
    /// splits, a class of one split only, and any file that is not a JPEG or PNG image; the message
    /// names it.
    pub fn open(dir: impl AsRef<Path>, size: u32) -> Result<Dataset> {
        let dir = dir.as_ref();
        let (classes, train, test) = match (split(dir, &["train"]), split(dir, &["test", "val"])) {
            (Some(train), Some(test)) => {
                let (training, testing) = (classes(&train)?, classes(&test)?);
                let names = |found: &[Class]| -> Vec<String> {
                    found.iter().map(|class| class.name.clone()).collect()
                };
                let (names, others) = (names(&training), names(&testing));
                let lonely =
                    |a: &[String], b: &[String]| a.iter().find(|n| !b.contains(n)).cloned();
                let lonely = lonely(&names, &others)
                    .map(|name| test.join(name))
                    .or_else(|| lonely(&others, &names).map(|name| train.join(name)));
                if let Some(path) = lonely {
                    return Err(problem(path, "is missing", "give every class in both splits"));
                }
                (names, training, testing)
            }
            _ => halves(classes(dir)?)?,
        };
        let train = read(&train, size)?;
        let test = read(&test, size)?;
        let name = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        let name =
            name.file_name().map_or(dir.display().to_string(), |n| n.to_string_lossy().into());
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        Dataset::new(name, &classes, train, test)
    }
}

/// A class and its files, in the order of their names.
struct Class {
    name: String,
    folder: PathBuf,
    files: Vec<PathBuf>,
}

/// The first of these folders that there is.
fn split(dir: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| dir.join(name)).find(|path| path.is_dir())
}

/// The class folders in `dir`.
fn classes(dir: &Path) -> Result<Vec<Class>> {
    const REMEDY: &str = "give a folder that holds one folder of JPEG or PNG files for each class";
    if !dir.is_dir() {
        return Err(problem(dir, "there is no such folder", REMEDY));
    }
    let mut classes = Vec::new();
    for folder in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        let files = entries(&folder)?;
        if files.is_empty() {
            return Err(problem(folder, "is empty", "put images into it, or remove it"));
        }
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        classes.push(Class { name: name.unwrap_or_default(), folder, files });
    }
    if classes.is_empty() {
        return Err(problem(dir, "holds no class folder", REMEDY));
    }
    Ok(classes)
}

/// What is in a folder, in the order of the names, without hidden files.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Class names, training and test files of class folders that are not split.
fn halves(classes: Vec<Class>) -> Result<(Vec<String>, Vec<Class>, Vec<Class>)> {
    let (mut names, mut train, mut test) = (Vec::new(), Vec::new(), Vec::new());
    for Class { name, folder, files } in classes {
        if files.len() < TEST_EVERY {
            let found = format!("holds {} images", files.len());
            let remedy = format!("give {TEST_EVERY} or more, of which every fifth is for testing");
            return Err(problem(folder, found, remedy));
        }
        names.push(name.clone());
        let (testing, training): (Vec<_>, Vec<_>) = files
            .into_iter()
            .enumerate()
            .partition(|(index, _)| index % TEST_EVERY == TEST_EVERY - 1);
        for (half, files) in [(&mut train, training), (&mut test, testing)] {
            let files = files.into_iter().map(|(_, file)| file).collect();
            half.push(Class { name: name.clone(), folder: folder.clone(), files });
        }
    }
    Ok((names, train, test))
}

/// All images of these classes, read by as many threads as there are cores.
fn read(classes: &[Class], size: u32) -> Result<ImageSet> {
    let files: Vec<(&PathBuf, i64)> = classes
        .iter()
        .zip(0..)
        .flat_map(|(class, label)| class.files.iter().map(move |file| (file, label)))
        .collect();
    let mut bytes = vec![0; files.len() * image_bytes(size)?];
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = files.len().div_ceil(threads).max(1);
    let each = image_bytes(size)?;
    std::thread::scope(|scope| {
        let readers: Vec<_> = files
            .chunks(share)
            .zip(bytes.chunks_mut(share * each))
            .map(|(files, bytes)| {
                scope.spawn(move || -> Result<()> {
                    for ((file, _), bytes) in files.iter().zip(bytes.chunks_exact_mut(each)) {
                        bytes.copy_from_slice(Image::open(file)?.fitted(size, size)?.bytes());
                    }
                    Ok(())
                })
            })
            .collect();
        readers.into_iter().try_for_each(|reader| match reader.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let shape = [files.len() as i64, i64::from(size), i64::from(size), 3];
    let images = Tensor::f_from_data_size(&bytes, &shape, Kind::Uint8)?;
    let labels: Vec<i64> = files.iter().map(|(_, label)| *label).collect();
    ImageSet::new(images, Tensor::f_from_slice(&labels)?)
}

/// Bytes of one image of this size.
fn image_bytes(size: u32) -> Result<usize> {
    match size {
        1..=10_000 => Ok(3 * size as usize * size as usize),
        _ => Err(Error::invalid("image size", size, "give 1 to 10000")),
    }
}

fn problem(
    path: impl Into<PathBuf>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Error {
    Error::Data { path: path.into(), problem: problem.into(), remedy: remedy.into() }
}
