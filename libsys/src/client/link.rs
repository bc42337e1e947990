//! A session with what a client adds to it: how one typed call is made.

use super::complaint::{self, Complaint, Verdict};
use super::given::Given;
use super::key::Key;
use super::plausible::{self, Plausible as _};
use super::{CallError, OpenError};
use crate::message::{self, CallPage};
use crate::wire::{Class, Header, Incoming, Method, NoError, Outgoing, Status, Unencodable};
use crate::{Session, sys};
use abi::PAYLOAD_BYTES;
use core::time::Duration;
use serde::de::DeserializeOwned;

/// A session, and how long its calls may take.
#[derive(Debug)]
pub struct Link {
    session: Session,
    /// Nanoseconds; `u64::MAX`: for ever.
    timeout: u64,
}

/// Identities that one question about them holds.
const IDENTITIES: usize = PAYLOAD_BYTES / size_of::<u32>();

impl Link {
    /// A link whose calls wait as long as it takes.
    pub const fn new(session: Session) -> Link {
        Link { session, timeout: u64::MAX }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ends the link; its session stays open.
    pub fn into_session(self) -> Session {
        self.session
    }

    /// Says after which time calls give up; `None`: never.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout.map_or(u64::MAX, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Makes a call: `encode` puts the arguments into the request, `decode` takes the results out of the reply. An error for which `is_implausible` holds is asked about again,
    /// as is a reply that does not decode: see [`super::plausible`].
    #[inline(always)]
    pub fn call<T, E: DeserializeOwned>(
        &self,
        method: &'static Method,
        encode: impl FnMut(&mut Outgoing<CallPage>) -> Result<(), Unencodable>,
        decode: impl FnMut(&mut Incoming) -> Option<T>,
        is_implausible: impl FnOnce(&E) -> bool + Copy,
    ) -> Result<T, CallError<E>> {
        call(&self.session, self.timeout, method, encode, decode, is_implausible)
    }

    /// The same over a session, without a timeout.
    pub(crate) fn call_over<T>(
        session: &Session,
        method: &'static Method,
        encode: impl FnMut(&mut Outgoing<CallPage>) -> Result<(), Unencodable>,
        decode: impl FnMut(&mut Incoming) -> Option<T>,
    ) -> Result<T, CallError<NoError>> {
        call(session, u64::MAX, method, encode, decode, NoError::is_implausible)
    }

    /// Asks whether the server has all these methods.
    pub(super) fn check(&self, methods: &'static [Method]) -> Result<(), OpenError> {
        static ASK: Method = Method {
            name: "identities",
            identity: Method::IDENTITIES,
            class: Class::Replay,
            handles: 0,
            last_handle_is_optional: false,
            reply_handles: 0,
            asks_in_words: false,
        };
        for part in methods.chunks(IDENTITIES) {
            let mut bad_replies = 0;
            while let Some(name) = self.missing(&ASK, part)? {
                // What a client is given as a rule has what it is given for: a server that denies that is doubted like one that does not know a method when it is called.
                bad_replies += 1;
                let complaint = Complaint { session: &self.session, method: &ASK, bad_replies };
                if complaint::complain(&complaint) == Verdict::GiveUp {
                    return Err(OpenError::Missing(name));
                }
            }
        }
        Ok(())
    }

    /// The first of some methods that the server says it has not.
    fn missing(&self, ask: &'static Method, methods: &'static [Method]) -> Result<Option<&'static str>, OpenError> {
        let missing: u64 = self
            .call::<_, NoError>(
                ask,
                |outgoing| {
                    outgoing.raw(methods.iter().flat_map(|method| method.identity.to_le_bytes()));
                    Ok(())
                },
                |incoming| incoming.word(0),
                NoError::is_implausible,
            )
            .map_err(OpenError::Call)?;
        // The answer is 0, or one more than the index of the first that is missing.
        Ok(missing.checked_sub(1).map(|index| methods.get(index as usize).map_or("?", |method| method.name)))
    }
}

#[inline(always)]
fn call<T, E: DeserializeOwned>(
    session: &Session,
    timeout: u64,
    method: &'static Method,
    mut encode: impl FnMut(&mut Outgoing<CallPage>) -> Result<(), Unencodable>,
    mut decode: impl FnMut(&mut Incoming) -> Option<T>,
    is_implausible: impl FnOnce(&E) -> bool + Copy,
) -> Result<T, CallError<E>> {
    let mut key = None;
    let mut bad_replies = 0;
    let mut given = Given::new();
    loop {
        let mut outgoing = Outgoing::new(method.header());
        if encode(&mut outgoing).is_err() {
            return Err(CallError::TooLarge);
        }
        if let Class::Once = method.class {
            let Key { lane, sequence } = *key.get_or_insert_with(Key::next);
            CallPage::take().set_key(lane, sequence);
        }
        let header = if timeout == u64::MAX { outgoing.header } else { with_deadline(outgoing.header, timeout) };
        let (header, words) = session.call(header, outgoing.words)?;
        if Given::is_needed(method) && bad_replies > 0 {
            given.hand_over();
        }
        let mut incoming = Incoming::new(header, words);
        let doubted = if incoming.status() == Some(Status::Done) {
            if let Some(result) = decode(&mut incoming) {
                incoming.close_rest();
                return Ok(result);
            }
            None
        } else {
            match error(method, &incoming) {
                Some(error) if !plausible::is_doubtful(&error, is_implausible) => {
                    incoming.close_rest();
                    return Err(error);
                }
                error => error,
            }
        };
        if Given::is_needed(method) {
            given.hold(&incoming);
        } else {
            incoming.close_rest();
        }
        bad_replies += 1;
        if complaint::complain(&Complaint { session, method, bad_replies }) == Verdict::GiveUp {
            return Err(doubted.unwrap_or(CallError::BadReply));
        }
    }
}

/// The error in a reply that is not a result; `None` when it does not decode.
#[cold]
#[inline(never)]
fn error<E: DeserializeOwned>(method: &'static Method, incoming: &Incoming) -> Option<CallError<E>> {
    let error = match incoming.status()? {
        Status::Failed => CallError::Failed(incoming.data::<E>()?),
        Status::Refused(refusal) => CallError::refused(refusal, method.name),
        Status::Done => return None,
    };
    Some(error)
}

#[cold]
fn with_deadline(header: Header, timeout: u64) -> Header {
    message::set_call_deadline(sys::clock_read().nanoseconds.saturating_add(timeout));
    header.with_deadline()
}
