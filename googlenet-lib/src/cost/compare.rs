//! One design against another: naive and reduced inception blocks, bottlenecks, pooling and fully
//! connected layers.
//!
//! ```
//! use googlenet_lib::cost::{Bottleneck, GapVersusFc};
//! use googlenet_lib::spec::Shape;
//!
//! // The blog post's example: 112.9 million multiply-adds become 5.3 million.
//! let cost = Bottleneck {
//!     height: 14, width: 14, in_channels: 480, mid_channels: 16, out_channels: 48, kernel: 5,
//! }.cost()?;
//! assert_eq!(cost.direct.multiply_adds, 112_896_000);
//! assert_eq!(cost.reduced.multiply_adds, 5_268_480);
//!
//! let gap = GapVersusFc::new(Shape::square(1024, 7), 1024)?;
//! assert_eq!((gap.weights, gap.biases, gap.pooled.parameters), (51_380_224, 1024, 0));
//! # Ok::<(), googlenet_lib::Error>(())
//! ```

use serde::Serialize;

use super::{Cost, LayerCost, Place, at_least, linear, product, sum};
use crate::Result;
use crate::spec::{Layer, NetworkSpec, Shape};

/// A 1x1 convolution in front of a larger one, against the larger one alone (section 3 of the
/// paper). Both return `out_channels` x `height` x `width`, with stride 1 and padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bottleneck {
    /// Rows (H).
    pub height: i64,
    /// Columns (W).
    pub width: i64,
    /// Channels that come in.
    pub in_channels: i64,
    /// Channels between the two convolutions.
    pub mid_channels: i64,
    /// Channels that go out.
    pub out_channels: i64,
    /// Rows and columns of the larger kernel.
    pub kernel: i64,
}

/// What a [`Bottleneck`] costs and saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BottleneckCost {
    /// The larger convolution alone: H W C_in C_out k^2 multiply-adds.
    pub direct: Cost,
    /// Both convolutions: H W (C_in C_mid + C_mid C_out k^2) multiply-adds.
    pub reduced: Cost,
    /// The most channels in between with which both need no more multiply-adds than the larger one
    /// alone: C_in C_out k^2 / (C_in + C_out k^2), rounded down. 0 if there is no such number.
    pub break_even: i64,
}

impl Bottleneck {
    /// Its arithmetic.
    ///
    /// # Errors
    /// A number under 1, and counts of 2^63 or more.
    pub fn cost(&self) -> Result<BottleneckCost> {
        let Bottleneck { in_channels, mid_channels, out_channels, kernel, .. } = *self;
        for (what, value) in [
            ("height", self.height),
            ("width", self.width),
            ("in_channels", in_channels),
            ("mid_channels", mid_channels),
            ("out_channels", out_channels),
            ("kernel", kernel),
        ] {
            at_least(what, value, 1)?;
        }
        let first = self.conv(in_channels, mid_channels, 1)?;
        let second = self.conv(mid_channels, out_channels, kernel)?;
        let window = product("bottleneck", &[out_channels, kernel, kernel])?;
        let direct = product("bottleneck", &[in_channels, window])?;
        Ok(BottleneckCost {
            direct: self.conv(in_channels, out_channels, kernel)?,
            reduced: Cost::sum([&first, &second])?,
            break_even: direct / sum("bottleneck", &[in_channels, window])?,
        })
    }

    fn conv(&self, inputs: i64, outputs: i64, kernel: i64) -> Result<Cost> {
        let what = "bottleneck";
        let weights = product(what, &[inputs, outputs, kernel, kernel])?;
        Ok(Cost {
            parameters: sum(what, &[weights, outputs])?,
            multiply_adds: product(what, &[weights, self.height, self.width])?,
            activations: product(what, &[outputs, self.height, self.width])?,
            ..Cost::default()
        })
    }
}

/// Global average pooling against flattening and a fully connected layer (section 5 of the paper,
/// and Lin et al. 2013, <https://arxiv.org/abs/1312.4400>, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GapVersusFc {
    /// The last activations.
    pub features: Shape,
    /// Values that the classifier returns.
    pub outputs: i64,
    /// Weights of the fully connected layer.
    pub weights: i64,
    /// Its biases.
    pub biases: i64,
    /// Flattening and the fully connected layer.
    pub fully_connected: Cost,
    /// Global average pooling alone, one value a channel: nothing to learn, nothing multiplied.
    pub pooled: Cost,
    /// Global average pooling and then a linear layer to the outputs, as GoogLeNet has it.
    pub pooled_linear: Cost,
}

impl GapVersusFc {
    /// Its arithmetic.
    ///
    /// # Errors
    /// A number under 1, and counts of 2^63 or more.
    pub fn new(features: Shape, outputs: i64) -> Result<GapVersusFc> {
        for (what, value) in [
            ("channels", features.channels),
            ("height", features.height),
            ("width", features.width),
            ("outputs", outputs),
        ] {
            at_least(what, value, 1)?;
        }
        product("features", &[features.channels, features.height, features.width])?;
        let (flat, _) = linear("fully connected layer", outputs, Place::start(features))?;
        let averages = Shape::square(features.channels, 1);
        let (after, _) = linear("linear layer", outputs, Place::start(averages))?;
        let pooled = Cost { activations: features.channels, ..Cost::default() };
        Ok(GapVersusFc {
            features,
            outputs,
            weights: flat.cost.multiply_adds,
            biases: outputs,
            fully_connected: flat.cost,
            pooled,
            pooled_linear: Cost::sum([&pooled, &after.cost])?,
        })
    }
}

/// An inception block of a network, with and without its reductions (Figure 2 of the paper).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InceptionComparison {
    /// The block with dimension reduction, in its network.
    pub reduced: LayerCost,
    /// The naive block with the same input.
    pub naive: LayerCost,
    /// The naive block in a network of naive blocks: its input has grown, since the pool branch of
    /// every block passes all channels on.
    pub stacked: LayerCost,
}

/// The inception blocks of a network against their naive form. In a notebook it shows itself as a
/// table.
///
/// Each naive block adds the channels of its convolutions to those that it reads. The channels of a
/// stack are thus a sum over its blocks; they do not multiply, as is sometimes said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NaiveComparison {
    /// The network's name.
    pub network: String,
    /// The blocks in order.
    pub blocks: Vec<InceptionComparison>,
}

/// Compares every inception block of a network with its naive form, alone and in a stack.
///
/// # Errors
/// As [`NetworkSpec::cost`].
pub fn naive_comparison(spec: &NetworkSpec) -> Result<NaiveComparison> {
    let (reduced, stacked) = (spec.cost()?.layers, spec.naive().cost()?.layers);
    let mut blocks = Vec::new();
    for (index, layer) in spec.layers.iter().enumerate() {
        let Layer::Inception(block) = layer else { continue };
        let mut alone = spec.clone();
        alone.layers.to_mut()[index] = Layer::NaiveInception(block.naive());
        blocks.push(InceptionComparison {
            reduced: reduced[index].clone(),
            naive: alone.cost()?.layers.swap_remove(index),
            stacked: stacked[index].clone(),
        });
    }
    Ok(NaiveComparison { network: spec.name.to_string(), blocks })
}
