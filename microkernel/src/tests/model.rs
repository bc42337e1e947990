//! What CPUs share, under loom: every interleaving of a few CPUs, with the memory orders as written.
//!
//! The files are those of the kernel; what they stand on is [`platform`] here. The parts of a CPU that are not code, its TLB and the
//! interrupts that others send it, are in [`Processor`].

#![allow(dead_code)]

#[path = "../sync/log_ring.rs"]
mod log_ring;
#[path = "../sync/requests.rs"]
mod requests;
#[path = "../sync/spin_lock.rs"]
mod spin_lock;
#[path = "../sync/tickets.rs"]
mod tickets;

/// Loom's atomics.
mod platform {
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

    /// Loom does not know that nothing comes between the two halves of an exchange, and takes one of «held» for «held» for a later store than
    /// the release. Such an exchange changes nothing: so here it is no store.
    pub(crate) struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub(super) fn new(value: bool) -> AtomicBool {
            AtomicBool(loom::sync::atomic::AtomicBool::new(value))
        }

        pub(super) fn swap(&self, value: bool, order: Ordering) -> bool {
            self.0.compare_exchange(!value, value, order, Ordering::Relaxed).unwrap_or_else(|old| old)
        }

        pub(super) fn load(&self, order: Ordering) -> bool {
            self.0.load(order)
        }

        pub(super) fn store(&self, value: bool, order: Ordering) {
            self.0.store(value, order)
        }
    }

    macro_rules! constructor {
        ($($function:tt)*) => { $($function)* };
    }
    pub(super) use constructor;

    pub(super) fn zeros<const WORDS: usize>() -> [AtomicU64; WORDS] {
        core::array::from_fn(|_| AtomicU64::new(0))
    }
}

use abi::ring::{LOG_RECORD_HEADER, LOG_SKIP};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering::*, fence};
use loom::thread;
use requests::Requests;
use spin_lock::SpinLock;
use std::sync::Arc;

/// Bounds the preemptions of an execution: three find what there is to find here, and more take hours.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// What the kernel lock guards, here: loom finds any two that use it at once.
struct Locked<T> {
    lock: SpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached under the lock only; loom reports where it is not.
unsafe impl<T> Sync for Locked<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Locked<T> {}

impl<T> Locked<T> {
    fn new(value: T) -> Locked<T> {
        Locked { lock: SpinLock::new(), value: UnsafeCell::new(value) }
    }

    /// An entry into the kernel, where the lock is free: loom explores no loops that spin, and who waits for a lock does nothing else. It is
    /// given up through the flag where `by_flag`, as the way back to user mode does.
    fn enter<R>(&self, by_flag: bool, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        if !self.lock.try_acquire() {
            return None;
        }
        // SAFETY: the lock is held.
        let result = self.value.with_mut(|value| work(unsafe { &mut *value }));
        match by_flag {
            true => self.lock.flag().store(false, Release),
            false => self.lock.release(),
        }
        Some(result)
    }
}

#[test]
fn the_kernel_lock_excludes() {
    explore(|| {
        let kernel = Arc::new(Locked::new(0));
        let threads = [true, false].map(|by_flag| {
            let kernel = kernel.clone();
            thread::spawn(move || kernel.enter(by_flag, |count| *count += 1).is_some())
        });
        let mut entered = u32::from(kernel.enter(true, |count| *count += 1).is_some());
        for thread in threads {
            entered += u32::from(thread.join().expect("no panic"));
        }
        assert!(entered > 0);
        assert_eq!(kernel.enter(false, |count| *count), Some(entered));
    });
}

/// A page table with one entry, the requests, and the CPUs that have the table loaded.
struct Space {
    requests: Requests,
    loaded: u64,
}

/// What is not code.
struct Processor {
    /// The entry of the page table: 1 shows the frame.
    entry: AtomicU64,
    /// The frame is somebody else's.
    reused: AtomicBool,
    /// Interrupts on their way, a bit a CPU.
    interrupts: AtomicU64,
}

/// Another CPU, with the address space loaded: it uses the page whenever its TLB, or the page table, has it.
fn uses_the_page(cpu: u32, space: &Locked<Space>, processor: &Processor) {
    let mut tlb = None;
    let access = |tlb: &mut Option<u64>| {
        let entry = *tlb.get_or_insert_with(|| processor.entry.load(Relaxed));
        assert!(entry == 0 || !processor.reused.load(Relaxed), "a stale translation is used");
        if entry == 0 {
            // What is not present is not remembered.
            *tlb = None;
        }
    };
    access(&mut tlb);
    // An interrupt comes, or a system call, or neither.
    if processor.interrupts.load(Relaxed) >> cpu & 1 != 0 {
        let _ = space.enter(true, |space| {
            if space.requests.pending.get() >> cpu & 1 != 0 {
                tlb = None;
                space.requests.acknowledge(cpu as usize);
            }
        });
    }
    access(&mut tlb);
    // It goes to another address space, which flushes.
    let _ = space.enter(false, |space| leave(cpu, space));
}

fn leave(cpu: u32, space: &mut Space) {
    space.loaded &= !(1 << cpu);
    if space.requests.pending.get() >> cpu & 1 != 0 {
        space.requests.acknowledge(cpu as usize);
    }
}

#[test]
fn a_frame_is_reused_when_no_tlb_has_it() {
    explore(|| {
        let space = Arc::new(Locked::new(Space { requests: Requests::new(), loaded: 0b11 }));
        let processor = Arc::new(Processor {
            entry: AtomicU64::new(1),
            reused: AtomicBool::new(false),
            interrupts: AtomicU64::new(0),
        });
        let (others, its) = (space.clone(), processor.clone());
        let other = thread::spawn(move || uses_the_page(1, &others, &its));
        let ticket = space.enter(false, |space| {
            processor.entry.store(0, Relaxed);
            let ticket = space.requests.announce(space.loaded & !1);
            processor.interrupts.fetch_or(space.requests.kicks.take(), Relaxed);
            ticket
        });
        let is_done = |space: &mut Space| ticket.is_some_and(|ticket| space.requests.is_done(ticket));
        for _ in 0..2 {
            if space.enter(false, is_done) == Some(true) {
                processor.reused.store(true, Relaxed);
            }
        }
        other.join().expect("no panic");
        // It leaves at the latest now.
        let _ = space.enter(false, |space| leave(1, space));
        assert!(ticket.is_none() || space.enter(false, is_done) == Some(true), "a request that nobody answers");
    });
}

/// A word of each CPU's stack.
struct Stacks([UnsafeCell<u32>; 3]);

// SAFETY: each is used by the CPU with its index, and read once that has arrived; loom reports where it is not.
unsafe impl Sync for Stacks {}
// SAFETY: as above.
unsafe impl Send for Stacks {}

#[test]
fn cpus_that_start_have_stacks_of_their_own() {
    explore(|| {
        let tickets = Arc::new(tickets::Tickets::new());
        let stacks = Arc::new(Stacks(core::array::from_fn(|_| UnsafeCell::new(0))));
        tickets.offer(3);
        let threads = [0, 1].map(|_| {
            let (tickets, stacks) = (tickets.clone(), stacks.clone());
            thread::spawn(move || {
                let Some(index) = tickets.take() else { return false };
                // SAFETY: the stack of this index is this CPU's alone; loom reports where it is not.
                stacks.0[index as usize].with_mut(|stack| unsafe { *stack = index });
                tickets.arrive();
                true
            })
        });
        // Who waits loses patience at any moment.
        let taken = tickets.close(3);
        if tickets.have_arrived(taken) {
            for index in 1..taken {
                // SAFETY: that CPU has set up what it needs; loom reports where that is not seen.
                assert_eq!(stacks.0[index as usize].with(|stack| unsafe { *stack }), index);
            }
        }
        let started = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        assert_eq!(started.filter(|started| *started).count() as u32 + 1, taken);
        assert!(tickets.have_arrived(taken));
    });
}

/// The newest record that a reader finds, as `libsys::log` reads: its time and text.
fn read<const WORDS: usize>(ring: &log_ring::LogRing<WORDS>) -> Option<(u64, u64)> {
    let (head, oldest) = (ring.head.load(Acquire), ring.oldest.load(Relaxed));
    head.checked_sub(oldest).filter(|held| (1..=WORDS as u64 * 8).contains(held))?;
    let record = (ring.word(oldest).load(Relaxed), ring.word(oldest + 8).load(Relaxed));
    let text = ring.word(oldest + LOG_RECORD_HEADER).load(Relaxed);
    // The copy counts if the writer did not begin to write over it meanwhile.
    fence(SeqCst);
    let is_whole = ring.oldest.load(Relaxed) <= oldest && record.1 >> 16 & 0xff != u64::from(LOG_SKIP);
    is_whole.then_some((record.0, text))
}

#[test]
fn a_reader_of_the_log_sees_whole_records() {
    explore(|| {
        // Two records fit, and a word.
        let ring = Arc::new(log_ring::LogRing::<8>::new());
        ring.put(1, 6, &[1; 8]);
        let written = ring.clone();
        let writer = thread::spawn(move || {
            written.put(2, 6, &[2; 8]);
            written.put(3, 6, &[3; 8]);
        });
        if let Some((time, text)) = read(&ring) {
            assert_eq!(text, u64::from_le_bytes([time as u8; 8]), "a torn record");
        }
        writer.join().expect("no panic");
        assert!(read(&ring).is_some());
    });
}

/// The hand-over to an idle CPU: it looks for work under the lock, gives the lock up with interrupts off, and waits for one.
#[test]
fn a_cpu_that_goes_idle_misses_no_wake_up() {
    explore(|| {
        let work = Arc::new(loom::sync::Mutex::new(false));
        // The line: an interrupt that comes with interrupts off is pending, and ends the wait at once.
        let interrupts = Arc::new((loom::sync::Mutex::new(false), loom::sync::Condvar::new()));
        let (queue, line) = (work.clone(), interrupts.clone());
        let idle = thread::spawn(move || {
            while !core::mem::take(&mut *queue.lock().expect("no panic")) {
                let mut pending = line.0.lock().expect("no panic");
                while !core::mem::take(&mut *pending) {
                    pending = line.1.wait(pending).expect("no panic");
                }
            }
        });
        let mut has_work = work.lock().expect("no panic");
        *has_work = true;
        *interrupts.0.lock().expect("no panic") = true;
        interrupts.1.notify_one();
        drop(has_work);
        idle.join().expect("no panic");
    });
}
