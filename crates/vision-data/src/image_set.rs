//! Images and their labels, as bytes on one device.

use crate::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Images with one label each, held as bytes on one device.
///
/// Cloning is cheap: the clone shares the memory.
#[derive(Debug)]
pub struct ImageSet {
    images: Tensor,
    labels: Tensor,
}

impl ImageSet {
    /// Takes `images`, u8 of shape (N, H, W, 3) with red, green and blue last, and `labels`, i64 of
    /// shape (N), both on one device.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a kind, a shape or a device is another one, or a label is negative.
    pub fn new(images: Tensor, labels: Tensor) -> Result<Self> {
        let shape = images.size();
        if images.kind() != Kind::Uint8 {
            return Err(Error::invalid("kind of the images", debug(images.kind()), "give Uint8"));
        }
        if shape.len() != 4 || shape[3] != 3 || shape[1] < 1 || shape[2] < 1 {
            return Err(Error::invalid(
                "shape of the images",
                debug(&shape),
                "give (N, H, W, 3), the colours last",
            ));
        }
        if labels.kind() != Kind::Int64 {
            return Err(Error::invalid("kind of the labels", debug(labels.kind()), "give Int64"));
        }
        if labels.size() != shape[..1] {
            return Err(Error::invalid(
                "shape of the labels",
                debug(labels.size()),
                format!("give ({},), one label an image", shape[0]),
            ));
        }
        if labels.device() != images.device() {
            return Err(Error::invalid(
                "device of the labels",
                debug(labels.device()),
                format!("put them where the images are, on {:?}", images.device()),
            ));
        }
        let set = ImageSet { images: images.f_contiguous()?, labels };
        if let Some((least, _)) = set.label_range()?
            && least < 0
        {
            return Err(Error::invalid("a label", least, "give labels from 0"));
        }
        Ok(set)
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.numel()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images: u8, (N, H, W, 3), contiguous.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// The labels: i64, (N).
    pub fn labels(&self) -> &Tensor {
        &self.labels
    }

    /// Where the images lie.
    pub fn device(&self) -> Device {
        self.images.device()
    }

    /// Height and width of the images, in pixels.
    pub fn image_size(&self) -> (i64, i64) {
        let shape = self.images.size();
        (shape[1], shape[2])
    }

    /// The same images on `device`. Where they are there already, the memory is shared.
    ///
    /// # Errors
    /// [`Error::Torch`] where the device does not exist or has no room.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        Ok(ImageSet {
            images: self.images.f_to_device(device)?,
            labels: self.labels.f_to_device(device)?,
        })
    }

    /// The first `n` images. The memory is shared.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer.
    pub fn take(&self, n: usize) -> Result<Self> {
        if n > self.len() {
            return Err(Error::invalid(
                "the number of images to take",
                n,
                format!("there are {}", self.len()),
            ));
        }
        let n = n as i64;
        Ok(ImageSet {
            images: self.images.f_narrow(0, 0, n)?,
            labels: self.labels.f_narrow(0, 0, n)?,
        })
    }

    /// The smallest and the largest label; `None` where there is no image. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Torch`] where the device fails.
    pub fn label_range(&self) -> Result<Option<(i64, i64)>> {
        if self.is_empty() {
            return Ok(None);
        }
        Ok(Some((i64::try_from(self.labels.f_min()?)?, i64::try_from(self.labels.f_max()?)?)))
    }
}

impl Clone for ImageSet {
    fn clone(&self) -> Self {
        ImageSet { images: self.images.shallow_clone(), labels: self.labels.shallow_clone() }
    }
}

fn debug(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}
