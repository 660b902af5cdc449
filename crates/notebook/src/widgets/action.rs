//! What is pressed, and what is written.

use serde_json::{Value, json};

use super::control::{control, knob, layout, named, style, text, widget};
use super::model::{Kind, Model, Snapshot, Words};

static BUTTON: Kind = control("ButtonModel", "ButtonView", |state| Words {
    value: format!("[{}]", text(state, "description")),
    what: Some("a button".to_owned()),
});
static TEXT_FIELD: Kind = control("TextModel", "TextView", |state| Words {
    value: format!("{}: {}", text(state, "description"), text(state, "value")),
    what: Some("a text field".to_owned()),
});
static BUTTON_STYLE: Kind = style("ButtonStyleModel");
static TEXT_STYLE: Kind = style("TextStyleModel");

/// A button.
///
/// ```
/// let button = notebook::Button::new("draw another");
/// button.on_click(|| println!("pressed"));
/// button.evcxr_display();
/// ```
#[derive(Clone)]
pub struct Button {
    model: Model,
}

widget!(Button);

impl Button {
    /// A button on which this stands.
    pub fn new(name: &str) -> Button {
        let state = Snapshot::of([("description", json!(name))]);
        let needs = vec![
            layout([("width", json!("max-content"))]),
            ("style", Model::new(&BUTTON_STYLE, Snapshot::default(), Vec::new(), Vec::new())),
        ];
        Button { model: Model::new(&BUTTON, state, needs, Vec::new()) }
    }

    /// Calls `call` once for each click, on the thread that all widgets have together. What it prints
    /// stands below the button.
    pub fn on_click(&self, mut call: impl FnMut() + Send + 'static) {
        self.model.on_message(move |content, _| {
            if content["event"] == "click" {
                call();
            }
        });
    }

    /// Whether it can be pressed.
    pub fn enable(&self, enabled: bool) {
        self.model.set(Snapshot::of([("disabled", json!(!enabled))]));
    }
}

/// A line of text that the reader writes. It changes with the return key, or when it is left.
///
/// ```
/// let class = notebook::TextField::new("class").value("cat");
/// assert_eq!(class.get(), "cat");
/// ```
#[derive(Clone)]
pub struct TextField {
    model: Model,
}

knob!(TextField, String, "value");

impl TextField {
    /// An empty field.
    pub fn new(name: &str) -> TextField {
        let attributes = [("value", json!("")), ("continuous_update", json!(false))];
        TextField { model: named(&TEXT_FIELD, &TEXT_STYLE, name, attributes) }
    }

    /// With this text.
    #[must_use]
    pub fn value(self, value: &str) -> TextField {
        self.set(value);
        self
    }

    /// With these words in it while it is empty.
    #[must_use]
    pub fn placeholder(self, words: &str) -> TextField {
        self.model.set(Snapshot::of([("placeholder", json!(words))]));
        self
    }

    /// Replaces the text.
    pub fn set(&self, value: &str) {
        self.model.set(Snapshot::of([("value", json!(value))]));
    }

    fn read(&self) -> impl Fn(&Value) -> String + Send + 'static {
        |value| value.as_str().unwrap_or_default().to_owned()
    }
}
