//! Where the data set comes from, with archives of the official layout from a server in the test.

use super::*;
use crate::test_server::{Answer, Server};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// A file of black images in the official layout; file `i` begins with label `i`.
fn file_bytes(index: u8) -> Vec<u8> {
    let mut bytes = vec![0; cifar10::FILE_SIZE as usize];
    bytes[0] = index;
    bytes
}

struct Packed {
    bytes: Vec<u8>,
    sha256: String,
    files: [String; 6],
}

/// Black images pack well: 180 MB become less than one.
fn packed() -> &'static Packed {
    static PACKED: OnceLock<Packed> = OnceLock::new();
    PACKED.get_or_init(|| {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut files = [const { String::new() }; 6];
        for (index, (name, _)) in cifar10::FILES.iter().enumerate() {
            let bytes = file_bytes(index as u8);
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            let path = format!("{}/{name}", cifar10::DIRECTORY);
            tar.append_data(&mut header, path, bytes.as_slice()).unwrap();
            files[index] = format!("{:x}", Sha256::digest(&bytes));
        }
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        Packed { sha256: format!("{:x}", Sha256::digest(&bytes)), bytes, files }
    })
}

/// As [`super::open_or_download`], with the archive of this test behind `address`.
fn open(places: &Places, address: &str) -> Result<Dataset, Failure> {
    let packed = packed();
    let url = format!("http://{address}/cifar.tar.gz");
    let files: Files<'_> = std::array::from_fn(|i| (cifar10::FILES[i].0, packed.files[i].as_str()));
    let network = Network {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        pause: Duration::from_millis(5),
        proxy: false,
    };
    let archive = Archive {
        url: &url,
        size: packed.bytes.len() as u64,
        sha256: &packed.sha256,
        files: &files,
        network,
        ..OFFICIAL
    };
    open_or_download(places, &archive, &files)
}

fn cache(dir: &TempDir) -> Places {
    Places { own: None, cache: Some(dir.path().to_owned()) }
}

/// An address where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn downloaded_once_then_from_the_cache_which_must_stay_as_it_is() {
    let server = Server::start(packed().bytes.clone(), vec![Answer::Whole]);
    let dir = TempDir::new().unwrap();
    for _ in 0..2 {
        let data = open(&cache(&dir), &server.address()).unwrap();
        assert_eq!(data.name, "CIFAR-10");
        assert_eq!(data.test.labels().int64_value(&[0]), 5);
        assert_eq!(data.train.labels().int64_value(&[40_000]), 4);
    }
    assert_eq!(server.ranges().len(), 1);

    let files = dir.path().join(cifar10::DIRECTORY);
    let remedy = format!("; delete {} and run again: it is downloaded anew", files.display());
    let failed = || match open(&cache(&dir), &server.address()) {
        Err(Failure::Other(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    // One bit of one pixel, and then half of the file.
    let file = files.join("data_batch_2.bin");
    let mut bytes = file_bytes(1);
    bytes[30_000_000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let said = format!("{}: is not the official file: its sha256 is another one", file.display());
    assert_eq!(failed(), said + &remedy);
    std::fs::write(&file, &bytes[..15_000_000]).unwrap();
    let said = format!("{}: ends at byte 15000000 of 30730000, in record 4881", file.display());
    assert_eq!(failed(), said + &remedy);
}

/// `CIFAR10_DIR` goes before the cache and the server, and what is wrong with it is an error.
#[test]
fn a_directory_of_the_readers_own() {
    let places = |own: &Path| Places { own: Some(own.to_owned()), cache: None };
    let dir = TempDir::new().unwrap();
    for (index, (name, _)) in cifar10::FILES.iter().enumerate() {
        std::fs::write(dir.path().join(name), file_bytes(index as u8)).unwrap();
    }
    let data = open(&places(dir.path()), NOBODY).unwrap();
    assert!(data.name.ends_with(", not the official ones)"), "{}", data.name);

    let missing = dir.path().join("missing");
    let error = or_shapes10(open(&places(&missing), NOBODY)).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: there is no such directory; ", missing.display())));
    assert!(error.ends_with(", or unset CIFAR10_DIR, which names the directory"), "{error}");
}

#[test]
fn shapes10_only_where_there_is_no_network() {
    let dir = TempDir::new().unwrap();
    let data = or_shapes10(open(&cache(&dir), NOBODY)).unwrap();
    assert_eq!(data.name, "Shapes10 (built-in drawings, not CIFAR-10)");
    assert_eq!((data.train.len(), data.test.len()), (10_000, 2_000));

    let server = Server::start(packed().bytes.clone(), vec![Answer::Flipped]);
    let error = or_shapes10(open(&cache(&dir), &server.address())).unwrap_err().to_string();
    assert!(error.contains("what was received is deleted"), "{error}");
}

#[test]
fn no_cache_directory() {
    let error = open(&Places { own: None, cache: None }, NOBODY).unwrap_err();
    assert_eq!(
        Error::from(error).to_string(),
        "GOOGLENET_CACHE_DIR is not set: \
         this user has no cache directory: set it to one that can be written to"
    );
}
