//! Which part of an image speaks for a class and which against it, where the head is a mean and a linear
//! layer.

use std::borrow::Borrow;

use tch::{Device, Kind, no_grad};
use vision_data::Image;

use super::{Lens, probabilities};
use crate::model::GoogLeNet;
use crate::{Error, Result};

/// A class activation map (Zhou et al. 2016, <https://arxiv.org/abs/1512.04150>): what each place of the
/// last activations adds to the logit of a class. The mean of the map plus the bias is the logit.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationMap {
    /// The image, as far as the network saw it.
    pub image: Image,
    /// Name of the last layer before the head.
    pub layer: String,
    /// Name of the class.
    pub class: String,
    /// Probability of the class, as the network gives it in tests.
    pub probability: f64,
    /// Logit of the class, from these activations.
    pub logit: f64,
    /// Bias of the class: the part of the logit that no place has.
    pub bias: f64,
    /// Rows and columns of the activations.
    pub size: (usize, usize),
    /// The map, row by row: the sum of the activations, each channel times its weight for the class
    /// (equation 2). Above 0 a place speaks for the class, under 0 against it.
    pub map: Vec<f32>,
}

impl<N: Borrow<GoogLeNet>> Lens<N> {
    /// Which part of an image speaks for a class (`None`: for the likeliest one) and which against it.
    /// [`Lens::grad_cam`] is for every network, and for layers before the last.
    ///
    /// # Errors
    /// A network whose head is not a mean over all places and one linear layer; a name that no class has;
    /// an image that the network cannot take.
    pub fn activation_map(&self, image: &Image, class: Option<&str>) -> Result<ActivationMap> {
        let class = class.map(|name| self.class(name)).transpose()?;
        let layer = self.before_the_mean()?;
        let (image, xs) = self.input(image)?;
        let answer = no_grad(|| self.logits(&xs))?;
        let class = match class {
            Some(class) => class,
            None => answer.f_argmax(1, false)?.f_int64_value(&[0])? as usize,
        };
        let row = class as i64;
        let variables = self.net().variables().variables();
        no_grad(|| {
            let activations = self.net().activations(&xs, &layer)?;
            let logits = self.net().logits_from(&activations, &layer)?;
            let weights = variables["head.classifier.weight"].f_get(row)?.f_view([-1, 1, 1])?;
            let map = (activations.f_squeeze_dim(0)?.f_mul(&weights)?)
                .f_sum_dim_intlist([0i64].as_slice(), false, None)?
                .f_to_kind(Kind::Float)?
                .f_to_device(Device::Cpu)?;
            Ok(ActivationMap {
                image,
                layer,
                class: self.classes[class].clone(),
                probability: probabilities(&answer)?[0][class],
                logit: logits.f_double_value(&[0, row])?,
                bias: variables["head.classifier.bias"].f_double_value(&[row])?,
                size: (map.size()[0] as usize, map.size()[1] as usize),
                map: Vec::try_from(map.f_contiguous()?.f_view([-1])?)?,
            })
        })
    }

    /// Name of the layer whose mean the one linear layer of the head reads.
    fn before_the_mean(&self) -> Result<String> {
        let spec = self.net().spec();
        let last = spec.shapes()?.pop();
        // An average over windows, or no pooling at all, is a mean over all places where one is left.
        let one_place = |channels| Ok::<_, Error>(spec.head_features()? == channels);
        match last {
            Some((name, shape)) if spec.head.hidden.is_none() && one_place(shape.channels)? => {
                Ok(name)
            }
            _ => Err(Error::invalid(
                "network",
                &spec.name,
                "its head must be a mean over all places and one linear layer: use grad_cam",
            )),
        }
    }
}
