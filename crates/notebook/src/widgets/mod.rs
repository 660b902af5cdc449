//! Widgets: sliders, buttons and pictures that stand on a page and talk with the program.
//!
//! A widget that ends a cell is shown there, and [`display`](crate::display) shows it anywhere. It can be used
//! from then on: its `get` has the newest value at any time, also in a loop of a cell that still runs, and
//! the closure of `on_change` is called with each new one. [`interact`] does both for a picture.
//!
//! ```
//! use notebook::{Button, Choice, Column, Label, Slider, interact};
//!
//! let block = Choice::new("block", ["3a", "3b"])?;
//! let width = Slider::new("width", 0.0..=1.0)?.value(0.5);
//! interact((&block, &width), |(block, width)| format!("block {block} at {width}"));
//!
//! let (press, said) = (Button::new("say it"), Label::new(""));
//! press.on_click({
//!     let said = said.clone();
//!     move || said.set(&format!("it is {}", width.get()))
//! });
//! Column::new((&press, &said)).evcxr_display();
//! # Ok::<(), notebook::Error>(())
//! ```
//!
//! # Rules
//! - A widget is a handle: its clones are the same widget, and any thread may have one.
//! - What is set from the program is clamped into what the control can have, shown on all pages, and heard by
//!   `on_change` like a change on a page. A value that is the same already is no change.
//! - Closures run on one thread, one after the other, while cells run or none does. Fast changes are merged to
//!   the newest; clicks and messages are not. A closure that panics is called again with the next change.
//! - What a closure prints or displays stands where the widget was shown last.
//! - A widget that was shown lives as long as the process of the cells, whether or not a variable still
//!   holds it. One that never was is gone with its last handle.
//! - Where there are no widgets, as in evcxr_jupyter and in a terminal, they are shown as text. They can be
//!   set and read all the same, and closures are called by `set` itself.
//! - A constructor that can be given something impossible returns a `Result`.

mod action;
mod any;
mod choice;
mod comm;
mod control;
#[cfg(test)]
mod fake;
mod group;
mod interact;
mod model;
mod runner;
mod shown;
mod slider;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use action::{Button, TextField};
pub use any::AnyWidget;
pub use choice::{Choice, Toggle};
pub use control::{Knob, Widget};
pub use group::{Column, Row, Tabs, Widgets};
pub use interact::{Knobs, interact};
pub use shown::{Html, Image, Label};
pub use slider::{IntSlider, LogSlider, Play, Slider};

/// Whether widgets can be shown where this program runs.
pub fn are_here() -> bool {
    comm::Hub::here().is_some()
}

/// Locks. What the locks of widgets guard is whole between any two statements, also after a panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
