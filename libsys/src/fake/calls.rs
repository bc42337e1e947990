//! Messages in the fake kernel: call, receive, reply, and what becomes of a call.

use super::kernel::{Call, CallState, Held, Kernel, Message, Object, State};
use super::table::Entry;
use super::{Who, objects};
use abi::{Class, Delivery, Error, Handle, Header, Kind, MessagePage, Rights, Syscall, WORDS};
use std::vec::Vec;

/// Deepest chain of calls.
const DEEPEST: usize = 8;

/// A call that waits this long, in nanoseconds, is a test that hangs.
const LONGEST_CALL: u64 = 30_000_000_000;

type Registers = [u64; 10];

/// Carries out a system call: its status when it succeeded.
pub(super) fn system_call(state: &mut Held, who: Who, call: Syscall, r: &mut Registers) -> Result<u64, Error> {
    match call {
        Syscall::Null => Ok(0),
        Syscall::Call => state_call(state, who, r),
        Syscall::Receive => receive(state, who, r),
        Syscall::ReplyReceive => {
            state.find(who.process, r[0], Kind::Channel, Rights::RECEIVE)?;
            reply(state, who, None, r)?;
            receive(state, who, r)
        }
        Syscall::Reply => reply(state, who, None, r),
        Syscall::CallReply => {
            let number = kept(state, who, r[0])?;
            let result = reply(state, who, Some(number), r);
            let _ = state.close(who.process, Handle(r[0]));
            result
        }
        Syscall::CallKeep => {
            let number = state.current.remove(&who.thread).ok_or(Error::BadState)?;
            if let Some(call) = state.calls.get_mut(&number) {
                call.state = CallState::Kept;
                if call.orphan {
                    let channel = call.channel;
                    let _ = state.channel(channel).map(|channel| channel.withdrawn.push_back(number));
                }
            }
            let object = state.add(Object::Call(number));
            r[0] = state.make(who.process, object, false).0;
            Ok(0)
        }
        Syscall::CallResume => {
            let number = kept(state, who, r[0])?;
            if state.current.contains_key(&who.thread) {
                return Err(Error::BadState);
            }
            // Nothing was done for a parked call; else the work goes on, and the answer reaches nobody.
            let gone = state.calls.get(&number).is_none_or(|call| call.orphan && call.state == CallState::Parked);
            if !gone {
                state.calls.get_mut(&number).expect("found above").state = CallState::Current(who);
                state.current.insert(who.thread, number);
                // The handle goes without abandoning the call.
                let object = state.entry(who.process, Handle(r[0]), Rights::empty())?.object;
                state.objects.insert(object, Object::Call(0));
            }
            state.close(who.process, Handle(r[0]))?;
            if gone { Err(Error::CallerGone) } else { Ok(0) }
        }
        Syscall::CallPark => {
            let number = kept(state, who, r[0])?;
            if let Some(call) = state.calls.get_mut(&number) {
                call.state = CallState::Parked;
            }
            Kernel::notify();
            Ok(0)
        }
        Syscall::CallProgress => {
            let number =
                if r[0] == 0 { state.current.get(&who.thread).copied() } else { Some(kept(state, who, r[0])?) };
            let call = state.calls.get(&number.ok_or(Error::BadState)?);
            if call.is_none_or(|call| call.orphan) { Err(Error::CallerGone) } else { Ok(0) }
        }
        Syscall::CallAbandon => {
            let number = match r[0] {
                0 => state.current.remove(&who.thread).ok_or(Error::BadState)?,
                handle => {
                    let number = kept(state, who, handle)?;
                    state.close(who.process, Handle(handle))?;
                    number
                }
            };
            state.finish(number, Err(Error::Abandoned));
            Ok(0)
        }
        _ => objects::system_call(state, who, call, r),
    }
}

/// The number of a kept call.
fn kept(state: &mut State, who: Who, handle: u64) -> Result<u64, Error> {
    let object = state.find(who.process, handle, Kind::Call, Rights::MANAGE)?;
    match state.objects[&object] {
        Object::Call(number) => Ok(number),
        _ => Err(Error::WrongKind),
    }
}

fn page(serve: bool) -> *mut MessagePage {
    let block = crate::thread::block::current();
    if serve { block.serve_page } else { block.call_page }
}

/// Reads the outgoing message of a page. The kernel's own view of the page: guards forbid others meanwhile.
fn read_page(serve: bool, header: Header, words: [u64; WORDS]) -> (Message, Vec<Handle>) {
    let page = page(serve);
    // SAFETY: the calling thread's page; `message` guards are not alive during a system call that reads it.
    let (payload, handles) = unsafe { ((*page).payload, (*page).handles) };
    let payload = payload[..header.payload_bytes()].to_vec();
    (Message { header, words, payload, handles: Vec::new() }, handles[..header.handles()].to_vec())
}

/// Writes an arriving message into a page.
fn write_page(serve: bool, message: &Message, handles: &[Handle]) {
    let page = page(serve);
    // SAFETY: as in `read_page`.
    unsafe {
        (&mut (*page).payload)[..message.payload.len()].copy_from_slice(&message.payload);
        (&mut (*page).handles)[..handles.len()].copy_from_slice(handles);
    }
}

fn state_call(state: &mut Held, who: Who, r: &mut Registers) -> Result<u64, Error> {
    let header = Header(r[1]);
    let session = state.find(who.process, r[0], Kind::Session, Rights::CALL)?;
    if !header.is_valid() {
        return Err(Error::BadMessage);
    }
    let (channel, badge) = match &state.objects[&session] {
        Object::Session(session) => (session.channel, session.badge),
        _ => return Err(Error::WrongKind),
    };
    let (mut request, handles) = read_page(false, header, core::array::from_fn(|n| r[n + 2]));
    let entries: Result<Vec<Entry>, Error> =
        handles.iter().map(|handle| state.entry(who.process, *handle, Rights::DUPLICATE)).collect();
    let served = state.channel(channel).ok_or(Error::Closed)?;
    if served.closed {
        return Err(Error::Closed);
    }
    let (server, ready) = (served.server, served.receivers > 0 && served.queue.is_empty());
    if !ready && !may_wait(state, who, server) {
        return Err(Error::Deadlock);
    }
    request.handles = entries?.into_iter().map(|entry| state.reference(Entry { keep: false, ..entry })).collect();
    // SAFETY: as in `read_page`; the fields are outside of what guards lend.
    let (deadline, key) = unsafe { ((*page(false)).deadline, ((*page(false)).lane, (*page(false)).sequence)) };
    let deadline = header.has_deadline().then_some(deadline);
    let number = state.number();
    let class = header.class().unwrap_or(Class::Fail);
    let call = Call {
        client: who,
        channel,
        badge,
        class,
        request,
        key,
        state: CallState::Queued,
        replayed: false,
        faults: 0,
        hangs: 0,
        orphan: false,
        outcome: None,
    };
    state.calls.insert(number, call);
    state.channel(channel).expect("found above").queue.push_back(number);
    Kernel::notify();
    let reply = await_outcome(state, who, number, server, deadline)?;
    let mut received: Vec<Handle> = Vec::new();
    for (index, entry) in reply.handles.iter().enumerate() {
        if index < header.reply_handles() {
            received.push(state.install(who.process, *entry));
        } else {
            state.release(*entry);
        }
    }
    let carried = received.len();
    received.resize(reply.header.handles().max(carried), Handle::NONE);
    write_page(false, &reply, &received);
    r[1] = reply.header.0;
    r[2..].copy_from_slice(&reply.words);
    Ok(0)
}

/// Whether a thread may wait for a server: it is not in its own chain of calls, and that is not too deep.
fn may_wait(state: &State, who: Who, server: u64) -> bool {
    let mut client = who;
    for _ in 0..DEEPEST {
        if client.process == server {
            return false;
        }
        match state.current.get(&client.thread).and_then(|number| state.calls.get(number)) {
            Some(call) => client = call.client,
            None => return true,
        }
    }
    false
}

fn await_outcome(
    state: &mut Held,
    who: Who,
    number: u64,
    server: u64,
    deadline: Option<u64>,
) -> Result<Message, Error> {
    let started = Kernel::nanoseconds();
    loop {
        assert!(Kernel::nanoseconds() - started < LONGEST_CALL, "nobody answers a call in this test");
        if !state.lives(who) {
            // `kill` has withdrawn or orphaned it; the thread ends on its way out.
            return Err(Error::Stale);
        }
        let call = state.calls.get_mut(&number).ok_or(Error::Stale)?;
        if let Some(outcome) = call.outcome.take() {
            state.calls.remove(&number);
            return outcome;
        }
        let expired = deadline.is_some_and(|deadline| Kernel::nanoseconds() >= deadline);
        if expired && (call_has_server(state, server) || deadline == Some(0)) {
            return Err(state.give_up(number));
        }
        state.wait(deadline.filter(|_| !expired));
    }
}

fn call_has_server(state: &State, server: u64) -> bool {
    let running = abi::process::ProcessState::Running as u32;
    state.processes.get(&server).is_some_and(|process| process.exit.state == running)
}

fn receive(state: &mut Held, who: Who, r: &mut Registers) -> Result<u64, Error> {
    let channel = state.find(who.process, r[0], Kind::Channel, Rights::RECEIVE)?;
    if state.current.contains_key(&who.thread) || state.channel(channel).is_none_or(|found| found.server != who.process)
    {
        return Err(Error::BadState);
    }
    if Header(r[1]).acknowledges() {
        let closes = &mut state.channel(channel).ok_or(Error::Closed)?.closes;
        if let Some(index) =
            closes.iter().position(|(close, seen)| *seen && (close.badge, close.client) == (r[2], r[3]))
        {
            closes.remove(index);
        }
    }
    // SAFETY: the calling thread's page, and a field outside of what guards lend.
    let deadline = Header(r[1]).has_deadline().then(|| unsafe { (*page(true)).deadline });
    loop {
        if !state.lives(who) {
            return Ok(0);
        }
        let found = state.channel(channel).ok_or(Error::Closed)?;
        if found.closed {
            return Err(Error::Closed);
        }
        if let Some(status) = deliver(state, who, channel, r) {
            return Ok(status);
        }
        if deadline.is_some_and(|deadline| Kernel::nanoseconds() >= deadline) {
            return Err(Error::TimedOut);
        }
        state.channel(channel).expect("found above").receivers += 1;
        state.wait(deadline);
        if let Some(channel) = state.channel(channel) {
            channel.receivers -= 1;
        }
    }
}

fn deliver(state: &mut State, who: Who, channel: u64, r: &mut Registers) -> Option<u64> {
    let found = state.channel(channel)?;
    if found.signals != 0 {
        r[0] = Delivery::Signals as u64;
        r[2] = core::mem::take(&mut found.signals);
        return Some(0);
    }
    while let Some(index) = state.channel(channel)?.closes.iter().position(|close| !close.1) {
        let close = state.channel(channel)?.closes[index].0;
        let is_used = state.badge_in_use(channel, close.badge);
        let closes = &mut state.channel(channel)?.closes;
        let last = !is_used && closes[index + 1..].iter().all(|(other, seen)| *seen || other.badge != close.badge);
        // The server's own use of a session that it has given away ends silently.
        if !last && close.client == who.process {
            closes.remove(index);
            continue;
        }
        closes[index].1 = true;
        r[0] = Delivery::Close as u64;
        (r[2], r[3], r[4]) = (close.badge, close.client, last.into());
        return Some(0);
    }
    let found = state.channel(channel)?;
    if let Some(number) = found.withdrawn.pop_front() {
        let handles = state.handles_of(who.process);
        let handle = handles
            .iter()
            .find(|(_, entry)| matches!(state.objects[&entry.object], Object::Call(call) if call == number));
        let (handle, _) = handle?;
        (r[0], r[2]) = (Delivery::Withdrawn as u64, handle.0);
        return Some(0);
    }
    let number = state.next_call(channel)?;
    state.channel(channel)?.queue.retain(|queued| *queued != number);
    state.current.insert(who.thread, number);
    let call = state.calls.get_mut(&number)?;
    call.state = CallState::Current(who);
    let mut header = call.request.header;
    if call.replayed {
        header = header.with_replayed();
    }
    let (request, stamp) = (call.request.clone(), (call.client.process, call.key, call.faults, call.hangs));
    let badge = call.badge;
    let mut handles = Vec::new();
    for entry in &request.handles {
        let entry = state.reference(*entry);
        handles.push(state.install(who.process, entry));
    }
    write_page(true, &request, &handles);
    let page = page(true);
    // SAFETY: as in `read_page`.
    unsafe {
        (*page).client = stamp.0;
        ((*page).lane, (*page).sequence) = stamp.1;
        ((*page).faults, (*page).hangs) = (stamp.2, stamp.3);
    }
    (r[0], r[1]) = (badge, header.0);
    r[2..].copy_from_slice(&request.words);
    Kernel::notify();
    Some(Delivery::CALL_STATUS)
}

fn reply(state: &mut State, who: Who, kept: Option<u64>, r: &Registers) -> Result<u64, Error> {
    let number = match kept {
        Some(number) => number,
        None => *state.current.get(&who.thread).ok_or(Error::BadState)?,
    };
    let header = Header(r[1]);
    if !header.is_valid_reply() || kept.is_some() && header.mints() {
        return Err(Error::BadMessage);
    }
    let (mut message, mut handles) = read_page(true, header, core::array::from_fn(|n| r[n + 2]));
    message.header = header.without_minted();
    if let Some(process) = state.processes.get_mut(&who.process).filter(|process| process.spoilt > 0) {
        process.spoilt -= 1;
        message.header.0 |= u64::from(u32::MAX) << 32;
    }
    if let Some((left, word)) = state.processes.get_mut(&who.process).map(|process| &mut process.lies)
        && *left > 0
    {
        *left -= 1;
        message.words[0] = *word;
    }
    // Nothing is minted for who is gone.
    if header.mints() && state.calls.get(&number).is_some_and(|call| !call.orphan) {
        // SAFETY: as in `read_page`; the fields are outside of what guards lend.
        let (channel, badge) = unsafe { ((*page(true)).channel, (*page(true)).badge) };
        let account = state.processes[&who.process].account;
        handles[0] = objects::mint(state, who.process, channel, badge, account)?;
    }
    message.handles = handles.iter().filter_map(|handle| state.uninstall(who.process, *handle).ok()).collect();
    if kept.is_none() {
        state.current.remove(&who.thread);
    }
    if state.finish(number, Ok(message)) { Ok(0) } else { Err(Error::CallerGone) }
}

impl State {
    /// The call that a channel delivers next: the oldest, but a suspect alone.
    fn next_call(&self, channel: u64) -> Option<u64> {
        let Some(Object::Channel(found)) = self.objects.get(&channel) else { return None };
        let suspect = |call: &Call| call.faults + call.hangs > 0;
        let held =
            |call: &Call| matches!(call.state, CallState::Current(_) | CallState::Kept) && call.outcome.is_none();
        let mut same = self.calls.values().filter(|call| call.channel == channel && held(call));
        let (any_held, suspect_held) = (same.clone().next().is_some(), same.any(suspect));
        if suspect_held {
            return None;
        }
        let next = *found.queue.front()?;
        if any_held && self.calls.get(&next).is_some_and(suspect) { None } else { Some(next) }
    }

    /// Ends a call: whether its caller was still there.
    pub(super) fn finish(&mut self, number: u64, outcome: Result<Message, Error>) -> bool {
        let Some(call) = self.calls.get_mut(&number) else {
            if let Ok(message) = outcome {
                message.handles.into_iter().for_each(|entry| self.release(entry));
            }
            return false;
        };
        if call.outcome.is_some() {
            return false;
        }
        let sent = core::mem::take(&mut call.request.handles);
        let orphan = call.orphan;
        if orphan {
            self.calls.remove(&number);
            if let Ok(message) = outcome {
                message.handles.into_iter().for_each(|entry| self.release(entry));
            }
        } else {
            call.outcome = Some(outcome);
        }
        sent.into_iter().for_each(|entry| self.release(entry));
        Kernel::notify();
        !orphan
    }

    /// The caller leaves a call that has no outcome: what it is told.
    pub(super) fn give_up(&mut self, number: u64) -> Error {
        let Some(call) = self.calls.get_mut(&number) else { return Error::Unknown };
        let (state, channel, replayed) = (call.state, call.channel, call.replayed);
        match state {
            CallState::Queued => {
                let sent = core::mem::take(&mut call.request.handles);
                self.calls.remove(&number);
                sent.into_iter().for_each(|entry| self.release(entry));
                if let Some(channel) = self.channel(channel) {
                    channel.queue.retain(|queued| *queued != number);
                }
                if replayed { Error::Unknown } else { Error::NotStarted }
            }
            CallState::Current(_) => {
                call.orphan = true;
                Error::Unknown
            }
            CallState::Kept | CallState::Parked => {
                call.orphan = true;
                if let Some(channel) = self.channel(channel) {
                    channel.withdrawn.push_back(number);
                }
                Kernel::notify();
                if state == CallState::Parked { Error::NotStarted } else { Error::Unknown }
            }
        }
    }
}
