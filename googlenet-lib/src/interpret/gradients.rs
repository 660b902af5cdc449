//! What gradients tell: how much each layer learns from a batch, and which part of an image speaks
//! for a class.

use std::borrow::Borrow;

use tch::{Device, Kind, Tensor, no_grad};
use vision_data::{Image, ImageSet};

use super::{Lens, probabilities};
use crate::model::{GoogLeNet, cross_entropy};
use crate::spec::Layer;
use crate::{Error, Result};

/// How large the gradient of the loss is in each layer. Section 5 of the paper adds auxiliary
/// classifiers to strengthen it in the lower layers.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientNorms {
    /// Name of the network.
    pub network: String,
    /// The layers with weights, from the image to the head; auxiliary classifiers are left out.
    pub layers: Vec<LayerGradient>,
}

/// The gradient in one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGradient {
    /// Name of the layer.
    pub name: String,
    /// Euclidean norm over all its weights, for the loss of the head alone.
    pub head: f64,
    /// The same for the head's loss plus those of the auxiliary classifiers times their weights;
    /// `None` for a network without any.
    pub with_auxiliary: Option<f64>,
}

/// Which part of an image speaks for a class, by Grad-CAM (Selvaraju et al. 2017,
/// <https://arxiv.org/abs/1610.02391>).
#[derive(Debug, Clone, PartialEq)]
pub struct GradCam {
    /// The image, as far as the network saw it.
    pub image: Image,
    /// Name of the layer whose activations are weighed.
    pub layer: String,
    /// Name of the class.
    pub class: String,
    /// Probability of the class.
    pub probability: f64,
    /// Rows and columns of the layer's activations.
    pub size: (usize, usize),
    /// The map, row by row: the rectified sum of the activations, each channel times the mean of
    /// the gradient of the class's logit over its positions (equations 1 and 2).
    pub map: Vec<f32>,
}

impl GradientNorms {
    /// The gradient in the layer of this name.
    ///
    /// ```
    /// use googlenet_lib::prelude::*;
    ///
    /// let data = Shapes10::generate(16, 10, 0)?;
    /// let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
    /// let run = Trainer::new(net, &data, Recipe::fast().with_batch(16))?;
    /// let norms = run.classifier().gradient_norms(&data.train)?;
    /// assert!(norms.layer("conv_1")?.head > 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// A name that no layer has.
    pub fn layer(&self, name: &str) -> Result<&LayerGradient> {
        self.layers.iter().find(|layer| layer.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.layers.iter().map(|layer| layer.name.as_str()).collect();
            Error::invalid(
                format!("layer of {}", self.network),
                format!("'{name}'"),
                format!("choose one of {}", names.join(", ")),
            )
        })
    }
}

impl<N: Borrow<GoogLeNet>> Lens<N> {
    /// The gradient norm of each layer for the mean loss over a set of images, which pass the
    /// network at once, in training mode: dropout is on, and normalisation uses the batch. The
    /// network is left as it was.
    ///
    /// # Errors
    /// A set without images, or with more than fit into memory at once; a label without a class.
    pub fn gradient_norms(&self, set: &ImageSet) -> Result<GradientNorms> {
        let (loader, size) = self.loader(set)?;
        let (xs, labels) = loader.eval(0, loader.len() as i64, size)?;
        // A pass in training mode moves the running statistics.
        let variables = self.net().variables().variables();
        let statistics: Vec<(&Tensor, Tensor)> = variables
            .values()
            .filter(|variable| !variable.requires_grad())
            .map(|variable| Ok((variable, variable.f_detach_copy()?)))
            .collect::<Result<_>>()?;
        let norms = gradient_norms(self.net(), &xs, &labels);
        no_grad(|| -> Result<()> {
            for (variable, before) in statistics {
                variable.shallow_clone().f_copy_(&before)?;
            }
            Ok(())
        })?;
        norms
    }

    /// Which part of an image speaks for a class (`None`: for the likeliest one), by the activations
    /// of a layer. The last inception block is the usual choice.
    ///
    /// # Errors
    /// A name that no layer or no class has; an image that the network cannot take.
    pub fn grad_cam(&self, image: &Image, layer: &str, class: Option<&str>) -> Result<GradCam> {
        let class = class.map(|name| self.class(name)).transpose()?;
        let (image, xs) = self.input(image)?;
        let activations = no_grad(|| self.net().activations(&xs, layer))?.set_requires_grad(true);
        let logits = self.net().logits_from(&activations, layer)?;
        let answer = no_grad(|| self.logits(&xs))?;
        let class = match class {
            Some(class) => class,
            None => answer.f_argmax(1, false)?.f_int64_value(&[0])? as usize,
        };
        let score = logits.f_select(1, class as i64)?.f_sum(logits.kind())?;
        let gradients = Tensor::f_run_backward(&[&score], &[&activations], false, false)?;
        let map = no_grad(|| -> Result<Tensor> {
            let weights = gradients[0].f_mean_dim([2i64, 3].as_slice(), true, None)?;
            Ok((activations * weights)
                .f_sum_dim_intlist([1i64].as_slice(), false, None)?
                .f_relu()?)
        })?;
        let map = map.f_squeeze_dim(0)?.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?;
        Ok(GradCam {
            image,
            layer: layer.into(),
            class: self.classes[class].clone(),
            probability: probabilities(&answer)?[0][class],
            size: (map.size()[0] as usize, map.size()[1] as usize),
            map: Vec::try_from(map.f_contiguous()?.f_view([-1])?)?,
        })
    }
}

fn gradient_norms(net: &GoogLeNet, xs: &Tensor, labels: &Tensor) -> Result<GradientNorms> {
    let spec = net.spec();
    let auxiliary: Vec<&str> = spec.auxiliaries().map(|classifier| &*classifier.name).collect();
    let outputs = net.outputs(xs)?;
    let head = cross_entropy(&outputs.logits, labels, 0.0)?;
    let total = outputs.loss(labels, 0.0)?;

    let mut names: Vec<String> = spec.shapes()?.into_iter().map(|(name, _)| name).collect();
    names.push("head".into());
    let mut variables: Vec<(usize, Tensor)> = Vec::new();
    for (name, variable) in net.variables().variables() {
        let layer = name.split('.').next().unwrap_or_default();
        let place = names.iter().position(|name| name == layer);
        if let Some(place) =
            place.filter(|_| variable.requires_grad() && !auxiliary.contains(&layer))
        {
            variables.push((place, variable));
        }
    }
    let inputs: Vec<&Tensor> = variables.iter().map(|(_, variable)| variable).collect();
    let squares = |loss: &Tensor, keep: bool| -> Result<Vec<f64>> {
        let mut squares = vec![0.0; names.len()];
        let gradients = Tensor::f_run_backward(&[loss], &inputs, keep, false)?;
        for ((place, _), gradient) in variables.iter().zip(gradients) {
            squares[*place] += gradient.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        }
        Ok(squares)
    };
    let some = !auxiliary.is_empty();
    let alone = squares(&head, some)?;
    let together = if some { Some(squares(&total, false)?) } else { None };
    let layers = names
        .into_iter()
        .enumerate()
        .filter(|(place, _)| variables.iter().any(|(other, _)| other == place))
        .map(|(place, name)| LayerGradient {
            name,
            head: alone[place].sqrt(),
            with_auxiliary: together.as_ref().map(|squares| squares[place].sqrt()),
        })
        .collect();
    Ok(GradientNorms { network: spec.name.to_string(), layers })
}

impl GoogLeNet {
    /// Name of the first inception block, whose feature maps are the largest.
    ///
    /// # Errors
    /// A network without inception blocks.
    pub fn first_inception(&self) -> Result<String> {
        self.inception(self.spec().layers.iter())
    }

    /// Name of the last inception block: the usual layer for [`Lens::grad_cam`].
    ///
    /// # Errors
    /// A network without inception blocks.
    pub fn last_inception(&self) -> Result<String> {
        self.inception(self.spec().layers.iter().rev())
    }

    /// The first block of these layers.
    fn inception<'a>(&self, mut layers: impl Iterator<Item = &'a Layer>) -> Result<String> {
        let block = layers.find(|layer| !layer.branches().is_empty()).and_then(Layer::name);
        block.map(String::from).ok_or_else(|| {
            Error::invalid("network", &self.spec().name, "it has no inception block: name a layer")
        })
    }
}
