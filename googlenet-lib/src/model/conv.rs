//! Convolutions and what surrounds them.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::Result;
use crate::spec::{BatchNormSpec, ConvSpec, LocalResponseNormSpec, PoolSpec};

/// The same values with the strides of a channels-last tensor: (N, C, H, W) in shape, NHWC in
/// memory. Convolutions are faster this way on a CPU and on a GPU.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// A weight drawn as PyTorch draws it by default: uniform within one over the root of the number
/// of inputs. It is drawn on the CPU, so that one seed gives one network on every device.
fn uniform(path: &Path<'_>, shape: &[i64], inputs: i64) -> Result<Tensor> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let mut values = Tensor::f_empty(shape, (Kind::Float, tch::Device::Cpu))?;
    let _ = values.f_uniform_(-bound, bound)?;
    Ok(values.f_to_device(path.device())?)
}

/// Convolution, optional normalisation, optional ReLU.
#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    norm: Option<BatchNorm>,
    stride: i64,
    padding: i64,
    relu: bool,
}

impl Conv {
    /// Weights under `path`: `weight`, and `bias` or, with normalisation, `norm.*`.
    pub(crate) fn new(
        path: &Path<'_>,
        in_channels: i64,
        spec: &ConvSpec,
        norm: Option<BatchNormSpec>,
    ) -> Result<Conv> {
        let ConvSpec { out_channels, kernel, stride, padding, relu, .. } = *spec;
        let inputs = in_channels * kernel * kernel;
        let weight = uniform(path, &[out_channels, in_channels, kernel, kernel], inputs)?;
        let weight = path.add("weight", channels_last(&weight)?, true);
        let (bias, norm) = match norm {
            Some(norm) => (None, Some(BatchNorm::new(&(path / "norm"), out_channels, norm)?)),
            None => (Some(path.add("bias", uniform(path, &[out_channels], inputs)?, true)), None),
        };
        Ok(Conv { weight, bias, norm, stride, padding, relu })
    }

    pub(crate) fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let mut ys = xs.f_conv2d(&self.weight, self.bias.as_ref(), stride, padding, [1, 1], 1)?;
        if let Some(norm) = &self.norm {
            ys = norm.forward(&ys, train)?;
        }
        if self.relu {
            let _ = ys.f_relu_()?;
        }
        Ok(ys)
    }
}

/// Batch normalisation with learned scale and shift.
#[derive(Debug)]
struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    spec: BatchNormSpec,
}

impl BatchNorm {
    fn new(path: &Path<'_>, channels: i64, spec: BatchNormSpec) -> Result<BatchNorm> {
        Ok(BatchNorm {
            weight: path.f_ones("weight", &[channels])?,
            bias: path.f_zeros("bias", &[channels])?,
            running_mean: path.f_zeros_no_train("running_mean", &[channels])?,
            running_var: path.f_ones_no_train("running_var", &[channels])?,
            spec,
        })
    }

    fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let BatchNormSpec { epsilon, momentum } = self.spec;
        Ok(xs.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            momentum,
            epsilon,
            true,
        )?)
    }
}

/// A fully connected layer: (N, inputs) to (N, outputs).
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights under `path`: `weight` and `bias`.
    pub(crate) fn new(path: &Path<'_>, inputs: i64, outputs: i64) -> Result<Linear> {
        Ok(Linear {
            weight: path.add("weight", uniform(path, &[outputs, inputs], inputs)?, true),
            bias: path.add("bias", uniform(path, &[outputs], inputs)?, true),
        })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(xs.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// Maximum over a sliding window.
pub(crate) fn max_pool(xs: &Tensor, spec: PoolSpec) -> Result<Tensor> {
    let PoolSpec { kernel, stride, padding, ceil_mode } = spec;
    Ok(xs.f_max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], ceil_mode)?)
}

/// Divides every value by a power of the mean square over its neighbouring channels, as
/// `torch.nn.LocalResponseNorm` does.
pub(crate) fn local_response_norm(xs: &Tensor, spec: LocalResponseNormSpec) -> Result<Tensor> {
    let LocalResponseNormSpec { size, alpha, beta, k } = spec;
    let (before, after) = (size / 2, (size - 1) / 2);
    let mean_square = xs
        .f_square()?
        .f_unsqueeze(1)?
        .f_constant_pad_nd([0, 0, 0, 0, before, after])?
        .f_avg_pool3d([size, 1, 1], [1, 1, 1], [0, 0, 0], false, true, None::<i64>)?
        .f_squeeze_dim(1)?;
    let divisor = ((mean_square * alpha) + k).f_pow_tensor_scalar(beta)?;
    Ok(xs.f_div(&divisor)?)
}
