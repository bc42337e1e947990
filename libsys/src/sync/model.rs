//! The locks under loom: every interleaving of a few threads, with the memory orders as written.
//!
//! The files are those of the real locks; what they stand on is [`platform`] here.

#![allow(dead_code)]

#[path = "condvar.rs"]
mod condvar;
#[path = "lock.rs"]
mod lock;
#[path = "mpsc.rs"]
mod mpsc;
#[path = "mutex.rs"]
mod mutex;
#[path = "once.rs"]
mod once;
#[path = "rw_lock.rs"]
mod rw_lock;
#[path = "semaphore.rs"]
mod semaphore;
#[path = "wait_list.rs"]
mod wait_list;

/// Loom's atomics, cells and threads.
mod platform {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

    macro_rules! constructor {
        ($($function:tt)*) => { $($function)* };
    }
    pub(super) use constructor;

    pub(super) struct Guarded<T: ?Sized>(loom::cell::UnsafeCell<T>);
    pub(super) type ConstAccess<T> = loom::cell::ConstPtr<T>;
    pub(super) type MutAccess<T> = loom::cell::MutPtr<T>;

    impl<T> Guarded<T> {
        pub(super) fn new(value: T) -> Guarded<T> {
            Guarded(loom::cell::UnsafeCell::new(value))
        }

        pub(super) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    impl<T: ?Sized> Guarded<T> {
        pub(super) fn get(&self) -> ConstAccess<T> {
            self.0.get()
        }

        pub(super) fn get_mut(&self) -> MutAccess<T> {
            self.0.get_mut()
        }
    }

    /// A token that a thread waits for. Loom's own `unpark` would not do: loom sees no switch between the store
    /// that lets a waiter go on and its wake-up, and a late wake-up ends any other wait of the thread.
    #[derive(Clone)]
    pub(super) struct Parker(loom::sync::Arc<(loom::sync::Mutex<bool>, loom::sync::Condvar)>);

    loom::thread_local! {
        static PARKER: Parker = Parker(loom::sync::Arc::new((loom::sync::Mutex::new(false), loom::sync::Condvar::new())));
    }

    impl Parker {
        pub(super) fn current() -> Parker {
            PARKER.with(Parker::clone)
        }

        pub(super) fn wake(self) {
            *self.0.0.lock().expect("no panic") = true;
            self.0.1.notify_one();
        }
    }

    pub(super) fn park(_deadline: Option<u64>) {
        let parker = Parker::current();
        let mut token = parker.0.0.lock().expect("no panic");
        while !*token {
            token = parker.0.1.wait(token).expect("no panic");
        }
        *token = false;
    }

    /// A deadline of 0 has passed from the start: what a wait that gives up at any moment looks like.
    pub(super) fn is_past(deadline: Option<u64>) -> bool {
        deadline == Some(0)
    }

    pub(super) fn rank() -> u8 {
        0
    }
}

use loom::thread;
use std::sync::Arc;

/// Bounds the preemptions of an execution: three find what there is to find in locks, and more take hours.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_mutex_excludes_and_hands_over() {
    explore(|| {
        let counter = Arc::new(mutex::Mutex::new(0));
        let add = |counter: Arc<mutex::Mutex<i32>>| move || *counter.lock() += 1;
        let threads = [thread::spawn(add(counter.clone())), thread::spawn(add(counter.clone()))];
        add(counter.clone())();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(*counter.lock(), 3);
    });
}

#[test]
fn try_lock_takes_what_is_free_only() {
    explore(|| {
        let mutex = Arc::new(mutex::Mutex::new(0));
        let other = mutex.clone();
        let thread = thread::spawn(move || {
            if let Some(mut guard) = other.try_lock() {
                *guard += 1;
            }
        });
        *mutex.lock() += 1;
        thread.join().expect("no panic");
        assert!((1..=2).contains(&*mutex.lock()));
    });
}

#[test]
fn a_notification_is_not_lost() {
    explore(|| {
        let pair = Arc::new((mutex::Mutex::new(false), condvar::Condvar::new()));
        let other = pair.clone();
        let thread = thread::spawn(move || {
            *other.0.lock() = true;
            other.1.notify_one();
        });
        drop(pair.1.wait_while(pair.0.lock(), |ready| !*ready));
        thread.join().expect("no panic");
    });
}

#[test]
fn a_wait_that_gives_up_leaves_nothing_behind() {
    explore(|| {
        let pair = Arc::new((mutex::Mutex::new(0), condvar::Condvar::new()));
        let other = pair.clone();
        let thread = thread::spawn(move || {
            let (guard, _) = other.1.wait_until(other.0.lock(), Some(0));
            drop(guard);
        });
        pair.1.notify_one();
        thread.join().expect("no panic");
        pair.1.notify_all();
    });
}

#[test]
fn a_semaphore_counts() {
    explore(|| {
        let semaphore = Arc::new(semaphore::Semaphore::new(1));
        let inside = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let work = |semaphore: Arc<semaphore::Semaphore>, inside: Arc<loom::sync::atomic::AtomicUsize>| {
            move || {
                semaphore.acquire();
                assert_eq!(inside.fetch_add(1, loom::sync::atomic::Ordering::Relaxed), 0);
                inside.fetch_sub(1, loom::sync::atomic::Ordering::Relaxed);
                semaphore.release();
            }
        };
        let thread = thread::spawn(work(semaphore.clone(), inside.clone()));
        work(semaphore.clone(), inside)();
        thread.join().expect("no panic");
        assert!(semaphore.try_acquire() && !semaphore.try_acquire());
    });
}

#[test]
fn a_semaphore_wait_that_gives_up_loses_no_permit() {
    explore(|| {
        let semaphore = Arc::new(semaphore::Semaphore::new(0));
        let other = semaphore.clone();
        let thread = thread::spawn(move || other.acquire_until(Some(0)));
        semaphore.release();
        let taken = thread.join().expect("no panic");
        assert_eq!(semaphore.try_acquire(), !taken);
    });
}

#[test]
fn readers_share_and_writers_do_not() {
    explore(|| {
        let lock = Arc::new(rw_lock::RwLock::new((0, 0)));
        let (writer, reader) = (lock.clone(), lock.clone());
        let threads = [
            thread::spawn(move || {
                let mut both = writer.write();
                both.0 += 1;
                both.1 += 1;
            }),
            thread::spawn(move || {
                let both = reader.read();
                assert_eq!(both.0, both.1);
            }),
        ];
        let both = lock.read();
        assert_eq!(both.0, both.1);
        drop(both);
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(*lock.read(), (1, 1));
    });
}

#[test]
fn one_thread_makes_what_is_made_once() {
    explore(|| {
        let once = Arc::new(once::OnceLock::new());
        let made = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let make =
            |made: &loom::sync::atomic::AtomicUsize| made.fetch_add(1, loom::sync::atomic::Ordering::Relaxed) + 41;
        let (other, count) = (once.clone(), made.clone());
        let thread = thread::spawn(move || assert_eq!(*other.get_or_init(|| make(&count)), 41));
        assert_eq!(*once.get_or_init(|| make(&made)), 41);
        thread.join().expect("no panic");
        assert_eq!(once.get(), Some(&41));
    });
}

#[test]
fn a_queue_delivers_everything_and_then_its_end() {
    explore(|| {
        let (sender, receiver) = mpsc::bounded(1);
        let thread = thread::spawn(move || {
            sender.send(1).expect("a receiver");
            sender.send(2).expect("a receiver");
        });
        assert_eq!((receiver.receive(), receiver.receive()), (Ok(1), Ok(2)));
        assert_eq!(receiver.receive(), Err(mpsc::ReceiveError::Disconnected));
        thread.join().expect("no panic");
    });
}
