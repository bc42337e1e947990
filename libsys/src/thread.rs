//! Threads of this process.

pub(crate) mod block;

/// What threads share about one of them.
pub(crate) struct Shared {}
