//! Exactly once: what the loop of a server with [`Records`] does around a request.
//!
//! The effect of a `once` request and its reply are one commit, before the reply leaves. Where the server dies before it, nothing was done, and the kernel delivers
//! the request again; where it dies after it, the request is known by its key, and answered with the reply that was kept.

use super::outbox;
use crate::message::{self, ServePage};
use crate::state::replies::{KeptReply, Known, ReplyKey};
use crate::state::{Records, Storage};
use crate::sys::{self, Words};
use crate::wire::{Class, Header, Refusal, Request};
use crate::{Object, env};
use abi::message::HANDLES;

/// The key of a `once` request.
pub(super) fn key_of(request: &Request) -> Option<ReplyKey> {
    // Most requests are not: the stamp is not read for them.
    request.header().class().filter(|class| *class == Class::Once)?;
    request.context().request()
}

/// What was answered to a request already, if it was; or why its answer could not be kept.
pub(super) fn answered<S: Storage>(records: &Records<S>, key: &ReplyKey) -> Option<Result<KeptReply, Refusal>> {
    match records.reply_to(key) {
        Known::New => (!records.has_reserve()).then_some(Err(Refusal::Exhausted)),
        Known::Answered(reply) => Some(Ok(reply)),
        Known::Stale => Some(Err(Refusal::Malformed)),
    }
}

/// Commits what is staged, with the reply in the serve page to the request of a key, and with the answers to kept calls that wait in the outbox. Error: `Unencodable`
/// (a handle of the reply cannot be kept); nothing is committed then.
pub(super) fn commit<S: Storage>(
    records: &mut Records<S>,
    key: Option<ReplyKey>,
    own: Option<(Header, Words)>,
) -> Result<(), Refusal> {
    if records.is_clean() {
        return Ok(());
    }
    let is_waiting = outbox::is_waiting();
    let own = own.filter(|_| key.is_some() || is_waiting).map(|(header, words)| take(header, words));
    let mut staged = match (&key, &own) {
        (Some(key), Some(reply)) => records.stage_reply(key, reply),
        _ => Ok(()),
    };
    if is_waiting {
        staged = staged.and_then(|()| outbox::stage(records));
        // The others were encoded where the own one was.
        if let Some(reply) = own {
            put(reply);
        }
    }
    if staged.is_err() {
        records.roll_back();
        return Err(Refusal::Unencodable);
    }
    records.commit();
    Ok(())
}

/// Mints the session that a reply in the serve page brings, unless it can be minted when the reply leaves, and again where an incarnation has died before that: one of the
/// own channel can, as it is kept by its badge.
pub(super) fn mint_others(header: Header) -> Header {
    let is_own = || message::promised().0 == outbox::served();
    if header.mints() && is_own() { header } else { mint_now(header) }
}

/// Mints the session that a reply in the serve page brings at once: what it brings has a name then. One that cannot be minted is none.
pub(super) fn mint_now(header: Header) -> Header {
    if !header.mints() {
        return header;
    }
    let (channel, badge) = message::promised();
    let minted = sys::session_mint(channel, badge, env::account().handle());
    ServePage::take().handles_mut()[0] = minted.unwrap_or(crate::Handle::NONE);
    header.without_minted()
}

/// The reply in the serve page.
pub(super) fn take(header: Header, words: Words) -> KeptReply {
    let page = ServePage::take();
    let mut handles = [crate::Handle::NONE; HANDLES];
    let count = header.handles().min(HANDLES);
    handles[..count].copy_from_slice(&page.handles()[..count]);
    if header.mints() {
        handles[0] = crate::Handle(message::promised().1);
    }
    KeptReply { header, words, handles, payload: page.received(header.payload_bytes()).to_vec() }
}

/// Puts a reply into the serve page.
pub(super) fn put(reply: KeptReply) -> (Header, Words) {
    let mut page = ServePage::take();
    *page.handles_mut() = reply.handles;
    if reply.header.mints() {
        page.handles_mut()[0] = crate::Handle::NONE;
        message::promise(outbox::served(), reply.handles[0].0);
    }
    page.payload_mut()[..reply.payload.len()].copy_from_slice(&reply.payload);
    (reply.header, reply.words)
}
