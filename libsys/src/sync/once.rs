//! What is made once.

use super::mutex::Mutex;
use super::platform::{AtomicBool, ConstAccess, Guarded, Ordering, constructor};

/// A value that is made at its first use, by one thread, while others wait.
pub struct OnceLock<T> {
    made: AtomicBool,
    making: Mutex<()>,
    value: Guarded<Option<T>>,
}

// SAFETY: written once under `making`, before `made`; only read from then on. It may be made by one thread and dropped by another.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: it owns the value.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T> OnceLock<T> {
    constructor! {
        /// Not made.
        pub fn new() -> OnceLock<T> {
            OnceLock { made: AtomicBool::new(false), making: Mutex::new(()), value: Guarded::new(None) }
        }
    }

    /// The value, if it is made.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.made.load(Ordering::Acquire) {
            return None;
        }
        let access: ConstAccess<Option<T>> = self.value.get();
        // SAFETY: made, so it is never written again, and lives as long as `self`.
        let value: *const Option<T> = unsafe { access.deref() };
        // SAFETY: as above: the reference does not depend on the access.
        unsafe { (*value).as_ref() }
    }

    /// The value, made by `make` if nobody did. `make` must not come back to the same.
    #[inline]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.init(make),
        }
    }

    #[cold]
    #[inline(never)]
    fn init(&self, make: impl FnOnce() -> T) -> &T {
        let making = self.making.lock();
        if !self.made.load(Ordering::Relaxed) {
            let value = make();
            // SAFETY: under `making`, and not made: nobody reads.
            unsafe { *self.value.get_mut().deref() = Some(value) };
            self.made.store(true, Ordering::Release);
        }
        drop(making);
        self.get().expect("made above, or by whom this waited for")
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

/// Something done once.
#[derive(Default)]
pub struct Once(OnceLock<()>);

impl Once {
    constructor! {
        /// Not done.
        pub fn new() -> Once {
            Once(OnceLock::new())
        }
    }

    /// Does it if nobody did, and waits until it is done.
    pub fn call_once(&self, act: impl FnOnce()) {
        self.0.get_or_init(act);
    }

    /// Whether it is done.
    pub fn is_completed(&self) -> bool {
        self.0.get().is_some()
    }
}
