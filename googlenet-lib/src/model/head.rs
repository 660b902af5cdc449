//! Classifiers: the head at the end of the network, and the auxiliary ones on the way.

use tch::Tensor;
use tch::nn::Path;

use super::conv::{Conv, Linear};
use crate::Result;
use crate::spec::{AuxiliarySpec, Dropout, HeadPool, HeadSpec, Shape};

/// The classifier at the end: pooling or flattening, an optional hidden layer, dropout, linear.
#[derive(Debug)]
pub(crate) struct Head {
    spec: HeadSpec,
    hidden: Option<Linear>,
    classifier: Linear,
}

impl Head {
    /// Weights under `path`: `hidden` if there is one, and `classifier`.
    pub(crate) fn new(path: &Path<'_>, features: i64, spec: HeadSpec) -> Result<Head> {
        let hidden = spec
            .hidden
            .map(|units| Linear::new(&(path / "hidden"), features, units))
            .transpose()?;
        let inputs = spec.hidden.unwrap_or(features);
        let classifier = Linear::new(&(path / "classifier"), inputs, spec.classes)?;
        Ok(Head { spec, hidden, classifier })
    }

    /// (N, C, H, W) to logits (N, classes).
    pub(crate) fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let pooled = match self.spec.pool {
            HeadPool::GlobalAverage => xs.f_adaptive_avg_pool2d([1, 1])?,
            HeadPool::Average { kernel } => {
                xs.f_avg_pool2d([kernel; 2], [1, 1], [0, 0], false, true, None::<i64>)?
            }
            HeadPool::Flatten => xs.shallow_clone(),
        };
        let pooled = match self.spec.dropout {
            Dropout::Channels(p) => pooled.f_feature_dropout(p, train)?,
            _ => pooled,
        };
        let mut features = pooled.f_flatten(1, -1)?;
        if let Some(hidden) = &self.hidden {
            features = hidden.forward(&features)?.f_relu()?;
        }
        if let Dropout::Elements(p) = self.spec.dropout {
            features = features.f_dropout(p, train)?;
        }
        self.classifier.forward(&features)
    }
}

/// An auxiliary classifier (section 5 of the paper).
#[derive(Debug)]
pub(crate) struct Auxiliary {
    spec: AuxiliarySpec,
    conv: Conv,
    hidden: Linear,
    classifier: Linear,
}

impl Auxiliary {
    /// Weights under `path`: `conv`, `hidden` and `classifier`.
    pub(crate) fn new(
        path: &Path<'_>,
        input: Shape,
        classes: i64,
        spec: &AuxiliarySpec,
        norm: Option<crate::spec::BatchNormSpec>,
    ) -> Result<Auxiliary> {
        let conv = spec.conv_1x1();
        let pooled = Shape { channels: spec.conv, ..spec.pooled(input)? };
        Ok(Auxiliary {
            spec: spec.clone(),
            conv: Conv::new(&(path / "conv"), input.channels, &conv, norm)?,
            hidden: Linear::new(&(path / "hidden"), pooled.elements(), spec.hidden)?,
            classifier: Linear::new(&(path / "classifier"), spec.hidden, classes)?,
        })
    }

    /// Weight of this classifier's loss in the total loss.
    pub(crate) fn weight(&self) -> f64 {
        self.spec.weight
    }

    /// (N, C, H, W) to logits (N, classes). It works in training only.
    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (kernel, stride) = ([self.spec.pool_kernel; 2], [self.spec.pool_stride; 2]);
        let pooled = match self.spec.adaptive_pool {
            Some(size) => xs.f_adaptive_avg_pool2d([size, size])?,
            None => xs.f_avg_pool2d(kernel, stride, [0, 0], false, true, None::<i64>)?,
        };
        let features = self.conv.forward(&pooled, true)?.f_flatten(1, -1)?;
        let features = self.hidden.forward(&features)?.f_relu()?;
        self.classifier.forward(&features.f_dropout(self.spec.dropout, true)?)
    }
}
