//! Threads that wait for something, in order: part of what a mutex guards.

use super::platform::{AtomicBool, Ordering, Parker, is_past, park, rank};
use core::cell::Cell;
use core::ptr;

/// A waiting thread, on its stack.
pub(super) struct Waiter {
    next: Cell<*const Waiter>,
    previous: Cell<*const Waiter>,
    queued: Cell<bool>,
    parker: Parker,
    rank: u8,
    /// What it waits for, to those who serve several.
    pub(super) kind: u8,
    woken: AtomicBool,
}

impl Waiter {
    /// Of the calling thread.
    pub(super) fn new(kind: u8) -> Waiter {
        Waiter {
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
            queued: Cell::new(false),
            parker: Parker::current(),
            rank: rank(),
            kind,
            woken: AtomicBool::new(false),
        }
    }

    /// Waits until it is woken, or the deadline has passed: whether it was woken. After `false` it may still be queued, or have been
    /// woken since: [`WaitList::cancel`] tells.
    pub(super) fn wait(&self, deadline: Option<u64>) -> bool {
        while !self.woken.load(Ordering::Acquire) {
            if is_past(deadline) {
                return false;
            }
            park(deadline);
        }
        true
    }
}

/// Waiting threads. The mutex around it serialises everything but `woken`.
pub(super) struct WaitList {
    first: *const Waiter,
    last: *const Waiter,
}

// SAFETY: it points at waiters of other threads, whose fields are touched under the list's mutex only, but for the atomic.
unsafe impl Send for WaitList {}

impl WaitList {
    pub(super) const fn new() -> WaitList {
        WaitList { first: ptr::null(), last: ptr::null() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Queues a waiter, behind those of its rank.
    ///
    /// # Safety
    ///
    /// The waiter stays where it is until it was woken or cancelled.
    pub(super) unsafe fn push(&mut self, waiter: &Waiter) {
        let mut before = self.last;
        // SAFETY: queued waiters are alive by the promise of their `push`.
        unsafe {
            while !before.is_null() && (*before).rank < waiter.rank {
                before = (*before).previous.get();
            }
            let after = if before.is_null() { self.first } else { (*before).next.get() };
            waiter.previous.set(before);
            waiter.next.set(after);
            *self.link_to_next(before) = waiter;
            *self.link_to_previous(after) = waiter;
        }
        waiter.queued.set(true);
    }

    /// What the first waiter waits for.
    pub(super) fn first_kind(&self) -> Option<u8> {
        // SAFETY: as in `push`.
        unsafe { self.first.as_ref() }.map(|waiter| waiter.kind)
    }

    /// Takes the first waiter out and wakes it up: whether there was one.
    pub(super) fn wake_first(&mut self) -> bool {
        // SAFETY: as in `push`.
        let Some(waiter) = (unsafe { self.first.as_ref() }) else { return false };
        self.remove(waiter);
        let parker = waiter.parker.clone();
        // Its frame may be gone from here on.
        waiter.woken.store(true, Ordering::Release);
        parker.wake();
        true
    }

    /// Takes back a waiter that gave up: `false` when it was woken after all.
    pub(super) fn cancel(&mut self, waiter: &Waiter) -> bool {
        if waiter.queued.get() {
            self.remove(waiter);
            true
        } else {
            false
        }
    }

    fn remove(&mut self, waiter: &Waiter) {
        let (previous, next) = (waiter.previous.get(), waiter.next.get());
        // SAFETY: neighbours are queued, so alive.
        unsafe {
            *self.link_to_next(previous) = next;
            *self.link_to_previous(next) = previous;
        }
        waiter.queued.set(false);
    }

    /// Where the pointer to a waiter's successor is; of nobody, the list's first.
    ///
    /// # Safety
    ///
    /// The waiter is queued, or null.
    unsafe fn link_to_next(&mut self, waiter: *const Waiter) -> &mut *const Waiter {
        // SAFETY: the caller's promise; the list's mutex is held.
        if waiter.is_null() { &mut self.first } else { unsafe { &mut *(*waiter).next.as_ptr() } }
    }

    /// Where the pointer to a waiter's predecessor is; of nobody, the list's last.
    ///
    /// # Safety
    ///
    /// The waiter is queued, or null.
    unsafe fn link_to_previous(&mut self, waiter: *const Waiter) -> &mut *const Waiter {
        // SAFETY: as in `link_to_next`.
        if waiter.is_null() { &mut self.last } else { unsafe { &mut *(*waiter).previous.as_ptr() } }
    }
}
