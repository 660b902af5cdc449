//! The kernel's end: starts the process that runs the cells, tells it what to run, and hears what
//! happens in it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::frame::{self, Frame, Order};
use crate::markers::{Part, Splitter};
use crate::process::{PIPES, SOCKET, SUPPORT};
use crate::{Outcome, Panic};

/// How long a process has to begin; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a process that has closed its socket has to end.
const END: Duration = Duration::from_secs(2);
/// No event has more text.
const TEXT: usize = 1 << 17;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// The process that runs the cells. A copy is the same process.
#[derive(Debug, Clone)]
pub struct Process(Arc<Inner>);

/// What happens in the process, in order, as it happens. Where nobody asks for the next event, the
/// process waits: nothing is gathered here. The last event is [`Event::Ended`].
#[derive(Debug)]
pub struct Events {
    process: Arc<Inner>,
    frames: BufReader<UnixStream>,
    pipes: [File; 2],
    /// One for each output: what comes between two pieces of a line may be another's.
    splitters: BTreeMap<u32, Splitter>,
    /// The output to which goes what comes now.
    output: u32,
    /// What has happened and was not asked for yet.
    ready: VecDeque<Event>,
    over: bool,
}

/// Something that happens in the process that runs the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A cell begins to run.
    Begin,
    /// A cell has returned; all that it wrote came before. The process waits for the next one.
    End(Outcome),
    /// Bytes on standard output, as they came: they may end within a character. Some 100 KB at most.
    Stdout(Vec<u8>),
    /// Bytes on standard error.
    Stderr(Vec<u8>),
    /// A Jupyter message, as JSON: an object with a text `type` and an object `content`.
    Message(Vec<u8>),
    /// Content that a library shows.
    Content {
        /// Its MIME type.
        kind: String,
        /// The content.
        body: Vec<u8>,
    },
    /// A panic. Whether one on the thread that runs the cells ends the cell is said by [`Event::End`].
    Panic(Panic),
    /// A cell waits for a line, until [`Process::answer`].
    Input {
        /// The number of the question.
        question: u32,
        /// What the reader is asked.
        prompt: String,
        /// Whether the answer is hidden.
        is_password: bool,
    },
    /// Nobody waits for the answer to this question any more: the cell was interrupted, or has ended.
    InputOver(u32),
    /// A message to the front ends: `comm_open`, `comm_msg`, `comm_close` or `comm_target`.
    Comm {
        /// An object with `type` and `content`, as JSON.
        json: Vec<u8>,
        /// The buffers that go with it.
        buffers: Vec<Vec<u8>>,
    },
    /// From now on, what goes to the output of this number belongs where what comes now does.
    NewOutput(u32),
    /// What comes next goes to the output of this number; 0 is that of the running cell.
    Output(u32),
    /// The process has ended.
    Ended(Ended),
}

/// How the process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The code that it has exited with.
    pub code: Option<i32>,
    /// The signal that has ended it.
    pub signal: Option<i32>,
    /// That in words, as the end of a sentence: "exited with code 3".
    pub words: String,
}

#[derive(Debug)]
struct Inner {
    id: i32,
    /// The child, and how it has ended: its number may be another's from then on.
    child: Mutex<(Child, Option<ExitStatus>)>,
    orders: Mutex<UnixStream>,
}

/// Starts the process: `command` is the kernel's own executable, with whatever environment and folder
/// cells are to have. The socket is made at `socket`, and is removed once both ends have met; `support`
/// is the support library. Returns when the process is ready for its first cell.
///
/// # Errors
/// A socket that cannot be made, and a process that does not begin; its words are in the error.
pub fn start(mut command: Command, socket: &Path, support: &Path) -> Result<(Process, Events)> {
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("the socket {} cannot be made", socket.display()))?;
    let (out, out_end) = io::pipe()?;
    let (err, err_end) = io::pipe()?;
    let numbers = [out.as_raw_fd(), err.as_raw_fd()];
    command
        .env(SOCKET, socket)
        .env(SUPPORT, support)
        .env(PIPES, format!("{},{}", numbers[0], numbers[1]))
        .stdin(Stdio::null())
        .stdout(out_end)
        .stderr(err_end)
        // A signal to the group reaches the programs that cells have started, as in a terminal, and
        // none to the kernel's reaches the cells.
        .process_group(0);
    // SAFETY: between fork and exec it makes calls to the system, and nothing else.
    unsafe { command.pre_exec(move || numbers.into_iter().try_for_each(keep_open)) };
    let child = command.spawn().with_context(|| {
        format!("{} cannot be started", Path::new(command.get_program()).display())
    });
    // With it go this process's copies of the pipes' other ends.
    drop(command);
    let mut pipes = [out, err].map(|pipe| File::from(std::os::fd::OwnedFd::from(pipe)));
    let met = child.and_then(|mut child| match meet(&listener, &mut child) {
        Ok((stream, frames)) => Ok((child, stream, frames)),
        Err(error) => {
            // It may have ended already.
            let _ = child.kill();
            child.wait()?;
            let words =
                pipes.each_mut().map(|pipe| String::from_utf8_lossy(&rest(pipe)).into_owned());
            let words = words.concat();
            match words.trim() {
                "" => Err(error),
                words => Err(error.context(words.to_owned())),
            }
        }
    });
    std::fs::remove_file(socket)?;
    let (child, stream, frames) = met?;
    let process = Arc::new(Inner {
        id: child.id() as i32,
        child: Mutex::new((child, None)),
        orders: Mutex::new(stream),
    });
    let events = Events {
        process: Arc::clone(&process),
        frames,
        pipes,
        splitters: BTreeMap::new(),
        output: 0,
        ready: VecDeque::new(),
        over: false,
    };
    Ok((Process(process), events))
}

impl Process {
    /// The number that the system knows it by, and its group.
    pub fn id(&self) -> i32 {
        self.0.id
    }

    /// Runs a cell: `symbol` is an `extern "C" fn() -> u8` in `library`. To be called again after
    /// [`Event::End`]; a cell that is sent before waits for the one before it.
    ///
    /// # Errors
    /// A process that has ended, of which [`Events`] tells more.
    pub fn run(&self, library: &Path, symbol: &str) -> io::Result<()> {
        self.order(&Order::Run { library: library.to_owned(), symbol: symbol.to_owned() })
    }

    /// Answers [`Event::Input`] with a line, without its newline; None is the end of the input, where
    /// nobody can answer. The answer to a question that is over is dropped.
    ///
    /// # Errors
    /// As for [`Process::run`].
    pub fn answer(&self, question: u32, line: Option<&str>) -> io::Result<()> {
        self.order(&Order::Line { question, line: line.map(str::to_owned) })
    }

    /// Hands a message of a front end to the crates that listen: an object with `type`, `header` and `content` as
    /// JSON, and its buffers.
    ///
    /// # Errors
    /// As for [`Process::run`].
    pub fn comm(&self, json: &[u8], buffers: &[&[u8]]) -> io::Result<()> {
        self.order(&Order::Comm(frame::join(json, buffers)))
    }

    /// Asks code of earlier cells to stop that runs between cells, such as what a widget calls. Programs that
    /// cells have left running go on.
    pub fn interrupt_callbacks(&self) {
        let child = self.0.child();
        if child.1.is_none() {
            // SAFETY: as in `Process::signal`.
            unsafe { libc::kill(self.0.id, libc::SIGINT) };
        }
    }

    /// Asks the running cell to stop, and the programs that it has started, as Ctrl-C does in a
    /// terminal. Between cells it has no effect on the process itself.
    pub fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    /// Ends the process and the programs that it has started.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Sends a signal to the process and the programs that it has started.
    pub fn signal(&self, signal: i32) {
        let child = self.0.child();
        if child.1.is_none() {
            // SAFETY: a call to the system that touches no memory. The number is the child's as long as
            // it was not waited for, which the lock holds.
            unsafe { libc::kill(-self.0.id, signal) };
        }
    }

    fn order(&self, order: &Order) -> io::Result<()> {
        let mut orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.write_all(&order.encode())
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() && !self.over {
            match Frame::read(&mut self.frames) {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => self.end(None),
                // In the middle of a frame: killed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.end(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.end(None),
                Err(error) => self.end(Some(error)),
            }
        }
        self.ready.pop_front()
    }
}

impl Events {
    fn take(&mut self, frame: Frame) {
        let event = match frame {
            Frame::Hello(_) => return,
            Frame::Stdout(bytes) => return self.stdout(&bytes),
            Frame::Begin => Event::Begin,
            Frame::End(outcome) => {
                self.finish();
                Event::End(outcome)
            }
            Frame::Stderr(bytes) => Event::Stderr(bytes),
            Frame::Panic(panic) => Event::Panic(panic),
            Frame::Comm(parts) => match frame::split(&parts) {
                Ok((json, buffers)) => Event::Comm { json, buffers },
                Err(error) => {
                    let text = format!("a message to the front ends is in no parts: {error}\n");
                    Event::Stderr(text.into_bytes())
                }
            },
            Frame::NewOutput(output) => Event::NewOutput(output),
            Frame::Output(output) => {
                self.output = output;
                Event::Output(output)
            }
            Frame::Input(question) => {
                let prompt = self.splitter().prompt();
                Event::Input { question, prompt: prompt.text, is_password: prompt.is_password }
            }
            Frame::InputOver(question) => Event::InputOver(question),
        };
        self.ready.push_back(event);
    }

    fn splitter(&mut self) -> &mut Splitter {
        self.splitters.entry(self.output).or_default()
    }

    fn stdout(&mut self, bytes: &[u8]) {
        let ready = &mut self.ready;
        let splitter = self.splitters.entry(self.output).or_default();
        splitter.push(bytes, |part| add(ready, part));
    }

    /// What was held back of the present output, since it might have become a message.
    fn finish(&mut self) {
        let ready = &mut self.ready;
        if let Some(mut splitter) = self.splitters.remove(&self.output) {
            splitter.finish(|part| add(ready, part));
        }
    }

    /// The process has closed its socket, or says what cannot be understood.
    fn end(&mut self, error: Option<io::Error>) {
        self.over = true;
        let status = self.process.reap(error.is_some());
        // What the C library and programs have written that the process could not send any more.
        let [out, err] = self.pipes.each_mut().map(rest);
        self.stdout(&out);
        self.finish();
        for (output, mut splitter) in std::mem::take(&mut self.splitters) {
            self.ready.push_back(Event::Output(output));
            let ready = &mut self.ready;
            splitter.finish(|part| add(ready, part));
        }
        self.ready.push_back(Event::Output(0));
        if !err.is_empty() {
            self.ready.push_back(Event::Stderr(err));
        }
        let ended = match (status, error) {
            (Ok(status), None) => Ended::of(status),
            (Ok(_), Some(error)) | (Err(error), _) => {
                Ended { code: None, signal: None, words: format!("cannot be understood: {error}") }
            }
        };
        self.ready.push_back(Event::Ended(ended));
    }
}

impl Inner {
    fn child(&self) -> MutexGuard<'_, (Child, Option<ExitStatus>)> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, and brings it about where it does not come.
    fn reap(&self, now: bool) -> io::Result<ExitStatus> {
        let end = Instant::now() + if now { Duration::ZERO } else { END };
        loop {
            let mut child = self.child();
            if let Some(status) = child.1 {
                return Ok(status);
            }
            if let Some(status) = child.0.try_wait()? {
                child.1 = Some(status);
                return Ok(status);
            }
            if Instant::now() >= end {
                child.0.kill()?;
            }
            drop(child);
            std::thread::sleep(LOOK);
        }
    }
}

/// A session that is over needs no process.
impl Drop for Inner {
    fn drop(&mut self) {
        let id = self.id;
        let (child, status) = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            // SAFETY: as in `Process::signal`.
            unsafe { libc::kill(-id, libc::SIGKILL) };
            // It was there until now.
            let _ = child.wait();
        }
    }
}

impl Ended {
    fn of(status: ExitStatus) -> Ended {
        let (code, signal) = (status.code(), status.signal());
        let words = match (code, signal) {
            (Some(code), _) => format!("exited with code {code}"),
            (_, Some(signal)) => match signal_in_words(signal) {
                Some((name, meaning)) => format!("was ended by {name}: {meaning}"),
                None => format!("was ended by signal {signal}"),
            },
            _ => format!("ended: {status}"),
        };
        Ended { code, signal, words }
    }
}

fn signal_in_words(signal: i32) -> Option<(&'static str, &'static str)> {
    Some(match signal {
        libc::SIGABRT => ("SIGABRT", "it has aborted"),
        libc::SIGSEGV => ("SIGSEGV", "memory was used that it does not have"),
        libc::SIGBUS => ("SIGBUS", "memory was used that is not there"),
        libc::SIGILL => ("SIGILL", "an instruction that does not exist"),
        libc::SIGFPE => ("SIGFPE", "arithmetic that has no result"),
        libc::SIGTRAP => ("SIGTRAP", "a trap in the code"),
        libc::SIGKILL => ("SIGKILL", "it was killed, by the stop button or for want of memory"),
        libc::SIGTERM => ("SIGTERM", "it was asked to end"),
        libc::SIGINT => ("SIGINT", "it was interrupted"),
        libc::SIGPIPE => ("SIGPIPE", "nobody reads what it writes"),
        libc::SIGXCPU => ("SIGXCPU", "its processor time is used up"),
        _ => return None,
    })
}

fn add(ready: &mut VecDeque<Event>, part: Part) {
    match part {
        Part::Text(text) if text.len() <= TEXT => ready.push_back(Event::Stdout(text)),
        // It was held back for a marker that it was none of.
        Part::Text(text) => {
            ready.extend(text.chunks(TEXT).map(|piece| Event::Stdout(piece.to_vec())));
        }
        Part::Message(json) => ready.push_back(Event::Message(json)),
        Part::Content(kind, body) => ready.push_back(Event::Content { kind, body }),
    }
}

/// Waits until the process has connected and is ready.
fn meet(listener: &UnixListener, child: &mut Child) -> Result<(UnixStream, BufReader<UnixStream>)> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = child.try_wait()? {
            bail!("the process that runs the cells {}", Ended::of(status).words);
        }
        if start.elapsed() > PATIENCE {
            bail!("the process that runs the cells has not begun after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut frames = BufReader::with_capacity(1 << 17, stream.try_clone()?);
    match Frame::read(&mut frames).context("the process that runs the cells does not begin")? {
        Some(Frame::Hello(_)) => {}
        Some(_) => bail!("the process that runs the cells does not say that it is ready"),
        None => bail!("the process that runs the cells has ended before it was ready"),
    }
    stream.set_read_timeout(None)?;
    Ok((stream, frames))
}

/// All that waits in a pipe whose other end may still be open.
fn rest(pipe: &mut File) -> Vec<u8> {
    // SAFETY: a call to the system that touches no memory.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let mut bytes = Vec::new();
    // No more than a pipe holds: a program that has outlived the process may go on writing.
    let most = pipe.take(1 << 20);
    // What is read before an error, which says that there is no more now, counts.
    let _ = { most }.read_to_end(&mut bytes);
    bytes
}

/// Lets the program that is about to begin have a descriptor.
fn keep_open(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: a call to the system that touches no memory.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
