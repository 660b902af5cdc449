//! Answers questions about the code of a notebook: `rust-live-analysis RUSTC CARGO FOLDER`, where FOLDER has the
//! cells' Cargo.toml. What is asked and how stands in `cell-questions`. It ends where its standard input does.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context as _, Result, bail};
use cell_analysis::{Analysis, Canceller};
use cell_questions::{Answer, Question};

/// rust-analyzer allocates millions of small things: a fifth of its time with the C library's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [rustc, cargo, folder] = &arguments[..] else {
        bail!("usage: rust-live-analysis RUSTC CARGO FOLDER; rust-live starts it")
    };
    let mut analysis = Analysis::new(rustc, cargo, Path::new(folder))?;
    let canceller = analysis.canceller();
    let (questions, asked) = channel();
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let end = listen(&questions, &canceller);
        if let Err(error) = &end {
            log::error!("{error:#}");
        }
        // Nobody is there any more for what is being answered.
        std::process::exit(end.is_err().into());
    })?;
    for question in asked {
        let answer = answer(&mut analysis, question).map_err(|error| format!("{error:#}"));
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        let mut output = std::io::stdout().lock();
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}

fn listen(questions: &Sender<Question>, canceller: &Canceller) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?).context("no question")? {
            Question::Cancel => canceller.cancel(),
            question => questions.send(question)?,
        }
    }
    Ok(())
}

fn answer(analysis: &mut Analysis, question: Question) -> Result<Answer> {
    Ok(match question {
        Question::Load => {
            analysis.load()?;
            Answer::Loaded(analysis.is_loaded())
        }
        Question::Complete { source, offset } => {
            Answer::Completions(analysis.complete(&source, offset)?)
        }
        Question::Inspect { source, offset } => {
            Answer::Documentation(analysis.inspect(&source, offset)?)
        }
        Question::Cancel => unreachable!("it is no question that waits"),
    })
}
