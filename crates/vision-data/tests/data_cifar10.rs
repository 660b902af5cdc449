//! Reading CIFAR-10's binary version, and what is refused.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tch::{Device, Tensor};
use tempfile::TempDir;
use vision_data::{Augment, Cifar10, DataLoader, Dataset, Normalize, Split};
use vision_data::{Error, Result};

const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const RECORD: usize = 3073;
const SIZE: usize = 10_000 * RECORD;

fn label(file: usize, record: usize) -> u8 {
    ((record * 7 + file) % 10) as u8
}

/// Colour `c` of pixel (`y`, `x`).
fn pixel(file: usize, record: usize, c: usize, y: usize, x: usize) -> u8 {
    (file * 50 + record * 3 + c * 90 + y * 32 + x) as u8
}

/// Six files in the official layout, in a directory `batches` below cargo's for tests: made once a
/// run for all tests here, and again in the same place by the next run.
fn good() -> &'static Path {
    static BATCHES: OnceLock<PathBuf> = OnceLock::new();
    BATCHES.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batches");
        fs::create_dir_all(&dir).unwrap();
        for (file, name) in FILES.iter().enumerate() {
            let mut bytes = Vec::with_capacity(SIZE);
            for record in 0..10_000 {
                bytes.push(label(file, record));
                // 1024 bytes each of red, green and blue, row by row.
                for c in 0..3 {
                    bytes.extend((0..1024).map(|k| pixel(file, record, c, k / 32, k % 32)));
                }
            }
            let mut whole = tempfile::NamedTempFile::new_in(&dir).unwrap();
            whole.write_all(&bytes).unwrap();
            whole.persist(dir.join(name)).unwrap();
        }
        dir
    })
}

/// A directory of links to the good files, in which `spoil` makes something bad.
fn spoiled(spoil: impl FnOnce(&Path)) -> TempDir {
    let dir = TempDir::new().unwrap();
    for name in FILES {
        std::os::unix::fs::symlink(good().join(name), dir.path().join(name)).unwrap();
    }
    spoil(dir.path());
    dir
}

/// Replaces the link `name` by a file of its own.
fn rewrite(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(dir.join(name)).unwrap();
    change(&mut bytes);
    fs::remove_file(dir.join(name)).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

fn problem(result: Result<Dataset>) -> (PathBuf, String, String) {
    match result.unwrap_err() {
        Error::Data { path, problem, remedy } => (path, problem, remedy),
        other => panic!("{other}"),
    }
}

const GET_IT: &str = "get the binary version, https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, and unpack it";

#[test]
fn every_pixel_and_label_stands_where_it_should() {
    let data = Cifar10::open(good()).unwrap();
    assert_eq!(data.name, "CIFAR-10 (files in batches, not the official ones)");
    assert_eq!(data.classes.len(), 10);
    assert_eq!((data.classes[0].as_str(), data.classes[9].as_str()), ("airplane", "truck"));
    assert_eq!((data.train.len(), data.test.len()), (50_000, 10_000));
    assert_eq!(data.train.images().size(), [50_000, 32, 32, 3]);
    assert_eq!(data.train.device(), Device::Cpu);
    for (split, first_file) in [(Split::Train, 0), (Split::Test, 5)] {
        let set = data.split(split);
        for i in (0..set.len()).step_by(997) {
            let (file, record) = (first_file + i / 10_000, i % 10_000);
            assert_eq!(set.labels().int64_value(&[i as i64]), i64::from(label(file, record)));
            let image = set.images().get(i as i64).flatten(0, -1);
            let expected: Vec<u8> =
                (0..32 * 32 * 3).map(|k| pixel(file, record, k % 3, k / 96, k / 3 % 32)).collect();
            assert_eq!(Vec::<u8>::try_from(&image).unwrap(), expected, "image {i} of {split:?}");
        }
    }
}

#[test]
fn the_directory_above_will_do() {
    let above = TempDir::new().unwrap();
    let inner = above.path().join("cifar-10-batches-bin");
    std::os::unix::fs::symlink(good(), &inner).unwrap();
    assert_eq!(Cifar10::open(above.path()).unwrap().test.len(), 10_000);
    assert_eq!(Cifar10::open(&inner).unwrap().test.len(), 10_000);
}

#[test]
fn a_part_of_the_data_says_so() {
    let data = Cifar10::open(good()).unwrap();
    let part = data.take(200, 100).unwrap();
    assert_eq!(part.name, format!("{}, first 200 + 100 images", data.name));
    assert_eq!((part.train.len(), part.test.len()), (200, 100));
    assert_eq!(part.train.labels(), &data.train.labels().narrow(0, 0, 200));
    assert_eq!(data.take(50_000, 10_000).unwrap().name, data.name);
    assert_eq!(
        data.take(1, 10_001).unwrap_err().to_string(),
        "the number of images to take is 10001: there are 10000"
    );
}

#[test]
fn a_missing_directory() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("nowhere");
    let error = Cifar10::open(&missing).unwrap_err().to_string();
    assert_eq!(error, format!("{}: there is no such directory; {GET_IT}", missing.display()));
}

#[test]
fn a_file_instead_of_a_directory() {
    let (path, text, remedy) = problem(Cifar10::open(good().join("test_batch.bin")));
    assert_eq!(path, good().join("test_batch.bin"));
    assert_eq!(text, "is a file, not a directory");
    assert_eq!(remedy, "give the directory of the .bin files");
}

#[test]
fn a_missing_file() {
    let dir = spoiled(|dir| fs::remove_file(dir.join("data_batch_4.bin")).unwrap());
    let (path, text, remedy) = problem(Cifar10::open(dir.path()));
    assert_eq!(path, dir.path().join("data_batch_4.bin"));
    assert_eq!((text.as_str(), remedy.as_str()), ("this file of CIFAR-10 is missing", GET_IT));
}

#[test]
fn a_file_cut_short() {
    for (keep, said) in [
        (SIZE - 1, "ends at byte 30729999 of 30730000, in record 9999"),
        (3073 * 5, "ends at byte 15365 of 30730000, in record 5"),
        (0, "ends at byte 0 of 30730000, in record 0"),
    ] {
        let dir = spoiled(|dir| rewrite(dir, "data_batch_2.bin", |bytes| bytes.truncate(keep)));
        let (path, text, remedy) = problem(Cifar10::open(dir.path()));
        assert_eq!(path, dir.path().join("data_batch_2.bin"));
        assert_eq!((text.as_str(), remedy.as_str()), (said, GET_IT));
    }
}

#[test]
fn a_file_too_long() {
    let dir = spoiled(|dir| rewrite(dir, "test_batch.bin", |bytes| bytes.push(0)));
    let (path, text, _) = problem(Cifar10::open(dir.path()));
    assert_eq!(path, dir.path().join("test_batch.bin"));
    assert_eq!(text, "has 30730001 bytes, 30730000 is the size of a file of CIFAR-10");
}

#[test]
fn a_label_of_10() {
    let dir = spoiled(|dir| rewrite(dir, "data_batch_3.bin", |bytes| bytes[1234 * RECORD] = 10));
    let error = Cifar10::open(dir.path()).unwrap_err().to_string();
    let file = dir.path().join("data_batch_3.bin");
    assert_eq!(
        error,
        format!(
            "{}: byte 3792082, the label of record 1234, is 10, not 0 to 9; {GET_IT}",
            file.display()
        )
    );
}

#[test]
fn another_data_set() {
    for (name, found) in [
        ("train.bin", "CIFAR-100"),
        ("cifar-100-binary/train.bin", "CIFAR-100"),
        ("data_batch_1", "the Python version of CIFAR-10"),
        ("cifar-10-batches-py/data_batch_1", "the Python version of CIFAR-10"),
        ("data_batch_1.mat", "the Matlab version of CIFAR-10"),
        ("train-images-idx3-ubyte.gz", "MNIST"),
        ("train/airplane/0001.png", "one folder of pictures a class"),
        ("cifar-10-binary.tar.gz", "the archive cifar-10-binary.tar.gz, not yet unpacked"),
    ] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, [0; 3074]).unwrap();
        let (path, text, remedy) = problem(Cifar10::open(dir.path()));
        assert_eq!(path, dir.path());
        assert_eq!(text, format!("holds {found}, not the binary version of CIFAR-10"));
        assert_eq!(remedy, GET_IT);
    }
    let empty = TempDir::new().unwrap();
    assert_eq!(problem(Cifar10::open(empty.path())).1, "holds no data_batch_1.bin");
}

/// CIFAR-100's test.bin under a name of CIFAR-10: two label bytes a record.
#[test]
fn records_of_cifar_100() {
    let dir = spoiled(|dir| {
        rewrite(dir, "test_batch.bin", |bytes| bytes.resize(10_000 * 3074, 0));
    });
    let (_, text, _) = problem(Cifar10::open(dir.path()));
    assert_eq!(text, "has 30740000 bytes, 30730000 is the size of a file of CIFAR-10");
}

/// What `Cifar10::open_or_download` says in a process of its own, where the environment can be set
/// without disturbing other tests. Both variables name what is there: nothing is downloaded.
#[test]
fn the_environment_says_where_to_look() {
    let said = |variable: &str, value: &Path| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_of_the_environment_says_where_to_look"])
            .arg("--nocapture")
            .env_remove("CIFAR10_DIR")
            .env("DATA_CIFAR10_CHILD", "1")
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing");
    let text = said("CIFAR10_DIR", &missing);
    assert!(text.contains(&format!("{}: there is no such directory", missing.display())), "{text}");

    let text = said("CIFAR10_DIR", good());
    assert!(text.contains("opened CIFAR-10 (files in batches, not the official ones)"), "{text}");

    let cached = dir.path().join("cifar-10-batches-bin");
    std::os::unix::fs::symlink(good(), &cached).unwrap();
    let text = said("GOOGLENET_CACHE_DIR", dir.path());
    let file = cached.join("data_batch_1.bin");
    let problem = format!("{}: is not the official file", file.display());
    assert!(text.contains(&problem), "{text}");
}

#[test]
#[ignore = "started by the_environment_says_where_to_look"]
fn child_of_the_environment_says_where_to_look() {
    if std::env::var_os("DATA_CIFAR10_CHILD").is_none() {
        println!("skipped: child_of_the_environment_says_where_to_look (no parent)");
        return;
    }
    match Cifar10::open_or_download() {
        Ok(data) => println!("opened {}", data.name),
        Err(error) => println!("{error}"),
    }
}

/// The published constants against the images themselves, where a copy is at hand.
#[test]
fn the_constants_are_those_of_the_images() {
    let Some(dir) = std::env::var_os("CIFAR10_DIR") else {
        println!("skipped: the_constants_are_those_of_the_images (CIFAR10_DIR is not set)");
        return;
    };
    let data = Cifar10::open(dir).unwrap();
    let found = Normalize::of(&data.train).unwrap();
    // A JPEG copy of the images is a little off; the official ones agree to four digits.
    let tolerance = if data.name == "CIFAR-10" { 6e-5 } else { 3e-3 };
    for c in 0..3 {
        assert!((found.mean[c] - Normalize::CIFAR10.mean[c]).abs() < tolerance, "{found:?}");
        assert!((found.std[c] - Normalize::CIFAR10.std[c]).abs() < tolerance, "{found:?}");
    }
    let per_class = data.train.labels().bincount::<Tensor>(None, 10);
    assert_eq!(Vec::<i64>::try_from(&per_class).unwrap(), [5000; 10]);
    let loader = DataLoader::new(&data.test, &Normalize::CIFAR10, Augment::NONE).unwrap();
    let (images, _) = loader.eval(0, 10_000, None).unwrap();
    assert!(images.mean(tch::Kind::Float).double_value(&[]).abs() < 0.05);
}

/// How long opening takes: `CIFAR10_DIR=DIR cargo test --test data_cifar10 -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let data = Cifar10::open(good()).unwrap();
        println!("{}: opened in {:?}", data.name, start.elapsed());
    }
}
