//! Questions: all that is asked on the shell channel and is no cell. They are answered while one runs.

use std::sync::Arc;

use jupyter_protocol::{
    CompleteReply, HistoryReply, InspectReply, IsCompleteReply, JupyterMessage,
    JupyterMessageContent as Content, ReplyError, ReplyStatus,
};
use jupyter_zmq_client::RouterSendConnection;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, oneshot};

use super::comms::Comms;
use super::history::History;
use super::info::kernel_info;
use super::iopub;
use super::status::Statuses;
use super::wire;
use crate::completeness;
use crate::engine::{Completions, Documentation, Engine, EngineRequest};

/// Answers questions, each by itself.
#[derive(Clone)]
pub(super) struct Questions {
    pub(super) replies: Arc<Mutex<RouterSendConnection>>,
    pub(super) comms: Comms,
    pub(super) statuses: Statuses,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) history: Option<Arc<History>>,
}

impl Questions {
    /// Answers one.
    pub(super) async fn answer(self, message: JupyterMessage) {
        self.statuses.begin(&message).await;
        if let Some(reply) = self.reply_to(&message).await {
            reply_by(&self.replies, reply).await;
        }
        self.statuses.end(&message).await;
    }

    /// Refuses one with this reply, which goes out where a reply is waited for.
    pub(super) async fn refuse(self, message: JupyterMessage, refusal: JupyterMessage) {
        self.statuses.begin(&message).await;
        if message.content.message_type().ends_with("_request") {
            reply_by(&self.replies, refusal).await;
        }
        self.statuses.end(&message).await;
    }

    async fn reply_to(&self, message: &JupyterMessage) -> Option<JupyterMessage> {
        match &message.content {
            Content::KernelInfoRequest(_) => Some(kernel_info().as_child_of(message)),
            Content::IsCompleteRequest(request) => {
                let (status, indent) = completeness::of(&request.code);
                Some(IsCompleteReply::new(status, indent).as_child_of(message))
            }
            Content::CompleteRequest(request) => {
                Some(self.complete(&request.code, request.cursor_pos).await.as_child_of(message))
            }
            Content::InspectRequest(request) => {
                Some(self.inspect(&request.code, request.cursor_pos).await.as_child_of(message))
            }
            Content::HistoryRequest(request) => {
                let reply = match self.history.as_ref().map(|history| history.answer(request)) {
                    None => HistoryReply::default(),
                    Some(Ok(history)) => HistoryReply { history, ..Default::default() },
                    Some(Err(error)) => HistoryReply {
                        status: ReplyStatus::Error,
                        error: Some(reply_error(&error)),
                        ..Default::default()
                    },
                };
                Some(reply.as_child_of(message))
            }
            Content::CommInfoRequest(request) => {
                Some(self.comms.info(request).as_child_of(message))
            }
            other => {
                log::warn!("a message of type {} was not carried out", other.message_type());
                wire::refusal(message)
            }
        }
    }

    async fn complete(&self, code: &str, cursor: usize) -> CompleteReply {
        let (done, answer) = oneshot::channel();
        let position = byte_offset(code, cursor);
        self.engine.submit(EngineRequest::Complete { code: code.to_owned(), position, done });
        let Ok(Some(Completions { replaced, items })) = answer.await else {
            return CompleteReply {
                cursor_start: cursor,
                cursor_end: cursor,
                ..Default::default()
            };
        };
        let start = character_offset(code, replaced.start);
        let end = character_offset(code, replaced.end);
        let types: Vec<Value> = items
            .iter()
            .map(|item| {
                json!({ "text": item.code, "type": item.kind, "signature": item.signature,
                        "start": start, "end": end })
            })
            .collect();
        let mut metadata = Map::new();
        metadata.insert("_jupyter_types_experimental".to_owned(), Value::from(types));
        CompleteReply {
            matches: items.into_iter().map(|item| item.code).collect(),
            cursor_start: start,
            cursor_end: end,
            metadata,
            ..Default::default()
        }
    }

    async fn inspect(&self, code: &str, cursor: usize) -> InspectReply {
        let (done, answer) = oneshot::channel();
        let position = end_of_word(code, byte_offset(code, cursor));
        self.engine.submit(EngineRequest::Inspect { code: code.to_owned(), position, done });
        let Ok(Some(Documentation { plain, html })) = answer.await else {
            return InspectReply::default();
        };
        let mut data = Map::new();
        data.insert("text/plain".to_owned(), Value::from(plain));
        data.insert("text/html".to_owned(), Value::from(html));
        InspectReply { found: true, data: iopub::media(data), ..Default::default() }
    }
}

/// Sends a reply on the shell channel.
pub(super) async fn reply_by(replies: &Mutex<RouterSendConnection>, reply: JupyterMessage) {
    if let Err(error) = replies.lock().await.send(reply).await {
        log::warn!("a reply could not be sent: {error}");
    }
}

fn reply_error(error: &anyhow::Error) -> Box<ReplyError> {
    Box::new(ReplyError {
        ename: "error".to_owned(),
        evalue: format!("{error:#}"),
        traceback: Vec::new(),
    })
}

/// Jupyter counts characters, since protocol 5.2.
fn byte_offset(code: &str, characters: usize) -> usize {
    code.char_indices().nth(characters).map_or(code.len(), |(offset, _)| offset)
}

fn character_offset(code: &str, bytes: usize) -> usize {
    code.char_indices().take_while(|(offset, _)| *offset < bytes).count()
}

/// The end of the name in which, or at the end of which, the cursor stands.
fn end_of_word(code: &str, position: usize) -> usize {
    let rest = &code[position..];
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    position + rest.find(|character| !in_word(character)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_count_characters() {
        let code = "é.len()";
        assert_eq!(byte_offset(code, 1), 2);
        assert_eq!(byte_offset(code, 99), code.len());
        assert_eq!(character_offset(code, 2), 1);
        assert_eq!(character_offset(code, code.len()), 7);
    }

    #[test]
    fn a_word_is_inspected_from_within() {
        assert_eq!(end_of_word("foo_bar + 1", 2), 7);
        assert_eq!(end_of_word("foo", 3), 3);
        assert_eq!(end_of_word("a + b", 1), 1);
    }

    proptest! {
        #[test]
        fn any_place_in_a_cell_is_one_between_characters(code in "\\PC{0,12}", at in 0..16_usize) {
            let offset = byte_offset(&code, at);
            prop_assert!(code.is_char_boundary(offset));
            prop_assert_eq!(character_offset(&code, offset), at.min(code.chars().count()));
            let end = end_of_word(&code, offset);
            prop_assert!(end >= offset && code.is_char_boundary(end));
        }
    }
}
