//! Postcard into and out of messages. Small data travels in the words of a message, and no page is copied: their last byte says
//! how many of the others it takes. What is larger is the payload of the message page.

mod deserializer;
mod serializer;

use super::Unencodable;
use crate::sys::Words;
use abi::PAYLOAD_BYTES;
use deserializer::Deserializer;
use serde::{Deserialize, Serialize};
use serializer::Serializer;

/// Bytes of all words.
const WORD_BYTES: usize = size_of::<Words>();

/// Most bytes of data that travel in words.
pub const SMALL_BYTES: usize = WORD_BYTES - 1;

/// Encodes data in a payload; small data then goes into the words. Gives how many bytes the payload has: 0 where it is not used.
#[inline]
pub(crate) fn encode<T: Serialize>(
    value: &T,
    payload: &mut [u8; PAYLOAD_BYTES],
    words: &mut Words,
) -> Result<usize, Unencodable> {
    // All words are sent: not with what an earlier message left here.
    payload[..WORD_BYTES].fill(0);
    let mut serializer = Serializer::new(payload);
    value.serialize(&mut serializer)?;
    let length = serializer.length();
    if length > SMALL_BYTES {
        return Ok(length);
    }
    payload[SMALL_BYTES] = length as u8;
    for (word, bytes) in words.iter_mut().zip(payload.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Ok(0)
}

/// Decodes a whole payload; `None` when it is malformed or something is left over.
#[inline]
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    let mut deserializer = Deserializer::new(payload);
    let value = T::deserialize(&mut deserializer).ok()?;
    deserializer.is_at_end().then_some(value)
}

/// Words that bring data, as bytes.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Small([u8; WORD_BYTES]);

impl Small {
    #[inline(always)]
    pub(crate) fn of(words: &Words) -> &Small {
        // SAFETY: as large, less aligned, and all bytes are valid. The first byte of a word is its lowest on this architecture.
        unsafe { &*(&raw const *words).cast() }
    }

    /// The data; `None` when its length is none.
    #[inline(always)]
    pub(crate) fn data(&self) -> Option<&[u8]> {
        self.0[..SMALL_BYTES].get(..usize::from(self.0[SMALL_BYTES]))
    }
}

const _: () = assert!(cfg!(target_endian = "little"));

#[cfg(test)]
mod tests;
