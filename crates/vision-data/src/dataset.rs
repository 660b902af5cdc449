//! A named data set of two splits.

use crate::{Error, ImageSet, Result};
use serde::{Deserialize, Serialize};
use tch::Device;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What it is measured on, and never learns from.
    Test,
}

/// A data set: a name, the names of its classes, and two splits.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What plots and texts call it. It says so where the images are not what a reader would take
    /// them for: not the official files, not all of them, or not photographs.
    pub name: String,
    /// The name of class `i` at index `i`.
    pub classes: Vec<String>,
    /// What the network learns from.
    pub train: ImageSet,
    /// What it is measured on.
    pub test: ImageSet,
}

impl Dataset {
    /// Puts together a data set of your own.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a label has no class, or the two splits differ in image size or
    /// device.
    pub fn new(
        name: impl Into<String>,
        classes: &[&str],
        train: ImageSet,
        test: ImageSet,
    ) -> Result<Self> {
        for set in [&train, &test] {
            if let Some((_, label)) = set.label_range()?
                && label >= classes.len() as i64
            {
                return Err(Error::invalid(
                    "a label",
                    label,
                    format!("there are {} classes, counted from 0", classes.len()),
                ));
            }
        }
        if train.image_size() != test.image_size() {
            return Err(Error::invalid(
                "image size of the test split",
                format!("{:?}", test.image_size()),
                format!("that of the training split is {:?}", train.image_size()),
            ));
        }
        if train.device() != test.device() {
            return Err(Error::invalid(
                "device of the test split",
                format!("{:?}", test.device()),
                format!("that of the training split is {:?}", train.device()),
            ));
        }
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        Ok(Dataset { name: name.into(), classes, train, test })
    }

    /// One of the two splits.
    pub fn split(&self, split: Split) -> &ImageSet {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }

    /// The same data set on `device`.
    ///
    /// # Errors
    /// [`Error::Torch`] where the device does not exist or has no room.
    pub fn to_device(&self, device: Device) -> Result<Dataset> {
        Ok(Dataset {
            name: self.name.clone(),
            classes: self.classes.clone(),
            train: self.train.to_device(device)?,
            test: self.test.to_device(device)?,
        })
    }

    /// The first `train` training images and the first `test` test images. The name then says how
    /// many were taken, for a result on a part of the data is not one on the data.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer.
    pub fn take(&self, train: usize, test: usize) -> Result<Dataset> {
        let all = train == self.train.len() && test == self.test.len();
        let name = match all {
            true => self.name.clone(),
            false => format!("{}, first {train} + {test} images", self.name),
        };
        Ok(Dataset {
            name,
            classes: self.classes.clone(),
            train: self.train.take(train)?,
            test: self.test.take(test)?,
        })
    }
}
