//! A network in evaluation: folded once, batch after batch, an image and its mirror image at a time.

use devices::Precision;
use fused_ops::Repeated;
use tch::{Device, Kind, Tensor, no_grad};

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

/// What the layer that reads and writes most may read and write in one pass on a CPU, in bytes. More does not stay
/// near its cores until the next layer reads it (docs/results/log.md, 2026-11-27).
const NEAR: i64 = 16 << 20;

/// A network that classifies batch after batch, and does not change meanwhile.
#[derive(Debug)]
pub(crate) struct Evaluator<'a> {
    net: Folded<'a>,
    kind: Kind,
    computed: Computed,
    /// Bytes for each pixel of an image that the layer which reads and writes most reads and writes.
    bytes_a_pixel: i64,
    passes: Repeated,
}

impl<'a> Evaluator<'a> {
    /// The network as it is now, made ready for many batches.
    pub(crate) fn new(net: &'a GoogLeNet, computed: Computed) -> Result<Evaluator<'a>> {
        let device = net.device();
        computed.precision.choose(device)?;
        let kind = computed.precision.kind(device);
        let input = net.spec().input;
        let values = net.spec().cost()?.largest_layer() / (input.height * input.width);
        let bytes_a_pixel = values * kind.elt_size_in_bytes() as i64;
        let net = no_grad(|| net.folded(kind))?;
        Ok(Evaluator { net, kind, computed, bytes_a_pixel, passes: Repeated::default() })
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
        let (images, _, height, width) = xs.size4()?;
        let seen = if self.computed.flip { 2 * images } else { images };
        let bytes = seen * height * width * self.bytes_a_pixel;
        if xs.device() != Device::Cpu || bytes <= NEAR {
            return self.in_one_pass(xs);
        }
        let parts = xs.f_tensor_split((1 + (bytes - 1) / NEAR).min(images), 0)?;
        let logits: Vec<Tensor> =
            parts.iter().map(|part| self.in_one_pass(part)).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&logits, 0)?)
    }

    fn in_one_pass(&mut self, xs: &Tensor) -> Result<Tensor> {
        let Evaluator { net, kind, computed, passes, .. } = self;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[test]
    fn images_that_pass_in_parts_are_classified_as_one_by_one() {
        tch::manual_seed(0);
        let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
        let computed = Computed { flip: true, batch: 512, precision: Precision::Float32 };
        let mut evaluator = Evaluator::new(&net, computed).unwrap();
        // conv_2 reads 32 and writes 64 channels of 16x16.
        assert_eq!(evaluator.bytes_a_pixel, 4 * (32 + 64) * 16 * 16 / (32 * 32));
        let images = Tensor::randn([100, 3, 32, 32], (Kind::Float, Device::Cpu));
        let together = no_grad(|| evaluator.logits(&images)).unwrap();
        assert_eq!(together.size(), [100, 10]);
        for image in [0, 49, 50, 99] {
            let alone = no_grad(|| evaluator.logits(&images.narrow(0, image, 1))).unwrap();
            let apart = (together.narrow(0, image, 1) - alone).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "image {image}: {apart}");
        }
    }
}
