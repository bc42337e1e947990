//! Locks and queues between the threads of a process.
//!
//! | type | for |
//! |---|---|
//! | [`Mutex`] | one at a time; it goes to the waiter of the highest real-time priority, and among these to the one that waits longest |
//! | [`Condvar`] | waiting for a change of what a mutex guards |
//! | [`RwLock`] | many readers or one writer; nobody overtakes who waits |
//! | [`Semaphore`] | a number of permits |
//! | [`OnceLock`], [`Once`] | something made once |
//! | [`mpsc`] | a queue from many threads to one |
//!
//! A lock that is free costs one atomic operation. A thread that has to wait parks ([`crate::thread`]); none spins. What is released is
//! handed over to a waiter, not thrown among all: so nobody starves, and a wake-up is never for nothing. The kernel
//! does not lend priority along these locks: what real-time threads share should be held for moments.
//!
//! The same files are compiled a second time for tests, over loom's atomics: `model` explores their interleavings.

mod condvar;
mod lock;
pub mod mpsc;
mod mutex;
mod once;
mod platform;
mod rw_lock;
mod semaphore;
mod wait_list;

#[cfg(test)]
#[allow(clippy::duplicate_mod)]
mod model;
#[cfg(test)]
mod tests;

pub use condvar::Condvar;
pub(crate) use lock::RawLock;
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceLock};
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::Semaphore;
