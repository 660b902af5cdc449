//! Which place is looked in, and when drawn shapes may stand in.

use std::time::Duration;

use super::*;

/// A server that nobody runs.
const NOWHERE: Archive<'static> = Archive {
    url: "http://127.0.0.1:1/cifar-10-binary.tar.gz",
    network: Network {
        connect: Duration::from_secs(2),
        stall: Duration::from_secs(1),
        pause: Duration::from_millis(1),
        proxy: false,
    },
    ..OFFICIAL
};

fn open(own: Option<PathBuf>, cache: PathBuf) -> Result<Dataset, Failure> {
    open_or_download(&Places { own, cache: Some(cache) }, &NOWHERE, &cifar10::FILES)
}

#[test]
fn without_network_shapes_stand_in_and_say_so() {
    let cache = tempfile::tempdir().unwrap();
    let failure = open(None, cache.path().to_owned()).unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    let data = or_shapes10(Err(failure)).unwrap();
    assert!(data.name.contains("Shapes10") && data.name.contains("not CIFAR-10"), "{}", data.name);
}

#[test]
fn a_bad_directory_of_the_readers_is_an_error_and_no_fallback() {
    let cache = tempfile::tempdir().unwrap();
    let missing = cache.path().join("missing");
    let error = or_shapes10(open(Some(missing.clone()), cache.path().to_owned())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(missing.to_str().unwrap()) && text.contains("unset CIFAR10_DIR"),
        "{text}"
    );
}

#[test]
fn damaged_files_in_the_cache_are_an_error_and_no_fallback() {
    let cache = tempfile::tempdir().unwrap();
    let dir = cache.path().join(cifar10::DIRECTORY);
    std::fs::create_dir(&dir).unwrap();
    let error = or_shapes10(open(None, cache.path().to_owned())).unwrap_err().to_string();
    assert!(error.contains("data_batch_1.bin") && error.contains("delete"), "{error}");
    for (name, _) in cifar10::FILES {
        std::fs::write(dir.join(name), vec![0; cifar10::FILE_SIZE as usize]).unwrap();
    }
    let error = or_shapes10(open(None, cache.path().to_owned())).unwrap_err().to_string();
    assert!(error.contains("is not the official file"), "{error}");
}
