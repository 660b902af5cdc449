//! Convolutions whose weights do not change any more: see `cpp/prepacked.cpp`.

use std::cell::OnceCell;
use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::native::{check, pointer};

unsafe extern "C" {
    fn fused_ops_prepacked(
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        stride: i64,
        padding: i64,
        relu: i32,
        packed: *mut *mut c_void,
        output: *mut *mut c_void,
    ) -> *mut c_char;
}

/// A convolution with a weight that does not change any more. On a CPU the weight is laid out once, at the first
/// call, as oneDNN reads it, and ReLU is part of the convolution. It is the plain convolution elsewhere, and where
/// a derivative may be asked for.
///
/// ```
/// use fused_ops::Prepacked;
/// use tch::{Device, Kind, Tensor};
///
/// let weight = -Tensor::ones([1, 1, 3, 3], (Kind::Float, Device::Cpu));
/// let conv = Prepacked::new(weight, None, 1, 1);
/// let xs = Tensor::ones([1, 1, 2, 2], (Kind::Float, Device::Cpu));
/// assert_eq!(conv.convolve(&xs, false)?, xs.f_mul_scalar(-4.0)?);
/// assert_eq!(conv.convolve(&xs, true)?, xs.zeros_like());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Prepacked {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
    laid_out: OnceCell<Tensor>,
}

impl Prepacked {
    /// A weight (C_out, C_in, K, K) and a bias (C_out), which must not be changed from now on.
    pub fn new(weight: Tensor, bias: Option<Tensor>, stride: i64, padding: i64) -> Prepacked {
        Prepacked { weight, bias, stride, padding, laid_out: OnceCell::new() }
    }

    /// (N, C_in, H, W) to (N, C_out, H', W'), of the weight's kind, with ReLU or without.
    ///
    /// # Errors
    /// An input of another kind or of another number of channels; memory that is not there.
    pub fn convolve(&self, xs: &Tensor, relu: bool) -> Result<Tensor> {
        if let Some(ys) = self.by_laid_out(xs, relu)? {
            return Ok(ys);
        }
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let mut ys = xs.f_conv2d(&self.weight, self.bias.as_ref(), stride, padding, [1, 1], 1)?;
        if relu {
            let _ = ys.f_relu_()?;
        }
        Ok(ys)
    }

    /// The same by oneDNN with the weight laid out; None where that cannot be.
    fn by_laid_out(&self, xs: &Tensor, relu: bool) -> Result<Option<Tensor>> {
        let Prepacked { weight, bias, stride, padding, laid_out } = self;
        let known = matches!(xs.kind(), Kind::Float | Kind::BFloat16) && xs.numel() > 0;
        // Elsewhere nobody has measured it.
        let here = cfg!(target_arch = "x86_64") && xs.device() == Device::Cpu;
        if !(known && here && xs.kind() == weight.kind() && xs.dim() == 4) {
            return Ok(None);
        }
        let before = laid_out.get().map_or(ptr::null(), pointer).cast_mut();
        let (mut packed, mut output) = (before, ptr::null_mut());
        // SAFETY: the pointers are those of tensors that live until the call returns; `packed` is replaced
        // only where it is null.
        let problem = unsafe {
            fused_ops_prepacked(
                pointer(xs),
                pointer(weight),
                bias.as_ref().map_or(ptr::null(), pointer),
                *stride,
                *padding,
                i32::from(relu),
                &mut packed,
                &mut output,
            )
        };
        if before.is_null() && !packed.is_null() {
            // SAFETY: a new tensor, which is ours.
            let _ = laid_out.set(unsafe { Tensor::from_ptr(packed.cast()) });
        }
        check(problem)?;
        // SAFETY: a new tensor, which is ours, where there is one.
        Ok((!output.is_null()).then(|| unsafe { Tensor::from_ptr(output.cast()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::no_grad;

    /// Values that are the same each time, channels last.
    fn values(size: &[i64], seed: f64, kind: Kind) -> Tensor {
        let count: i64 = size.iter().product();
        let angles = Tensor::arange(count, (Kind::Double, Device::Cpu)) * (1.7 + seed);
        let [n, c, h, w] = size.try_into().expect("four axes");
        angles.sin().view([n, h, w, c]).permute([0, 3, 1, 2]).to_kind(kind)
    }

    /// One convolution for inputs of several sizes: its weight was laid out for the first.
    #[test]
    fn it_is_the_plain_convolution_for_every_size_of_input() {
        for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::BFloat16, 1e-2)] {
            for (channels, outputs, kernel, stride) in
                [(3, 32, 5, 2), (64, 96, 1, 1), (16, 8, 3, 1)]
            {
                let weight = values(&[outputs, channels, kernel, kernel], 0.1, kind);
                let bias = Tensor::arange(outputs, (kind, Device::Cpu)) / outputs as f64 - 0.5;
                for bias in [None, Some(bias)] {
                    let of_bias = bias.as_ref().map(Tensor::shallow_clone);
                    let conv = Prepacked::new(weight.shallow_clone(), of_bias, stride, kernel / 2);
                    for (n, size) in [(4, 16), (3, 12), (1, 7)] {
                        let xs = values(&[n, channels, size, size], 0.2, kind);
                        let plain = xs.conv2d(
                            &weight,
                            bias.as_ref(),
                            [stride; 2],
                            [kernel / 2; 2],
                            [1, 1],
                            1,
                        );
                        for relu in [false, true] {
                            let expected = if relu { plain.relu() } else { plain.shallow_clone() };
                            let found = no_grad(|| conv.convolve(&xs, relu)).unwrap();
                            let far = (&found - &expected).abs().max().double_value(&[]);
                            let scale = plain.abs().max().double_value(&[]);
                            assert!(
                                far <= tolerance * scale,
                                "{kind:?} {kernel}: {far} of {scale}"
                            );
                        }
                    }
                    // In bfloat16 it depends on the processor.
                    let here = cfg!(target_arch = "x86_64") && kind == Kind::Float;
                    assert!(!here || conv.laid_out.get().is_some());
                }
            }
        }
    }

    #[test]
    fn a_derivative_can_be_asked_for() {
        let weight = values(&[4, 3, 3, 3], 0.1, Kind::Float);
        let xs = values(&[2, 3, 5, 5], 0.2, Kind::Float).set_requires_grad(true);
        let gradient =
            |ys: Tensor| Tensor::run_backward(&[ys.sum(Kind::Float)], &[&xs], false, false);
        let expected =
            gradient(xs.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1).relu());
        let conv = Prepacked::new(weight, None, 1, 1);
        assert_eq!(gradient(conv.convolve(&xs, true).unwrap()), expected);
    }

    #[test]
    fn an_input_that_does_not_fit_is_an_error() {
        let conv = Prepacked::new(values(&[4, 3, 3, 3], 0.1, Kind::Float), None, 1, 1);
        for xs in
            [values(&[1, 2, 5, 5], 0.2, Kind::Float), values(&[1, 3, 5, 5], 0.2, Kind::BFloat16)]
        {
            assert!(no_grad(|| conv.convolve(&xs, false)).is_err());
        }
    }
}
