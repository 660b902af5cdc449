//! What is subtracted from a pixel, and what it is divided by.

use crate::{Error, ImageSet, Result};
use serde::{Deserialize, Serialize};
use tch::Kind;

/// Mean and standard deviation of each colour, red, green, blue, on the scale from 0 (black) to 1
/// (full): a pixel byte b becomes (b / 255 - mean) / std.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// What is subtracted.
    pub mean: [f64; 3],
    /// What the difference is divided by.
    pub std: [f64; 3],
}

impl Normalize {
    /// The 50,000 training images of CIFAR-10, to four digits, as commonly published; see
    /// cifar10-airbench, <https://github.com/KellerJordan/cifar10-airbench>.
    pub const CIFAR10: Normalize =
        Normalize { mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616] };

    /// Of all pixels of `set`, in exact integer sums: the same on every device.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `set` is empty.
    pub fn of(set: &ImageSet) -> Result<Self> {
        if set.is_empty() {
            return Err(Error::invalid("the number of images", 0, "give one at least"));
        }
        let mut sum = [0i64; 3];
        let mut sum_of_squares = [0i64; 3];
        for images in set.images().f_split(CHUNK, 0)? {
            let bytes = images.f_to_kind(Kind::Int)?;
            add(&mut sum, &bytes)?;
            add(&mut sum_of_squares, &bytes.f_square()?)?;
        }
        let (height, width) = set.image_size();
        let pixels = (set.len() as i64 * height * width) as f64;
        let mean = sum.map(|sum| sum as f64 / pixels);
        let variance =
            [0, 1, 2].map(|c| (sum_of_squares[c] as f64 / pixels - mean[c] * mean[c]).max(0.0));
        Ok(Normalize { mean: mean.map(|m| m / 255.0), std: variance.map(|v| v.sqrt() / 255.0) })
    }
}

/// Images summed at a time: 4 bytes a colour while they are squared, 60 MB at 32x32.
const CHUNK: i64 = 5000;

/// Adds the sum of each colour of `pixels`, (N, H, W, 3).
fn add(total: &mut [i64; 3], pixels: &tch::Tensor) -> Result<()> {
    let sums: Vec<i64> =
        Vec::try_from(pixels.f_sum_dim_intlist([0, 1, 2].as_slice(), false, Kind::Int64)?)?;
    for (total, sum) in total.iter_mut().zip(sums) {
        *total += sum;
    }
    Ok(())
}
