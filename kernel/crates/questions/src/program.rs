//! The program that answers, as the kernel sees it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};

use crate::{Answer, Question};

/// How the program is called. It lies beside the kernel.
pub const NAME: &str = "rust-live-analysis";

/// The program while it runs; it ends with this.
#[derive(Debug)]
pub struct Program {
    process: Child,
    questions: Canceller,
    answers: BufReader<ChildStdout>,
}

/// Breaks off what a [`Program`] is doing, from another thread.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<Mutex<ChildStdin>>);

impl Program {
    /// Starts it for the crate in a folder, with the compiler and the cargo that its cells are compiled with.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(file: &Path, rustc: &Path, cargo: &Path, folder: &Path) -> Result<Program> {
        let mut command = Command::new(file);
        command.args([rustc, cargo, folder]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What interrupts a cell is not meant for it.
        command.process_group(0);
        let started = command.spawn();
        let mut process =
            started.with_context(|| format!("{} cannot be started", file.display()))?;
        let (Some(questions), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            unreachable!("both are pipes");
        };
        Ok(Program {
            process,
            questions: Canceller(Arc::new(Mutex::new(questions))),
            answers: BufReader::new(answers),
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What breaks off what it does. The question after that is not touched.
    pub fn canceller(&self) -> Canceller {
        self.questions.clone()
    }

    /// Asks, and waits for the answer. After an error of [`Failure::Ended`] there will be no other.
    ///
    /// # Errors
    /// What the program says, or its end.
    pub fn ask(&mut self, question: &Question) -> Result<Answer, Failure> {
        self.questions.send(question).map_err(|error| self.ended(error))?;
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(self.ended(anyhow!("no answer"))),
            Ok(_) => match serde_json::from_str::<Result<Answer, String>>(&line) {
                Ok(answer) => answer.map_err(|words| Failure::Said(anyhow!(words))),
                Err(error) => Err(self.ended(error.into())),
            },
            Err(error) => Err(self.ended(error.into())),
        }
    }

    /// It is ended where it does not keep to what was agreed upon.
    fn ended(&mut self, error: anyhow::Error) -> Failure {
        // One that has ended already cannot be killed.
        let _ = self.process.kill();
        let how = match self.process.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Failure::Ended(error.context(format!("{NAME} has ended ({how})")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The program says why.
    Said(anyhow::Error),
    /// The program has ended, and must be started again.
    Ended(anyhow::Error),
}

impl Canceller {
    /// Breaks off what is being done.
    pub fn cancel(&self) {
        // A program that has ended does nothing any more.
        let _ = self.send(&Question::Cancel);
    }

    fn send(&self, question: &Question) -> Result<()> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        let mut questions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(questions.write_all(&line)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script of the shell in place of rust-analyzer's program. The shell reads it, where another would be started: a
    /// file that was just written may still be open in a process that another test is starting.
    fn program(folder: &Path, script: &str) -> Program {
        let file = folder.join("script");
        std::fs::write(&file, script).unwrap();
        Program::start(Path::new("/bin/sh"), &file, Path::new("cargo"), folder).unwrap()
    }

    #[test]
    fn an_answer_is_read_and_so_is_what_the_program_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"read line; echo '{"Ok":{"Loaded":true}}'
                        read line; echo '{"Err":"cargo failed"}'"#;
        let mut program = program(folder.path(), script);
        assert_eq!(program.ask(&Question::Load).unwrap(), Answer::Loaded(true));
        let Failure::Said(error) = program.ask(&Question::Load).unwrap_err() else { panic!() };
        assert_eq!(error.to_string(), "cargo failed");
        let Failure::Ended(error) = program.ask(&Question::Load).unwrap_err() else { panic!() };
        assert!(format!("{error:#}").contains(NAME), "{error:#}");
    }

    #[test]
    fn a_program_that_ends_or_talks_of_something_else_is_said_to_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        for (script, words) in [
            ("read line; exit 3", "exit status: 3"),
            ("exit 3", "has ended"),
            ("echo hello; cat >/dev/null", "expected value"),
        ] {
            let mut program = program(folder.path(), script);
            let Failure::Ended(error) = program.ask(&Question::Load).unwrap_err() else {
                panic!("{script} has not ended")
            };
            assert!(format!("{error:#}").contains(words), "{script}: {error:#}");
        }
    }

    #[test]
    fn a_question_is_broken_off_from_another_thread() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"read line; read line; echo "{\"Ok\":{\"Documentation\":null}}""#;
        let mut program = program(folder.path(), script);
        let canceller = program.canceller();
        let waiting = std::thread::spawn(move || program.ask(&Question::Load));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        canceller.cancel();
        assert_eq!(waiting.join().unwrap().unwrap(), Answer::Documentation(None));
    }

    #[test]
    fn the_program_ends_with_what_stands_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path(), "cat >/dev/null; sleep 1000");
        let process = Path::new("/proc").join(program.id().to_string());
        let is_linux = process.exists();
        drop(program);
        assert!(!process.exists() && (is_linux || !cfg!(target_os = "linux")));
    }
}
