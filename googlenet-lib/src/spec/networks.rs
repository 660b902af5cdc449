//! The networks: Table 1 of the paper, and those that are built from its rows.

use std::borrow::Cow;

use super::HeadPool::{Average, Flatten, GlobalAverage};
use super::{
    AuxiliarySpec, BATCH_NORM, BatchNormSpec, ConvSpec, Dropout, HeadSpec, InceptionSpec, Layer,
    LocalResponseNormSpec, NetworkSpec, PoolSpec, RELU, Shape,
};
use crate::{Error, Result};

/// A row of Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
const fn row(name: &'static str, channels: [i64; 6]) -> InceptionSpec {
    InceptionSpec::row(name, channels)
}

/// Table 1, block 3a.
pub const INCEPTION_3A: InceptionSpec = row("inception_3a", [64, 96, 128, 16, 32, 32]);
/// Table 1, block 3b.
pub const INCEPTION_3B: InceptionSpec = row("inception_3b", [128, 128, 192, 32, 96, 64]);
/// Table 1, block 4a.
pub const INCEPTION_4A: InceptionSpec = row("inception_4a", [192, 96, 208, 16, 48, 64]);
/// Table 1, block 4b.
pub const INCEPTION_4B: InceptionSpec = row("inception_4b", [160, 112, 224, 24, 64, 64]);
/// Table 1, block 4c.
pub const INCEPTION_4C: InceptionSpec = row("inception_4c", [128, 128, 256, 24, 64, 64]);
/// Table 1, block 4d.
pub const INCEPTION_4D: InceptionSpec = row("inception_4d", [112, 144, 288, 32, 64, 64]);
/// Table 1, block 4e.
pub const INCEPTION_4E: InceptionSpec = row("inception_4e", [256, 160, 320, 32, 128, 128]);
/// Table 1, block 5a.
pub const INCEPTION_5A: InceptionSpec = row("inception_5a", [256, 160, 320, 32, 128, 128]);
/// Table 1, block 5b.
pub const INCEPTION_5B: InceptionSpec = row("inception_5b", [384, 192, 384, 48, 128, 128]);

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
        pool: Average { kernel: 7 },
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
        pool: Average { kernel: 7 },
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
    head: HeadSpec { pool: GlobalAverage, hidden: None, dropout: Dropout::None, classes: 10 },
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
        Layer::Inception(row("inception_3a", [48, 32, 64, 16, 24, 24])),
        Layer::Inception(row("inception_3b", [64, 48, 96, 16, 32, 32])),
        POOL_PADDED,
        Layer::Inception(row("inception_4a", [112, 96, 192, 24, 48, 48])),
        Layer::Inception(row("inception_4b", [160, 128, 256, 32, 64, 64])),
    ]),
    head: HeadSpec { pool: GlobalAverage, hidden: None, dropout: Dropout::None, classes: 10 },
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
        pool: Flatten,
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
        pool: GlobalAverage,
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
