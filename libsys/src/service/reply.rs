//! Calls that are answered later.
//!
//! A method of a protocol whose last argument is `reply: Reply<'_, T>` answers through it: at once with
//! [`Reply::send`], or after [`Reply::keep`] with [`Kept::reply`], from wherever. A token that is dropped lets
//! the call go: its caller gets `Abandoned`.

use super::{commit, outbox};
use crate::message::ServePage;
use crate::state::replies::ReplyKey;
use crate::sys::Words;
use crate::wire::{Answer, Header, Outgoing, Refusal, Request, Unencodable};
use crate::{Error, Handle, KeptCall, Object};

/// Encodes what a method answers.
pub(crate) type Encode<T> = fn(T, &mut Outgoing<ServePage>) -> Result<(), Unencodable>;

/// What a method did with its [`Reply`]: used by the code of `#[protocol]`.
#[derive(Debug)]
pub struct Slot<T> {
    state: State<T>,
    encode: Encode<T>,
}

#[derive(Debug)]
enum State<T> {
    Dropped,
    Answered(T),
    Kept,
}

impl<T> Slot<T> {
    /// A slot that nothing was done with.
    #[inline(always)]
    pub fn new(encode: Encode<T>) -> Slot<T> {
        Slot { state: State::Dropped, encode }
    }

    /// What the loop is to do.
    #[inline]
    pub fn finish(self, request: &Request) -> Answer {
        match self.state {
            State::Answered(value) => request.answer(value, self.encode),
            State::Kept => Answer::Kept,
            State::Dropped => Answer::Dropped,
        }
    }
}

/// The right to answer the current call.
#[derive(Debug)]
pub struct Reply<'a, T> {
    slot: &'a mut Slot<T>,
}

impl<'a, T> Reply<'a, T> {
    /// Used by the code of `#[protocol]`.
    #[inline(always)]
    pub fn new(slot: &'a mut Slot<T>) -> Reply<'a, T> {
        Reply { slot }
    }

    /// Answers, when the method returns.
    #[inline]
    pub fn send(self, value: T) {
        self.slot.state = State::Answered(value);
    }

    /// Keeps the call, to answer it later. Errors: `NoSlot`, `AccountExhausted`; the call is then let go.
    pub fn keep(self) -> Result<Kept<T>, Error> {
        let call = KeptCall::keep()?;
        self.slot.state = State::Kept;
        Ok(Kept { call, encode: self.slot.encode, key: outbox::current() })
    }
}

/// A call that is answered later.
#[derive(Debug)]
pub struct Kept<T> {
    call: KeptCall,
    encode: Encode<T>,
    /// Of a `once` request, in a server with records.
    key: Option<ReplyKey>,
}

impl<T> Kept<T> {
    /// Says that the call waits for an event, and nothing was done for it yet: its age does not count,
    /// and if the server dies it goes back into the queue, whatever its class.
    pub fn park(&self) -> Result<(), Error> {
        self.call.park()
    }

    /// Says that work on the call goes on: its age starts anew.
    pub fn progress(&self) -> Result<(), Error> {
        self.call.progress()
    }

    /// Whether this is the call that [`super::Server::withdrawn`] names.
    pub fn is(&self, call: Handle) -> bool {
        self.call.handle() == call
    }
}

impl<T: 'static> Kept<T> {
    /// Answers the call. Error: `CallerGone`. The answer is put off where it cannot leave yet, and counts as given then: inside a method that borrows from its
    /// request, as both use the thread's serve page; and in a server with records, until what it tells of is committed.
    pub fn reply(self, value: T) -> Result<(), Error> {
        let Kept { call, encode, key } = self;
        if key.is_none() && outbox::can_send() {
            let (header, words) = encoded(encode, value);
            return call.reply(header, words);
        }
        // So that nothing is given to who is gone.
        call.progress()?;
        outbox::put(call, key, move || {
            let (header, words) = encoded(encode, value);
            commit::take(header, words)
        });
        Ok(())
    }
}

/// Encodes a value into the serve page.
fn encoded<T>(encode: Encode<T>, value: T) -> (Header, Words) {
    let mut outgoing = Outgoing::new(Header(0));
    match encode(value, &mut outgoing) {
        Ok(()) => (commit::mint_now(outgoing.header), outgoing.words),
        Err(Unencodable) => Answer::refusal(Refusal::Unencodable),
    }
}
