//! The download against a server on this machine that behaves well, and badly.

use super::*;
use crate::test_server::{Answer, Server};
use flate2::{Compression, write::GzEncoder};
use rand::{RngCore, SeedableRng};
use tempfile::TempDir;

/// Two files of bytes that do not compress, so that the archive has about their size.
const FILE_SIZE: usize = 100_000;
const NAMES: [&str; 2] = ["one.bin", "two.bin"];

fn file_bytes(index: u64) -> Vec<u8> {
    let mut bytes = vec![0; FILE_SIZE];
    rand_chacha::ChaCha8Rng::seed_from_u64(index).fill_bytes(&mut bytes);
    bytes
}

/// A packed archive of `entries`, name and bytes.
fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // As bytes: `set_path` refuses the bad names that a test wants.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn good_archive() -> Vec<u8> {
    let (one, two) = (file_bytes(1), file_bytes(2));
    pack(&[("set/readme.html", b"hello"), ("set/one.bin", &one), ("set/two.bin", &two)])
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// What a test expects of the server, in owned strings.
struct Expected {
    url: String,
    packed: Vec<u8>,
    sha256: String,
    files: [String; 2],
}

impl Expected {
    fn of(packed: Vec<u8>, address: &str) -> Self {
        Expected {
            url: format!("http://{address}/set.tar.gz"),
            sha256: sha256(&packed),
            files: [1, 2].map(|index| sha256(&file_bytes(index))),
            packed,
        }
    }

    fn ensure(&self, cache: &Path) -> Result<PathBuf, Failure> {
        let files = [(NAMES[0], self.files[0].as_str()), (NAMES[1], self.files[1].as_str())];
        Archive {
            url: &self.url,
            size: self.packed.len() as u64,
            sha256: &self.sha256,
            directory: "set",
            files: &files,
            file_size: FILE_SIZE as u64,
            network: Network {
                connect: Duration::from_millis(500),
                stall: Duration::from_millis(300),
                pause: Duration::from_millis(5),
                proxy: false,
            },
        }
        .ensure(cache)
    }
}

/// The good archive behind a server that gives `answers`, one a connection, and an empty cache.
fn serve(answers: Vec<Answer>) -> (Server, Expected, TempDir) {
    let packed = good_archive();
    let server = Server::start(packed.clone(), answers);
    let expected = Expected::of(packed, &server.address());
    (server, expected, TempDir::new().unwrap())
}

fn part(cache: &TempDir) -> PathBuf {
    cache.path().join("set.tar.gz.part")
}

/// The files are there and right, and nothing else is left but the lock.
fn assert_whole(dir: &Path, cache: &TempDir) {
    assert_eq!(dir, cache.path().join("set"));
    for (name, index) in NAMES.iter().zip(1..) {
        assert!(fs::read(dir.join(name)).unwrap() == file_bytes(index), "{name}");
    }
    assert_eq!(names_in(dir), ["one.bin", "two.bin"]);
    assert_eq!(names_in(cache.path()), ["download.lock", "set"]);
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn unreachable(result: Result<PathBuf, Failure>) -> String {
    match result {
        Err(Failure::Unreachable(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn failed(result: Result<PathBuf, Failure>) -> String {
    match result {
        Err(Failure::Other(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_server() {
    let (server, expected, cache) = serve(vec![Answer::Whole]);
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(server.ranges(), [None]);
    // The second time nothing is asked of the server: it would not answer.
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_connection_that_breaks_goes_on_where_it_broke() {
    let (server, expected, cache) =
        serve(vec![Answer::Cut(50_000), Answer::Cut(50_000), Answer::Whole]);
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    let asked = ["bytes=50000-", "bytes=100000-"].map(|range| Some(range.to_owned()));
    assert_eq!(server.ranges(), [vec![None], asked.to_vec()].concat());
}

#[test]
fn the_next_run_goes_on_where_the_last_one_ended() {
    let (server, expected, cache) = serve(vec![
        Answer::Cut(70_000),
        Answer::Close,
        Answer::Close,
        Answer::Close,
        Answer::Whole,
    ]);
    let text = unreachable(expected.ensure(cache.path()));
    assert!(text.starts_with(&format!("download of {}: ", expected.url)), "{text}");
    assert_eq!(fs::read(part(&cache)).unwrap(), expected.packed[..70_000]);
    assert!(!cache.path().join("set").exists());

    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(server.ranges().last().unwrap().as_deref(), Some("bytes=70000-"));
}

#[test]
fn half_the_archive_again_and_again() {
    let (server, expected, cache) = serve(vec![Answer::CutWithoutRange(60_000); 4]);
    let text = failed(expected.ensure(cache.path()));
    let said = format!(", at byte 60000 of {}; {AGAIN}", expected.packed.len());
    assert!(text.ends_with(&said), "{text}");
    assert_eq!(
        server.ranges().len(),
        4,
        "one try that brought something, three that brought no more"
    );
    assert_eq!(names_in(cache.path()), ["download.lock", "set.tar.gz.part"]);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (server, expected, cache) = serve(vec![Answer::Cut(50_000), Answer::WholeWithoutRange]);
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(server.ranges(), [None, Some("bytes=50000-".to_owned())]);
}

#[test]
fn a_stalled_server_is_left_and_asked_again() {
    let (server, expected, cache) = serve(vec![Answer::Stall(30_000), Answer::Whole]);
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(server.ranges()[1].as_deref(), Some("bytes=30000-"));
}

#[test]
fn wrong_bytes_are_deleted_and_said() {
    let (_server, expected, cache) = serve(vec![Answer::Flipped, Answer::Whole]);
    let mut wrong = expected.packed.clone();
    wrong[1000] ^= 1;
    let text = failed(expected.ensure(cache.path()));
    assert_eq!(
        text,
        format!(
            "download of {}: sha256 is {}, not {}; what was received is deleted; {WRONG_BYTES}",
            expected.url,
            sha256(&wrong),
            expected.sha256
        )
    );
    assert_eq!(names_in(cache.path()), ["download.lock"]);
    // So that the next run is a fresh one.
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
}

#[test]
fn another_file_behind_the_address() {
    let page = Answer::Other(b"<html>please log in</html>".to_vec());
    let (_server, expected, cache) = serve(vec![page]);
    let text = failed(expected.ensure(cache.path()));
    let size = expected.packed.len();
    assert_eq!(
        text,
        format!(
            "download of {}: the server offers 26 bytes, the archive has {size}; {WRONG_BYTES}",
            expected.url
        )
    );
    assert_eq!(names_in(cache.path()), ["download.lock"]);
}

#[test]
fn a_server_that_gets_ranges_wrong_starts_over() {
    for wrong in [Answer::RangeFrom(40_000), Answer::Status("416 Range Not Satisfiable")] {
        let (server, expected, cache) = serve(vec![Answer::Cut(50_000), wrong, Answer::Whole]);
        assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
        assert_eq!(server.ranges(), [None, Some("bytes=50000-".to_owned()), None]);
    }
}

#[test]
fn nothing_at_all() {
    for (answer, said) in [
        (Answer::Status("404 Not Found"), "the server answered 404 Not Found"),
        (Answer::Status("503 Service Unavailable"), "the server answered 503 Service Unavailable"),
        (Answer::Close, ""),
        (Answer::Silence, "timeout"),
    ] {
        let (_server, expected, cache) = serve(vec![answer]);
        let text = unreachable(expected.ensure(cache.path()));
        assert!(text.starts_with(&format!("download of {}: {said}", expected.url)), "{text}");
        assert!(text.ends_with(&format!("; {BY_HAND}")), "{text}");
        assert_eq!(names_in(cache.path()), ["download.lock"]);
    }
}

#[test]
fn headers_and_no_byte() {
    let (server, expected, cache) = serve(vec![Answer::Cut(0); 3]);
    let text = failed(expected.ensure(cache.path()));
    assert!(text.ends_with(AGAIN), "{text}");
    assert_eq!(server.ranges(), [None, None, None]);
}

/// Nobody listens on port 1 of this machine.
#[test]
fn no_server() {
    let cache = TempDir::new().unwrap();
    let expected = Expected::of(good_archive(), "127.0.0.1:1");
    let text = unreachable(expected.ensure(cache.path()));
    assert!(text.contains("Connection refused") && text.ends_with(BY_HAND), "{text}");
}

#[test]
fn a_part_that_is_too_long_or_damaged() {
    let (server, expected, cache) = serve(vec![Answer::Whole, Answer::Whole]);
    fs::write(part(&cache), vec![0; expected.packed.len() + 1]).unwrap();
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(server.ranges(), [None]);

    fs::remove_dir_all(cache.path().join("set")).unwrap();
    fs::write(part(&cache), [0; 1000]).unwrap();
    let text = failed(expected.ensure(cache.path()));
    assert!(text.contains("what was received is deleted"), "{text}");
    assert!(!part(&cache).exists());
}

#[test]
fn of_two_at_once_one_downloads() {
    let (server, expected, cache) = serve(vec![Answer::Whole]);
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| expected.ensure(cache.path())));
        for one in both {
            assert_whole(&one.join().unwrap().unwrap(), &cache);
        }
    });
    assert_eq!(server.ranges().len(), 1);
}

/// An archive that is what the address promised, but does not hold what it should.
#[test]
fn a_bad_archive_leaves_no_directory() {
    let (one, two) = (file_bytes(1), file_bytes(2));
    let good: [(&str, &[u8]); 2] = [("set/one.bin", &one), ("set/two.bin", &two)];
    let cut = pack(&good)[..150_000].to_vec();
    for (packed, said) in [
        (pack(&good[..1]), "two.bin is not in it"),
        (pack(&[good[0], ("set/two.bin", &one)]), "sha256 of two.bin is "),
        (pack(&[good[0], ("other/two.bin", &two)]), "two.bin is not in it"),
        (pack(&[good[0], ("set/../set/two.bin", &two)]), "two.bin is not in it"),
        (pack(&[good[0], ("set/two.bin", &[two.as_slice(), &two].concat())]), "sha256 of two.bin"),
        (cut, "cannot be unpacked: "),
        (b"not an archive at all".to_vec(), "cannot be unpacked: "),
    ] {
        let server = Server::start(packed.clone(), vec![Answer::Whole]);
        let expected = Expected::of(packed, &server.address());
        let cache = TempDir::new().unwrap();
        let text = failed(expected.ensure(cache.path()));
        assert!(text.starts_with(&format!("{}: {said}", part(&cache).display())), "{text}");
        assert!(text.ends_with("; delete it and run again"), "{text}");
        assert_eq!(names_in(cache.path()), ["download.lock", "set.tar.gz.part"]);
    }
}

#[test]
fn names_in_the_archive_lead_nowhere() {
    let (one, two) = (file_bytes(1), file_bytes(2));
    let packed = pack(&[
        ("../escaped.bin", b"out"),
        ("/tmp/googlenet-lib-escaped.bin", b"out"),
        ("set/../../escaped.bin", b"out"),
        ("./set/one.bin", &one),
        ("set/two.bin", &two),
    ]);
    let server = Server::start(packed.clone(), vec![Answer::Whole]);
    let expected = Expected::of(packed, &server.address());
    let above = TempDir::new().unwrap();
    let cache = TempDir::new_in(above.path()).unwrap();
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
    assert_eq!(names_in(above.path()).len(), 1);
    assert!(!Path::new("/tmp/googlenet-lib-escaped.bin").exists());
}

#[test]
fn leftovers_of_an_unpacking_that_was_killed() {
    let (_server, expected, cache) = serve(vec![Answer::Whole]);
    let unpacking = cache.path().join("set.unpacking");
    fs::create_dir(&unpacking).unwrap();
    fs::write(unpacking.join("one.bin"), "half").unwrap();
    assert_whole(&expected.ensure(cache.path()).unwrap(), &cache);
}

/// Below a regular file there is no directory, for root either.
#[test]
fn a_cache_that_cannot_be_written_to() {
    let (_server, expected, dir) = serve(vec![]);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let cache = file.join("cache");
    let text = failed(expected.ensure(&cache));
    assert_eq!(
        text,
        format!(
            "{}: Not a directory (os error 20); \
             set GOOGLENET_CACHE_DIR to a directory that can be written to",
            cache.display()
        )
    );
}

/// /dev/full answers every write as a full disk does.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_while_downloading() {
    let (_server, expected, cache) = serve(vec![Answer::Whole]);
    std::os::unix::fs::symlink("/dev/full", part(&cache)).unwrap();
    let text = failed(expected.ensure(cache.path()));
    assert_eq!(
        text,
        format!(
            "{}: No space left on device (os error 28); make room for 400 MB there, or set \
             GOOGLENET_CACHE_DIR to a directory with more room",
            part(&cache).display()
        )
    );
    assert!(!cache.path().join("set").exists());
}

/// A real file system with room for the archive, but not for what is in it.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_while_unpacking() {
    use std::process::Command;
    let (_server, expected, cache) = serve(vec![Answer::Whole]);
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"])
        .arg(cache.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: a_disk_that_is_full_while_unpacking (no right to mount a tmpfs)");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let text = failed(expected.ensure(cache.path()));
        let names = names_in(cache.path());
        // More room, and it goes on without the server, which would not answer again.
        let more = Command::new("mount")
            .args(["-o", "remount,size=2m"])
            .arg(cache.path())
            .status()
            .unwrap();
        assert!(more.success());
        let dir = expected.ensure(cache.path()).unwrap();
        assert_whole(&dir, &cache);
        (text, names)
    });
    assert!(Command::new("umount").arg(cache.path()).status().unwrap().success());
    let (text, names) = result.unwrap();
    assert!(text.contains("set.unpacking/") && text.contains("No space left on device"), "{text}");
    assert!(text.contains("make room for 400 MB there"), "{text}");
    assert_eq!(names, ["download.lock", "set.tar.gz.part"]);
}
