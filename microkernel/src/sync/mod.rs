//! What CPUs share without a lock, or as one: everything else is under the kernel lock ([`crate::lock`]).
//!
//! | file | what |
//! |---|---|
//! | [`spin_lock`] | the lock itself |
//! | [`requests`] | who has to flush his TLB for whom |
//! | [`log_ring`] | the log, which user space reads |
//! | [`tickets`] | which stacks are whose, for CPUs that start |
//!
//! The same files are compiled a second time for tests, over loom's atomics: `tests::model` explores their interleavings.

// All are statics, or in one.
#![allow(clippy::new_without_default)]

pub mod log_ring;
pub mod requests;
pub mod spin_lock;
pub mod tickets;

/// The processor's atomics.
mod platform {
    pub(super) use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

    /// Words that are 0.
    pub(super) const fn zeros<const WORDS: usize>() -> [AtomicU64; WORDS] {
        [const { AtomicU64::new(0) }; WORDS]
    }

    /// Functions that are `const` but over loom's atomics.
    macro_rules! constructor {
        ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => { $(#[$attribute])* $visibility const fn $($rest)* };
    }
    pub(super) use constructor;
}
