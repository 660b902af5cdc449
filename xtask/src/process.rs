//! Running other programs, with their own progress on the terminal.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, bail};

/// The cargo that runs this program.
pub(crate) fn cargo(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(root);
    for name in shared::environment::told_by_cargo() {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// A cargo at work beside another program, which has the terminal meanwhile. Dropped before its end,
/// it is stopped.
#[derive(Debug)]
pub(crate) struct Beside {
    words: String,
    child: Child,
    /// What it wrote to standard error, as long as that is not to be shown.
    kept: Arc<Mutex<Option<Vec<u8>>>>,
    reader: Option<JoinHandle<()>>,
}

impl Beside {
    /// Starts it.
    pub(crate) fn start(cargo: &mut Command) -> Result<Self> {
        let words = describe(cargo);
        if io::stderr().is_terminal() {
            cargo.env("CARGO_TERM_COLOR", "always");
        }
        let child = cargo.stderr(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {words}"))?;
        let kept = Arc::new(Mutex::new(Some(Vec::new())));
        let reader = child.stderr.take().map(|pipe| {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let line = [&line[..], b"\n"].concat();
                    match &mut *kept.lock().unwrap_or_else(PoisonError::into_inner) {
                        Some(kept) => kept.extend(line),
                        None => show(&line),
                    }
                }
            })
        });
        Ok(Self { words, child, kept, reader })
    }

    /// Shows what it has written and goes on to write, to its end; an exit status other than 0 is an
    /// error.
    pub(crate) fn finish(mut self) -> Result<()> {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            show(&kept.take().unwrap_or_default());
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let status = self.child.wait().with_context(|| format!("{} was lost", self.words))?;
        if !status.success() {
            bail!("{} failed ({status})", self.words);
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal that has gone does not stop the work.
fn show(text: &[u8]) {
    let _ = io::stderr().write_all(text);
}

/// What a command writes to standard output, or None where it does not start or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first file of this name on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c exit 3") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_program_beside_another_keeps_its_words_until_the_end() {
        let mut speaker = Command::new("sh");
        let speaker = Beside::start(speaker.args(["-c", "echo one >&2; exec sleep 0.3"])).unwrap();
        let kept = Arc::clone(&speaker.kept);
        let said = || kept.lock().unwrap().clone();
        while said() != Some(b"one\n".to_vec()) {
            thread::yield_now();
        }
        speaker.finish().unwrap();
        assert_eq!(said(), None);
        let error = Beside::start(Command::new("sh").args(["-c", "exit 3"])).unwrap().finish();
        assert!(error.unwrap_err().to_string().contains("exit status: 3"));
    }

    #[test]
    fn a_program_beside_another_that_fails_is_stopped() {
        let speaker = Beside::start(Command::new("sleep").arg("600")).unwrap();
        let process = PathBuf::from(format!("/proc/{}", speaker.child.id()));
        assert!(!cfg!(target_os = "linux") || process.exists());
        drop(speaker);
        assert!(!process.exists());
    }

    #[test]
    fn output_is_none_when_the_program_fails_or_is_missing() {
        assert_eq!(output(Command::new("sh").args(["-c", "echo yes"])).as_deref(), Some("yes\n"));
        assert_eq!(output(Command::new("sh").args(["-c", "echo no; exit 1"])), None);
        assert_eq!(output(&mut Command::new("/no/such/program")), None);
    }
}
