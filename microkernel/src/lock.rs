//! The kernel lock: one for all state (DESIGN §3). It is taken at each entry of the kernel and given up before the kernel is
//! left, with interrupts off all the while; nothing else is locked while it is held, but the log.

use crate::kernel::Kernel;
use spin::mutex::{SpinMutex, SpinMutexGuard};

static KERNEL: SpinMutex<Kernel> = SpinMutex::new(Kernel::new());

// SAFETY: a kernel's cells and references are used only through a borrow of it, which on the running system only the
// holder of the lock has.
unsafe impl Send for Kernel {}

/// The right to use the kernel's state.
pub type Guard = SpinMutexGuard<'static, Kernel>;

/// Waits for the lock.
#[inline(always)]
pub fn acquire() -> Guard {
    KERNEL.lock()
}
