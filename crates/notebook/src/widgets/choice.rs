//! One of several, and one of two.

use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Value, json};

use super::control::{control, knob, named, style, text};
use super::model::{Attributes, Kind, Model, Snapshot, Words};
use crate::{Error, Result};

static CHOICE: Kind = control("DropdownModel", "DropdownView", |state| {
    let labels: Vec<&str> = labels(state).collect();
    let chosen = state.get("index").and_then(position).and_then(|index| labels.get(index));
    Words {
        value: format!("{}: {}", text(state, "description"), chosen.unwrap_or(&"")),
        what: Some(format!("one of {}", labels.join(", "))),
    }
});
static TOGGLE: Kind = control("CheckboxModel", "CheckboxView", |state| {
    let value = if state.get("value") == Some(&Value::Bool(true)) { "on" } else { "off" };
    Words {
        value: format!("{}: {value}", text(state, "description")),
        what: Some("a checkbox".to_owned()),
    }
});
static CHOICE_STYLE: Kind = style("DescriptionStyleModel");
static TOGGLE_STYLE: Kind = style("CheckboxStyleModel");

fn labels(state: &Attributes) -> impl Iterator<Item = &str> {
    let labels = state.get("_options_labels").and_then(Value::as_array);
    labels.into_iter().flatten().filter_map(Value::as_str)
}

fn position(index: &Value) -> Option<usize> {
    usize::try_from(index.as_u64()?).ok()
}

/// A list of which one thing is chosen.
///
/// ```
/// use notebook::Choice;
///
/// let block = Choice::new("block", ["3a", "3b"])?;
/// block.select(1);
/// assert_eq!(block.get(), "3b");
///
/// let size = Choice::of("size", [("small", 32), ("large", 224)])?.selected(1);
/// assert_eq!(size.get(), 224);
/// # Ok::<(), notebook::Error>(())
/// ```
#[derive(Clone)]
pub struct Choice<T: Clone + Send + Sync + 'static> {
    model: Model,
    /// At least one.
    options: Arc<[T]>,
}

knob!([T: Clone + Send + Sync + 'static] Choice<T>, T, "index");

impl<T: Clone + Send + Sync + 'static> Choice<T> {
    /// A choice among things that say themselves what they are; the first is chosen.
    ///
    /// # Errors
    /// Nothing to choose from.
    pub fn new(name: &str, options: impl IntoIterator<Item = T>) -> Result<Choice<T>>
    where
        T: Display,
    {
        Choice::of(name, options.into_iter().map(|option| (option.to_string(), option)))
    }

    /// A choice among things under the names that stand before them; the first is chosen.
    ///
    /// # Errors
    /// Nothing to choose from.
    pub fn of<N: Into<String>>(
        name: &str,
        options: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Choice<T>> {
        let (labels, options): (Vec<String>, Vec<T>) =
            options.into_iter().map(|(name, option)| (name.into(), option)).unzip();
        if options.is_empty() {
            return Err(Error::Control {
                control: name.to_owned(),
                what: "list of options",
                value: "empty".to_owned(),
                remedy: "give at least one",
            });
        }
        let attributes = [("_options_labels", json!(labels)), ("index", json!(0))];
        let model = named(&CHOICE, &CHOICE_STYLE, name, attributes);
        Ok(Choice { model, options: options.into() })
    }

    /// With this option chosen, counted from 0; the last one where there are fewer.
    #[must_use]
    pub fn selected(self, index: usize) -> Choice<T> {
        self.select(index);
        self
    }

    /// Chooses this option, counted from 0; the last one where there are fewer.
    pub fn select(&self, index: usize) {
        let index = index.min(self.options.len() - 1);
        self.model.set(Snapshot::of([("index", json!(index))]));
    }

    /// Chooses the first option that is this value.
    ///
    /// # Errors
    /// None of the options is.
    pub fn set(&self, value: T) -> Result<()>
    where
        T: PartialEq,
    {
        let Some(index) = self.options.iter().position(|option| *option == value) else {
            let state = self.model.snapshot().attributes;
            return Err(Error::Control {
                control: text(&state, "description").to_owned(),
                what: "list of options",
                value: labels(&state).collect::<Vec<_>>().join(", "),
                remedy: "set one of them",
            });
        };
        self.select(index);
        Ok(())
    }

    /// Which option is chosen, counted from 0.
    pub fn index(&self) -> usize {
        position(&self.model.attribute("index")).unwrap_or(0).min(self.options.len() - 1)
    }

    fn read(&self) -> impl Fn(&Value) -> T + Send + use<T> {
        let options = Arc::clone(&self.options);
        move |index| options[position(index).unwrap_or(0).min(options.len() - 1)].clone()
    }
}

/// A checkbox.
///
/// ```
/// let flipped = notebook::Toggle::new("flipped").value(true);
/// assert!(flipped.get());
/// ```
#[derive(Clone)]
pub struct Toggle {
    model: Model,
}

knob!(Toggle, bool, "value");

impl Toggle {
    /// A checkbox that is not checked.
    pub fn new(name: &str) -> Toggle {
        let attributes = [("value", json!(false)), ("indent", json!(true))];
        Toggle { model: named(&TOGGLE, &TOGGLE_STYLE, name, attributes) }
    }

    /// Checked or not.
    #[must_use]
    pub fn value(self, value: bool) -> Toggle {
        self.set(value);
        self
    }

    /// Checks it, or the opposite.
    pub fn set(&self, value: bool) {
        self.model.set(Snapshot::of([("value", json!(value))]));
    }

    fn read(&self) -> impl Fn(&Value) -> bool + Send + 'static {
        |value| value.as_bool().unwrap_or(false)
    }
}
