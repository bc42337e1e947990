//! The common case of call and of reply-and-receive: a message without handles or deadline, between a caller and a
//! server thread that both can run here now, with nothing else to look at; and of receive: to wait, while the thread that was just woken goes on.
//!
//! Each function first checks that it is the common case, and otherwise changes nothing and returns `None` or false: then
//! [`super::call`], [`super::reply`] and [`super::receive`] do it. What they do here is the same, with the steps that have no effect left out. No count of
//! a reference changes for the two threads: the references move, from the CPU to the server thread and from the receivers to the CPU, and back.

use super::{end, receive::acknowledge, reply};
use crate::arch::{self, clock};
use crate::lock::Passed;
use crate::object::{Channel, Object, SessionUse, Thread, thread::MAX_DEPTH, thread::State};
use crate::{Cpu, Kernel, boot, schedule, timer};
use abi::{Class, Delivery, Handle, Header, OK, Rights};

/// A call to a server that waits.
#[inline(always)]
pub fn call(kernel: &Kernel, cpu: &Cpu) -> Option<Passed> {
    let caller = cpu.current.get(kernel).filter(|_| cpu.attention.get() == 0)?;
    let from = &caller.context.frame;
    let session: &Object<SessionUse> = caller.process.handles.get(kernel, Handle(from.rdi.get()), Rights::CALL).ok()?;
    let channel = session.channel.get(kernel);
    let receiver = channel.receivers.front(kernel)?;
    let header = Header(from.rsi.get());
    let server = receiver.process.get(kernel);
    let bytes = header.payload_bytes();
    let is_common = !server.has_suspect.get()
        && !channel.is_watched.get()
        && caller.depth.get() < MAX_DEPTH
        && receiver.affinity.get() >> cpu.index() & 1 != 0
        && (header.is_plain() || take_extras(kernel, caller, receiver, header));
    if !is_common {
        return None;
    }
    if bytes > 0 {
        // What asks for more than payload was looked at whole, so nothing is taken yet.
        if bytes > abi::PAYLOAD_BYTES {
            return None;
        }
        caller.call_page().copy_payload(receiver.serve_page(), bytes);
    }

    receiver.serve_page().set_client(caller.process.number());
    let badge = session.badge;
    let now = clock::tsc();
    caller.request.set(header);
    caller.badge.set(badge);
    caller.faults.set(0);
    caller.hangs.set(0);
    caller.was_delivered.set(true);
    caller.is_fast.set(true);
    caller.call_since.set(now);
    caller.state.set(State::Current);
    channel.delivered.set(channel.delivered.get() + 1);
    server.active_calls.set(server.active_calls.get() + 1);
    receiver.depth.set(caller.depth.get() + 1);
    receiver.rank.set(receiver.base_rank().max(caller.rank.get()));
    // SAFETY: the receiver clears this field before it ends (`death`, `ipc::reply`).
    unsafe { caller.server.set(receiver) };
    if let Some(next) = channel.receivers.pop_front() {
        // The CPU's reference to the caller goes to the receiver, that of the list to the CPU.
        let running = cpu.current.exchange(next);
        receiver.current.fill(running);
    }
    switch(kernel, cpu, caller, receiver, now);
    Some(Passed { from: &caller.context, status: Delivery::CALL_STATUS, r0: badge, r1: header.0 })
}

/// A key, and room for the handles of the reply. Returns false, with nothing taken, where the request has more than that or there is no room.
#[inline(never)]
fn take_extras(kernel: &Kernel, caller: &Object<Thread>, receiver: &Thread, header: Header) -> bool {
    let (process, count) = (caller.process.get(kernel), header.reply_handles() as u32);
    if !header.is_light() || process.handles.reserve(kernel, &process.account, count).is_err() {
        return false;
    }
    caller.reserved.set(count as u8);
    if header.class() == Some(Class::Once) {
        receiver.serve_page().set_lane(caller.call_page().lane());
        receiver.serve_page().set_sequence(caller.call_page().sequence());
    }
    true
}

/// A session that is minted, slots that stay empty, and a deadline that is set already. Returns false, with nothing done, where there is more than that
/// or it cannot be minted.
#[inline(never)]
fn give_extras(kernel: &Kernel, thread: &Thread, client: &Object<Thread>, header: Header) -> bool {
    let is_set = !header.has_deadline() || timer::is_set(thread, thread.serve_page().deadline());
    let minted = (is_set && header.is_light_reply()).then(|| reply::mint(kernel, thread, client, header));
    let Some(Ok(minted)) = minted else { return false };
    if header.mints() || client.reserved.get() > 0 {
        client.call_page().set_handles([minted, Handle::NONE, Handle::NONE, Handle::NONE]);
        end::release(kernel, client);
    }
    true
}

/// A reply when nothing else waits on the channel, after which the caller goes on here.
#[inline(always)]
pub fn reply_receive(kernel: &Kernel, cpu: &Cpu) -> Option<Passed> {
    let thread = cpu.current.get(kernel).filter(|_| cpu.attention.get() == 0)?;
    let from = &thread.context.frame;
    let server = thread.process.get(kernel);
    let channel: &Object<Channel> = server.handles.get(kernel, Handle(from.rdi.get()), Rights::RECEIVE).ok()?;
    let client = thread.current.get(kernel)?;
    let header = Header(from.rsi.get());
    let bytes = header.payload_bytes();
    // A watched channel's calls never come here: they did not take the fast path.
    let is_common = client.is_fast.get()
        && channel.is_quiet()
        && thread.serving.holds(channel)
        && !server.has_suspect.get()
        && !cpu.queue.has_above(client.rank.get())
        && client.affinity.get() >> cpu.index() & 1 != 0
        && (header.is_plain() && client.reserved.get() == 0 || give_extras(kernel, thread, client, header));
    if !is_common {
        return None;
    }
    if bytes > 0 {
        if bytes > abi::PAYLOAD_BYTES {
            return None;
        }
        thread.serve_page().copy_payload(client.call_page(), bytes);
    }

    let now = clock::tsc();
    client.server.clear();
    client.is_fast.set(false);
    server.active_calls.set(server.active_calls.get() - 1);
    thread.depth.set(0);
    thread.rank.set(thread.base_rank());
    thread.state.set(State::Receiving);
    if let Some(next) = thread.current.take() {
        let running = cpu.current.exchange(next);
        channel.receivers.put_first(running);
    }
    switch(kernel, cpu, thread, client, now);
    Some(Passed { from: &thread.context, status: OK, r0: 0, r1: header.0 })
}

/// A receive when nothing waits on the channel, after which the thread that this one has woken goes on here. Returns whether it was that.
#[inline(always)]
pub fn receive(kernel: &Kernel, cpu: &Cpu) -> bool {
    let Some(thread) = cpu.current.get(kernel).filter(|_| cpu.attention.get() == 0) else { return false };
    let frame = &thread.context.frame;
    let handle = Handle(frame.rdi.get());
    let Ok(channel) = thread.process.handles.get::<Channel>(kernel, handle, Rights::RECEIVE) else { return false };
    let is_common = !Header(frame.rsi.get()).has_deadline()
        && channel.is_quiet()
        && !channel.is_watched.get()
        && thread.serving.holds(channel)
        && !thread.current.is_some()
        && !thread.orphan.is_some()
        && !cpu.handoff.is_some();
    if !is_common {
        return false;
    }
    let now = clock::tsc();
    let Some(woken) = schedule::take_buddy(kernel, cpu, now) else { return false };
    let next = woken.get(kernel);
    acknowledge(kernel, thread, channel);
    thread.depth.set(0);
    thread.rank.set(thread.base_rank());
    thread.state.set(State::Receiving);
    let running = cpu.current.exchange(woken);
    channel.receivers.put_first(running);
    if next.process.is_init.get() {
        boot::init_runs(kernel);
    }
    switch(kernel, cpu, thread, next, now);
    true
}

/// The CPU goes from one thread to another, on the same slice.
#[inline(always)]
fn switch(kernel: &Kernel, cpu: &Cpu, from: &Object<Thread>, to: &Object<Thread>, now: u64) {
    schedule::count_time(cpu, from, now);
    to.state.set(State::Running);
    to.cpu.set(cpu.index());
    schedule::load_space(kernel, cpu, to.process.get(kernel));
    arch::exchange(&cpu.arch, &from.context, &to.context);
}
