//! Ranks passed along chains of calls, so that nobody waits for somebody of a lower rank.
//!
//! A current call lends its caller's rank to the thread that serves it ([`super::call`]); a queued call lends it
//! to the thread of the server that has been serving longest, and so on down that thread's own call.

use crate::object::{Channel, Object, Thread, thread::MAX_DEPTH, thread::State};
use crate::{Kernel, schedule};

/// A caller was queued on a channel.
pub fn queued(kernel: &Kernel, channel: &Object<Channel>, rank: u8) {
    if rank > 0 {
        queued_as(kernel, channel, rank);
    }
}

/// A caller waits on a channel with this rank.
fn queued_as(kernel: &Kernel, channel: &Object<Channel>, rank: u8) {
    let mut channel = Some(channel);
    // Each turn goes one call down; chains are that deep at most.
    for _ in 0..=MAX_DEPTH {
        let Some(here) = channel.take() else { return };
        let Some(server) = here.server.get(kernel).filter(|_| rank > 0) else { return };
        // Of those that serve nobody now, the one that will receive here.
        let serving_since = |thread: &Object<Thread>| match thread.current.get(kernel) {
            Some(client) => Some(client.call_since.get()),
            None => thread.serving.get(kernel).is_some_and(|serving| serving.is(here)).then_some(u64::MAX),
        };
        let longest = server
            .threads
            .iter(kernel)
            .filter(|thread| !matches!(thread.state.get(), State::New | State::Ended))
            .filter_map(|thread| Some((serving_since(thread)?, thread)))
            .min_by_key(|(since, _)| *since);
        let Some((_, thread)) = longest else { return };
        let Some(last) = raise_chain(kernel, thread, rank) else { return };
        channel = last.channel.get(kernel).filter(|_| last.state.get() == State::Queued);
    }
}

/// Finds out what rank a thread has by its own parameters, its current caller and the callers of its channel, and passes it on to
/// those that serve it: after one of these has changed.
pub fn renew(kernel: &Kernel, thread: &Object<Thread>) {
    let mut next = Some(thread);
    for _ in 0..=MAX_DEPTH {
        let Some(thread) = next else { return };
        let caller = thread.current.get(kernel).map_or(0, |caller| caller.rank.get());
        let serving = thread.serving.get(kernel).filter(|channel| channel.has_callers());
        let queued = serving.map_or(0, |channel| channel.best_rank(kernel));
        let rank = thread.base_rank().max(caller).max(queued);
        if thread.rank.get() == rank {
            return;
        }
        schedule::set_rank(kernel, thread, rank);
        if let (State::Queued, Some(channel)) = (thread.state.get(), thread.channel.get(kernel)) {
            return queued_as(kernel, channel, rank);
        }
        next = thread.server.get(kernel);
    }
}

/// Raises a thread, and the threads that serve its call, to a rank. Returns the last one; `None` where a thread
/// had that rank already.
fn raise_chain<'k>(kernel: &'k Kernel, thread: &'k Object<Thread>, rank: u8) -> Option<&'k Object<Thread>> {
    let mut thread = thread;
    for _ in 0..=MAX_DEPTH {
        if thread.rank.get() >= rank {
            return None;
        }
        schedule::set_rank(kernel, thread, rank);
        match thread.server.get(kernel) {
            Some(server) => thread = server,
            None => break,
        }
    }
    Some(thread)
}
