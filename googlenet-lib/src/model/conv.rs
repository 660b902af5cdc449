//! Convolutions and what surrounds them.

use fused_ops::{MAX_KERNEL, Piece, Prepacked, Window, fused, is_supported};
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
    /// The same with its weight laid out, where that does not change any more.
    prepacked: Option<Prepacked>,
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
        Ok(Conv { weight, bias, norm, stride, padding, relu, prepacked: None })
    }

    pub(crate) fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        if let Some(prepacked) = &self.prepacked {
            return Ok(prepacked.convolve(xs, self.relu)?);
        }
        let mut ys = self.convolve(xs, train)?;
        match &self.norm {
            Some(_) if train && is_supported(&ys) => {
                let mut outputs = fused(&[ys], &[self.piece(0, 0, train)])?;
                return Ok(outputs.remove(0));
            }
            Some(norm) if train => ys = norm.forward(&ys)?,
            _ => {}
        }
        if self.relu {
            let _ = ys.f_relu_()?;
        }
        Ok(ys)
    }

    /// The convolution without what follows it. In evaluation the normalisation is part of it.
    pub(crate) fn convolve(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        if let Some(prepacked) = &self.prepacked {
            return Ok(prepacked.convolve(xs, false)?);
        }
        let (weight, bias) = self.weights(train)?;
        convolve(xs, &weight, bias.as_ref(), self.stride, self.padding)
    }

    /// Weight and bias of the convolution. In evaluation the normalisation, which is then no more
    /// than a factor and a summand for each channel, is folded in.
    fn weights(&self, train: bool) -> Result<(Tensor, Option<Tensor>)> {
        match &self.norm {
            Some(norm) if !train => {
                let (scale, shift) = norm.scale_and_shift()?;
                Ok((self.weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?, Some(shift)))
            }
            _ => Ok((self.weight.shallow_clone(), self.bias.as_ref().map(Tensor::shallow_clone))),
        }
    }

    /// The same in evaluation, without its normalisation, its weights in this kind.
    pub(crate) fn folded(&self, kind: Kind) -> Result<Conv> {
        let (weight, bias) = self.weights(false)?;
        let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
        let weight = weight.f_to_kind(kind)?;
        let Conv { stride, padding, relu, .. } = *self;
        let alike = (weight.shallow_clone(), bias.as_ref().map(Tensor::shallow_clone));
        let prepacked = Some(Prepacked::new(alike.0, alike.1, stride, padding));
        Ok(Conv { weight, bias, norm: None, stride, padding, relu, prepacked })
    }

    /// What follows the convolution, for [`fused`].
    pub(crate) fn piece(&self, input: usize, output: usize, train: bool) -> Piece<'_> {
        let norm = self.norm.as_ref().filter(|_| train).map(BatchNorm::piece);
        Piece { input, output, channels: self.weight.size()[0], norm, relu: self.relu }
    }

    /// Whether each pixel of the output depends on the same pixel of the input alone.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.weight.size()[2..] == [1, 1] && self.stride == 1 && self.padding == 0
    }
}

/// Several pointwise convolutions of the same input, whose outputs lie side by side, as one: the input
/// is read once, and its gradient is written once.
#[derive(Debug)]
pub(crate) struct Joint {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Joint {
    /// The same with its weight laid out: it does not change any more.
    pub(crate) fn prepacked(self) -> Prepacked {
        Prepacked::new(self.weight, self.bias, 1, 0)
    }

    pub(crate) fn of(convs: &[&Conv], train: bool) -> Result<Joint> {
        let (weights, biases): (Vec<_>, Vec<_>) = convs
            .iter()
            .map(|conv| conv.weights(train))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let biases: Vec<Tensor> = biases.into_iter().flatten().collect();
        let bias = if biases.is_empty() { None } else { Some(Tensor::f_cat(&biases, 0)?) };
        Ok(Joint { weight: Tensor::f_cat(&weights, 0)?, bias })
    }

    pub(crate) fn convolve(&self, xs: &Tensor) -> Result<Tensor> {
        convolve(xs, &self.weight, self.bias.as_ref(), 1, 0)
    }
}

/// Computed in the kind of the activations, whatever the kind of the weights.
fn convolve(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: i64,
) -> Result<Tensor> {
    let weight = weight.f_to_kind(xs.kind())?;
    let bias = bias.map(|bias| bias.f_to_kind(xs.kind())).transpose()?;
    Ok(xs.f_conv2d(&weight, bias.as_ref(), [stride; 2], [padding; 2], [1, 1], 1)?)
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

    /// With the statistics of the batch.
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let BatchNormSpec { epsilon, momentum } = self.spec;
        Ok(xs.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            true,
            momentum,
            epsilon,
            true,
        )?)
    }

    /// The same, for [`fused`].
    fn piece(&self) -> fused_ops::BatchNorm<'_> {
        let BatchNorm { weight, bias, running_mean, running_var, spec } = self;
        let BatchNormSpec { epsilon, momentum } = *spec;
        fused_ops::BatchNorm { weight, bias, running_mean, running_var, momentum, epsilon }
    }

    /// What it does in evaluation: a factor and a summand for each channel.
    fn scale_and_shift(&self) -> Result<(Tensor, Tensor)> {
        let deviation = self.running_var.f_add_scalar(self.spec.epsilon)?.f_sqrt()?;
        let scale = self.weight.f_div(&deviation)?;
        let shift = self.bias.f_sub(&self.running_mean.f_mul(&scale)?)?;
        Ok((scale, shift))
    }
}

/// A fully connected layer: (N, inputs) to (N, outputs), computed in the kind of its weights.
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
        Ok(xs.f_to_kind(self.weight.kind())?.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// Maximum over a sliding window.
pub(crate) fn max_pool(xs: &Tensor, spec: PoolSpec) -> Result<Tensor> {
    let PoolSpec { kernel, stride, padding, ceil_mode } = spec;
    if is_supported(xs) && kernel <= MAX_KERNEL {
        return Ok(fused_ops::max_pool(xs, Window { kernel, stride, padding, ceil_mode })?);
    }
    Ok(xs.f_max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], ceil_mode)?)
}

/// Divides every value by a power of the mean square over its neighbouring channels, as
/// `torch.nn.LocalResponseNorm` does.
pub(crate) fn local_response_norm(xs: &Tensor, spec: LocalResponseNormSpec) -> Result<Tensor> {
    let LocalResponseNormSpec { size, alpha, beta, k } = spec;
    let kind = xs.kind();
    // In bfloat16 the mean of squares would have three digits.
    let xs = match kind {
        Kind::Double => xs.shallow_clone(),
        _ => xs.f_to_kind(Kind::Float)?,
    };
    let (before, after) = (size / 2, (size - 1) / 2);
    let mean_square = xs
        .f_square()?
        .f_unsqueeze(1)?
        .f_constant_pad_nd([0, 0, 0, 0, before, after])?
        .f_avg_pool3d([size, 1, 1], [1, 1, 1], [0, 0, 0], false, true, None::<i64>)?
        .f_squeeze_dim(1)?;
    let divisor = ((mean_square * alpha) + k).f_pow_tensor_scalar(beta)?;
    Ok(xs.f_div(&divisor)?.f_to_kind(kind)?)
}
