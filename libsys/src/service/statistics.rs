//! What a service counts: everything that did not go as it should. Calls themselves are counted by the kernel.

use crate::Session;
use crate::client::{CallError, Link};
use crate::message::ServePage;
use crate::sys::Words;
use crate::wire::{Class, Header, Method, NoError, Outgoing, Refusal, Request};
use core::sync::atomic::{AtomicU64, Ordering};
use serde::{Deserialize, Serialize};

/// Counts since the service started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Requests with arguments that did not decode.
    pub malformed: u64,
    /// Requests for methods that the server has not.
    pub unsupported: u64,
    /// Requests of another class than the method's.
    pub wrong_class: u64,
    /// Requests with missing or wrong handles.
    pub wrong_handles: u64,
    /// Requests that were refused as they had killed the server before.
    pub deadly: u64,
    /// Results that did not fit in a message.
    pub unencodable: u64,
    /// `once` requests that an earlier incarnation may have carried out.
    pub interrupted: u64,
    /// Calls that a method let go without an answer.
    pub dropped: u64,
    /// Answers whose caller was gone.
    pub gone: u64,
}

impl Statistics {
    /// The statistics of the server behind a session.
    pub(crate) fn of(session: &Session) -> Result<Statistics, CallError<NoError>> {
        const ASK: Method = Method {
            name: "statistics",
            identity: Method::STATISTICS,
            class: Class::Replay,
            handles: 0,
            last_handle_is_optional: false,
            reply_handles: 0,
            asks_in_words: true,
        };
        Link::call_over(session, &ASK, |_| Ok(()), |incoming| incoming.data())
    }
}

/// The counts of a running service; its threads share them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By [`Refusal`].
    refused: [AtomicU64; REFUSALS],
    dropped: AtomicU64,
    gone: AtomicU64,
}

const REFUSALS: usize = Refusal::Exhausted as usize + 1;

impl Counters {
    #[cold]
    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn gone(&self) {
        self.gone.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Statistics {
        let refused = |refusal: Refusal| self.refused[refusal as usize].load(Ordering::Relaxed);
        Statistics {
            malformed: refused(Refusal::Malformed),
            unsupported: refused(Refusal::Unsupported),
            wrong_class: refused(Refusal::WrongClass),
            wrong_handles: refused(Refusal::WrongHandles),
            deadly: refused(Refusal::Deadly),
            unencodable: refused(Refusal::Unencodable),
            interrupted: refused(Refusal::Interrupted),
            dropped: self.dropped.load(Ordering::Relaxed),
            gone: self.gone.load(Ordering::Relaxed),
        }
    }

    /// Answers a request for the statistics.
    pub(super) fn answer(&self, request: &Request) -> (Header, Words) {
        request.close_handles();
        let mut outgoing = Outgoing::<ServePage>::new(Header(0));
        // Nine numbers always fit.
        let _ = outgoing.data(&self.read());
        (outgoing.header, outgoing.words)
    }
}
