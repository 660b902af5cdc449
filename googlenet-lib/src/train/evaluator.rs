//! A network in evaluation: folded once, batch after batch, an image and its mirror image at a time.

use devices::Precision;
use fused_ops::Repeated;
use tch::{Kind, Tensor, no_grad};

use crate::model::{Folded, GoogLeNet};
use crate::{Error, Result};

/// How a network computes in evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Computed {
    /// Whether images are also seen mirrored, and the two logits averaged.
    pub(crate) flip: bool,
    /// Images that pass the network at a time, mirrored ones included.
    pub(crate) batch: i64,
    /// What it computes in.
    pub(crate) precision: Precision,
}

/// A network that classifies batch after batch, and does not change meanwhile.
#[derive(Debug)]
pub(crate) struct Evaluator<'a> {
    net: Folded<'a>,
    kind: Kind,
    computed: Computed,
    passes: Repeated,
}

impl<'a> Evaluator<'a> {
    /// The network as it is now, made ready for many batches.
    pub(crate) fn new(net: &'a GoogLeNet, computed: Computed) -> Result<Evaluator<'a>> {
        let device = net.device();
        computed.precision.choose(device)?;
        let kind = computed.precision.kind(device);
        let net = no_grad(|| net.folded(kind))?;
        Ok(Evaluator { net, kind, computed, passes: Repeated::default() })
    }

    /// Cuts this number of images into batches: the first image of each, and how many it has.
    pub(crate) fn batches(&self, images: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let Computed { flip, batch, .. } = self.computed;
        let batch = if flip { batch / 2 } else { batch }.max(1);
        (0..images).step_by(batch as usize).map(move |start| (start, batch.min(images - start)))
    }

    /// Logits (N, classes) of normalised images (N, C, H, W), which the next call may overwrite. Images
    /// and their mirror images are one batch.
    pub(crate) fn logits(&mut self, xs: &Tensor) -> Result<Tensor> {
        let Evaluator { net, kind, computed, passes } = self;
        let filled = passes.filled(xs.f_to_kind(*kind)?)?;
        let mut outputs = passes.run(&[filled], |inputs| {
            let xs = &inputs[0];
            if !computed.flip {
                return Ok::<_, Error>(vec![net.logits(xs)?]);
            }
            let both = net.logits(&Tensor::f_cat(&[xs, &xs.f_flip([3])?], 0)?)?;
            let pairs = both.f_view([2, xs.size()[0], -1])?;
            Ok(vec![pairs.f_mean_dim([0i64].as_slice(), false, None)?])
        })?;
        Ok(outputs.remove(0).f_narrow(0, 0, xs.size()[0])?)
    }
}
