//! A lock without data, for which a CPU spins.

use super::platform::{AtomicBool, Ordering, constructor};

/// A lock.
pub struct SpinLock {
    is_held: AtomicBool,
}

impl SpinLock {
    constructor! {
        /// A free lock.
        pub fn new() -> SpinLock {
            SpinLock { is_held: AtomicBool::new(false) }
        }
    }

    /// Waits for the lock.
    #[inline(always)]
    pub fn acquire(&self) {
        while !self.try_acquire() {
            self.wait();
        }
    }

    /// Takes the lock where it is free.
    #[inline(always)]
    pub fn try_acquire(&self) -> bool {
        // An exchange is a shorter way in than a compare-and-exchange.
        !self.is_held.swap(true, Ordering::Acquire)
    }

    /// Waits until it looks free, without writing to it.
    #[cold]
    #[inline(never)]
    fn wait(&self) {
        while self.is_held.load(Ordering::Relaxed) {
            core::hint::spin_loop();
        }
    }

    /// Gives the lock up: by who holds it.
    #[inline(always)]
    pub fn release(&self) {
        self.is_held.store(false, Ordering::Release);
    }

    /// The flag: storing `false` releases, where code that returns to user mode does that itself.
    #[inline(always)]
    pub fn flag(&self) -> &AtomicBool {
        &self.is_held
    }
}
