//! What travels between the kernel and the process that runs the cells, each way in the order in
//! which it happened.
//!
//! Both ends are this program: a message is its kind (one byte), its length (four bytes, little
//! endian) and its bytes.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ended well: its function returned 0.
    Done,
    /// An error that `?` returned ended it: 1.
    Failed,
    /// A panic ended it: 2.
    Panicked,
    /// It was interrupted: 3.
    Interrupted,
    /// It was not run, or ended in no way that is known; why.
    NotRun(String),
}

/// A panic, as it was when the hook saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Panic {
    /// The thread's name.
    pub thread: String,
    /// Whether that thread runs the cells: the panic may end one.
    pub is_on_cells: bool,
    /// The file as the compiler was told it.
    pub file: String,
    /// Line in that file, from 1.
    pub line: u32,
    /// Column in that line, from 1.
    pub column: u32,
    /// What it said.
    pub message: String,
    /// Where it is not in a cell itself: the file, line and column of the call in a cell that led to
    /// it, as far as that is known, with colons between.
    pub called_at: Option<String>,
    /// The calls that led to it, if the reader has asked for them.
    pub backtrace: Option<String>,
}

/// One thing that happened in the process that runs the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The process is ready for its first cell; its id.
    Hello(u32),
    /// A cell begins to run.
    Begin,
    /// The cell has returned; all that it wrote has been sent before.
    End(Outcome),
    /// Bytes on standard output.
    Stdout(Vec<u8>),
    /// Bytes on standard error.
    Stderr(Vec<u8>),
    /// A panic, caught or not.
    Panic(Panic),
    /// A cell waits for a line; the number of the question.
    Input(u32),
    /// Nobody waits for the answer to this question any more.
    InputOver(u32),
    /// A message to the front ends, in parts.
    Comm(Vec<u8>),
    /// From now on there is an output of this number: the place where the running cell's stands.
    NewOutput(u32),
    /// What follows goes to the output of this number; 0 is that of the cell.
    Output(u32),
}

/// What the kernel tells the process that runs the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Run a cell.
    Run {
        /// The cell's library.
        library: PathBuf,
        /// Its function.
        symbol: String,
    },
    /// The answer to a question.
    Line {
        /// The question's number.
        question: u32,
        /// The line, without its newline; None where there is nobody to answer.
        line: Option<String>,
    },
    /// A message of a front end, in parts.
    Comm(Vec<u8>),
}

impl Outcome {
    /// What a cell's function has returned.
    pub(crate) fn of(returned: u8) -> Outcome {
        match returned {
            0 => Outcome::Done,
            1 => Outcome::Failed,
            2 => Outcome::Panicked,
            3 => Outcome::Interrupted,
            other => Outcome::NotRun(format!("the cell's function returned {other}")),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Outcome::Done => vec![0],
            Outcome::Failed => vec![1],
            Outcome::Panicked => vec![2],
            Outcome::Interrupted => vec![3],
            Outcome::NotRun(why) => [&[4], why.as_bytes()].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> io::Result<Outcome> {
        match bytes {
            [4, why @ ..] => Ok(Outcome::NotRun(text(why)?)),
            [known @ 0..=3] => Ok(Outcome::of(*known)),
            _ => Err(malformed()),
        }
    }
}

impl Panic {
    fn encode(&self) -> Vec<u8> {
        let (line, column) = (self.line.to_string(), self.column.to_string());
        let is_on_cells = u8::from(self.is_on_cells).to_string();
        let called_at = self.called_at.clone().unwrap_or_default();
        let fields =
            [&self.thread, &is_on_cells, &self.file, &line, &column, &self.message, &called_at];
        let mut bytes = Vec::new();
        for field in fields.into_iter().chain(&self.backtrace) {
            bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        bytes
    }

    /// Reads what the support library's hook wrote: the texts in the order of the fields, the
    /// numbers in decimal, each behind its length.
    pub(crate) fn decode(mut bytes: &[u8]) -> io::Result<Panic> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            fields.push(text(counted(&mut bytes)?)?);
        }
        let mut fields = fields.into_iter();
        let mut next = || fields.next().ok_or_else(malformed);
        let number = |text: String| text.parse::<u32>().map_err(|_| malformed());
        let panic = Panic {
            thread: next()?,
            is_on_cells: number(next()?)? == 1,
            file: next()?,
            line: number(next()?)?,
            column: number(next()?)?,
            message: next()?,
            called_at: fields.next().filter(|place| !place.is_empty()),
            backtrace: fields.next(),
        };
        if fields.next().is_some() { Err(malformed()) } else { Ok(panic) }
    }
}

impl Frame {
    /// The kind of [`Frame::Stdout`], as it travels.
    pub(crate) const STDOUT: u8 = b'o';
    /// The kind of [`Frame::Stderr`].
    pub(crate) const STDERR: u8 = b'e';

    /// The frame as it travels.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Frame::Hello(id) => message(b'h', &id.to_le_bytes()),
            Frame::Begin => message(b'b', &[]),
            Frame::End(outcome) => message(b'x', &outcome.encode()),
            Frame::Stdout(bytes) => message(Frame::STDOUT, bytes),
            Frame::Stderr(bytes) => message(Frame::STDERR, bytes),
            Frame::Panic(panic) => message(b'p', &panic.encode()),
            Frame::Input(question) => message(b'i', &question.to_le_bytes()),
            Frame::InputOver(question) => message(b'n', &question.to_le_bytes()),
            Frame::Comm(parts) => message(b'c', parts),
            Frame::NewOutput(output) => message(b'w', &output.to_le_bytes()),
            Frame::Output(output) => message(b't', &output.to_le_bytes()),
        }
    }

    /// The next frame; `None` where the other end has closed between two frames.
    ///
    /// # Errors
    /// What is not a frame, and an end in the middle of one.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
        let Some((kind, payload)) = read_message(from)? else { return Ok(None) };
        Ok(Some(match kind {
            b'h' => Frame::Hello(number(&payload)?),
            b'b' if payload.is_empty() => Frame::Begin,
            b'x' => Frame::End(Outcome::decode(&payload)?),
            Frame::STDOUT => Frame::Stdout(payload),
            Frame::STDERR => Frame::Stderr(payload),
            b'p' => Frame::Panic(Panic::decode(&payload)?),
            b'i' => Frame::Input(number(&payload)?),
            b'n' => Frame::InputOver(number(&payload)?),
            b'c' => Frame::Comm(payload),
            b'w' => Frame::NewOutput(number(&payload)?),
            b't' => Frame::Output(number(&payload)?),
            _ => return Err(malformed()),
        }))
    }
}

impl Order {
    /// The order as it travels.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Order::Run { library, symbol } => {
                let library = library.as_os_str().as_bytes();
                let length = (library.len() as u32).to_le_bytes();
                message(b'r', &[&length, library, symbol.as_bytes()].concat())
            }
            Order::Line { question, line: Some(line) } => {
                message(b'l', &[&question.to_le_bytes(), line.as_bytes()].concat())
            }
            Order::Line { question, line: None } => message(b'z', &question.to_le_bytes()),
            Order::Comm(parts) => message(b'c', parts),
        }
    }

    /// The next order; `None` where the kernel has gone.
    ///
    /// # Errors
    /// What is not an order, and an end in the middle of one.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Order>> {
        let Some((kind, payload)) = read_message(from)? else { return Ok(None) };
        let mut rest = payload.as_slice();
        Ok(Some(match kind {
            b'r' => {
                let library = PathBuf::from(OsStr::from_bytes(counted(&mut rest)?));
                Order::Run { library, symbol: text(rest)? }
            }
            b'l' => {
                let (question, line) = rest.split_at_checked(4).ok_or_else(malformed)?;
                Order::Line { question: number(question)?, line: Some(text(line)?) }
            }
            b'z' => Order::Line { question: number(rest)?, line: None },
            b'c' => Order::Comm(payload),
            _ => return Err(malformed()),
        }))
    }
}

/// The first bytes of a message: its kind and its length.
pub(crate) fn header(kind: u8, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_le_bytes();
    [kind, a, b, c, d]
}

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&header(kind, payload.len() as u32), payload].concat()
}

fn read_message(from: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut kind = [0];
    loop {
        match from.read(&mut kind) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    // Grown as it arrives: a length that is none must not cost gigabytes.
    let mut payload = Vec::with_capacity(length.min(1 << 16) as usize);
    if from.take(u64::from(length)).read_to_end(&mut payload)? < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind[0], payload)))
}

/// Takes what stands behind its length.
fn counted<'a>(bytes: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let (length, rest) = bytes.split_at_checked(4).ok_or_else(malformed)?;
    let (field, rest) = rest.split_at_checked(number(length)? as usize).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(field)
}

/// A message and its buffers as parts, each behind its length.
pub(crate) fn join(message: &[u8], buffers: &[&[u8]]) -> Vec<u8> {
    let parts = [message].into_iter().chain(buffers.iter().copied());
    parts.flat_map(|part| [&(part.len() as u32).to_le_bytes(), part].concat()).collect()
}

/// What [`join`] has put together.
///
/// # Errors
/// Bytes that are no parts, or none at all.
pub(crate) fn split(mut parts: &[u8]) -> io::Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let message = counted(&mut parts)?.to_vec();
    let mut buffers = Vec::new();
    while !parts.is_empty() {
        buffers.push(counted(&mut parts)?.to_vec());
    }
    Ok((message, buffers))
}

fn number(bytes: &[u8]) -> io::Result<u32> {
    Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| malformed())?))
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a message between kernel and cells")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![(0..4_u8).prop_map(Outcome::of), any::<String>().prop_map(Outcome::NotRun)]
    }

    fn a_panic() -> impl Strategy<Value = Panic> {
        let texts = any::<(String, String, String, Option<String>)>();
        let called_at = proptest::option::of("[a-z]{1,4}:1:2");
        (texts, called_at, any::<(bool, u32, u32)>()).prop_map(
            |((thread, file, message, backtrace), called_at, (is_on_cells, line, column))| Panic {
                thread,
                is_on_cells,
                file,
                line,
                column,
                message,
                called_at,
                backtrace,
            },
        )
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            any::<u32>().prop_map(Frame::Hello),
            Just(Frame::Begin),
            outcome().prop_map(Frame::End),
            bytes().prop_map(Frame::Stdout),
            bytes().prop_map(Frame::Stderr),
            a_panic().prop_map(Frame::Panic),
            any::<u32>().prop_map(Frame::Input),
            any::<u32>().prop_map(Frame::InputOver),
            bytes().prop_map(Frame::Comm),
            any::<u32>().prop_map(Frame::NewOutput),
            any::<u32>().prop_map(Frame::Output),
        ]
    }

    fn order() -> impl Strategy<Value = Order> {
        let path = proptest::collection::vec(any::<u8>(), 0..60);
        prop_oneof![
            (path, any::<String>()).prop_map(|(path, symbol)| Order::Run {
                library: PathBuf::from(OsStr::from_bytes(&path)),
                symbol
            }),
            any::<(u32, Option<String>)>()
                .prop_map(|(question, line)| Order::Line { question, line }),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(Order::Comm),
        ]
    }

    /// Hands out few bytes at a time, as a socket may.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let few = to.len().min(3);
            self.0.read(&mut to[..few])
        }
    }

    #[test]
    fn what_is_cut_or_unknown_is_an_error() {
        let bytes = Frame::Stdout(b"text".to_vec()).encode();
        for cut in 1..bytes.len() {
            assert!(Frame::read(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Frame::read(&mut &b"?\0\0\0\0"[..]).is_err());
        assert!(Order::read(&mut &b"?\0\0\0\0"[..]).is_err());
        assert_eq!(Frame::read(&mut &b""[..]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_frames_come_back(frames in proptest::collection::vec(frame(), 0..8)) {
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let mut slow = Slow(&bytes);
            for frame in frames {
                prop_assert_eq!(Frame::read(&mut slow).unwrap(), Some(frame));
            }
            prop_assert_eq!(Frame::read(&mut slow).unwrap(), None);
        }

        #[test]
        fn any_orders_come_back(orders in proptest::collection::vec(order(), 0..8)) {
            let bytes: Vec<u8> = orders.iter().flat_map(Order::encode).collect();
            let mut slow = Slow(&bytes);
            for order in orders {
                prop_assert_eq!(Order::read(&mut slow).unwrap(), Some(order));
            }
            prop_assert_eq!(Order::read(&mut slow).unwrap(), None);
        }

        #[test]
        fn a_message_and_its_buffers_come_back(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5)
        ) {
            let buffers: Vec<&[u8]> = parts[1..].iter().map(Vec::as_slice).collect();
            let mut joined = join(&parts[0], &buffers);
            prop_assert_eq!(split(&joined).unwrap(), (parts[0].clone(), parts[1..].to_vec()));
            joined.push(1);
            prop_assert!(split(&joined).is_err());
        }

        #[test]
        fn any_bytes_are_messages_or_an_error(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0), Just(b'o'), Just(b'l')], 0..60
            )
        ) {
            let mut rest = bytes.as_slice();
            while let Ok(Some(frame)) = Frame::read(&mut rest) {
                let read = bytes.len() - rest.len();
                // Numbers of a panic may have been written in another way, with a sign for example.
                let again = frame.encode();
                let is_panic = matches!(frame, Frame::Panic(_));
                prop_assert!(is_panic || bytes[..read].ends_with(&again));
            }
            let mut rest = bytes.as_slice();
            while let Ok(Some(order)) = Order::read(&mut rest) {
                let read = bytes.len() - rest.len();
                prop_assert!(bytes[..read].ends_with(&order.encode()));
            }
        }
    }
}
