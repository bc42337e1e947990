//! Calls that end without a reply, and channels that close for good.

use super::{inherit, receive, reply};
use crate::object::{Call, Channel, Object, Ref, Thread, process::orphan_key, thread::State};
use crate::{Kernel, death, schedule, timer};
use abi::{Class, Error, Header};

/// Callers, calls and sessions that are told of a close in one step.
const CLOSE_BATCH: usize = 16;

/// Lets go of what a call held: its handles, slots and deadline. The caller is in no queue.
pub fn release(kernel: &Kernel, client: &Object<Thread>) {
    if client.request.get().handles() > 0 {
        client.sent.drop_all(kernel);
    }
    let reserved = client.reserved.take() as u32;
    if reserved > 0 {
        client.process.handles.unreserve(&client.process.account, reserved);
    }
    timer::clear(kernel, client);
    client.channel.set(None);
    // The next call is no suspect.
    client.faults.set(0);
    client.hangs.set(0);
}

/// Ends a call with a status. The caller is in no queue, and no server has it.
pub fn finish(kernel: &Kernel, client: &Object<Thread>, status: u64) {
    release(kernel, client);
    client.set_status(status);
    schedule::make_ready(kernel, client);
}

/// The caller of a kept call has left: the server is told.
pub(super) fn withdraw(kernel: &Kernel, call: Ref<Call>) {
    let channel = call.channel.get(kernel);
    if !channel.closed.get() {
        channel.withdrawn.push_back(call.clone());
        receive::wake_receiver(kernel, channel);
    }
}

/// Takes a caller out of its call, wherever that is. What a server still does for it becomes an orphan. Returns how the call
/// ended; the caller is in no queue then, and has still to be released.
pub fn leave(kernel: &Kernel, client: &Object<Thread>) -> Error {
    match client.state.get() {
        State::Queued => {
            if let Some(channel) = client.channel.get(kernel) {
                channel.dequeue(client);
            }
            if client.was_delivered.get() { Error::Unknown } else { Error::NotStarted }
        }
        State::Current => {
            if let Some(server) = client.server.get(kernel) {
                client.leave_fast_path(kernel);
                client.server.clear();
                server.current.set(None);
                server.orphan.set(Some(client.process.clone()));
                client.process.orphan_threads.insert(server.to_ref(), orphan_key(client));
                inherit::renew(kernel, server);
                reply::not_alone(kernel, server.process.get(kernel), client);
            }
            Error::Unknown
        }
        State::Kept => {
            let Some(call) = client.kept.take() else { return Error::Unknown };
            call.client.set(None);
            call.channel.kept.remove(&call);
            let parked = call.parked.get();
            if !parked {
                call.orphan.set(Some(client.process.clone()));
                client.process.orphan_calls.insert(call.clone(), orphan_key(client));
                call.server.kept.remove(&call);
                call.server.kept_orphans.insert(call.clone(), orphan_key(client));
                reply::not_alone(kernel, call.server.get(kernel), client);
            }
            withdraw(kernel, call);
            if parked { Error::NotStarted } else { Error::Unknown }
        }
        state => unreachable!("no call in state {state:?}"),
    }
}

/// Ends a thread's call or receive early.
///
/// # Errors
/// `BadState`: it waits for neither.
pub fn cancel(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    match thread.state.get() {
        State::Receiving => stop_receiving(kernel, thread, Error::TimedOut),
        _ if thread.is_calling() => {
            let error = leave(kernel, thread);
            finish(kernel, thread, error as u64);
        }
        _ => return Err(Error::BadState),
    }
    Ok(())
}

/// Ends a receive.
pub(super) fn stop_receiving(kernel: &Kernel, thread: &Object<Thread>, error: Error) {
    if let Some(channel) = thread.serving.take() {
        channel.receivers.remove(thread);
    }
    timer::clear(kernel, thread);
    thread.set_status(error as u64);
    schedule::make_ready(kernel, thread);
}

/// A deadline has passed: of what a thread waits for now, or of an earlier receive.
pub fn expire(kernel: &Kernel, thread: &Object<Thread>, deadline: u64, now: u64) {
    let waits = if thread.is_calling() { thread.request.get() } else { Header(thread.context.frame.rsi.get()) };
    if !waits.has_deadline() {
        return;
    }
    if thread.is_calling() {
        let downtime = super::call::chain_downtime(kernel, thread, now);
        let more = downtime.saturating_sub(thread.downtime_added.get());
        if more > 0 {
            thread.downtime_added.set(downtime);
            timer::set(kernel, thread, (deadline + more).max(now + timer::SHORTEST));
            return;
        }
    }
    let _ = cancel(kernel, thread);
}

/// A server died that had received a client's call: the call goes back to the queue, or ends. The client is linked to nobody.
pub fn server_died(kernel: &Kernel, channel: &Object<Channel>, client: &Object<Thread>, parked: bool) {
    let replays = matches!(client.request.get().class(), Some(Class::Replay | Class::Once));
    let error = match channel.closed.get() {
        false if parked || replays => return queue_again(channel, client, parked),
        true if parked => Error::Closed,
        true if replays => Error::Unknown,
        _ => Error::PeerDied,
    };
    finish(kernel, client, error as u64);
}

/// A call that was received goes back to the queue, at its head.
pub(super) fn queue_again(channel: &Object<Channel>, client: &Object<Thread>, parked: bool) {
    client.state.set(State::Queued);
    channel.enqueue(client);
    if parked {
        // It keeps its place among those to be given out again, but nothing was done for it.
        client.was_delivered.set(false);
    }
}

/// Closes a channel for good: nobody calls or receives any more. Its callers are told in [steps](close_step) of its server's.
pub fn close_channel(kernel: &Kernel, channel: &Object<Channel>) {
    let Some(server) = channel.server.take() else { return };
    channel.closed.set(true);
    // So that the fast path finds it not quiet.
    channel.signals.set(u64::MAX);
    kernel.channels.remove(channel);
    while let Some(receiver) = channel.receivers.front(kernel) {
        stop_receiving(kernel, receiver, Error::Closed);
    }
    if let Some(closed) = server.served.remove(channel) {
        server.closing.push_back(closed);
        death::progress(kernel, server.get(kernel));
    }
}

/// Tells some callers of a closed channel. Kept calls end: parked ones with `Closed`, as nothing was done for them; current ones are answered
/// still. Nobody is told of closed sessions any more. Returns whether that was all.
pub(crate) fn close_step(kernel: &Kernel, channel: &Object<Channel>) -> bool {
    for _ in 0..CLOSE_BATCH {
        if let Some(call) = channel.kept.front(kernel) {
            let error = if call.parked.get() { Error::Closed } else { Error::Unknown };
            let client = call.client.get(kernel).expect("a kept call of the channel has a caller");
            leave(kernel, client);
            finish(kernel, client, error as u64);
        } else if let Some(caller) = channel.pop_caller(kernel) {
            let error = if caller.was_delivered.get() { Error::Unknown } else { Error::Closed };
            finish(kernel, caller.get(kernel), error as u64);
        } else if let Some(close) = channel.closes.front(kernel).or_else(|| channel.delivered_closes.first(kernel)) {
            close.forget();
        } else if let Some(session) = channel.sessions.pop_first() {
            session.forget_closing();
        } else if channel.withdrawn.pop_front().is_none() {
            return true;
        }
    }
    false
}
