//! x86_64: what the processor and its interrupt controllers and clocks ask for.

pub mod context;

pub use context::{Context, Frame};
