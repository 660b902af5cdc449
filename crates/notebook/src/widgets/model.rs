//! A model: what a widget's two halves share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::comm::Hub;
use super::lock;
use super::runner::Listener;

/// How a notebook knows that a widget is to be shown.
pub(super) const VIEW: &str = "application/vnd.jupyter.widget-view+json";

/// The attributes of a model that are no bytes.
pub(super) type Attributes = Map<String, Value>;

/// Which model it is, and how it is put into words.
#[derive(Debug)]
pub(super) struct Kind {
    /// Name of the model.
    pub(super) model: &'static str,
    /// Module of the model, and its version.
    pub(super) module: (&'static str, &'static str),
    /// Name of the view.
    pub(super) view: &'static str,
    /// Module of the view, and its version.
    pub(super) view_module: (&'static str, &'static str),
    /// Whether attributes keep their types: what comes with another is ignored.
    pub(super) typed: bool,
    /// The widget in words.
    pub(super) words: fn(&Attributes) -> Words,
}

/// A widget in words.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Its name and its value: `width: 0.5`.
    pub(super) value: String,
    /// What it is: `a slider from 0 to 1`. Nothing for what is only looked at.
    pub(super) what: Option<String>,
}

/// Attributes of a model, as they are at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// Those that are JSON.
    pub(super) attributes: Attributes,
    /// Those that are bytes.
    pub(super) buffers: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Snapshot {
    /// Without buffers.
    pub(super) fn of<const N: usize>(attributes: [(&str, Value); N]) -> Snapshot {
        let attributes =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Snapshot { attributes, buffers: BTreeMap::new() }
    }

    /// As messages have it: the JSON, the paths of the buffers in it, the buffers.
    pub(super) fn split(self) -> (Value, Vec<Value>, Vec<Bytes>) {
        let paths = self.buffers.keys().map(|name| json!([name])).collect();
        (self.attributes.into(), paths, self.buffers.into_values().map(Bytes).collect())
    }

    /// What a message had. Buffers within an attribute stay behind: no widget here has any.
    pub(super) fn join(attributes: Attributes, paths: &Value, buffers: Vec<Vec<u8>>) -> Snapshot {
        let paths = paths.as_array().into_iter().flatten();
        let buffers = paths
            .zip(buffers)
            .filter_map(|(path, buffer)| match path.as_array()?.as_slice() {
                [Value::String(name)] => Some((name.clone(), Arc::new(buffer))),
                _ => None,
            })
            .collect();
        Snapshot { attributes, buffers }
    }

    fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.buffers.is_empty()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.attributes.keys().chain(self.buffers.keys())
    }
}

/// A buffer that several may hold.
pub(super) struct Bytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A closure that hears of messages.
type Hearer = Arc<Mutex<Box<dyn FnMut(&Value, &[Vec<u8>]) + Send>>>;

/// A handle of a model.
#[derive(Clone)]
pub(super) struct Model(Arc<Inner>);

struct Inner {
    id: String,
    kind: &'static Kind,
    hub: Option<Arc<Hub>>,
    /// What it needs beside it: its layout and its style.
    needs: Vec<Model>,
    /// The widgets in it.
    parts: Vec<Model>,
    /// Held while something is changed and sent, so that front ends hear of changes in their order.
    /// Nobody waits for it who only reads.
    order: Mutex<()>,
    /// Held for as long as it takes to read or to write it.
    state: Mutex<State>,
    listeners: Mutex<Vec<Arc<Listener>>>,
    hearers: Mutex<Vec<Hearer>>,
}

struct State {
    now: Snapshot,
    /// When each attribute changed last, counted in changes of this model.
    changed: BTreeMap<String, u64>,
    changes: u64,
    /// Whether front ends know it.
    open: bool,
    /// Where it stands, so that what its closures print stands there too.
    output: u32,
}

impl Model {
    /// A model with these attributes. `needs` are attributes that are models.
    pub(super) fn new(
        kind: &'static Kind,
        mut now: Snapshot,
        needs: Vec<(&'static str, Model)>,
        parts: Vec<Model>,
    ) -> Model {
        for (name, value) in [
            ("_model_module", kind.module.0),
            ("_model_module_version", kind.module.1),
            ("_model_name", kind.model),
            ("_view_module", kind.view_module.0),
            ("_view_module_version", kind.view_module.1),
            ("_view_name", kind.view),
        ] {
            now.attributes.insert(name.to_owned(), value.into());
        }
        for (name, model) in &needs {
            now.attributes.insert((*name).to_owned(), model.reference());
        }
        if !parts.is_empty() {
            let references: Vec<Value> = parts.iter().map(Model::reference).collect();
            now.attributes.insert("children".to_owned(), references.into());
        }
        Model(Arc::new(Inner {
            // Random: a counter would begin anew in every process, and pages outlive them.
            id: format!("{:032x}", rand::random::<u128>()),
            kind,
            hub: Hub::here(),
            needs: needs.into_iter().map(|(_, model)| model).collect(),
            parts,
            order: Mutex::new(()),
            state: Mutex::new(State {
                now,
                changed: BTreeMap::new(),
                changes: 0,
                open: false,
                output: 0,
            }),
            listeners: Mutex::default(),
            hearers: Mutex::default(),
        }))
    }

    /// Its name among front ends.
    pub(super) fn id(&self) -> &str {
        &self.0.id
    }

    /// The way to the front ends, if there is one.
    pub(super) fn hub(&self) -> Option<&Arc<Hub>> {
        self.0.hub.as_ref()
    }

    /// The output in which it stands.
    pub(super) fn output(&self) -> u32 {
        lock(&self.0.state).output
    }

    /// As an attribute of another model.
    fn reference(&self) -> Value {
        format!("IPY_MODEL_{}", self.id()).into()
    }

    /// Everything that front ends are to know.
    pub(super) fn snapshot(&self) -> Snapshot {
        lock(&self.0.state).now.clone()
    }

    /// An attribute as it is now.
    pub(super) fn attribute(&self, name: &str) -> Value {
        lock(&self.0.state).now.attributes.get(name).cloned().unwrap_or_default()
    }

    /// The attributes that changed after `count` changes of this model, and the count now.
    pub(super) fn changes_since(&self, count: u64) -> (Vec<String>, u64) {
        let state = lock(&self.0.state);
        let names = state.changed.iter().filter(|(_, at)| **at > count);
        (names.map(|(name, _)| name.clone()).collect(), state.changes)
    }

    /// When an attribute changed last.
    pub(super) fn changed(&self, name: &str) -> u64 {
        lock(&self.0.state).changed.get(name).copied().unwrap_or(0)
    }

    /// Does this with nothing of this model sent in between.
    pub(super) fn in_order(&self, act: impl FnOnce()) {
        let _order = lock(&self.0.order);
        act();
    }

    /// Changes attributes from here: front ends and listeners hear of those that are new.
    pub(super) fn set(&self, change: Snapshot) {
        let changed = {
            let _order = lock(&self.0.order);
            let (new, open) = {
                let mut state = lock(&self.0.state);
                let new = state.apply(change);
                (new, state.open)
            };
            let changed = !new.is_empty();
            if let (true, true, Some(hub)) = (changed, open, self.hub()) {
                hub.update(self.id(), new);
            }
            changed
        };
        if changed {
            self.tell();
        }
    }

    /// Takes a change from a front end. `echo` tells the other ones.
    pub(super) fn take(&self, mut change: Snapshot, echo: impl FnOnce(Snapshot)) {
        let changed = {
            let _order = lock(&self.0.order);
            let new = {
                let mut state = lock(&self.0.state);
                if self.0.kind.typed {
                    state.keep_types(&mut change);
                }
                state.apply(change.clone())
            };
            echo(change);
            !new.is_empty()
        };
        if changed {
            self.tell();
        }
    }

    fn tell(&self) {
        // Listeners may add listeners.
        let listeners = lock(&self.0.listeners).clone();
        for listener in listeners {
            listener.hear(self);
        }
    }

    /// Calls `call` when an attribute has changed.
    pub(super) fn on_change(
        &self,
        name: &'static str,
        mut call: impl FnMut(&Model) + Send + 'static,
    ) {
        let mut seen = self.changed(name);
        self.listen(Listener::new(move |model| {
            let changed = model.changed(name);
            if changed != seen {
                seen = changed;
                call(model);
            }
        }));
    }

    /// Has a listener hear of all changes.
    pub(super) fn listen(&self, listener: Arc<Listener>) {
        lock(&self.0.listeners).push(listener);
    }

    /// Calls `call` for each message of the widget's own.
    pub(super) fn on_message(&self, call: impl FnMut(&Value, &[Vec<u8>]) + Send + 'static) {
        lock(&self.0.hearers).push(Arc::new(Mutex::new(Box::new(call))));
    }

    /// Sends a message of the widget's own, if front ends know the widget.
    pub(super) fn send<B: AsRef<[u8]>>(&self, content: &Value, buffers: &[B]) {
        self.in_order(|| {
            let open = lock(&self.0.state).open;
            if let (true, Some(hub)) = (open, self.hub()) {
                hub.custom(self.id(), content, buffers);
            }
        });
    }

    /// Passes a message on to those who listen.
    pub(super) fn message(&self, content: &Value, buffers: Vec<Vec<u8>>) {
        let Some(hub) = self.hub() else { return };
        let message = Arc::new((content.clone(), buffers));
        for hearer in lock(&self.0.hearers).iter() {
            let (hearer, message) = (Arc::clone(hearer), Arc::clone(&message));
            hub.runner().run(self.output(), move || {
                (lock(&hearer))(&message.0, &message.1);
            });
        }
    }

    /// It is about to be shown here: front ends are told of it and of what is in it. What its closures
    /// print from now on stands where it stands. `false` where there are no front ends.
    fn show(&self) -> bool {
        let Some(hub) = self.hub() else { return false };
        self.place(hub.new_output());
        self.open(hub);
        true
    }

    /// The widget as a notebook shows it, which makes it known to the front ends.
    pub(super) fn content(&self) -> Vec<(&'static str, String)> {
        let mut content = vec![("text/plain", self.text())];
        if self.show() {
            let view = json!({ "version_major": 2, "version_minor": 0, "model_id": self.id() });
            content.insert(0, (VIEW, view.to_string()));
        }
        content
    }

    fn place(&self, output: u32) {
        lock(&self.0.state).output = output;
        for part in &self.0.parts {
            part.place(output);
        }
    }

    fn open(&self, hub: &Hub) {
        // First what it refers to.
        for model in self.0.needs.iter().chain(&self.0.parts) {
            model.open(hub);
        }
        self.in_order(|| {
            let now = {
                let mut state = lock(&self.0.state);
                if std::mem::replace(&mut state.open, true) {
                    return;
                }
                state.now.clone()
            };
            hub.open(self, now);
        });
    }

    /// A front end closed it.
    pub(super) fn closed(&self) {
        lock(&self.0.state).open = false;
    }

    /// Its name and value in words.
    pub(super) fn value_in_words(&self) -> String {
        if self.0.parts.is_empty() {
            self.words().value
        } else {
            let parts = self.0.parts.iter().map(Model::value_in_words);
            parts.collect::<Vec<_>>().join("\n")
        }
    }

    /// The widget as text, where it can be used and where it cannot.
    pub(super) fn text(&self) -> String {
        if self.hub().is_some() {
            return self.live_text();
        }
        let text = self.value_in_words();
        if !self.is_control() {
            text
        } else if self.0.parts.is_empty() {
            format!("{text} (fixed: there are no widgets here)")
        } else {
            format!("{text}\n(fixed: there are no widgets here)")
        }
    }

    fn live_text(&self) -> String {
        if !self.0.parts.is_empty() {
            let parts = self.0.parts.iter().map(Model::live_text);
            return parts.collect::<Vec<_>>().join("\n");
        }
        match self.words() {
            Words { value, what: Some(what) } => format!("{value} ({what})"),
            Words { value, what: None } => value,
        }
    }

    fn is_control(&self) -> bool {
        self.words().what.is_some() || self.0.parts.iter().any(Model::is_control)
    }

    fn words(&self) -> Words {
        (self.0.kind.words)(&lock(&self.0.state).now.attributes)
    }
}

impl State {
    /// Takes over what differs, and returns it.
    fn apply(&mut self, mut change: Snapshot) -> Snapshot {
        change.attributes.retain(|name, value| {
            !self.now.attributes.get(name).is_some_and(|now| same(now, value))
        });
        change.buffers.retain(|name, bytes| self.now.buffers.get(name) != Some(bytes));
        if !change.is_empty() {
            self.changes += 1;
            for name in change.names() {
                self.changed.insert(name.clone(), self.changes);
            }
            for (name, value) in &change.attributes {
                self.now.attributes.insert(name.clone(), value.clone());
            }
            for (name, bytes) in &change.buffers {
                self.now.buffers.insert(name.clone(), Arc::clone(bytes));
            }
        }
        change
    }

    /// Leaves out of a change what would be of another type than it is.
    fn keep_types(&self, change: &mut Snapshot) {
        let kind = std::mem::discriminant::<Value>;
        change.attributes.retain(|name, value| {
            self.now
                .attributes
                .get(name)
                .is_none_or(|now| now.is_null() || kind(now) == kind(value))
        });
    }
}

/// Whether two values are one for a reader: JavaScript writes 1.0 as 1.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}
