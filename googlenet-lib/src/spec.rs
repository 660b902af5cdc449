//! The networks as data: no tensors here.
//!
//! A [`NetworkSpec`] is the list of layers of a network, one row per inception block, with the
//! channel counts of Table 1 of Szegedy et al., *Going Deeper with Convolutions*, 2014
//! (<https://arxiv.org/abs/1409.4842>). The model is built from it, and its shapes are computed
//! from it. No channel count stands anywhere else.
//!
//! Four networks:
//!
//! | spec | input | what it is |
//! | --- | --- | --- |
//! | [`PAPER`] | 3x224x224 | Table 1 to the letter, with both auxiliary classifiers |
//! | [`SEED`] | 3x224x224 | the blog post's network to the letter |
//! | [`CIFAR`] | 3x32x32 | full width, batch normalisation, no early downsampling |
//! | [`COMPACT`] | 3x32x32 | about a million parameters, made for a CPU |
//!
//! [`TORCHVISION`] takes weights that torchvision's `googlenet` was trained to.
//!
//! ```
//! use googlenet_lib::spec::{self, INCEPTION_3A};
//!
//! assert_eq!(INCEPTION_3A.out_channels(), 64 + 128 + 32 + 32);
//!
//! // Where the paper's network is 14x14, and what its last block returns.
//! let shapes = spec::PAPER.shapes()?;
//! let (_, last) = shapes.iter().rfind(|(name, _)| name == "inception_5b").unwrap();
//! assert_eq!((last.channels, last.height, last.width), (1024, 7, 7));
//! # Ok::<(), googlenet_lib::Error>(())
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A whole network: input, layers in order, and the classifier at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Its name, as it appears in plots and files.
    pub name: Cow<'static, str>,
    /// Shape of one input image.
    pub input: Shape,
    /// Batch normalisation after every convolution, or none. With it, convolutions have no bias.
    pub norm: Option<BatchNormSpec>,
    /// The layers, in the order in which an image passes them.
    pub layers: Cow<'static, [Layer]>,
    /// The classifier.
    pub head: HeadSpec,
}

/// Channels, height and width of the activations of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Number of channels (C).
    pub channels: i64,
    /// Rows (H).
    pub height: i64,
    /// Columns (W).
    pub width: i64,
}

impl Shape {
    /// A square shape with `size` rows and columns.
    pub const fn square(channels: i64, size: i64) -> Shape {
        Shape { channels, height: size, width: size }
    }

    /// Number of values: C x H x W.
    pub const fn elements(&self) -> i64 {
        self.channels * self.height * self.width
    }
}

/// Constants of batch normalisation (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchNormSpec {
    /// Added to the variance before the square root.
    pub epsilon: f64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
}

/// PyTorch's default constants.
pub const BATCH_NORM: BatchNormSpec = BatchNormSpec { epsilon: 1e-5, momentum: 0.1 };

/// One step of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Layer {
    /// A convolution, with its normalisation and activation.
    Conv(ConvSpec),
    /// Maximum over a window.
    MaxPool(PoolSpec),
    /// Local response normalisation (Krizhevsky et al. 2012, section 3.3).
    LocalResponseNorm(LocalResponseNormSpec),
    /// An inception block with dimension reduction (Figure 2b of the paper).
    Inception(InceptionSpec),
    /// A naive inception block (Figure 2a of the paper).
    NaiveInception(NaiveInceptionSpec),
    /// An auxiliary classifier that reads the activations at this point. They pass on unchanged.
    Auxiliary(AuxiliarySpec),
}

/// A convolution with square kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvSpec {
    /// Name of its weights.
    pub name: Cow<'static, str>,
    /// Number of filters.
    pub out_channels: i64,
    /// Rows and columns of the kernel.
    pub kernel: i64,
    /// Step between two windows.
    pub stride: i64,
    /// Rows and columns of zeros on each side.
    pub padding: i64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl ConvSpec {
    /// A convolution with padding of half a kernel: with an odd kernel it keeps height and width
    /// at stride 1.
    pub const fn same(
        name: &'static str,
        out_channels: i64,
        kernel: i64,
        stride: i64,
        relu: bool,
    ) -> ConvSpec {
        let padding = kernel / 2;
        ConvSpec { name: Cow::Borrowed(name), out_channels, kernel, stride, padding, relu }
    }

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

/// A pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Rows and columns of the window.
    pub kernel: i64,
    /// Step between two windows.
    pub stride: i64,
    /// Padding on each side.
    pub padding: i64,
    /// Whether a last window that hangs over the edge counts.
    pub ceil_mode: bool,
}

/// The pooling inside an inception block: 3x3 with stride 1 and padding 1, so that height and width
/// stay.
const POOL_SAME: PoolSpec = PoolSpec { kernel: 3, stride: 1, padding: 1, ceil_mode: false };

/// Constants of local response normalisation, as `torch.nn.LocalResponseNorm` defines them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseNormSpec {
    /// Number of neighbouring channels.
    pub size: i64,
    /// Factor of the mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Added to the scaled mean square.
    pub k: f64,
}

/// One branch of an inception block: an optional pooling, then convolutions one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchSpec {
    /// Maximum over a window, with stride 1.
    pub pool: Option<PoolSpec>,
    /// Convolutions that keep height and width.
    pub convs: Vec<ConvSpec>,
}

impl BranchSpec {
    /// Channels that leave the branch when `in_channels` enter it.
    pub fn out_channels(&self, in_channels: i64) -> i64 {
        self.convs.last().map_or(in_channels, |conv| conv.out_channels)
    }
}

/// Channel counts of an inception block with dimension reduction (Figure 2b): the columns of
/// Table 1 from "#1x1" to "pool proj".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InceptionSpec {
    /// Name within the network, such as `inception_3a`.
    pub name: Cow<'static, str>,
    /// Filters of the 1x1 branch.
    pub conv_1x1: i64,
    /// 1x1 filters before the 3x3 convolution.
    pub reduce_3x3: i64,
    /// Filters of the 3x3 convolution.
    pub conv_3x3: i64,
    /// 1x1 filters before the 5x5 convolution.
    pub reduce_5x5: i64,
    /// Filters of the 5x5 convolution.
    pub conv_5x5: i64,
    /// Rows and columns of the kernel of the 5x5 convolution: 5, but 3 in [`TORCHVISION`].
    pub kernel_5x5: i64,
    /// 1x1 filters after the pooling: the pool projection.
    pub pool_proj: i64,
}

impl InceptionSpec {
    /// A row of Table 1, in the order of its columns: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5,
    /// pool proj.
    pub const fn row(name: &'static str, channels: [i64; 6]) -> InceptionSpec {
        let [conv_1x1, reduce_3x3, conv_3x3, reduce_5x5, conv_5x5, pool_proj] = channels;
        InceptionSpec {
            name: Cow::Borrowed(name),
            conv_1x1,
            reduce_3x3,
            conv_3x3,
            reduce_5x5,
            conv_5x5,
            kernel_5x5: 5,
            pool_proj,
        }
    }

    /// The same block with a 3x3 kernel in the 5x5 branch, as torchvision has it.
    const fn with_3x3_for_5x5(mut self) -> InceptionSpec {
        self.kernel_5x5 = 3;
        self
    }

    /// Channels after the concatenation of the four branches.
    pub const fn out_channels(&self) -> i64 {
        let convs = self.conv_1x1.saturating_add(self.conv_3x3).saturating_add(self.conv_5x5);
        convs.saturating_add(self.pool_proj)
    }

    /// The four branches of Figure 2b, in the order of their concatenation. The convolutions'
    /// names are those of the fields.
    pub fn branches(&self) -> [BranchSpec; 4] {
        let convs = |convs: &[(&'static str, i64, i64)]| -> Vec<ConvSpec> {
            convs
                .iter()
                .map(|&(name, channels, kernel)| ConvSpec::same(name, channels, kernel, 1, RELU))
                .collect()
        };
        [
            BranchSpec { pool: None, convs: convs(&[("conv_1x1", self.conv_1x1, 1)]) },
            BranchSpec {
                pool: None,
                convs: convs(&[("reduce_3x3", self.reduce_3x3, 1), ("conv_3x3", self.conv_3x3, 3)]),
            },
            BranchSpec {
                pool: None,
                convs: convs(&[
                    ("reduce_5x5", self.reduce_5x5, 1),
                    ("conv_5x5", self.conv_5x5, self.kernel_5x5),
                ]),
            },
            BranchSpec { pool: Some(POOL_SAME), convs: convs(&[("pool_proj", self.pool_proj, 1)]) },
        ]
    }

    /// The same block without its reductions (Figure 2a).
    pub fn naive(&self) -> NaiveInceptionSpec {
        NaiveInceptionSpec {
            name: self.name.clone(),
            conv_1x1: self.conv_1x1,
            conv_3x3: self.conv_3x3,
            conv_5x5: self.conv_5x5,
        }
    }
}

/// Channel counts of a naive inception block (Figure 2a): every branch reads the input itself, and
/// the pool branch passes all its channels on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NaiveInceptionSpec {
    /// Name within the network.
    pub name: Cow<'static, str>,
    /// Filters of the 1x1 branch.
    pub conv_1x1: i64,
    /// Filters of the 3x3 branch.
    pub conv_3x3: i64,
    /// Filters of the 5x5 branch.
    pub conv_5x5: i64,
}

impl NaiveInceptionSpec {
    /// The four branches of Figure 2a, in the order of their concatenation.
    pub fn branches(&self) -> [BranchSpec; 4] {
        let branch = |name, channels, kernel| BranchSpec {
            pool: None,
            convs: vec![ConvSpec::same(name, channels, kernel, 1, RELU)],
        };
        [
            branch("conv_1x1", self.conv_1x1, 1),
            branch("conv_3x3", self.conv_3x3, 3),
            branch("conv_5x5", self.conv_5x5, 5),
            BranchSpec { pool: Some(POOL_SAME), convs: vec![] },
        ]
    }

    /// Channels after the concatenation: the branches' filters and all `in_channels` of the pool
    /// branch, so that a stack of such blocks grows without end.
    pub const fn out_channels(&self, in_channels: i64) -> i64 {
        let convs = self.conv_1x1.saturating_add(self.conv_3x3).saturating_add(self.conv_5x5);
        convs.saturating_add(in_channels)
    }
}

/// An auxiliary classifier (section 5 of the paper): average pooling, a 1x1 convolution, a fully
/// connected layer, dropout, and a linear classifier. It works in training only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuxiliarySpec {
    /// Name within the network, such as `aux_4a`.
    pub name: Cow<'static, str>,
    /// Rows and columns of the average pooling window.
    pub pool_kernel: i64,
    /// Step of the average pooling.
    pub pool_stride: i64,
    /// Rows and columns that an adaptive average pooling leaves, in place of the window's; `None`
    /// for the window. torchvision pools 14x14 to 4x4 in this way.
    pub adaptive_pool: Option<i64>,
    /// Filters of the 1x1 convolution.
    pub conv: i64,
    /// Units of the fully connected layer.
    pub hidden: i64,
    /// Fraction of units that dropout sets to zero.
    pub dropout: f64,
    /// Weight of its loss in the total loss.
    pub weight: f64,
}

impl AuxiliarySpec {
    /// The paper's auxiliary classifier: 5x5 average pooling with stride 3, 128 filters, 1024
    /// units, 70 % dropout, loss weight 0.3.
    pub const fn paper(name: &'static str) -> AuxiliarySpec {
        AuxiliarySpec {
            name: Cow::Borrowed(name),
            pool_kernel: 5,
            pool_stride: 3,
            adaptive_pool: None,
            conv: 128,
            hidden: 1024,
            dropout: 0.7,
            weight: 0.3,
        }
    }
}

/// The classifier at the end of a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// How the last activations become one vector.
    pub pool: HeadPool,
    /// Units of a fully connected layer with ReLU before the classifier.
    pub hidden: Option<i64>,
    /// Dropout before the classifier.
    pub dropout: Dropout,
    /// Number of classes.
    pub classes: i64,
}

/// How the head makes one vector of the last activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeadPool {
    /// Global average pooling: one value a channel, whatever the image size.
    GlobalAverage,
    /// Average pooling with a fixed window and stride 1, then flattened.
    Average {
        /// Rows and columns of the window.
        kernel: i64,
    },
    /// No pooling: all activations, flattened.
    Flatten,
}

/// What dropout sets to zero in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Dropout {
    /// Nothing.
    None,
    /// This fraction of the values of the vector.
    Elements(f64),
    /// This fraction of whole channels, before flattening (`Dropout2d`). On 1x1 activations it is
    /// the same as [`Dropout::Elements`].
    Channels(f64),
}

/// Table 1, block 3a.
pub const INCEPTION_3A: InceptionSpec =
    InceptionSpec::row("inception_3a", [64, 96, 128, 16, 32, 32]);
/// Table 1, block 3b.
pub const INCEPTION_3B: InceptionSpec =
    InceptionSpec::row("inception_3b", [128, 128, 192, 32, 96, 64]);
/// Table 1, block 4a.
pub const INCEPTION_4A: InceptionSpec =
    InceptionSpec::row("inception_4a", [192, 96, 208, 16, 48, 64]);
/// Table 1, block 4b.
pub const INCEPTION_4B: InceptionSpec =
    InceptionSpec::row("inception_4b", [160, 112, 224, 24, 64, 64]);
/// Table 1, block 4c.
pub const INCEPTION_4C: InceptionSpec =
    InceptionSpec::row("inception_4c", [128, 128, 256, 24, 64, 64]);
/// Table 1, block 4d.
pub const INCEPTION_4D: InceptionSpec =
    InceptionSpec::row("inception_4d", [112, 144, 288, 32, 64, 64]);
/// Table 1, block 4e.
pub const INCEPTION_4E: InceptionSpec =
    InceptionSpec::row("inception_4e", [256, 160, 320, 32, 128, 128]);
/// Table 1, block 5a.
pub const INCEPTION_5A: InceptionSpec =
    InceptionSpec::row("inception_5a", [256, 160, 320, 32, 128, 128]);
/// Table 1, block 5b.
pub const INCEPTION_5B: InceptionSpec =
    InceptionSpec::row("inception_5b", [384, 192, 384, 48, 128, 128]);

/// The paper's local response normalisation: five channels, alpha 1e-4, beta 0.75.
pub const LOCAL_RESPONSE_NORM: LocalResponseNormSpec =
    LocalResponseNormSpec { size: 5, alpha: 1e-4, beta: 0.75, k: 1.0 };

/// 3x3 with stride 2, no padding, and a last window over the edge: 112 becomes 56.
const POOL_CEIL: Layer =
    Layer::MaxPool(PoolSpec { kernel: 3, stride: 2, padding: 0, ceil_mode: true });
/// 3x3 with stride 2 and padding 1: 112 becomes 56 as well.
const POOL_PADDED: Layer =
    Layer::MaxPool(PoolSpec { kernel: 3, stride: 2, padding: 1, ceil_mode: false });

/// 2x2 with stride 2, as VGG pools.
const POOL_VGG: Layer =
    Layer::MaxPool(PoolSpec { kernel: 2, stride: 2, padding: 0, ceil_mode: false });

const RELU: bool = true;
const LINEAR: bool = false;

const fn conv(
    name: &'static str,
    out_channels: i64,
    kernel: i64,
    stride: i64,
    relu: bool,
) -> Layer {
    Layer::Conv(ConvSpec::same(name, out_channels, kernel, stride, relu))
}

/// GoogLeNet as in Table 1 and Figure 3 of the paper: 224x224 colour images, 1000 classes, local
/// response normalisation in the stem, auxiliary classifiers after 4a and 4d.
pub static PAPER: NetworkSpec = NetworkSpec {
    name: Cow::Borrowed("PAPER"),
    input: Shape::square(3, 224),
    norm: None,
    layers: Cow::Borrowed(&[
        conv("conv_1", 64, 7, 2, RELU),
        POOL_CEIL,
        Layer::LocalResponseNorm(LOCAL_RESPONSE_NORM),
        conv("conv_2_reduce", 64, 1, 1, RELU),
        conv("conv_2", 192, 3, 1, RELU),
        Layer::LocalResponseNorm(LOCAL_RESPONSE_NORM),
        POOL_CEIL,
        Layer::Inception(INCEPTION_3A),
        Layer::Inception(INCEPTION_3B),
        POOL_CEIL,
        Layer::Inception(INCEPTION_4A),
        Layer::Auxiliary(AuxiliarySpec::paper("aux_4a")),
        Layer::Inception(INCEPTION_4B),
        Layer::Inception(INCEPTION_4C),
        Layer::Inception(INCEPTION_4D),
        Layer::Auxiliary(AuxiliarySpec::paper("aux_4d")),
        Layer::Inception(INCEPTION_4E),
        POOL_CEIL,
        Layer::Inception(INCEPTION_5A),
        Layer::Inception(INCEPTION_5B),
    ]),
    head: HeadSpec {
        pool: HeadPool::Average { kernel: 7 },
        hidden: None,
        dropout: Dropout::Elements(0.4),
        classes: 1000,
    },
};

/// The blog post's network to the letter, with base width 64 and ten classes; see [`seed`].
pub static SEED: NetworkSpec = NetworkSpec {
    name: Cow::Borrowed("SEED"),
    input: Shape::square(3, 224),
    norm: None,
    layers: Cow::Borrowed(&SEED_LAYERS),
    head: HeadSpec {
        pool: HeadPool::Average { kernel: 7 },
        hidden: None,
        dropout: Dropout::Channels(0.4),
        classes: 10,
    },
};

const SEED_LAYERS: [Layer; 15] = [
    conv("conv_1", 64, 7, 2, LINEAR),
    POOL_PADDED,
    conv("conv_2", 192, 3, 1, LINEAR),
    POOL_PADDED,
    Layer::Inception(INCEPTION_3A),
    Layer::Inception(INCEPTION_3B),
    POOL_PADDED,
    Layer::Inception(INCEPTION_4A),
    Layer::Inception(INCEPTION_4B),
    Layer::Inception(INCEPTION_4C),
    Layer::Inception(INCEPTION_4D),
    Layer::Inception(INCEPTION_4E),
    POOL_PADDED,
    Layer::Inception(INCEPTION_5A),
    Layer::Inception(INCEPTION_5B),
];

/// The blog post's network with another base width and number of classes.
///
/// Its stem has no ReLU, its 3x3 convolution follows the first pooling directly, every convolution
/// has a bias, there is no normalisation, its dropout is `Dropout2d` and it has no auxiliary
/// classifiers. In the post's code only base width 64 works, because block 3b is told to read
/// `4 * base` channels; here a block reads what the one before it returns.
///
/// # Errors
/// A base width or a number of classes under 1.
pub fn seed(base_width: i64, classes: i64) -> Result<NetworkSpec> {
    let mut spec = SEED.with_classes(classes)?;
    for (index, channels) in [(0, Some(base_width)), (2, base_width.checked_mul(3))] {
        let channels = channels
            .filter(|&channels| channels >= 1)
            .ok_or_else(|| Error::invalid("base width", base_width, "it must be at least 1"))?;
        if let Layer::Conv(conv) = &mut spec.layers.to_mut()[index] {
            conv.out_channels = channels;
        }
    }
    Ok(spec)
}

/// GoogLeNet for 32x32 images at full width: batch normalisation, one 3x3 convolution as stem, no
/// downsampling before block 3a, so that 3a and 3b work at 32x32, 4a to 4e at 16x16 and 5a and 5b
/// at 8x8.
pub static CIFAR: NetworkSpec = NetworkSpec {
    name: Cow::Borrowed("CIFAR"),
    input: Shape::square(3, 32),
    norm: Some(BATCH_NORM),
    layers: Cow::Borrowed(&[
        conv("conv_1", 192, 3, 1, RELU),
        Layer::Inception(INCEPTION_3A),
        Layer::Inception(INCEPTION_3B),
        POOL_PADDED,
        Layer::Inception(INCEPTION_4A),
        Layer::Inception(INCEPTION_4B),
        Layer::Inception(INCEPTION_4C),
        Layer::Inception(INCEPTION_4D),
        Layer::Inception(INCEPTION_4E),
        POOL_PADDED,
        Layer::Inception(INCEPTION_5A),
        Layer::Inception(INCEPTION_5B),
    ]),
    head: HeadSpec {
        pool: HeadPool::GlobalAverage,
        hidden: None,
        dropout: Dropout::None,
        classes: 10,
    },
};

/// A small GoogLeNet for 32x32 images and a CPU: a stem with stride 2, as the paper's has, and four
/// inception blocks in Table 1's proportions at 8x8 and 4x4, where a parameter costs few
/// multiply-adds.
pub static COMPACT: NetworkSpec = NetworkSpec {
    name: Cow::Borrowed("COMPACT"),
    input: Shape::square(3, 32),
    norm: Some(BATCH_NORM),
    layers: Cow::Borrowed(&[
        conv("conv_1", 32, 5, 2, RELU),
        conv("conv_2", 64, 3, 1, RELU),
        POOL_PADDED,
        Layer::Inception(InceptionSpec::row("inception_3a", [48, 32, 64, 16, 24, 24])),
        Layer::Inception(InceptionSpec::row("inception_3b", [64, 48, 96, 16, 32, 32])),
        POOL_PADDED,
        Layer::Inception(InceptionSpec::row("inception_4a", [112, 96, 192, 24, 48, 48])),
        Layer::Inception(InceptionSpec::row("inception_4b", [160, 128, 256, 32, 64, 64])),
    ]),
    head: HeadSpec {
        pool: HeadPool::GlobalAverage,
        hidden: None,
        dropout: Dropout::None,
        classes: 10,
    },
};

/// VGG-16 (Simonyan and Zisserman 2014, <https://arxiv.org/abs/1409.1556>, configuration D), for
/// comparison: its classifier holds nine tenths of its parameters. The first of its three fully
/// connected layers stands here as what it is, a convolution as large as its input (section 3.2 of
/// that paper).
pub static VGG_16: NetworkSpec = NetworkSpec {
    name: Cow::Borrowed("VGG-16"),
    input: Shape::square(3, 224),
    norm: None,
    layers: Cow::Borrowed(&[
        conv("conv_1_1", 64, 3, 1, RELU),
        conv("conv_1_2", 64, 3, 1, RELU),
        POOL_VGG,
        conv("conv_2_1", 128, 3, 1, RELU),
        conv("conv_2_2", 128, 3, 1, RELU),
        POOL_VGG,
        conv("conv_3_1", 256, 3, 1, RELU),
        conv("conv_3_2", 256, 3, 1, RELU),
        conv("conv_3_3", 256, 3, 1, RELU),
        POOL_VGG,
        conv("conv_4_1", 512, 3, 1, RELU),
        conv("conv_4_2", 512, 3, 1, RELU),
        conv("conv_4_3", 512, 3, 1, RELU),
        POOL_VGG,
        conv("conv_5_1", 512, 3, 1, RELU),
        conv("conv_5_2", 512, 3, 1, RELU),
        conv("conv_5_3", 512, 3, 1, RELU),
        POOL_VGG,
        Layer::Conv(ConvSpec {
            name: Cow::Borrowed("fc_6"),
            out_channels: 4096,
            kernel: 7,
            stride: 1,
            padding: 0,
            relu: true,
        }),
    ]),
    head: HeadSpec {
        pool: HeadPool::Flatten,
        hidden: Some(4096),
        dropout: Dropout::Elements(0.5),
        classes: 1000,
    },
};

/// torchvision's `googlenet`, for its trained weights: see [`crate::model::torchvision`].
///
/// It differs from [`PAPER`] in batch normalisation in place of local response normalisation and
/// biases, a 3x3 kernel in the 5x5 branches
/// (<https://github.com/pytorch/vision/issues/906>), a 2x2 window in the last max pooling, adaptive
/// pooling in the auxiliary classifiers, and a dropout of 20 %.
pub static TORCHVISION: NetworkSpec = NetworkSpec {
    name: Cow::Borrowed("TORCHVISION"),
    input: Shape::square(3, 224),
    norm: Some(BatchNormSpec { epsilon: 1e-3, momentum: 0.1 }),
    layers: Cow::Borrowed(&TORCHVISION_LAYERS),
    head: HeadSpec {
        pool: HeadPool::GlobalAverage,
        hidden: None,
        dropout: Dropout::Elements(0.2),
        classes: 1000,
    },
};

const TORCHVISION_LAYERS: [Layer; 18] = [
    conv("conv_1", 64, 7, 2, RELU),
    POOL_CEIL,
    conv("conv_2_reduce", 64, 1, 1, RELU),
    conv("conv_2", 192, 3, 1, RELU),
    POOL_CEIL,
    Layer::Inception(INCEPTION_3A.with_3x3_for_5x5()),
    Layer::Inception(INCEPTION_3B.with_3x3_for_5x5()),
    POOL_CEIL,
    Layer::Inception(INCEPTION_4A.with_3x3_for_5x5()),
    Layer::Auxiliary(torchvision_auxiliary("aux_4a")),
    Layer::Inception(INCEPTION_4B.with_3x3_for_5x5()),
    Layer::Inception(INCEPTION_4C.with_3x3_for_5x5()),
    Layer::Inception(INCEPTION_4D.with_3x3_for_5x5()),
    Layer::Auxiliary(torchvision_auxiliary("aux_4d")),
    Layer::Inception(INCEPTION_4E.with_3x3_for_5x5()),
    Layer::MaxPool(PoolSpec { kernel: 2, stride: 2, padding: 0, ceil_mode: true }),
    Layer::Inception(INCEPTION_5A.with_3x3_for_5x5()),
    Layer::Inception(INCEPTION_5B.with_3x3_for_5x5()),
];

const fn torchvision_auxiliary(name: &'static str) -> AuxiliarySpec {
    let mut auxiliary = AuxiliarySpec::paper(name);
    auxiliary.adaptive_pool = Some(4);
    auxiliary
}

/// The networks of the lessons, for a command line or a test that goes through them.
pub static ALL: [&NetworkSpec; 4] = [&PAPER, &SEED, &CIFAR, &COMPACT];

/// The network of this name, whatever the case of its letters.
///
/// # Errors
/// A name that no network has; the message lists those that there are.
pub fn by_name(name: &str) -> Result<NetworkSpec> {
    ALL.into_iter().find(|spec| spec.name.eq_ignore_ascii_case(name)).cloned().ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|spec| spec.name.to_lowercase()).collect();
        Error::invalid(
            "network",
            format!("'{name}'"),
            format!("choose one of {}", names.join(", ")),
        )
    })
}

impl NetworkSpec {
    /// The same network for another number of classes.
    ///
    /// # Errors
    /// A number of classes under 1.
    pub fn with_classes(&self, classes: i64) -> Result<NetworkSpec> {
        if classes < 1 {
            return Err(Error::invalid("number of classes", classes, "it must be at least 1"));
        }
        let mut spec = self.clone();
        spec.head.classes = classes;
        Ok(spec)
    }

    /// The same network without auxiliary classifiers.
    pub fn without_auxiliary(&self) -> NetworkSpec {
        self.without(|layer| matches!(layer, Layer::Auxiliary(_)))
    }

    /// The same network without local response normalisation.
    pub fn without_local_response_norm(&self) -> NetworkSpec {
        self.without(|layer| matches!(layer, Layer::LocalResponseNorm(_)))
    }

    /// The same network with a naive block in the place of every inception block: there the
    /// channels grow from block to block, since the pool branches pass all of theirs on.
    pub fn naive(&self) -> NetworkSpec {
        let mut spec = self.clone();
        for layer in spec.layers.to_mut() {
            if let Layer::Inception(block) = layer {
                *layer = Layer::NaiveInception(block.naive());
            }
        }
        spec
    }

    /// The same network with all dropout off, so that training is free of chance.
    pub fn without_dropout(&self) -> NetworkSpec {
        let mut spec = self.clone();
        spec.head.dropout = Dropout::None;
        for layer in spec.layers.to_mut() {
            if let Layer::Auxiliary(auxiliary) = layer {
                auxiliary.dropout = 0.0;
            }
        }
        spec
    }

    /// Whether training draws lots: dropout in the head or in an auxiliary classifier.
    pub fn has_dropout(&self) -> bool {
        self.head.dropout != Dropout::None || self.auxiliaries().any(|a| a.dropout > 0.0)
    }

    /// The auxiliary classifiers, in order.
    pub fn auxiliaries(&self) -> impl Iterator<Item = &AuxiliarySpec> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Auxiliary(auxiliary) => Some(auxiliary),
            _ => None,
        })
    }

    fn without(&self, remove: impl Fn(&Layer) -> bool) -> NetworkSpec {
        let mut spec = self.clone();
        spec.layers.to_mut().retain(|layer| !remove(layer));
        spec
    }

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
            let name = match layer {
                Layer::Conv(conv) => conv.name.to_string(),
                Layer::Inception(block) => block.name.to_string(),
                Layer::NaiveInception(block) => block.name.to_string(),
                Layer::Auxiliary(auxiliary) => auxiliary.name.to_string(),
                Layer::MaxPool(_) => {
                    pools += 1;
                    format!("max_pool_{pools}")
                }
                Layer::LocalResponseNorm(_) => {
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
            Layer::Inception(block) => {
                if block.kernel_5x5 < 1 || block.kernel_5x5 % 2 == 0 {
                    return Err(Error::invalid(
                        format!("kernel_5x5 of {name}"),
                        block.kernel_5x5,
                        "it must be odd, so that height and width stay",
                    ));
                }
                concatenated(name, &block.branches(), input)
            }
            Layer::NaiveInception(block) => concatenated(name, &block.branches(), input),
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
