//! Widgets whose other half is the reader's own JavaScript.

use serde_json::{Value, json};

use super::control::{layout, widget};
use super::model::{Kind, Model, Snapshot, Words};
use super::runner::Listener;

/// Any version: what is used here is the same in all of them.
const MODULE: (&str, &str) = ("anywidget", "*");

static ANY: Kind = Kind {
    model: "AnyModel",
    module: MODULE,
    view: "AnyView",
    view_module: MODULE,
    typed: false,
    words: |_| Words { value: "a widget".to_owned(), what: Some("in JavaScript".to_owned()) },
};

/// A widget whose other half is JavaScript: a module whose default export has a function
/// `render({ model, el })`, after [anywidget](https://anywidget.dev). The page needs anywidget's extension:
/// `pip install anywidget` beside JupyterLab. Values are JSON; bytes travel in messages.
///
/// ```
/// use notebook::AnyWidget;
/// use serde_json::json;
///
/// let counter = AnyWidget::new(
///     "export default { render({ model, el }) {
///          const button = document.createElement('button');
///          button.onclick = () => { model.set('count', model.get('count') + 1); model.save_changes(); };
///          model.on('change:count', () => { button.textContent = model.get('count'); });
///          el.append(button);
///      } }",
/// )
/// .state([("count", json!(0))]);
/// counter.on_change(|name, value| println!("{name} is {value}"));
/// counter.set("count", json!(3));
/// assert_eq!(counter.get("count"), json!(3));
/// ```
#[derive(Clone)]
pub struct AnyWidget {
    model: Model,
}

widget!(AnyWidget);

impl AnyWidget {
    /// A widget with this module.
    pub fn new(esm: &str) -> AnyWidget {
        let state = Snapshot::of([("_esm", json!(esm)), ("_css", json!(""))]);
        let model = Model::new(&ANY, state, vec![layout([])], Vec::new());
        // Styles are known by it: those of one widget do not replace those of another.
        model.set(Snapshot::of([("_anywidget_id", json!(model.id()))]));
        AnyWidget { model }
    }

    /// With this style sheet.
    #[must_use]
    pub fn css(self, css: &str) -> AnyWidget {
        self.model.set(Snapshot::of([("_css", json!(css))]));
        self
    }

    /// With these values, which both halves have and may change.
    #[must_use]
    pub fn state<N: Into<String>, V: Into<Value>>(
        self,
        values: impl IntoIterator<Item = (N, V)>,
    ) -> AnyWidget {
        let values = values.into_iter();
        let attributes = values.map(|(name, value)| (name.into(), value.into())).collect();
        self.model.set(Snapshot { attributes, ..Snapshot::default() });
        self
    }

    /// A value as it is now; null where there is none.
    pub fn get(&self, name: &str) -> Value {
        self.model.attribute(name)
    }

    /// Changes a value.
    pub fn set(&self, name: &str, value: impl Into<Value>) {
        self.model.set(Snapshot::of([(name, value.into())]));
    }

    /// Calls `call` with the name of a value and the value whenever one has changed, on the thread that all
    /// widgets have together. Changes of a value that come while a closure runs are one.
    pub fn on_change(&self, mut call: impl FnMut(&str, &Value) + Send + 'static) {
        let (_, mut seen) = self.model.changes_since(0);
        self.model.listen(Listener::new(move |model| {
            let (names, now) = model.changes_since(seen);
            seen = now;
            for name in names {
                call(&name, &model.attribute(&name));
            }
        }));
    }

    /// Calls `call` with each message that the JavaScript sends, and the buffers with it.
    pub fn on_message(&self, call: impl FnMut(&Value, &[Vec<u8>]) + Send + 'static) {
        self.model.on_message(call);
    }

    /// Sends a message to the JavaScript, with buffers. Nobody has it who does not show the widget now.
    pub fn send(&self, message: &Value, buffers: &[impl AsRef<[u8]>]) {
        self.model.send(message, buffers);
    }
}
