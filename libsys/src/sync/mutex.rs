//! A mutex: data and the lock that guards it.

use super::lock::RawLock;
use super::platform::{Guarded, MutAccess, constructor};
use core::fmt;
use core::ops::{Deref, DerefMut};

/// Data that one thread at a time has.
pub struct Mutex<T: ?Sized> {
    lock: RawLock,
    data: Guarded<T>,
}

// SAFETY: the lock lets one thread at a time to the data, which thereby goes from thread to thread.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: it owns the data.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    constructor! {
        /// Guards `data`.
        pub fn new(data: T) -> Mutex<T> {
            Mutex { lock: RawLock::new(), data: Guarded::new(data) }
        }
    }

    /// The data, as nobody else has the mutex any more.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the data is nobody's, and takes it. A thread that has it already waits for ever.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock.lock();
        self.guard()
    }

    /// Takes the data if it is nobody's.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        if self.lock.try_lock() { Some(self.guard()) } else { None }
    }

    #[inline(always)]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { access: self.data.get_mut(), held: Held(self), not_send: core::marker::PhantomData }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => write!(f, "Mutex({:?})", &*guard),
            None => f.write_str("Mutex(held)"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

/// The data of a mutex; dropping it releases the mutex.
pub struct MutexGuard<'a, T: ?Sized> {
    /// Dropped before `held` releases the lock: fields go in order.
    access: MutAccess<T>,
    held: Held<'a, T>,
    /// A lock is released by the thread that took it.
    not_send: core::marker::PhantomData<*mut ()>,
}

// SAFETY: it lends nothing but `&T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

/// Releases the lock when dropped.
struct Held<'a, T: ?Sized>(&'a Mutex<T>);

impl<T: ?Sized> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.unlock();
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.held.0
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held as long as the guard lives.
        unsafe { self.access.deref() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and exclusive as the guard is.
        unsafe { self.access.deref() }
    }
}
