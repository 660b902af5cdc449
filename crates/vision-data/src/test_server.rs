//! An HTTP server on this machine for the tests, that gives one planned answer a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the server does with one connection.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// All that was asked for; a range where one was asked for.
    Whole,
    /// As [`Answer::Whole`], but the connection ends after so many bytes of the body.
    Cut(usize),
    /// As [`Answer::Whole`], but after so many bytes of the body nothing comes any more.
    Stall(usize),
    /// The whole file, whatever range was asked for.
    WholeWithoutRange,
    /// As [`Answer::WholeWithoutRange`], but the connection ends after so many bytes.
    CutWithoutRange(usize),
    /// A range that begins at this byte, whatever was asked for.
    RangeFrom(usize),
    /// The whole file with one bit the other way round.
    Flipped,
    /// Another file.
    Other(Vec<u8>),
    /// A status line and no body.
    Status(&'static str),
    /// The connection ends without an answer.
    Close,
    /// No answer, and the connection stays.
    Silence,
}

/// The server. It listens until it has given all its answers, or is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    ranges: Arc<Mutex<Vec<Option<String>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// No connection is held longer than this, so that a failing test ends.
const LIMIT: Duration = Duration::from_secs(5);

impl Server {
    pub(crate) fn start(file: Vec<u8>, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (ranges, stop) = (ranges.clone(), stop.clone());
            move || {
                for answer in answers {
                    let (stream, _) = listener.accept().unwrap();
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    // The client may leave at any time: that is what some tests are about.
                    let _ = serve(stream, &file, answer, &ranges);
                }
            }
        });
        Server { address, ranges, stop, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The Range header of each request so far.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.ranges.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread where it waits for a connection that no test made.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    file: &[u8],
    answer: Answer,
    ranges: &Mutex<Vec<Option<String>>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let range = read_request(&stream)?;
    ranges.lock().unwrap().push(range.clone());
    let from = range.map(|range| {
        let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        from.unwrap().parse::<usize>().unwrap()
    });
    match answer {
        Answer::Whole => send(&mut stream, file, from, usize::MAX),
        Answer::Cut(after) => send(&mut stream, file, from, after),
        Answer::Stall(after) => {
            send(&mut stream, file, from, after)?;
            wait_for_the_end(stream)
        }
        Answer::WholeWithoutRange => send(&mut stream, file, None, usize::MAX),
        Answer::CutWithoutRange(after) => send(&mut stream, file, None, after),
        Answer::RangeFrom(from) => send(&mut stream, file, Some(from), usize::MAX),
        Answer::Flipped => {
            let mut file = file.to_vec();
            file[1000] ^= 1;
            send(&mut stream, &file, from, usize::MAX)
        }
        Answer::Other(other) => send(&mut stream, &other, None, usize::MAX),
        Answer::Status(status) => {
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Answer::Close => Ok(()),
        Answer::Silence => wait_for_the_end(stream),
    }
}

/// Reads the head of a request and gives its Range header.
fn read_request(stream: &TcpStream) -> std::io::Result<Option<String>> {
    let mut range = None;
    for line in BufReader::new(stream.take(10_000)).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.to_owned());
        }
    }
    Ok(range)
}

/// Sends `file`, or its bytes from `from` on, but no more than `limit` of them.
fn send(
    stream: &mut TcpStream,
    file: &[u8],
    from: Option<usize>,
    limit: usize,
) -> std::io::Result<()> {
    let (body, total) = (&file[from.unwrap_or(0)..], file.len());
    match from {
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
        Some(from) => write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n",
            total - 1
        )?,
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body[..limit.min(body.len())])
}

/// Until the client leaves.
fn wait_for_the_end(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(|_| ())
}
