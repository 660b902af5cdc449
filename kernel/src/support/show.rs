//! How the value at a cell's end is shown.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::table;

/// A type whose values can be shown: every one that has Debug.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be shown",
    label = "neither `Debug` nor a method `evcxr_display` is there for it",
    note = "write `#[derive(Debug)]` above its definition, or end the cell with `;`"
)]
pub trait Show {
    /// Shows it.
    fn show(&self);
}

impl<T: Debug + ?Sized> Show for T {
    fn show(&self) {
        // What has nothing to say is silent.
        if std::any::type_name::<T>() != "()" {
            show_debug(&self);
        }
    }
}

static PRETTY: AtomicBool = AtomicBool::new(false);

/// As long as it lives, values are shown as by `{:#?}`.
pub struct Pretty(());

impl Pretty {
    /// From now on.
    pub fn begin() -> Pretty {
        PRETTY.store(true, Ordering::Relaxed);
        Pretty(())
    }
}

impl Drop for Pretty {
    fn drop(&mut self) {
        PRETTY.store(false, Ordering::Relaxed);
    }
}

fn show_debug(value: &dyn Debug) {
    let mut text = String::new();
    // A Debug that fails has written what it could.
    let _ = write!(text, "{value:?}");
    let table = table::of(&text);
    if PRETTY.load(Ordering::Relaxed) {
        text.clear();
        let _ = write!(text, "{value:#?}");
    }
    show_as("application/vnd.rust-live.value", &text);
    if let Some(table) = table {
        show_as("text/html", &table);
    }
}

/// Shows a value that has no method `evcxr_display` of its own: one of its own goes before this.
pub trait ByDebug {
    /// Shows it.
    fn evcxr_display(&self)
    where
        Self: Show;
}

impl<T: ?Sized> ByDebug for T {
    fn evcxr_display(&self)
    where
        Self: Show,
    {
        self.show();
    }
}

/// Shows content of a MIME type, as crates for evcxr do: between two lines on standard output.
pub fn show_as(kind: &str, content: &str) {
    let text = format!("EVCXR_BEGIN_CONTENT {kind}\n{content}\nEVCXR_END_CONTENT\n");
    let mut output = std::io::stdout().lock();
    // Nobody is there to be told.
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Shows a picture as PNG.
pub fn show_png(png: &[u8], text: &str) {
    show_as("application/vnd.rust-live.value", text);
    show_as("image/png", &base64(png));
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let of = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
