//! The inception block: four branches that read the same input, concatenated over the channels
//! (Figure 2 of the paper).

use fused_ops::{Piece, Prepacked, fused, is_supported};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::conv::{Conv, Joint, max_pool};
use crate::Result;
use crate::spec::{BatchNormSpec, BranchSpec, PoolSpec};

/// One branch: an optional pooling, then convolutions one after the other.
#[derive(Debug)]
struct Branch {
    pool: Option<PoolSpec>,
    convs: Vec<Conv>,
}

impl Branch {
    fn new(
        path: &Path<'_>,
        in_channels: i64,
        spec: &BranchSpec,
        norm: Option<BatchNormSpec>,
    ) -> Result<Branch> {
        let mut channels = in_channels;
        let mut convs = Vec::with_capacity(spec.convs.len());
        for conv in &spec.convs {
            convs.push(Conv::new(&(path / conv.name.as_ref()), channels, conv, norm)?);
            channels = conv.out_channels;
        }
        Ok(Branch { pool: spec.pool, convs })
    }

    fn folded(&self, kind: Kind) -> Result<Branch> {
        let convs = self.convs.iter().map(|conv| conv.folded(kind)).collect::<Result<_>>()?;
        Ok(Branch { pool: self.pool, convs })
    }

    /// Whether its first convolution can be computed together with those of other branches.
    fn joins(&self) -> bool {
        self.pool.is_none() && self.convs.first().is_some_and(Conv::is_pointwise)
    }

    fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let mut ys = self.pooled(xs)?;
        for conv in &self.convs {
            ys = conv.forward(&ys, train)?;
        }
        Ok(ys)
    }

    fn pooled(&self, xs: &Tensor) -> Result<Tensor> {
        match self.pool {
            Some(pool) => max_pool(xs, pool),
            None => Ok(xs.shallow_clone()),
        }
    }
}

/// An inception block, naive or with dimension reduction.
#[derive(Debug)]
pub(crate) struct Inception {
    branches: Vec<Branch>,
    /// The convolutions that are computed together, where their weights do not change any more.
    joint: Option<Prepacked>,
}

impl Inception {
    /// Weights under `path`, by the names of the branches' convolutions.
    pub(crate) fn new(
        path: &Path<'_>,
        in_channels: i64,
        branches: &[BranchSpec],
        norm: Option<BatchNormSpec>,
    ) -> Result<Inception> {
        let branches = branches
            .iter()
            .map(|branch| Branch::new(path, in_channels, branch, norm))
            .collect::<Result<_>>()?;
        Ok(Inception { branches, joint: None })
    }

    /// The same in evaluation, without normalisations, its weights in this kind.
    pub(crate) fn folded(&self, kind: Kind) -> Result<Inception> {
        let branches: Vec<Branch> =
            self.branches.iter().map(|branch| branch.folded(kind)).collect::<Result<_>>()?;
        let folded = Inception { branches, joint: None };
        let joining = folded.joining();
        let joint = (joining.len() > 1).then(|| Joint::of(&joining, false)).transpose()?;
        let joint = joint.map(Joint::prepacked);
        Ok(Inception { joint, ..folded })
    }

    /// The convolutions that are computed together.
    fn joining(&self) -> Vec<&Conv> {
        self.branches
            .iter()
            .filter(|branch| branch.joins())
            .map(|branch| &branch.convs[0])
            .collect()
    }

    /// (N, C_in, H, W) to (N, C_out, H, W).
    pub(crate) fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        if is_supported(xs) {
            return self.forward_fused(xs, train);
        }
        let branches: Vec<Tensor> =
            self.branches.iter().map(|branch| branch.forward(xs, train)).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&branches, 1)?)
    }

    /// The same with less traffic. The pointwise convolutions that read the input itself are one,
    /// and what follows the last convolutions is done on the way to their place in the output.
    fn forward_fused(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let joining = self.joining();
        let mut heads = Vec::new();
        // One alone gains nothing, and would be written twice.
        if joining.len() > 1 {
            let pieces: Vec<Piece<'_>> =
                joining.iter().enumerate().map(|(i, conv)| conv.piece(0, i, train)).collect();
            let outputs = match &self.joint {
                Some(joint) => joint.convolve(xs, false)?,
                None => Joint::of(&joining, train)?.convolve(xs)?,
            };
            heads = fused(&[outputs], &pieces)?;
        }
        let mut heads = heads.into_iter();
        let (mut ends, mut pieces) = (Vec::new(), Vec::new());
        for (index, branch) in self.branches.iter().enumerate() {
            let (mut ys, convs) = match branch.joins().then(|| heads.next()).flatten() {
                Some(head) => (head, &branch.convs[1..]),
                None => (branch.pooled(xs)?, &branch.convs[..]),
            };
            match convs.split_last() {
                Some((last, before)) => {
                    for conv in before {
                        ys = conv.forward(&ys, train)?;
                    }
                    pieces.push(last.piece(index, 0, train));
                    ends.push(last.convolve(&ys, train)?);
                }
                None => {
                    let channels = ys.size()[1];
                    pieces.push(Piece {
                        input: index,
                        output: 0,
                        channels,
                        norm: None,
                        relu: false,
                    });
                    ends.push(ys);
                }
            }
        }
        Ok(fused(&ends, &pieces)?.remove(0))
    }
}
