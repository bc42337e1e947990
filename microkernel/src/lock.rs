//! The kernel lock: one for all state (DESIGN §3). It is taken at each entry of the kernel and given up before the kernel is
//! left, with interrupts off all the while; nothing else is locked while it is held, but the log.

use crate::Kernel;
use crate::arch::syscall::return_with_words;
use crate::arch::{Context, clock};
use crate::sync::spin_lock::SpinLock;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Lock {
    lock: SpinLock,
    kernel: UnsafeCell<Kernel>,
}

// SAFETY: the kernel's state is reached through a `Guard` only, of which there is one at a time.
unsafe impl Sync for Lock {}

static LOCK: Lock = Lock { lock: SpinLock::new(), kernel: UnsafeCell::new(Kernel::new()) };

/// Whether the kernel is built to log the longest time that the lock was held: with `SKINK_MEASURE_LOCK` in the environment.
pub const IS_MEASURED: bool = option_env!("SKINK_MEASURE_LOCK").is_some();
/// Time-stamp counter when the lock was taken; the longest that it was held; the system call that is made. Under the lock.
static SINCE: AtomicU64 = AtomicU64::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);
pub(crate) static CAUSE: AtomicU64 = AtomicU64::new(u64::MAX);

/// The right to use the kernel's state.
pub struct Guard(());

/// Waits for the lock.
#[inline(always)]
pub fn acquire() -> Guard {
    LOCK.lock.acquire();
    if IS_MEASURED {
        SINCE.store(clock::tsc(), Relaxed);
        CAUSE.store(u64::MAX, Relaxed);
    }
    Guard(())
}

impl Guard {
    /// Returns to the current thread with the words of a message and these results, and gives the lock up once the words are read: the
    /// thread that they are from may be woken by another CPU as soon as the lock is free. See `arch::syscall::return_with_words`.
    #[inline(always)]
    pub fn return_with_words(self, message: Passed) -> ! {
        core::mem::forget(self);
        // SAFETY: the lock is held, as this guard was; the fast path passes messages only to threads that wait in a system call.
        unsafe { return_with_words(&(*message.from).frame, message.status, message.r0, message.r1, LOCK.lock.flag()) }
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
        if IS_MEASURED {
            let (held, cause) = (clock::tsc() - SINCE.load(Relaxed), CAUSE.load(Relaxed));
            LOCK.lock.release();
            // The first time is the boot's.
            if LONGEST.fetch_max(1, Relaxed) > 0 && held > LONGEST.fetch_max(held, Relaxed) {
                crate::log!(Info, "lock held for {held}, system call {cause}");
            }
            return;
        }
        LOCK.lock.release();
    }
}
