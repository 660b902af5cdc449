//! The protocol over real sockets, with a small engine: no compiler is called.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use jupyter_protocol::{
    CommInfoRequest, CommMsg, CommOpen, CompleteRequest, ConnectionInfo, ExecuteReply,
    ExecuteRequest, HistoryRequest, InputReply, InspectRequest, InterruptRequest,
    IsCompleteRequest, JupyterMessageContent as Content, KernelInfoRequest, ReplyStatus,
    ShutdownRequest, Status, Transport, UnknownMessage,
};
use jupyter_zmq_client::{
    self as zmq, ClientControlConnection, ClientIoPubConnection, ClientShellConnection,
    ClientStdinConnection, Connection,
};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeromq::{Socket as _, SocketSend as _};

use super::*;
use crate::engine::{
    CellError, CellOutcome, Completion, Completions, Diagnostic, Documentation, EngineEvent,
    EngineRequest, Output, Phase, State, value_of,
};

const KEY: &str = "a key";
const PATIENCE: Duration = Duration::from_secs(20);

/// Does what the first word of a cell says.
struct SmallEngine {
    requests: Mutex<Sender<EngineRequest>>,
    seen: Arc<Seen>,
}

/// What the tests look at, and what a cell waits for.
#[derive(Default)]
struct Seen {
    state: State,
    signals: Mutex<Vec<Signal>>,
    comms: Mutex<Vec<Value>>,
    changed: Condvar,
}

impl Engine for SmallEngine {
    fn submit(&self, request: EngineRequest) {
        match request {
            EngineRequest::Execute { .. } => {
                let _ = self.requests.lock().unwrap().send(request);
            }
            question => answer(question),
        }
    }

    fn signal(&self, signal: Signal) {
        self.seen.signals.lock().unwrap().push(signal);
        self.seen.changed.notify_all();
    }

    fn comm(&self, json: &[u8], buffers: &[&[u8]]) -> bool {
        let mut message: Value = serde_json::from_slice(json).unwrap();
        message["buffers"] = buffers.iter().map(|buffer| buffer.len()).collect();
        self.seen.comms.lock().unwrap().push(message);
        true
    }

    fn state(&self) -> &State {
        &self.seen.state
    }
}

fn engine(output: Output) -> (Arc<SmallEngine>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let (requests, queue) = channel();
    std::thread::spawn({
        let seen = Arc::clone(&seen);
        move || answer_all(&queue, &seen, &output)
    });
    let engine = SmallEngine { requests: Mutex::new(requests), seen: Arc::clone(&seen) };
    (Arc::new(engine), seen)
}

fn answer_all(queue: &Receiver<EngineRequest>, seen: &Seen, output: &Output) {
    for request in queue {
        match request {
            EngineRequest::Execute { code, input, done, .. } => {
                let show = |event| assert!(output(event));
                let print = |text: &str| show(EngineEvent::Stdout(text.into()));
                seen.state.set(Phase::Running);
                let (word, rest) = code.split_once(' ').unwrap_or((&code, ""));
                let mut outcome = CellOutcome::default();
                match word {
                    "print" => print(rest),
                    "comm" => {
                        show(EngineEvent::Comm { json: rest.into(), buffers: vec![vec![7, 8]] })
                    }
                    "end-of-process" => show(EngineEvent::Gone),
                    "new-output" => show(EngineEvent::NewOutput(rest.parse().unwrap())),
                    "print-in" => {
                        let (output, text) = rest.split_once(' ').unwrap();
                        print("before");
                        show(EngineEvent::Output(output.parse().unwrap()));
                        print(text);
                        show(EngineEvent::Output(0));
                        print("after");
                        // Text is gathered, each place by itself.
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    "value" => {
                        show(EngineEvent::Content { kind: "text/plain".into(), body: rest.into() });
                    }
                    "command" => {
                        let shown = value_of("text/html", rest);
                        outcome.commands = Map::from_iter([("text/html".to_owned(), shown)]);
                    }
                    "wrong" => outcome.error = Some(CellError::Compilation(vec![wrong(rest)])),
                    "gone" => {
                        let (how, last_words) = ("was ended by SIGABRT".into(), String::new());
                        outcome.error = Some(CellError::ProcessEnded { how, last_words });
                    }
                    "ask" => print(&input(rest, false).unwrap_or_else(|| "nobody".into())),
                    "wait" => {
                        print("waiting");
                        let mut signals = seen.signals.lock().unwrap();
                        let wanted =
                            if rest == "stubborn" { Signal::Kill } else { Signal::Interrupt };
                        while !signals.contains(&wanted) {
                            signals = seen.changed.wait(signals).unwrap();
                        }
                    }
                    other => panic!("no such cell: {other}"),
                }
                seen.state.set(Phase::Compiling);
                let _ = done.send(outcome);
            }
            question => answer(question),
        }
    }
}

/// Answers a question, as a thread of its own does in the real one.
fn answer(question: EngineRequest) {
    match question {
        EngineRequest::Execute { .. } => {}
        EngineRequest::Complete { code, position, done } => {
            let (kind, signature) = ("keyword", "print".into());
            let completion = Completion { code: "print".into(), kind: kind.into(), signature };
            let found = Completions { replaced: 0..position, items: vec![completion] };
            let _ = done.send((!code.is_empty()).then_some(found));
        }
        EngineRequest::Inspect { code, position, done } => {
            let plain = code[..position].to_owned();
            let known = plain.ends_with("print");
            let _ = done.send(known.then(|| Documentation { plain, html: "<b></b>".into() }));
        }
    }
}

/// An error about the first word.
fn wrong(message: &str) -> Diagnostic {
    let rendered = vec![format!("error[E0308]: {message}"), " --> cell 1:1:1".to_owned()];
    Diagnostic { message: message.to_owned(), rendered }
}

/// Sockets on ports that are free; another test may take one of them first.
async fn bind(file: &std::path::Path) -> (ConnectionInfo, Sockets) {
    for _ in 0..20 {
        let local = "127.0.0.1".parse().unwrap();
        let ports = zmq::peek_ports(local, 5).await.unwrap();
        let info = ConnectionInfo {
            ip: local.to_string(),
            transport: Transport::TCP,
            shell_port: ports[0],
            iopub_port: ports[1],
            stdin_port: ports[2],
            control_port: ports[3],
            hb_port: ports[4],
            key: KEY.into(),
            signature_scheme: "hmac-sha256".into(),
            kernel_name: None,
        };
        std::fs::write(file, serde_json::to_vec(&info).unwrap()).unwrap();
        if let Ok(sockets) = Sockets::bind(file).await {
            return (info, sockets);
        }
    }
    panic!("no port is free");
}

/// A kernel and a front end.
struct FrontEnd {
    shell: ClientShellConnection,
    control: ClientControlConnection,
    stdin: ClientStdinConnection,
    iopub: ClientIoPubConnection,
    info: ConnectionInfo,
    seen: Arc<Seen>,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl FrontEnd {
    async fn start() -> FrontEnd {
        let folder = tempfile::tempdir().unwrap();
        let (info, sockets) = bind(&folder.path().join("connection.json")).await;
        let (events, published) = mpsc::channel(256);
        let output: Output = Arc::new({
            let events = events.clone();
            move |event| events.blocking_send(Event::Engine(event)).is_ok()
        });
        let (engine, seen) = engine(output);
        let history = Some(History::open(folder.path()).unwrap());
        let ended = Arc::new(Notify::new());
        let served =
            tokio::spawn(serve(sockets, Parts { engine, events, published, history, ended }));

        let session = uuid::Uuid::new_v4().to_string();
        let identity = || zmq::peer_identity_for_session(&session).unwrap();
        // First the one that nothing is sent on before the kernel asks: it must know the front end by then.
        let stdin =
            zmq::create_client_stdin_connection_with_identity(&info, &session, identity()).await;
        let mut iopub = zmq::create_client_iopub_connection(&info, "", &session).await.unwrap();
        zmq::wait_for_iopub_welcome(&mut iopub, PATIENCE).await.unwrap().unwrap();
        FrontEnd {
            shell: zmq::create_client_shell_connection_with_identity(&info, &session, identity())
                .await
                .unwrap(),
            control: zmq::create_client_control_connection(&info, &session).await.unwrap(),
            stdin: stdin.unwrap(),
            iopub,
            info,
            seen,
            served,
            _folder: folder,
        }
    }

    async fn send(&mut self, content: impl Into<JupyterMessage>) -> String {
        let message = content.into();
        let id = message.header.msg_id.clone();
        self.shell.send(message).await.unwrap();
        id
    }

    async fn reply(&mut self, id: &str) -> Content {
        let reply = timeout(PATIENCE, self.shell.read()).await.expect("a reply").unwrap();
        assert_eq!(reply.parent_header.unwrap().msg_id, id);
        reply.content
    }

    /// All that is published about a message, from busy to idle.
    async fn published(&mut self, id: &str) -> Vec<Content> {
        let mut all = Vec::new();
        loop {
            let message = timeout(PATIENCE, self.iopub.read()).await.expect("idle").unwrap();
            if message.parent_header.is_none_or(|parent| parent.msg_id != id) {
                continue;
            }
            let idle = matches!(&message.content, Content::Status(status) if status.execution_state == Status::idle().execution_state);
            all.push(message.content);
            if idle {
                return all;
            }
        }
    }

    async fn ask(&mut self, content: impl Into<JupyterMessage>) -> (Content, Vec<Content>) {
        let id = self.send(content).await;
        let published = self.published(&id).await;
        (self.reply(&id).await, published)
    }

    async fn run(&mut self, code: &str) -> (ExecuteReply, Vec<Content>) {
        let (reply, published) = self.ask(cell(code)).await;
        (executed(reply), published)
    }

    async fn control(&mut self, content: impl Into<JupyterMessage>) -> Content {
        self.control.send(content.into()).await.unwrap();
        timeout(PATIENCE, self.control.read()).await.expect("a reply").unwrap().content
    }

    /// Waits until a cell says that it waits.
    async fn waits(&mut self) {
        loop {
            let message = timeout(PATIENCE, self.iopub.read()).await.unwrap().unwrap();
            if matches!(message.content, Content::StreamContent(_)) {
                return;
            }
        }
    }
}

fn cell(code: &str) -> ExecuteRequest {
    ExecuteRequest { stop_on_error: true, store_history: true, ..ExecuteRequest::new(code.into()) }
}

fn executed(reply: Content) -> ExecuteReply {
    match reply {
        Content::ExecuteReply(reply) => reply,
        other => panic!("{}", other.message_type()),
    }
}

fn kinds(published: &[Content]) -> Vec<&str> {
    published.iter().map(Content::message_type).collect()
}

fn text(published: &[Content]) -> String {
    let text = |content: &Content| match content {
        Content::StreamContent(stream) => Some(stream.text.clone()),
        _ => None,
    };
    published.iter().filter_map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_is_told_from_its_start_to_its_end() {
    let mut front_end = FrontEnd::start().await;
    let (reply, published) = front_end.run("print hello").await;
    assert_eq!((reply.status, reply.execution_count.value()), (ReplyStatus::Ok, 1));
    assert_eq!(kinds(&published), ["status", "execute_input", "stream", "status"]);
    assert_eq!(text(&published), "hello");
    let (reply, published) = front_end.run("value 42").await;
    assert_eq!(reply.execution_count.value(), 2);
    assert_eq!(kinds(&published), ["status", "execute_input", "execute_result", "status"]);
    // What a command shows is the result where there is no other.
    let (_, published) = front_end.run("command <b>1</b>").await;
    assert_eq!(kinds(&published)[2], "execute_result");
    // Silent: nothing is shown, and it does not count.
    let silent = ExecuteRequest { silent: true, ..cell("value 1") };
    let (reply, published) = front_end.ask(silent).await;
    assert_eq!(executed(reply).execution_count.value(), 3);
    assert_eq!(kinds(&published), ["status", "status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_fails_aborts_those_that_wait_behind_it() {
    let mut front_end = FrontEnd::start().await;
    let mut ids = Vec::new();
    for code in ["wrong no number", "print 1", "print 2"] {
        ids.push(front_end.send(cell(code)).await);
    }
    let first = executed(front_end.reply(&ids[0]).await);
    assert_eq!(first.status, ReplyStatus::Error);
    assert_eq!(first.error.unwrap().evalue, "no number");
    for id in &ids[1..] {
        assert_eq!(executed(front_end.reply(id).await).status, ReplyStatus::Aborted);
    }
    let (reply, published) = front_end.run("print 3").await;
    assert_eq!((reply.status, text(&published)), (ReplyStatus::Ok, "3".to_owned()));
    // Where a front end says so, they run.
    let going_on = ExecuteRequest { stop_on_error: false, ..cell("wrong again") };
    let (wrong, next) = (front_end.send(going_on).await, front_end.send(cell("print 4")).await);
    assert_eq!(executed(front_end.reply(&wrong).await).status, ReplyStatus::Error);
    assert_eq!(executed(front_end.reply(&next).await).status, ReplyStatus::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_points_into_its_cell_and_an_end_of_the_process_is_told() {
    let mut front_end = FrontEnd::start().await;
    let (_, published) = front_end.run("wrong types").await;
    let Some(Content::ErrorOutput(error)) = published.iter().find(|c| c.message_type() == "error")
    else {
        panic!("{:?}", kinds(&published));
    };
    let traceback = error.traceback.join("\n");
    assert_eq!((&*error.ename, &*error.evalue), ("compile error", "types"));
    assert!(traceback.contains("E0308") && traceback.contains("cell 1:1:1"), "{traceback}");
    let (reply, _) = front_end.run("gone").await;
    let error = reply.error.unwrap();
    assert_eq!(error.ename, "process ended");
    assert!(error.evalue.contains("all variables are gone"), "{}", error.evalue);
    assert_eq!(front_end.run("print on").await.0.status, ReplyStatus::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_asks_and_a_second_one_kills() {
    let mut front_end = FrontEnd::start().await;
    // Nothing runs: nobody is signalled.
    let reply = front_end.control(InterruptRequest {}).await;
    assert_eq!(reply.message_type(), "interrupt_reply");
    // Where no cell runs, it is for what widgets call.
    let signals = std::mem::take(&mut *front_end.seen.signals.lock().unwrap());
    assert_eq!(signals, [Signal::InterruptCallbacks]);

    let id = front_end.send(cell("wait")).await;
    front_end.waits().await;
    front_end.control(InterruptRequest {}).await;
    let reply = executed(front_end.reply(&id).await);
    assert_eq!(reply.error.unwrap().ename, "interrupted");
    assert_eq!(*front_end.seen.signals.lock().unwrap(), [Signal::Interrupt]);

    front_end.seen.signals.lock().unwrap().clear();
    let id = front_end.send(cell("wait stubborn")).await;
    front_end.waits().await;
    front_end.control(InterruptRequest {}).await;
    // The first takes effect before the second is sent.
    while front_end.seen.signals.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    front_end.control(InterruptRequest {}).await;
    assert_eq!(executed(front_end.reply(&id).await).status, ReplyStatus::Error);
    assert_eq!(*front_end.seen.signals.lock().unwrap(), [Signal::Interrupt, Signal::Kill]);
    assert_eq!(front_end.run("print on").await.0.status, ReplyStatus::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_asks_the_reader_where_it_may() {
    let mut front_end = FrontEnd::start().await;
    let id = front_end.send(ExecuteRequest { allow_stdin: true, ..cell("ask name: ") }).await;
    let asked = timeout(PATIENCE, front_end.stdin.read()).await.unwrap().unwrap();
    let Content::InputRequest(request) = &asked.content else { panic!("{asked:?}") };
    assert_eq!((&*request.prompt, request.password), ("name: ", false));
    let answer = InputReply { value: "Ada".into(), ..Default::default() };
    front_end.stdin.send(answer.as_child_of(&asked)).await.unwrap();
    assert_eq!(text(&front_end.published(&id).await), "Ada");
    front_end.reply(&id).await;

    let (reply, published) =
        front_end.ask(ExecuteRequest { allow_stdin: false, ..cell("ask name: ") }).await;
    assert_eq!((executed(reply).status, text(&published)), (ReplyStatus::Ok, "nobody".to_owned()));

    // An interrupt ends the question.
    let id = front_end.send(ExecuteRequest { allow_stdin: true, ..cell("ask again: ") }).await;
    let late = timeout(PATIENCE, front_end.stdin.read()).await.unwrap().unwrap();
    front_end.control(InterruptRequest {}).await;
    assert_eq!(executed(front_end.reply(&id).await).error.unwrap().ename, "interrupted");

    // A late answer is none to the next question, whether it comes before that is asked or behind.
    for is_late in [true, false] {
        let answer = |value: &str, asked: &JupyterMessage| {
            InputReply { value: value.into(), ..Default::default() }.as_child_of(asked)
        };
        if is_late {
            front_end.stdin.send(answer("late", &late)).await.unwrap();
        }
        let id = front_end.send(ExecuteRequest { allow_stdin: true, ..cell("ask more: ") }).await;
        let asked = timeout(PATIENCE, front_end.stdin.read()).await.unwrap().unwrap();
        if !is_late {
            front_end.stdin.send(answer("late", &late)).await.unwrap();
        }
        front_end.stdin.send(answer("in time", &asked)).await.unwrap();
        assert_eq!(text(&front_end.published(&id).await), "in time");
        front_end.reply(&id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_a_cell_are_answered_in_characters() {
    let mut front_end = FrontEnd::start().await;
    let complete = CompleteRequest { code: "é prin".into(), cursor_pos: 3 };
    let (Content::CompleteReply(reply), _) = front_end.ask(complete).await else { panic!() };
    assert_eq!((reply.matches, reply.cursor_start, reply.cursor_end), (vec!["print".into()], 0, 3));
    let nothing = CompleteRequest { code: String::new(), cursor_pos: 0 };
    let (Content::CompleteReply(reply), _) = front_end.ask(nothing).await else { panic!() };
    assert!(reply.matches.is_empty());

    let inspect = |code: &str, cursor_pos| InspectRequest {
        code: code.into(),
        cursor_pos,
        detail_level: None,
    };
    // From within the word.
    let (Content::InspectReply(reply), _) = front_end.ask(inspect("é print 1", 4)).await else {
        panic!()
    };
    assert!(reply.found);
    let (Content::InspectReply(reply), _) = front_end.ask(inspect("é", 1)).await else { panic!() };
    assert!(!reply.found);

    let is_complete = IsCompleteRequest { code: "fn f() {".into() };
    let (reply, _) = front_end.ask(is_complete).await;
    let reply = serde_json::to_value(&reply).unwrap();
    assert_eq!(reply["status"], "incomplete");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_holds_the_cells_with_their_numbers() {
    let mut front_end = FrontEnd::start().await;
    front_end.run("print 1").await;
    front_end.run("value 2").await;
    let tail = HistoryRequest::Tail { n: 2, output: true, raw: true };
    let (reply, _) = front_end.ask(tail).await;
    let reply = serde_json::to_value(&reply).unwrap();
    assert_eq!(reply["history"][0][2][0], "print 1");
    assert_eq!(reply["history"][1][1], 2);
    assert_eq!(reply["history"][1][2], json!(["value 2", "2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comm_is_closed_and_what_is_unknown_is_refused() {
    let mut front_end = FrontEnd::start().await;
    let open = json!({ "comm_id": "c", "target_name": "t", "data": {} });
    let open: CommOpen = serde_json::from_value(open).unwrap();
    let id = front_end.send(open).await;
    let published = front_end.published(&id).await;
    assert_eq!(kinds(&published), ["status", "comm_close", "status"]);
    let Content::CommClose(close) = &published[1] else { panic!("{published:?}") };
    assert!(close.data["reason"].as_str().unwrap().contains("\"t\""), "{close:?}");
    let (reply, _) = front_end.ask(CommInfoRequest { target_name: None }).await;
    assert_eq!(serde_json::to_value(&reply).unwrap()["comms"], json!({}));

    let unknown = UnknownMessage { msg_type: "dance_request".into(), content: Value::Null };
    let id = front_end.send(Content::UnknownMessage(unknown)).await;
    let reply = serde_json::to_value(front_end.reply(&id).await).unwrap();
    assert_eq!(reply["status"], "error");
    let (reply, _) = front_end.ask(KernelInfoRequest {}).await;
    assert_eq!(reply.message_type(), "kernel_info_reply");
    assert_eq!(info::kernel_info().content["supported_features"], json!(["kernel subshells"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn subshells_are_made_listed_and_ended() {
    let mut front_end = FrontEnd::start().await;
    let mut ask = async |kind: &str, content: Value| {
        let request = UnknownMessage { msg_type: format!("{kind}_subshell_request"), content };
        let reply = front_end.control(Content::UnknownMessage(request)).await;
        serde_json::to_value(reply).unwrap()
    };
    let made = ask("create", json!({})).await;
    assert_eq!(made["status"], "ok");
    assert_eq!(ask("list", json!({})).await["subshell_id"], json!([made["subshell_id"]]));
    let named = json!({ "subshell_id": made["subshell_id"] });
    assert_eq!(ask("delete", named.clone()).await["status"], "ok");
    let again = ask("delete", named).await;
    assert_eq!(again["status"], "error");
    assert!(again["evalue"].as_str().unwrap().contains(made["subshell_id"].as_str().unwrap()));
    assert_eq!(ask("list", json!({})).await["subshell_id"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_comms_pass_while_a_cell_runs_in_their_order() {
    let mut front_end = FrontEnd::start().await;
    let comm = json!({ "type": "comm_target", "content": { "target_name": "t" } });
    front_end.run(&format!("comm {comm}")).await;
    let cell_id = front_end.send(cell("wait")).await;
    front_end.waits().await;
    let open: CommOpen =
        serde_json::from_value(json!({ "comm_id": "c", "target_name": "t", "data": {} })).unwrap();
    let id = front_end.send(open).await;
    assert_eq!(kinds(&front_end.published(&id).await), ["status", "status"]);
    for number in 0..100 {
        let message = json!({ "comm_id": "c", "data": { "number": number } });
        let message: CommMsg = serde_json::from_value(message).unwrap();
        let message = JupyterMessage::new(message, None).with_buffers(vec![vec![1, 2].into()]);
        front_end.send(message).await;
    }
    let message: CommMsg =
        serde_json::from_value(json!({ "comm_id": "another", "data": {} })).unwrap();
    let id = front_end.send(message).await;
    assert_eq!(kinds(&front_end.published(&id).await), ["status", "status"]);
    let (reply, _) = front_end.ask(CommInfoRequest { target_name: Some("t".into()) }).await;
    let comms = serde_json::to_value(&reply).unwrap()["comms"].clone();
    assert_eq!(comms, json!({ "c": { "target_name": "t" } }));
    let seen = std::mem::take(&mut *front_end.seen.comms.lock().unwrap());
    assert_eq!((seen.len(), &seen[0]["type"]), (101, &json!("comm_open")));
    for (number, message) in seen[1..].iter().enumerate() {
        assert_eq!(message["content"]["data"]["number"], number);
        assert_eq!(message["buffers"], json!([2]));
        assert_eq!(message["header"]["msg_type"], "comm_msg");
    }
    front_end.control(InterruptRequest {}).await;
    front_end.reply(&cell_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cell_sends_goes_out_in_order_and_ends_with_its_process() {
    let mut front_end = FrontEnd::start().await;
    let open = json!({ "type": "comm_open", "metadata": { "version": "2.1.0" },
                       "content": { "comm_id": "c", "target_name": "t", "data": { "a": 1 } } });
    let id = front_end.send(cell(&format!("comm {open}"))).await;
    let sent = loop {
        let message = timeout(PATIENCE, front_end.iopub.read()).await.unwrap().unwrap();
        if matches!(message.content, Content::CommOpen(_)) {
            break message;
        }
    };
    assert_eq!(sent.metadata["version"], "2.1.0");
    assert_eq!((sent.buffers.len(), &sent.buffers[0][..]), (1, &[7, 8][..]));
    front_end.reply(&id).await;
    let (_, published) = front_end.run("comm {}").await;
    assert!(text(&published).contains("was not sent"), "{published:?}");
    let (_, published) = front_end.run("end-of-process").await;
    let Some(Content::CommClose(close)) =
        published.iter().find(|content| matches!(content, Content::CommClose(_)))
    else {
        panic!("{published:?}")
    };
    assert_eq!(close.comm_id.0, "c");
    let message: CommMsg = serde_json::from_value(json!({ "comm_id": "c", "data": {} })).unwrap();
    let id = front_end.send(message).await;
    assert_eq!(kinds(&front_end.published(&id).await), ["status", "comm_close", "status"]);
    let (reply, _) = front_end.ask(CommInfoRequest { target_name: None }).await;
    assert_eq!(serde_json::to_value(&reply).unwrap()["comms"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_the_output_of_an_earlier_cell_goes_there() {
    let mut front_end = FrontEnd::start().await;
    let first = front_end.send(cell("new-output 1")).await;
    front_end.published(&first).await;
    let second = front_end.send(cell("print-in 1 there")).await;
    let mut texts = Vec::new();
    while texts.len() < 2 {
        let message = timeout(PATIENCE, front_end.iopub.read()).await.unwrap().unwrap();
        if let Content::StreamContent(stream) = &message.content {
            texts.push((stream.text.clone(), message.parent_header.unwrap().msg_id));
        }
    }
    let of = |text: &str, id: &str| (text.to_owned(), id.to_owned());
    texts.sort_by_key(|(text, _)| text.clone());
    assert_eq!(texts, [of("beforeafter", &second), of("there", &first)]);
    front_end.reply(&first).await;
    front_end.reply(&second).await;
    // What no number stands for goes to the cell.
    let (_, published) = front_end.run("print-in 9 here").await;
    assert_eq!(text(&published), "beforehereafter");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_while_a_cell_runs_which_stays_busy() {
    let mut front_end = FrontEnd::start().await;
    let cell_id = front_end.send(cell("wait")).await;
    front_end.waits().await;
    let questions: [JupyterMessage; 6] = [
        KernelInfoRequest {}.into(),
        IsCompleteRequest { code: "1".into() }.into(),
        CompleteRequest { code: "prin".into(), cursor_pos: 4 }.into(),
        InspectRequest { code: "print".into(), cursor_pos: 5, detail_level: None }.into(),
        HistoryRequest::Tail { n: 1, output: false, raw: true }.into(),
        CommInfoRequest { target_name: None }.into(),
    ];
    for question in questions {
        let kind = question.message_type().replace("request", "reply");
        let (reply, _) = front_end.ask(question).await;
        assert_eq!(reply.message_type(), kind);
        let next = timeout(PATIENCE, front_end.iopub.read()).await.unwrap().unwrap();
        let Content::Status(status) = &next.content else { panic!("{next:?}") };
        assert_eq!(status.execution_state, Status::busy().execution_state);
        assert_eq!(next.parent_header.unwrap().msg_id, cell_id);
    }
    front_end.control(InterruptRequest {}).await;
    assert_eq!(executed(front_end.reply(&cell_id).await).status, ReplyStatus::Error);
    // Now that none runs, idle is the last that is said.
    let (_, published) = front_end.ask(KernelInfoRequest {}).await;
    assert_eq!(kinds(&published), ["status", "status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_are_dropped_and_the_next_is_answered() {
    let mut front_end = FrontEnd::start().await;
    // Signed with another key.
    let mut forged = zeromq::DealerSocket::new();
    forged.connect(&front_end.info.shell_url()).await.unwrap();
    let mut forged = Connection::new(forged, "another key", "a session");
    forged.send(cell("print forged").into()).await.unwrap();
    assert!(timeout(Duration::from_millis(200), forged.read()).await.is_err());
    // Cut off, and no text at all.
    let mut raw = zeromq::DealerSocket::new();
    raw.connect(&front_end.info.shell_url()).await.unwrap();
    for bytes in [&b"<IDS|MSG>"[..], b"\xff\xfe", b""] {
        raw.send(bytes.to_vec().into()).await.unwrap();
    }
    let (reply, published) = front_end.run("print genuine").await;
    assert_eq!((reply.status, text(&published)), (ReplyStatus::Ok, "genuine".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_is_answered_while_a_cell_runs_and_a_shutdown_ends_all() {
    let mut front_end = FrontEnd::start().await;
    front_end.send(cell("wait stubborn")).await;
    front_end.waits().await;
    assert_eq!(front_end.control(KernelInfoRequest {}).await.message_type(), "kernel_info_reply");
    let reply = front_end.control(ShutdownRequest { restart: false }).await;
    assert_eq!(serde_json::to_value(&reply).unwrap()["restart"], false);
    timeout(PATIENCE, front_end.served).await.unwrap().unwrap();
    assert_eq!(*front_end.seen.signals.lock().unwrap(), [Signal::End]);
}
