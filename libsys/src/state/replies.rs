//! Kept replies: what was answered to `once` requests, committed with their effects. A request that comes again, as the server died before its client had
//! the reply, is answered with it.
//!
//! A client's thread waits for one reply at a time, so the last of each lane is enough. It goes with the close of the session over which it was
//! asked for, or when the next one of the lane takes its place.

use super::records::{RecordKey, Records};
use super::storage::Storage;
use crate::client::Key;
use crate::sys::Words;
use crate::{Error, Handle, Header};
use abi::WORDS;
use abi::message::HANDLES;
use alloc::vec::Vec;

const KIND: u16 = u16::MAX;

/// Which request of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyKey {
    /// Of the session.
    pub badge: u64,
    /// The client process, as the kernel says.
    pub client: u64,
    /// The client's key.
    pub key: Key,
}

/// A reply, as it lies in the words and the serve page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReply {
    /// Its header.
    pub header: Header,
    /// Its words.
    pub words: Words,
    /// Its handles, as many as the header says.
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
        let Some(bytes) = self.bytes_of(key_of(to)) else { return Known::New };
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or(0);
        let (sequence, _badge) = (word(), word());
        if sequence != to.key.sequence {
            return if sequence > to.key.sequence { Known::Stale } else { Known::New };
        }
        let mut reply =
            KeptReply { header: Header(word()), words: [0; _], handles: [Handle::NONE; HANDLES], payload: Vec::new() };
        let used = (word() as usize).min(WORDS);
        reply.words[..used].fill_with(&mut word);
        reply.handles[..reply.header.handles().min(HANDLES)].fill_with(|| Handle(word()));
        reply.payload.extend(bytes.iter().skip(8 * (4 + used + reply.header.handles().min(HANDLES))));
        Known::Answered(reply)
    }

    /// Stages a reply, to be committed with the effects of its request. Its handles are kept until it is sent. Errors: those of [`Records::keep`].
    pub fn stage_reply(&mut self, to: &ReplyKey, reply: &KeptReply) -> Result<(), Error> {
        let handles = &reply.handles[..reply.header.handles().min(HANDLES)];
        for handle in handles {
            self.keep_handle(*handle)?;
        }
        let used = reply.words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        let head = [to.key.sequence, to.badge, reply.header.0, used as u64];
        let words =
            head.into_iter().chain(reply.words[..used].iter().copied()).chain(handles.iter().map(|handle| handle.0));
        let mut bytes = Vec::with_capacity(8 * (head.len() + WORDS + HANDLES) + reply.payload.len());
        words.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.extend_from_slice(&reply.payload);
        self.put_reply(key_of(to), &bytes);
        Ok(())
    }

    /// Stages that the replies to a client over a session are not needed any more: it has closed it.
    pub fn forget_replies(&mut self, badge: u64, client: u64) {
        let key = |second| RecordKey { kind: KIND, first: client, second };
        let is_of_session = |key: &RecordKey| {
            let bytes = self.bytes_of(*key).unwrap_or_default();
            bytes.get(8..16).is_some_and(|bytes| bytes == badge.to_le_bytes())
        };
        let all: Vec<RecordKey> = self.keys(key(0), key(u64::MAX)).filter(is_of_session).collect();
        for key in all {
            self.remove(key);
        }
    }
}

fn key_of(to: &ReplyKey) -> RecordKey {
    RecordKey { kind: KIND, first: to.client, second: to.key.lane }
}
