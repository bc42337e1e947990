//! What the disk does not say of a file in use, and another incarnation has to know: items of the overlay, which change in one record with what they are about.
//!
//! | item | of | until |
//! |---|---|---|
//! | node | a file whose number is not the place of its entry: it was moved, or has no name, while somebody uses it; one with zeros behind its end | nobody uses it |
//! | rest | a chain that nobody names any more | all of it is free |

use alloc::vec::Vec;
use volume::log::ItemKey;

/// Kinds of items: of files, …
pub const NODE: u32 = 1;
/// … and of chains.
pub const REST: u32 = 2;
/// No place, no zeros.
const NONE: u64 = u64::MAX;

/// Most files that are noted: a small part of what an overlay's log holds.
pub const MOST: usize = 512;

/// What is noted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Where its entry is; `None`: it has no name.
    pub position: Option<u64>,
    /// It is a directory.
    pub is_directory: bool,
    /// Its first cluster, as its entry says if it has one; 0: none.
    pub first: u32,
    /// Its size, the same way.
    pub recorded: u64,
    /// Up to where there are zeros behind its end.
    pub zeroed: Option<u64>,
}

impl Noted {
    /// As an item's value.
    pub fn encode(&self) -> Vec<u8> {
        let Noted { position, is_directory, first, recorded, zeroed } = *self;
        let last = u64::from(first) << 1 | u64::from(is_directory);
        [position.unwrap_or(NONE), recorded, zeroed.unwrap_or(NONE), last]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    /// Of an item's value; `None`: it is none.
    pub fn decode(bytes: &[u8]) -> Option<Noted> {
        let [position, recorded, zeroed, last] = words(bytes)?;
        let some = |word: u64| (word != NONE).then_some(word);
        let (first, is_directory) = ((last >> 1) as u32, last & 1 != 0);
        Some(Noted { position: some(position), is_directory, first, recorded, zeroed: some(zeroed) })
    }
}

/// A chain that is being freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The first cluster that is not free.
    pub next: u32,
    /// They were a directory's.
    pub is_directory: bool,
}

impl Rest {
    /// As an item's value.
    pub fn encode(&self) -> Vec<u8> {
        [u64::from(self.next), self.is_directory.into()].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Of an item's value; `None`: it is none.
    pub fn decode(bytes: &[u8]) -> Option<Rest> {
        let [next, is_directory] = words(bytes)?;
        Some(Rest { next: next as u32, is_directory: is_directory != 0 })
    }
}

fn words<const COUNT: usize>(bytes: &[u8]) -> Option<[u64; COUNT]> {
    let mut words = [0; COUNT];
    if bytes.len() != COUNT * 8 {
        return None;
    }
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().ok()?);
    }
    Some(words)
}

/// The item of a file, by number.
pub fn node_key(number: u64) -> ItemKey {
    ItemKey { kind: NODE, words: [number, 0, 0] }
}

/// The item of a chain, by its first cluster.
pub fn rest_key(first: u32) -> ItemKey {
    ItemKey { kind: REST, words: [first.into(), 0, 0] }
}
