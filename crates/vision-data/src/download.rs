//! The download of an archive: goes on where it was broken off, is checked, and is unpacked so that
//! a directory with the right name is always whole.

use crate::Error;
use crate::progress::Progress;
use crate::unpack::unpack;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Response;

/// An archive on a server, and what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Archive<'a> {
    pub(crate) url: &'a str,
    pub(crate) size: u64,
    pub(crate) sha256: &'a str,
    /// The directory in the archive, and on the disk.
    pub(crate) directory: &'a str,
    /// Name and sha256 of the files wanted of it.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// Bytes in each of them.
    pub(crate) file_size: u64,
    pub(crate) network: Network,
}

/// How long to wait for a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// For its address, for the connection and for the beginning of an answer, each.
    pub(crate) connect: Duration,
    /// For the next bytes.
    pub(crate) stall: Duration,
    /// Between two tries.
    pub(crate) pause: Duration,
    /// Whether to go through the proxy that the environment names.
    pub(crate) proxy: bool,
}

impl Network {
    pub(crate) const DEFAULT: Network = Network {
        connect: Duration::from_secs(15),
        stall: Duration::from_secs(30),
        pause: Duration::from_secs(2),
        proxy: true,
    };
}

/// Why there are no files.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server cannot be reached, or does not have the archive: no network, as a rule.
    Unreachable(Error),
    /// Anything else: another data set in its place would hide it.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(error) | Failure::Other(error) => error,
        }
    }
}

/// Tries that bring no byte more, before the download is given up.
const IDLE_TRIES: u32 = 3;

impl Archive<'_> {
    /// The directory with the files below `cache`: downloaded, checked and unpacked where it is not
    /// there. Of several processes that want it, one downloads and the others wait.
    pub(crate) fn ensure(&self, cache: &Path) -> Result<PathBuf, Failure> {
        let target = cache.join(self.directory);
        // Only the rename of a checked directory makes `target`, so that it is whole if it is there.
        if target.exists() {
            return Ok(target);
        }
        fs::create_dir_all(cache).map_err(|error| unwritable(cache, &error))?;
        let _lock = lock(cache)?;
        if target.exists() {
            return Ok(target);
        }
        let part = cache.join(format!("{}.part", self.name()));
        self.download(&part)?;
        self.check(&part)?;
        unpack(self, &part, &target)?;
        fs::remove_file(&part).map_err(Error::io(&part))?;
        Ok(target)
    }

    /// The file name in the address.
    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }

    /// Fills `part` up to the size of the archive, in as many tries as bring it further.
    fn download(&self, part: &Path) -> Result<(), Failure> {
        let mut have = length(part)?;
        let mut progress = Progress::new(self.name(), self.size);
        progress.say(&format!("{} MB from {}", self.size / 1_000_000, self.url));
        let begun_at = have;
        let mut idle = 0;
        loop {
            let stop = match self.receive(part, &mut progress) {
                Ok(()) => return Ok(()),
                Err(stop) => stop,
            };
            let now = length(part)?;
            idle = if now > have { 0 } else { idle + 1 };
            have = have.max(now);
            let failure = match stop {
                Stop::Final(error) => return Err(Failure::Other(error)),
                Stop::Unreachable(problem) => Failure::Unreachable(self.error(problem, BY_HAND)),
                Stop::BrokenOff(problem) => Failure::Other(self.error(problem, AGAIN)),
            };
            let nothing_came = matches!(failure, Failure::Unreachable(_)) && have == begun_at;
            if nothing_came || idle == IDLE_TRIES {
                return Err(failure);
            }
            progress.say(&format!("broken off at byte {now}, trying again"));
            std::thread::sleep(self.network.pause);
        }
    }

    /// One request for the bytes that `part` lacks.
    fn receive(&self, part: &Path, progress: &mut Progress) -> Result<(), Stop> {
        let mut have = length(part)?;
        if have > self.size {
            fs::remove_file(part).map_err(Error::io(part))?;
            have = 0;
        }
        if have == self.size {
            return Ok(());
        }
        // Compressed on the way, the archive would not have its own size.
        let mut request = self.agent().get(self.url).header("Accept-Encoding", "identity");
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| Stop::Unreachable(error.to_string()))?;
        let (start, total) = match response.status().as_u16() {
            200 => (0, content_length(&response)),
            206 => match content_range(&response) {
                Some((start, total)) if start == have => (start, Some(total)),
                _ => {
                    fs::remove_file(part).map_err(Error::io(part))?;
                    let problem = format!("asked from byte {have} on, the server sent others");
                    return Err(Stop::BrokenOff(problem));
                }
            },
            416 => {
                fs::remove_file(part).map_err(Error::io(part))?;
                return Err(Stop::BrokenOff(format!("the server has no byte {have}")));
            }
            _ => {
                let status = response.status();
                return Err(Stop::Unreachable(format!("the server answered {status}")));
            }
        };
        if let Some(total) = total.filter(|&total| total != self.size) {
            let problem = format!("the server offers {total} bytes, the archive has {}", self.size);
            return Err(self.wrong(problem));
        }
        let mut file = open_at(part, start).map_err(|error| unwritable(part, &error))?;
        self.copy(&mut response.into_body().into_reader(), &mut file, start, progress, part)
    }

    /// The body of an answer, from byte `have` of the archive on, to the end of `file`.
    fn copy(
        &self,
        body: &mut impl Read,
        file: &mut File,
        mut have: u64,
        progress: &mut Progress,
        part: &Path,
    ) -> Result<(), Stop> {
        let mut buffer = vec![0; 1 << 16];
        while have < self.size {
            let n = match body.read(&mut buffer) {
                Ok(0) => {
                    let size = self.size;
                    let problem = format!("the connection ended at byte {have} of {size}");
                    return Err(Stop::BrokenOff(problem));
                }
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Stop::BrokenOff(format!(
                        "{error}, at byte {have} of {}",
                        self.size
                    )));
                }
            };
            // What is beyond the size, where the server did not say how much comes, is not read.
            let n = n.min(usize::try_from(self.size - have).unwrap_or(n));
            file.write_all(&buffer[..n]).map_err(|error| unwritable(part, &error))?;
            have += n as u64;
            progress.set(have);
        }
        Ok(())
    }

    /// An error, and no `part` any more, where `part` is not the archive.
    fn check(&self, part: &Path) -> Result<(), Error> {
        let mut file = File::open(part).map_err(Error::io(part))?;
        let mut hasher = Sha256::new();
        std::io::copy(&mut file, &mut hasher).map_err(Error::io(part))?;
        let found = format!("{:x}", hasher.finalize());
        if found == self.sha256 {
            return Ok(());
        }
        fs::remove_file(part).map_err(Error::io(part))?;
        let problem =
            format!("sha256 is {found}, not {}; what was received is deleted", self.sha256);
        Err(self.error(problem, WRONG_BYTES))
    }

    fn agent(&self) -> ureq::Agent {
        let Network { connect, stall, proxy, .. } = self.network;
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(connect))
            .timeout_per_read(Some(stall));
        if !proxy {
            config = config.proxy(None);
        }
        config.build().new_agent()
    }

    fn wrong(&self, problem: String) -> Stop {
        Stop::Final(self.error(problem, WRONG_BYTES))
    }

    fn error(&self, problem: String, remedy: &str) -> Error {
        Error::Download { url: self.url.to_owned(), problem, remedy: remedy.to_owned() }
    }
}

const BY_HAND: &str = "check the network, or get and unpack the archive elsewhere and set \
                       CIFAR10_DIR to the directory of its .bin files";
const AGAIN: &str = "run it again: it goes on where it was broken off";
const WRONG_BYTES: &str = "run it again; if it says so again, a proxy or a login page may stand \
                           between: get and unpack the archive elsewhere and set CIFAR10_DIR to \
                           the directory of its .bin files";

/// Why a request did not bring the rest of the archive.
enum Stop {
    /// No answer, or not the archive.
    Unreachable(String),
    /// Some of it may have come.
    BrokenOff(String),
    /// Another try would end in the same way.
    Final(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Final(error)
    }
}

fn content_length<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

/// First byte and total of `Content-Range: bytes 5-99/100`.
fn content_range<B>(response: &Response<B>) -> Option<(u64, u64)> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()?))
}

/// Bytes in `path`, 0 where there is no such file.
fn length(path: &Path) -> Result<u64, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(unwritable(path, &error)),
    }
}

/// `path` for writing after its first `start` bytes: 0, or all that it has.
fn open_at(path: &Path, start: u64) -> std::io::Result<File> {
    match start {
        0 => File::create(path),
        _ => File::options().append(true).open(path),
    }
}

/// Held by the process that downloads to `cache`. The system takes it back when the process ends,
/// however it ends.
fn lock(cache: &Path) -> Result<File, Error> {
    let path = cache.join("download.lock");
    let file = File::create(&path).map_err(|error| unwritable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            eprintln!("waiting for another process that downloads to {}", cache.display());
            file.lock().map_err(Error::io(&path))?;
            Ok(file)
        }
        Err(fs::TryLockError::Error(error)) => Err(unwritable(&path, &error)),
    }
}

/// The error for a place that cannot be written to.
pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    let remedy = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room for 400 MB there, or set GOOGLENET_CACHE_DIR to a directory with more room"
        }
        _ => "set GOOGLENET_CACHE_DIR to a directory that can be written to",
    };
    Error::Data { path: path.to_owned(), problem: error.to_string(), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests;
