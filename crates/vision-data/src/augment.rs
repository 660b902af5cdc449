//! The random choices of one epoch: the order of the images, and how each is moved, mirrored and cut.

use crate::{Error, Result};
use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// How training images are varied, so that the network never sees quite the same one twice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// The image is moved by up to this many pixels in each direction; what comes in at an edge is
    /// the image mirrored there. In the field's words: padded by reflection, then cropped at random
    /// to its old size. 0 moves nothing.
    pub pad: i64,
    /// Each image is mirrored left to right in every other epoch; which of them are in the first is
    /// drawn at random. Two epochs show both sides of each image, where a draw in every epoch would
    /// show half of them the same side twice (K. Jordan, *94% on CIFAR-10 in 3.29 Seconds on a Single
    /// GPU*, 2024, <https://arxiv.org/abs/2404.00498>).
    pub flip: bool,
    /// Side of one square of each image that is set to zero after normalisation, which is the mean
    /// colour of all; 0 sets none. It is in pixels of the data set's images, and grows or shrinks with
    /// them where they come out larger or smaller. Its centre is drawn anew in every epoch from all pixels of
    /// the image, so that it may stick out at an edge (T. DeVries and G. W. Taylor, *Improved
    /// Regularization of Convolutional Neural Networks with Cutout*, 2017,
    /// <https://arxiv.org/abs/1708.04552>: 16 for CIFAR-10).
    #[serde(default)]
    pub cutout: i64,
    /// Share of the images, from 0 to 1, in which a rectangle is that of the next image of the batch, at the
    /// same place. Such an image belongs to both classes, by the share of its pixels ([`Mixed`]). Each image is
    /// drawn for it anew in every epoch, with the rectangle: its area is any share of the image, its sides have
    /// the image's proportions, its centre is any pixel, so that it may stick out at an edge (S. Yun et al.,
    /// *CutMix*, 2019, <https://arxiv.org/abs/1905.04899>: 0.5 for CIFAR-10, there by batches).
    ///
    /// [`Mixed`]: crate::Mixed
    #[serde(default)]
    pub cutmix: f64,
}

impl Augment {
    /// Every image as it is.
    pub const NONE: Augment = Augment { pad: 0, flip: false, cutout: 0, cutmix: 0.0 };
}

/// A plan does not know how large the images are: a place in them is drawn from so many parts.
pub(crate) const WHOLE: i64 = 1 << 32;

/// The random choices of one epoch, on the device that trains: in which order the images come,
/// where each is cropped, which are mirrored, where each has its square cut out, and which get a part of
/// another.
///
/// They are drawn on the CPU and uploaded once, so that the same seed gives the same epoch on every
/// device, and nothing in the loop waits for the device.
#[derive(Debug)]
pub struct EpochPlan {
    /// i64, (4, N): image, top and left of the crop, 1 where mirrored. Then, in parts of [`WHOLE`]: with a
    /// square that is cut out the two numbers of its centre, from top and from left; with parts of other images
    /// those of the rectangle's centre and the length of its sides, 0 where the image stays whole.
    choices: Tensor,
    images: usize,
    batch: i64,
    augment: Augment,
}

impl EpochPlan {
    /// Draws an epoch, counted from 0, over `n` images in batches of `batch`. It follows from `seed`
    /// and its number alone. Every image comes once, except those of a last batch that is not whole:
    /// it is left out. Fewer images than `batch` are one smaller batch.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `n` or `batch` is less than 1, `augment.pad` or `augment.cutout` is negative, or
    /// `augment.cutmix` is not from 0 to 1; [`Error::Torch`] where the device does not exist or has no room.
    pub fn new(
        n: usize,
        batch: i64,
        augment: Augment,
        seed: u64,
        epoch: u64,
        device: Device,
    ) -> Result<Self> {
        if n == 0 {
            return Err(Error::invalid("the number of images", n, "give one at least"));
        }
        if batch < 1 {
            return Err(Error::invalid("the batch size", batch, "give 1 or more"));
        }
        augment.check()?;
        let mut rng = generator(seed, u64::MAX - epoch);
        let mut choices: Vec<i64> = (0..n as i64).collect();
        choices.shuffle(&mut rng);
        for range in [2 * augment.pad; 2] {
            choices.extend((0..n).map(|_| rng.random_range(0..=range)));
        }
        let mut in_first = generator(seed, 0);
        let mirrored: Vec<bool> = (0..n)
            .map(|_| augment.flip && in_first.random_bool(0.5) == epoch.is_multiple_of(2))
            .collect();
        choices.extend_from_within(..n);
        for choice in &mut choices[3 * n..] {
            *choice = i64::from(mirrored[*choice as usize]);
        }
        if augment.cutout > 0 {
            // Drawn last: with and without a square, all else of an epoch is the same.
            choices.extend((0..2 * n).map(|_| rng.random_range(0..WHOLE)));
        }
        if augment.cutmix > 0.0 {
            choices.extend((0..2 * n).map(|_| rng.random_range(0..WHOLE)));
            choices.extend((0..n).map(|_| {
                let (mixed, area) = (rng.random_bool(augment.cutmix), rng.random::<f64>());
                if mixed { (WHOLE as f64 * area.sqrt()) as i64 } else { 0 }
            }));
        }
        let choices =
            Tensor::f_from_slice(&choices)?.f_view([-1, n as i64])?.f_to_device(device)?;
        Ok(EpochPlan { choices, images: n, batch: batch.min(n as i64), augment })
    }

    /// How many batches the epoch has: whole ones only, and one at least.
    pub fn batches(&self) -> usize {
        self.images / self.batch as usize
    }

    /// How many images are in a batch.
    pub fn batch_size(&self) -> i64 {
        self.batch
    }

    /// How many images the epoch was drawn over.
    pub(crate) fn images(&self) -> usize {
        self.images
    }

    pub(crate) fn augment(&self) -> Augment {
        self.augment
    }

    pub(crate) fn device(&self) -> Device {
        self.choices.device()
    }

    /// Image, top, left and mirrored of each image of a batch: i64, (B) each.
    pub(crate) fn batch(&self, index: usize) -> Result<[Tensor; 4]> {
        let batch = self.chosen(index)?;
        Ok([
            batch.f_select(0, 0)?,
            batch.f_select(0, 1)?,
            batch.f_select(0, 2)?,
            batch.f_select(0, 3)?,
        ])
    }

    /// The centre of the square that is cut out of each image of a batch, from top and from left: i64,
    /// (B) each, in parts of [`WHOLE`]. The plan must have been drawn with one.
    pub(crate) fn centres(&self, index: usize) -> Result<[Tensor; 2]> {
        let batch = self.chosen(index)?;
        Ok([batch.f_select(0, 4)?, batch.f_select(0, 5)?])
    }

    /// The rectangle of each image of a batch that is the next image's: its centre from top and from left and
    /// the length of its sides, i64, (B) each, in parts of [`WHOLE`]. The plan must have been drawn with them.
    pub(crate) fn rectangles(&self, index: usize) -> Result<[Tensor; 3]> {
        let batch = self.chosen(index)?;
        Ok([batch.f_select(0, -3)?, batch.f_select(0, -2)?, batch.f_select(0, -1)?])
    }

    /// All choices for a batch.
    fn chosen(&self, index: usize) -> Result<Tensor> {
        if index >= self.batches() {
            return Err(Error::invalid(
                "the batch index",
                index,
                format!("the epoch has {} batches, counted from 0", self.batches()),
            ));
        }
        Ok(self.choices.f_narrow(1, index as i64 * self.batch, self.batch)?)
    }
}

/// The first random number of a draw. The draws of a run are independent of each other: each has a number
/// of its own. A trainer's steps count from 1 upwards, its epochs ([`EpochPlan`]) from the highest number
/// downwards.
pub fn random_number(seed: u64, draw: u64) -> u64 {
    generator(seed, draw).next_u64()
}

fn generator(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

impl Augment {
    /// An error where `pad` or `cutout` is negative, or `cutmix` is no share.
    pub(crate) fn check(self) -> Result<()> {
        for (what, value) in [("pad", self.pad), ("cutout", self.cutout)] {
            if value < 0 {
                return Err(Error::invalid(what, value, "give 0 or more"));
            }
        }
        if !(0.0..=1.0).contains(&self.cutmix) {
            return Err(Error::invalid("cutmix", self.cutmix, "give 0 to 1"));
        }
        Ok(())
    }
}
