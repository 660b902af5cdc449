//! Figures: from a spec, a history or a finding to a picture.
//!
//! Charts of one's own numbers are [`lines`], and [`charts`]' [`bar_chart`] and, of images,
//! [`image_grid`]; runs are compared by [`compare`] and [`compare_seeds`].
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let data = Shapes10::generate(40, 10, 0)?;
//! let picture = data.sample_grid(Split::Train, 4, 10)?;
//! assert!(picture.svg().contains("circle") && picture.png()?.starts_with(b"\x89PNG"));
//! # Ok::<(), Error>(())
//! ```

mod cam;
mod compare;
mod diagram;
mod findings;
mod images;
mod loss;
mod seed_table;
mod seeds;
mod series;
mod turns;

pub use charts::{BarGroup, Picture, bar_chart, line_chart, line_chart_with_marks};
pub use compare::{Comparison, Run, RunSummary, compare};
pub use diagram::{
    cost_bars, gap_versus_fc, inception_block, network_diagram, pointwise_convolution,
};
pub use images::{SampleGrid, image_grid};
pub use loss::loss_curve;
pub use seed_table::{SeedKind, SeedTable};
pub use seeds::{SeedComparison, SeedDifference, Seeds, compare_seeds};
pub use series::{Number, Point, lines, lines_with_marks};

use notebook::Show;

use crate::Result;
use crate::interpret::{
    ActivationMap, Calibration, ConfusionMatrix, FeatureMaps, Filters, GradCam, GradientNorms,
    Mistakes, TopK,
};

/// Pictures one below the other, each with its own title, as one: [`charts::stacked`].
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let chart = |title| plot::lines(title, "", ("x", "y"), [("a", [(0, 1), (1, 2)])]);
/// assert_eq!(plot::stacked(&[chart("before")?, chart("after")?])?.size(), (960, 800));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// No picture.
pub fn stacked(pictures: &[Picture]) -> Result<Picture> {
    Ok(charts::stacked(pictures)?)
}

/// Lets a value that has a `picture` show it in a notebook.
macro_rules! shows_its_picture {
    ($($type:ty),+) => {$(
        impl $type {
            /// Shows the picture in an evcxr notebook.
            pub fn evcxr_display(&self) {
                match self.picture() {
                    Ok(picture) => picture.evcxr_display(),
                    Err(error) => println!("{error}"),
                }
            }
        }

        impl Show for $type {
            fn content(&self) -> Vec<(&'static str, String)> {
                self.picture().content()
            }
        }
    )+};
}
shows_its_picture!(
    ActivationMap,
    Calibration,
    ConfusionMatrix,
    FeatureMaps,
    Filters,
    GradCam,
    GradientNorms,
    TopK,
    Mistakes
);
