//! Programs that are called, and can be ended while they run.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::error::Error;

/// Ends what a session's [`Crates`](crate::Crates) do, from another thread.
#[derive(Debug, Clone, Default)]
pub struct Interrupter {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    /// The leader of a group: the program that runs, with all that it has started.
    running: Option<Pid>,
}

/// What a program has left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Interrupter {
    /// Kills the compilers that run, if there are any: `add` ends with [`Error::Interrupted`].
    pub fn interrupt(&self) {
        let mut state = self.lock();
        state.asked = true;
        if let Some(leader) = state.running {
            // It may have ended on its own just now, which is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Forgets what was asked before.
    pub(crate) fn reset(&self) {
        self.lock().asked = false;
    }

    /// An error, where the caller has asked for an end.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let asked = self.lock().asked;
        if asked { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Runs a program to its end; `hear` gets each line of its standard error.
    ///
    /// # Errors
    /// A program that does not start, and one that was ended by the caller.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Output, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        // A group of its own, so that all that it starts is ended with it.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, leader) = {
            let mut state = self.lock();
            if state.asked {
                return Err(Error::Interrupted);
            }
            let child = command.spawn().with_context(|| format!("{name} does not start"))?;
            state.running = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            (child, state.running)
        };
        let stdout = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.map(|mut stdout| stdout.read_to_end(&mut bytes)).transpose().map(|_| bytes)
        });
        let mut stderr = String::new();
        if let Some(from) = child.stderr.take() {
            for line in BufReader::new(from).split(b'\n') {
                let line = line.with_context(|| format!("{name} cannot be heard"))?;
                let line = String::from_utf8_lossy(&line);
                hear(&line);
                stderr.push_str(&line);
                stderr.push('\n');
            }
        }
        if let Some(leader) = leader {
            // Its number is free for others only after the `wait` below.
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(leader), ended).with_context(|| format!("{name} is lost"))?;
        }
        self.lock().running = None;
        let status = child.wait().with_context(|| format!("{name} is lost"))?;
        let stdout = reader.join().map_err(|_| anyhow!("{name} cannot be read"))?;
        let stdout = stdout.with_context(|| format!("{name} cannot be read"))?;
        self.check()?;
        // By somebody else, as one who ends all compilers.
        let killed = [Signal::KILL, Signal::TERM, Signal::INT].map(|signal| Some(signal.as_raw()));
        if killed.contains(&status.signal()) {
            return Err(Error::Interrupted);
        }
        Ok(Output { status, stdout, stderr })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
