//! Subshells: <https://jupyter.org/enhancement-proposals/91-kernel-subshells/kernel-subshells.html>
//!
//! Front ends send messages of comms to one, so that they pass while a cell runs. Here they pass it everywhere,
//! so that a subshell is a name and no more. Cells run one after the other, whichever they are sent to: they
//! share their variables.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jupyter_protocol::{JupyterMessage, UnknownMessage};
use serde_json::{Value, json};

/// What `supported_features` calls them.
pub(super) const FEATURE: &str = "kernel subshells";

/// Those that there are, for all that serve them.
#[derive(Debug, Clone, Default)]
pub(super) struct Subshells(Arc<Mutex<BTreeSet<String>>>);

impl Subshells {
    /// The answer to a request on the control channel that is about subshells; None for any other.
    pub(super) fn answer(&self, message: &JupyterMessage) -> Option<JupyterMessage> {
        let kind = message.content.message_type();
        let content = match kind {
            "create_subshell_request" => {
                let id = uuid::Uuid::new_v4().to_string();
                self.known().insert(id.clone());
                json!({ "status": "ok", "subshell_id": id })
            }
            "delete_subshell_request" => {
                let given = serde_json::to_value(&message.content).unwrap_or_default();
                let id = given["subshell_id"].as_str().unwrap_or_default();
                match self.known().remove(id) {
                    true => json!({ "status": "ok" }),
                    false => refusal(id),
                }
            }
            "list_subshell_request" => json!({ "status": "ok", "subshell_id": &*self.known() }),
            _ => return None,
        };
        Some(reply(message, content))
    }

    /// The answer to a message that was sent to a subshell, where there is none of this name.
    pub(super) fn refuse(&self, message: &JupyterMessage, id: &str) -> Option<JupyterMessage> {
        (!self.known().contains(id)).then(|| reply(message, refusal(id)))
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reply(message: &JupyterMessage, content: Value) -> JupyterMessage {
    let kind = message.content.message_type();
    let msg_type = format!("{}_reply", kind.strip_suffix("_request").unwrap_or(kind));
    UnknownMessage { msg_type, content }.as_child_of(message)
}

fn refusal(id: &str) -> Value {
    json!({
        "status": "error",
        "ename": "bad request",
        "evalue": format!("there is no subshell {id:?}"),
        "traceback": [],
    })
}
