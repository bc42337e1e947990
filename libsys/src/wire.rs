//! How typed calls look in messages: what both sides of a protocol share, below the code that
//! `#[protocol]` makes.
//!
//! | part of the message | request | reply |
//! |---|---|---|
//! | method field of the header | identity of the method ([`Method`]) | how it ended ([`Status`]) |
//! | words | all arguments, if these are scalars ([`Word`]) | all results, if these are scalars |
//! | payload | else: the arguments, one postcard tuple | else: the results, one postcard tuple; or the error |
//! | handles | those of the arguments, in order | those of the results, in order |
//!
//! [`Outgoing`] builds either, [`Request`] is what a server received, [`Incoming`] what a client got back.
//! Everything here treats the other side's message as hostile: it decodes completely or is refused.

mod bytes;
mod incoming;
mod method;
mod outgoing;
mod request;
mod shared;
mod status;
mod word;

pub use abi::{Class, Header};
pub use bytes::{ByteVec, Bytes};
pub use incoming::Incoming;
pub use method::{Method, disjoint};
pub use outgoing::{Outgoing, Side, Unencodable};
pub use request::{Answer, Request};
pub use shared::Shared;
pub use status::{NoError, Refusal, Status};
pub use word::Word;

use crate::message::ServePage;
use abi::PAYLOAD_BYTES;
use serde::Deserialize;

/// Decodes a whole payload; `None` when it is malformed or something is left over.
#[inline]
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// How many bytes a caller's buffer has room for in one reply: as it is sent.
#[inline]
pub fn room(buffer: &[u8]) -> u32 {
    buffer.len().min(PAYLOAD_BYTES) as u32
}

/// The serve page's payload: what the request filled, and what is free behind it.
#[inline]
pub fn split(page: &mut ServePage, header: Header) -> (&[u8], &mut [u8]) {
    let (payload, room) = page.payload_mut().split_at_mut(header.payload_bytes().min(PAYLOAD_BYTES));
    (payload, room)
}

/// As much of the room as the caller asked for.
#[inline]
pub fn limit(room: &mut [u8], wanted: u32) -> &mut [u8] {
    let length = room.len().min(wanted as usize);
    &mut room[..length]
}
