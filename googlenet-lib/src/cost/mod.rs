//! What a network costs, in exact integers: shapes, parameters, multiply-adds, activations, bytes
//! and receptive fields of a [`NetworkSpec`], layer by layer. No tensors here.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let cost = spec::SEED.cost()?;
//! assert_eq!(cost.total.parameters, 5_979_642);
//! println!("{cost}"); // a table; `{cost:#}` shows what is inside the inception blocks too
//!
//! let vgg = spec::VGG_16.cost()?.classifier_share()?;
//! assert!(vgg.parameters > 0.89 && vgg.multiply_adds < 0.01);
//! # Ok::<(), Error>(())
//! ```
//!
//! # What is counted
//!
//! - **Parameters**: weights and biases; with batch normalisation scales and shifts in place of the
//!   biases. The running mean and variance are not learned: they are *buffers*.
//! - **Multiply-adds** of convolutions and linear layers, for one image. Windows that reach into the
//!   padding count in full. Biases, normalisation, pooling and activation functions do not count.
//!   PyTorch's `FlopCounterMode` counts the same and calls a multiply-add two operations.
//! - **Activations**: the values that a layer writes for one image: convolution, normalisation,
//!   pooling, concatenation, linear. ReLU and dropout are taken to work in place and write nothing.
//! - **Receptive field**: rows (and columns) of the image that one value depends on. Padding counts,
//!   so that it can be larger than the image.
//! - **Bytes**: see [`NetworkCost::training_bytes`] and [`NetworkCost::inference_bytes`]. Scratch
//!   space of libtorch and of the driver is not in them.
//!
//! # Table 1 of the paper
//!
//! Table 1 (<https://arxiv.org/abs/1409.4842>) prints parameters, in units of 1024 weights without
//! biases, and multiply-adds, in millions. Its operations are those of
//! [`PAPER`](crate::spec::PAPER) but for three rows. Its parameters agree in three rows only; the
//! others, but for the first, are off by up to 7 %:
//!
//! | row | its params | exact, Ki | its ops | exact, M | why |
//! | --- | ---: | ---: | ---: | ---: | --- |
//! | convolution 7x7/2 | 2.7K | 9.2 | 34M | 118.0 | a separable convolution, see below |
//! | convolution 3x3/1 | 112K | 112.0 | 360M | 359.7 | they agree |
//! | inception (3a) | 159K | 159.5 | 128M | 128.0 | they agree |
//! | inception (3b) | 380K | 379.0 | 304M | 304.3 | params: with the 640 biases it is 379.6 |
//! | inception (4a) | 364K | 366.8 | 73M | 73.6 | its columns agree with each other, 364 Ki x 14 x 14 = 73.1M, not with its channels |
//! | inception (4b) | 437K | 438.0 | 88M | 87.9 | params: not known, 0.2 % |
//! | inception (4c) | 463K | 497.5 | 100M | 99.9 | params: contradict its own ops, which need 498 Ki |
//! | inception (4d) | 580K | 590.5 | 119M | 118.5 | params: contradict its own ops, which need 593 Ki |
//! | inception (4e) | 840K | 847.0 | 170M | 170.0 | params: contradict its own ops, which need 847 Ki |
//! | inception (5a) | 1072K | 1018.0 | 54M | 51.1 | its columns agree with each other, 1072 Ki x 7 x 7 = 53.8M, not with its channels |
//! | inception (5b) | 1388K | 1409.0 | 71M | 70.7 | params: contradict its own ops, which need 1415 Ki |
//! | linear | 1000K | 1000.0 | 1M | 1.0 | they agree |
//!
//! The first row's two numbers are those of a *separable* convolution with depth multiplier 8, 7x7
//! for each colour and 1x1 after it: (7 x 7 x 3 x 8) + (3 x 8 x 64) = 2,712 weights, at 112 x 112
//! places 34.0M multiply-adds. The paper does not say so; its successor, which has the same stem,
//! does (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>, appendix). A full 7x7
//! convolution, as this lab and the usual libraries build it, has 9,408. For the other rows the table
//! above says what the arithmetic shows; the authors' own reasons are not known to us.

mod compare;
mod summary;

use serde::Serialize;

pub use compare::{
    Bottleneck, BottleneckCost, GapVersusFc, InceptionComparison, NaiveComparison, naive_comparison,
};
pub(crate) use summary::dimensions;

use crate::spec::{
    AuxiliarySpec, BranchSpec, ConvSpec, HeadPool, HeadSpec, Layer, NetworkSpec, PoolSpec, Shape,
};
use crate::{Error, Result};

/// Bytes of a 32-bit floating point number.
const FLOAT: i64 = 4;
/// Bytes of the place of each maximum, which max pooling keeps for the backward pass.
const INDEX: i64 = 8;

/// What is counted of one operation, of a layer or of a network; see the [module's page](self).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Learned values.
    pub parameters: i64,
    /// Values that are kept with the weights but not learned.
    pub buffers: i64,
    /// Multiply-adds for one image.
    pub multiply_adds: i64,
    /// Values written for one image.
    pub activations: i64,
    /// Those of them that are maxima of a window: training keeps the place of each.
    pub maxima: i64,
}

/// What one layer costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerCost {
    /// Its name, which is that of its variables.
    pub name: String,
    /// What it computes, such as `Conv 7x7/2`: window, then stride.
    pub operation: String,
    /// Shape of what it reads.
    pub input: Shape,
    /// Shape of what it returns; of an auxiliary classifier its logits.
    pub output: Shape,
    /// Rows of the image that one value of its output depends on.
    pub receptive_field: i64,
    /// Whether every output reads all of the input: a part of the classifier.
    pub fully_connected: bool,
    /// Whether it works in training only: an auxiliary classifier.
    pub training_only: bool,
    /// The sum over its parts.
    pub cost: Cost,
    /// The operations inside, if there are several.
    pub parts: Vec<LayerCost>,
}

/// What a network costs, layer by layer and in total. In a notebook it shows itself as a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkCost {
    /// The network's name.
    pub network: String,
    /// Shape of one image.
    pub input: Shape,
    /// The layers in order, the head last.
    pub layers: Vec<LayerCost>,
    /// All of it, auxiliary classifiers included: what training costs.
    pub total: Cost,
    /// Without auxiliary classifiers: what evaluation costs.
    pub inference: Cost,
}

/// Parts of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Share of the parameters.
    pub parameters: f64,
    /// Share of the multiply-adds.
    pub multiply_adds: f64,
}

impl NetworkSpec {
    /// What the network costs for an image of its own input shape.
    ///
    /// # Errors
    /// A spec that cannot be built (see [`NetworkSpec::check`]), and a count of 2^63 or more.
    pub fn cost(&self) -> Result<NetworkCost> {
        self.check()?;
        let mut place = Place::start(self.input);
        let mut layers = Vec::with_capacity(self.layers.len() + 1);
        for (layer, (name, _)) in self.layers.iter().zip(self.shapes()?) {
            let (cost, after) = self.layer_cost(layer, &name, place)?;
            layers.push(cost);
            place = after;
        }
        layers.push(head(&self.head, place)?);
        let evaluated = layers.iter().filter(|layer| !layer.training_only);
        Ok(NetworkCost {
            network: self.name.to_string(),
            input: self.input,
            total: Cost::sum(layers.iter().map(|layer| &layer.cost))?,
            inference: Cost::sum(evaluated.map(|layer| &layer.cost))?,
            layers,
        })
    }

    /// What it costs if it is built for images of another shape.
    ///
    /// # Errors
    /// As [`NetworkSpec::cost`].
    pub fn cost_for(&self, input: Shape) -> Result<NetworkCost> {
        NetworkSpec { input, ..self.clone() }.cost()
    }

    fn layer_cost(&self, layer: &Layer, name: &str, from: Place) -> Result<(LayerCost, Place)> {
        let normalised = self.norm.is_some();
        match layer {
            Layer::Conv(spec) => conv(name, spec, normalised, from),
            Layer::MaxPool(spec) => max_pool(name, spec, from),
            Layer::LocalResponseNorm(_) => {
                let cost = Cost { activations: from.shape.elements(), ..Cost::default() };
                Ok((leaf(name, "LocalResponseNorm", from, from, cost), from))
            }
            Layer::Inception(_) | Layer::NaiveInception(_) => {
                let naive = matches!(layer, Layer::NaiveInception(_));
                let operation = if naive { "Naive inception" } else { "Inception" };
                inception(name, operation, &layer.branches(), normalised, from)
            }
            Layer::Auxiliary(spec) => {
                Ok((auxiliary(name, spec, self.head.classes, normalised, from)?, from))
            }
        }
    }
}

impl NetworkCost {
    /// Every operation on its own: the layers that have no parts, and the parts of the others.
    pub fn operations(&self) -> impl Iterator<Item = &LayerCost> {
        self.layers.iter().flat_map(|layer| match layer.parts.as_slice() {
            [] => std::slice::from_ref(layer),
            parts => parts,
        })
    }

    /// Bytes of training on `batch` images at once in 32-bit numbers: parameters, their gradients,
    /// `optimizer_values` numbers for each of them (SGD with momentum keeps 1, Adam 2), buffers,
    /// the images, and all activations, which wait for the backward pass, with the places of the
    /// maxima (8 bytes each).
    ///
    /// # Errors
    /// A batch under 1, fewer than no values, and 2^63 bytes or more.
    pub fn training_bytes(&self, batch: i64, optimizer_values: i64) -> Result<i64> {
        let layers = self.total.training_bytes(batch, optimizer_values)?;
        let images = product("bytes of the images", &[FLOAT, batch, self.input.elements()])?;
        sum("bytes of training", &[layers, images])
    }

    /// Bytes of evaluating `batch` images at once in 32-bit numbers: parameters and buffers, and
    /// what the layer with the most activations reads and writes. A layer is taken to free nothing
    /// before it is done.
    ///
    /// # Errors
    /// A batch under 1, and 2^63 bytes or more.
    pub fn inference_bytes(&self, batch: i64) -> Result<i64> {
        let layers = self.layers.iter().filter(|layer| !layer.training_only);
        let working: Vec<i64> =
            layers.map(|layer| layer.working_bytes(batch)).collect::<Result<_>>()?;
        let largest = working.into_iter().max().unwrap_or(0);
        sum("bytes of evaluation", &[self.inference.stored_bytes()?, largest])
    }

    /// Values of one image that the layer which reads and writes most reads and writes in evaluation, a block taken as
    /// one layer.
    pub(crate) fn largest_layer(&self) -> i64 {
        let layers = self.layers.iter().filter(|layer| !layer.training_only);
        let values = layers.map(|layer| layer.input.elements() + layer.output.elements());
        values.max().unwrap_or(0)
    }

    /// The share of the classifier in the network without auxiliary classifiers. The classifier is
    /// the head, and every convolution as large as its input, which is a fully connected layer.
    ///
    /// # Errors
    /// 2^63 parameters or more.
    pub fn classifier_share(&self) -> Result<Share> {
        let classifier = self.layers.iter().filter(|layer| layer.fully_connected);
        let classifier = Cost::sum(classifier.map(|layer| &layer.cost))?;
        let share = |part: i64, whole: i64| part as f64 / whole as f64;
        Ok(Share {
            parameters: share(classifier.parameters, self.inference.parameters),
            multiply_adds: share(classifier.multiply_adds, self.inference.multiply_adds),
        })
    }
}

impl LayerCost {
    /// Bytes that this layer adds to [`NetworkCost::training_bytes`].
    ///
    /// # Errors
    /// As there.
    pub fn training_bytes(&self, batch: i64, optimizer_values: i64) -> Result<i64> {
        self.cost.training_bytes(batch, optimizer_values)
    }

    /// Bytes of evaluating this layer alone: its parameters and buffers, what it reads and what it
    /// writes.
    ///
    /// # Errors
    /// A batch under 1, and 2^63 bytes or more.
    pub fn inference_bytes(&self, batch: i64) -> Result<i64> {
        sum(&self.name, &[self.cost.stored_bytes()?, self.working_bytes(batch)?])
    }

    fn working_bytes(&self, batch: i64) -> Result<i64> {
        at_least("batch", batch, 1)?;
        let values = sum(&self.name, &[self.input.elements(), self.cost.activations])?;
        product(&self.name, &[FLOAT, batch, values])
    }
}

impl Cost {
    /// The sum of several costs.
    ///
    /// # Errors
    /// 2^63 or more of anything.
    pub fn sum<'a>(costs: impl IntoIterator<Item = &'a Cost>) -> Result<Cost> {
        costs.into_iter().try_fold(Cost::default(), |a, b| {
            Ok(Cost {
                parameters: sum("parameters", &[a.parameters, b.parameters])?,
                buffers: sum("buffers", &[a.buffers, b.buffers])?,
                multiply_adds: sum("multiply-adds", &[a.multiply_adds, b.multiply_adds])?,
                activations: sum("activations", &[a.activations, b.activations])?,
                maxima: sum("maxima", &[a.maxima, b.maxima])?,
            })
        })
    }

    fn stored_bytes(&self) -> Result<i64> {
        product("weights", &[FLOAT, sum("weights", &[self.parameters, self.buffers])?])
    }

    fn training_bytes(&self, batch: i64, optimizer_values: i64) -> Result<i64> {
        at_least("batch", batch, 1)?;
        at_least("values of the optimizer", optimizer_values, 0)?;
        let what = "bytes of training";
        let copies = sum(what, &[1, optimizer_values])?;
        sum(
            what,
            &[
                self.stored_bytes()?,
                product(what, &[FLOAT, copies, self.parameters])?,
                product(what, &[FLOAT, batch, self.activations])?,
                product(what, &[INDEX, batch, self.maxima])?,
            ],
        )
    }
}

/// Where a layer reads: the shape there, the receptive field of one value, and the distance in the
/// image of two neighbouring values.
#[derive(Clone, Copy)]
struct Place {
    shape: Shape,
    field: i64,
    jump: i64,
}

impl Place {
    fn start(shape: Shape) -> Place {
        Place { shape, field: 1, jump: 1 }
    }

    /// After a window of `kernel` rows that moves by `stride`.
    fn after(self, name: &str, shape: Shape, kernel: i64, stride: i64) -> Result<Place> {
        let reach = product(name, &[kernel - 1, self.jump])?;
        Ok(Place {
            shape,
            field: sum(name, &[self.field, reach])?,
            jump: product(name, &[self.jump, stride])?,
        })
    }

    /// After something that reads all there is.
    fn after_all(self, name: &str, shape: Shape) -> Result<Place> {
        self.after(name, shape, self.shape.height.max(self.shape.width), 1)
    }
}

/// A layer that is one operation.
fn leaf(name: &str, operation: impl Into<String>, from: Place, to: Place, cost: Cost) -> LayerCost {
    LayerCost {
        name: name.to_string(),
        operation: operation.into(),
        input: from.shape,
        output: to.shape,
        receptive_field: to.field,
        fully_connected: false,
        training_only: false,
        cost,
        parts: Vec::new(),
    }
}

/// A layer of several operations.
fn composite(
    name: &str,
    operation: impl Into<String>,
    from: Place,
    to: Place,
    parts: Vec<LayerCost>,
) -> Result<LayerCost> {
    let cost = Cost::sum(parts.iter().map(|part| &part.cost))?;
    Ok(LayerCost { parts, ..leaf(name, operation, from, to, cost) })
}

fn window(what: &str, kernel: i64, stride: i64) -> String {
    match stride {
        1 => format!("{what} {kernel}x{kernel}"),
        _ => format!("{what} {kernel}x{kernel}/{stride}"),
    }
}

fn conv(name: &str, spec: &ConvSpec, normalised: bool, from: Place) -> Result<(LayerCost, Place)> {
    let ConvSpec { out_channels, kernel, stride, padding, .. } = *spec;
    let to = from.after(name, spec.output(from.shape)?, kernel, stride)?;
    let weights = product(name, &[from.shape.channels, out_channels, kernel, kernel])?;
    // Biases; or scales and shifts, running means and variances, and the normalised values.
    let (vectors, buffers, written) = if normalised { (2, 2, 2) } else { (1, 0, 1) };
    let cost = Cost {
        parameters: sum(name, &[weights, product(name, &[vectors, out_channels])?])?,
        buffers: product(name, &[buffers, out_channels])?,
        multiply_adds: product(name, &[weights, to.shape.height, to.shape.width])?,
        activations: product(name, &[written, to.shape.elements()])?,
        maxima: 0,
    };
    let covers = padding == 0 && kernel == from.shape.height && kernel == from.shape.width;
    let layer = leaf(name, window("Conv", kernel, stride), from, to, cost);
    Ok((LayerCost { fully_connected: covers, ..layer }, to))
}

fn max_pool(name: &str, spec: &PoolSpec, from: Place) -> Result<(LayerCost, Place)> {
    let to = from.after(name, spec.output(name, from.shape)?, spec.kernel, spec.stride)?;
    let written = to.shape.elements();
    let cost = Cost { activations: written, maxima: written, ..Cost::default() };
    Ok((leaf(name, window("MaxPool", spec.kernel, spec.stride), from, to, cost), to))
}

fn linear(name: &str, outputs: i64, from: Place) -> Result<(LayerCost, Place)> {
    let inputs = from.shape.elements();
    let to = from.after_all(name, Shape::square(outputs, 1))?;
    let weights = product(name, &[inputs, outputs])?;
    let cost = Cost {
        parameters: sum(name, &[weights, outputs])?,
        multiply_adds: weights,
        activations: outputs,
        ..Cost::default()
    };
    Ok((leaf(name, "Linear", from, to, cost), to))
}

fn inception(
    name: &str,
    operation: &str,
    branches: &[BranchSpec],
    normalised: bool,
    from: Place,
) -> Result<(LayerCost, Place)> {
    let mut parts = Vec::new();
    let mut to = from;
    to.shape.channels = 0;
    for branch in branches {
        let mut place = from;
        if let Some(pool) = &branch.pool {
            let (cost, after) = max_pool(&format!("{name}.pool"), pool, place)?;
            parts.push(cost);
            place = after;
        }
        for spec in &branch.convs {
            let (cost, after) = conv(&format!("{name}.{}", spec.name), spec, normalised, place)?;
            parts.push(cost);
            place = after;
        }
        to.shape.channels = sum(name, &[to.shape.channels, place.shape.channels])?;
        to.field = to.field.max(place.field);
    }
    let joined = Cost { activations: to.shape.elements(), ..Cost::default() };
    parts.push(leaf(&format!("{name}.concat"), "Concat", to, to, joined));
    Ok((composite(name, operation, from, to, parts)?, to))
}

fn auxiliary(
    name: &str,
    spec: &AuxiliarySpec,
    classes: i64,
    normalised: bool,
    from: Place,
) -> Result<LayerCost> {
    let (pooling, kernel, stride) = match spec.adaptive_pool {
        // The windows of an adaptive pooling, rounded outwards.
        Some(size) => {
            let rows = from.shape.height.max(from.shape.width);
            ("Adaptive AvgPool", (rows / size) + i64::from(rows % size > 0), rows / size)
        }
        None => ("AvgPool", spec.pool_kernel, spec.pool_stride),
    };
    let pooled = from.after(name, spec.pooled(from.shape)?, kernel, stride)?;
    let written = Cost { activations: pooled.shape.elements(), ..Cost::default() };
    let operation = window(pooling, kernel, stride);
    let pool = leaf(&format!("{name}.pool"), operation, from, pooled, written);
    let (conv, place) = conv(&format!("{name}.conv"), &spec.conv_1x1(), normalised, pooled)?;
    let (hidden, place) = linear(&format!("{name}.hidden"), spec.hidden, place)?;
    let (classifier, place) = linear(&format!("{name}.classifier"), classes, place)?;
    let parts = vec![pool, conv, hidden, classifier];
    let layer = composite(name, "Auxiliary classifier", from, place, parts)?;
    Ok(LayerCost { training_only: true, ..layer })
}

fn head(spec: &HeadSpec, from: Place) -> Result<LayerCost> {
    let mut parts = Vec::new();
    let mut place = from;
    let pooled = spec.pooled(from.shape)?;
    let pool = match spec.pool {
        HeadPool::GlobalAverage => {
            Some(("Global AvgPool".to_string(), from.after_all("head", pooled)?))
        }
        HeadPool::Average { kernel } => {
            Some((window("AvgPool", kernel, 1), from.after("head", pooled, kernel, 1)?))
        }
        HeadPool::Flatten => None,
    };
    if let Some((operation, after)) = pool {
        let written = Cost { activations: pooled.elements(), ..Cost::default() };
        parts.push(leaf("head.pool", operation, from, after, written));
        place = after;
    }
    for (name, outputs) in spec
        .hidden
        .map(|units| ("head.hidden", units))
        .into_iter()
        .chain([("head.classifier", spec.classes)])
    {
        let (cost, after) = linear(name, outputs, place)?;
        parts.push(cost);
        place = after;
    }
    let layer = composite("head", "Classifier", from, place, parts)?;
    Ok(LayerCost { fully_connected: true, ..layer })
}

fn at_least(what: &str, value: i64, least: i64) -> Result<()> {
    if value >= least {
        return Ok(());
    }
    Err(Error::invalid(what, value, format!("it must be at least {least}")))
}

fn product(what: &str, factors: &[i64]) -> Result<i64> {
    let value = factors.iter().try_fold(1i64, |product, &factor| product.checked_mul(factor));
    value.ok_or_else(|| too_large(what, factors, " x "))
}

fn sum(what: &str, terms: &[i64]) -> Result<i64> {
    let value = terms.iter().try_fold(0i64, |sum, &term| sum.checked_add(term));
    value.ok_or_else(|| too_large(what, terms, " + "))
}

fn too_large(what: &str, numbers: &[i64], sign: &str) -> Error {
    let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
    Error::invalid(
        format!("cost of {what}"),
        numbers.join(sign),
        "it must stay under 2^63: give smaller sizes",
    )
}
