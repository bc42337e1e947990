//! Several threads that take from the same work, each with a machine of its own.

use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Result;

/// Does `work` in so many threads, at least in one, until all are through with it.
///
/// # Errors
/// Of the first thread that failed.
pub fn work_at_once(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(&work)).collect();
        let mut results = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        results.try_for_each(|result| result)
    })
}

/// What threads share. One that panicked while it had it ends the whole.
pub fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_is_done_once_and_failures_are_told() {
        let (work, done) = (Mutex::new(0..100), Mutex::new(Vec::new()));
        let take = || {
            while let Some(number) = { lock(&work).next() } {
                anyhow::ensure!(number < 100, "too many");
                lock(&done).push(number);
            }
            Ok(())
        };
        work_at_once(3, take).unwrap();
        lock(&done).sort_unstable();
        assert!(lock(&done).iter().copied().eq(0..100));
        *lock(&work) = 100..101;
        assert!(work_at_once(0, take).is_err());
    }
}
