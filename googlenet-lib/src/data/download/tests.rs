//! Against a server on this machine that misbehaves as it is told.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

/// What the server does with one connection; after the last, it closes every one at once.
#[derive(Clone, Copy)]
enum Answer {
    /// The archive, or the part asked for.
    Whole,
    /// The archive from its start, whatever was asked for.
    IgnoreRange,
    /// The first bytes of what `Whole` sends; then it hangs up.
    CutAfter(usize),
    /// As many bytes as the archive has, but others.
    WrongBytes,
    /// Another length than the archive has.
    WrongLength,
    NotFound,
    /// Hangs up without a word.
    Nothing,
    /// Sends half, then nothing more, without hanging up.
    Stall,
}

struct Server {
    url: String,
    /// The Range header of each request.
    ranges: Arc<Mutex<Vec<Option<String>>>>,
}

impl Server {
    fn new(archive: Vec<u8>, answers: &[Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files.tar.gz", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (ranges.clone(), answers.to_vec());
        std::thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { break };
                let answer = answers.get(index).copied().unwrap_or(Answer::Nothing);
                let range = serve(stream, &archive, answer);
                seen.lock().unwrap().push(range);
            }
        });
        Server { url, ranges }
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.ranges.lock().unwrap().clone()
    }
}

/// Answers one request and returns its Range header. A client that hangs up first is no error here.
fn serve(mut stream: TcpStream, archive: &[u8], answer: Answer) -> Option<String> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let Ok(line) = line else { return range };
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = Some(value.to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    let start = range
        .as_deref()
        .filter(|_| !matches!(answer, Answer::IgnoreRange))
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or(0);
    let body = &archive[start..];
    let head = match start {
        0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()),
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n\
             Content-Range: bytes {start}-{}/{}\r\n\r\n",
            body.len(),
            archive.len() - 1,
            archive.len()
        ),
    };
    let mut send = |head: &str, body: &[u8]| {
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let _ = stream.flush();
    };
    match answer {
        Answer::Whole | Answer::IgnoreRange => send(&head, body),
        Answer::CutAfter(bytes) => send(&head, &body[..bytes]),
        Answer::WrongBytes => send(&head, &vec![7; body.len()]),
        Answer::WrongLength => send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"not it :("),
        Answer::NotFound => send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""),
        Answer::Nothing => {}
        Answer::Stall => {
            send(&head, &body[..body.len() / 2]);
            std::thread::sleep(Duration::from_secs(3));
        }
    }
    range
}

const FILE_SIZE: usize = 200_000;

/// Two files of bytes that do not compress, their names and sha256.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    ["one.bin", "two.bin"].map(|name| (name, (0..FILE_SIZE).map(|_| noise()).collect())).into()
}

/// A packed archive: the two files and one that nobody asked for.
fn packed() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes).unwrap();
    };
    for (name, bytes) in files() {
        add(&format!("folder/{name}"), &bytes);
    }
    add("folder/readme.html", b"not asked for");
    tar.into_inner().unwrap().finish().unwrap()
}

struct Case {
    server: Server,
    cache: TempDir,
    packed: Vec<u8>,
}

impl Case {
    fn new(answers: &[Answer]) -> Case {
        let packed = packed();
        let server = Server::new(packed.clone(), answers);
        Case { server, cache: tempfile::tempdir().unwrap(), packed }
    }

    fn ensure(&self) -> Result<PathBuf, Failure> {
        self.ensure_in(self.cache.path(), &self.server.url)
    }

    fn ensure_in(&self, cache: &Path, url: &str) -> Result<PathBuf, Failure> {
        let sums: Vec<(&str, String)> =
            files().iter().map(|(name, bytes)| (*name, hex(&Sha256::digest(bytes)))).collect();
        let files: Vec<(&str, &str)> =
            sums.iter().map(|(name, sum)| (*name, sum.as_str())).collect();
        let sha256 = hex(&Sha256::digest(&self.packed));
        let network = Network {
            connect: Duration::from_secs(2),
            stall: Duration::from_millis(300),
            pause: Duration::from_millis(1),
            proxy: false,
        };
        Archive {
            url,
            size: self.packed.len() as u64,
            sha256: &sha256,
            directory: "folder",
            files: &files,
            file_size: FILE_SIZE as u64,
            network,
        }
        .ensure(cache)
    }

    /// The error's text. Nothing that looks whole may be there after it.
    fn error(&self) -> String {
        let error = Error::from(self.ensure().expect_err("the download went through")).to_string();
        assert!(!self.cache.path().join("folder").exists(), "a folder that looks whole");
        assert!(error.contains(&self.server.url), "the address is not named: {error}");
        error
    }

    fn part(&self) -> PathBuf {
        self.cache.path().join("files.tar.gz.part")
    }

    fn is_whole(&self, dir: &Path) {
        for (name, bytes) in files() {
            assert_eq!(fs::read(dir.join(name)).unwrap(), bytes, "{name}");
        }
        assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
        assert!(!self.part().exists());
    }
}

#[test]
fn a_whole_download_is_checked_and_unpacked_once() {
    let case = Case::new(&[Answer::Whole]);
    let dir = case.ensure().unwrap();
    assert_eq!(dir, case.cache.path().join("folder"));
    case.is_whole(&dir);
    case.ensure().unwrap(); // from the disk
    assert_eq!(case.server.ranges(), [None]);
}

#[test]
fn half_an_archive_is_gone_on_with_in_the_same_call() {
    let half = packed().len() / 2;
    let case = Case::new(&[Answer::CutAfter(half), Answer::Whole]);
    let dir = case.ensure().unwrap();
    case.is_whole(&dir);
    assert_eq!(case.server.ranges(), [None, Some(format!("bytes={half}-"))]);
}

#[test]
fn an_interrupted_download_resumes_in_the_next_call() {
    let half = packed().len() / 2;
    let case = Case::new(&[
        Answer::CutAfter(half),
        Answer::Nothing,
        Answer::Nothing,
        Answer::Nothing,
        Answer::Whole,
    ]);
    case.error();
    assert_eq!(fs::metadata(case.part()).unwrap().len(), half as u64);
    let dir = case.ensure().unwrap();
    case.is_whole(&dir);
    assert_eq!(case.server.ranges().last().unwrap().as_deref(), Some(&*format!("bytes={half}-")));
}

#[test]
fn a_server_that_does_not_resume_is_asked_for_all() {
    let case = Case::new(&[Answer::CutAfter(1000), Answer::IgnoreRange]);
    let dir = case.ensure().unwrap();
    case.is_whole(&dir);
}

#[test]
fn wrong_bytes_are_refused_and_deleted() {
    let case = Case::new(&[Answer::WrongBytes]);
    let error = case.error();
    assert!(error.contains("sha256 is") && error.contains("CIFAR10_DIR"), "{error}");
    assert!(!case.part().exists());
}

#[test]
fn another_length_is_refused_before_anything_is_written() {
    let case = Case::new(&[Answer::WrongLength]);
    let error = case.error();
    assert!(error.contains("offers 9 bytes"), "{error}");
    assert!(!case.part().exists());
}

#[test]
fn a_stalled_server_is_given_up() {
    let case = Case::new(&[Answer::Stall]);
    let error = case.error();
    assert!(error.contains("run it again") || error.contains("network"), "{error}");
    assert!(case.part().exists(), "what came is kept");
}

#[test]
fn no_server_and_no_archive_count_as_unreachable() {
    for answer in [Answer::NotFound, Answer::Nothing] {
        let case = Case::new(&[answer]);
        let failure = case.ensure().unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
        assert!(Error::from(failure).to_string().contains("CIFAR10_DIR"));
    }
    let case = Case::new(&[]);
    // A port on which nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/files.tar.gz");
    let failure = case.ensure_in(case.cache.path(), &url).unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
}

#[test]
fn an_unwritable_cache_is_named() {
    let case = Case::new(&[Answer::Whole]);
    let file = case.cache.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Error::from(case.ensure_in(&file, &case.server.url).unwrap_err()).to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("GOOGLENET_CACHE_DIR"));
}

#[test]
fn a_full_disk_says_how_much_room_is_wanted() {
    let error = std::io::Error::from(ErrorKind::StorageFull);
    let text = unwritable(Path::new("/cache/x.part"), &error).to_string();
    assert!(text.contains("/cache/x.part") && text.contains("400 MB"), "{text}");

    // For real, where there is the device that is always full.
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: a_full_disk_says_how_much_room_is_wanted: no /dev/full here");
        return;
    }
    let case = Case::new(&[Answer::Whole]);
    std::os::unix::fs::symlink("/dev/full", case.part()).unwrap();
    let error = case.error_without_address();
    assert!(error.contains("files.tar.gz.part") && error.contains("400 MB"), "{error}");
}

impl Case {
    /// As [`Case::error`], for an error of the disk.
    fn error_without_address(&self) -> String {
        let error = Error::from(self.ensure().expect_err("the download went through"));
        assert!(!self.cache.path().join("folder").exists(), "a folder that looks whole");
        error.to_string()
    }
}

#[test]
fn two_at_once_download_once() {
    let case = Case::new(&[Answer::Whole]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| case.ensure().unwrap());
        }
    });
    case.is_whole(&case.cache.path().join("folder"));
    assert_eq!(case.server.ranges().len(), 1);
}
