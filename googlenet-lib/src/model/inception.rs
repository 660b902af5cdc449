//! The inception block: four branches that read the same input, concatenated over the channels
//! (Figure 2 of the paper).

use tch::Tensor;
use tch::nn::Path;

use super::conv::{Conv, max_pool};
use crate::Result;
use crate::spec::{BatchNormSpec, ConvSpec, InceptionSpec, NaiveInceptionSpec, PoolSpec};

/// 3x3 with stride 1 and padding 1: height and width stay.
const POOL: PoolSpec = PoolSpec { kernel: 3, stride: 1, padding: 1, ceil_mode: false };

/// One branch: an optional pooling, then convolutions one after the other.
#[derive(Debug)]
struct Branch {
    pool: Option<PoolSpec>,
    convs: Vec<Conv>,
}

impl Branch {
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
    branches: [Branch; 4],
}

impl Inception {
    /// With dimension reduction (Figure 2b). Weights: `conv_1x1`, `reduce_3x3`, `conv_3x3`,
    /// `reduce_5x5`, `conv_5x5`, `pool_proj`.
    pub(crate) fn reduced(
        path: &Path<'_>,
        in_channels: i64,
        spec: &InceptionSpec,
        norm: Option<BatchNormSpec>,
    ) -> Result<Inception> {
        let make = Branches { path, norm };
        Ok(Inception {
            branches: [
                make.conv_1x1(in_channels, spec.conv_1x1)?,
                make.conv_1x1_3x3(in_channels, spec.reduce_3x3, spec.conv_3x3)?,
                make.conv_1x1_5x5(in_channels, spec)?,
                make.pool_1x1(in_channels, spec.pool_proj)?,
            ],
        })
    }

    /// Naive (Figure 2a). Weights: `conv_1x1`, `conv_3x3`, `conv_5x5`.
    pub(crate) fn naive(
        path: &Path<'_>,
        in_channels: i64,
        spec: &NaiveInceptionSpec,
        norm: Option<BatchNormSpec>,
    ) -> Result<Inception> {
        let make = Branches { path, norm };
        let one = |conv| Branch { pool: None, convs: vec![conv] };
        Ok(Inception {
            branches: [
                make.conv_1x1(in_channels, spec.conv_1x1)?,
                one(make.conv("conv_3x3", in_channels, spec.conv_3x3, 3)?),
                one(make.conv("conv_5x5", in_channels, spec.conv_5x5, 5)?),
                Branch { pool: Some(POOL), convs: vec![] },
            ],
        })
    }

    /// (N, C_in, H, W) to (N, C_out, H, W).
    pub(crate) fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let branches: Vec<Tensor> =
            self.branches.iter().map(|branch| branch.forward(xs, train)).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&branches, 1)?)
    }
}

/// Makes the branches of one block.
struct Branches<'a> {
    path: &'a Path<'a>,
    norm: Option<BatchNormSpec>,
}

impl Branches<'_> {
    /// A convolution that keeps height and width.
    fn conv(
        &self,
        name: &'static str,
        in_channels: i64,
        out_channels: i64,
        kernel: i64,
    ) -> Result<Conv> {
        let padding = kernel / 2;
        let spec =
            ConvSpec { name: name.into(), out_channels, kernel, stride: 1, padding, relu: true };
        Conv::new(&(self.path / name), in_channels, &spec, self.norm)
    }

    /// 1x1.
    fn conv_1x1(&self, in_channels: i64, out_channels: i64) -> Result<Branch> {
        let convs = vec![self.conv("conv_1x1", in_channels, out_channels, 1)?];
        Ok(Branch { pool: None, convs })
    }

    /// 1x1, then 3x3.
    fn conv_1x1_3x3(&self, in_channels: i64, reduce: i64, out_channels: i64) -> Result<Branch> {
        let convs = vec![
            self.conv("reduce_3x3", in_channels, reduce, 1)?,
            self.conv("conv_3x3", reduce, out_channels, 3)?,
        ];
        Ok(Branch { pool: None, convs })
    }

    /// 1x1, then 5x5.
    fn conv_1x1_5x5(&self, in_channels: i64, spec: &InceptionSpec) -> Result<Branch> {
        let convs = vec![
            self.conv("reduce_5x5", in_channels, spec.reduce_5x5, 1)?,
            self.conv("conv_5x5", spec.reduce_5x5, spec.conv_5x5, spec.kernel_5x5)?,
        ];
        Ok(Branch { pool: None, convs })
    }

    /// 3x3 maximum, then 1x1: the pool projection.
    fn pool_1x1(&self, in_channels: i64, out_channels: i64) -> Result<Branch> {
        let convs = vec![self.conv("pool_proj", in_channels, out_channels, 1)?];
        Ok(Branch { pool: Some(POOL), convs })
    }
}
