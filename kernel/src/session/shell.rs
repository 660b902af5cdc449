//! Commands for the shell in a cell: `!ls`.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::Shared;
use crate::engine::{EngineEvent, Output, Phase};

/// Runs a command by the shell; what it writes is shown as it comes. Says how it failed, if it did.
pub(super) fn run(
    command: &str,
    environment: &[(String, String)],
    shared: &Shared,
    output: &Output,
) -> Result<Option<String>> {
    let mut shell = Command::new("sh");
    // SAFETY: between fork and exec it makes one call to the system, and nothing else.
    unsafe { shell.pre_exec(listen_to_interrupts) };
    let mut child = shell
        .args(["-c", command])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("sh does not start")?;
    shared.current.set_shell(Some(child.id() as i32));
    shared.state.set(Phase::Running);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| pass(err, &|bytes| output(EngineEvent::Stderr(bytes))));
        pass(out, &|bytes| output(EngineEvent::Stdout(bytes)));
    });
    let status = child.wait();
    shared.state.set(Phase::Compiling);
    shared.current.set_shell(None);
    let status = status?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("the command ended with exit code {code}")),
        (_, signal) => Some(format!("the command was ended by signal {}", signal.unwrap_or(0))),
    })
}

/// The kernel ignores Ctrl-C, and programs inherit that.
fn listen_to_interrupts() -> std::io::Result<()> {
    // SAFETY: a call to the system; no handler is set.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    Ok(())
}

fn pass(pipe: Option<impl Read>, show: &dyn Fn(Vec<u8>) -> bool) {
    let Some(mut pipe) = pipe else { return };
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read) = pipe.read(&mut bytes) {
        if read == 0 || !show(bytes[..read].to_vec()) {
            return;
        }
    }
}
