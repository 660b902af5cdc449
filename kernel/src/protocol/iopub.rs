//! From what a cell does to what a front end sees, while it happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::{
    DisplayData, ExecuteResult, ExecutionCount, IoPubWelcome, JupyterMessage,
    JupyterMessageContent, Media, StreamContent, Transient, UnknownMessage,
};
use jupyter_zmq_client::{KernelIoPubXPubConnection, SubscriptionEvent};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::comms::Comms;
use crate::engine::{CellError, CellOutcome, EngineEvent, value_of};

/// How long text is gathered before it is sent.
const GATHER: Duration = Duration::from_millis(20);
/// How much text is gathered at most.
const TEXT: usize = 1 << 18;
/// Time between two updates of one display.
const UPDATE: Duration = Duration::from_millis(50);
/// The type of a widget.
const VIEW: &str = "application/vnd.jupyter.widget-view+json";
/// How long content waits for content of another type that belongs to it.
const CONTENT: Duration = Duration::from_millis(50);

/// What the IOPub side is told.
pub(crate) enum Event {
    /// A request begins: what follows belongs to it.
    Request(Box<Request>),
    /// From the engine.
    Engine(EngineEvent),
    /// The evaluation has returned: send what is left, and complete what came of the cell.
    Finish {
        /// What the engine knows of it.
        outcome: CellOutcome,
        /// Where it goes with what the process of the cells has told.
        complete: oneshot::Sender<CellOutcome>,
    },
}

/// The request that output belongs to.
pub(crate) struct Request {
    /// The message that asked for it.
    pub parent: JupyterMessage,
    /// Whether nothing at all is shown of it, as for user expressions.
    pub mute: bool,
}

/// Sends what cells write, gathered and in order.
pub(crate) struct IoPub {
    events: mpsc::Receiver<Event>,
    iopub: mpsc::Sender<JupyterMessage>,
    comms: Comms,
    /// By number; 0 is that of the running cell.
    places: BTreeMap<u32, Place>,
    /// The place of what comes now.
    place: u32,
    displays: BTreeMap<String, Display>,
    /// The last lines on standard error, for a process that has ended.
    last_words: String,
}

/// Where output stands in the notebook, and what is being gathered for it.
#[derive(Default)]
struct Place {
    request: Option<Arc<Request>>,
    text: Option<Text>,
    content: Option<(Map<String, Value>, Instant)>,
}

impl Place {
    /// When its text has to be sent.
    fn text_due(&self) -> Option<Instant> {
        Some(self.text.as_ref()?.since + GATHER)
    }

    /// When its content has to be sent.
    fn content_due(&self) -> Option<Instant> {
        Some(self.content.as_ref()?.1 + CONTENT)
    }
}

/// Text that is being gathered.
struct Text {
    stream: Stream,
    bytes: Vec<u8>,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// A display that was updated.
struct Display {
    place: u32,
    sent: Instant,
    /// The newest update that was not sent.
    waiting: Option<Value>,
}

impl IoPub {
    /// From `events` to the channel `iopub`.
    pub(super) fn new(
        events: mpsc::Receiver<Event>,
        iopub: mpsc::Sender<JupyterMessage>,
        comms: Comms,
    ) -> IoPub {
        IoPub {
            events,
            iopub,
            comms,
            places: BTreeMap::new(),
            place: 0,
            displays: BTreeMap::new(),
            last_words: String::new(),
        }
    }

    /// Works until nobody can tell it anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            let event = match self.due() {
                None => self.events.recv().await,
                Some(due) => match tokio::time::timeout_at(due, self.events.recv()).await {
                    Ok(event) => event,
                    Err(_) => {
                        self.send_due(Instant::now()).await;
                        continue;
                    }
                },
            };
            match event {
                Some(event) => self.handle(event).await,
                None => break,
            }
            // Events that never pause must not keep gathered output back.
            self.send_due(Instant::now()).await;
        }
        self.flush().await;
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Request(request) => {
                let place = std::mem::take(&mut self.place);
                self.flush().await;
                self.last_words.clear();
                self.here().request = Some(request.into());
                self.place = place;
            }
            Event::Engine(event) => self.told(event).await,
            Event::Finish { outcome, complete } => {
                let place = std::mem::take(&mut self.place);
                let outcome = self.finish(outcome).await;
                self.place = place;
                // Nobody waits for the answer of a request whose session has ended.
                let _ = complete.send(outcome);
            }
        }
    }

    fn here(&mut self) -> &mut Place {
        self.places.entry(self.place).or_default()
    }

    /// Sends what is left of a cell, and adds to its outcome what its process has shown last.
    async fn finish(&mut self, mut outcome: CellOutcome) -> CellOutcome {
        outcome.value =
            self.here().content.take().map(|(data, _)| with_text(data)).unwrap_or_default();
        self.flush().await;
        if let Some(CellError::ProcessEnded { last_words, .. }) = &mut outcome.error {
            *last_words = std::mem::take(&mut self.last_words);
        }
        outcome
    }

    async fn told(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::Stdout(bytes) => self.write(Stream::Out, &bytes).await,
            EngineEvent::Stderr(bytes) => self.write(Stream::Err, &bytes).await,
            EngineEvent::Message(json) => self.message(&json).await,
            EngineEvent::Content { kind, body } => self.content(&kind, &lossy(&body)).await,
            EngineEvent::Apart => self.flush_content().await,
            EngineEvent::Comm { json, buffers } => self.comm(&json, buffers).await,
            EngineEvent::NewOutput(place) => {
                let request = self.here().request.clone();
                self.places.insert(place, Place { request, ..Place::default() });
            }
            // A number that nobody has asked for stands where the cell does.
            EngineEvent::Output(place) => {
                self.place = if self.places.contains_key(&place) { place } else { 0 };
            }
            EngineEvent::Gone => self.gone().await,
        }
    }

    async fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.here().text.as_ref().is_some_and(|text| text.stream != stream) {
            self.flush_text(true).await;
        }
        self.flush_content().await;
        let text = self.here().text.get_or_insert_with(|| Text {
            stream,
            bytes: Vec::new(),
            since: Instant::now(),
        });
        text.bytes.extend_from_slice(bytes);
        let is_much = text.bytes.len() >= TEXT;
        if stream == Stream::Err {
            let words = &mut self.last_words;
            words.push_str(&String::from_utf8_lossy(bytes));
            if words.len() > 4000 {
                let cut = words.ceil_char_boundary(words.len() - 2000);
                words.drain(..cut);
            }
        }
        if is_much {
            self.flush_text(false).await;
        }
    }

    /// A Jupyter message that the cell asked for.
    async fn message(&mut self, json: &[u8]) {
        let (kind, content) = match serde_json::from_slice(json) {
            Ok(Value::Object(mut message)) => (
                message.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
                message.remove("content").unwrap_or_default(),
            ),
            _ => (String::new(), Value::Null),
        };
        match kind.as_str() {
            "update_display_data" => self.update(content).await,
            "display_data" | "clear_output" => {
                self.flush().await;
                self.raw(&kind, content).await;
            }
            _ => {
                let text = format!("a cell wrote what is no Jupyter message: {}\n", lossy(json));
                self.write(Stream::Err, text.as_bytes()).await;
            }
        }
    }

    /// At most twenty updates a second of one display; the last is always sent.
    async fn update(&mut self, content: Value) {
        let id = content["transient"]["display_id"].as_str().unwrap_or_default().to_owned();
        let (now, place) = (Instant::now(), self.place);
        match self.displays.get_mut(&id) {
            Some(display) if now < display.sent + UPDATE => {
                (display.place, display.waiting) = (place, Some(content));
            }
            _ => {
                self.displays.insert(id, Display { place, sent: now, waiting: None });
                self.flush_text(true).await;
                self.flush_content().await;
                self.raw("update_display_data", content).await;
            }
        }
    }

    /// Content between evcxr's markers. Several types that follow one another are one picture.
    async fn content(&mut self, kind: &str, body: &str) {
        self.flush_text(true).await;
        if self.here().content.as_ref().is_some_and(|(data, _)| data.contains_key(kind)) {
            self.flush_content().await;
        }
        let (data, since) = self.here().content.get_or_insert_with(|| (Map::new(), Instant::now()));
        data.insert(kind.to_owned(), value_of(kind, body));
        *since = Instant::now();
    }

    /// When something that was gathered has to be sent.
    fn due(&self) -> Option<Instant> {
        let gathered =
            self.places.values().flat_map(|place| [place.text_due(), place.content_due()]);
        let displays = self
            .displays
            .values()
            .filter(|display| display.waiting.is_some())
            .map(|display| display.sent + UPDATE);
        gathered.flatten().chain(displays).min()
    }

    async fn send_due(&mut self, now: Instant) {
        let here = self.place;
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        // This is asked after each event, and there may be many places: those with nothing cost nothing.
        let due: Vec<_> = self
            .places
            .iter()
            .map(|(&place, of)| (place, is_due(of.text_due()), is_due(of.content_due())))
            .filter(|(_, text, content)| *text || *content)
            .collect();
        for (place, text, content) in due {
            self.place = place;
            if text {
                self.flush_text(false).await;
            }
            if content {
                self.flush_content().await;
            }
        }
        let mut updates = Vec::new();
        for display in self.displays.values_mut().filter(|display| display.sent + UPDATE <= now) {
            if let Some(content) = display.waiting.take() {
                display.sent = now;
                updates.push((display.place, content));
            }
        }
        for (place, content) in updates {
            self.place = place;
            self.raw("update_display_data", content).await;
        }
        self.place = here;
    }

    /// Sends all that was gathered for this place, and the updates that wait.
    async fn flush(&mut self) {
        self.flush_text(true).await;
        self.flush_content().await;
        let here = self.place;
        for (_, display) in std::mem::take(&mut self.displays) {
            if let Some(content) = display.waiting {
                self.place = display.place;
                self.raw("update_display_data", content).await;
            }
        }
        self.place = here;
    }

    /// A message to the front ends.
    async fn comm(&mut self, json: &[u8], buffers: Vec<Vec<u8>>) {
        let outgoing = match self.comms.sent(json) {
            Ok(Some(outgoing)) => outgoing,
            Ok(None) => return,
            Err(wrong) => {
                let text = format!("a message to the front ends was not sent: {wrong}\n");
                return self.write(Stream::Err, text.as_bytes()).await;
            }
        };
        self.flush_text(true).await;
        self.flush_content().await;
        let parent = self.here().request.as_ref().map(|request| &request.parent);
        let mut message = JupyterMessage::new(outgoing.content, parent);
        if let Some(answered) = outgoing.answered {
            message.parent_header = Some(answered);
        }
        message.metadata = outgoing.metadata;
        message.buffers = buffers.into_iter().map(Into::into).collect();
        // The server has ended, and this task is about to.
        let _ = self.iopub.send(message).await;
    }

    /// The process has ended: nobody is there any more to speak to, and nobody writes to its places.
    async fn gone(&mut self) {
        let request = self.here().request.clone();
        let parent = request.as_deref().map(|request| &request.parent);
        for close in self.comms.close_all() {
            // The server has ended, and this task is about to.
            let _ = self.iopub.send(JupyterMessage::new(close, parent)).await;
        }
        for place in self.places.keys().copied().collect::<Vec<_>>() {
            self.place = place;
            if place != 0 {
                self.flush_text(true).await;
                self.flush_content().await;
            }
        }
        self.place = 0;
        self.places.retain(|place, _| *place == 0);
    }

    /// Sends gathered text; a character that is cut off at its end waits, unless all must go.
    async fn flush_text(&mut self, all: bool) {
        let Some(mut text) = self.here().text.take() else { return };
        let whole = if all { text.bytes.len() } else { whole_characters(&text.bytes) };
        let rest = text.bytes.split_off(whole);
        if !text.bytes.is_empty() {
            let written = lossy(&text.bytes);
            let content = match text.stream {
                Stream::Out => StreamContent::stdout(&written),
                Stream::Err => StreamContent::stderr(&written),
            };
            self.send(content.into()).await;
        }
        if !rest.is_empty() {
            self.here().text =
                Some(Text { stream: text.stream, bytes: rest, since: Instant::now() });
        }
    }

    async fn flush_content(&mut self) {
        if let Some((data, _)) = self.here().content.take() {
            self.send(DisplayData::new(media(with_text(data))).into()).await;
        }
    }

    async fn raw(&mut self, kind: &str, mut content: Value) {
        if let Some(Value::Object(data)) = content.get_mut("data") {
            *data = with_text(std::mem::take(data));
        }
        let message = UnknownMessage { msg_type: kind.to_owned(), content };
        self.send(message.into()).await;
    }

    async fn send(&mut self, content: JupyterMessageContent) {
        if let Some(request) = &self.here().request
            && !request.mute
        {
            let message = JupyterMessage::new(content, Some(&request.parent));
            // The server has ended, and this task is about to.
            let _ = self.iopub.send(message).await;
        }
    }
}

/// The result of a cell.
pub(crate) fn execute_result(count: ExecutionCount, data: Map<String, Value>) -> ExecuteResult {
    // The protocol wants an object where there is nothing to say.
    let transient = Some(Transient::default());
    ExecuteResult { transient, ..ExecuteResult::new(count, media(data)) }
}

/// Content by MIME type, as Jupyter wants it.
pub(crate) fn media(data: Map<String, Value>) -> Media {
    serde_json::from_value(Value::Object(data.clone())).unwrap_or_else(|_| {
        // One of them is not what its type says: text at least.
        serde_json::from_value(json!({ "text/plain": Value::Object(data).to_string() }))
            .unwrap_or_default()
    })
}

/// Content with a text beside it, for front ends that show nothing else: consoles and editors.
fn with_text(mut data: Map<String, Value>) -> Map<String, Value> {
    const TEXT: &str = "text/plain";
    let body = |kind: &str| data.get(kind).and_then(Value::as_str);
    if data.contains_key(TEXT) || data.is_empty() {
        return data;
    }
    let text = body("text/markdown").or(body("text/latex")).map(str::to_owned);
    let text = text.or_else(|| body("text/html").map(text_of_html));
    let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| {
        // What stands beside a widget is what is left where there are none.
        let kinds: Vec<_> = data.keys().map(String::as_str).filter(|kind| *kind != VIEW).collect();
        format!("<{}>", kinds.join(", "))
    });
    data.insert(TEXT.to_owned(), Value::from(text));
    data
}

/// What a page says, without its tags, styles and scripts; the cells of a table stand apart.
fn text_of_html(html: &str) -> String {
    const LINES: [&str; 8] = ["br", "p", "div", "tr", "li", "h1", "h2", "h3"];
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, behind) = tag.split_once('>').unwrap_or((tag, ""));
        rest = behind;
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        match name.to_ascii_lowercase().as_str() {
            hidden @ ("style" | "script" | "svg") => {
                rest = rest.split_once(&format!("</{hidden}>")).map_or("", |(_, behind)| behind);
            }
            "td" | "th" if !text.ends_with(['\n', ' ']) => text.push(' '),
            name if LINES.contains(&name) => text.push('\n'),
            _ => {}
        }
    }
    text.push_str(rest);
    for (entity, meant) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, meant);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Sends what is published, and welcomes everybody who subscribes.
pub(super) async fn publish_all(
    mut iopub: KernelIoPubXPubConnection,
    mut messages: mpsc::Receiver<JupyterMessage>,
) {
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return };
                if let Err(error) = iopub.send(message).await {
                    log::warn!("a message could not be published: {error}");
                }
            }
            event = iopub.recv_subscription() => {
                // An error here is a front end that has gone.
                if let Ok(SubscriptionEvent::Subscribe(topic)) = event
                    && let Err(error) = iopub.send(IoPubWelcome::new(topic).into()).await
                {
                    log::warn!("a front end could not be welcomed: {error}");
                }
            }
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Length without a last character that is not complete.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::ExecuteRequest;

    use super::*;

    /// What is sent for these frames, each as its type and what matters of its content.
    async fn sent(frames: Vec<EngineEvent>) -> (Vec<(String, Value)>, CellOutcome) {
        let (events, from_cells) = mpsc::channel(1000);
        let (iopub, mut messages) = mpsc::channel(1000);
        let task = tokio::spawn(IoPub::new(from_cells, iopub, Comms::default()).run());
        let parent: JupyterMessage = ExecuteRequest::new(String::new()).into();
        let request = Request { parent, mute: false };
        assert!(events.send(Event::Request(Box::new(request))).await.is_ok());
        for frame in frames {
            assert!(events.send(Event::Engine(frame)).await.is_ok());
        }
        let (complete, answer) = oneshot::channel();
        let outcome = CellOutcome::default();
        assert!(events.send(Event::Finish { outcome, complete }).await.is_ok());
        let outcome = answer.await.unwrap();
        drop(events);
        task.await.unwrap();
        let mut sent = Vec::new();
        while let Some(message) = messages.recv().await {
            let content = serde_json::to_value(&message.content).unwrap();
            sent.push((message.message_type().to_owned(), content));
        }
        (sent, outcome)
    }

    fn out(text: &str) -> EngineEvent {
        EngineEvent::Stdout(text.into())
    }

    fn err(text: &str) -> EngineEvent {
        EngineEvent::Stderr(text.into())
    }

    fn shown(kind: &str, body: &str) -> EngineEvent {
        EngineEvent::Content { kind: kind.into(), body: body.into() }
    }

    fn message(kind: &str, content: Value) -> EngineEvent {
        EngineEvent::Message(json!({ "type": kind, "content": content }).to_string().into_bytes())
    }

    fn update(value: usize) -> EngineEvent {
        message(
            "update_display_data",
            json!({ "data": { "text/plain": value.to_string() },
                    "metadata": {}, "transient": { "display_id": "bar" } }),
        )
    }

    #[tokio::test]
    async fn streams_keep_their_order_and_text_is_gathered() {
        let (sent, _) = sent(vec![out("a"), out("b\r"), err("c"), out("d")]).await;
        let texts: Vec<_> = sent
            .iter()
            .map(|(_, content)| (content["name"].as_str(), content["text"].as_str()))
            .collect();
        let expected = [("stdout", "ab\r"), ("stderr", "c"), ("stdout", "d")];
        assert_eq!(texts, expected.map(|(name, text)| (Some(name), Some(text))));
    }

    #[tokio::test]
    async fn a_character_cut_in_two_is_sent_whole() {
        let text = "é".as_bytes();
        let (sent, _) = sent(vec![
            EngineEvent::Stdout(text[..1].into()),
            EngineEvent::Stdout(text[1..].into()),
        ])
        .await;
        assert_eq!(sent[0].1["text"], "é");
    }

    #[tokio::test]
    async fn pictures_stay_between_the_texts_around_them() {
        let picture = json!({ "data": { "text/html": "<b>" }, "metadata": {} });
        let (sent, _) =
            sent(vec![out("before"), message("display_data", picture.clone()), out("after")]).await;
        let kinds: Vec<_> = sent.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["stream", "display_data", "stream"]);
        assert_eq!(sent[1].1["data"]["text/html"], "<b>");
    }

    #[tokio::test]
    async fn many_updates_are_merged_and_the_last_is_sent() {
        let start = Instant::now();
        let (sent, _) = sent((0..1000).map(update).collect()).await;
        let allowed = 2 + start.elapsed().as_millis() as usize / UPDATE.as_millis() as usize;
        assert!(sent.len() <= allowed, "{} updates", sent.len());
        assert_eq!(sent.last().unwrap().1["data"]["text/plain"], "999");
    }

    #[tokio::test]
    async fn the_last_content_is_the_result_and_the_earlier_ones_are_displays() {
        let (sent, outcome) = sent(vec![
            shown("text/html", "first"),
            shown("text/html", "second"),
            shown("text/plain", "second as text"),
        ])
        .await;
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0, "display_data");
        assert_eq!(sent[0].1["data"], json!({ "text/html": "first", "text/plain": "first" }));
        let expected = json!({ "text/html": "second", "text/plain": "second as text" });
        assert_eq!(Value::Object(outcome.value), expected);
    }

    #[tokio::test]
    async fn a_value_is_no_text_for_the_picture_before_it() {
        let (sent, outcome) = sent(vec![
            shown("image/svg+xml", "<svg/>"),
            EngineEvent::Apart,
            shown("text/plain", "42"),
        ])
        .await;
        let picture = json!({ "image/svg+xml": "<svg/>", "text/plain": "<image/svg+xml>" });
        assert_eq!(sent[0].1["data"], picture);
        assert_eq!(Value::Object(outcome.value), json!({ "text/plain": "42" }));
    }

    #[test]
    fn text_stands_beside_everything() {
        for (kind, body, text) in [
            ("text/plain", "a", "a"),
            ("text/html", "<p class=\"a\">a &lt; b</p><style>p { x }</style><br>c", "a < b\nc"),
            ("text/html", "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr>", "1 2\n3"),
            ("text/html", "<svg><text>a</text></svg>", "<text/html>"),
            ("text/html", "1 < 2", "1"),
            ("text/markdown", "*a*", "*a*"),
            ("image/png", "aGk=", "<image/png>"),
        ] {
            let data = with_text(Map::from_iter([(kind.to_owned(), Value::from(body))]));
            assert_eq!(data["text/plain"], text, "{kind} {body}");
        }
        assert!(with_text(Map::new()).is_empty());
    }

    #[tokio::test]
    async fn the_last_words_of_a_process_that_ended_are_known() {
        let (events, from_cells) = mpsc::channel(1000);
        let (iopub, _messages) = mpsc::channel(1000);
        tokio::spawn(IoPub::new(from_cells, iopub, Comms::default()).run());
        let parent: JupyterMessage = ExecuteRequest::new(String::new()).into();
        for event in [
            Event::Request(Box::new(Request { parent, mute: false })),
            Event::Engine(err("has overflowed its stack\n")),
        ] {
            assert!(events.send(event).await.is_ok());
        }
        let (complete, answer) = oneshot::channel();
        let ended = CellError::ProcessEnded { how: String::new(), last_words: String::new() };
        let outcome = CellOutcome { error: Some(ended), ..CellOutcome::default() };
        assert!(events.send(Event::Finish { outcome, complete }).await.is_ok());
        let error = answer.await.unwrap().error;
        let Some(CellError::ProcessEnded { last_words, .. }) = error else { panic!("{error:?}") };
        assert!(last_words.contains("overflowed"));
    }
}
