//! Channel: where calls and signals meet a server.

use super::account::Account;
use super::call::{Call, InWithdrawn};
use super::process::Process;
use super::reference::{Object, ObjectType, Ref, Slot, Type};
use super::session::{InChannel, InCloses, Session, SessionUse};
use super::slab;
use super::thread::{InQueue, Thread};
use crate::arch::clock;
use crate::kernel::Kernel;
use crate::list::{Link, List};
use abi::Error;
use core::cell::Cell;

/// Calls of real-time rank are queued before these; replays before both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Replay,
    RealTime,
    Fair,
}

/// A channel.
pub struct Channel {
    /// The process whose threads may receive. `None` once it is closed for good.
    pub server: Slot<Process>,
    closed: Cell<bool>,
    /// Threads that wait in receive. While there are some, no caller waits, but for a suspect.
    pub receivers: List<Thread, InQueue>,
    replays: List<Thread, InQueue>,
    real_time: List<Thread, InQueue>,
    fair: List<Thread, InQueue>,
    /// Signal bits that are set.
    pub signals: Cell<u64>,
    /// Live sessions.
    pub sessions: List<Session, InChannel>,
    /// Closes of sessions that wait to be delivered.
    pub closes: List<SessionUse, InCloses>,
    /// Closes that were delivered and not acknowledged.
    pub delivered_closes: List<SessionUse, InCloses>,
    /// Kept calls whose caller left.
    pub withdrawn: List<Call, InWithdrawn>,
    /// Its place among the channels of its server.
    pub(crate) served: Link<Channel>,
    /// Handles with the right to receive, those in flight included: with the last one it is closed for good.
    pub(crate) receive_handles: Cell<u32>,
    /// It is the one on which init has to receive in time.
    pub is_watched: Cell<bool>,
    /// Calls ever delivered.
    pub delivered: Cell<u64>,
    /// Time without a server up to now, in nanoseconds; see [`Channel::downtime_at`].
    downtime: Cell<u64>,
    down_since: Cell<Option<u64>>,
}

impl Channel {
    /// Makes a channel for a server.
    ///
    /// # Errors
    /// `AccountExhausted`.
    pub fn create(kernel: &Kernel, account: &Object<Account>, server: &Object<Process>) -> Result<Ref<Channel>, Error> {
        let channel = slab::create(
            kernel,
            account,
            Channel {
                server: Slot::with(server.to_ref()),
                closed: Cell::new(false),
                receivers: List::new(),
                replays: List::new(),
                real_time: List::new(),
                fair: List::new(),
                signals: Cell::new(0),
                sessions: List::new(),
                closes: List::new(),
                delivered_closes: List::new(),
                withdrawn: List::new(),
                served: Link::new(),
                receive_handles: Cell::new(0),
                is_watched: Cell::new(false),
                delivered: Cell::new(0),
                downtime: Cell::new(0),
                down_since: Cell::new(None),
            },
        )?;
        if !server.is_running() {
            channel.down(clock::now());
        }
        server.served.push_back(channel.clone());
        Ok(channel)
    }

    /// Whether it is closed for good.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(crate) fn set_closed(&self) {
        self.closed.set(true);
    }

    fn lane_of(thread: &Thread) -> Lane {
        if thread.was_delivered.get() {
            Lane::Replay
        } else if thread.rank.get() > 0 {
            Lane::RealTime
        } else {
            Lane::Fair
        }
    }

    /// Queues a caller: replays first, then real time by rank, then fair by arrival.
    pub fn enqueue(&self, kernel: &Kernel, caller: &Object<Thread>) {
        let reference = caller.to_ref();
        match Channel::lane_of(caller) {
            Lane::Fair => self.fair.push_back(reference),
            Lane::RealTime => {
                let rank = caller.rank.get();
                let next = self.real_time.iter(kernel).find(|other| other.rank.get() < rank);
                self.real_time.insert_before(reference, next);
            }
            Lane::Replay => {
                let order = caller.arrived.get();
                let next = self.replays.iter(kernel).find(|other| other.arrived.get() > order);
                self.replays.insert_before(reference, next);
            }
        }
    }

    /// Takes a caller out of the queue; `None` where it is not in it.
    pub fn dequeue(&self, caller: &Object<Thread>) -> Option<Ref<Thread>> {
        self.replays.remove(caller).or_else(|| self.real_time.remove(caller)).or_else(|| self.fair.remove(caller))
    }

    /// Whether a caller is in the queue.
    #[cfg(test)]
    pub(crate) fn is_queued(&self, caller: &Object<Thread>) -> bool {
        self.replays.contains(caller) || self.real_time.contains(caller) || self.fair.contains(caller)
    }

    /// The caller whose turn it is.
    #[inline]
    pub fn first_caller<'k>(&self, kernel: &'k Kernel) -> Option<&'k Object<Thread>> {
        self.replays.front(kernel).or_else(|| self.real_time.front(kernel)).or_else(|| self.fair.front(kernel))
    }

    /// Whether callers wait.
    #[inline]
    pub fn has_callers(&self) -> bool {
        !(self.replays.is_empty() && self.real_time.is_empty() && self.fair.is_empty())
    }

    /// Callers that wait.
    pub fn callers(&self) -> u32 {
        self.replays.len() + self.real_time.len() + self.fair.len()
    }

    /// The best rank of its waiting callers.
    #[inline]
    pub fn best_rank(&self, kernel: &Kernel) -> u8 {
        let real_time = self.real_time.front(kernel).map_or(0, |first| first.rank.get());
        self.replays.iter(kernel).take(4).map(|caller| caller.rank.get()).fold(real_time, u8::max)
    }

    /// Whether anything but calls waits to be received.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.signals.get() != 0 || !self.closes.is_empty() || !self.withdrawn.is_empty()
    }

    /// Whether nothing at all waits to be received.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        let lists = self.closes.occupied()
            | self.withdrawn.occupied()
            | self.replays.occupied()
            | self.real_time.occupied()
            | self.fair.occupied();
        self.signals.get() | lists as u64 == 0
    }

    /// Nanoseconds for which it has had no living server, at `now`.
    pub fn downtime_at(&self, now: u64) -> u64 {
        self.downtime.get() + self.down_since.get().map_or(0, |since| now.saturating_sub(since))
    }

    /// Its server died, at `now`.
    pub(crate) fn down(&self, now: u64) {
        if self.down_since.get().is_none() {
            self.down_since.set(Some(now));
        }
    }

    /// Its server's next incarnation runs, at `now`.
    pub(crate) fn up(&self, now: u64) {
        self.downtime.set(self.downtime_at(now));
        self.down_since.set(None);
    }

    /// The waiting callers, one after the other, each taken out.
    pub(crate) fn pop_caller(&self, kernel: &Kernel) -> Option<Ref<Thread>> {
        let first = self.first_caller(kernel)?;
        self.dequeue(first)
    }
}

impl Type for Channel {
    const TYPE: ObjectType = ObjectType::Channel;

    fn finalize(&self, _kernel: &Kernel) {}
}

crate::links! {
    /// Links of a channel among those of its server.
    Served: Channel, served;
}
