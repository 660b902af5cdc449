//! What follows a convolution in one pass over the memory, and maximum pooling: see `cpp/fused.cpp` and
//! `cpp/max_pool.cpp`, and `cpp/gpu` for the same on a GPU.

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Device, Kind, Tensor};

use crate::native::{check, pointer};
use crate::{Result, gpu};

/// So many channels of one input, which go to one output. Pieces of an input lie side by side in it
/// in their order, and so do those of an output.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The place of its input.
    pub input: usize,
    /// The place of its output.
    pub output: usize,
    /// How many channels it has.
    pub channels: i64,
    /// Its normalisation, with the statistics of the batch.
    pub norm: Option<BatchNorm<'a>>,
    /// Whether what is under 0 becomes 0.
    pub relu: bool,
}

/// A batch normalisation: tensors of one number for each channel, and its constants, which are the same
/// for all pieces of a call.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// What the normalised values are multiplied by.
    pub weight: &'a Tensor,
    /// What is added to them.
    pub bias: &'a Tensor,
    /// The running mean, which is brought up to date.
    pub running_mean: &'a Tensor,
    /// The running variance, which is brought up to date.
    pub running_var: &'a Tensor,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance before the square root.
    pub epsilon: f64,
}

/// A window that slides over an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub kernel: i64,
    /// Step between two windows.
    pub stride: i64,
    /// Padding on each side.
    pub padding: i64,
    /// Whether a last window that hangs over the edge counts.
    pub ceil_mode: bool,
}

/// `fused_piece` in `cpp/fused.cpp`.
#[repr(C)]
struct RawPiece {
    input: i64,
    output: i64,
    channels: i64,
    relu: i32,
    weight: *const c_void,
    bias: *const c_void,
    running_mean: *const c_void,
    running_var: *const c_void,
}

unsafe extern "C" {
    fn fused_ops_fused(
        inputs: *const *const c_void,
        inputs_len: i64,
        pieces: *const RawPiece,
        pieces_len: i64,
        momentum: f64,
        epsilon: f64,
        outputs: *mut *mut c_void,
    ) -> *mut c_char;

    fn fused_ops_max_pool(
        input: *const c_void,
        kernel: i64,
        stride: i64,
        padding: i64,
        ceil_mode: i32,
        output: *mut *mut c_void,
    ) -> *mut c_char;
}

/// Whether [`fused`] and [`max_pool`] can be used where these activations are.
pub fn is_supported(xs: &Tensor) -> bool {
    let known = matches!(xs.kind(), Kind::Float | Kind::BFloat16) && xs.numel() > 0;
    match xs.device() {
        Device::Cpu => known,
        Device::Cuda(gpu) => known && gpu::is_ready(gpu, xs.kind() == Kind::BFloat16),
        _ => false,
    }
}

/// Normalises and activates pieces of `inputs`, (N, C, H, W) each, and puts them side by side in as
/// many outputs as they name. All is differentiated as usual, once.
///
/// # Errors
/// Memory that is not there.
///
/// # Panics
/// Inputs that [`is_supported`] does not hold for, or whose kinds, numbers of images or pixels differ; pieces
/// that do not take up all channels of their inputs; a normalisation of other than one number for each
/// channel.
pub fn fused(inputs: &[Tensor], pieces: &[Piece<'_>]) -> Result<Vec<Tensor>> {
    let outputs = pieces.iter().map(|piece| piece.output + 1).max().unwrap_or(0);
    let wanted = |input: usize| -> i64 {
        pieces.iter().filter(|piece| piece.input == input).map(|piece| piece.channels).sum()
    };
    for (index, input) in inputs.iter().enumerate() {
        let same_pixels = input.dim() == 4 && input.size()[2..] == inputs[0].size()[2..];
        assert!(same_pixels && input.size()[0] == inputs[0].size()[0] && is_supported(input));
        assert_eq!(input.size()[1], wanted(index), "all channels of input {index} have a piece");
        assert_eq!(input.kind(), inputs[0].kind());
    }
    for piece in pieces {
        assert!(piece.input < inputs.len() && piece.channels > 0);
        for tensor in piece.norm.iter().flat_map(BatchNorm::tensors) {
            assert!(tensor.device() == inputs[0].device() && tensor.size() == [piece.channels]);
        }
    }
    let norm = pieces.iter().find_map(|piece| piece.norm);
    let (momentum, epsilon) = norm.map_or((0.0, 0.0), |norm| (norm.momentum, norm.epsilon));
    let raw_inputs: Vec<*const c_void> = inputs.iter().map(pointer).collect();
    let raw_pieces: Vec<RawPiece> = pieces.iter().map(raw).collect();
    let mut raw_outputs = vec![ptr::null_mut(); outputs];
    // SAFETY: the pointers are those of tensors that live until the call returns; their shapes and
    // kinds were checked above, and parameters have one number for each channel of their piece.
    let problem = unsafe {
        fused_ops_fused(
            raw_inputs.as_ptr(),
            raw_inputs.len() as i64,
            raw_pieces.as_ptr(),
            raw_pieces.len() as i64,
            momentum,
            epsilon,
            raw_outputs.as_mut_ptr(),
        )
    };
    check(problem)?;
    // SAFETY: each is a new tensor, which is ours.
    Ok(raw_outputs.into_iter().map(|tensor| unsafe { Tensor::from_ptr(tensor.cast()) }).collect())
}

/// The largest window of [`max_pool`]: a place in it is one byte. `cpp/kernels.h` has the same.
pub const MAX_KERNEL: i64 = 15;

/// Maximum over a sliding window of (N, C, H, W), differentiated as usual, once.
///
/// # Errors
/// A window that the input is too small for.
///
/// # Panics
/// An input that [`is_supported`] does not hold for, or that has other than four axes; a window larger than
/// [`MAX_KERNEL`].
pub fn max_pool(xs: &Tensor, window: Window) -> Result<Tensor> {
    assert!(is_supported(xs) && xs.dim() == 4 && window.kernel <= MAX_KERNEL);
    let Window { kernel, stride, padding, ceil_mode } = window;
    let mut output = ptr::null_mut();
    // SAFETY: the pointer is that of a tensor that lives until the call returns; what it must be like
    // was checked above.
    check(unsafe {
        let ceil_mode = i32::from(ceil_mode);
        fused_ops_max_pool(pointer(xs), kernel, stride, padding, ceil_mode, &mut output)
    })?;
    // SAFETY: a new tensor, which is ours.
    Ok(unsafe { Tensor::from_ptr(output.cast()) })
}

impl BatchNorm<'_> {
    /// In the order in which [`RawPiece`] has them.
    fn tensors(&self) -> [&Tensor; 4] {
        [self.weight, self.bias, self.running_mean, self.running_var]
    }
}

fn raw(piece: &Piece<'_>) -> RawPiece {
    let norm = piece.norm.as_ref().map(|norm| norm.tensors().map(pointer));
    let [weight, bias, running_mean, running_var] = norm.unwrap_or([ptr::null(); 4]);
    RawPiece {
        input: piece.input as i64,
        output: piece.output as i64,
        channels: piece.channels,
        relu: i32::from(piece.relu),
        weight,
        bias,
        running_mean,
        running_var,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::no_grad;

    /// (channels, normalised, activated, output) of each piece of each input.
    const INPUTS: [&[(i64, bool, bool, usize)]; 3] = [
        &[(5, true, true, 0), (16, true, false, 1), (3, false, false, 0)],
        &[(33, true, true, 0)],
        &[(2, false, true, 1), (1, true, true, 2)],
    ];

    /// Values that are the same each time; the process's generator is left alone.
    fn values(size: &[i64], seed: f64) -> Tensor {
        let count: i64 = size.iter().product();
        let angles = Tensor::arange(count, (Kind::Double, Device::Cpu)) * (1.7 + seed) + seed;
        (angles.sin() * 2.0 + 0.7).view(size)
    }

    struct Norm {
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
    }

    impl Norm {
        fn view(&self) -> BatchNorm<'_> {
            let Norm { weight, bias, running_mean, running_var } = self;
            BatchNorm { weight, bias, running_mean, running_var, momentum: 0.1, epsilon: 1e-5 }
        }
    }

    /// By libtorch, with the statistics of the batch.
    fn normalised(norm: BatchNorm<'_>, xs: &Tensor) -> Tensor {
        let BatchNorm { momentum, epsilon, .. } = norm;
        let [weight, bias, mean, var] = norm.tensors().map(Some);
        xs.batch_norm(weight, bias, mean, var, true, momentum, epsilon, true)
    }

    struct Case {
        inputs: Vec<Tensor>,
        norms: Vec<Norm>,
        /// How many times the channels of [`INPUTS`] there are.
        width: i64,
    }

    impl Case {
        /// `kind` is that of the inputs; norms are in double or single precision.
        fn new(kind: Kind, size: [i64; 3]) -> Case {
            Case::on(Device::Cpu, kind, size, 1)
        }

        fn on(device: Device, kind: Kind, [n, height, columns]: [i64; 3], width: i64) -> Case {
            let of_norms = if kind == Kind::Double { kind } else { Kind::Float };
            let place = |t: Tensor, kind: Kind| t.to_kind(kind).to_device(device);
            let leaf = |t: Tensor, kind: Kind| place(t, kind).set_requires_grad(true);
            let norms = INPUTS.iter().flat_map(|pieces| pieces.iter()).filter(|piece| piece.1);
            let norms = norms.enumerate().map(|(i, &(channels, ..))| {
                let channels = [channels * width];
                Norm {
                    weight: leaf(values(&channels, i as f64), of_norms),
                    bias: leaf(values(&channels, i as f64 + 0.5), of_norms),
                    running_mean: place(values(&channels, 0.1), of_norms),
                    running_var: place(values(&channels, 0.2).square(), of_norms),
                }
            });
            let inputs = INPUTS.iter().enumerate().map(|(i, pieces)| {
                let channels = width * pieces.iter().map(|piece| piece.0).sum::<i64>();
                // Rounded before all else, so that every kind starts from the same numbers; far from
                // 0, where sums of squares would cancel.
                let values = values(&[n, channels, height, columns], i as f64) + 4.0;
                leaf(values.to_kind(Kind::BFloat16), kind)
            });
            Case { inputs: inputs.collect(), norms: norms.collect(), width }
        }

        fn pieces(&self) -> Vec<Piece<'_>> {
            let mut norms = self.norms.iter();
            let mut pieces = Vec::new();
            for (input, of_input) in INPUTS.iter().enumerate() {
                for &(channels, norm, relu, output) in *of_input {
                    let norm = norm.then(|| norms.next().unwrap().view());
                    let channels = channels * self.width;
                    pieces.push(Piece { input, output, channels, norm, relu });
                }
            }
            pieces
        }

        /// The same by libtorch's operations, one after the other.
        fn by_libtorch(&self) -> Vec<Tensor> {
            let mut first = [0; INPUTS.len()];
            let mut outputs: Vec<Vec<Tensor>> = Vec::new();
            outputs.resize_with(3, Vec::new);
            for Piece { input, output, channels, norm, relu } in self.pieces() {
                let mut part = self.inputs[input].narrow(1, first[input], channels);
                first[input] += channels;
                if let Some(norm) = norm {
                    part = normalised(norm, &part);
                }
                outputs[output].push(if relu { part.relu() } else { part });
            }
            outputs.iter().map(|parts| Tensor::cat(parts, 1)).collect()
        }

        /// Outputs, gradients of a sum over them with many weights, and running statistics.
        fn results(self, outputs: Vec<Tensor>) -> Vec<Tensor> {
            let loss: Tensor = outputs
                .iter()
                .map(|y| {
                    let weights = values(&y.size(), 0.3).to_kind(Kind::Double);
                    (y.to_kind(Kind::Double) * weights.to_device(y.device())).sum(Kind::Double)
                })
                .sum();
            let mut leaves: Vec<&Tensor> = self.inputs.iter().collect();
            leaves.extend(self.norms.iter().flat_map(|norm| [&norm.weight, &norm.bias]));
            let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
            let running = self.norms.into_iter().flat_map(|n| [n.running_mean, n.running_var]);
            outputs.into_iter().chain(gradients).chain(running).collect()
        }
    }

    /// The CPU, and the first GPU if there is one.
    fn devices() -> Vec<Device> {
        let gpu = tch::Cuda::is_available().then_some(Device::Cuda(0));
        std::iter::once(Device::Cpu).chain(gpu).collect()
    }

    fn same_as_libtorch(kind: Kind, size: [i64; 3], tolerance: f64) {
        for device in devices() {
            // A GPU takes one channel at a time, or eight and four.
            for width in [1, 8] {
                same_as_libtorch_on(device, kind, size, width, tolerance);
            }
        }
    }

    fn same_as_libtorch_on(device: Device, kind: Kind, size: [i64; 3], width: i64, tolerance: f64) {
        let reference = Case::on(Device::Cpu, Kind::Double, size, width);
        let outputs = reference.by_libtorch();
        let wanted = reference.results(outputs);
        let case = Case::on(device, kind, size, width);
        assert!(case.inputs.iter().all(is_supported), "{device:?}");
        let outputs = fused(&case.inputs, &case.pieces()).unwrap();
        let found = case.results(outputs);
        assert_eq!(found.len(), wanted.len());
        no_grad(|| {
            for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                let scale = wanted.abs().max().double_value(&[]).max(1.0);
                let found = found.to_device(Device::Cpu).to_kind(Kind::Double);
                let error = (found - wanted).abs().max().double_value(&[]);
                let what = format!("result {index}, {width} times {kind:?} on {device:?}");
                assert!(error <= tolerance * scale, "{what}: {error} of {scale}");
            }
        });
    }

    #[test]
    fn float32_is_libtorchs() {
        // Few rows are done on one thread.
        same_as_libtorch(Kind::Float, [2, 3, 5], 5e-5);
        same_as_libtorch(Kind::Float, [7, 13, 11], 5e-5);
    }

    #[test]
    fn bf16_is_libtorchs_but_for_rounding() {
        same_as_libtorch(Kind::BFloat16, [2, 3, 5], 5e-2);
        same_as_libtorch(Kind::BFloat16, [7, 13, 11], 5e-2);
    }

    #[test]
    fn max_pool_is_libtorchs() {
        let pool =
            |kernel, stride, padding, ceil_mode| Window { kernel, stride, padding, ceil_mode };
        for spec in [
            pool(3, 1, 1, false),
            pool(3, 2, 1, false),
            pool(3, 2, 0, true),
            pool(2, 2, 0, false),
            pool(6, 1, 3, false),
            pool(7, 3, 2, true),
        ] {
            let kinds = [Kind::Float, Kind::BFloat16];
            let places = devices().into_iter().flat_map(|device| {
                kinds
                    .into_iter()
                    .flat_map(move |kind| [19, 16].map(|channels| (device, kind, channels)))
            });
            for (device, kind, channels) in places {
                // Few different values, so that many windows have more than one greatest.
                let input = (values(&[5, channels, 9, 8], 0.0) * 2.0).round().to_kind(kind);
                let on = |device: Device, xs: &Tensor| xs.to_device(device);
                let run = |device: Device, kind: Kind, pool: &dyn Fn(&Tensor) -> Tensor| {
                    let xs = on(device, &input.to_kind(kind)).copy().set_requires_grad(true);
                    let ys = on(Device::Cpu, &pool(&xs)).to_kind(Kind::Double);
                    let weights = values(&ys.size(), 0.3).to_kind(Kind::BFloat16);
                    let loss = (&ys * weights.to_kind(Kind::Double)).sum(Kind::Double);
                    let gradients = Tensor::run_backward(&[loss], &[&xs], false, false);
                    (ys.detach(), on(Device::Cpu, &gradients[0]).to_kind(Kind::Double))
                };
                let Window { kernel, stride, padding, ceil_mode } = spec;
                let (wanted, wanted_gradient) = run(Device::Cpu, Kind::Double, &|xs| {
                    xs.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], ceil_mode)
                });
                let (found, gradient) = run(device, kind, &|xs| max_pool(xs, spec).unwrap());
                assert_eq!(found, wanted, "{spec:?} {kind:?} {device:?}");
                let undifferentiated = no_grad(|| max_pool(&on(device, &input), spec).unwrap());
                let undifferentiated = on(Device::Cpu, &undifferentiated).to_kind(Kind::Double);
                assert_eq!(undifferentiated, wanted, "{spec:?} {kind:?} {device:?}");
                let error = (gradient - &wanted_gradient).abs().max().double_value(&[]);
                let max = wanted_gradient.abs().max().double_value(&[]);
                let rounding = if kind == Kind::Float { 1e-6 } else { 1.0 / 256.0 };
                assert!(error <= rounding * max, "{spec:?} {kind:?}: {error} of {max}");
            }
        }
    }

    #[test]
    fn max_pool_keeps_what_is_not_a_number() {
        let spec = Window { kernel: 3, stride: 1, padding: 1, ceil_mode: false };
        let kinds =
            [(Kind::Float, f64::NAN), (Kind::BFloat16, f64::NAN), (Kind::BFloat16, -f64::NAN)];
        for (place, (kind, nan)) in [0, 7, 12, 24].into_iter().flat_map(|p| kinds.map(|k| (p, k))) {
            let input = values(&[1, 1, 5, 5], 0.0).to_kind(kind);
            let _ = input.view(-1).narrow(0, place, 1).fill_(nan);
            let wanted = input.max_pool2d([3; 2], [1; 2], [1; 2], [1, 1], false).isnan();
            for device in devices() {
                let input = input.to_device(device).copy().set_requires_grad(true);
                let nans = |ys: Tensor| ys.isnan().to_device(Device::Cpu);
                assert_eq!(nans(max_pool(&input, spec).unwrap()), wanted, "NaN at {place}");
                assert_eq!(nans(no_grad(|| max_pool(&input, spec).unwrap())), wanted);
            }
        }
    }

    #[test]
    fn one_seed_gives_one_sum() {
        for device in devices() {
            let gradients = || {
                let case = Case::on(device, Kind::Float, [7, 13, 11], 1);
                let outputs = fused(&case.inputs, &case.pieces()).unwrap();
                case.results(outputs)
            };
            assert_eq!(gradients(), gradients());
        }
    }

    #[test]
    fn an_output_that_nothing_uses_has_no_gradient() {
        let case = Case::new(Kind::Float, [7, 13, 11]);
        let outputs = fused(&case.inputs, &case.pieces()).unwrap();
        let gradients = Tensor::run_backward(
            &[outputs[0].sum(Kind::Float)],
            &[&case.inputs[0], &case.inputs[2]],
            false,
            false,
        );
        assert_eq!(gradients[0].narrow(1, 5, 16).abs().max().double_value(&[]), 0.0);
        assert_eq!(gradients[0].narrow(1, 21, 3).min().double_value(&[]), 1.0);
        assert_eq!(gradients[1].abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn a_second_derivative_is_refused() {
        let case = Case::new(Kind::Float, [2, 3, 5]);
        let outputs = fused(&case.inputs, &case.pieces()).unwrap();
        let result =
            Tensor::f_run_backward(&[outputs[0].sum(Kind::Float)], &[&case.inputs[0]], true, true);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("no second derivative"), "{error}");
    }
}
