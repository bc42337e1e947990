//! A thread calls a server.

use super::{flight, inherit, receive};
use crate::arch::clock;
use crate::object::{Channel, Object, Process, SessionUse, Thread, thread::MAX_DEPTH, thread::State};
use crate::{Cpu, Kernel, schedule, timer};
use abi::message::HANDLES;
use abi::{Class, Error, Handle, Header, Rights};

/// The system call: decodes it, then delivers or queues the message.
///
/// # Errors
/// As [`abi::Syscall::Call`] says. Nothing is left behind then.
pub fn call(kernel: &Kernel, cpu: &Cpu, caller: &Object<Thread>) -> Result<(), Error> {
    let frame = &caller.context.frame;
    let process = caller.process.get(kernel);
    let header = Header(frame.rsi.get());
    let session: &Object<SessionUse> = process.handles.get(kernel, Handle(frame.rdi.get()), Rights::CALL)?;
    if !header.is_valid() {
        return Err(Error::BadMessage);
    }
    let channel = session.channel.get(kernel);
    if channel.closed.get() {
        return Err(Error::Closed);
    }
    let server = channel.server.get(kernel).ok_or(Error::Closed)?;
    // A suspect that waits although threads do has its turn first.
    let receiver_waits = !channel.receivers.is_empty() && !channel.has_callers() && may_deliver(kernel, server, caller);
    // Who waits for a process of its own chain waits for ever.
    let mut chain = core::iter::successors(Some(caller), |thread| thread.current.get(kernel));
    if caller.depth.get() >= MAX_DEPTH || !receiver_waits && chain.any(|thread| thread.process.is(server)) {
        return Err(Error::Deadlock);
    }
    let deadline = header.has_deadline().then(|| caller.call_page().deadline());
    if deadline.is_some_and(|deadline| !receiver_waits && deadline <= clock::now()) {
        return Err(Error::NotStarted);
    }
    take_handles(kernel, caller, header)?;
    let reply_handles = header.reply_handles() as u32;
    process.handles.reserve(kernel, &process.account, reply_handles).inspect_err(|_| caller.sent.drop_all(kernel))?;

    caller.reserved.set(reply_handles as u8);
    caller.is_fast.set(false);
    caller.request.set(header);
    caller.badge.set(session.badge);
    caller.channel.set(Some(channel.to_ref()));
    caller.faults.set(0);
    caller.hangs.set(0);
    caller.was_delivered.set(false);
    let now = clock::tsc();
    caller.call_since.set(now);
    caller.arrived.set(now);
    caller.downtime_seen.set(channel.downtime_at(kernel, clock::now()));
    caller.downtime_added.set(0);
    schedule::take_off_cpu(cpu, caller, State::Queued);
    if let Some(deadline) = deadline {
        timer::set(kernel, caller, deadline);
    }
    if receiver_waits {
        let receiver = channel.receivers.pop_front().expect("a receiver waits");
        if deliver(kernel, channel, caller, receiver.get(kernel)) {
            schedule::hand_over(kernel, cpu, receiver);
        } else {
            receive::wait_again(kernel, channel, receiver);
        }
    } else {
        channel.enqueue(caller);
        inherit::queued(kernel, channel, caller.rank.get());
    }
    Ok(())
}

/// Duplicates the handles that the call page names.
fn take_handles(kernel: &Kernel, caller: &Object<Thread>, header: Header) -> Result<(), Error> {
    if header.handles() == 0 {
        return Ok(());
    }
    let (process, handles) = (caller.process.get(kernel), caller.call_page().handles());
    for (index, handle) in handles.into_iter().take(header.handles()).enumerate() {
        let copy = flight::take_copy(kernel, process, handle, Rights::DUPLICATE, Rights::all(), u64::MAX);
        caller.sent.put(index, copy.inspect_err(|_| caller.sent.drop_all(kernel))?);
    }
    Ok(())
}

/// Whether a caller can be given to a server now: a suspect only when it is alone, and nothing beside one.
pub fn may_deliver(kernel: &Kernel, server: &Object<Process>, caller: &Thread) -> bool {
    let may = server.alone.get(kernel).is_none() && (!caller.is_suspect() || server.active_calls.get() == 0);
    if !may {
        server.has_suspect.set(true);
    }
    may
}

/// Downtime of all channels that a caller waits on, along its chain, since the calls were made, in nanoseconds.
pub fn chain_downtime(kernel: &Kernel, caller: &Object<Thread>, now: u64) -> u64 {
    let (mut sum, mut link) = (0, Some(caller));
    for _ in 0..=MAX_DEPTH {
        let Some(thread) = link.filter(|thread| thread.is_calling()) else { break };
        // A call that is on the fast path still has seen no server die.
        if !thread.is_fast.get() {
            let downtime = thread.channel.get(kernel).map_or(0, |channel| channel.downtime_at(kernel, now));
            sum += downtime.saturating_sub(thread.downtime_seen.get());
        }
        link = thread.server.get(kernel);
    }
    sum
}

/// Delivers a caller's message to a server thread that waits in receive, and was taken out of its channel's lists. The caller
/// is off its CPU and in no queue. Returns false where the call ended instead, as the receiver cannot take its handles.
#[must_use]
pub fn deliver(kernel: &Kernel, channel: &Object<Channel>, caller: &Object<Thread>, receiver: &Object<Thread>) -> bool {
    let request = caller.request.get();
    let server = receiver.process.get(kernel);
    let page = receiver.serve_page();
    if request.handles() > 0 {
        let Ok(handles) = land_handles(kernel, caller, server) else {
            super::end::finish(kernel, caller, Error::PeerFull as u64);
            return false;
        };
        page.set_handles(handles);
    }
    caller.call_page().copy_payload(page, request.payload_bytes());
    page.set_client(caller.process.number());
    let mut delivered = request;
    if caller.was_delivered.get() {
        page.set_faults(caller.faults.get());
        page.set_hangs(caller.hangs.get());
        delivered = delivered.with_replayed();
    } else {
        caller.was_delivered.set(true);
    }
    if request.class() == Some(Class::Once) {
        page.set_lane(caller.call_page().lane());
        page.set_sequence(caller.call_page().sequence());
    }

    let (from, to) = (&caller.context.frame, &receiver.context.frame);
    from.copy_words(to);
    to.rax.set(abi::Delivery::CALL_STATUS);
    to.rdi.set(caller.badge.get());
    to.rsi.set(delivered.0);
    caller.state.set(State::Current);
    caller.call_since.set(clock::tsc());
    channel.delivered.set(channel.delivered.get() + 1);
    make_current(caller, receiver);
    server.active_calls.set(server.active_calls.get() + 1);
    if caller.is_suspect() {
        server.alone.set(Some(caller.to_ref()));
        server.has_suspect.set(true);
    }
    true
}

/// Links a caller and the thread that serves it: chain depth and rank are passed on.
pub(super) fn make_current(caller: &Object<Thread>, receiver: &Object<Thread>) {
    receiver.current.set(Some(caller.to_ref()));
    // SAFETY: the receiver clears this field before it ends (`death`, `ipc::reply`).
    unsafe { caller.server.set(receiver) };
    receiver.depth.set(caller.depth.get() + 1);
    receiver.rank.set(receiver.base_rank().max(caller.rank.get()));
}

/// Lands copies of the handles of a request in the server's table.
fn land_handles(kernel: &Kernel, caller: &Thread, server: &Object<Process>) -> Result<[Handle; HANDLES], Error> {
    let count = caller.request.get().handles();
    let mut handles = [Handle::NONE; HANDLES];
    server.handles.reserve(kernel, &server.account, count as u32)?;
    for index in 0..count {
        let copy = caller.sent.copy(kernel, index).expect("the request's handles fly until the call ends");
        match flight::land_reserved(kernel, server, copy) {
            Ok(handle) => handles[index] = handle,
            Err(error) => {
                server.handles.unreserve(&server.account, (count - index - 1) as u32);
                for handle in &handles[..index] {
                    let _ = flight::close(kernel, server, *handle);
                }
                return Err(error);
            }
        }
    }
    Ok(handles)
}
