//! The lock under all others: one word, and a queue of waiters on their own stacks.
//!
//! The word is null (free), or holds the tag [`HELD`] and the newest waiter. Waiters push themselves in front; only the
//! holder takes any out, as part of handing the lock over. So the queue needs no lock of its own.

use super::platform::{AtomicBool, AtomicPtr, Ordering, Parker, constructor, park, rank};
use core::ptr;

/// The tag of a word whose lock is held.
const HELD: usize = 1;

/// A lock without data.
pub(crate) struct RawLock {
    word: AtomicPtr<Waiter>,
}

/// A thread that waits, on its stack.
#[repr(align(8))]
struct Waiter {
    /// The waiter before it. Written by itself, later by the holder.
    older: AtomicPtr<Waiter>,
    parker: Parker,
    rank: u8,
    /// The lock is this thread's now.
    granted: AtomicBool,
}

fn held(waiter: *mut Waiter) -> *mut Waiter {
    waiter.map_addr(|address| address | HELD)
}

fn newest(word: *mut Waiter) -> *mut Waiter {
    word.map_addr(|address| address & !HELD)
}

impl RawLock {
    constructor! {
        /// A free lock.
        pub(crate) fn new() -> RawLock {
            RawLock { word: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        self.word.compare_exchange(ptr::null_mut(), held(ptr::null_mut()), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock.
    #[inline]
    pub(crate) fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let waiter = Waiter {
            older: AtomicPtr::new(ptr::null_mut()),
            parker: Parker::current(),
            rank: rank(),
            granted: AtomicBool::new(false),
        };
        let this = held((&raw const waiter).cast_mut());
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word.is_null() {
                if self.try_lock() {
                    return;
                }
                continue;
            }
            waiter.older.store(newest(word), Ordering::Relaxed);
            // Release: who takes it out sees the waiter whole.
            if self.word.compare_exchange(word, this, Ordering::Release, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        while !waiter.granted.load(Ordering::Acquire) {
            park(None);
        }
    }

    /// Releases the lock, which the caller holds.
    #[inline]
    pub(crate) fn unlock(&self) {
        let free =
            self.word.compare_exchange(held(ptr::null_mut()), ptr::null_mut(), Ordering::Release, Ordering::Relaxed);
        if free.is_err() {
            self.hand_over();
        }
    }

    /// Gives the lock to the waiter of the highest rank, among these to the oldest.
    #[cold]
    fn hand_over(&self) {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let first = newest(word);
            // Waiters only come while the lock is held, and only the holder takes them out: there is one.
            let (mut newer_than_best, mut best) = (ptr::null_mut::<Waiter>(), first);
            let (mut newer, mut waiter) = (ptr::null_mut::<Waiter>(), first);
            while !waiter.is_null() {
                // SAFETY: a queued waiter's frame lives until it is granted the lock, which only the holder, this thread, does.
                // The acquire above sees it whole, as do the pushes since, which are read-modify-writes.
                let (found, best_rank) = unsafe { (&*waiter, (*best).rank) };
                if found.rank >= best_rank {
                    (newer_than_best, best) = (newer, waiter);
                }
                newer = waiter;
                waiter = found.older.load(Ordering::Relaxed);
            }
            // SAFETY: as above.
            let chosen = unsafe { &*best };
            let older = chosen.older.load(Ordering::Relaxed);
            if newer_than_best.is_null() {
                let left = held(older);
                if self.word.compare_exchange(word, left, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                    continue;
                }
            } else {
                // SAFETY: as above; waiters that came since are in front of it.
                unsafe { (*newer_than_best).older.store(older, Ordering::Relaxed) };
            }
            let parker = chosen.parker.clone();
            // Its frame may be gone from here on.
            chosen.granted.store(true, Ordering::Release);
            parker.wake();
            return;
        }
    }
}
