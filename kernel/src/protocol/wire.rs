//! Messages as they arrive.
//!
//! The protocol lets a front end leave out what jupyter-protocol asks for. Here the defaults that
//! the protocol names are filled in first, so that a legal request is always understood, and what
//! is no legal request can still be answered.

use jupyter_protocol::{Header, JupyterMessage, JupyterMessageContent as Content, UnknownMessage};
use jupyter_zmq_client::{Connection, RawMessage, RuntimeError};
use serde_json::{Map, Value, json};
use zeromq::SocketRecv;

/// The next message.
///
/// # Errors
/// A socket that is gone, a wrong signature, and what is no Jupyter message at all. A request whose
/// content is wrong is no error: see [`refusal`].
pub(super) async fn read<S: SocketRecv>(
    connection: &mut Connection<S>,
) -> Result<JupyterMessage, RuntimeError> {
    Ok(read_for_subshell(connection).await?.0)
}

/// The next message, and the subshell to which it was sent.
///
/// # Errors
/// As for [`read`].
pub(super) async fn read_for_subshell<S: SocketRecv>(
    connection: &mut Connection<S>,
) -> Result<(JupyterMessage, Option<String>), RuntimeError> {
    let raw = RawMessage::from_multipart(connection.socket.recv().await?, &connection.mac)?;
    let subshell = raw.jparts.first().and_then(|header| subshell_of(header));
    Ok((message(raw)?, subshell))
}

/// jupyter-protocol's header knows nothing of subshells.
fn subshell_of(header: &[u8]) -> Option<String> {
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    header.get("subshell_id")?.as_str().map(str::to_owned)
}

fn message(raw: RawMessage) -> Result<JupyterMessage, RuntimeError> {
    let mut parts = raw.jparts.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    let (header, parent, metadata, content) = (next(), next(), next(), next());
    let header: Header = serde_json::from_slice(&header)?;
    let content = content_of(&header.msg_type, serde_json::from_slice(&content)?);
    Ok(JupyterMessage {
        zmq_identities: raw.zmq_identities,
        // Where there is no parent, an empty object is sent.
        parent_header: serde_json::from_slice(&parent).ok(),
        metadata: serde_json::from_slice(&metadata)?,
        buffers: parts.collect(),
        channel: None,
        header,
        content,
    })
}

const FAULT: &str = "fault";

fn content_of(kind: &str, content: Map<String, Value>) -> Content {
    let given = content.into_iter().filter(|(_, value)| !value.is_null());
    let mut content = defaults(kind, given.collect());
    if let Some(code) = content.get("code").and_then(Value::as_str) {
        let end = code.chars().count();
        content.entry("cursor_pos").or_insert(Value::from(end));
    }
    Content::from_type_and_content(kind, Value::Object(content)).unwrap_or_else(|error| {
        let content = json!({ FAULT: error.to_string() });
        Content::UnknownMessage(UnknownMessage { msg_type: kind.to_owned(), content })
    })
}

/// What a front end may leave out.
fn defaults(kind: &str, given: Map<String, Value>) -> Map<String, Value> {
    let defaults = match kind {
        "execute_request" => json!({
            "silent": false,
            "store_history": true,
            "user_expressions": {},
            "allow_stdin": true,
            "stop_on_error": true,
        }),
        // 0 stands for no limit and no end.
        "history_request" => json!({
            "output": false,
            "raw": true,
            "session": 0,
            "start": 0,
            "stop": 0,
            "n": 0,
            "pattern": "*",
            "unique": false,
        }),
        "shutdown_request" => json!({ "restart": false }),
        "comm_open" | "comm_msg" | "comm_close" => json!({ "data": {} }),
        _ => json!({}),
    };
    let Value::Object(mut content) = defaults else { return given };
    content.extend(given);
    content
}

/// The answer to a request that cannot be carried out; `None` where no answer is waited for.
pub(super) fn refusal(message: &JupyterMessage) -> Option<JupyterMessage> {
    let kind = message.content.message_type();
    let reply = format!("{}_reply", kind.strip_suffix("_request")?);
    let fault = match &message.content {
        Content::UnknownMessage(unknown) => unknown.content.get(FAULT).and_then(Value::as_str),
        _ => None,
    };
    let reason = fault.unwrap_or(match kind {
        "debug_request" => "this kernel has no debugger",
        _ => "this kernel does not answer such requests on this channel",
    });
    let content = json!({
        "status": "error",
        "ename": "bad request",
        "evalue": format!("{kind}: {reason}"),
        "traceback": [],
    });
    Some(UnknownMessage { msg_type: reply, content }.as_child_of(message))
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::HistoryRequest;
    use proptest::prelude::*;

    use super::*;

    fn content(kind: &str, content: Value) -> Content {
        let Value::Object(content) = content else { panic!("{content}") };
        content_of(kind, content)
    }

    #[test]
    fn what_may_be_left_out_is_filled_in() {
        for kind in ["tail", "range", "search"] {
            let parsed = content("history_request", json!({ "hist_access_type": kind }));
            assert!(matches!(parsed, Content::HistoryRequest(_)), "{kind}: {parsed:?}");
        }
        let search =
            json!({ "hist_access_type": "search", "pattern": "a", "n": 3, "unique": null });
        let Content::HistoryRequest(HistoryRequest::Search { pattern, unique, n, .. }) =
            content("history_request", search)
        else {
            panic!("no search");
        };
        assert_eq!((pattern.as_str(), unique, n), ("a", false, 3));
        let Content::ExecuteRequest(request) = content("execute_request", json!({ "code": "1" }))
        else {
            panic!("no cell");
        };
        assert!(request.store_history && request.stop_on_error && !request.silent);
        let Content::CompleteRequest(request) =
            content("complete_request", json!({ "code": "é." }))
        else {
            panic!("no completion");
        };
        assert_eq!(request.cursor_pos, 2);
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_reason() {
        let refused = |kind: &str, given: Value| {
            let message = JupyterMessage::new(content(kind, given), None);
            refusal(&message).map(|reply| (reply.header.msg_type, reply.content))
        };
        let (kind, reply) = refused("execute_request", json!({})).unwrap();
        assert_eq!(kind, "execute_reply");
        let reply = serde_json::to_value(reply).unwrap();
        assert_eq!(reply["status"], "error");
        assert!(reply["evalue"].as_str().unwrap().contains("code"), "{reply}");
        assert_eq!(refused("dance_request", json!({})).unwrap().0, "dance_reply");
        assert!(refused("dance", json!({})).is_none());
    }

    const KINDS: [&str; 12] = [
        "execute_request",
        "history_request",
        "complete_request",
        "inspect_request",
        "is_complete_request",
        "shutdown_request",
        "comm_open",
        "comm_msg",
        "input_reply",
        "kernel_info_request",
        "dance_request",
        "dance",
    ];

    /// Any JSON, with names among it that requests have.
    fn json() -> impl Strategy<Value = Value> {
        let name = || {
            proptest::sample::select(vec![
                "code",
                "cursor_pos",
                "silent",
                "hist_access_type",
                "n",
                "pattern",
                "user_expressions",
                "comm_id",
                "target_name",
                "data",
                "value",
                "fault",
                "é",
            ])
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~é]{0,8}".prop_map(Value::from),
            Just(Value::from("tail")),
        ];
        leaf.prop_recursive(3, 24, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(name(), inner, 0..6).prop_map(|fields| {
                    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_content_is_understood_or_refused(
            kind in proptest::sample::select(&KINDS[..]), content in json()
        ) {
            let given = match content {
                Value::Object(given) => given,
                other => Map::from_iter([("code".to_owned(), other)]),
            };
            let code = given.get("code").and_then(Value::as_str).map(str::to_owned);
            let parsed = content_of(kind, given.clone());
            prop_assert_eq!(parsed.message_type(), kind);
            match &parsed {
                Content::ExecuteRequest(request) => {
                    prop_assert_eq!(Some(&request.code), code.as_ref());
                }
                Content::UnknownMessage(unknown) if kind == "dance" && code.is_none() => {
                    // Nothing is known of it, so that all of it is kept.
                    let kept = given.iter().filter(|(_, value)| !value.is_null());
                    let kept: Map<_, _> = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
                    prop_assert_eq!(&unknown.content, &Value::Object(kept));
                }
                _ => {}
            }
            let message = JupyterMessage::new(parsed, None);
            let reply = refusal(&message).map(|reply| reply.header.msg_type);
            let expected = kind.strip_suffix("_request").map(|kind| format!("{kind}_reply"));
            prop_assert_eq!(reply, expected);
        }

        #[test]
        fn any_parts_are_a_message_or_an_error(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            content in json(),
        ) {
            let mut jparts: Vec<_> = parts.into_iter().map(Into::into).collect();
            let raw = RawMessage { zmq_identities: Vec::new(), jparts: jparts.clone() };
            prop_assert!(message(raw).is_err(), "no header is among them");
            let header = JupyterMessage::new(content_of("dance", Map::new()), None).header;
            let text = |value: &Value| value.to_string().into_bytes().into();
            let whole = [json!(header), json!({}), json!({}), json!({ "a": content })];
            jparts.splice(0..0, whole.iter().map(text));
            let raw = RawMessage { zmq_identities: vec![vec![7].into()], jparts: jparts.clone() };
            let read = message(raw).unwrap();
            prop_assert_eq!(json!(read.header), json!(header));
            prop_assert_eq!(&read.buffers[..], &jparts[4..]);
            prop_assert_eq!(read.zmq_identities.len(), 1);
        }
    }
}
