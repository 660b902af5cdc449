//! A network in evaluation: folded once, batch after batch, an image and its mirror image at a time.

use devices::Precision;
use tch::{Kind, Tensor, no_grad};

use crate::Result;
use crate::model::{Folded, GoogLeNet};

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
}

impl<'a> Evaluator<'a> {
    /// The network as it is now, made ready for many batches.
    pub(crate) fn new(net: &'a GoogLeNet, computed: Computed) -> Result<Evaluator<'a>> {
        let device = net.device();
        computed.precision.choose(device)?;
        let kind = computed.precision.kind(device);
        let net = no_grad(|| net.folded(kind))?;
        Ok(Evaluator { net, kind, computed })
    }

    /// Cuts this number of images into batches: the first image of each, and how many it has.
    pub(crate) fn batches(&self, images: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let Computed { flip, batch, .. } = self.computed;
        let batch = if flip { batch / 2 } else { batch }.max(1);
        (0..images).step_by(batch as usize).map(move |start| (start, batch.min(images - start)))
    }

    /// Logits (N, classes) of normalised images (N, C, H, W). Images and their mirror images are one
    /// batch.
    pub(crate) fn logits(&self, xs: &Tensor) -> Result<Tensor> {
        let xs = xs.f_to_kind(self.kind)?;
        if !self.computed.flip {
            return self.net.logits(&xs);
        }
        let both = self.net.logits(&Tensor::f_cat(&[&xs, &xs.f_flip([3])?], 0)?)?;
        Ok(both.f_view([2, xs.size()[0], -1])?.f_mean_dim([0i64].as_slice(), false, None)?)
    }
}
