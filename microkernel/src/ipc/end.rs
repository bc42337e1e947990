//! Calls that end without a reply, and channels that close for good.

use super::{inherit, receive, reply};
use crate::kernel::Kernel;
use crate::object::thread::State;
use crate::object::{Channel, Object, Process, Thread};
use crate::{schedule, timer};
use abi::{Class, Error};

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
                server.orphan_since.set(client.arrived.get());
                client.process.orphan_threads.push_back(server.to_ref());
                inherit::renew(kernel, server);
                reply::not_alone(kernel, server.process.get(kernel), client);
            }
            Error::Unknown
        }
        State::Kept => {
            let Some(call) = client.kept.take() else { return Error::Unknown };
            call.client.set(None);
            let parked = call.parked.get();
            if !parked {
                call.orphan.set(Some(client.process.clone()));
                call.orphan_since.set(client.arrived.get());
                client.process.orphan_calls.push_back(call.clone());
                reply::not_alone(kernel, call.server.get(kernel), client);
            }
            if !call.channel.is_closed() {
                call.channel.withdrawn.push_back(call.clone());
                receive::wake_receiver(kernel, call.channel.get(kernel));
            }
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

/// A deadline has passed.
pub fn expire(kernel: &Kernel, thread: &Object<Thread>, deadline: u64, now: u64) {
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
    let class = client.request.get().class();
    if channel.is_closed() {
        let error = match class {
            _ if parked => Error::Closed,
            Some(Class::Replay | Class::Once) => Error::Unknown,
            _ => Error::PeerDied,
        };
        finish(kernel, client, error as u64);
    } else if parked || matches!(class, Some(Class::Replay | Class::Once)) {
        client.state.set(State::Queued);
        channel.enqueue(kernel, client);
        if parked {
            // It keeps its place among those to be given out again, but nothing was done for it.
            client.was_delivered.set(false);
        }
    } else {
        finish(kernel, client, Error::PeerDied as u64);
    }
}

/// Closes a channel for good: callers and receivers get `Closed`, and nobody is told of closes any more.
pub fn close_channel(kernel: &Kernel, channel: &Object<Channel>) {
    if channel.is_closed() {
        return;
    }
    channel.set_closed();
    // So that the fast path finds it not quiet.
    channel.signals.set(u64::MAX);
    if let Some(server) = channel.server.take() {
        end_kept_calls(kernel, channel, server.get(kernel));
        server.served.remove(channel);
    }
    while let Some(caller) = channel.pop_caller(kernel) {
        let error = if caller.was_delivered.get() { Error::Unknown } else { Error::Closed };
        finish(kernel, caller.get(kernel), error as u64);
    }
    while let Some(receiver) = channel.receivers.front(kernel) {
        stop_receiving(kernel, receiver, Error::Closed);
    }
    while let Some(close) = channel.closes.front(kernel).or_else(|| channel.delivered_closes.front(kernel)) {
        close.forget();
    }
    while channel.withdrawn.pop_front().is_some() {}
    while let Some(session) = channel.sessions.pop_front() {
        session.forget_closing();
    }
}

/// Calls that a server keeps, and received by a channel that closes, end: parked ones with `Closed`, as nothing was done for them. Current ones
/// are answered still.
fn end_kept_calls(kernel: &Kernel, channel: &Object<Channel>, server: &Object<Process>) {
    let mut next = server.kept.front(kernel);
    while let Some(call) = next {
        next = server.kept.after(kernel, call);
        if let Some(client) = call.client.get(kernel).filter(|_| call.channel.is(channel)) {
            let error = if call.parked.get() { Error::Closed } else { Error::Unknown };
            leave(kernel, client);
            finish(kernel, client, error as u64);
        }
    }
}
