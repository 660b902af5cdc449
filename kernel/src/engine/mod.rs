//! What evaluates cells, as the protocol sees it. [`crate::session`] is one that compiles them; the tests
//! of the protocol have a small one of their own.

mod state;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

pub(crate) use state::{Interrupt, Phase, State};

/// Evaluates cells, one request after the other.
pub(crate) trait Engine: Send + Sync {
    /// Takes a request. Where it cannot be carried out any more, the channel for its answer is closed.
    fn submit(&self, request: EngineRequest);

    /// Acts on the cell that is being evaluated.
    fn signal(&self, signal: Signal);

    /// Hands a message of a front end to the cells' crates: an object with `type`, `header` and `content` as JSON,
    /// and its buffers. False where there is nobody to take it.
    fn comm(&self, json: &[u8], buffers: &[&[u8]]) -> bool;

    /// Where it stands.
    fn state(&self) -> &State;
}

/// What can be done to a cell that is being evaluated, and to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The compiler ends.
    StopCompiling,
    /// The cell is asked to stop.
    Interrupt,
    /// The reader is told that the cell does not stop by being asked.
    SayHowToKill,
    /// Code of earlier cells that runs while no cell does is asked to stop.
    InterruptCallbacks,
    /// The process that runs it is killed.
    Kill,
    /// Everything that the engine has started ends.
    End,
}

/// Where an engine sends what happens; false where nobody listens any more.
pub(crate) type Output = Arc<dyn Fn(EngineEvent) -> bool + Send + Sync>;

/// What happens while cells are evaluated.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// Bytes on standard output.
    Stdout(Vec<u8>),
    /// Bytes on standard error.
    Stderr(Vec<u8>),
    /// A Jupyter message: a JSON object with `type` and `content`.
    Message(Vec<u8>),
    /// Content that is shown.
    Content {
        /// Its MIME type.
        kind: String,
        /// The content.
        body: Vec<u8>,
    },
    /// What comes next is nothing that belongs to what was shown last.
    Apart,
    /// A message to the front ends: `comm_open`, `comm_msg`, `comm_close` or `comm_target`.
    Comm {
        /// An object with `type` and `content`, as JSON.
        json: Vec<u8>,
        /// The buffers that go with it.
        buffers: Vec<Vec<u8>>,
    },
    /// From now on, what goes to the output of this number belongs where what comes now does.
    NewOutput(u32),
    /// What comes next goes to the output of this number; 0 is that of the cell.
    Output(u32),
    /// The process has ended, and with it all its comms and outputs.
    Gone,
}

/// Asks the reader for a line: the prompt, and whether the answer is hidden. None where nobody answers.
pub(crate) type Ask = Box<dyn Fn(&str, bool) -> Option<String> + Send>;

/// What an engine is asked to do.
pub(crate) enum EngineRequest {
    /// Evaluate a cell.
    Execute {
        /// The cell.
        code: String,
        /// Its number; None for what is no cell of the notebook, such as an expression of the front end.
        number: Option<usize>,
        /// Asks the reader for a line.
        input: Ask,
        /// Where the outcome goes.
        done: oneshot::Sender<CellOutcome>,
    },
    /// What may stand at a place; nothing where the cell cannot be understood.
    Complete {
        /// The cell.
        code: String,
        /// Byte offset of the cursor.
        position: usize,
        /// Where the answer goes.
        done: oneshot::Sender<Option<Completions>>,
    },
    /// What stands at a place; nothing where nothing is known of it.
    Inspect {
        /// The cell.
        code: String,
        /// Byte offset of the end of the expression.
        position: usize,
        /// Where the answer goes.
        done: oneshot::Sender<Option<Documentation>>,
    },
}

/// What came of a cell. The value that it has shown is added where its output arrives, before the reply is
/// made of it.
#[derive(Debug, Default)]
pub(crate) struct CellOutcome {
    /// What the engine's own commands show, by MIME type.
    pub commands: Map<String, Value>,
    /// The value of the cell, by MIME type: the content that its process showed last.
    pub value: Map<String, Value>,
    /// What was wrong.
    pub error: Option<CellError>,
}

impl CellOutcome {
    /// A cell that failed with a message.
    pub(crate) fn failed(message: impl Into<String>) -> CellOutcome {
        CellOutcome { error: Some(CellError::Other(message.into())), ..CellOutcome::default() }
    }
}

/// What was wrong with a cell.
#[derive(Debug)]
pub(crate) enum CellError {
    /// It does not compile.
    Compilation(Vec<Diagnostic>),
    /// A panic ended it; None where the hook could not tell which.
    Panic(Option<Box<Panic>>),
    /// An error that `?` returned ended it.
    Returned(String),
    /// It was interrupted where it was.
    Interrupted,
    /// The process that ran it has ended.
    ProcessEnded {
        /// How, as the end of a sentence.
        how: String,
        /// The last lines that it wrote to standard error.
        last_words: String,
    },
    /// Anything else.
    Other(String),
}

/// A panic, as the hook told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panic {
    /// Where it was.
    pub place: Place,
    /// The call in a cell that led to it, where it was not in one itself.
    pub called_at: Option<Place>,
    /// What it said.
    pub message: String,
    /// The calls that led to it, where the reader wants to see them.
    pub backtrace: Option<String>,
}

/// A place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file: `cell 7` is a cell's.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// Column in that line, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What the compiler says about a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    /// What is wrong, in a line.
    pub message: String,
    /// All there is to say, with colours, line by line.
    pub rendered: Vec<String>,
}

/// What may stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completions {
    /// Byte offsets of what is replaced.
    pub replaced: std::ops::Range<usize>,
    /// In the order in which they are offered.
    pub items: Vec<Completion>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    /// What is inserted.
    pub code: String,
    /// What it is: a function, a type.
    pub kind: Cow<'static, str>,
    /// Its signature.
    pub signature: String,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Documentation {
    /// As text.
    pub plain: String,
    /// As HTML.
    pub html: String,
}

/// How long a cell may take to stop before the reader is told what else to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// Interrupts a cell: the compiler is stopped; a running cell is asked to stop, and killed when asked
/// again.
pub(crate) async fn interrupt(engine: &dyn Engine, interrupt: &Interrupt) {
    let is = |phase| engine.state().is(phase, interrupt);
    while is(Phase::Compiling) {
        engine.signal(Signal::StopCompiling);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if !is(Phase::Running) {
        return;
    }
    if interrupt.is_again() {
        return engine.signal(Signal::Kill);
    }
    engine.signal(Signal::Interrupt);
    tokio::time::sleep(PATIENCE).await;
    if is(Phase::Running) {
        engine.signal(Signal::SayHowToKill);
    }
}

/// Content of a MIME type: JSON as JSON, everything else as text.
pub(crate) fn value_of(kind: &str, body: &str) -> Value {
    if kind.contains("json")
        && let Ok(value) = serde_json::from_str(body)
    {
        return value;
    }
    Value::from(body)
}
