//! Answering calls: at once, or kept for later.

use super::call::{make_current, may_deliver};
use super::{end, flight, inherit, receive};
use crate::arch::clock;
use crate::object::{AnyRef, Call, Channel, Object, Process, Ref, Session, Thread, slab, thread::State};
use crate::{Cpu, Kernel, death, handle_table::Capability, schedule};
use abi::{Error, Handle, Header, Kind, OK, Rights};

/// Answers the current call, then receives.
///
/// # Errors
/// As [`abi::Syscall::ReplyReceive`] says; after `CallerGone` nothing was received.
pub fn reply_receive(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> Result<(), Error> {
    let frame = &thread.context.frame;
    let channel = receive::decode(kernel, thread, Handle(frame.rdi.get()))?;
    let client = answer_current(kernel, thread, Header(frame.rsi.get()))?;
    schedule::hand_over(kernel, cpu, client);
    receive::wait(kernel, cpu, thread, channel)
}

/// Answers the current call.
///
/// # Errors
/// `BadState`, `BadMessage`, `CallerGone`.
pub fn reply(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let client = answer_current(kernel, thread, Header(thread.context.frame.rsi.get()))?;
    schedule::make_ready(kernel, client.get(kernel));
    Ok(())
}

/// Gives the current call's caller its answer. It is ready then, but in no queue.
fn answer_current(kernel: &Kernel, thread: &Object<Thread>, header: Header) -> Result<Ref<Thread>, Error> {
    if !header.is_valid_reply() {
        return Err(Error::BadMessage);
    }
    let server = thread.process.get(kernel);
    if thread.orphan.is_some() {
        consume_handles(kernel, thread, server, header);
        end_current_orphan(kernel, thread);
        return Err(Error::CallerGone);
    }
    let minted = mint(kernel, thread, thread.current.get(kernel).ok_or(Error::BadState)?, header)?;
    let client = thread.current.take().ok_or(Error::BadState)?;
    stop_serving(kernel, thread);
    client.server.clear();
    transfer(kernel, thread, client.get(kernel), header, minted);
    finished(kernel, server, client.get(kernel));
    Ok(client)
}

/// Answers a kept call.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `BadMessage`, `CallerGone`.
pub fn call_reply(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let frame = &thread.context.frame;
    let server = thread.process.get(kernel);
    let (handle, header) = (Handle(frame.rdi.get()), Header(frame.rsi.get()));
    let call: &Object<Call> = server.handles.get(kernel, handle, Rights::MANAGE)?;
    if !header.is_valid() {
        return Err(Error::BadMessage);
    }
    let Some(client) = release_kept(kernel, call) else {
        consume_handles(kernel, thread, server, header);
        flight::close(kernel, server, handle)?;
        return Err(Error::CallerGone);
    };
    transfer(kernel, thread, client.get(kernel), header, Handle::NONE);
    finished(kernel, server, client.get(kernel));
    schedule::make_ready(kernel, client.get(kernel));
    flight::close(kernel, server, handle)
}

/// Mints the session that a reply brings, straight for its caller's process: where the server dies meanwhile, either has happened or nothing.
/// Returns the caller's handle, or `NONE` where the reply mints nothing.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `Closed`, `AccountExhausted`, `NoSlot` (no handle was asked for, or too many processes use it).
pub(super) fn mint(kernel: &Kernel, thread: &Thread, client: &Thread, header: Header) -> Result<Handle, Error> {
    if !header.mints() {
        return Ok(Handle::NONE);
    }
    let (server, receiver) = (thread.process.get(kernel), client.process.get(kernel));
    let channel: &Object<Channel> = server.handles.get(kernel, thread.serve_page().channel(), Rights::MINT)?;
    let left = client.reserved.get().checked_sub(1).ok_or(Error::NoSlot)?;
    let session = Session::mint(kernel, &server.account, channel, thread.serve_page().badge())?;
    // As where one is moved: charged to its receiver, if that has room.
    let _ = session.move_charge(&receiver.account);
    client.reserved.set(left);
    let capability = Capability { object: AnyRef::new(session), rights: Rights::of(Kind::Session), mask: 0 };
    flight::land_reserved(kernel, receiver, capability)
}

/// Copies a reply to its caller, who has the session that was minted for it.
fn transfer(kernel: &Kernel, thread: &Object<Thread>, client: &Object<Thread>, header: Header, minted: Handle) {
    thread.serve_page().copy_payload(client.call_page(), header.payload_bytes());
    let (first, count) = (header.mints() as usize, header.handles());
    let room = first + client.reserved.get() as usize;
    if count > 0 || room > 0 {
        let (server, receiver) = (thread.process.get(kernel), client.process.get(kernel));
        let mut landed = [minted, Handle::NONE, Handle::NONE, Handle::NONE];
        let handles = thread.serve_page().handles();
        for index in first..count {
            let Ok(capability) = flight::take_out(kernel, server, handles[index]) else { continue };
            if index < room {
                if let Some(session) = capability.object.get::<Session>(kernel) {
                    // It is charged to its receiver from then on, if that has room; else it stays with its minter.
                    let _ = session.move_charge(&receiver.account);
                }
                landed[index] = flight::land_reserved(kernel, receiver, capability).unwrap_or(Handle::NONE);
                client.reserved.set(client.reserved.get() - 1);
            } else {
                flight::drop_flying(kernel, capability);
            }
        }
        client.call_page().set_handles(landed);
    }
    let (from, to) = (&thread.context.frame, &client.context.frame);
    from.copy_words(to);
    to.rdi.set(0);
    to.rsi.set(header.0);
    to.rax.set(OK);
    end::release(kernel, client);
}

/// Closes the handles of a reply that reaches nobody.
fn consume_handles(kernel: &Kernel, thread: &Object<Thread>, server: &Object<Process>, header: Header) {
    let handles = thread.serve_page().handles().into_iter().take(header.handles());
    for handle in handles.skip(header.mints() as usize) {
        let _ = flight::close(kernel, server, handle);
    }
}

/// The thread serves no call any more.
fn stop_serving(kernel: &Kernel, thread: &Object<Thread>) {
    thread.depth.set(0);
    inherit::renew(kernel, thread);
}

/// A call that a server had received is over: what waited for that is looked at again.
pub(crate) fn finished(kernel: &Kernel, server: &Object<Process>, client: &Object<Thread>) {
    server.active_calls.set(server.active_calls.get() - 1);
    not_alone(kernel, server, client);
}

/// The caller of a call that a server has received leaves: if it was a suspect, nothing waits for it any more.
pub(super) fn not_alone(kernel: &Kernel, server: &Object<Process>, client: &Object<Thread>) {
    if server.alone.holds(client) {
        server.alone.set(None);
    }
    dispatch_blocked(kernel, server);
}

/// Looks at callers that had to wait for a suspect, or as one.
fn dispatch_blocked(kernel: &Kernel, server: &Object<Process>) {
    if !server.has_suspect.get() {
        return;
    }
    server.has_suspect.set(server.alone.is_some());
    for thread in server.threads.iter(kernel).filter(|thread| thread.state.get() == State::Receiving) {
        if let Some(channel) = thread.serving.get(kernel).filter(|channel| channel.has_callers()) {
            receive::wake_receiver(kernel, channel);
        }
    }
}

/// The work of a thread for a caller that left is over.
pub(crate) fn end_current_orphan(kernel: &Kernel, thread: &Object<Thread>) {
    stop_serving(kernel, thread);
    if let Some(process) = thread.orphan.take() {
        process.orphan_threads.remove(thread);
        orphan_over(kernel, thread.process.get(kernel), process.get(kernel));
    }
}

/// Work on a kept call whose caller left is over.
pub(crate) fn end_kept_orphan(kernel: &Kernel, call: &Object<Call>) {
    if let Some(process) = call.orphan.take() {
        process.orphan_calls.remove(call);
        call.server.kept_orphans.remove(call);
        orphan_over(kernel, call.server.get(kernel), process.get(kernel));
    }
}

/// There is one orphan less of `process`, in `server`.
fn orphan_over(kernel: &Kernel, server: &Object<Process>, process: &Object<Process>) {
    server.active_calls.set(server.active_calls.get() - 1);
    death::progress(kernel, process);
    dispatch_blocked(kernel, server);
}

/// Makes a handle of the current call. Returns its number. Where the caller has left the server is told so, as of any kept call.
///
/// # Errors
/// `BadState`, `NoSlot`, `AccountExhausted`: the call stays current.
pub fn keep(kernel: &Kernel, thread: &Object<Thread>) -> Result<Handle, Error> {
    let server = thread.process.get(kernel);
    let client = thread.current.get(kernel);
    let channel = match client {
        Some(client) => {
            client.leave_fast_path(kernel);
            client.called_channel(kernel).expect("a caller has a channel")
        }
        None => thread.serving.get(kernel).filter(|_| thread.orphan.is_some()).ok_or(Error::BadState)?,
    };
    let call = Call::new(client.map(Object::to_ref), server.to_ref(), channel.to_ref());
    let call = slab::create(kernel, &server.account, call)?;
    let handle = flight::land_new(kernel, server, AnyRef::new(call.clone()), 0)?;
    call.handle.set(handle);
    thread.current.set(None);
    stop_serving(kernel, thread);
    if let Some(client) = client {
        client.server.clear();
        client.state.set(State::Kept);
        client.kept.set(Some(call.clone()));
        channel.kept.push_back(call.clone());
        server.kept.push_back(call);
    } else if let Some(process) = thread.orphan.take() {
        let key = thread.in_orphans.key.get();
        process.orphan_threads.remove(thread);
        process.orphan_calls.insert(call.clone(), key);
        server.kept_orphans.insert(call.clone(), key);
        call.orphan.set(Some(process));
        end::withdraw(kernel, call);
    }
    Ok(handle)
}

/// Makes a kept call current again; where its caller has left, what is done for that goes on, until it is answered.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `BadState`, `CallerGone` (of a parked call; the handle is consumed).
pub fn resume(kernel: &Kernel, thread: &Object<Thread>, handle: Handle) -> Result<(), Error> {
    let server = thread.process.get(kernel);
    let call: &Object<Call> = server.handles.get(kernel, handle, Rights::MANAGE)?;
    if thread.current.is_some() || thread.orphan.is_some() {
        return Err(Error::BadState);
    }
    let must_wait =
        call.parked.get() && call.client.get(kernel).is_some_and(|client| !may_deliver(kernel, server, client));
    let channel = call.channel.get(kernel);
    thread.serving.set(Some(channel.to_ref()));
    if let Some(process) = call.orphan.take() {
        let key = call.in_orphans.key.get();
        process.orphan_calls.remove(call);
        server.kept_orphans.remove(call);
        process.orphan_threads.insert(thread.to_ref(), key);
        thread.orphan.set(Some(process));
    }
    let client = release_kept(kernel, call);
    flight::close(kernel, server, handle)?;
    let Some(client) = client else {
        return if thread.orphan.is_some() { Ok(()) } else { Err(Error::CallerGone) };
    };
    if must_wait && !channel.closed.get() {
        // A suspect has to be alone: nothing was done for a parked call, so it is delivered anew when its turn comes.
        server.active_calls.set(server.active_calls.get() - 1);
        client.call_since.set(clock::tsc());
        end::queue_again(channel, client.get(kernel), true);
        inherit::queued(kernel, channel, client.rank.get());
        return Err(Error::CallerGone);
    }
    if client.is_suspect() {
        server.alone.set(Some(client.clone()));
        server.has_suspect.set(true);
    }
    client.state.set(State::Current);
    client.call_since.set(clock::tsc());
    make_current(client.get(kernel), thread);
    inherit::renew(kernel, thread);
    Ok(())
}

/// Takes the caller out of a kept call that still has one; it counts as active then, parked or not.
/// `None`: the caller left; its orphan is over with this.
fn release_kept(kernel: &Kernel, call: &Object<Call>) -> Option<Ref<Thread>> {
    call.channel.withdrawn.remove(call);
    call.channel.kept.remove(call);
    call.server.kept.remove(call);
    let Some(client) = call.client.take() else {
        end_kept_orphan(kernel, call);
        return None;
    };
    client.kept.set(None);
    if call.parked.take() {
        call.server.active_calls.set(call.server.active_calls.get() + 1);
    }
    Some(client)
}

/// Parks a kept call.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `CallerGone` (the handle stays).
pub fn park(kernel: &Kernel, thread: &Object<Thread>, handle: Handle) -> Result<(), Error> {
    let server = thread.process.get(kernel);
    let call: &Object<Call> = server.handles.get(kernel, handle, Rights::MANAGE)?;
    let client = call.client.get(kernel).ok_or(Error::CallerGone)?;
    if !call.parked.replace(true) {
        finished(kernel, server, client);
    }
    Ok(())
}

/// Says that work on a call goes on.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `BadState`, `CallerGone`.
pub fn progress(kernel: &Kernel, thread: &Object<Thread>, handle: Handle) -> Result<(), Error> {
    let client = if handle.is_none() {
        if thread.orphan.is_some() {
            return Err(Error::CallerGone);
        }
        thread.current.get(kernel).ok_or(Error::BadState)?
    } else {
        let call: &Object<Call> = thread.process.get(kernel).handles.get(kernel, handle, Rights::MANAGE)?;
        call.client.get(kernel).ok_or(Error::CallerGone)?
    };
    client.leave_fast_path(kernel);
    client.call_since.set(clock::tsc());
    Ok(())
}

/// Lets a call go.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `BadState`.
pub fn abandon(kernel: &Kernel, thread: &Object<Thread>, handle: Handle) -> Result<(), Error> {
    let server = thread.process.get(kernel);
    if !handle.is_none() {
        let _: &Object<Call> = server.handles.get(kernel, handle, Rights::MANAGE)?;
        return flight::close(kernel, server, handle);
    }
    if thread.orphan.is_some() {
        end_current_orphan(kernel, thread);
        return Ok(());
    }
    let client = thread.current.take().ok_or(Error::BadState)?;
    stop_serving(kernel, thread);
    client.server.clear();
    finished(kernel, server, client.get(kernel));
    end::finish(kernel, client.get(kernel), Error::Abandoned as u64);
    Ok(())
}

/// The handle of a kept call was closed: if it was not answered, it is abandoned.
pub fn handle_of_call_closed(kernel: &Kernel, call: &Object<Call>) {
    let server = call.server.get(kernel);
    // Orphans of the dead are over when the drain is.
    if server.is_dead() || !(server.kept.contains(call) || call.orphan.is_some()) {
        return;
    }
    if let Some(client) = release_kept(kernel, call) {
        finished(kernel, server, client.get(kernel));
        end::finish(kernel, client.get(kernel), Error::Abandoned as u64);
    }
}
