//! Comms: conversations between front ends and the crates of cells, such as widgets have.
//!
//! <https://jupyter-client.readthedocs.io/en/stable/messaging.html#custom-messages>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jupyter_protocol::{
    CommClose, CommId, CommInfo, CommInfoReply, CommInfoRequest, Header, JupyterMessage,
    JupyterMessageContent as Content,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::status::Statuses;
use crate::engine::Engine;

/// Which comms there are, for all that send and receive their messages.
#[derive(Debug, Clone, Default)]
pub(super) struct Comms(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Targets by comm.
    open: BTreeMap<String, String>,
    /// Targets that the crates of cells serve.
    targets: BTreeSet<String>,
    /// Comms of processes that have ended.
    gone: BTreeSet<String>,
}

/// What a crate sends.
#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(rename = "type")]
    kind: String,
    content: Map<String, Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
    /// Of the message that this one answers.
    parent_header: Option<Header>,
}

/// A message to the front ends.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) content: Content,
    pub(super) metadata: Value,
    pub(super) answered: Option<Header>,
}

impl Comms {
    /// What a crate sends becomes of this; None where it is for the kernel alone.
    ///
    /// # Errors
    /// What is no such message, in words.
    pub(super) fn sent(&self, json: &[u8]) -> Result<Option<Outgoing>, String> {
        let Sent { kind, content, metadata, parent_header } =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let text = |name: &str| {
            let value = content.get(name).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| format!("{kind} without {name}"))
        };
        match kind.as_str() {
            "comm_open" => {
                self.known().open.insert(text("comm_id")?, text("target_name")?);
            }
            "comm_msg" => drop(text("comm_id")?),
            "comm_close" => drop(self.known().open.remove(&text("comm_id")?)),
            "comm_target" => {
                self.known().targets.insert(text("target_name")?);
                return Ok(None);
            }
            _ => return Err(format!("{kind} is no message of a comm")),
        }
        let mut content = content;
        content.entry("data").or_insert_with(|| json!({}));
        let content = Content::from_type_and_content(&kind, Value::Object(content))
            .map_err(|error| format!("{kind}: {error}"))?;
        let metadata = Value::Object(metadata);
        Ok(Some(Outgoing { content, metadata, answered: parent_header }))
    }

    /// All comms end: their process has.
    pub(super) fn close_all(&self) -> Vec<CommClose> {
        let mut known = self.known();
        let Known { open, mut gone, .. } = std::mem::take(&mut *known);
        gone.extend(open.keys().cloned());
        known.gone = gone;
        open.into_keys().map(|id| closed(id, GONE)).collect()
    }

    /// Those that there are.
    pub(super) fn info(&self, request: &CommInfoRequest) -> CommInfoReply {
        let known = self.known();
        let is_asked =
            |target: &String| request.target_name.as_ref().is_none_or(|name| name == target);
        let comms = known
            .open
            .iter()
            .filter(|(_, target)| is_asked(target))
            .map(|(id, target)| (CommId(id.clone()), CommInfo { target_name: target.clone() }));
        CommInfoReply { comms: comms.collect(), ..Default::default() }
    }

    /// Whether a message of a front end has somebody to go to; else what to answer, if anything.
    fn take(&self, content: &Content) -> Result<(), Option<CommClose>> {
        let mut known = self.known();
        match content {
            Content::CommOpen(open) if known.targets.contains(&open.target_name) => {
                known.open.insert(open.comm_id.0.clone(), open.target_name.clone());
                Ok(())
            }
            Content::CommOpen(open) => {
                let why = format!(
                    "this kernel has no target {:?}: none of the crates that were used so far \
                     serves it",
                    open.target_name
                );
                Err(Some(closed(open.comm_id.0.clone(), &why)))
            }
            Content::CommMsg(message) if known.open.contains_key(&message.comm_id.0) => Ok(()),
            // A front end that was told already need not hear it twice: it would find no such comm.
            Content::CommMsg(message) => {
                let id = &message.comm_id.0;
                Err(known.gone.contains(id).then(|| closed(id.clone(), GONE)))
            }
            Content::CommClose(close) => {
                known.open.remove(&close.comm_id.0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const GONE: &str = "the process that had it has ended";

fn closed(id: String, reason: &str) -> CommClose {
    let data = Map::from_iter([("reason".to_owned(), Value::from(reason))]);
    CommClose { comm_id: CommId(id), data }
}

/// Whether this is a message of a comm.
pub(super) fn is_of_comm(content: &Content) -> bool {
    matches!(content, Content::CommOpen(_) | Content::CommMsg(_) | Content::CommClose(_))
}

/// Hands the messages of front ends on, in the order in which they come, while cells run.
pub(super) struct Incoming {
    pub(super) messages: mpsc::UnboundedReceiver<JupyterMessage>,
    pub(super) comms: Comms,
    pub(super) publish: mpsc::Sender<JupyterMessage>,
    pub(super) statuses: Statuses,
    pub(super) engine: Arc<dyn Engine>,
}

impl Incoming {
    /// Works until nothing can come any more.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.messages.recv().await {
            self.statuses.begin(&message).await;
            if let Err(close) = self.comms.take(&message.content) {
                if let Some(close) = close {
                    // The publisher ends after this task.
                    let _ = self.publish.send(close.as_child_of(&message)).await;
                }
            } else if let Err(error) = self.hand_on(&message) {
                log::warn!("a message of a comm was dropped: {error}");
            }
            self.statuses.end(&message).await;
        }
    }

    fn hand_on(&self, message: &JupyterMessage) -> Result<(), serde_json::Error> {
        let content = match &message.content {
            Content::CommOpen(open) => serde_json::to_value(open)?,
            Content::CommMsg(message) => serde_json::to_value(message)?,
            Content::CommClose(close) => serde_json::to_value(close)?,
            _ => return Ok(()),
        };
        let kind = message.content.message_type();
        let json = json!({ "type": kind, "header": message.header, "content": content });
        let buffers: Vec<&[u8]> = message.buffers.iter().map(|buffer| &**buffer).collect();
        // A process that has ended tells so, and its comms are closed then.
        let _ = self.engine.comm(&serde_json::to_vec(&json)?, &buffers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(comms: &Comms, message: Value) -> Result<Option<Outgoing>, String> {
        comms.sent(message.to_string().as_bytes())
    }

    fn ids(comms: &Comms, target: Option<&str>) -> Vec<String> {
        let request = CommInfoRequest { target_name: target.map(str::to_owned) };
        let mut ids: Vec<_> = comms.info(&request).comms.into_keys().map(String::from).collect();
        ids.sort();
        ids
    }

    #[test]
    fn what_is_open_is_known_and_everything_ends_with_the_process() {
        let comms = Comms::default();
        for (id, target) in [("a", "x"), ("b", "y"), ("c", "x")] {
            let open =
                json!({ "type": "comm_open", "content": { "comm_id": id, "target_name": target } });
            assert!(sent(&comms, open).unwrap().is_some());
        }
        assert_eq!(ids(&comms, None), ["a", "b", "c"]);
        assert_eq!(ids(&comms, Some("x")), ["a", "c"]);
        let close = json!({ "type": "comm_close", "content": { "comm_id": "a", "data": {} } });
        assert!(sent(&comms, close).unwrap().is_some());
        assert_eq!(ids(&comms, Some("x")), ["c"]);
        let closed: Vec<_> = comms.close_all().into_iter().map(|close| close.comm_id.0).collect();
        assert_eq!((closed.len(), ids(&comms, None).len()), (2, 0));
    }

    #[test]
    fn what_is_no_message_is_told() {
        let comms = Comms::default();
        for (message, word) in [
            (json!({ "type": "comm_open", "content": { "comm_id": "a" } }), "target_name"),
            (json!({ "type": "comm_msg", "content": {} }), "comm_id"),
            (json!({ "type": "status", "content": {} }), "status"),
            (json!({ "content": {} }), "type"),
            (json!([]), "expected"),
        ] {
            let wrong = sent(&comms, message).unwrap_err();
            assert!(wrong.contains(word), "{wrong}");
        }
    }
}
