//! The common case of call and of reply-and-receive: a message without handles, deadline or key, between a caller and a
//! server thread that both can run here now, with nothing else to look at.
//!
//! Each function first checks that it is the common case, and otherwise changes nothing and returns false: then
//! [`super::call`] and [`super::reply`] do it. What they do here is the same, with the steps that have no effect left out. No count of
//! a reference changes for the two threads: the references move, from the CPU to the server thread and from the receivers to the CPU, and back.

use crate::arch::{self, clock};
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::object::thread::{MAX_DEPTH, State};
use crate::object::{Channel, Object, SessionUse, Thread};
use crate::schedule;
use abi::{Delivery, Handle, Header, OK, Rights};

/// The call that does nothing.
#[inline(always)]
pub fn null(thread: &Thread) {
    thread.set_status(OK);
}

/// A call to a server that waits.
#[inline(always)]
pub fn call(kernel: &Kernel, cpu: &Cpu, caller: &Object<Thread>) -> bool {
    let from = &caller.context.frame;
    let header = Header(from.rsi.get());
    let Ok(session) = caller.process.handles.get::<SessionUse>(kernel, Handle(from.rdi.get()), Rights::CALL) else {
        return false;
    };
    let channel = session.channel.get(kernel);
    let Some(receiver) = channel.receivers.front(kernel) else { return false };
    let server = receiver.process.get(kernel);
    let is_common = header.is_plain()
        && !server.has_suspect.get()
        && !server.is_init.get()
        && caller.depth.get() < MAX_DEPTH
        && !receiver.timer.is_linked()
        && receiver.affinity.get() >> cpu.index() & 1 != 0;
    if !is_common {
        return false;
    }

    let bytes = header.payload_bytes();
    if bytes > 0 {
        caller.call_page().copy_payload(receiver.serve_page(), bytes);
    }
    receiver.serve_page().set_client(caller.process.number());
    let to = &receiver.context.frame;
    for (from, to) in from.words().into_iter().zip(to.words()) {
        to.set(from.get());
    }
    to.rax.set(Delivery::CALL_STATUS);
    to.rdi.set(session.badge);
    to.rsi.set(header.0);

    let now = clock::tsc();
    caller.request.set(header);
    caller.badge.set(session.badge);
    caller.channel.set(Some(channel.to_ref()));
    caller.faults.set(0);
    caller.hangs.set(0);
    caller.was_delivered.set(true);
    caller.delivered_order.set(kernel.next_number());
    caller.call_since.set(now);
    channel.delivered.set(channel.delivered.get() + 1);
    server.active_calls.set(server.active_calls.get() + 1);
    caller.state.set(State::Current);
    caller.server.fill(receiver.to_ref());
    receiver.depth.set(caller.depth.get() + 1);
    receiver.rank.set(receiver.base_rank().max(caller.rank.get()));
    let (running, next) = (cpu.current.take(), channel.receivers.pop_front());
    if let (Some(running), Some(next)) = (running, next) {
        receiver.current.fill(running);
        cpu.current.fill(next);
    }
    switch(kernel, cpu, caller, receiver, now);
    true
}

/// A reply when nothing else waits on the channel, after which the caller goes on here.
#[inline(always)]
pub fn reply_receive(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> bool {
    let from = &thread.context.frame;
    let header = Header(from.rsi.get());
    let server = thread.process.get(kernel);
    let Ok(channel) = server.handles.get::<Channel>(kernel, Handle(from.rdi.get()), Rights::RECEIVE) else {
        return false;
    };
    let Some(client) = thread.current.get(kernel) else { return false };
    let is_common = header.is_plain()
        && channel.is_quiet()
        && channel.server.holds(server)
        && !server.has_suspect.get()
        && !server.is_init.get()
        && client.request.get().handles() | client.reserved.get() as usize == 0
        && !client.timer.is_linked()
        && !cpu.queue.has_above(client.rank.get())
        && client.affinity.get() >> cpu.index() & 1 != 0;
    if !is_common {
        return false;
    }

    let bytes = header.payload_bytes();
    if bytes > 0 {
        thread.serve_page().copy_payload(client.call_page(), bytes);
    }
    let to = &client.context.frame;
    for (from, to) in from.words().into_iter().zip(to.words()) {
        to.set(from.get());
    }
    to.rax.set(OK);
    to.rsi.set(header.0);

    let now = clock::tsc();
    if !thread.channel.holds(channel) {
        thread.channel.set(Some(channel.to_ref()));
    }
    client.channel.set(None);
    client.server.set(None);
    server.active_calls.set(server.active_calls.get() - 1);
    thread.depth.set(0);
    thread.rank.set(thread.base_rank());
    thread.state.set(State::Receiving);
    let (running, next) = (cpu.current.take(), thread.current.take());
    if let (Some(running), Some(next)) = (running, next) {
        channel.receivers.push_front(running);
        cpu.current.fill(next);
    }
    switch(kernel, cpu, thread, client, now);
    true
}

/// The CPU goes from one thread to another, on the same slice.
#[inline(always)]
fn switch(kernel: &Kernel, cpu: &Cpu, from: &Object<Thread>, to: &Object<Thread>, now: u64) {
    schedule::count_time(cpu, from, now);
    cpu.switches.set(cpu.switches.get() + 1);
    arch::leave(&from.context);
    from.process.on_cpu.set(from.process.on_cpu.get() - 1);
    to.process.on_cpu.set(to.process.on_cpu.get() + 1);
    to.state.set(State::Running);
    to.cpu.set(cpu.index());
    schedule::load_space(kernel, cpu, to.process.get(kernel));
    arch::switch(&cpu.arch, &to.context);
}
