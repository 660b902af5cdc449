//! Figures: from a spec, a history or a finding to a picture.
//!
//! Charts of one's own numbers are [`charts`]': [`line_chart`], [`bar_chart`] and, of images,
//! [`image_grid`].
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let data = Shapes10::generate(40, 10, 0)?;
//! let picture = data.sample_grid(Split::Train, 4, 10)?;
//! assert!(picture.svg().contains("circle") && picture.png().starts_with(b"\x89PNG"));
//! # Ok::<(), Error>(())
//! ```

mod diagram;
mod findings;
mod images;
mod loss;
mod turns;

pub use charts::{BarGroup, Picture, bar_chart, line_chart};
pub use diagram::{
    cost_bars, gap_versus_fc, inception_block, network_diagram, pointwise_convolution,
};
pub use images::{SampleGrid, image_grid};
pub use loss::loss_curve;

use crate::interpret::{
    Calibration, ConfusionMatrix, FeatureMaps, Filters, GradCam, GradientNorms, Mistakes, TopK,
};

/// Lets a value that has a `picture` show it in an evcxr notebook.
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
    )+};
}
shows_its_picture!(
    Calibration,
    ConfusionMatrix,
    FeatureMaps,
    Filters,
    GradCam,
    GradientNorms,
    TopK,
    Mistakes
);
