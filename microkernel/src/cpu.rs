//! What the kernel keeps for each CPU.

use crate::arch::CpuLocal;
use crate::object::{Object, Peer, Process, Ref, Slot, Thread, thread::InFair, thread::InQueue};
use crate::{Kernel, List, Tree};
use abi::schedule::MAX_PRIORITY;
use core::cell::Cell;

/// Reasons why a CPU has to look up from its thread: a bit set, tested at each entry of the kernel.
pub mod attention {
    /// A thread of higher rank is ready here, or the slice is over.
    pub const RESCHEDULE: u32 = 1;
    /// The running thread's process died.
    pub const STOP: u32 = 2;
    /// The address space that is loaded is a dead one's: it has to be left.
    pub const LEAVE: u32 = 4;
    /// The timer has to be set anew.
    pub const TIMER: u32 = 8;
    /// The running thread may not run here any more.
    pub const MOVE: u32 = 16;
}

/// Threads that are ready on a CPU.
pub struct RunQueue {
    /// By real-time priority; index 0 is unused.
    real_time: [List<Thread, InQueue>; MAX_PRIORITY as usize + 1],
    /// Bit n: `real_time[n]` has members.
    occupied: Cell<u64>,
    /// Fair threads by virtual time.
    fair: Tree<Thread, InFair>,
    /// A fair thread that the running one has woken: it is next when that one waits, on what is left of the slice.
    pub buddy: Slot<Thread>,
    /// Virtual time that has passed: threads that wake start from here.
    pub virtual_now: Cell<u64>,
}

impl RunQueue {
    const fn new() -> RunQueue {
        RunQueue {
            real_time: [const { List::new() }; MAX_PRIORITY as usize + 1],
            occupied: Cell::new(0),
            fair: Tree::new(),
            buddy: Slot::empty(),
            virtual_now: Cell::new(0),
        }
    }

    /// Puts a ready thread in: `first` among its equals, for one that was interrupted.
    pub fn insert(&self, thread: &Object<Thread>, first: bool) {
        let rank = thread.rank.get() as usize;
        if rank == 0 {
            self.fair.insert(thread.to_ref(), thread.virtual_time.get());
            return;
        }
        if first {
            self.real_time[rank].push_front(thread.to_ref());
        } else {
            self.real_time[rank].push_back(thread.to_ref());
        }
        self.occupied.set(self.occupied.get() | 1 << rank);
    }

    /// Makes a fair thread that the running one has woken its buddy, where it has none yet. Returns whether it did. Its virtual time is looked
    /// at only when it has to wait for its turn after all.
    pub fn try_buddy(&self, thread: &Object<Thread>) -> bool {
        let is_free = !self.buddy.is_some();
        if is_free {
            self.buddy.fill(thread.to_ref());
        }
        is_free
    }

    /// Takes the buddy out, where nothing is before it.
    pub fn take_buddy(&self) -> Option<Ref<Thread>> {
        if self.occupied.get() == 0 { self.buddy.take() } else { None }
    }

    /// Takes a thread out. Returns whether it was in.
    pub fn remove(&self, thread: &Object<Thread>) -> bool {
        if self.buddy.holds(thread) {
            self.buddy.set(None);
            return true;
        }
        let rank = thread.rank.get() as usize;
        if rank == 0 {
            return self.fair.remove(thread).is_some();
        }
        let removed = self.real_time[rank].remove(thread).is_some();
        if self.real_time[rank].is_empty() {
            self.occupied.set(self.occupied.get() & !(1 << rank));
        }
        removed
    }

    /// Whether a ready thread is in it, as far as that can be told.
    #[cfg(test)]
    pub(crate) fn contains(&self, thread: &Object<Thread>) -> bool {
        match thread.rank.get() as usize {
            0 => thread.fair.linked.get() || self.buddy.holds(thread),
            rank => self.real_time[rank].contains(thread),
        }
    }

    /// The thread that should run first.
    pub fn best<'k>(&self, kernel: &'k Kernel) -> Option<&'k Object<Thread>> {
        match self.best_real_time() {
            0 => self.fair.first(kernel).or_else(|| self.buddy.get(kernel)),
            rank => self.real_time[rank as usize].front(kernel),
        }
    }

    /// The best thread that may run on a CPU.
    pub fn best_for<'k>(&self, kernel: &'k Kernel, cpu: u32) -> Option<&'k Object<Thread>> {
        let allowed = |thread: &&Object<Thread>| thread.affinity.get() >> cpu & 1 != 0;
        let mut ranks = self.occupied.get();
        while ranks != 0 {
            let rank = ranks.ilog2();
            // A few of each rank are enough to look at: stealing need not be perfect.
            if let Some(thread) = self.real_time[rank as usize].iter(kernel).take(4).find(allowed) {
                return Some(thread);
            }
            ranks &= !(1 << rank);
        }
        let first = self.fair.first(kernel);
        core::iter::successors(first, |thread| self.fair.after(kernel, thread))
            .take(8)
            .find(allowed)
            .or_else(|| self.buddy.get(kernel).filter(allowed))
    }

    /// The highest real-time rank that is ready; 0 for none.
    pub fn best_real_time(&self) -> u8 {
        (self.occupied.get() | 1).ilog2() as u8
    }

    /// Whether a thread of a rank above `rank` is ready.
    pub fn has_above(&self, rank: u8) -> bool {
        (self.occupied.get() >> rank) >> 1 != 0
    }

    /// Whether somebody waits for a turn of a running thread of this rank.
    pub fn has_equal_or_above(&self, rank: u8) -> bool {
        self.occupied.get() >> rank & !((rank == 0) as u64) != 0
            || rank == 0 && (self.buddy.is_some() || !self.fair.is_empty())
    }

    /// The least virtual time that waits.
    pub fn least_virtual(&self, kernel: &Kernel) -> Option<u64> {
        self.fair.first(kernel).map(|thread| thread.virtual_time.get())
    }

    /// Ready threads.
    pub fn len(&self) -> u32 {
        let real_time: u32 = if self.occupied.get() == 0 { 0 } else { self.real_time.iter().map(List::len).sum() };
        real_time + self.fair.len() + self.buddy.is_some() as u32
    }

    /// Whether no thread is ready.
    pub fn is_empty(&self) -> bool {
        self.occupied.get() == 0 && self.fair.is_empty() && !self.buddy.is_some()
    }
}

/// A CPU. Its own entry code and, under the kernel lock, every CPU use it.
#[repr(C)]
pub struct Cpu {
    /// What the entry code knows. First: GS base points to it.
    pub arch: CpuLocal,
    /// The running thread.
    pub current: Slot<Thread>,
    /// See [`attention`].
    pub attention: Cell<u32>,
    /// Whether it is running, or halted and waiting for an interrupt.
    pub online: Cell<bool>,
    /// A thread that should run next, on what is left of the slice.
    pub handoff: Slot<Thread>,
    /// Ready threads.
    pub queue: RunQueue,
    /// The process whose address space is loaded. A dead one's is left before the process ends for good.
    pub loaded: Peer<Process>,
    /// The thread to whose virtual time the slice is charged.
    pub owner: Slot<Thread>,
    /// Time-stamp counter up to which that was done.
    pub charged_until: Cell<u64>,
    /// Time-stamp counter up to which time was counted, as a thread's or as idle.
    pub counted_until: Cell<u64>,
    /// End of the slice, in nanoseconds.
    pub slice_end: Cell<u64>,
    /// For when the timer is set; `u64::MAX`: for nothing.
    pub armed: Cell<u64>,
    /// Time-stamp counts for which it was idle.
    pub idle_time: Cell<u64>,
    /// What that was when it became idle last.
    pub idle_before: Cell<u64>,
    /// Switches between threads.
    pub switches: Cell<u64>,
    /// Interrupts taken.
    pub interrupts: Cell<u64>,
    /// Threads taken from other CPUs.
    pub stolen: Cell<u64>,
}

// SAFETY: all fields but `arch` are used only under the kernel lock; `arch` by its own CPU (see there).
unsafe impl Sync for Cpu {}

impl Cpu {
    /// A CPU that has not started.
    pub const fn new() -> Cpu {
        Cpu {
            arch: CpuLocal::new(),
            current: Slot::empty(),
            attention: Cell::new(0),
            online: Cell::new(false),
            handoff: Slot::empty(),
            queue: RunQueue::new(),
            loaded: Peer::none(),
            owner: Slot::empty(),
            charged_until: Cell::new(0),
            counted_until: Cell::new(0),
            slice_end: Cell::new(u64::MAX),
            armed: Cell::new(u64::MAX),
            idle_time: Cell::new(0),
            idle_before: Cell::new(0),
            switches: Cell::new(0),
            interrupts: Cell::new(0),
            stolen: Cell::new(0),
        }
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.arch.index.get()
    }

    /// Its bit in sets of CPUs.
    #[inline(always)]
    pub fn bit(&self) -> u64 {
        1 << self.index()
    }

    /// Whether no thread runs on it.
    pub fn is_idle(&self) -> bool {
        !self.current.is_some()
    }

    /// Asks it to look up.
    pub fn ask(&self, what: u32) {
        self.attention.set(self.attention.get() | what);
    }
}
