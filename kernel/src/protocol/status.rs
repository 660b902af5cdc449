//! Whether the kernel is busy, as front ends are told.

use std::sync::Arc;

use jupyter_protocol::{JupyterMessage, Status};
use tokio::sync::{Mutex, mpsc};

/// Says of each message when it begins and ends to be carried out.
#[derive(Clone)]
pub(super) struct Statuses {
    publish: mpsc::Sender<JupyterMessage>,
    /// The request of the cell that is being evaluated.
    running: Arc<Mutex<Option<JupyterMessage>>>,
}

impl Statuses {
    /// On this way to the IOPub channel.
    pub(super) fn new(publish: mpsc::Sender<JupyterMessage>) -> Statuses {
        Statuses { publish, running: Arc::default() }
    }

    /// A cell begins.
    pub(super) async fn begin_cell(&self, message: &JupyterMessage) {
        *self.running.lock().await = Some(message.clone());
        self.say(Status::busy(), message).await;
    }

    /// The cell has ended.
    pub(super) async fn end_cell(&self, message: &JupyterMessage) {
        let mut running = self.running.lock().await;
        *running = None;
        self.say(Status::idle(), message).await;
    }

    /// A message that may come while a cell runs begins to be answered.
    pub(super) async fn begin(&self, message: &JupyterMessage) {
        self.say(Status::busy(), message).await;
    }

    /// It was answered.
    pub(super) async fn end(&self, message: &JupyterMessage) {
        let running = self.running.lock().await;
        self.say(Status::idle(), message).await;
        // Front ends show the last status, whatever it is about.
        if let Some(cell) = &*running {
            self.say(Status::busy(), cell).await;
        }
    }

    async fn say(&self, status: Status, message: &JupyterMessage) {
        // The publisher ends after this task.
        let _ = self.publish.send(status.as_child_of(message)).await;
    }
}
