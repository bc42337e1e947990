//! Requests to flush TLBs, and who has not answered them. All under the kernel lock: so page tables, requests and answers have one order.

use core::cell::Cell;

/// Most CPUs: sets of them are words.
pub const CPUS: usize = 64;

/// A request. Later requests have greater tickets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// Nothing to wait for.
    pub const DONE: Ticket = Ticket(0);
}

/// Who has to flush.
pub struct Requests {
    last: Cell<Ticket>,
    /// CPUs that have to flush, as a bit set.
    pub pending: Cell<u64>,
    /// Of these, the ones to which no interrupt was sent yet. They are taken before the kernel lock is given up.
    pub kicks: Cell<u64>,
    /// For each pending CPU, the first request that it has not answered.
    oldest: [Cell<Ticket>; CPUS],
    /// Every ticket below is done.
    frontier: Cell<Ticket>,
}

impl Requests {
    /// Nobody has to flush.
    pub const fn new() -> Requests {
        Requests {
            last: Cell::new(Ticket::DONE),
            pending: Cell::new(0),
            kicks: Cell::new(0),
            oldest: [const { Cell::new(Ticket::DONE) }; CPUS],
            frontier: Cell::new(Ticket(u64::MAX)),
        }
    }

    /// Whether a request is answered by all.
    pub fn is_done(&self, ticket: Ticket) -> bool {
        ticket < self.frontier.get()
    }

    /// Asks a set of CPUs to flush. Page tables are changed under the same hold of the lock, before or after.
    pub fn announce(&self, cpus: u64) -> Ticket {
        if cpus == 0 {
            return Ticket::DONE;
        }
        let ticket = Ticket(self.last.get().0 + 1);
        self.last.set(ticket);
        let fresh = cpus & !self.pending.get();
        let mut rest = fresh;
        while rest != 0 {
            self.oldest[rest.trailing_zeros() as usize].set(ticket);
            rest &= rest - 1;
        }
        self.pending.set(self.pending.get() | fresh);
        self.kicks.set(self.kicks.get() | fresh);
        self.frontier.set(self.frontier.get().min(ticket));
        ticket
    }

    /// A CPU has flushed everything. Returns whether tickets have become done.
    pub fn acknowledge(&self, cpu: usize) -> bool {
        let pending = self.pending.get() & !(1 << cpu);
        self.pending.set(pending);
        self.kicks.set(self.kicks.get() & pending);
        let mut frontier = Ticket(u64::MAX);
        let mut rest = pending;
        while rest != 0 {
            frontier = frontier.min(self.oldest[rest.trailing_zeros() as usize].get());
            rest &= rest - 1;
        }
        frontier > self.frontier.replace(frontier)
    }
}
