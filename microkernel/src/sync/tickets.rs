//! Which CPU is which, for those that start at once: each takes a ticket, which is its index and says which stacks are its own.

use super::platform::{AtomicU32, Ordering::*, constructor};

/// The tickets. The first fields are used by the code that a CPU starts with, which has no stack yet.
#[repr(C)]
pub struct Tickets {
    /// The next ticket.
    next: AtomicU32,
    /// There are stacks for tickets below.
    offered: AtomicU32,
    /// CPUs that run, the boot CPU included.
    running: AtomicU32,
}

impl Tickets {
    /// Where `next` is: a CPU takes a ticket by adding one to it.
    pub const NEXT: usize = core::mem::offset_of!(Tickets, next);
    /// Where `offered` is: a CPU whose ticket is not below halts.
    pub const OFFERED: usize = core::mem::offset_of!(Tickets, offered);

    constructor! {
        /// None but the boot CPU's.
        pub fn new() -> Tickets {
            Tickets { next: AtomicU32::new(1), offered: AtomicU32::new(1), running: AtomicU32::new(1) }
        }
    }

    /// Offers so many, the boot CPU's included.
    pub fn offer(&self, count: u32) {
        self.offered.store(count, Release);
    }

    /// Whether so many are taken.
    pub fn are_taken(&self, count: u32) -> bool {
        self.next.load(Acquire) >= count
    }

    /// Offers none any more. Gives how many of `count` are taken.
    pub fn close(&self, count: u32) -> u32 {
        self.next.swap(u32::MAX / 2, AcqRel).min(count)
    }

    /// A CPU with a ticket runs.
    pub fn arrive(&self) {
        self.running.fetch_add(1, Release);
    }

    /// Whether so many run.
    pub fn have_arrived(&self, count: u32) -> bool {
        self.running.load(Acquire) >= count
    }

    /// What a CPU does first, in Rust.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(super) fn take(&self) -> Option<u32> {
        let ticket = self.next.fetch_add(1, AcqRel);
        (ticket < self.offered.load(Acquire)).then_some(ticket)
    }
}
