//! Jupyter's side of the kernel: its sockets, and an answer to each message.
//!
//! The protocol: <https://jupyter-client.readthedocs.io/en/stable/messaging.html>, version 5.4. What
//! evaluates the cells is an [`Engine`]: nothing here knows of evcxr or of a compiler.

mod control;
pub(crate) mod history;
mod info;
pub(crate) mod iopub;
mod report;
mod shell;
mod sockets;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::JupyterMessage;
use tokio::sync::{Notify, mpsc};

use crate::engine::{Engine, Signal};
use control::Control;
use history::History;
use iopub::{Event, IoPub};
use shell::Shell;
pub(crate) use sockets::Sockets;
use sockets::is_fatal;

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
    let gatherer = tokio::spawn(IoPub::new(published, publish.clone()).run());

    let (queue, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            match wire::read(&mut shell).await {
                Ok(message) => {
                    if queue.send(message).is_err() {
                        return;
                    }
                }
                Err(error) if is_fatal(&error) => return,
                Err(error) => log::warn!("a message on the shell channel was dropped: {error}"),
            }
        }
    });
    let stop = Arc::new(Notify::new());
    let worker = Shell {
        requests,
        waiting: VecDeque::new(),
        replies,
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
        Control { socket: control, publish: publish.clone(), engine: Arc::clone(&engine), stop };
    tokio::select! {
        () = control.run() => {}
        () = ended.notified() => {}
    }
    engine.signal(Signal::End);
    shell.abort();
    gatherer.abort();
    drop(publish);
    let _ = shell.await;
    let _ = gatherer.await;
    // What is still on its way, the last status among it.
    let _ = tokio::time::timeout(Duration::from_millis(500), publisher).await;
}
