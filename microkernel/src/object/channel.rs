//! Channel: where calls and signals meet a server.

use super::{
    Account, Call, New, Object, ObjectType, Process, Ref, Session, SessionUse, Slot, Thread, Type, call,
    session::InChannel, session::InCloses, session::InDelivered, slab, thread::InFair, thread::InQueue,
};
use crate::{Kernel, Link, List, Node, Tree};
use core::cell::Cell;

/// Keys of callers with an order: replays, by arrival, are below this; calls of real-time rank, the highest first, from here on.
const REAL_TIME: u64 = 1 << 63;

/// A channel.
pub struct Channel {
    /// The process whose threads may receive. `None` once it is closed for good.
    pub server: Slot<Process>,
    /// Whether it is closed for good.
    pub closed: Cell<bool>,
    /// Threads that wait in receive. While there are some, no caller waits, but for a suspect.
    pub receivers: List<Thread, InQueue>,
    /// Replays, and callers of real-time rank.
    ordered: Tree<Thread, InFair>,
    fair: List<Thread, InQueue>,
    /// Signal bits that are set.
    pub signals: Cell<u64>,
    /// Sessions that are live, or have a close that is not acknowledged; by number.
    pub sessions: Tree<Session, InChannel>,
    /// Closes of sessions that wait to be delivered.
    pub closes: List<SessionUse, InCloses>,
    /// Closes that were delivered and not acknowledged.
    pub delivered_closes: Tree<SessionUse, InDelivered>,
    /// Kept calls whose caller waits.
    pub kept: List<Call, call::InChannel>,
    /// Kept calls whose caller left.
    pub withdrawn: List<Call, call::InChannel>,
    /// Its place among the channels of its server.
    pub(crate) served: Link<Channel>,
    all: Node<Channel>,
    /// Handles with the right to receive, those in flight included: with the last one it is closed for good.
    pub(crate) receive_handles: Cell<u32>,
    /// It is the one on which init has to receive in time.
    pub is_watched: Cell<bool>,
    /// Calls ever delivered.
    pub delivered: Cell<u64>,
}

impl Channel {
    /// Makes a channel for a server.
    ///
    /// # Errors
    /// `AccountExhausted`.
    pub fn create(kernel: &Kernel, account: &Object<Account>, server: &Object<Process>) -> New<Channel> {
        let new = Channel {
            server: Slot::with(server.to_ref()),
            closed: Cell::new(false),
            receivers: List::new(),
            ordered: Tree::new(),
            fair: List::new(),
            signals: Cell::new(0),
            sessions: Tree::new(),
            closes: List::new(),
            delivered_closes: Tree::new(),
            kept: List::new(),
            withdrawn: List::new(),
            served: Link::new(),
            all: Node::new(),
            receive_handles: Cell::new(0),
            is_watched: Cell::new(false),
            delivered: Cell::new(0),
        };
        let channel = slab::create(kernel, account, new)?;
        server.served.push_back(channel.clone());
        let number = channel.number();
        kernel.channels.insert(channel.clone(), number);
        Ok(channel)
    }

    /// Queues a caller: replays first, then real time by rank, then fair by arrival.
    pub fn enqueue(&self, caller: &Object<Thread>) {
        let (reference, rank) = (caller.to_ref(), caller.rank.get());
        if caller.was_delivered.get() {
            self.ordered.insert(reference, caller.arrived.get() & (REAL_TIME - 1));
        } else if rank > 0 {
            self.ordered.insert(reference, REAL_TIME | u64::from(u8::MAX - rank));
        } else {
            self.fair.push_back(reference);
        }
    }

    /// Takes a caller, which waits here, out of the queue.
    pub fn dequeue(&self, caller: &Object<Thread>) -> Option<Ref<Thread>> {
        self.ordered.remove(caller).or_else(|| self.fair.remove(caller))
    }

    /// Whether a caller is in the queue.
    #[cfg(test)]
    pub(crate) fn is_queued(&self, kernel: &Kernel, caller: &Object<Thread>) -> bool {
        self.ordered.from(kernel, 0).any(|one| one.is(caller)) || self.fair.contains(caller)
    }

    /// The caller whose turn it is.
    pub fn first_caller<'k>(&self, kernel: &'k Kernel) -> Option<&'k Object<Thread>> {
        self.ordered.first(kernel).or_else(|| self.fair.front(kernel))
    }

    /// Whether callers wait.
    pub fn has_callers(&self) -> bool {
        !(self.ordered.is_empty() && self.fair.is_empty())
    }

    /// Callers that wait.
    pub fn callers(&self) -> u32 {
        self.ordered.len() + self.fair.len()
    }

    /// The best rank of its waiting callers.
    pub fn best_rank(&self, kernel: &Kernel) -> u8 {
        // Of replays, a few are looked at.
        let replays = self.ordered.from(kernel, 0).take(4);
        let real_time = self.ordered.first_from(kernel, REAL_TIME);
        replays.chain(real_time).map(|caller| caller.rank.get()).max().unwrap_or(0)
    }

    /// Whether nothing at all waits to be received.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        let lists = self.closes.occupied() | self.withdrawn.occupied() | self.ordered.occupied() | self.fair.occupied();
        self.signals.get() | lists as u64 == 0
    }

    /// Nanoseconds for which it has had no living server, at `now`.
    pub fn downtime_at(&self, kernel: &Kernel, now: u64) -> u64 {
        self.server.get(kernel).map_or(0, |server| server.downtime_at(now))
    }

    /// The waiting callers, one after the other, each taken out.
    pub(crate) fn pop_caller(&self, kernel: &Kernel) -> Option<Ref<Thread>> {
        let first = self.first_caller(kernel)?;
        self.dequeue(first)
    }
}

impl Type for Channel {
    const TYPE: ObjectType = ObjectType::Channel;
}

crate::nodes! {
    /// Nodes of a channel among all.
    AllChannels: Channel, all;
}

crate::links! {
    /// Links of a channel among those of its server.
    Served: Channel, served;
}
