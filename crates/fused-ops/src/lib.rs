//! Libtorch's own functions that tch leaves out, and passes over the memory that libtorch does not have,
//! in C++ behind a few functions. Every error of C++ comes back as an [`Error`].
//!
//! | | |
//! | --- | --- |
//! | [`fused`] | batch normalisation, ReLU and concatenation in one pass |
//! | [`max_pool`] | maximum pooling that keeps a place in one byte |
//! | [`Prepacked`] | a convolution whose weight does not change, and ReLU in one |
//! | [`Repeated`] | a computation that a GPU repeats at one call, as a CUDA graph |
//! | [`Optimizer`] | libtorch's optimizers that take a step in one pass over the memory |
//! | [`KeptMemory`] | memory of large tensors on the CPU, kept for the next ones |
//! | [`allow_tensor_float32`] | how precise convolutions on a GPU are |
//!
//! ```
//! use fused_ops::{Window, max_pool, is_supported};
//! use tch::{Device, Kind, Tensor};
//!
//! let xs = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 4, 4]);
//! assert!(is_supported(&xs));
//! let window = Window { kernel: 2, stride: 2, padding: 0, ceil_mode: false };
//! let expected = Tensor::from_slice(&[5.0f32, 7.0, 13.0, 15.0]).view([1, 1, 2, 2]);
//! assert_eq!(max_pool(&xs, window)?, expected);
//! # Ok::<(), fused_ops::Error>(())
//! ```

mod error;
mod fused;
mod gpu;
mod graph;
mod memory;
mod native;
mod optimizer;
mod prepacked;
mod tune;

pub use error::{Error, Result, explained, leave_frames_out};
pub use fused::{BatchNorm, MAX_KERNEL, Piece, Window, fused, is_supported, max_pool};
pub use graph::Repeated;
pub use memory::KeptMemory;
pub use optimizer::{Optimizer, Rule};
pub use prepacked::Prepacked;
pub use tune::allow_tensor_float32;
