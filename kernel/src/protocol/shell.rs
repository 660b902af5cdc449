//! The shell channel: cells and questions about them, one after the other.

use std::collections::{HashMap, VecDeque};
use std::mem::swap;
use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::{
    CommClose, CommInfoReply, CompleteReply, DisplayData, ExecuteInput, ExecuteReply,
    ExecuteRequest, ExecutionCount, ExpressionResult, HistoryReply, InputRequest, InspectReply,
    IsCompleteReply, JupyterMessage, JupyterMessageContent as Content, ReplyError, ReplyStatus,
    Status,
};
use jupyter_zmq_client::{KernelStdinConnection, RouterSendConnection};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

use super::history::History;
use super::info::kernel_info;
use super::iopub::{self, Event, Request};
use super::report::Report;
use super::wire;
use crate::completeness;
use crate::engine::{
    Ask, CellError, CellOutcome, Completions, Documentation, Engine, EngineRequest,
};

/// The shell channel: one message after the other.
pub(super) struct Shell {
    pub(super) requests: mpsc::UnboundedReceiver<JupyterMessage>,
    /// Requests that have arrived and were looked at, but not answered.
    pub(super) waiting: VecDeque<JupyterMessage>,
    pub(super) replies: RouterSendConnection,
    pub(super) publish: mpsc::Sender<JupyterMessage>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) history: Option<History>,
    pub(super) count: usize,
    /// The cells that were run, with their numbers: a panic may be in an earlier one.
    pub(super) cells: VecDeque<(usize, String)>,
    pub(super) input: Arc<tokio::sync::Mutex<KernelStdinConnection>>,
    pub(super) stop: Arc<Notify>,
}

/// How many cells are remembered for the place of a panic.
const CELLS: usize = 500;

impl Shell {
    pub(super) async fn run(mut self) {
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
        // A front end sends all cells of a notebook at once: some may still be on their way.
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
                log::warn!("a message of type {} was not carried out", other.message_type());
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

        self.engine.state().begin();
        let number = stored.then_some(self.count);
        let outcome = self.evaluate(&request.code, number, message, request.allow_stdin, false).await;
        let interrupts = self.engine.state().end();

        let failure = self.reports_of(&outcome, interrupts);
        let CellOutcome { mut commands, value: mut data, .. } = outcome;
        // The value is the result; what commands said before it is shown beside it.
        if data.is_empty() {
            swap(&mut data, &mut commands);
        }
        if !commands.is_empty() && !request.silent {
            let display = DisplayData::new(iopub::media(commands));
            self.publish(display.as_child_of(message)).await;
        }
        let shown = !data.is_empty() && !request.silent;
        let text =
            data.get("text/plain").and_then(Value::as_str).map(|text| text.trim_end().to_owned());
        if shown {
            let result = iopub::execute_result(execution_count, data);
            self.publish(result.as_child_of(message)).await;
        }
        if stored
            && let Some(history) = &self.history
            && let Err(error) = history.add(self.count, &request.code, text)
        {
            log::warn!("the history: {error:#}");
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
        number: Option<usize>,
        message: &JupyterMessage,
        allow_stdin: bool,
        mute: bool,
    ) -> CellOutcome {
        let request = Request { parent: message.clone(), mute };
        let _ = self.events.send(Event::Request(Box::new(request))).await;
        let (done, outcome) = oneshot::channel();
        let input = self.input_of(message, allow_stdin);
        self.engine.submit(EngineRequest::Execute { code: code.to_owned(), number, input, done });
        let outcome = outcome
            .await
            .unwrap_or_else(|_| CellOutcome::failed("the kernel itself has failed: restart it"));
        let (complete, completed) = oneshot::channel();
        let _ = self.events.send(Event::Finish { outcome, complete }).await;
        completed.await.unwrap_or_else(|_| CellOutcome::failed("the kernel is ending"))
    }

    /// What there is to say of a cell that failed or was interrupted; None for one that did well.
    fn reports_of(&self, outcome: &CellOutcome, interrupts: u32) -> Option<Vec<Report>> {
        let interrupted = |text| vec![Report::new("interrupted", text)];
        let reports = match &outcome.error {
            Some(CellError::Panic(panic)) => vec![Report::panic(panic.as_ref(), &self.cells)],
            Some(CellError::Returned(error)) => vec![Report::new("error", error)],
            None if interrupts > 0 => interrupted("stopped when asked to; all variables are kept"),
            None => return None,
            Some(CellError::ProcessEnded { .. }) if interrupts > 0 => interrupted(
                "stopped by force, since the cell did not listen: all variables are gone; \
                 functions, types and imports are kept",
            ),
            Some(CellError::ProcessEnded { how, last_words }) => {
                vec![Report::gone(how, last_words)]
            }
            Some(_) if interrupts > 0 => {
                interrupted("stopped while it was compiled: nothing was run, everything is kept")
            }
            Some(CellError::Compilation(errors)) => errors.iter().map(Report::compilation).collect(),
            Some(CellError::Other(message)) => vec![Report::new("error", message)],
        };
        Some(reports)
    }

    async fn expressions(
        &mut self,
        expressions: HashMap<String, String>,
        message: &JupyterMessage,
    ) -> HashMap<String, ExpressionResult> {
        let mut results = HashMap::new();
        for (name, code) in expressions {
            self.engine.state().begin();
            let outcome = self.evaluate(&code, None, message, false, true).await;
            let interrupts = self.engine.state().end();
            let failure = self.reports_of(&outcome, interrupts);
            let result = match failure.as_ref().and_then(|reports| reports.first()) {
                None => {
                    ExpressionResult::Ok { data: iopub::media(outcome.value), metadata: Map::new() }
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
            return Box::new(|_, _| None);
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
                    log::warn!("the reader could not be asked: {error}");
                    return None;
                }
                loop {
                    tokio::select! {
                        reply = wire::read(&mut *socket) => match reply {
                            Ok(JupyterMessage { content: Content::InputReply(reply), .. }) => {
                                return Some(reply.value);
                            }
                            Ok(_) => {}
                            Err(error) => log::warn!("an answer was dropped: {error}"),
                        },
                        () = stopped.as_mut() => return None,
                    }
                }
            })
        })
    }

    async fn complete(&mut self, code: &str, cursor: usize) -> CompleteReply {
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

    async fn inspect(&mut self, code: &str, cursor: usize) -> InspectReply {
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

    async fn publish(&self, message: JupyterMessage) {
        // The publisher ends after this task.
        let _ = self.publish.send(message).await;
    }

    async fn reply(&mut self, message: JupyterMessage) {
        if let Err(error) = self.replies.send(message).await {
            log::warn!("a reply could not be sent: {error}");
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
