//! A front end for tests.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::comm::{Hub, Seam};
use super::wire::{Message, decode, encode};
use crate::Show;

/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    static HUB: RefCell<Option<Arc<Hub>>> = const { RefCell::new(None) };
}

/// The comms of this thread's test.
pub(super) fn hub() -> Option<Arc<Hub>> {
    HUB.with_borrow(Clone::clone)
}

struct Kernel {
    sent: Sender<Message>,
    outputs: AtomicU32,
    /// The output that the thread for closures has entered.
    entered: Arc<AtomicU32>,
}

impl Seam for Kernel {
    fn send(&self, message: &[u8]) {
        // A test that has ended does not hear it.
        let _ = self.sent.send(decode(message).unwrap());
    }

    fn new_output(&self) -> u32 {
        self.outputs.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn enter_output(&self, output: u32) -> u32 {
        self.entered.swap(output, Ordering::SeqCst)
    }
}

/// A page, as far as widgets made on this thread are concerned.
pub(super) struct Page {
    sent: Receiver<Message>,
    inbox: Sender<Vec<u8>>,
    pub(super) entered: Arc<AtomicU32>,
}

impl Page {
    pub(super) fn new() -> Page {
        let (sender, sent) = channel();
        let entered = Arc::new(AtomicU32::new(0));
        let kernel =
            Kernel { sent: sender, outputs: AtomicU32::new(0), entered: Arc::clone(&entered) };
        let (hub, inbox) = Hub::start(Arc::new(kernel)).unwrap();
        hub.serve_control();
        HUB.set(Some(hub));
        let page = Page { sent, inbox, entered };
        let (target, _) = page.next();
        assert_eq!(target["content"]["target_name"], "jupyter.widget.control");
        page
    }

    /// The next message.
    pub(super) fn next(&self) -> Message {
        self.sent.recv_timeout(PATIENCE).unwrap()
    }

    /// Whether nothing was sent.
    pub(super) fn is_silent(&self) -> bool {
        self.sent.try_recv().is_err()
    }

    /// Shows a widget: its id, and what was sent to open it and what it needs.
    pub(super) fn show(&self, widget: &impl Show) -> (String, Vec<Message>) {
        let content = widget.content();
        let view = content.iter().find(|(kind, _)| kind.ends_with("widget-view+json")).unwrap();
        let view: Value = serde_json::from_str(&view.1).unwrap();
        let id = view["model_id"].as_str().unwrap().to_owned();
        (id, self.sent.try_iter().collect())
    }

    /// Sends a message whose header has this id.
    pub(super) fn send(&self, header: &str, kind: &str, content: &Value, buffers: &[&[u8]]) {
        let header = json!({ "msg_id": header });
        let message = json!({ "type": kind, "header": header, "content": content });
        self.inbox.send(encode(&message, buffers).unwrap()).unwrap();
    }

    /// Sends what a widget's other half says.
    pub(super) fn say(&self, header: &str, id: &str, data: &Value) {
        self.send(header, "comm_msg", &json!({ "comm_id": id, "data": data }), &[]);
    }

    /// The reader moves a control.
    pub(super) fn change(&self, id: &str, name: &str, value: impl Into<Value>) {
        let data =
            json!({ "method": "update", "state": { name: value.into() }, "buffer_paths": [] });
        self.say("change", id, &data);
    }

    /// Bytes as they are.
    pub(super) fn send_bytes(&self, bytes: &[u8]) {
        self.inbox.send(bytes.to_vec()).unwrap();
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        HUB.set(None);
    }
}
