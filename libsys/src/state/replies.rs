//! Kept replies: what was answered to `once` requests, committed with their effects. A request that comes again, as the server died before its client had
//! the reply, is answered with it.
//!
//! A client's thread waits for one reply at a time, so the last of each lane is enough. It goes with the close of the session over which it was
//! asked for, or when the next one of the lane takes its place. Lanes are chosen by clients, so each has [`LANES`] at most.
//!
//! The handles of a reply are the server's until it is sent. Where the server dies before, and nobody asks again, they are closed when the reply goes.

use super::records::{RecordKey, Records};
use super::storage::Storage;
use crate::client::Key;
use crate::sys::Words;
use crate::{Error, Handle, Header};
use abi::WORDS;
use abi::message::HANDLES;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

const KIND: u16 = u16::MAX;

/// Lanes of one client for which replies are kept: more than threads that wait for one server at once.
const LANES: usize = 64;

/// Sessions that may be noted as having replies before it is looked whether they still do.
const LEAST_REPLIED: usize = 256;

/// Where the sequence, the badge and the header are in a record.
const SEQUENCE: usize = 0;
const BADGE: usize = 8;
const HEADER: usize = 16;

/// Which request of whom. A server that works on one for longer keeps it in a record of its own, to know the request by when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyKey {
    /// Of the session.
    pub badge: u64,
    /// The client process, as the kernel says.
    pub client: u64,
    /// The client's key.
    pub key: Key,
}

impl ReplyKey {
    /// Whether who makes this request does not wait for that one any more: it is a later one of the lane.
    pub fn is_behind(&self, other: &ReplyKey) -> bool {
        self.client == other.client && self.key.lane == other.key.lane && self.key.sequence > other.key.sequence
    }
}

/// A reply, as it lies in the words and the serve page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReply {
    /// Its header.
    pub header: Header,
    /// Its words.
    pub words: Words,
    /// Its handles, as many as the header says. Of a reply that mints a session, the first is that one's badge.
    pub handles: [Handle; HANDLES],
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What is known of a request by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was not carried out.
    New,
    /// It was, and this was answered.
    Answered(KeptReply),
    /// A later one of its lane was: nobody waits for this one.
    Stale,
}

impl<S: Storage> Records<S> {
    /// Looks for what was answered to a request.
    pub fn reply_to(&self, to: &ReplyKey) -> Known {
        let key = key_of(to);
        let Some(sequence) = self.word_of(key, SEQUENCE) else { return Known::New };
        if sequence != to.key.sequence {
            return if sequence > to.key.sequence { Known::Stale } else { Known::New };
        }
        self.bytes_of(key).map_or(Known::New, |bytes| Known::Answered(decode(&bytes)))
    }

    /// Stages a reply, to be committed with the effects of its request. Its handles are kept until it is sent. Errors: those of [`Records::keep`].
    pub fn stage_reply(&mut self, to: &ReplyKey, reply: &KeptReply) -> Result<(), Error> {
        let handles = &reply.handles[..reply.header.handles().min(HANDLES)];
        for handle in &handles[usize::from(reply.header.mints())..] {
            self.keep_handle(*handle)?;
        }
        let used = reply.words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        let head = [to.key.sequence, to.badge, reply.header.0, used as u64];
        let words =
            head.into_iter().chain(reply.words[..used].iter().copied()).chain(handles.iter().map(|handle| handle.0));
        let key = key_of(to);
        if self.word_of(key, SEQUENCE).is_none() {
            self.make_room_for_lane(to.client);
        }
        self.release_handles(key);
        self.replied.insert(to.badge);
        self.put_reply(key, words, &reply.payload);
        Ok(())
    }

    /// Stages that the replies to a client over a session are not needed any more: it has closed it.
    pub fn forget_replies(&mut self, badge: u64, client: u64) {
        if self.replied.contains(&badge) {
            self.forget_replies_to(badge, client);
        }
    }

    /// Finds out over which sessions replies are kept.
    #[cold]
    fn look_who_has_replies(&mut self) {
        let (first, last) = (lanes_of(0).0, lanes_of(u64::MAX).1);
        self.replied = self.keys(first, last).filter_map(|key| self.word_of(key, BADGE)).collect();
        self.most_replied = LEAST_REPLIED.max(2 * self.replied.len());
    }

    #[cold]
    fn forget_replies_to(&mut self, badge: u64, client: u64) {
        // No reply is staged now, which would be overlooked.
        if self.replied.len() > self.most_replied {
            self.look_who_has_replies();
        }
        let (first, last) = lanes_of(client);
        let is_of_session = |key: &RecordKey| self.word_of(*key, BADGE) == Some(badge);
        let all: Vec<RecordKey> = self.keys(first, last).filter(is_of_session).collect();
        all.into_iter().for_each(|key| self.forget_reply(key));
    }

    /// Notes over which sessions replies are kept, and which handles of replies were not sent by the incarnation before.
    pub(super) fn recover_replies(&mut self) {
        let (first, last) = (lanes_of(0).0, lanes_of(u64::MAX).1);
        self.look_who_has_replies();
        let has_handles = |key: &RecordKey| {
            let header = self.word_of(*key, HEADER).map_or(Header(0), Header);
            header.handles() > usize::from(header.mints())
        };
        let with_handles: Vec<RecordKey> = self.keys(first, last).filter(has_handles).collect();
        self.unsent.extend(with_handles);
    }

    fn forget_reply(&mut self, key: RecordKey) {
        self.release_handles(key);
        self.remove(key);
    }

    /// Gives up the handles of a reply that an earlier incarnation did not send, as far as anybody knows: one that was moved is not there any more.
    fn release_handles(&mut self, key: RecordKey) {
        if !self.unsent.is_empty() && self.unsent.remove(&key) {
            let reply = self.bytes_of(key).map(|bytes| decode(&bytes));
            let kept = |reply: &KeptReply| reply.handles.into_iter().skip(usize::from(reply.header.mints()));
            let handles = reply.iter().flat_map(kept).filter(|handle| !handle.is_none());
            handles.for_each(|handle| self.release_handle(handle));
        }
    }

    /// The oldest lane of a client that has as many as one may have makes room for another.
    #[cold]
    fn make_room_for_lane(&mut self, client: u64) {
        let (first, last) = lanes_of(client);
        if self.keys(first, last).count() >= LANES
            && let Some(oldest) = self.keys(first, last).min_by_key(|key| self.word_of(*key, SEQUENCE))
        {
            self.forget_reply(oldest);
        }
    }
}

/// The reply in a record.
fn decode(bytes: &[u8]) -> KeptReply {
    let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).skip(HEADER / 8);
    let mut word = || words.next().unwrap_or(0);
    let mut reply =
        KeptReply { header: Header(word()), words: [0; _], handles: [Handle::NONE; HANDLES], payload: Vec::new() };
    let used = (word() as usize).min(WORDS);
    reply.words[..used].fill_with(&mut word);
    let handles = reply.header.handles().min(HANDLES);
    reply.handles[..handles].fill_with(|| Handle(word()));
    reply.payload.extend(bytes.iter().skip(8 * (4 + used + handles)));
    reply
}

/// The first and last key of a client's lanes.
fn lanes_of(client: u64) -> (RecordKey, RecordKey) {
    let key = |second| RecordKey { kind: KIND, first: client, second };
    (key(0), key(u64::MAX))
}

fn key_of(to: &ReplyKey) -> RecordKey {
    RecordKey { kind: KIND, first: to.client, second: to.key.lane }
}
