//! Images: CIFAR-10, the built-in [`Shapes10`], JPEG and PNG files of one's own ([`Image`],
//! [`ImageFolder`]), and batches of them.
//!
//! CIFAR-10 is 60,000 colour photographs of 32x32 pixels in ten classes, 50,000 to train on and
//! 10,000 to test with: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! Images stay bytes, laid out (N, H, W, C), on the device that trains. [`DataLoader`] cuts,
//! crops, flips and normalises a whole batch at a time there. The random choices of an epoch are an
//! [`EpochPlan`], drawn on the CPU from a seed, so that a CPU and a GPU see the same epoch.
//!
//! ```
//! use vision_data::{Augment, DataLoader, EpochPlan, Normalize, Shapes10};
//!
//! let shapes = Shapes10::generate(256, 64, 1)?;
//! let augment = Augment { pad: 4, flip: true, ..Augment::NONE };
//! let train = DataLoader::new(&shapes.train, &Normalize::of(&shapes.train)?, augment)?;
//!
//! let (seed, epoch) = (1, 0);
//! let plan = EpochPlan::new(shapes.train.len(), 128, augment, seed, epoch, shapes.train.device())?;
//! for index in 0..plan.batches() {
//!     let batch = train.train(&plan, index, None)?;
//!     assert_eq!(batch.images.size(), [128, 3, 32, 32]);
//!     assert_eq!(batch.labels.size(), [128]);
//! }
//! # Ok::<(), vision_data::Error>(())
//! ```

mod augment;
mod cifar10;
mod data_loader;
mod dataset;
mod download;
mod error;
mod image;
mod image_folder;
mod image_set;
mod normalize;
mod progress;
mod shapes10;
mod source;
mod unpack;

pub use augment::{Augment, EpochPlan, random_number};
pub use cifar10::Cifar10;
/// The name before 2026-11-26.
pub use data_loader::DataLoader as Batches;
pub use data_loader::{Batch, DataLoader, Mixed};
pub use dataset::{Dataset, Split};
pub use error::{Error, Result};
pub use image::Image;
pub use image_folder::ImageFolder;
pub use image_set::ImageSet;
pub use normalize::Normalize;
pub use shapes10::Shapes10;
pub use source::cifar10_or_shapes10;

#[cfg(test)]
mod test_server;
