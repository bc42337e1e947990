//! Ranks passed along chains of calls, so that nobody waits for somebody of a lower rank.
//!
//! A current call lends its caller's rank to the thread that serves it ([`super::call`]); a queued call lends it
//! to the thread of the server that has been serving longest, and so on down that thread's own call.

use crate::kernel::Kernel;
use crate::object::thread::{MAX_DEPTH, State};
use crate::object::{Channel, Object, Thread};
use crate::schedule;

/// A caller of this rank was queued on a channel.
pub fn queued(kernel: &Kernel, channel: &Object<Channel>, rank: u8) {
    let mut channel = Some(channel);
    // Each turn goes one call down; chains are that deep at most.
    for _ in 0..=MAX_DEPTH {
        let Some(server) = channel.take().filter(|_| rank > 0).and_then(|channel| channel.server.get(kernel)) else {
            return;
        };
        let longest = server
            .threads
            .iter(kernel)
            .filter_map(|thread| Some((thread.current.get(kernel)?.call_since.get(), thread)))
            .min_by_key(|(since, _)| *since);
        let Some((_, thread)) = longest else { return };
        let Some(last) = raise_chain(kernel, thread, rank) else { return };
        channel = last.channel.get(kernel).filter(|_| last.state.get() == State::Queued);
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
