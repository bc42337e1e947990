//! Threads that borrow from the function that starts them.

use super::{Builder, JoinHandle};
use crate::Error;
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::marker::PhantomData;

/// Where scoped threads are started: all are joined before [`scope`] returns.
pub struct Scope<'scope, 'env: 'scope> {
    left: Left,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// What joins threads that nobody joined. Really of the lifetime of the scope, which ends after all are called.
struct Left(Mutex<Vec<Box<dyn FnOnce() + Send + 'static>>>);

/// A scoped thread's result, to wait for.
pub struct ScopedJoinHandle<'scope, T> {
    joined: alloc::sync::Arc<Mutex<Option<JoinHandle<T>>>>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread has ended, and gives its result.
    pub fn join(self) -> T {
        let handle = self.joined.lock().take();
        handle.expect("joined once, as it is consumed").join()
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that may borrow what outlives the scope. Errors: as [`super::spawn`].
    pub fn spawn<T: Send + 'scope>(
        &'scope self,
        main: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<ScopedJoinHandle<'scope, T>, Error> {
        // SAFETY: joined by its handle, or by `Joining` before `scope` returns: `'scope` outlives it.
        let handle = unsafe { Builder::new().spawn_unchecked(main) }?;
        let joined = alloc::sync::Arc::new(Mutex::new(Some(handle)));
        let left = joined.clone();
        let join: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let handle = left.lock().take();
            if let Some(handle) = handle {
                handle.join();
            }
        });
        // SAFETY: only the lifetime changes; `Joining` calls and thereby drops it before `scope` returns.
        let join = unsafe {
            core::mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Box<dyn FnOnce() + Send + 'static>>(join)
        };
        self.left.0.lock().push(join);
        Ok(ScopedJoinHandle { joined, scope: PhantomData })
    }
}

/// Joins what is left, also while a panic unwinds (on the host).
struct Joining<'a>(&'a Left);

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        loop {
            let next = self.0.0.lock().pop();
            match next {
                Some(join) => join(),
                None => return,
            }
        }
    }
}

/// Runs `body`, which may start threads that borrow from outside of it, and waits for them all.
pub fn scope<'env, T>(body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    let scope = Scope { left: Left(Mutex::new(Vec::new())), scope: PhantomData, env: PhantomData };
    let joining = Joining(&scope.left);
    let result = body(&scope);
    drop(joining);
    result
}
