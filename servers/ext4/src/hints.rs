//! In which blocks of directories without an index names were seen: a cache of names.
//!
//! A hint is where a name is looked for first, in a block of its directory as that is now. So one that is out of date costs a look and is never wrong, and nobody who changes a directory has to know of hints.

use crate::entries::{self, Damaged};
use alloc::vec::Vec;

/// Names that are remembered, a power of two: of a directory of 10,000 names nine of ten.
const PLACES: usize = 1 << 15;

/// A name, by its hash: 0 is no directory.
#[derive(Clone, Copy, Default)]
struct Hint {
    directory: u32,
    hash: u32,
    block: u32,
}

/// Where names were seen.
#[derive(Default)]
pub struct Hints {
    /// Made when the first one is noted.
    places: Vec<Hint>,
    /// Blocks at the start of a directory of which all names were noted.
    noted: (u32, u64),
}

/// FNV-1a with 64 bits, folded.
fn hash(directory: u32, name: &[u8]) -> u32 {
    let start = 0xcbf2_9ce4_8422_2325 ^ u64::from(directory);
    let hash = name.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 32) as u32 ^ hash as u32
}

impl Hints {
    /// The block of the directory, counted from its start, in which a name was seen last.
    pub fn block_of(&self, directory: u32, name: &[u8]) -> Option<u64> {
        let hash = hash(directory, name);
        let hint = self.places.get(hash as usize % PLACES)?;
        (hint.directory == directory && hint.hash == hash).then_some(hint.block.into())
    }

    /// Notes where a name is.
    pub fn note(&mut self, directory: u32, name: &[u8], block: u64) {
        let Ok(block) = u32::try_from(block) else { return };
        if self.places.is_empty() {
            let mut places = Vec::new();
            if places.try_reserve_exact(PLACES).is_err() {
                return;
            }
            places.resize(PLACES, Hint::default());
            self.places = places;
        }
        let hash = hash(directory, name);
        self.places[hash as usize % PLACES] = Hint { directory, hash, block };
    }

    /// Notes all names of a block that was looked through, unless that was done before while this directory was looked through. Error: its entries make no sense.
    pub fn note_all(&mut self, directory: u32, block: u64, bytes: &[u8]) -> Result<(), Damaged> {
        if self.noted.0 != directory {
            self.noted = (directory, 0);
        }
        if self.noted.1 != block {
            return Ok(());
        }
        self.noted.1 = block + 1;
        entries::names(bytes, |name| self.note(directory, name, block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A block with these names.
    fn block(names: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        let mut at = 0;
        for (index, name) in names.iter().enumerate() {
            let length = if index + 1 == names.len() { bytes.len() - at } else { entries::needed(name.len()) };
            bytes[at..at + 4].copy_from_slice(&7u32.to_le_bytes());
            bytes[at + 4..at + 6].copy_from_slice(&(length as u16).to_le_bytes());
            bytes[at + 6] = name.len() as u8;
            bytes[at + 8..at + 8 + name.len()].copy_from_slice(name.as_bytes());
            at += length;
        }
        bytes
    }

    #[test]
    fn names_are_found_where_they_were_seen() {
        let mut hints = Hints::default();
        assert_eq!(hints.block_of(2, b"a"), None);
        hints.note(2, b"a", 5);
        assert_eq!(hints.block_of(2, b"a"), Some(5));
        assert_eq!((hints.block_of(3, b"a"), hints.block_of(2, b"b")), (None, None));
        hints.note(2, b"a", 6);
        assert_eq!(hints.block_of(2, b"a"), Some(6));
        hints.note(2, b"far", u64::MAX);
        assert_eq!(hints.block_of(2, b"far"), None, "no directory is so long");
    }

    #[test]
    fn blocks_are_noted_once_while_a_directory_is_looked_through() {
        let mut hints = Hints::default();
        assert_eq!(hints.note_all(2, 0, &block(&["a", "b"])), Ok(()));
        assert_eq!(hints.note_all(2, 0, &block(&["c"])), Ok(()));
        assert_eq!(hints.note_all(2, 2, &block(&["d"])), Ok(()), "not the next one");
        assert_eq!(hints.note_all(2, 1, &block(&["e"])), Ok(()));
        let found = ["a", "b", "c", "d", "e"].map(|name| hints.block_of(2, name.as_bytes()));
        assert_eq!(found, [Some(0), Some(0), None, None, Some(1)]);
        assert_eq!(hints.note_all(9, 0, &block(&["f"])), Ok(()));
        assert_eq!(hints.block_of(9, b"f"), Some(0));
        assert!(hints.note_all(9, 1, &[0xff; 1024]).is_err());
    }
}
