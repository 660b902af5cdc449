//! What controls have in common.

use serde_json::{Value, json};

use super::model::{Attributes, Kind, Model, Snapshot, Words};

/// The module of controls in front ends, and its version.
pub(super) const CONTROLS: (&str, &str) = ("@jupyter-widgets/controls", "2.0.0");
/// The module of what all widgets need, and its version.
pub(super) const BASE: (&str, &str) = ("@jupyter-widgets/base", "2.0.0");

pub(super) mod sealed {
    /// What has a model.
    pub trait Sealed {
        /// The model.
        fn model(&self) -> super::Handle;
    }
}

/// A model, as far as others than this module can see.
#[doc(hidden)]
pub struct Handle(pub(super) Model);

/// A widget: something that a page shows and that the program can change while it stands there.
///
/// All widgets of this crate have this trait, and nothing else has it.
pub trait Widget: sealed::Sealed {}

/// A widget that has a value, for [`interact`](super::interact).
pub trait Knob: Widget {
    /// Its value.
    type Value;

    /// The attribute in which it is.
    #[doc(hidden)]
    fn attribute(&self) -> &'static str;

    /// Reads the value, from any thread, as long as it is needed.
    #[doc(hidden)]
    fn reader(&self) -> Box<dyn Fn() -> Self::Value + Send>;
}

impl<W: Widget> sealed::Sealed for &W {
    fn model(&self) -> Handle {
        (**self).model()
    }
}

impl<W: Widget> Widget for &W {}

impl<K: Knob> Knob for &K {
    type Value = K::Value;

    fn attribute(&self) -> &'static str {
        (**self).attribute()
    }

    fn reader(&self) -> Box<dyn Fn() -> K::Value + Send> {
        (**self).reader()
    }
}

/// A kind of control.
pub(super) const fn control(
    model: &'static str,
    view: &'static str,
    words: fn(&Attributes) -> Words,
) -> Kind {
    Kind { model, module: CONTROLS, view, view_module: CONTROLS, typed: true, words }
}

/// A kind of style.
pub(super) const fn style(model: &'static str) -> Kind {
    Kind {
        model,
        module: CONTROLS,
        view: "StyleView",
        view_module: BASE,
        typed: true,
        words: |_| Words { value: String::new(), what: None },
    }
}

static LAYOUT: Kind = Kind {
    model: "LayoutModel",
    module: BASE,
    view: "LayoutView",
    view_module: BASE,
    typed: true,
    words: |_| Words { value: String::new(), what: None },
};

/// A layout: CSS attributes by name.
pub(super) fn layout<const N: usize>(attributes: [(&str, Value); N]) -> (&'static str, Model) {
    ("layout", Model::new(&LAYOUT, Snapshot::of(attributes), Vec::new(), Vec::new()))
}

/// The model of a control with a name: as wide as a page has room for, its name readable to the end.
pub(super) fn named<const N: usize>(
    kind: &'static Kind,
    style: &'static Kind,
    name: &str,
    attributes: [(&str, Value); N],
) -> Model {
    let mut state = Snapshot::of(attributes);
    state.attributes.insert("description".to_owned(), name.into());
    // Short names are as wide as others, so that controls below each other stand in line.
    let characters = name.chars().count().max(15) + 1;
    let width = Snapshot::of([("description_width", json!(format!("{characters}ch")))]);
    let needs = vec![
        layout([("width", json!("34em")), ("max_width", json!("98%"))]),
        ("style", Model::new(style, width, Vec::new(), Vec::new())),
    ];
    Model::new(kind, state, needs, Vec::new())
}

/// An attribute that is text.
pub(super) fn text<'state>(state: &'state Attributes, name: &str) -> &'state str {
    state.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An attribute that is a number.
pub(super) fn number(state: &Attributes, name: &str) -> f64 {
    state.get(name).and_then(Value::as_f64).unwrap_or_default()
}

/// A number as people read it: a slider's steps add up to 0.30000000000000004.
pub(super) fn plain(value: f64) -> String {
    format!("{value:.5e}").parse().unwrap_or(value).to_string()
}

/// Makes a type that has a `model` a widget.
macro_rules! widget {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> $type {
            /// Shows it in a notebook.
            pub fn evcxr_display(&self) {
                $crate::display::at_end_of_cell(self);
            }
        }

        impl<$($generics)*> $crate::widgets::control::sealed::Sealed for $type {
            fn model(&self) -> $crate::widgets::control::Handle {
                $crate::widgets::control::Handle(self.model.clone())
            }
        }

        impl<$($generics)*> $crate::widgets::control::Widget for $type {}

        impl<$($generics)*> $crate::display::Show for $type {
            fn content(&self) -> Vec<(&'static str, String)> {
                self.model.content()
            }
        }

        impl<$($generics)*> std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.model.text())
            }
        }
    };
    ($type:ty) => {
        $crate::widgets::control::widget!([] $type);
    };
}

/// Makes a widget a control of a value, which its method `read` reads from its attribute.
macro_rules! knob {
    ([$($generics:tt)*] $type:ty, $value:ty, $attribute:literal) => {
        $crate::widgets::control::widget!([$($generics)*] $type);

        impl<$($generics)*> $type {
            /// Its value now: at once, from any thread, also while a cell runs.
            pub fn get(&self) -> $value {
                self.read()(&self.model.attribute($attribute))
            }

            /// Calls `call` with the value whenever it has changed, on a thread that all widgets have
            /// together, one closure after the other. Changes that come while a closure runs are
            /// one: the next call has the newest value. What the closure prints stands below the widget.
            /// Each call of this adds a closure to those that are there.
            pub fn on_change(&self, mut call: impl FnMut($value) + Send + 'static) {
                let read = self.read();
                self.model.on_change($attribute, move |model| {
                    call(read(&model.attribute($attribute)));
                });
            }
        }

        impl<$($generics)*> $crate::widgets::control::Knob for $type {
            type Value = $value;

            fn attribute(&self) -> &'static str {
                $attribute
            }

            fn reader(&self) -> Box<dyn Fn() -> $value + Send> {
                let (model, read) = (self.model.clone(), self.read());
                Box::new(move || read(&model.attribute($attribute)))
            }
        }
    };
    ($type:ty, $value:ty, $attribute:literal) => {
        $crate::widgets::control::knob!([] $type, $value, $attribute);
    };
}

pub(super) use {knob, widget};
