//! The inception block: four branches that read the same input, concatenated over the channels
//! (Figure 2 of the paper).

use tch::Tensor;
use tch::nn::Path;

use super::conv::{Conv, max_pool};
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

    fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let mut ys = match self.pool {
            Some(pool) => max_pool(xs, pool)?,
            None => xs.shallow_clone(),
        };
        for conv in &self.convs {
            ys = conv.forward(&ys, train)?;
        }
        Ok(ys)
    }
}

/// An inception block, naive or with dimension reduction.
#[derive(Debug)]
pub(crate) struct Inception {
    branches: Vec<Branch>,
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
        Ok(Inception { branches })
    }

    /// (N, C_in, H, W) to (N, C_out, H, W).
    pub(crate) fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let branches: Vec<Tensor> =
            self.branches.iter().map(|branch| branch.forward(xs, train)).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&branches, 1)?)
    }
}
