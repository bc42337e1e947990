//! Calls and signals: the hot path. Everything here inlines to the registers and one `syscall`.

use super::entry::{self, brief, check, error_of, message};
use crate::message::{self, Page};
use abi::error::OK;
use abi::{Delivery, Error, Handle, Header, Syscall, WORDS};
use core::ops::ControlFlow;

/// The words of a message that travel in registers.
pub type Words = [u64; WORDS];

/// What [`receive`] and [`reply_receive`] deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call, now the thread's current one. Payload, handles and key are in the serve page.
    Call {
        /// What the server gave the session when it was minted.
        badge: u64,
        /// Length, handles, class and method.
        header: Header,
        /// The words.
        words: Words,
    },
    /// Signal bits, now cleared.
    Signals(u64),
    /// A session was closed; it comes again until [`super::session_acknowledge`].
    Close {
        /// The session's badge.
        badge: u64,
        /// Number of the client process that closed it.
        client: u64,
        /// No process has the session any more.
        last: bool,
    },
    /// The caller of this kept call is gone; the handle still has to be answered or closed.
    Withdrawn(Handle),
}

/// Does nothing in the kernel: what entering and leaving it costs.
#[inline(always)]
pub fn null() {
    let _ = brief(Syscall::Null, 0, 0);
}

/// Calls a server and waits for the reply. Payload, handles, deadline and key are in the call page, as
/// the header says. Errors: see [`Syscall::Call`].
///
/// Panics when a [`crate::message::CallPage`] guard is alive in this thread.
#[inline(always)]
pub fn call(session: Handle, header: Header, words: Words) -> Result<(Header, Words), Error> {
    message::assert_free(Page::Call);
    let (status, _, header, words) = message(Syscall::Call, session.0, header.0, words);
    if status == OK { Ok((Header(header), words)) } else { Err(error_of(Syscall::Call, session.0, status)) }
}

/// Waits for what arrives next on a channel, until `deadline` (nanoseconds of the monotonic clock; 0 polls).
/// Errors: `TimedOut`, `Closed`, `BadState` (the current call is neither answered nor kept).
///
/// Panics when a [`crate::message::ServePage`] guard is alive in this thread.
#[inline(always)]
pub fn receive(channel: Handle, deadline: Option<u64>) -> Result<Event, Error> {
    message::assert_free(Page::Serve);
    wait(Syscall::Receive, channel, Header::default(), [0; WORDS], deadline)
}

/// Answers the current call and waits for what arrives next, until `deadline` (as [`receive`]).
/// Errors: those of [`receive`]; `CallerGone`: nothing was received, and the call has ended.
///
/// Panics when a [`crate::message::ServePage`] guard is alive in this thread.
#[inline(always)]
pub fn reply_receive(channel: Handle, header: Header, words: Words, deadline: Option<u64>) -> Result<Event, Error> {
    message::assert_free(Page::Serve);
    wait(Syscall::ReplyReceive, channel, header, words, deadline)
}

#[inline(always)]
fn wait(
    call: Syscall,
    channel: Handle,
    mut header: Header,
    words: Words,
    deadline: Option<u64>,
) -> Result<Event, Error> {
    if let Some(deadline) = deadline {
        message::set_receive_deadline(deadline);
        header = header.with_deadline();
    }
    let (status, r0, r1, words) = message(call, channel.0, header.0, words);
    if status == Delivery::CALL_STATUS {
        return Ok(Event::Call { badge: r0, header: Header(r1), words });
    }
    other_event(status, r0, words)
}

/// What ended [`serve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served<T> {
    /// Something that is no call arrived.
    Event(Event),
    /// `answer` does not go on. The last call is still the current one, unless it was kept or let go.
    Stopped(T),
}

/// Serves calls: receives, lets `answer` make the reply from badge, header and words, and so on until something else
/// arrives, `answer` breaks, or a system call is refused, which it returns. `CallerGone`: the last call has ended without its caller; go on.
/// `closed`: badge and client of a delivered close, which is acknowledged with the first wait. `deadline` is that of the first wait; `answer` says that of the next one with its reply.
///
/// The shortest way from one call to the next: what arrives stays in registers, and no event is made of it.
///
/// Panics when a [`crate::message::ServePage`] guard is alive in this thread.
#[inline(always)]
pub fn serve<T>(
    channel: Handle,
    mut deadline: Option<u64>,
    closed: Option<(u64, u64)>,
    mut answer: impl FnMut(u64, Header, Words) -> ControlFlow<T, (Header, Words, Option<u64>)>,
) -> Result<Served<T>, Error> {
    let (mut call, mut header, mut words) = (Syscall::Receive, Header::default(), [0; WORDS]);
    if let Some((badge, client)) = closed {
        header = header.with_acknowledgement();
        (words[0], words[1]) = (badge, client);
    }
    loop {
        message::assert_free(Page::Serve);
        if let Some(deadline) = deadline {
            message::set_receive_deadline(deadline);
            header = header.with_deadline();
        }
        let (status, badge, received, request) = message(call, channel.0, header.0, words);
        if status != Delivery::CALL_STATUS {
            return other_event(status, badge, request).map(Served::Event);
        }
        match answer(badge, Header(received), request) {
            ControlFlow::Continue(reply) => (header, words, deadline) = reply,
            ControlFlow::Break(stopped) => return Ok(Served::Stopped(stopped)),
        }
        call = Syscall::ReplyReceive;
    }
}

#[inline(always)]
fn other_event(status: u64, delivery: u64, words: Words) -> Result<Event, Error> {
    check(status)?;
    Ok(match Delivery::from_number(delivery) {
        Some(Delivery::Close) => Event::Close { badge: words[0], client: words[1], last: words[2] != 0 },
        Some(Delivery::Withdrawn) => Event::Withdrawn(Handle(words[0])),
        _ => Event::Signals(words[0]),
    })
}

/// Waits on a channel that nothing but signals reaches (no session is minted on it), until `deadline`.
/// It leaves the serve page's payload and handles alone, so a guard may be alive. Errors: as [`receive`].
#[inline]
pub(crate) fn receive_signals(channel: Handle, deadline: Option<u64>) -> Result<u64, Error> {
    match wait(Syscall::Receive, channel, Header::default(), [0; WORDS], deadline)? {
        Event::Signals(bits) => Ok(bits),
        _ => Ok(0),
    }
}

/// Answers the current call. Errors: `BadState` (none is current), `CallerGone`.
///
/// Panics when a [`crate::message::ServePage`] guard is alive in this thread.
#[inline(always)]
pub fn reply(header: Header, words: Words) -> Result<(), Error> {
    message::assert_free(Page::Serve);
    check(message(Syscall::Reply, 0, header.0, words).0)
}

/// Sets signal bits. Error: `Denied` for a bit outside of the handle's mask.
#[inline(always)]
pub fn signal(channel: Handle, bits: u64) -> Result<(), Error> {
    brief(Syscall::Signal, channel.0, bits)
}

/// Makes a handle of the current call. Errors: `BadState`, `NoSlot`, `AccountExhausted`.
pub fn call_keep() -> Result<Handle, Error> {
    Ok(Handle(entry::control(Syscall::CallKeep, [])?[0]))
}

/// Answers a kept call; the handle is gone whatever the outcome. Error: `CallerGone`.
///
/// Panics when a [`crate::message::ServePage`] guard is alive in this thread.
pub fn call_reply(call: Handle, header: Header, words: Words) -> Result<(), Error> {
    message::assert_free(Page::Serve);
    check(message(Syscall::CallReply, call.0, header.0, words).0)
}

/// Makes a kept call the current one; the handle is gone. Errors: `BadState` (another is current), `CallerGone` (it was parked).
pub fn call_resume(call: Handle) -> Result<(), Error> {
    brief(Syscall::CallResume, call.0, 0)
}

/// Starts the age of a call anew. [`Handle::NONE`]: of the current one.
pub fn call_progress(call: Handle) -> Result<(), Error> {
    brief(Syscall::CallProgress, call.0, 0)
}

/// Parks a kept call: it waits for an event, and nothing was done for it yet.
pub fn call_park(call: Handle) -> Result<(), Error> {
    brief(Syscall::CallPark, call.0, 0)
}

/// Lets a call go: its caller gets `Abandoned`. [`Handle::NONE`]: the current one.
pub fn call_abandon(call: Handle) -> Result<(), Error> {
    brief(Syscall::CallAbandon, call.0, 0)
}
