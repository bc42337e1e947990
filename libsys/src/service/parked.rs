//! Calls that wait for an event, in order of arrival.

use super::{Kept, Reply};
use crate::{Error, Handle};
use alloc::collections::VecDeque;

/// A queue of parked calls. Each entry may carry what the server needs to know about it.
#[derive(Debug)]
pub struct Parked<T, N = ()> {
    calls: VecDeque<(Kept<T>, N)>,
}

impl<T, N> Default for Parked<T, N> {
    fn default() -> Self {
        Parked { calls: VecDeque::new() }
    }
}

impl<T, N> Parked<T, N> {
    /// An empty queue.
    pub const fn new() -> Self {
        Parked { calls: VecDeque::new() }
    }

    /// Keeps the call that `reply` answers, parked, at the end of the queue. Errors: `NoSlot`, `AccountExhausted`; the
    /// call is then let go.
    pub fn park(&mut self, reply: Reply<'_, T>, note: N) -> Result<(), Error> {
        let call = reply.keep()?;
        call.park()?;
        self.calls.push_back((call, note));
        Ok(())
    }

    /// Takes the call that waits longest out of the queue.
    pub fn pop(&mut self) -> Option<(Kept<T>, N)> {
        self.calls.pop_front()
    }

    /// What was noted with the call that waits longest.
    pub fn first(&self) -> Option<&N> {
        self.calls.front().map(|(_, note)| note)
    }

    /// Lets go of a call whose caller is gone: see [`super::Server::withdrawn`]. Whether it was in this queue.
    pub fn withdraw(&mut self, call: Handle) -> bool {
        let before = self.calls.len();
        self.calls.retain(|(kept, _)| !kept.is(call));
        self.calls.len() != before
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.calls.len()
    }
}
