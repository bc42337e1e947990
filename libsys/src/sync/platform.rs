//! What the locks stand on: atomics, cells and parking. The tests have another `platform`, over loom.

use crate::thread::{block, parking};
use core::cell::UnsafeCell;

pub(super) use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// A constructor, usable in statics.
macro_rules! constructor {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => { $(#[$attribute])* $visibility const fn $($rest)* };
}

pub(super) use constructor;

/// Memory that a lock guards.
pub(super) struct Guarded<T: ?Sized>(UnsafeCell<T>);

impl<T> Guarded<T> {
    pub(super) const fn new(value: T) -> Guarded<T> {
        Guarded(UnsafeCell::new(value))
    }

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Guarded<T> {
    /// Access to it, to be dropped before the lock is released.
    #[inline(always)]
    pub(super) fn get(&self) -> ConstAccess<T> {
        ConstAccess(self.0.get())
    }

    /// Exclusive access to it, to be dropped before the lock is released.
    #[inline(always)]
    pub(super) fn get_mut(&self) -> MutAccess<T> {
        MutAccess(self.0.get())
    }
}

/// A pointer to what is guarded, to read.
pub(super) struct ConstAccess<T: ?Sized>(*const T);

impl<T: ?Sized> ConstAccess<T> {
    /// # Safety
    ///
    /// The lock is held for reading, and outlives the reference.
    #[inline(always)]
    pub(super) unsafe fn deref(&self) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &*self.0 }
    }
}

/// A pointer to what is guarded, to write.
pub(super) struct MutAccess<T: ?Sized>(*mut T);

impl<T: ?Sized> MutAccess<T> {
    /// # Safety
    ///
    /// The lock is held for writing, and outlives the reference.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn deref(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0 }
    }
}

/// The right to wake a thread up.
#[derive(Clone)]
pub(super) struct Parker(parking::Parker);

impl Parker {
    /// Of the calling thread.
    pub(super) fn current() -> Parker {
        Parker(parking::Parker::current())
    }

    /// Wakes the thread up.
    pub(super) fn wake(self) {
        self.0.wake();
    }
}

/// Waits to be woken up; also returns at the deadline, and for nothing.
pub(super) fn park(deadline: Option<u64>) {
    parking::wait_for(parking::WAKE, deadline);
}

/// Whether a deadline has passed.
pub(super) fn is_past(deadline: Option<u64>) -> bool {
    deadline.is_some_and(|deadline| crate::time::now() >= deadline)
}

/// Where the calling thread stands among waiters.
pub(super) fn rank() -> u8 {
    block::current().rank.get()
}
