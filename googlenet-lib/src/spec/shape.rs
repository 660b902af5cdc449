//! The shapes of a network's activations, and whether its numbers can be built.

use super::{
    AuxiliarySpec, BranchSpec, ConvSpec, Dropout, HeadPool, HeadSpec, Layer, NetworkSpec, PoolSpec,
    RELU, Shape,
};
use crate::{Error, Result};

impl NetworkSpec {
    /// Name and output shape of every layer of the body, for an image of the spec's input shape.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes_for`].
    pub fn shapes(&self) -> Result<Vec<(String, Shape)>> {
        self.shapes_for(self.input)
    }

    /// Name and output shape of every layer of the body for an image of another shape.
    ///
    /// # Errors
    /// A size or a channel count under 1, a window larger than what it slides over, and a number
    /// too large for 64 bits; the message names the layer.
    pub fn shapes_for(&self, input: Shape) -> Result<Vec<(String, Shape)>> {
        check_shape("input", input)?;
        let mut shapes = Vec::with_capacity(self.layers.len());
        let mut shape = input;
        let (mut pools, mut norms) = (0, 0);
        for layer in self.layers.iter() {
            let name = match (layer, layer.name()) {
                (_, Some(name)) => name.to_string(),
                (Layer::MaxPool(_), _) => {
                    pools += 1;
                    format!("max_pool_{pools}")
                }
                _ => {
                    norms += 1;
                    format!("local_response_norm_{norms}")
                }
            };
            shape = layer.output(&name, shape)?;
            shapes.push((name, shape));
        }
        Ok(shapes)
    }

    /// Number of values that the head's first linear layer reads, for the spec's input shape.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`], and a pooling window larger than the last activations.
    pub fn head_features(&self) -> Result<i64> {
        let last = self.shapes()?.last().map_or(self.input, |(_, shape)| *shape);
        Ok(self.head.pooled(last)?.elements())
    }

    /// Whether every number in the spec can be built: positive sizes, windows that fit, fractions
    /// between 0 and 1.
    ///
    /// # Errors
    /// The first number that cannot, with the layer's name.
    pub fn check(&self) -> Result<()> {
        self.head_features()?;
        positive("head", "number of classes", self.head.classes)?;
        if let Some(hidden) = self.head.hidden {
            positive("head", "hidden", hidden)?;
        }
        if let Dropout::Elements(p) | Dropout::Channels(p) = self.head.dropout {
            fraction("head", p)?;
        }
        Ok(())
    }
}

impl Layer {
    /// Output shape of this layer for this input shape.
    pub(crate) fn output(&self, name: &str, input: Shape) -> Result<Shape> {
        match self {
            Layer::Conv(conv) => conv.output(input),
            Layer::MaxPool(pool) => {
                if pool.padding.saturating_mul(2) > pool.kernel {
                    return Err(Error::invalid(
                        format!("padding of {name}"),
                        pool.padding,
                        format!("it must be at most half the window, {}", pool.kernel / 2),
                    ));
                }
                pool.output(name, input)
            }
            Layer::LocalResponseNorm(norm) => {
                positive(name, "size", norm.size)?;
                Ok(input)
            }
            Layer::Inception(block) if block.kernel_5x5 < 1 || block.kernel_5x5 % 2 == 0 => {
                Err(Error::invalid(
                    format!("kernel_5x5 of {name}"),
                    block.kernel_5x5,
                    "it must be odd, so that height and width stay",
                ))
            }
            Layer::Inception(_) | Layer::NaiveInception(_) => {
                concatenated(name, &self.branches(), input)
            }
            Layer::Auxiliary(auxiliary) => {
                positive(name, "conv", auxiliary.conv)?;
                positive(name, "hidden", auxiliary.hidden)?;
                fraction(name, auxiliary.dropout)?;
                auxiliary.pooled(input)?;
                Ok(input)
            }
        }
    }
}

impl ConvSpec {
    /// Output shape for this input shape.
    ///
    /// # Errors
    /// A size under 1, a window that does not fit, more than 2^63 values.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        let name = &self.name;
        positive(name, "out_channels", self.out_channels)?;
        let window = PoolSpec {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            ceil_mode: false,
        };
        let shape = window.output(name, input)?;
        check_shape(name, Shape { channels: self.out_channels, ..shape })
    }
}

impl HeadSpec {
    /// Shape after its pooling.
    pub(crate) fn pooled(&self, last: Shape) -> Result<Shape> {
        match self.pool {
            HeadPool::GlobalAverage => Ok(Shape::square(last.channels, 1)),
            HeadPool::Flatten => Ok(last),
            HeadPool::Average { kernel } => {
                let pool = PoolSpec { kernel, stride: 1, padding: 0, ceil_mode: false };
                pool.output("head", last)
            }
        }
    }
}

impl AuxiliarySpec {
    /// Its convolution.
    pub(crate) fn conv_1x1(&self) -> ConvSpec {
        ConvSpec::same("conv", self.conv, 1, 1, RELU)
    }

    /// Shape after its average pooling.
    pub(crate) fn pooled(&self, input: Shape) -> Result<Shape> {
        if let Some(size) = self.adaptive_pool {
            positive(&self.name, "adaptive_pool", size)?;
            return Ok(Shape { height: size, width: size, ..input });
        }
        let pool = PoolSpec {
            kernel: self.pool_kernel,
            stride: self.pool_stride,
            padding: 0,
            ceil_mode: false,
        };
        pool.output(&self.name, input)
    }
}

impl PoolSpec {
    /// Output shape of a window that slides over this input.
    pub(crate) fn output(&self, name: &str, input: Shape) -> Result<Shape> {
        positive(name, "kernel", self.kernel)?;
        positive(name, "stride", self.stride)?;
        if self.padding < 0 {
            return Err(Error::invalid(
                format!("padding of {name}"),
                self.padding,
                "it must be at least 0",
            ));
        }
        let shape = Shape {
            channels: input.channels,
            height: self.positions(name, input.height)?,
            width: self.positions(name, input.width)?,
        };
        check_shape(name, shape)
    }

    /// How many windows fit into `size` rows or columns.
    fn positions(&self, name: &str, size: i64) -> Result<i64> {
        let room = self
            .padding
            .checked_mul(2)
            .and_then(|padding| padding.checked_add(size))
            .and_then(|padded| padded.checked_sub(self.kernel))
            .filter(|&room| room >= 0)
            .ok_or_else(|| {
                Error::invalid(
                    format!("window of {name}"),
                    self.kernel,
                    format!("it does not fit into {size} rows or columns: give a larger image"),
                )
            })?;
        let mut windows = room / self.stride + 1;
        // A last window that hangs over the edge counts if it starts inside image or left padding.
        if self.ceil_mode
            && room % self.stride != 0
            && windows.saturating_mul(self.stride) < size + self.padding
        {
            windows += 1;
        }
        Ok(windows)
    }
}

/// Output shape of an inception block: all channels that leave its branches.
fn concatenated(name: &str, branches: &[BranchSpec], input: Shape) -> Result<Shape> {
    let mut channels = 0i64;
    for branch in branches {
        for conv in &branch.convs {
            positive(name, &conv.name, conv.out_channels)?;
        }
        channels = channels.saturating_add(branch.out_channels(input.channels));
    }
    check_shape(name, Shape { channels, ..input })
}

fn positive(name: &str, what: &str, value: i64) -> Result<()> {
    if value >= 1 {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} of {name}"), value, "it must be at least 1"))
}

fn fraction(name: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("dropout of {name}"), value, "it must be at least 0 and under 1"))
}

/// All three numbers positive and their product within 64 bits.
fn check_shape(name: &str, shape: Shape) -> Result<Shape> {
    positive(name, "channels", shape.channels)?;
    positive(name, "height", shape.height)?;
    positive(name, "width", shape.width)?;
    shape
        .channels
        .checked_mul(shape.height)
        .and_then(|values| values.checked_mul(shape.width))
        .map(|_| shape)
        .ok_or_else(|| {
            Error::invalid(
                format!("size of {name}"),
                format!("{}x{}x{}", shape.channels, shape.height, shape.width),
                "it must stay under 2^63 values",
            )
        })
}
