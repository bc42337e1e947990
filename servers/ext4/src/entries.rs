//! The entries of a directory's block: looked through, put in and taken out. All bytes come from a disk, so nothing of them is relied on before it is checked.

use crate::mapping::{le16, le32};
use volume::Kind;

/// Bytes of an entry before its name.
const HEADER: usize = 8;
/// The type of what is no entry, but holds the block's checksum.
const TAIL_TYPE: u8 = 0xde;
/// Bytes of that.
pub const TAIL_BYTES: usize = 12;

/// An entry in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in the block, and the one before it.
    pub at: usize,
    /// The one before it.
    pub before: Option<usize>,
    /// Its inode.
    pub inode: u32,
    /// What the entry says of the inode's type.
    pub kind: u8,
}

/// The block contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Bytes that an entry with a name of this length needs.
pub fn needed(name: usize) -> usize {
    (HEADER + name).next_multiple_of(4)
}

/// What an entry's type says; `None`: nothing.
pub fn kind(kind: u8) -> Option<Kind> {
    Some(match kind {
        1 => Kind::File,
        2 => Kind::Directory,
        3 => Kind::Character,
        4 => Kind::Block,
        5 => Kind::Pipe,
        6 => Kind::Socket,
        7 => Kind::Link,
        _ => return None,
    })
}

/// Whether a block ends with a checksum.
pub fn has_tail(block: &[u8]) -> bool {
    let tail = &block[block.len() - TAIL_BYTES..];
    le32(tail, 0) == 0 && le16(tail, 4) == TAIL_BYTES as u16 && tail[6] == 0 && tail[7] == TAIL_TYPE
}

/// Goes through the entries: where each is, how long, and of what the name is as long as it says. Stops where `each` says so.
fn walk(block: &[u8], mut each: impl FnMut(usize, usize, usize) -> bool) -> Result<(), Damaged> {
    let mut at = 0;
    while at < block.len() {
        if block.len() - at < HEADER {
            return Err(Damaged);
        }
        let (length, name) = (usize::from(le16(block, at + 4)), usize::from(block[at + 6]));
        if length < HEADER || length % 4 != 0 || length > block.len() - at || HEADER + name > length {
            return Err(Damaged);
        }
        if each(at, length, name) {
            return Ok(());
        }
        at += length;
    }
    Ok(())
}

/// Goes through the names.
pub fn names(block: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), Damaged> {
    walk(block, |at, _, length| {
        if le32(block, at) != 0 {
            each(&block[at + HEADER..at + HEADER + length]);
        }
        false
    })
}

/// The entry of a name.
pub fn find(block: &[u8], name: &[u8]) -> Result<Option<Entry>, Damaged> {
    let (mut found, mut before) = (None, None);
    walk(block, |at, _, length| {
        let is_it = length == name.len() && block[at + HEADER..at + HEADER + length] == *name && le32(block, at) != 0;
        if is_it {
            found = Some(Entry { at, before, inode: le32(block, at), kind: block[at + 7] });
        }
        before = Some(at);
        is_it
    })?;
    Ok(found)
}

/// Where an entry with a name of this length fits: its place, and how long the one whose rest it takes stays (0: none).
pub fn room(block: &[u8], name: usize) -> Result<Option<(usize, usize)>, Damaged> {
    let mut found = None;
    walk(block, |at, length, own| {
        // What holds the checksum has no room to give.
        let used = if le32(block, at) == 0 && block[at + 7] != TAIL_TYPE { 0 } else { needed(own) };
        if length >= used + needed(name) {
            found = Some((at, used));
        }
        found.is_some()
    })?;
    Ok(found)
}

/// Puts an entry where [`room`] said. Returns the range of the block that changed.
pub fn insert(block: &mut [u8], (at, used): (usize, usize), inode: u32, name: &[u8], kind: u8) -> (usize, usize) {
    let length = usize::from(le16(block, at + 4));
    let (start, new) = if used == 0 { (at, at) } else { (at + 4, at + used) };
    if used > 0 {
        block[at + 4..at + 6].copy_from_slice(&(used as u16).to_le_bytes());
    }
    block[new..new + 4].copy_from_slice(&inode.to_le_bytes());
    block[new + 4..new + 6].copy_from_slice(&((length - used) as u16).to_le_bytes());
    (block[new + 6], block[new + 7]) = (name.len() as u8, kind);
    block[new + HEADER..new + HEADER + name.len()].copy_from_slice(name);
    (start, new + HEADER + name.len())
}

/// Takes an entry out. Returns the range of the block that changed.
pub fn remove(block: &mut [u8], entry: &Entry) -> (usize, usize) {
    let Some(before) = entry.before else {
        block[entry.at..entry.at + 4].fill(0);
        return (entry.at, entry.at + 4);
    };
    let length = le16(block, before + 4) + le16(block, entry.at + 4);
    block[before + 4..before + 6].copy_from_slice(&length.to_le_bytes());
    (before + 4, before + 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn names_come_and_go() {
        let mut block = vec![0; 64];
        block[4..6].copy_from_slice(&64u16.to_le_bytes());
        for (inode, name) in [(11, &b"one"[..]), (12, b"a longer name"), (13, b"c")] {
            let place = room(&block, name.len()).unwrap().expect("room");
            insert(&mut block, place, inode, name, 1);
            assert_eq!(find(&block, name).unwrap().map(|entry| entry.inode), Some(inode));
        }
        assert_eq!(room(&block, 9).unwrap(), None, "64 - 12 - 24 - 12 = 16");
        let entry = find(&block, b"a longer name").unwrap().unwrap();
        remove(&mut block, &entry);
        assert_eq!(find(&block, b"a longer name").unwrap(), None);
        assert!(find(&block, b"c").unwrap().is_some() && room(&block, 9).unwrap().is_some());
        let first = find(&block, b"one").unwrap().unwrap();
        remove(&mut block, &first);
        assert_eq!(room(&block, 20).unwrap(), Some((0, 0)));
    }

    #[test]
    fn a_damaged_block_is_told() {
        for (length, name) in [(0u16, 0u8), (4, 0), (10, 0), (68, 0), (8, 1), (60, 0)] {
            let mut block = vec![0; 64];
            block[4..6].copy_from_slice(&length.to_le_bytes());
            block[6] = name;
            assert_eq!(find(&block, b"x"), Err(Damaged), "{length} {name}");
        }
    }
}
