//! Batches of images for the network, cut on the device that holds them.

use crate::augment::WHOLE;
use crate::{Augment, EpochPlan, Error, ImageSet, Normalize, Result};
use tch::{Kind, Tensor};

/// Images to learn from, and what they show.
#[derive(Debug)]
pub struct Batch {
    /// f32, (B, 3, H, W).
    pub images: Tensor,
    /// i64, (B).
    pub labels: Tensor,
    /// What else they show, where some have a part of another ([`Augment::cutmix`]).
    pub mixed: Option<Mixed>,
}

/// What the images of a batch show beside their own class.
#[derive(Debug)]
pub struct Mixed {
    /// The other class: i64, (B).
    pub labels: Tensor,
    /// Its share of the image's pixels, from 0 (the image is whole) to 1: f32, (B).
    pub share: Tensor,
}

impl Batch {
    /// What a loss is to learn from: [`Batch::labels`], i64, (B), or where images are mixed the share of
    /// each class in each image, f32, (B, `classes`). libtorch's cross-entropy takes either. A label that is
    /// not under `classes` has no place among shares: to look for one would wait for the device.
    ///
    /// # Errors
    /// A device that fails.
    pub fn targets(&self, classes: i64) -> Result<Tensor> {
        let Some(Mixed { labels, share }) = &self.mixed else {
            return Ok(self.labels.shallow_clone());
        };
        let all = Tensor::f_arange(classes, (Kind::Int64, labels.device()))?;
        let one_hot = |labels: &Tensor| -> Result<Tensor> {
            Ok(labels.f_unsqueeze(1)?.f_eq_tensor(&all)?.f_to_kind(Kind::Float)?)
        };
        Ok(one_hot(&self.labels)?.f_lerp_tensor(&one_hot(labels)?, &share.f_unsqueeze(1)?)?)
    }
}

/// The images of one split, ready to be cut into batches.
///
/// A batch of images is f32 of shape (B, 3, H, W), normalised. In memory the colours of a pixel lie
/// side by side ("channels last"), which is how convolutions run fastest, on a CPU and on a GPU.
#[derive(Debug)]
pub struct DataLoader {
    set: ImageSet,
    augment: Augment,
    /// f32, (H * W * 3): a byte b becomes b * scale + shift. One number for each byte of an image,
    /// not for each colour, because long rows are what a CPU is five times faster at.
    scale: Tensor,
    shift: Tensor,
    rows: Crop,
    columns: Crop,
}

impl DataLoader {
    /// Prepares `set` on its own device. The images are shared, not copied.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the set is empty, a standard deviation is not above 0, `augment.pad` is
    /// not smaller than the image, `augment.cutout` is larger than it, or `augment.cutmix` is not from 0 to 1.
    pub fn new(set: &ImageSet, normalize: &Normalize, augment: Augment) -> Result<Self> {
        if set.is_empty() {
            return Err(Error::invalid("the number of images", 0, "give one at least"));
        }
        for (mean, std) in normalize.mean.into_iter().zip(normalize.std) {
            if !mean.is_finite() {
                return Err(Error::invalid("a mean of Normalize", mean, "give a number"));
            }
            if !(std.is_finite() && std > 0.0) {
                return Err(Error::invalid(
                    "a standard deviation of Normalize",
                    std,
                    "give a number above 0",
                ));
            }
        }
        let (height, width) = set.image_size();
        if !(0..height.min(width)).contains(&augment.pad) {
            return Err(Error::invalid(
                "pad",
                augment.pad,
                format!("give 0 to {}: the images are {height}x{width}", height.min(width) - 1),
            ));
        }
        if !(0..=height.min(width)).contains(&augment.cutout) {
            return Err(Error::invalid(
                "cutout",
                augment.cutout,
                format!("give 0 to {}: the images are {height}x{width}", height.min(width)),
            ));
        }
        augment.check()?;
        let scale = normalize.std.map(|std| (1.0 / (255.0 * std)) as f32);
        let shift = [0, 1, 2].map(|c| (-normalize.mean[c] / normalize.std[c]) as f32);
        let device = set.device();
        let of_each_byte = |of_each_colour: [f32; 3]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(&of_each_colour)?
                .f_repeat([height * width])?
                .f_to_device(device)?)
        };
        Ok(DataLoader {
            set: set.clone(),
            augment,
            scale: of_each_byte(scale)?,
            shift: of_each_byte(shift)?,
            rows: Crop::new(height, augment.pad, device)?,
            columns: Crop::new(width, augment.pad, device)?,
        })
    }

    /// The images.
    pub fn set(&self) -> &ImageSet {
        &self.set
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is no image: never, for [`DataLoader::new`] wants one.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Batch `index` of an epoch, augmented.
    ///
    /// With `size`, the images come out as (B, 3, size, size), up to 224 and beyond: means of whole
    /// squares of pixels where they divide, else bilinear, with antialiasing where they get smaller.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the plan was drawn for another set, augmentation or device, has no
    /// batch `index`, or `size` is less than 1.
    pub fn train(&self, plan: &EpochPlan, index: usize, size: Option<i64>) -> Result<Batch> {
        self.check(plan)?;
        let [image, top, left, mirrored] = plan.batch(index)?;
        let bytes = match self.augment {
            Augment::NONE => self.set.images().f_index_select(0, &image)?,
            _ => self.crop(&image, &top, &left, &mirrored)?,
        };
        let mut images = self.finish(&bytes, size)?;
        if self.augment.cutout > 0 {
            let side = self.augment.cutout;
            let side = Tensor::f_full([1], side, (Kind::Int64, self.set.device()))?;
            let square = self.rectangle(plan.centres(index)?, [&side, &side], size)?;
            let _ = images.f_masked_fill_(&square, 0.0)?;
        }
        let labels = self.set.labels().f_index_select(0, &image)?;
        let mixed = if self.augment.cutmix > 0.0 {
            let [top, left, side] = plan.rectangles(index)?;
            let (height, width) = self.set.image_size();
            let rows = side.f_mul_scalar(height)?.f_floor_divide_scalar(WHOLE)?;
            let columns = side.f_mul_scalar(width)?.f_floor_divide_scalar(WHOLE)?;
            let part = self.rectangle([top, left], [&rows, &columns], size)?;
            images = next_of_each(&images)?.f_where_self(&part, &images)?;
            let share = part.f_to_kind(Kind::Float)?.f_mean_dim(&[1i64, 2, 3][..], false, None)?;
            Some(Mixed { labels: next_of_each(&labels)?, share })
        } else {
            None
        };
        Ok(Batch { images, labels, mixed })
    }

    /// `len` images from `start` on, in their order and without augmentation: images f32
    /// (B, 3, H, W) and labels i64 (B). `size` as in [`DataLoader::train`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer images, or `size` is less than 1.
    pub fn eval(&self, start: i64, len: i64, size: Option<i64>) -> Result<(Tensor, Tensor)> {
        let n = self.len() as i64;
        if start < 0 || len < 1 || len > n - start {
            return Err(Error::invalid(
                "the range of images",
                format!("{len} from {start}"),
                format!("give one or more of the {n} there are"),
            ));
        }
        let bytes = self.set.images().f_narrow(0, start, len)?;
        Ok((self.finish(&bytes, size)?, self.set.labels().f_narrow(0, start, len)?))
    }

    /// An error where `plan` was not drawn for these images.
    fn check(&self, plan: &EpochPlan) -> Result<()> {
        if plan.images() != self.len() {
            return Err(Error::invalid(
                "the number of images of the plan",
                plan.images(),
                format!("the set has {}", self.len()),
            ));
        }
        if plan.augment() != self.augment {
            return Err(Error::invalid(
                "the augmentation of the plan",
                format!("{:?}", plan.augment()),
                format!("that of the batches is {:?}", self.augment),
            ));
        }
        if plan.device() != self.set.device() {
            return Err(Error::invalid(
                "the device of the plan",
                format!("{:?}", plan.device()),
                format!("the images are on {:?}", self.set.device()),
            ));
        }
        Ok(())
    }

    /// The crops of a batch: u8, (B, H, W, 3). Every pixel is looked up where it comes from, so that
    /// no padded copy of the images is needed and one gather does all.
    fn crop(
        &self,
        image: &Tensor,
        top: &Tensor,
        left: &Tensor,
        mirrored: &Tensor,
    ) -> Result<Tensor> {
        let (height, width) = self.set.image_size();
        let row = self.rows.source(top, None)?;
        let column = self.columns.source(left, Some(mirrored))?;
        let row = image.f_unsqueeze(1)?.f_mul_scalar(height)?.f_add(&row)?;
        let pixel = row.f_mul_scalar(width)?.f_unsqueeze(2)?.f_add(&column.f_unsqueeze(1)?)?;
        let pixels = self.set.images().f_view([-1, 3])?;
        Ok(pixels.f_index_select(0, &pixel.f_flatten(0, -1)?)?.f_view([-1, height, width, 3])?)
    }

    /// Which pixels of images of `size` lie in the rectangles around these centres, (B) from top and from
    /// left, in parts of [`WHOLE`], with so many rows and columns, (B) or (1), in pixels of the set's images:
    /// bool, (B, 1, H, W).
    fn rectangle(
        &self,
        [top, left]: [Tensor; 2],
        [rows, columns]: [&Tensor; 2],
        size: Option<i64>,
    ) -> Result<Tensor> {
        let (height, width) = self.set.image_size();
        let rows = self.within(&top, rows, height, size.unwrap_or(height))?.f_unsqueeze(2)?;
        let columns = self.within(&left, columns, width, size.unwrap_or(width))?.f_unsqueeze(1)?;
        Ok(rows.f_logical_and(&columns)?.f_unsqueeze(1)?)
    }

    /// Which of `size` rows or columns of images of `n` lie within `side` around these centres, in parts of
    /// [`WHOLE`]: bool, (B, size).
    fn within(&self, centre: &Tensor, side: &Tensor, n: i64, size: i64) -> Result<Tensor> {
        let centre = centre.f_mul_scalar(n)?.f_floor_divide_scalar(WHOLE)?.f_unsqueeze(1)?;
        // The pixel of the image in which the middle of each row or column lies.
        let all = (Kind::Int64, self.set.device());
        let middle = Tensor::f_arange_start_step(n, 2 * n * size, 2 * n, all)?;
        let away = middle.f_floor_divide_scalar(2 * size)?.f_sub(&centre)?;
        let side = side.f_unsqueeze(1)?;
        let before = side.f_floor_divide_scalar(2)?;
        let from = away.f_add(&before)?;
        Ok(from.f_ge(0)?.f_logical_and(&from.f_lt_tensor(&side)?)?)
    }

    /// Bytes (B, H, W, 3) to what the network takes.
    fn finish(&self, bytes: &Tensor, size: Option<i64>) -> Result<Tensor> {
        let (height, width) = self.set.image_size();
        let bytes = bytes.f_view([-1, height * width * 3])?.f_to_kind(Kind::Float)?;
        let pixels = self.shift.f_addcmul(&bytes, &self.scale)?;
        // The same memory in another order of axes: this is what makes it channels last.
        let images = pixels.f_view([-1, height, width, 3])?.f_permute([0, 3, 1, 2])?;
        match size {
            Some(size) if size < 1 => Err(Error::invalid("size", size, "give 1 or more")),
            Some(size) if (height, width) == (size, size) => Ok(images),
            Some(size) if height % size == 0 && width % size == 0 => {
                Ok(images.f_adaptive_avg_pool2d([size, size])?)
            }
            Some(size) if height <= size && width <= size => {
                // Nothing to smooth, and several times faster than with antialiasing.
                Ok(images.f_upsample_bilinear2d([size, size], false, None, None)?)
            }
            Some(size) => {
                Ok(images.f_internal_upsample_bilinear2d_aa([size, size], false, None, None)?)
            }
            None => Ok(images),
        }
    }
}

/// In the place of each row of a batch the next one, and the first in the place of the last. Unlike libtorch's
/// `roll` on a GPU it keeps the order of axes in memory.
fn next_of_each(batch: &Tensor) -> Result<Tensor> {
    let first = batch.f_narrow(0, 0, 1)?;
    let others = batch.f_narrow(0, 1, batch.size()[0] - 1)?;
    Ok(Tensor::f_cat(&[others, first], 0)?)
}

/// Where the pixels of a crop come from, along one axis of `n` pixels padded by reflection.
#[derive(Debug)]
struct Crop {
    /// (n + 2 pad): the pixel of the image at each place of the padded axis.
    reflected: Tensor,
    /// (n): 0, 1, ...
    forward: Tensor,
    /// (n): what turns `forward` around when added to it.
    turn: Tensor,
}

impl Crop {
    fn new(n: i64, pad: i64, device: tch::Device) -> Result<Self> {
        let reflect = |i: i64| if i < 0 { -i } else { i.min(2 * (n - 1) - i) };
        let upload = |values: Vec<i64>| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?)
        };
        Ok(Crop {
            reflected: upload((-pad..n + pad).map(reflect).collect())?,
            forward: upload((0..n).collect())?,
            turn: upload((0..n).map(|i| n - 1 - 2 * i).collect())?,
        })
    }

    /// The source of each pixel of the crops that begin at `start`, (B), turned around where
    /// `mirrored`, (B), is 1: i64, (B, n).
    fn source(&self, start: &Tensor, mirrored: Option<&Tensor>) -> Result<Tensor> {
        let mut place = start.f_unsqueeze(1)?.f_add(&self.forward)?;
        if let Some(mirrored) = mirrored {
            let _ = place.f_addcmul_(&mirrored.f_unsqueeze(1)?, &self.turn)?;
        }
        Ok(self.reflected.f_index(&[Some(place)])?)
    }
}
