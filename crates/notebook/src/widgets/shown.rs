//! What is only looked at, and can be replaced.

use std::sync::Arc;

use serde_json::json;

use super::control::{control, layout, style, text, widget};
use super::model::{Kind, Model, Snapshot, Words};

static LABEL: Kind = control("LabelModel", "LabelView", |state| Words {
    value: text(state, "value").to_owned(),
    what: None,
});
static HTML: Kind = control("HTMLModel", "HTMLView", |state| Words {
    value: text(state, "value").to_owned(),
    what: None,
});
static IMAGE: Kind = control("ImageModel", "ImageView", |state| Words {
    value: format!("an image, {}", text(state, "format")),
    what: None,
});
static LABEL_STYLE: Kind = style("LabelStyleModel");
static HTML_STYLE: Kind = style("HTMLStyleModel");

/// A line of text.
///
/// ```
/// let state = notebook::Label::new("waiting");
/// state.set("training");
/// ```
#[derive(Clone)]
pub struct Label {
    model: Model,
}

widget!(Label);

impl Label {
    /// This text.
    pub fn new(text: &str) -> Label {
        Label { model: words(&LABEL, &LABEL_STYLE, text) }
    }

    /// Replaces the text.
    pub fn set(&self, text: &str) {
        self.model.set(Snapshot::of([("value", json!(text))]));
    }
}

/// HTML among widgets. By itself, [`Html`](crate::Html) shows it.
#[derive(Clone)]
pub struct Html {
    model: Model,
}

widget!(Html);

impl Html {
    /// This HTML.
    pub fn new(html: &str) -> Html {
        Html { model: words(&HTML, &HTML_STYLE, html) }
    }

    /// Replaces the HTML.
    pub fn set(&self, html: &str) {
        self.model.set(Snapshot::of([("value", json!(html))]));
    }
}

/// An image.
///
/// ```
/// use notebook::widgets::Image;
///
/// let square = |color| {
///     format!("<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9' fill='{color}'/></svg>")
/// };
/// let image = Image::svg(&square("red"));
/// image.set(square("blue"));
/// ```
#[derive(Clone)]
pub struct Image {
    model: Model,
}

widget!(Image);

impl Image {
    /// The image of a PNG file.
    pub fn png(bytes: impl Into<Vec<u8>>) -> Image {
        Image::of("png", bytes.into())
    }

    /// The image of an SVG document.
    pub fn svg(document: &str) -> Image {
        Image::of("svg+xml", document.as_bytes().to_vec())
    }

    /// Replaces the image by another of the same format.
    pub fn set(&self, bytes: impl Into<Vec<u8>>) {
        let mut change = Snapshot::default();
        change.buffers.insert("value".to_owned(), Arc::new(bytes.into()));
        self.model.set(change);
    }

    fn of(format: &str, bytes: Vec<u8>) -> Image {
        let mut state = Snapshot::of([("format", json!(format))]);
        state.buffers.insert("value".to_owned(), Arc::new(bytes));
        let needs = vec![layout([("max_width", json!("100%"))])];
        Image { model: Model::new(&IMAGE, state, needs, Vec::new()) }
    }
}

fn words(kind: &'static Kind, style: &'static Kind, text: &str) -> Model {
    let needs =
        vec![layout([]), ("style", Model::new(style, Snapshot::default(), Vec::new(), Vec::new()))];
    Model::new(kind, Snapshot::of([("value", json!(text))]), needs, Vec::new())
}
