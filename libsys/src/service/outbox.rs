//! Answers to kept calls that wait until they can be sent: until the serve page is free, and, in a server with records, until they are committed.
//!
//! A method that borrows from its request holds the thread's serve page; an answer to another call would overwrite what
//! it borrows. Such answers wait in the thread's block until the loop has sent the method's own. So do all answers of a server with records, until what they tell
//! of is committed, with those to `once` requests.

use super::commit;
use crate::message::{self, Page};
use crate::state::replies::{KeptReply, ReplyKey};
use crate::state::{Records, Storage};
use crate::thread::block;
use crate::{Error, Handle, KeptCall};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

/// Encodes an answer into the serve page.
type Encode = Box<dyn FnOnce() -> KeptReply>;

/// What an answer is, so far.
enum Answer {
    Value(Encode),
    Reply(KeptReply),
}

/// An answer that was put off.
struct PutOff {
    call: KeptCall,
    key: Option<ReplyKey>,
    answer: Answer,
}

/// The answers that one thread has put off.
pub(crate) struct Outbox {
    is_waiting: Cell<bool>,
    answers: Cell<Vec<PutOff>>,
    /// Key of the request that is being carried out, in a server with records.
    current: Cell<Option<ReplyKey>>,
    /// The server has records: no answer leaves before a commit.
    holds_back: Cell<bool>,
    /// The channel whose requests are carried out.
    served: Cell<Handle>,
}

impl Outbox {
    pub(crate) const fn new() -> Outbox {
        Outbox {
            is_waiting: Cell::new(false),
            answers: Cell::new(Vec::new()),
            current: Cell::new(None),
            holds_back: Cell::new(false),
            served: Cell::new(Handle::NONE),
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({})", if self.is_waiting.get() { "waiting" } else { "empty" })
    }
}

/// Says which request is being carried out.
pub(super) fn set_current(key: Option<ReplyKey>) {
    block::current().outbox.current.set(key);
}

/// The key of the request that is being carried out.
pub(super) fn current() -> Option<ReplyKey> {
    block::current().outbox.current.get()
}

/// Says which channel the thread serves, and whether answers wait for a commit.
pub(super) fn serve(channel: Handle, holds_back: bool) {
    let outbox = &block::current().outbox;
    outbox.served.set(channel);
    outbox.holds_back.set(holds_back);
}

/// The channel that the thread serves.
pub(super) fn served() -> Handle {
    block::current().outbox.served.get()
}

/// Whether the thread can send an answer right now.
pub(super) fn can_send() -> bool {
    message::is_free(Page::Serve) && !block::current().outbox.holds_back.get()
}

/// Puts an answer off.
pub(super) fn put(call: KeptCall, key: Option<ReplyKey>, encode: impl FnOnce() -> KeptReply + 'static) {
    let outbox = &block::current().outbox;
    let mut answers = outbox.answers.take();
    answers.push(PutOff { call, key, answer: Answer::Value(Box::new(encode)) });
    outbox.answers.set(answers);
    outbox.is_waiting.set(true);
}

/// Whether answers wait for [`send`].
#[inline(always)]
pub(super) fn is_waiting() -> bool {
    block::current().outbox.is_waiting.get()
}

/// Has the loop look behind the next answer, as if something waited.
pub(super) fn call_attention() {
    block::current().outbox.is_waiting.set(true);
}

/// Stages what waits and has a key. It overwrites the serve page. Errors: those of [`Records::stage_reply`].
#[cold]
pub(super) fn stage<S: Storage>(records: &mut Records<S>) -> Result<(), Error> {
    let outbox = &block::current().outbox;
    let mut result = Ok(());
    let stage = |PutOff { call, key, answer }: PutOff| {
        let answer = match (key, answer) {
            (Some(key), Answer::Value(encode)) => {
                let reply = encode();
                result = result.and_then(|()| records.stage_reply(&key, &reply));
                Answer::Reply(reply)
            }
            (_, answer) => answer,
        };
        PutOff { call, key, answer }
    };
    let answers = outbox.answers.take().into_iter().map(stage).collect();
    outbox.answers.set(answers);
    result
}

/// Sends what waits. It overwrites the serve page, so the thread's own answer must have been sent.
#[cold]
pub(super) fn send() {
    let outbox = &block::current().outbox;
    outbox.is_waiting.set(false);
    for PutOff { call, answer, .. } in outbox.answers.take() {
        let (header, words) = commit::put(answer.encode());
        // The caller may be gone meanwhile; there is nobody left to tell.
        let _ = call.reply(header, words);
    }
}

impl Answer {
    fn encode(self) -> KeptReply {
        match self {
            Answer::Value(encode) => encode(),
            Answer::Reply(reply) => reply,
        }
    }
}
