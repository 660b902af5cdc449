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

mod networks;
mod shape;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use networks::{
    ALL, CIFAR, COMPACT, INCEPTION_3A, INCEPTION_3B, INCEPTION_4A, INCEPTION_4B, INCEPTION_4C,
    INCEPTION_4D, INCEPTION_4E, INCEPTION_5A, INCEPTION_5B, LOCAL_RESPONSE_NORM, PAPER, SEED,
    TORCHVISION, VGG_16, by_name, seed,
};

/// For `relu` of a convolution.
const RELU: bool = true;

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

impl Layer {
    /// Its name within the network; none of a layer without weights, which is called by its kind and
    /// its number ([`NetworkSpec::shapes`]).
    pub fn name(&self) -> Option<&str> {
        match self {
            Layer::Conv(conv) => Some(&conv.name),
            Layer::Inception(block) => Some(&block.name),
            Layer::NaiveInception(block) => Some(&block.name),
            Layer::Auxiliary(auxiliary) => Some(&auxiliary.name),
            Layer::MaxPool(_) | Layer::LocalResponseNorm(_) => None,
        }
    }

    /// The branches of an inception block of either kind, in the order of their concatenation; of any
    /// other layer none.
    pub fn branches(&self) -> Vec<BranchSpec> {
        match self {
            Layer::Inception(block) => block.branches().into(),
            Layer::NaiveInception(block) => block.branches().into(),
            _ => Vec::new(),
        }
    }

    /// The numbers of filters in it: of an auxiliary classifier none.
    fn channels(&mut self) -> Vec<&mut i64> {
        match self {
            Layer::Conv(conv) => vec![&mut conv.out_channels],
            Layer::Inception(block) => vec![
                &mut block.conv_1x1,
                &mut block.reduce_3x3,
                &mut block.conv_3x3,
                &mut block.reduce_5x5,
                &mut block.conv_5x5,
                &mut block.pool_proj,
            ],
            Layer::NaiveInception(block) => {
                vec![&mut block.conv_1x1, &mut block.conv_3x3, &mut block.conv_5x5]
            }
            Layer::MaxPool(_) | Layer::LocalResponseNorm(_) | Layer::Auxiliary(_) => Vec::new(),
        }
    }
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
    /// From its convolutions: name, number of filters and kernel of each.
    fn of(pool: Option<PoolSpec>, convs: &[(&'static str, i64, i64)]) -> BranchSpec {
        let conv = |&(name, channels, kernel)| ConvSpec::same(name, channels, kernel, 1, RELU);
        BranchSpec { pool, convs: convs.iter().map(conv).collect() }
    }

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
        let reduced = |reduce, reduced, name, channels, kernel| {
            BranchSpec::of(None, &[(reduce, reduced, 1), (name, channels, kernel)])
        };
        [
            BranchSpec::of(None, &[("conv_1x1", self.conv_1x1, 1)]),
            reduced("reduce_3x3", self.reduce_3x3, "conv_3x3", self.conv_3x3, 3),
            reduced("reduce_5x5", self.reduce_5x5, "conv_5x5", self.conv_5x5, self.kernel_5x5),
            BranchSpec::of(Some(POOL_SAME), &[("pool_proj", self.pool_proj, 1)]),
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
        [
            BranchSpec::of(None, &[("conv_1x1", self.conv_1x1, 1)]),
            BranchSpec::of(None, &[("conv_3x3", self.conv_3x3, 3)]),
            BranchSpec::of(None, &[("conv_5x5", self.conv_5x5, 5)]),
            BranchSpec::of(Some(POOL_SAME), &[]),
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

    /// The same network with so many times fewer channels in its convolutions and inception blocks; at
    /// least one stays. Auxiliary classifiers and the head stay as they are.
    ///
    /// ```
    /// use googlenet_lib::spec;
    ///
    /// let quarter = spec::CIFAR.narrowed(4);
    /// assert_eq!(quarter.head_features()?, spec::CIFAR.head_features()? / 4);
    /// # Ok::<(), googlenet_lib::Error>(())
    /// ```
    pub fn narrowed(&self, times: u32) -> NetworkSpec {
        let mut spec = self.clone();
        for channels in spec.layers.to_mut().iter_mut().flat_map(Layer::channels) {
            *channels = (*channels / i64::from(times.max(1))).max(1);
        }
        spec
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
}
