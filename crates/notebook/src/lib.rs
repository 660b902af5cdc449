//! The cell's half of the conversation with a kernel: showing things while a cell runs, what is replaced
//! in place, progress, tables, the stop button, and [widgets].
//!
//! The same calls work everywhere, as well as the place allows:
//!
//! | | the lab's kernel | evcxr_jupyter | a terminal | elsewhere |
//! | --- | --- | --- | --- | --- |
//! | [`display`] | at once | at the end of the cell, the last one | as text | as text |
//! | [`DisplayHandle::update`] | replaced in place | the last one | nothing | nothing |
//! | [`Progress`] | bars | bars at the end of the cell | bars | a line now and then |
//! | [`interact`], [widgets] | follow the reader | as text, as they are | as text, as they are | as text, as they are |
//! | [`interrupted`] | the stop button | never | Ctrl-C | Ctrl-C |
//!
//! ```
//! use notebook::{Html, Progress, display};
//!
//! let table = display(&Html("<b>epoch 1</b>".into()));
//! table.update(&Html("<b>epoch 2</b>".into()));
//!
//! let epochs = Progress::new("epoch", 2);
//! for _ in 0..2 {
//!     let steps = epochs.nested("step", 100);
//!     for step in 1..=100 {
//!         steps.set(step);
//!     }
//!     epochs.add(1);
//! }
//! ```

mod cell;
mod display;
mod error;
mod guess;
mod interrupt;
pub mod number;
mod progress;
mod table;
pub mod widgets;

pub use cell::{Cell, Cells, Decimals, Maybe, Percent, Scientific};
pub use display::{DisplayHandle, Html, PAGE_WIDTH, Place, Show, at_end_of_cell, display, escape};
pub use error::{Error, Result};
pub use guess::{Guessed, guessed};
pub use interrupt::{Listener, interrupted};
pub use progress::Progress;
pub use table::Table;
pub use widgets::{
    AnyWidget, Button, Choice, Column, IntSlider, Knob, Knobs, Label, LogSlider, Play, Row, Slider,
    Tabs, TextField, Toggle, Widget, Widgets, interact,
};
