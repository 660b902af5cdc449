//! CUDA graphs: work that a GPU was given once, kernel by kernel, and repeats at one call.
//!
//! A small network keeps a GPU busy for less time than it takes to launch its kernels, of which a
//! training step has some hundreds. A graph launches them all at once.

use std::ffi::{c_char, c_int, c_void};
use std::fmt::Display;
use std::ptr::{self, NonNull};

use tch::{Device, Kind, TchError, Tensor};

use crate::native::check;
use crate::{Error, Result};

/// The environment variable that switches CUDA graphs off with the value 0.
const VARIABLE: &str = "GOOGLENET_CUDA_GRAPHS";

/// So often a computation runs as usual before it is captured: cuDNN tries out its algorithms at the
/// first, and libtorch makes its handles and workspaces.
const WARM: usize = 3;

unsafe extern "C" {
    fn fused_ops_graph_begin(device: c_int, graph: *mut *mut c_void) -> *mut c_char;
    fn fused_ops_graph_end(graph: *mut c_void) -> *mut c_char;
    fn fused_ops_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn fused_ops_graph_free(graph: *mut c_void) -> *mut c_char;
}

/// A computation that is done many times on tensors of the same shapes. On a GPU it becomes a graph after
/// a few times. It must do the same each time but for the values of its inputs and of tensors that are
/// changed in place, and must not wait for the device.
///
/// What it gives then lies where it lay the last time: it is overwritten by the next call.
#[derive(Debug, Default)]
pub struct Repeated {
    /// Shapes and kinds of the inputs.
    form: Vec<(Vec<i64>, Kind)>,
    /// Rows of the first input of [`Repeated::filled`].
    rows: Option<i64>,
    /// How often it ran with inputs of this form.
    times: usize,
    captured: Option<Captured>,
    /// It was tried, and failed.
    off: bool,
}

#[derive(Debug)]
struct Captured {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    graph: Graph,
}

impl Repeated {
    /// On a GPU, a batch with fewer rows than the first, filled up with zeros: another size would cost
    /// cuDNN's search for algorithms, for seconds. Elsewhere the batch itself.
    ///
    /// # Errors
    /// A device that fails.
    pub fn filled(&mut self, xs: Tensor) -> Result<Tensor> {
        let missing = *self.rows.get_or_insert(xs.size()[0]) - xs.size()[0];
        if missing <= 0 || !xs.device().is_cuda() {
            return Ok(xs);
        }
        let mut rest = xs.size();
        rest[0] = missing;
        let rest = Tensor::f_zeros(&rest, (xs.kind(), xs.device()))?;
        Ok(Tensor::f_cat(&[&xs, &rest], 0)?)
    }

    /// Computes the outputs from these inputs, of which the first says on which device.
    ///
    /// # Errors
    /// Those of the computation, and a device that fails.
    pub fn run<E: From<Error> + Display>(
        &mut self,
        inputs: &[Tensor],
        compute: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, E>,
    ) -> Result<Vec<Tensor>, E> {
        let Some(Device::Cuda(index)) = inputs.first().map(Tensor::device) else {
            return compute(inputs);
        };
        let form: Vec<_> = inputs.iter().map(|input| (input.size(), input.kind())).collect();
        if form != self.form {
            *self = Repeated { form, off: self.off, rows: self.rows, ..Repeated::default() };
        }
        self.times += 1;
        if self.captured.is_none() && self.times > WARM && !self.off && allowed() {
            match capture(index, inputs, &compute) {
                Ok(captured) => self.captured = Some(captured),
                Err(error) => {
                    self.off = true;
                    eprintln!(
                        "This goes on without CUDA graphs, and slower: {error}. {VARIABLE}=0 leaves \
                         them alone from the start."
                    );
                }
            }
        }
        match &mut self.captured {
            Some(captured) => Ok(captured.replay(inputs)?),
            None => compute(inputs),
        }
    }
}

fn allowed() -> bool {
    std::env::var_os(VARIABLE).is_none_or(|value| value != "0")
}

fn capture<E: From<Error>>(
    index: usize,
    inputs: &[Tensor],
    compute: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, E>,
) -> Result<Captured, E> {
    let inputs: Vec<Tensor> = inputs.iter().map(copy).collect::<Result<_>>()?;
    let mut graph = Graph::begin(index)?;
    let outputs = compute(&inputs);
    // What failed within is the cause of what fails at the end.
    let ended = graph.end();
    let outputs = outputs?;
    ended?;
    Ok(Captured { inputs, outputs, graph })
}

fn copy(tensor: &Tensor) -> Result<Tensor> {
    let mut own = tensor.f_empty_like()?;
    own.f_copy_(tensor)?;
    Ok(own)
}

impl Captured {
    fn replay(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        tch::no_grad(|| -> Result<()> {
            for (own, given) in self.inputs.iter_mut().zip(inputs) {
                own.f_copy_(given)?;
            }
            Ok(())
        })?;
        self.graph.replay()?;
        Ok(self.outputs.iter().map(Tensor::shallow_clone).collect())
    }
}

/// See `cpp/gpu/graph.cpp`.
#[derive(Debug)]
struct Graph {
    raw: NonNull<c_void>,
    capturing: bool,
}

// SAFETY: libtorch's graph belongs to no thread once it is captured, and is used through `&mut` alone.
unsafe impl Send for Graph {}

impl Graph {
    fn begin(index: usize) -> Result<Graph> {
        let mut raw = ptr::null_mut();
        // SAFETY: it is given a place for a pointer.
        check(unsafe { fused_ops_graph_begin(index as c_int, &mut raw) })?;
        let raw =
            NonNull::new(raw).ok_or_else(|| TchError::Torch("no CUDA graph was made".into()))?;
        Ok(Graph { raw, capturing: true })
    }

    fn end(&mut self) -> Result<()> {
        self.capturing = false;
        // SAFETY: the pointer is that of `begin`, and is freed in `drop` alone.
        check(unsafe { fused_ops_graph_end(self.raw.as_ptr()) })
    }

    fn replay(&mut self) -> Result<()> {
        // SAFETY: as above; the tensors that it uses live in the pool of memory that it owns.
        check(unsafe { fused_ops_graph_replay(self.raw.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.capturing {
            // A panic within the capture: the thread must not be left in it.
            let _ = self.end();
        }
        // SAFETY: as above; it is not used again.
        if let Err(error) = check(unsafe { fused_ops_graph_free(self.raw.as_ptr()) }) {
            eprintln!("a CUDA graph was not freed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it gives does not depend on how often it ran: as usual at first, then as a graph.
    #[test]
    fn a_repeated_computation_gives_what_it_gave_before() {
        let gpu = tch::Cuda::is_available().then_some(Device::Cuda(0));
        if gpu.is_none() {
            println!("the CPU alone: there is no CUDA device");
        }
        for device in std::iter::once(Device::Cpu).chain(gpu) {
            let on_device = (Kind::Float, device);
            let weight = (Tensor::ones([4], on_device) * 3.0).set_requires_grad(true);
            let calls = Tensor::zeros([1], on_device);
            let mut repeated = Repeated::default();
            for time in 1..9usize {
                // Another shape begins anew.
                let rows = if time < 7 { 2 } else { 3 };
                let xs = Tensor::full([rows, 4], time as f64, on_device);
                let outputs = repeated.run(&[xs], |inputs| {
                    let _ = calls.shallow_clone().f_add_scalar_(1.0)?;
                    let loss = (&inputs[0] * &weight).f_sum(Kind::Float)?;
                    let gradient = Tensor::f_run_backward(&[&loss], &[&weight], false, false)?;
                    Ok::<_, Error>(vec![loss.f_detach()?, gradient[0].shallow_clone()])
                });
                let outputs = outputs.unwrap();
                let cells = (rows * 4) as f64 * time as f64;
                assert_eq!(outputs[0].double_value(&[]), 3.0 * cells, "{device:?}, time {time}");
                let gradient = outputs[1].to_device(Device::Cpu);
                let wanted =
                    Tensor::full([4], rows as f64 * time as f64, (Kind::Float, Device::Cpu));
                assert_eq!(gradient, wanted, "{device:?}, time {time}");
                assert_eq!(calls.double_value(&[0]), time as f64, "{device:?}");
                let captured = device.is_cuda() && allowed() && WARM < time && time < 7;
                assert_eq!(repeated.captured.is_some(), captured, "{device:?}, time {time}");
            }
        }
    }
}
