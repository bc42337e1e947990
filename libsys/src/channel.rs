//! Channels: where calls and signals meet a server.

use crate::object::{Object, object};
use crate::{Account, Process, Session, sys};
use abi::inspect::SessionRecord;
use abi::{Error, Handle, Header, PAYLOAD_BYTES, Rights};
use alloc::vec::Vec;
use core::ops::ControlFlow;

pub use sys::{Event, Served, Words};

/// A channel, or the right to signal some bits of one.
pub struct Channel(Handle);

object!(Channel, Channel);

impl Channel {
    /// A channel that the caller's process serves. Errors: `AccountExhausted`, `NoSlot`.
    pub fn create(account: &Account) -> Result<Channel, Error> {
        sys::channel_create(account.handle(), Handle::NONE).map(Channel::from_handle)
    }

    /// A channel that `process` serves. Needs `MANAGE` of it.
    pub fn create_for(account: &Account, process: &Process) -> Result<Channel, Error> {
        sys::channel_create(account.handle(), process.handle()).map(Channel::from_handle)
    }

    /// Closes it for good: its callers get `Closed`. Needs `MANAGE`.
    pub fn close(&self) -> Result<(), Error> {
        sys::channel_close(self.0)
    }

    /// Waits for what arrives next, until `deadline` (nanoseconds of the monotonic clock; 0 polls). Needs `RECEIVE`.
    /// Errors: `TimedOut`, `Closed`, `BadState`.
    #[inline(always)]
    pub fn receive(&self, deadline: Option<u64>) -> Result<Event, Error> {
        sys::receive(self.0, deadline)
    }

    /// Answers the current call, then waits as [`Channel::receive`]. Error besides: `CallerGone` (nothing was received).
    #[inline(always)]
    pub fn reply_receive(&self, header: Header, words: Words, deadline: Option<u64>) -> Result<Event, Error> {
        sys::reply_receive(self.0, header, words, deadline)
    }

    /// Serves calls with `answer` until something else arrives, and acknowledges a close first: see [`sys::serve`]. Needs `RECEIVE`.
    #[inline(always)]
    pub fn serve<T>(
        &self,
        deadline: Option<u64>,
        closed: Option<(u64, u64)>,
        answer: impl FnMut(u64, Header, Words) -> ControlFlow<T, (Header, Words, Option<u64>)>,
    ) -> Result<Served<T>, Error> {
        sys::serve(self.0, deadline, closed, answer)
    }

    /// Sets signal bits. Needs `SIGNAL`. Error: `Denied` (a bit outside of the handle's mask).
    #[inline(always)]
    pub fn signal(&self, bits: u64) -> Result<(), Error> {
        sys::signal(self.0, bits)
    }

    /// A session with a badge that only the server sees. Needs `MINT`. Errors: `AccountExhausted`, `NoSlot`, `Closed`.
    pub fn mint(&self, badge: u64, account: &Account) -> Result<Session, Error> {
        sys::session_mint(self.0, badge, account.handle()).map(Session::from_handle)
    }

    /// A session with a badge, minted when the reply to the thread's current call leaves: a method returns it at once, as the first handle of its
    /// answer, and does nothing else with it. Where it cannot be minted, or the caller is gone, the server's loop takes it back with
    /// [`Server::close`](crate::service::Server::close), of the client 0. Cheaper than [`Channel::mint`]. Needs `MINT`.
    ///
    /// In a server with records, the badge has to say all about what the session stands for: the answer is kept, and a later incarnation may be the one that mints it
    /// ([`Server::reopened`](crate::service::Server::reopened)). What has a record of its own is minted at once.
    #[inline]
    pub fn mint_with_reply(&self, badge: u64) -> Session {
        crate::message::promise(self.0, badge);
        Session::from_handle(Handle::PROMISED)
    }

    /// A handle that can do nothing but set `bits`. Needs `DUPLICATE` and `SIGNAL`.
    pub fn signaller(&self, bits: u64) -> Result<Channel, Error> {
        sys::handle_duplicate(self.0, Rights::SIGNAL | Rights::DUPLICATE, bits).map(Channel::from_handle)
    }

    /// All live sessions, and closed ones that are not acknowledged. Needs `RECEIVE`.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        const MOST_RECORDS: usize = PAYLOAD_BYTES / size_of::<SessionRecord>();
        let (mut all, mut cursor) = (Vec::new(), 0);
        loop {
            let mut part = [SessionRecord::default(); MOST_RECORDS];
            let (count, next) = sys::session_list(self.0, cursor, &mut part)?;
            all.extend_from_slice(&part[..count]);
            if next == 0 {
                return Ok(all);
            }
            cursor = next;
        }
    }

    /// Acknowledges a delivered [`Event::Close`]. Needs `RECEIVE`. Error: `BadState`.
    pub fn acknowledge_close(&self, badge: u64, client: u64) -> Result<(), Error> {
        sys::session_acknowledge(self.0, badge, client)
    }
}
