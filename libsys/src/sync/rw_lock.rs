//! Readers and writers.

use super::mutex::Mutex;
use super::platform::{ConstAccess, Guarded, MutAccess, constructor};
use super::wait_list::{WaitList, Waiter};
use core::ops::{Deref, DerefMut};

const READER: u8 = 0;
const WRITER: u8 = 1;

/// Data that many threads read, or one writes. Who waits is not overtaken.
pub struct RwLock<T: ?Sized> {
    state: Mutex<State>,
    data: Guarded<T>,
}

struct State {
    readers: usize,
    writing: bool,
    waiters: WaitList,
}

// SAFETY: readers share the data among threads, a writer takes it to another: `Send` and `Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: it owns the data.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

impl<T> RwLock<T> {
    constructor! {
        /// Guards `data`.
        pub fn new(data: T) -> RwLock<T> {
            let state = State { readers: 0, writing: false, waiters: WaitList::new() };
            RwLock { state: Mutex::new(state), data: Guarded::new(data) }
        }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Reads the data, waiting for writers.
    pub fn read(&self) -> ReadGuard<'_, T> {
        self.enter(READER);
        ReadGuard { access: self.data.get(), _held: Held { lock: &self.state } }
    }

    /// Has the data alone, waiting for all others.
    pub fn write(&self) -> WriteGuard<'_, T> {
        self.enter(WRITER);
        WriteGuard { access: self.data.get_mut(), _held: Held { lock: &self.state } }
    }

    fn enter(&self, kind: u8) {
        let mut state = self.state.lock();
        if state.waiters.is_empty() && state.admits(kind) {
            state.admit(kind);
            return;
        }
        let waiter = Waiter::new(kind);
        // SAFETY: without a deadline, the waiter is woken before this returns.
        unsafe { state.waiters.push(&waiter) };
        drop(state);
        // Who wakes it has admitted it.
        waiter.wait(None);
    }
}

impl State {
    fn admits(&self, kind: u8) -> bool {
        !self.writing && (kind == READER || self.readers == 0)
    }

    fn admit(&mut self, kind: u8) {
        if kind == READER {
            self.readers += 1;
        } else {
            self.writing = true;
        }
    }

    /// One thread less has the data: lets in who may, in order.
    fn leave(&mut self) {
        if self.writing {
            self.writing = false;
        } else {
            self.readers -= 1;
        }
        while let Some(kind) = self.waiters.first_kind() {
            if !self.admits(kind) {
                break;
            }
            self.admit(kind);
            self.waiters.wake_first();
        }
    }
}

/// Leaves the lock when dropped.
struct Held<'a> {
    lock: &'a Mutex<State>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.lock.lock().leave();
    }
}

/// The data, to read.
pub struct ReadGuard<'a, T: ?Sized> {
    /// Dropped before `_held`: fields go in order.
    access: ConstAccess<T>,
    _held: Held<'a>,
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a reader as long as the guard lives.
        unsafe { self.access.deref() }
    }
}

/// The data, to write.
pub struct WriteGuard<'a, T: ?Sized> {
    /// Dropped before `_held`: fields go in order.
    access: MutAccess<T>,
    _held: Held<'a>,
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the writer as long as the guard lives.
        unsafe { self.access.deref() }
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the writer as long as the guard lives, and exclusive as it is.
        unsafe { self.access.deref() }
    }
}
