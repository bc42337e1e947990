//! Condition variables.

use super::mutex::{Mutex, MutexGuard};
use super::platform::constructor;
use super::wait_list::{WaitList, Waiter};

/// Where threads wait for a change of what a mutex guards.
pub struct Condvar {
    waiters: Mutex<WaitList>,
}

impl Condvar {
    constructor! {
        /// Nobody waits.
        pub fn new() -> Condvar {
            Condvar { waiters: Mutex::new(WaitList::new()) }
        }
    }

    /// Releases the mutex, waits to be notified, and takes the mutex again. No notification between these is lost.
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_until(guard, None).0
    }

    /// As [`Condvar::wait`], while `condition` holds.
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// As [`Condvar::wait`], until a deadline in nanoseconds of the monotonic clock; `false` when that has passed.
    pub fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<u64>,
    ) -> (MutexGuard<'a, T>, bool) {
        let waiter = Waiter::new(0);
        // SAFETY: the waiter is woken or cancelled before this returns.
        unsafe { self.waiters.lock().push(&waiter) };
        let mutex = guard.mutex();
        drop(guard);
        let woken = waiter.wait(deadline) || !self.waiters.lock().cancel(&waiter);
        (mutex.lock(), woken)
    }

    /// Lets one waiting thread go on: the one of the highest rank, among these the one that waits longest.
    pub fn notify_one(&self) {
        self.waiters.lock().wake_first();
    }

    /// Lets all waiting threads go on.
    pub fn notify_all(&self) {
        let mut waiters = self.waiters.lock();
        while waiters.wake_first() {}
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}
