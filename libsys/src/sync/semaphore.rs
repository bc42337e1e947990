//! Counting semaphores.

use super::mutex::Mutex;
use super::platform::constructor;
use super::wait_list::{WaitList, Waiter};

/// A number of permits that threads take and give back.
pub struct Semaphore {
    state: Mutex<State>,
}

struct State {
    permits: usize,
    waiters: WaitList,
}

impl Semaphore {
    constructor! {
        /// With so many permits.
        pub fn new(permits: usize) -> Semaphore {
            Semaphore { state: Mutex::new(State { permits, waiters: WaitList::new() }) }
        }
    }

    /// Takes a permit, waiting for one.
    pub fn acquire(&self) {
        self.acquire_until(None);
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> bool {
        let mut state = self.state.lock();
        let taken = state.permits > 0;
        if taken {
            state.permits -= 1;
        }
        taken
    }

    /// Takes a permit, waiting until a deadline in nanoseconds of the monotonic clock: whether it got one.
    pub fn acquire_until(&self, deadline: Option<u64>) -> bool {
        let waiter = Waiter::new(0);
        let mut state = self.state.lock();
        if state.permits > 0 {
            state.permits -= 1;
            return true;
        }
        // SAFETY: the waiter is woken or cancelled before this returns.
        unsafe { state.waiters.push(&waiter) };
        drop(state);
        // Who is woken was handed a permit.
        waiter.wait(deadline) || !self.state.lock().waiters.cancel(&waiter)
    }

    /// Gives a permit back, or a new one.
    pub fn release(&self) {
        let mut state = self.state.lock();
        if !state.waiters.wake_first() {
            state.permits += 1;
        }
    }
}
