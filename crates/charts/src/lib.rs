//! Pictures for notebooks and files from plain data: SVG and PNG by plotters, with a font of our own, so
//! that they look the same on every machine.
//!
//! | | what it draws |
//! | --- | --- |
//! | [`line_chart`] | up to six lines with points (x, y); [`line_chart_with_marks`] names places of its axis |
//! | [`bar_chart`] | groups of bars with a text beside each |
//! | [`log_bars`] | rows of bars on a logarithmic scale |
//! | [`share_bars`] | an image, and beside it a bar for each share of a whole |
//! | [`panels`] | plots side by side, of [`Line`]s and [`Bar`]s |
//! | [`Grid`] | images in rows, with texts |
//! | [`matrix`] | how many of each class were taken for which |
//! | [`Scene`] | boxes, arrows, texts and images at places of your own |
//! | [`stacked`] | pictures one below the other |
//!
//! All are as wide as a notebook's page ([`WIDTH`]), have a white card of their own, so that they can be
//! read on a dark page, and take their colours from [`palette`]. No letter is smaller than [`SMALLEST`].
//!
//! ```
//! let picture = charts::line_chart(
//!     "Two networks",
//!     "on 2,000 test images",
//!     ("epoch", "loss"),
//!     &[("plain", vec![(1.0, 2.30), (2.0, 2.29)])],
//! )?;
//! assert!(picture.svg().contains("epoch") && picture.png()?.starts_with(b"\x89PNG"));
//! # Ok::<(), charts::Error>(())
//! ```

mod bars;
mod error;
mod flag;
mod grid;
mod lines;
mod matrix;
pub mod palette;
mod panel;
mod picture;
mod pixels;
mod scene;
mod stack;
mod text;

pub use bars::{BarGroup, bar_chart, log_bars, share_bars};
pub use error::{Error, Result};
pub use grid::{Cell, Grid, MOST_IMAGES, Row};
pub use lines::{line_chart, line_chart_with_marks};
pub use matrix::matrix;
pub use panel::{Bar, Corner, Line, LineKind, Panel, panels};
pub use picture::Picture;
pub use pixels::Pixels;
pub use scene::{Rect, Scene};
pub use stack::stacked;
pub use text::{Across, Down, SMALLEST, Style, TITLE};

/// Width of every picture: that of a notebook's page.
pub const WIDTH: u32 = notebook::PAGE_WIDTH;

/// Room between the edge of a picture and what is in it.
pub const MARGIN: u32 = 16;
