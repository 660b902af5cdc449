//! What the kernel and xtask do in the same way, so that it is done in one place. It knows neither.

pub mod environment;
pub mod files;
