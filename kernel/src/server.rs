//! The five sockets of a Jupyter kernel, and an answer to each message.
//!
//! The protocol: <https://jupyter-client.readthedocs.io/en/stable/messaging.html>, version 5.4.

use std::collections::{HashMap, VecDeque};
use std::mem::swap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jupyter_protocol::{
    CodeMirrorMode, CommClose, CommInfoReply, CompleteReply, ConnectionInfo, DisplayData,
    ExecuteInput, ExecuteReply, ExecuteRequest, ExecutionCount, ExpressionResult, HelpLink,
    HistoryReply, InputRequest, InspectReply, InterruptReply, IoPubWelcome, IsCompleteReply,
    JupyterMessage, JupyterMessageContent as Content, KernelInfoReply, LanguageInfo, ReplyError,
    ReplyStatus, ShutdownReply, Status,
};
use jupyter_zmq_client::{
    KernelControlConnection, KernelIoPubXPubConnection, KernelStdinConnection,
    RouterRecvConnection, RouterSendConnection, RuntimeError, SubscriptionEvent,
};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::completeness;
use crate::history::History;
use crate::live::{self, Event, Pump, Request, Seen};
use crate::report::Report;
use crate::session::{Ask, Job, Outcome, State};
use crate::wire;

const PROTOCOL: &str = "5.4";

/// The sockets, bound.
pub struct Sockets {
    shell: RouterRecvConnection,
    replies: RouterSendConnection,
    control: KernelControlConnection,
    stdin: KernelStdinConnection,
    iopub: KernelIoPubXPubConnection,
}

impl Sockets {
    /// Binds them and answers heartbeats.
    ///
    /// # Errors
    /// A connection file that cannot be read, and a port that is in use.
    pub async fn bind(connection_file: &PathBuf) -> Result<Sockets> {
        use jupyter_zmq_client as zmq;
        let text = std::fs::read_to_string(connection_file)
            .with_context(|| format!("{} cannot be read", connection_file.display()))?;
        let info: ConnectionInfo = serde_json::from_str(&text)
            .with_context(|| format!("{} is no connection file", connection_file.display()))?;
        let session = uuid::Uuid::new_v4().to_string();
        let failed = || format!("a port of {} cannot be bound", connection_file.display());
        let mut heartbeat =
            zmq::create_kernel_heartbeat_connection(&info).await.with_context(failed)?;
        tokio::spawn(async move { while heartbeat.single_heartbeat().await.is_ok() {} });
        let shell = zmq::create_kernel_shell_connection(&info, &session).await;
        let (replies, shell) = shell.with_context(failed)?.split();
        let control = zmq::create_kernel_control_connection(&info, &session).await;
        let stdin = zmq::create_kernel_stdin_connection(&info, &session).await;
        let iopub = zmq::create_kernel_iopub_xpub_connection(&info, &session).await;
        Ok(Sockets {
            shell,
            replies,
            control: control.with_context(failed)?,
            stdin: stdin.with_context(failed)?,
            iopub: iopub.with_context(failed)?,
        })
    }
}

/// What the server works with.
pub struct Parts {
    /// Where evaluation happens.
    pub jobs: Sender<Job>,
    /// Where the session stands.
    pub state: Arc<State>,
    /// To the pump.
    pub events: mpsc::Sender<Event>,
    /// From everybody to the pump.
    pub pumped: mpsc::Receiver<Event>,
    /// The history, if it can be kept.
    pub history: Option<History>,
    /// Told to end for another reason than a message.
    pub ended: Arc<Notify>,
}

/// Serves until a shutdown is asked for.
pub async fn serve(sockets: Sockets, parts: Parts) {
    let Parts { jobs, state, events, pumped, history, ended } = parts;
    let Sockets { mut shell, replies, control, stdin, iopub } = sockets;
    let (publish, published) = mpsc::channel(64);
    let publisher = tokio::spawn(publish_all(iopub, published));
    let pump = tokio::spawn(Pump::new(pumped, publish.clone()).run());

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
                Err(error) => eprintln!("a message on the shell channel was dropped: {error}"),
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
        jobs,
        state: Arc::clone(&state),
        history,
        count: 0,
        cells: VecDeque::new(),
        input: Arc::new(tokio::sync::Mutex::new(stdin)),
        stop: Arc::clone(&stop),
    };
    let shell = tokio::spawn(worker.run());
    let control =
        Control { socket: control, publish: publish.clone(), state: Arc::clone(&state), stop };
    tokio::select! {
        () = control.run() => {}
        () = ended.notified() => {}
    }
    state.kill();
    shell.abort();
    pump.abort();
    drop(publish);
    let _ = shell.await;
    let _ = pump.await;
    // What is still on its way, the last status among it.
    let _ = tokio::time::timeout(Duration::from_millis(500), publisher).await;
}

/// A socket that is gone, in contrast to a message that cannot be used.
fn is_fatal(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::ZmqError(_) | RuntimeError::IoError(_))
        && error.to_string().contains("No message")
}

/// Sends what is published, and welcomes everybody who subscribes.
async fn publish_all(
    mut iopub: KernelIoPubXPubConnection,
    mut messages: mpsc::Receiver<JupyterMessage>,
) {
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return };
                if let Err(error) = iopub.send(message).await {
                    eprintln!("a message could not be published: {error}");
                }
            }
            event = iopub.recv_subscription() => {
                // An error here is a front end that has gone.
                if let Ok(SubscriptionEvent::Subscribe(topic)) = event
                    && let Err(error) = iopub.send(IoPubWelcome::new(topic).into()).await
                {
                    eprintln!("a front end could not be welcomed: {error}");
                }
            }
        }
    }
}

/// The control channel: it is answered while a cell runs.
struct Control {
    socket: KernelControlConnection,
    publish: mpsc::Sender<JupyterMessage>,
    state: Arc<State>,
    stop: Arc<Notify>,
}

impl Control {
    /// Returns when a shutdown was asked for and answered.
    async fn run(mut self) {
        loop {
            let message = match wire::read(&mut self.socket).await {
                Ok(message) => message,
                Err(error) if is_fatal(&error) => return,
                Err(error) => {
                    eprintln!("a message on the control channel was dropped: {error}");
                    continue;
                }
            };
            self.status(Status::busy(), &message).await;
            let mut last = false;
            let reply = match &message.content {
                Content::KernelInfoRequest(_) => Some(kernel_info().as_child_of(&message)),
                Content::InterruptRequest(_) => {
                    let state = Arc::clone(&self.state);
                    let counted = state.count_interrupt();
                    // A cell that waits for the reader may end at once.
                    self.stop.notify_waiters();
                    if let Some(interrupt) = counted {
                        // It may have to wait for the compiler; the reply does not.
                        tokio::spawn(async move { state.interrupt(interrupt).await });
                    }
                    Some(InterruptReply::new().as_child_of(&message))
                }
                Content::ShutdownRequest(request) => {
                    last = true;
                    let reply = ShutdownReply { restart: request.restart, ..Default::default() };
                    Some(reply.as_child_of(&message))
                }
                _ => wire::refusal(&message),
            };
            if let Some(reply) = reply
                && let Err(error) = self.socket.send(reply).await
            {
                eprintln!("a reply on the control channel could not be sent: {error}");
            }
            self.status(Status::idle(), &message).await;
            if last {
                return;
            }
        }
    }

    async fn status(&self, status: Status, message: &JupyterMessage) {
        // The publisher ends after this task.
        let _ = self.publish.send(status.as_child_of(message)).await;
    }
}

/// The shell channel: one message after the other.
struct Shell {
    requests: mpsc::UnboundedReceiver<JupyterMessage>,
    /// Requests that have arrived and were looked at, but not answered.
    waiting: VecDeque<JupyterMessage>,
    replies: RouterSendConnection,
    publish: mpsc::Sender<JupyterMessage>,
    events: mpsc::Sender<Event>,
    jobs: Sender<Job>,
    state: Arc<State>,
    history: Option<History>,
    count: usize,
    /// The cells that were run, with their numbers: a panic may be in an earlier one.
    cells: VecDeque<(usize, String)>,
    input: Arc<tokio::sync::Mutex<KernelStdinConnection>>,
    stop: Arc<Notify>,
}

/// How many cells are remembered for the place of a panic.
const CELLS: usize = 500;

impl Shell {
    async fn run(mut self) {
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => match self.requests.recv().await {
                    Some(message) => message,
                    None => return,
                },
            };
            self.answer(&message).await;
        }
    }

    async fn answer(&mut self, message: &JupyterMessage) {
        self.publish(Status::busy().as_child_of(message)).await;
        let reply = self.reply_to(message).await;
        // The cells that were sent before this reply must not run on what a failed one left.
        let aborted = match (&message.content, &reply) {
            (Content::ExecuteRequest(request), Some(reply))
                if request.stop_on_error && failed(reply) =>
            {
                self.take_waiting_cells().await
            }
            _ => Vec::new(),
        };
        if let Some(reply) = reply {
            self.reply(reply).await;
        }
        self.publish(Status::idle().as_child_of(message)).await;
        for message in aborted {
            self.abort(&message).await;
        }
    }

    /// The cells that have arrived; everything else waits on.
    async fn take_waiting_cells(&mut self) -> Vec<JupyterMessage> {
        // Some may be on their way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut arrived = std::mem::take(&mut self.waiting);
        while let Ok(message) = self.requests.try_recv() {
            arrived.push_back(message);
        }
        let (cells, others) = arrived
            .into_iter()
            .partition(|message| matches!(message.content, Content::ExecuteRequest(_)));
        self.waiting = others;
        Vec::from(cells)
    }

    async fn reply_to(&mut self, message: &JupyterMessage) -> Option<JupyterMessage> {
        match &message.content {
            Content::ExecuteRequest(request) => {
                Some(self.execute(request, message).await.as_child_of(message))
            }
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
            Content::CommInfoRequest(_) => Some(CommInfoReply::default().as_child_of(message)),
            Content::CommOpen(open) => {
                // There is no target here that could be talked to.
                let close = CommClose { comm_id: open.comm_id.clone(), data: Map::new() };
                self.publish(close.as_child_of(message)).await;
                None
            }
            Content::CommMsg(_) | Content::CommClose(_) => None,
            other => {
                eprintln!("a message of type {} was not carried out", other.message_type());
                wire::refusal(message)
            }
        }
    }

    async fn abort(&mut self, message: &JupyterMessage) {
        self.publish(Status::busy().as_child_of(message)).await;
        let reply = ExecuteReply {
            status: ReplyStatus::Aborted,
            execution_count: ExecutionCount::new(self.count),
            ..Default::default()
        };
        self.reply(reply.as_child_of(message)).await;
        self.publish(Status::idle().as_child_of(message)).await;
    }

    async fn execute(
        &mut self,
        request: &ExecuteRequest,
        message: &JupyterMessage,
    ) -> ExecuteReply {
        let stored = request.store_history && !request.silent;
        if stored {
            self.count += 1;
        }
        let execution_count = ExecutionCount::new(self.count);
        if !request.silent {
            let input = ExecuteInput { code: request.code.clone(), execution_count };
            self.publish(input.as_child_of(message)).await;
        }
        self.cells.push_back((self.count, request.code.clone()));
        if self.cells.len() > CELLS {
            self.cells.pop_front();
        }

        self.state.begin();
        let (outcome, seen) =
            self.evaluate(&request.code, message, request.allow_stdin, false).await;
        let interrupts = self.state.end();

        let mut data = seen.result.clone();
        let failure = match outcome.result {
            Ok(mut commands) => {
                // The value is the result; what commands said before it is shown beside it.
                if data.is_empty() {
                    swap(&mut data, &mut commands);
                }
                if !commands.is_empty() && !request.silent {
                    let display = DisplayData::new(live::media(commands));
                    self.publish(display.as_child_of(message)).await;
                }
                self.failure_of(&seen, &outcome.compiled, interrupts)
            }
            Err(error) => Some(self.reports_of(&error, &request.code, &seen, interrupts)),
        };
        let shown = !data.is_empty() && !request.silent;
        let text =
            data.get("text/plain").and_then(Value::as_str).map(|text| text.trim_end().to_owned());
        if shown {
            let result = live::execute_result(execution_count, data);
            self.publish(result.as_child_of(message)).await;
        }
        if stored
            && let Some(history) = &self.history
            && let Err(error) = history.add(self.count, &request.code, text)
        {
            eprintln!("the history: {error:#}");
        }
        if let Some(reports) = failure {
            if !request.silent {
                for report in &reports {
                    self.publish(report.output().as_child_of(message)).await;
                }
            }
            return ExecuteReply {
                status: ReplyStatus::Error,
                execution_count,
                error: reports.first().map(Report::reply),
                ..Default::default()
            };
        }
        let expressions = request.user_expressions.clone().unwrap_or_default();
        ExecuteReply {
            execution_count,
            user_expressions: Some(self.expressions(expressions, message).await),
            ..Default::default()
        }
    }

    /// Evaluates, and waits until all that was written has been sent.
    async fn evaluate(
        &mut self,
        code: &str,
        message: &JupyterMessage,
        allow_stdin: bool,
        mute: bool,
    ) -> (Outcome, Seen) {
        let request = Request { parent: message.clone(), mute };
        let _ = self.events.send(Event::Request(Box::new(request))).await;
        let (done, outcome) = oneshot::channel();
        let input = self.input_of(message, allow_stdin);
        let sent = self.jobs.send(Job::Execute { code: code.to_owned(), input, done });
        let lost = || Outcome {
            result: Err(evcxr::Error::from("evcxr itself has failed: restart the kernel")),
            compiled: String::new(),
        };
        let outcome = match sent {
            Ok(()) => outcome.await.unwrap_or_else(|_| lost()),
            Err(_) => lost(),
        };
        let gone = matches!(outcome.result, Err(evcxr::Error::SubprocessTerminated(_)));
        let (seen, answer) = oneshot::channel();
        let _ = self.events.send(Event::Finish { gone, seen }).await;
        (outcome, answer.await.unwrap_or_default())
    }

    /// What ended a cell that evcxr takes for a success.
    fn failure_of(&mut self, seen: &Seen, compiled: &str, interrupts: u32) -> Option<Vec<Report>> {
        if seen.panicked {
            let cells = self.cells.make_contiguous();
            return Some(vec![Report::panic(seen.panic.as_ref(), compiled, cells)]);
        }
        if let Some(error) = &seen.failed {
            return Some(vec![Report::new("error", error)]);
        }
        let stopped = "stopped when asked to; all variables are kept";
        (interrupts > 0).then(|| vec![Report::new("interrupted", stopped)])
    }

    fn reports_of(
        &self,
        error: &evcxr::Error,
        code: &str,
        seen: &Seen,
        interrupts: u32,
    ) -> Vec<Report> {
        match error {
            evcxr::Error::SubprocessTerminated(_) if interrupts > 0 => {
                let text = "stopped by force, since the cell did not listen: all variables are \
                            gone; functions, types and imports are kept";
                vec![Report::new("interrupted", text)]
            }
            evcxr::Error::SubprocessTerminated(status) => {
                vec![Report::gone(status, &seen.last_words)]
            }
            _ if interrupts > 0 => {
                let text = "stopped while it was compiled: nothing was run, everything is kept";
                vec![Report::new("interrupted", text)]
            }
            evcxr::Error::CompilationErrors(errors) => Report::compilation(errors, code),
            other => vec![Report::new("error", &other.to_string())],
        }
    }

    async fn expressions(
        &mut self,
        expressions: HashMap<String, String>,
        message: &JupyterMessage,
    ) -> HashMap<String, ExpressionResult> {
        let mut results = HashMap::new();
        for (name, code) in expressions {
            self.state.begin();
            let (outcome, seen) = self.evaluate(&code, message, false, true).await;
            let interrupts = self.state.end();
            let failure = match &outcome.result {
                Ok(_) => self.failure_of(&seen, &outcome.compiled, interrupts),
                Err(error) => Some(self.reports_of(error, &code, &seen, interrupts)),
            };
            let result = match failure.as_ref().and_then(|reports| reports.first()) {
                None => {
                    ExpressionResult::Ok { data: live::media(seen.result), metadata: Map::new() }
                }
                Some(report) => {
                    let ReplyError { ename, evalue, traceback } = *report.reply();
                    ExpressionResult::Error { ename, evalue, traceback }
                }
            };
            results.insert(name, result);
        }
        results
    }

    /// Asks the front end for a line, from the thread that evaluates.
    fn input_of(&self, message: &JupyterMessage, allowed: bool) -> Ask {
        if !allowed {
            return Box::new(|prompt, _| {
                eprintln!("{prompt:?} was asked where nobody can answer");
                String::new()
            });
        }
        let socket = Arc::clone(&self.input);
        let runtime = tokio::runtime::Handle::current();
        let stop = Arc::clone(&self.stop);
        let parent = message.clone();
        Box::new(move |prompt, password| {
            runtime.block_on(async {
                let request = InputRequest { prompt: prompt.to_owned(), password };
                let mut socket = socket.lock().await;
                // From now on: the front end may interrupt as soon as it was asked.
                let mut stopped = std::pin::pin!(stop.notified());
                stopped.as_mut().enable();
                if let Err(error) = socket.send(request.as_child_of(&parent)).await {
                    eprintln!("the reader could not be asked: {error}");
                    return String::new();
                }
                loop {
                    tokio::select! {
                        reply = wire::read(&mut *socket) => match reply {
                            Ok(JupyterMessage { content: Content::InputReply(reply), .. }) => {
                                return reply.value;
                            }
                            Ok(_) => {}
                            Err(error) => eprintln!("an answer was dropped: {error}"),
                        },
                        () = stopped.as_mut() => return String::new(),
                    }
                }
            })
        })
    }

    async fn complete(&mut self, code: &str, cursor: usize) -> CompleteReply {
        let (done, answer) = oneshot::channel();
        let position = byte_offset(code, cursor);
        let _ = self.jobs.send(Job::Complete { code: code.to_owned(), position, done });
        let empty =
            CompleteReply { cursor_start: cursor, cursor_end: cursor, ..Default::default() };
        let completions = match answer.await {
            Ok(Ok(completions)) => completions,
            // rust-analyzer has nothing to say where the cell cannot be parsed.
            Ok(Err(_)) => return empty,
            Err(_) => return empty,
        };
        let start = character_offset(code, completions.start_offset);
        let end = character_offset(code, completions.end_offset);
        let types: Vec<Value> = completions
            .completions
            .iter()
            .map(|item| {
                json!({ "text": item.code, "type": item.kind, "signature": item.label,
                        "start": start, "end": end })
            })
            .collect();
        let mut metadata = Map::new();
        metadata.insert("_jupyter_types_experimental".to_owned(), Value::from(types));
        CompleteReply {
            matches: completions.completions.into_iter().map(|item| item.code).collect(),
            cursor_start: start,
            cursor_end: end,
            metadata,
            ..Default::default()
        }
    }

    async fn inspect(&mut self, code: &str, cursor: usize) -> InspectReply {
        let (done, answer) = oneshot::channel();
        let position = end_of_word(code, byte_offset(code, cursor));
        let _ = self.jobs.send(Job::Inspect { code: code.to_owned(), position, done });
        match answer.await {
            Ok(Ok((plain, html))) if plain != "No documentation found" => {
                let mut data = Map::new();
                data.insert("text/plain".to_owned(), Value::from(plain));
                data.insert("text/html".to_owned(), Value::from(html));
                InspectReply { found: true, data: live::media(data), ..Default::default() }
            }
            _ => InspectReply::default(),
        }
    }

    async fn publish(&self, message: JupyterMessage) {
        // The publisher ends after this task.
        let _ = self.publish.send(message).await;
    }

    async fn reply(&mut self, message: JupyterMessage) {
        if let Err(error) = self.replies.send(message).await {
            eprintln!("a reply could not be sent: {error}");
        }
    }
}

fn failed(reply: &JupyterMessage) -> bool {
    matches!(&reply.content, Content::ExecuteReply(reply) if reply.status == ReplyStatus::Error)
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

/// What this kernel is.
fn kernel_info() -> KernelInfoReply {
    let rust = env!("CARGO_PKG_RUST_VERSION");
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: PROTOCOL.to_owned(),
        implementation: env!("CARGO_PKG_NAME").to_owned(),
        implementation_version: env!("CARGO_PKG_VERSION").to_owned(),
        language_info: LanguageInfo {
            name: "rust".to_owned(),
            version: rust.to_owned(),
            mimetype: Some("text/x-rust".to_owned()),
            file_extension: Some(".rs".to_owned()),
            pygments_lexer: Some("rust".to_owned()),
            codemirror_mode: Some(CodeMirrorMode::Simple("rust".to_owned())),
            nbconvert_exporter: None,
        },
        banner: format!("Rust, for the GoogLeNet lab ({})", env!("CARGO_PKG_VERSION")),
        help_links: vec![HelpLink {
            text: "Rust's standard library".to_owned(),
            url: "https://doc.rust-lang.org/std/".to_owned(),
        }],
        debugger: false,
        error: None,
    }
}

#[cfg(test)]
mod tests {
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
}
