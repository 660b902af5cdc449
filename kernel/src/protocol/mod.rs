//! Jupyter's side of the kernel: its sockets, and an answer to each message.
//!
//! The protocol: <https://jupyter-client.readthedocs.io/en/stable/messaging.html>, version 5.4. What
//! evaluates the cells is an [`Engine`]: nothing here knows of a compiler.

mod comms;
mod control;
pub(crate) mod history;
mod info;
pub(crate) mod iopub;
mod questions;
mod report;
mod shell;
mod sockets;
mod status;
mod subshells;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::{JupyterMessage, JupyterMessageContent as Content};
use tokio::sync::{Notify, mpsc};

use crate::engine::{Engine, Signal};
use comms::{Comms, Incoming, is_of_comm};
use control::Control;
use history::History;
use iopub::{Event, IoPub};
use questions::Questions;
use shell::Shell;
pub(crate) use sockets::Sockets;
use sockets::is_fatal;
use status::Statuses;
use subshells::Subshells;

/// What the protocol works with.
pub(crate) struct Parts {
    /// What evaluates the cells.
    pub engine: Arc<dyn Engine>,
    /// To the IOPub channel.
    pub events: mpsc::Sender<Event>,
    /// From everybody to the IOPub channel.
    pub published: mpsc::Receiver<Event>,
    /// The history, if it can be kept.
    pub history: Option<History>,
    /// Told to end for another reason than a message.
    pub ended: Arc<Notify>,
}

/// Serves until a shutdown is asked for.
pub(crate) async fn serve(sockets: Sockets, parts: Parts) {
    let Parts { engine, events, published, history, ended } = parts;
    let Sockets { mut shell, replies, control, stdin, iopub } = sockets;
    let (publish, messages) = mpsc::channel::<JupyterMessage>(64);
    let publisher = tokio::spawn(iopub::publish_all(iopub, messages));
    let comms = Comms::default();
    let gatherer = tokio::spawn(IoPub::new(published, publish.clone(), comms.clone()).run());

    let statuses = Statuses::new(publish.clone());
    let replies = Arc::new(tokio::sync::Mutex::new(replies));
    let history = history.map(Arc::new);
    let questions = Questions {
        replies: Arc::clone(&replies),
        comms: comms.clone(),
        statuses: statuses.clone(),
        engine: Arc::clone(&engine),
        history: history.clone(),
    };
    let (hand_on, of_comms) = mpsc::unbounded_channel();
    let incoming = Incoming {
        messages: of_comms,
        comms,
        publish: publish.clone(),
        statuses: statuses.clone(),
        engine: Arc::clone(&engine),
    };
    let incoming = tokio::spawn(incoming.run());
    let (queue, requests) = mpsc::unbounded_channel();
    let subshells = Subshells::default();
    let known = subshells.clone();
    let reader = tokio::spawn(async move {
        loop {
            let read = wire::read_for_subshell(&mut shell).await;
            let read = read.map(|(message, subshell)| {
                let refused = subshell.and_then(|id| known.refuse(&message, &id));
                (message, refused)
            });
            match read {
                Ok((message, Some(refused))) => {
                    tokio::spawn(questions.clone().refuse(message, refused));
                }
                Ok((message, None)) if matches!(message.content, Content::ExecuteRequest(_)) => {
                    if queue.send(message).is_err() {
                        return;
                    }
                }
                Ok((message, None)) if is_of_comm(&message.content) => {
                    if hand_on.send(message).is_err() {
                        return;
                    }
                }
                Ok((message, None)) => {
                    tokio::spawn(questions.clone().answer(message));
                }
                Err(error) if is_fatal(&error) => return,
                Err(error) => log::warn!("a message on the shell channel was dropped: {error}"),
            }
        }
    });
    let stop = Arc::new(Notify::new());
    let worker = Shell {
        requests,
        replies,
        statuses: statuses.clone(),
        publish: publish.clone(),
        events,
        engine: Arc::clone(&engine),
        history,
        count: 0,
        cells: VecDeque::new(),
        input: Arc::new(tokio::sync::Mutex::new(stdin)),
        stop: Arc::clone(&stop),
    };
    let shell = tokio::spawn(worker.run());
    let control =
        Control { socket: control, statuses, subshells, engine: Arc::clone(&engine), stop };
    tokio::select! {
        () = control.run() => {}
        () = ended.notified() => {}
    }
    engine.signal(Signal::End);
    reader.abort();
    shell.abort();
    incoming.abort();
    gatherer.abort();
    drop(publish);
    let _ = shell.await;
    let _ = gatherer.await;
    // What is still on its way, the last status among it.
    let _ = tokio::time::timeout(Duration::from_millis(500), publisher).await;
}
