//! Looking into a network: what its layers answer to an image, what its gradients are, where it is
//! wrong and how sure it is.
//!
//! Everything begins with a [`Classifier`], which [`Trainer::classifier`] gives, and ends in a
//! small struct of numbers that shows itself as a picture.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let data = Shapes10::generate(64, 40, 0)?;
//! let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
//! let run = Trainer::new(net, &data, Recipe::fast().with_batch(32))?;
//!
//! let image = data.test.image(0)?;
//! let best = run.classifier().likeliest(&image, 5)?;
//! assert_eq!(best.classes.len(), 5);
//! let maps = run.classifier().feature_maps(&image, "inception_3a")?;
//! assert_eq!(maps.branches.len(), 4);
//!
//! let predictions = run.predictions()?;
//! let right: u64 = (0..10).map(|class| predictions.confusion().counts[class][class]).sum();
//! assert_eq!(right as f64 / 40.0, predictions.accuracy());
//! assert!(predictions.calibration(10)?.picture()?.svg().contains("confidence"));
//! # Ok::<(), Error>(())
//! ```

mod activations;
mod cam;
mod gradients;
mod predictions;

use std::borrow::Borrow;

use tch::{Device, Kind, Tensor, no_grad};
use vision_data::{Augment, DataLoader, Image, ImageSet, Normalize};

/// The name before 2026-11-26.
pub use TopK as Likeliest;
pub use activations::{Branch, FeatureMaps, Filters, filters};
pub use cam::ActivationMap;
pub use gradients::{GradCam, GradientNorms, LayerGradient};
/// The name before 2026-11-26.
pub use predictions::ConfusionMatrix as Confusion;
pub use predictions::{Bin, Calibration, ConfusionMatrix, Mistake, Mistakes, Predictions};

use crate::model::GoogLeNet;
use crate::train::{Computed, Evaluator, Precision, Trainer};
use crate::{Error, Result};

/// Images that pass a network of the reader's own at a time.
const BATCH: i64 = 128;

/// A network with what it takes to use it on images: their normalisation, and names for its
/// classes. `N` is the network or a reference to it: [`Snapshot`], [`Classifier`].
#[derive(Debug)]
pub struct Lens<N> {
    net: N,
    normalize: Normalize,
    classes: Vec<String>,
    computed: Computed,
}

/// A look at a network that is somebody else's: a [`Lens`] that borrows it.
pub type Classifier<'a> = Lens<&'a GoogLeNet>;

/// A look at a network of its own, a [`Lens`] that has its weights: it can go to another thread, and to a
/// widget that outlives its cell.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let data = Shapes10::generate(32, 10, 0)?;
/// let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
/// let mut run = Trainer::new(net, &data, Recipe::fast().with_epochs(1).with_batch(16))?;
///
/// let before = run.snapshot()?;
/// run.fit(Epochs(1))?;
/// let images = data.test.clone();
/// interact(&IntSlider::new("image", 0..=9), move |index| {
///     before.feature_maps(&images.image(index as usize)?, "inception_3a")
/// });
/// # Ok::<(), Error>(())
/// ```
pub type Snapshot = Lens<GoogLeNet>;

impl<N: Borrow<GoogLeNet>> Lens<N> {
    /// For a network of your own, such as one from [`crate::model::torchvision::load`].
    ///
    /// # Errors
    /// Another number of names than the network has classes.
    pub fn new(net: N, normalize: Normalize, classes: &[impl AsRef<str>]) -> Result<Lens<N>> {
        let spec = net.borrow().spec();
        let wanted = spec.head.classes;
        if classes.len() as i64 != wanted {
            return Err(Error::invalid(
                "number of class names",
                classes.len(),
                format!("{} has {wanted} classes", spec.name),
            ));
        }
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        let computed = Computed { flip: false, batch: BATCH, precision: Precision::Float32 };
        Ok(Lens { net, normalize, classes, computed })
    }

    /// The same look at a copy of the network as it is now, on its device: later training does not change
    /// it. Like every network that is made, it draws from libtorch's generator.
    ///
    /// # Errors
    /// A device that fails, for want of memory for example.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let Lens { normalize, computed, .. } = *self;
        Ok(Lens { net: copy(self.net())?, normalize, classes: self.classes.clone(), computed })
    }

    fn net(&self) -> &GoogLeNet {
        self.net.borrow()
    }

    /// The `n` likeliest classes of an image, likeliest first; all of them if there are fewer.
    ///
    /// # Errors
    /// An image that the network cannot take; a device that fails.
    pub fn likeliest(&self, image: &Image, n: usize) -> Result<TopK> {
        let (image, xs) = self.input(image)?;
        let probabilities = probabilities(&no_grad(|| self.logits(&xs))?)?;
        let mut classes: Vec<(String, f64)> =
            self.classes.iter().cloned().zip(probabilities.into_iter().flatten()).collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(n);
        Ok(TopK { image, classes })
    }

    /// What the network says to every image of a set, at the network's own size.
    ///
    /// # Errors
    /// A set without images or with a label that the network has no class for; a device that fails.
    pub fn predictions(&self, set: &ImageSet) -> Result<Predictions> {
        if let Some((_, label)) = set.label_range()?
            && label >= self.classes.len() as i64
        {
            let remedy = format!("the network has {} classes, from 0", self.classes.len());
            return Err(Error::invalid("a label", label, remedy));
        }
        let (loader, size) = self.loader(set)?;
        let images = loader.len() as i64;
        let mut rows = Vec::with_capacity(loader.len());
        no_grad(|| -> Result<()> {
            let mut evaluator = Evaluator::new(self.net(), self.computed)?;
            for (start, len) in evaluator.batches(images) {
                let (xs, _) = loader.eval(start, len, size)?;
                rows.extend(probabilities(&evaluator.logits(&xs)?)?);
            }
            Ok(())
        })?;
        Predictions::new(self.classes.clone(), set.clone(), rows)
    }

    /// Logits (N, classes) of normalised images (N, C, H, W), in evaluation mode.
    fn logits(&self, xs: &Tensor) -> Result<Tensor> {
        Evaluator::new(self.net(), self.computed)?.logits(xs)
    }

    /// A set on the network's device, and the size that its images are brought to.
    fn loader(&self, set: &ImageSet) -> Result<(DataLoader, Option<i64>)> {
        let input = self.net().spec().input;
        let size = (set.image_size() != (input.height, input.width)).then_some(input.height);
        let set = set.to_device(self.net().device())?;
        Ok((DataLoader::new(&set, &self.normalize, Augment::NONE)?, size))
    }

    /// An image as the network sees it: the part that is not cut off, and its tensor (1, C, H, W).
    /// A square image is resized as those of a data set are; another one is fitted first.
    fn input(&self, image: &Image) -> Result<(Image, Tensor)> {
        let input = self.net().spec().input;
        let image = match image.height() == image.width() {
            true => image.clone(),
            false => image.fitted(input.height as u32, input.width as u32)?,
        };
        let label = Tensor::f_zeros([1], (Kind::Int64, Device::Cpu))?;
        let (loader, size) = self.loader(&ImageSet::new(image.tensor()?, label)?)?;
        let (xs, _) = loader.eval(0, 1, size)?;
        Ok((image, xs))
    }

    /// The number of a class by its name.
    fn class(&self, name: &str) -> Result<usize> {
        self.classes.iter().position(|class| class == name).ok_or_else(|| {
            let some: Vec<_> = self.classes.iter().take(20).map(String::as_str).collect();
            Error::invalid(
                "class",
                format!("'{name}'"),
                format!("choose one of {}", some.join(", ")),
            )
        })
    }
}

impl Trainer {
    /// The network with its normalisation and its classes, for looking into it. It computes as the
    /// recipe does, and sees images mirrored too if the recipe tests so.
    pub fn classifier(&self) -> Classifier<'_> {
        Classifier {
            net: self.net(),
            normalize: self.normalize,
            classes: self.classes.clone(),
            computed: self.computed(),
        }
    }

    /// [`Trainer::classifier`] for a copy of the network as it is now.
    ///
    /// # Errors
    /// As [`Lens::snapshot`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.classifier().snapshot()
    }

    /// What the network says to every test image, at its own size.
    ///
    /// # Errors
    /// A device that fails.
    pub fn predictions(&self) -> Result<Predictions> {
        self.classifier().predictions(self.test.set())
    }
}

/// The likeliest classes of one image.
#[derive(Debug, Clone)]
pub struct TopK {
    /// The part of the image that the network saw.
    pub image: Image,
    /// Name and probability, likeliest first.
    pub classes: Vec<(String, f64)>,
}

/// A network with the same weights of its own.
fn copy(net: &GoogLeNet) -> Result<GoogLeNet> {
    let mut copy = GoogLeNet::new(net.spec(), net.device())?;
    let weights = net.variables().variables();
    if let Some(weight) = weights.values().next() {
        copy.set_kind(weight.kind())?;
    }
    no_grad(|| -> Result<()> {
        for (name, mut ours) in copy.variables().variables() {
            // One spec, one set of names.
            ours.f_copy_(&weights[&name])?;
        }
        Ok(())
    })?;
    Ok(copy)
}

/// Softmax of logits (N, classes), row by row.
fn probabilities(logits: &Tensor) -> Result<Vec<Vec<f64>>> {
    let rows = logits.f_softmax(1, Kind::Double)?.f_to_device(Device::Cpu)?;
    Ok(Vec::<Vec<f64>>::try_from(rows)?)
}
