//! Threads of this process.
//!
//! A thread's stack, private channel and place for message pages form a [`slot`]; slots are kept for later threads, so that a
//! process that starts and joins threads settles at a few system calls each. A stack is used again only
//! when the kernel has said that the thread is off it.

pub(crate) mod block;
pub(crate) mod parking;
mod scope;
mod slot;
mod start;

pub use scope::{Scope, ScopedJoinHandle, scope};

use crate::object::Object;
use crate::{Error, Handle, Resource, ThreadObject, sys};
use abi::{Parameters, Policy};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use slot::Slot;

/// Stack of a thread that does not ask for another size, in bytes.
pub const STACK_BYTES: usize = 64 * 1024;

/// What threads share about one of them.
pub(crate) struct Shared {
    name: Option<String>,
    number: u64,
    parking: Handle,
}

/// Numbers of threads within the process, for [`Thread::number`].
static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl Shared {
    fn new(name: Option<String>, parking: Handle) -> Arc<Shared> {
        Arc::new(Shared { name, number: NUMBERS.fetch_add(1, Ordering::Relaxed) + 1, parking })
    }
}

/// A thread, as others see it.
#[derive(Clone)]
pub struct Thread(Arc<Shared>);

impl Thread {
    /// Lets its `park` return, the next one if it does not park now.
    pub fn unpark(&self) {
        let _ = sys::signal(self.0.parking, parking::TOKEN);
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Its number within this process.
    pub fn number(&self) -> u64 {
        self.0.number
    }
}

impl core::fmt::Debug for Thread {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Thread({}, {:?})", self.number(), self.name())
    }
}

/// The calling thread.
pub fn current() -> Thread {
    let shared = &block::current().shared;
    if shared.get().is_null() {
        shared.set(Arc::into_raw(Shared::new(None, parking::own_channel())));
    }
    // SAFETY: the block owns one count of an `Arc` whose pointer it holds; this makes another.
    unsafe {
        Arc::increment_strong_count(shared.get());
        Thread(Arc::from_raw(shared.get()))
    }
}

/// Waits until somebody unparks the thread. It may return for nothing.
pub fn park() {
    parking::wait_for(parking::TOKEN, None);
}

/// Waits until somebody unparks the thread, or a while has passed. It may return for nothing.
pub fn park_timeout(timeout: Duration) {
    parking::wait_for(parking::TOKEN, Some(crate::time::deadline_after(timeout)));
}

/// Lets other threads of the same rank run.
pub fn yield_now() {
    sys::thread_yield();
}

/// Sets the calling thread's scheduling parameters. Error: `Denied` (a priority above what its account allows).
pub fn schedule(parameters: Parameters) -> Result<(), Error> {
    sys::thread_schedule(Handle::NONE, parameters)?;
    block::current().rank.set(rank_of(parameters));
    Ok(())
}

/// Sets real-time parameters of the calling thread, by right of a Resource of real time (`MANAGE`). Errors: `Denied`, `WrongKind`.
pub fn schedule_real_time(parameters: Parameters, right: &Resource) -> Result<(), Error> {
    sys::thread_schedule_real_time(Handle::NONE, parameters, right.handle())?;
    block::current().rank.set(rank_of(parameters));
    Ok(())
}

/// Where a thread stands among the waiters of a lock.
fn rank_of(parameters: Parameters) -> u8 {
    if parameters.policy == Policy::Fair { 0 } else { parameters.priority }
}

/// Says on which CPUs, as a bit set, the calling thread may run. Error: `BadArgument` (no such CPU).
pub fn set_affinity(cpus: u64) -> Result<(), Error> {
    sys::thread_affinity(Handle::NONE, cpus)
}

/// How a thread is to be.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<String>,
    stack_bytes: Option<usize>,
    parameters: Option<Parameters>,
    affinity: Option<u64>,
}

impl Builder {
    /// As [`spawn`] does it.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Its name.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack, rounded up to pages; a guard is below it.
    pub fn stack_bytes(mut self, bytes: usize) -> Builder {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Its scheduling parameters.
    pub fn parameters(mut self, parameters: Parameters) -> Builder {
        self.parameters = Some(parameters);
        self
    }

    /// The CPUs, as a bit set, on which it may run.
    pub fn affinity(mut self, cpus: u64) -> Builder {
        self.affinity = Some(cpus);
        self
    }

    /// Starts the thread. Errors: `AccountExhausted`, `NoSlot`; `Denied`, `BadArgument` (parameters or affinity).
    pub fn spawn<T: Send + 'static>(self, main: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
        // SAFETY: `'static`.
        unsafe { self.spawn_unchecked(main) }
    }

    /// As [`Builder::spawn`].
    ///
    /// # Safety
    ///
    /// The thread is joined while what `main` and its result borrow lives.
    unsafe fn spawn_unchecked<'a, T: Send + 'a>(
        self,
        main: impl FnOnce() -> T + Send + 'a,
    ) -> Result<JoinHandle<T>, Error> {
        let slot = Slot::take(self.stack_bytes.unwrap_or(STACK_BYTES))?;
        let packet = Arc::new(Packet(UnsafeCell::new(None)));
        let thread = Thread(Shared::new(self.name, slot.parking()));
        let theirs = packet.clone();
        let (parameters, affinity) = (self.parameters, self.affinity);
        let main: Box<dyn FnOnce() + Send + 'a> = Box::new(move || {
            let result = main();
            // SAFETY: the joining thread reads the packet only after this thread's exit was signalled.
            unsafe { *theirs.0.get() = Some(result) };
        });
        // SAFETY: only the lifetime changes; the caller promises that it is not outlived.
        let main =
            unsafe { core::mem::transmute::<Box<dyn FnOnce() + Send + 'a>, Box<dyn FnOnce() + Send + 'static>>(main) };
        let rank = parameters.map_or(0, rank_of);
        let object = match start::start(&slot, thread.clone(), rank, main) {
            Ok(object) => object,
            Err(error) => {
                slot.give_back();
                return Err(error);
            }
        };
        let handle = JoinHandle { slot: Some(slot), thread, packet, object };
        // A real-time thread should not start as a fair one, but the ABI starts it at once; it becomes one before it is waited for.
        if let Some(object) = &handle.object {
            if let Some(parameters) = parameters {
                object.schedule(parameters)?;
            }
            if let Some(affinity) = affinity {
                object.set_affinity(affinity)?;
            }
        }
        Ok(handle)
    }
}

/// Where a thread leaves its result.
struct Packet<T>(UnsafeCell<Option<T>>);

// SAFETY: written by the thread before its exit is signalled, read by the joiner after it: never at the same time.
unsafe impl<T: Send> Sync for Packet<T> {}
// SAFETY: as above, and `T` goes from one thread to the other.
unsafe impl<T: Send> Send for Packet<T> {}

/// The right to wait for a thread's end. Dropping it lets the thread go on by itself.
pub struct JoinHandle<T> {
    /// There until it is joined.
    slot: Option<Slot>,
    thread: Thread,
    packet: Arc<Packet<T>>,
    object: Option<ThreadObject>,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended, and gives its result. (A panic ends the process: nobody joins a thread that panicked.)
    pub fn join(mut self) -> T {
        if let Some(slot) = self.slot.take() {
            slot.wait_for_exit();
        }
        // SAFETY: the thread has ended, and left its result before that.
        let result = unsafe { (*self.packet.0.get()).take() };
        result.expect("the thread panicked")
    }

    /// The thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// What schedules, pins and cancels it; none on the host.
    pub fn object(&self) -> Option<&ThreadObject> {
        self.object.as_ref()
    }

    /// Whether it has ended: `join` will not wait.
    pub fn is_finished(&mut self) -> bool {
        self.slot.as_mut().is_none_or(|slot| slot.has_exited())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.detach();
        }
    }
}

/// Starts a thread. Errors: `AccountExhausted`, `NoSlot`.
pub fn spawn<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    Builder::new().spawn(main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_its_result_and_its_slot_back() {
        for n in 0..20u64 {
            assert_eq!(spawn(move || n * 2).expect("a thread").join(), n * 2);
        }
    }

    #[test]
    fn unpark_before_park_counts() {
        let main = current();
        let handle = Builder::new().name("waker").spawn(move || {
            main.unpark();
            assert_eq!(current().name(), Some("waker"));
            park();
        });
        let handle = handle.expect("a thread");
        park();
        handle.thread().unpark();
        handle.join();
    }

    #[test]
    fn a_sleep_leaves_the_token() {
        current().unpark();
        crate::time::sleep(Duration::from_millis(1));
        park();
        let before = crate::time::Instant::now();
        park_timeout(Duration::from_millis(2));
        assert!(before.elapsed() >= Duration::from_millis(1));
    }

    #[test]
    fn scoped_threads_borrow() {
        let numbers = [1, 2, 3];
        let mut sum = 0;
        scope(|scope| {
            let handle = scope.spawn(|| numbers.iter().sum::<i32>()).expect("a thread");
            scope.spawn(|| assert_eq!(numbers.len(), 3)).expect("a thread");
            sum = handle.join();
        });
        assert_eq!(sum, 6);
    }
}
