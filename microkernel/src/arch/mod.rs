//! The only place that asks for the architecture. Everything above uses these names.
//!
//! On the host (unit tests, clippy) the few operations that touch the processor are replaced by
//! `host`; the rest of `x86_64` is the same code.

#[cfg(target_arch = "x86_64")]
pub mod x86_64;

#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
