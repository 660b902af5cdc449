//! What the process that runs the cells tells the kernel, in the order in which it happened.
//!
//! Both ends are this program: a frame is its kind (one byte), its length (four bytes, little
//! endian) and its bytes.

use std::io::{self, Read};

/// One thing that happened in the process that runs the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The process is there; its id.
    Hello(u32),
    /// A cell begins to run.
    Begin,
    /// The cell has returned, whatever came of it; all that it wrote has been sent before.
    End,
    /// Bytes on standard output.
    Stdout(Vec<u8>),
    /// Bytes on standard error.
    Stderr(Vec<u8>),
    /// A Jupyter message: a JSON object with `type` and `content`.
    Message(Vec<u8>),
    /// Content between evcxr's markers: MIME type, a newline, the content.
    Content(Vec<u8>),
    /// A panic on the cell's thread, caught or not: file, line, column and message, between zeros.
    Panic(Vec<u8>),
    /// A panic has ended the cell.
    Panicked,
    /// An error that `?` returned has ended the cell; its text is what was last written to standard
    /// error.
    Failed,
}

impl Frame {
    /// The frame as it travels.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let pid;
        let (kind, payload): (u8, &[u8]) = match self {
            Frame::Hello(id) => {
                pid = id.to_le_bytes();
                (b'h', &pid)
            }
            Frame::Begin => (b'b', &[]),
            Frame::End => (b'x', &[]),
            Frame::Stdout(bytes) => (b'o', bytes),
            Frame::Stderr(bytes) => (b'e', bytes),
            Frame::Message(bytes) => (b'm', bytes),
            Frame::Content(bytes) => (b'c', bytes),
            Frame::Panic(bytes) => (b'p', bytes),
            Frame::Panicked => (b'P', &[]),
            Frame::Failed => (b'f', &[]),
        };
        let mut encoded = Vec::with_capacity(5 + payload.len());
        encoded.push(kind);
        encoded.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        encoded.extend_from_slice(payload);
        encoded
    }

    /// The next frame; `None` where the other end has closed between two frames.
    ///
    /// # Errors
    /// What is not a frame, and an end in the middle of one.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        // Grown as it arrives: a length that is none must not cost gigabytes.
        let mut payload = Vec::with_capacity(length.min(1 << 16) as usize);
        if from.take(u64::from(length)).read_to_end(&mut payload)? < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let frame = match kind[0] {
            b'h' => Frame::Hello(u32::from_le_bytes(payload.try_into().map_err(|_| malformed())?)),
            b'o' => Frame::Stdout(payload),
            b'e' => Frame::Stderr(payload),
            b'm' => Frame::Message(payload),
            b'c' => Frame::Content(payload),
            b'p' => Frame::Panic(payload),
            _ if !payload.is_empty() => return Err(malformed()),
            b'b' => Frame::Begin,
            b'x' => Frame::End,
            b'P' => Frame::Panicked,
            b'f' => Frame::Failed,
            _ => return Err(malformed()),
        };
        Ok(Some(frame))
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a frame")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back_as_they_were() {
        let frames = [
            Frame::Hello(70_000),
            Frame::Begin,
            Frame::Stdout(vec![0, 255, b'\n']),
            Frame::Stderr(vec![]),
            Frame::Message(b"{}".to_vec()),
            Frame::Content(b"text/plain\nx".to_vec()),
            Frame::Panic(b"a\0b".to_vec()),
            Frame::Panicked,
            Frame::Failed,
            Frame::End,
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        let mut rest = bytes.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut rest).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).unwrap(), None);
        assert!(Frame::read(&mut &bytes[..6]).is_err());
        assert!(Frame::read(&mut &b"?\0\0\0\0"[..]).is_err());
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            any::<u32>().prop_map(Frame::Hello),
            Just(Frame::Begin),
            Just(Frame::End),
            bytes().prop_map(Frame::Stdout),
            bytes().prop_map(Frame::Stderr),
            bytes().prop_map(Frame::Message),
            bytes().prop_map(Frame::Content),
            bytes().prop_map(Frame::Panic),
            Just(Frame::Panicked),
            Just(Frame::Failed),
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
        fn any_bytes_are_frames_or_an_error(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(b'o')], 0..60)
        ) {
            let mut rest = bytes.as_slice();
            while let Ok(Some(frame)) = Frame::read(&mut rest) {
                let read = bytes.len() - rest.len();
                prop_assert!(bytes[..read].ends_with(&frame.encode()));
            }
        }
    }
}
