//! How typed calls look in messages: what both sides of a protocol share, below the code that
//! `#[protocol]` makes.
//!
//! | part of the message | request | reply |
//! |---|---|---|
//! | method field of the header | identity of the method ([`Method`]) | how it ended ([`Status`]) |
//! | words | all arguments, if these are scalars ([`Word`]) | all results, if these are scalars |
//! | words, their last byte the length | else: the arguments, one postcard tuple | else: the results, one postcard tuple; or the error |
//! | payload | where this is longer than [`SMALL_BYTES`] | the same; or the bytes that a method put into its room |
//! | handles | those of the arguments, in order | those of the results, in order |
//!
//! [`Outgoing`] builds either, [`Request`] is what a server received, [`Incoming`] what a client got back.
//! Everything here treats the other side's message as hostile: it decodes completely or is refused.

mod bytes;
mod codec;
mod incoming;
mod method;
mod outgoing;
mod request;
mod shared;
mod status;
mod word;

pub use abi::{Class, Header};
pub use bytes::{ByteVec, Bytes};
pub use codec::{SMALL_BYTES, decode};
pub use incoming::Incoming;
pub use method::{Method, disjoint};
pub use outgoing::{Outgoing, Side, Unencodable};
pub use request::{Answer, Request};
pub use shared::Shared;
pub use status::{NoError, Refusal, Status};
pub use word::Word;

use abi::PAYLOAD_BYTES;

/// How many bytes a caller's buffer has room for in one reply: as it is sent.
#[inline]
pub fn room(buffer: &[u8]) -> u32 {
    buffer.len().min(PAYLOAD_BYTES) as u32
}

/// As much of the room as the caller asked for.
#[inline]
pub fn limit(room: &mut [u8], wanted: u32) -> &mut [u8] {
    let length = room.len().min(wanted as usize);
    &mut room[..length]
}
