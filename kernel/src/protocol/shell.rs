//! The cells of the shell channel, one after the other.

use std::collections::{HashMap, VecDeque};
use std::mem::swap;
use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::{
    DisplayData, ExecuteInput, ExecuteReply, ExecuteRequest, ExecutionCount, ExpressionResult,
    InputRequest, JupyterMessage, JupyterMessageContent as Content, ReplyError, ReplyStatus,
};
use jupyter_zmq_client::{KernelStdinConnection, RouterSendConnection};
use serde_json::{Map, Value};
use tokio::sync::{Notify, mpsc, oneshot};

use super::history::History;
use super::iopub::{self, Event, Request};
use super::questions::reply_by;
use super::report::Report;
use super::status::Statuses;
use super::wire;
use crate::engine::{Ask, CellError, CellOutcome, Engine, EngineRequest};

/// Carries out cells.
pub(super) struct Shell {
    pub(super) requests: mpsc::UnboundedReceiver<JupyterMessage>,
    pub(super) replies: Arc<tokio::sync::Mutex<RouterSendConnection>>,
    pub(super) statuses: Statuses,
    pub(super) publish: mpsc::Sender<JupyterMessage>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) history: Option<Arc<History>>,
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
        while let Some(message) = self.requests.recv().await {
            self.answer(&message).await;
        }
    }

    async fn answer(&mut self, message: &JupyterMessage) {
        let Content::ExecuteRequest(request) = &message.content else { return };
        self.statuses.begin_cell(message).await;
        let reply = self.execute(request, message).await;
        // The cells that were sent before this reply must not run on what a failed one left.
        let aborted = if request.stop_on_error && reply.status == ReplyStatus::Error {
            self.take_waiting_cells().await
        } else {
            Vec::new()
        };
        reply_by(&self.replies, reply.as_child_of(message)).await;
        self.statuses.end_cell(message).await;
        for message in aborted {
            self.abort(&message).await;
        }
    }

    /// The cells that have arrived.
    async fn take_waiting_cells(&mut self) -> Vec<JupyterMessage> {
        // A front end sends all cells of a notebook at once: some may still be on their way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    async fn abort(&mut self, message: &JupyterMessage) {
        self.statuses.begin_cell(message).await;
        let reply = ExecuteReply {
            status: ReplyStatus::Aborted,
            execution_count: ExecutionCount::new(self.count),
            ..Default::default()
        };
        reply_by(&self.replies, reply.as_child_of(message)).await;
        self.statuses.end_cell(message).await;
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
        let outcome =
            self.evaluate(&request.code, number, message, request.allow_stdin, false).await;
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
            Some(CellError::Panic(panic)) => vec![Report::panic(panic.as_deref(), &self.cells)],
            Some(CellError::Returned(error)) => vec![Report::new("error", error)],
            Some(CellError::Interrupted) => {
                interrupted("stopped when asked to; all variables of earlier cells are kept")
            }
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
            Some(CellError::Compilation(errors)) => {
                errors.iter().map(Report::compilation).collect()
            }
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
                let request = request.as_child_of(&parent);
                let asked = request.header.msg_id.clone();
                let mut socket = socket.lock().await;
                // An answer to a question that was interrupted is none to this one.
                while tokio::time::timeout(Duration::ZERO, wire::read(&mut *socket)).await.is_ok() {}
                // From now on: the front end may interrupt as soon as it was asked.
                let mut stopped = std::pin::pin!(stop.notified());
                stopped.as_mut().enable();
                if let Err(error) = socket.send(request).await {
                    log::warn!("the reader could not be asked: {error}");
                    return None;
                }
                loop {
                    tokio::select! {
                        reply = wire::read(&mut *socket) => match reply {
                            Ok(JupyterMessage { content: Content::InputReply(reply), parent_header, .. })
                                if parent_header.as_ref().is_none_or(|of| of.msg_id == asked) =>
                            {
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

    async fn publish(&self, message: JupyterMessage) {
        // The publisher ends after this task.
        let _ = self.publish.send(message).await;
    }
}
