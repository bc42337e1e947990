//! Calls that end without a reply, and channels that close for good.

use super::{receive, reply};
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
                client.server.clear();
                server.current.set(None);
                become_orphan(client);
                server.orphan.set(Some(client.process.clone()));
                server.rank.set(server.base_rank());
            }
            Error::Unknown
        }
        State::Kept => {
            let Some(call) = client.kept.take() else { return Error::Unknown };
            call.client.set(None);
            let parked = call.parked.get();
            if !parked {
                become_orphan(client);
                call.orphan.set(Some(client.process.clone()));
            }
            call.channel.withdrawn.push_back(call.clone());
            receive::wake_receiver(kernel, call.channel.get(kernel));
            if parked { Error::NotStarted } else { Error::Unknown }
        }
        state => unreachable!("no call in state {state:?}"),
    }
}

fn become_orphan(client: &Object<Thread>) {
    client.process.orphans.set(client.process.orphans.get() + 1);
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
fn stop_receiving(kernel: &Kernel, thread: &Object<Thread>, error: Error) {
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
        let more = downtime.saturating_sub(thread.downtime_seen.get());
        if more > 0 {
            thread.downtime_seen.set(downtime);
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
        finish(kernel, client, Error::Closed as u64);
    } else if parked || matches!(class, Some(Class::Replay | Class::Once)) {
        client.state.set(State::Queued);
        channel.enqueue(kernel, client);
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
    if let Some(server) = channel.server.take() {
        end_received_calls(kernel, channel, server.get(kernel));
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
    while channel.sessions.pop_front().is_some() {}
}

/// Calls that a living server has received by a channel that closes, and those that a dead one keeps, end with `Closed`.
fn end_received_calls(kernel: &Kernel, channel: &Object<Channel>, server: &Object<Process>) {
    let mut next = server.kept.front(kernel);
    while let Some(call) = next {
        next = server.kept.after(kernel, call);
        if call.channel.is(channel) && call.client.is_some() {
            reply::give_up_kept(kernel, call, Error::Closed);
        }
    }
}
