//! What may stand at a place of a cell, and what is known of a name: rust-analyzer answers.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use cell_analysis::Analysis;

use super::{Shared, commands, lock};
use crate::engine::{Completion, Completions, Documentation, EngineRequest, Phase};
use crate::home::{SessionFolder, Toolchain};

/// A reader who has asked nothing for this long is taken to be reading. JupyterLab waits a second for what may
/// stand at a place, and shows nothing where that comes later: what has to be read for it is read early.
const READING: Duration = Duration::from_secs(1);

/// Answers questions as they come and, while there are none, reads what the first needs.
pub(super) fn answer(folder: &SessionFolder, shared: &Shared, asked: &Receiver<EngineRequest>) {
    let mut analysis = None;
    let mut ready = false;
    loop {
        let request = match asked.recv_timeout(READING) {
            Ok(request) => request,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if !ready && shared.state.phase() == Phase::Idle {
                    let loaded = begun(&mut analysis, folder, shared).and_then(Analysis::load);
                    ready = match loaded {
                        Ok(()) => analysis.as_ref().is_some_and(Analysis::is_loaded),
                        // What is read is asked of programs, which end with the session.
                        Err(_) if shared.shutting_down.load(Ordering::SeqCst) => return,
                        Err(error) => {
                            log::warn!("questions cannot be answered: {error:#}");
                            true
                        }
                    };
                } else {
                    ready = analysis.as_ref().is_some_and(Analysis::is_loaded);
                }
                continue;
            }
        };
        let Some(request) = of_commands(request) else { continue };
        let found = begun(&mut analysis, folder, shared)
            .and_then(|analysis| respond(analysis, shared, request));
        if let Err(error) = found {
            log::warn!("a question was not answered: {error:#}");
        }
    }
}

/// Answers what is asked of the kernel's own commands; returns what is not.
fn of_commands(request: EngineRequest) -> Option<EngineRequest> {
    let EngineRequest::Complete { code, position, done } = request else { return Some(request) };
    let Some((start, found)) = commands::complete(&code[..position]) else {
        return Some(EngineRequest::Complete { code, position, done });
    };
    let items =
        found.into_iter().map(|(code, signature)| Completion { code, kind: "keyword", signature });
    // Nobody waits for the answer of a request whose session has ended.
    let _ = done.send(Some(Completions { replaced: start..position, items: items.collect() }));
    None
}

fn begun<'a>(
    analysis: &'a mut Option<Analysis>,
    folder: &SessionFolder,
    shared: &Shared,
) -> Result<&'a mut Analysis> {
    let made = match analysis.take() {
        Some(made) => made,
        None => {
            let toolchain = Toolchain::find(None)?;
            let package = folder.path().join("cells");
            if !package.join("Cargo.toml").exists() {
                fs::create_dir_all(package.join("src"))?;
                fs::write(package.join("src/lib.rs"), "")?;
                fs::write(
                    package.join("Cargo.toml"),
                    "[package]\nname = \"cells\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
                )?;
            }
            let made = Analysis::new(toolchain.rustc, toolchain.cargo, &package)?;
            *lock(&shared.analysis) = Some(made.canceller());
            made
        }
    };
    Ok(analysis.insert(made))
}

/// Answers one question. Nobody waits for the answer of a request whose session has ended.
fn respond(analysis: &mut Analysis, shared: &Shared, request: EngineRequest) -> Result<()> {
    let program = Arc::clone(&lock(&shared.program));
    match request {
        EngineRequest::Complete { code, position, done } => {
            let (source, start) = program.for_analysis(&code);
            let found = analysis.complete(&source, start + position)?;
            let place = found.first().map(|first| first.range.clone());
            let replaced = place.map_or(position..position, |range| {
                range.start.saturating_sub(start)..range.end.saturating_sub(start)
            });
            let items = found.into_iter().map(|item| Completion {
                signature: item.signature.unwrap_or(item.label),
                code: item.text,
                kind: item.kind,
            });
            let _ = done.send(Some(Completions { replaced, items: items.collect() }));
        }
        EngineRequest::Inspect { code, position, done } => {
            let (source, start) = program.for_analysis(&code);
            let found = analysis.inspect(&source, start + position)?;
            let found = found.map(|found| Documentation { plain: found.plain, html: found.html });
            let _ = done.send(found);
        }
        EngineRequest::Execute { .. } => {}
    }
    Ok(())
}
