//! The process that runs the cells, as the kernel hears it.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicI32, Ordering};

use super::Shared;
use crate::engine::{EngineEvent, Output, Phase};
use crate::runtime::frame::Frame;

/// The process that runs the cells, by its number; 0 while there is none.
#[derive(Debug, Default)]
pub(super) struct Cells(AtomicI32);

impl Cells {
    pub(super) fn process(&self) -> i32 {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, process: i32) {
        self.0.store(process, Ordering::SeqCst);
    }

    pub(super) fn signal(&self, signal: i32) {
        let process = self.process();
        if process > 0 {
            // SAFETY: a call to the system that touches no memory.
            unsafe { libc::kill(process, signal) };
        }
    }
}

/// Reads what the processes that run the cells say, one process after the other.
pub(super) fn listen(listener: &UnixListener, shared: &Shared, output: &Output) {
    for stream in listener.incoming().flatten() {
        if let Err(error) = read_frames(stream, shared, output) {
            log::warn!("the process that runs the cells: {error}");
        }
        shared.cells.set(0);
        if !output(EngineEvent::Gone) {
            return;
        }
    }
}

fn read_frames(stream: UnixStream, shared: &Shared, output: &Output) -> std::io::Result<()> {
    let mut acknowledge = stream.try_clone()?;
    let mut frames = std::io::BufReader::with_capacity(1 << 17, stream);
    while let Some(frame) = Frame::read(&mut frames)? {
        match frame {
            Frame::Hello(process) => shared.cells.set(process as i32),
            Frame::Begin => shared.state.set(Phase::Running),
            Frame::End => shared.state.set(Phase::Compiling),
            _ => {}
        }
        let end = frame == Frame::End;
        let shown = shared.ready.load(Ordering::SeqCst) || matches!(frame, Frame::Hello(_));
        if shown && !output(EngineEvent::Frame(frame)) {
            return Ok(());
        }
        if end {
            acknowledge.write_all(&[1])?;
        }
    }
    Ok(())
}
