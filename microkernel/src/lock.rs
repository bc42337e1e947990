//! The kernel lock: one for all state (DESIGN §3). It is taken at each entry of the kernel and given up before the kernel is
//! left, with interrupts off all the while; nothing else is locked while it is held, but the log.

use crate::arch::Context;
use crate::arch::syscall::return_with_words;
use crate::kernel::Kernel;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

struct Lock {
    is_held: AtomicBool,
    kernel: UnsafeCell<Kernel>,
}

// SAFETY: the kernel's state is reached through a `Guard` only, of which there is one at a time.
unsafe impl Sync for Lock {}

static LOCK: Lock = Lock { is_held: AtomicBool::new(false), kernel: UnsafeCell::new(Kernel::new()) };

/// The right to use the kernel's state.
pub struct Guard(());

/// Waits for the lock.
#[inline(always)]
pub fn acquire() -> Guard {
    // An exchange is a shorter way in than a compare-and-exchange.
    while LOCK.is_held.swap(true, Ordering::Acquire) {
        wait();
    }
    Guard(())
}

/// Waits until it looks free, without writing to it.
#[cold]
#[inline(never)]
fn wait() {
    while LOCK.is_held.load(Ordering::Relaxed) {
        core::hint::spin_loop();
    }
}

impl Guard {
    /// Returns to the current thread with the words of a message and these results, and gives the lock up once the words are read: the
    /// thread that they are from may be woken by another CPU as soon as the lock is free. See `arch::syscall::return_with_words`.
    #[inline(always)]
    pub fn return_with_words(self, message: Passed) -> ! {
        core::mem::forget(self);
        // SAFETY: the lock is held, as this guard was; the fast path passes messages only to threads that wait in a system call.
        unsafe { return_with_words(&(*message.from).frame, message.status, message.r0, message.r1, &LOCK.is_held) }
    }
}

/// A message passed to the current thread: where its words are, and its results.
pub struct Passed {
    /// The thread whose frame has the words.
    pub from: *const Context,
    /// Status.
    pub status: u64,
    /// Result 0.
    pub r0: u64,
    /// Result 1.
    pub r1: u64,
}

impl Deref for Guard {
    type Target = Kernel;

    #[inline(always)]
    fn deref(&self) -> &Kernel {
        // SAFETY: this guard is the only one, and exclusive borrows go through it.
        unsafe { &*LOCK.kernel.get() }
    }
}

impl DerefMut for Guard {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Kernel {
        // SAFETY: this guard is the only one, and it is borrowed exclusively.
        unsafe { &mut *LOCK.kernel.get() }
    }
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        LOCK.is_held.store(false, Ordering::Release);
    }
}
