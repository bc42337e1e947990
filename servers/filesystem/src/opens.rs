//! What the server's own badges mean: open files and directories. A badge has a mark that no badge of init's has, the place of its entry, and the entry's generation, so that
//! the badge of a file that was closed, or opened before the server was started anew, means nothing.

use crate::volume::{NodeId, Result};
use alloc::vec::Vec;
use libsys::protocol::filesystem::{FileError, OpenFlags};

/// Mark of a badge that the server made itself; the others are sessions of the root.
pub const OWN: u64 = 1 << 61;

/// Where the generation is in a badge, above the entry's place.
const GENERATION_SHIFT: u32 = 32;

/// Bits of a generation.
const GENERATIONS: u64 = (1 << 28) - 1;

/// An open file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) node: NodeId,
    /// Whether names can be looked up below it.
    pub(crate) is_directory: bool,
    /// What it was opened for: [`OpenFlags::READ`], [`OpenFlags::WRITE`], [`OpenFlags::APPEND`].
    pub(crate) flags: OpenFlags,
    /// Nothing is changed through it.
    pub(crate) read_only: bool,
    /// It is the root of a subtree, of a mount above all: it does not count as in use.
    pub(crate) is_root: bool,
    /// Where the next read or write is.
    pub(crate) position: u64,
}

impl Open {
    /// A directory as the root of names.
    pub(crate) fn root(node: NodeId, read_only: bool) -> Open {
        Open { node, is_directory: true, flags: OpenFlags::READ, read_only, is_root: true, position: 0 }
    }
}

/// All of them, by badge.
#[derive(Debug)]
pub(crate) struct Opens {
    entries: Vec<(u64, Option<Open>)>,
    free: Vec<usize>,
    /// Where generations start: another place in each incarnation.
    first: u64,
}

impl Opens {
    /// None, in this incarnation.
    pub(crate) fn new(incarnation: u64) -> Opens {
        Opens { entries: Vec::new(), free: Vec::new(), first: incarnation << 16 }
    }

    /// Adds one: its badge. Error: `Exhausted`.
    pub(crate) fn add(&mut self, open: Open) -> Result<u64> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.try_reserve(1).map_err(|_| FileError::Exhausted)?;
                // So that taking one out never needs memory.
                self.free.try_reserve(self.entries.len() + 1).map_err(|_| FileError::Exhausted)?;
                self.entries.push((self.first, None));
                self.entries.len() - 1
            }
        };
        let (generation, entry) = &mut self.entries[index];
        *entry = Some(open);
        Ok(OWN | (*generation & GENERATIONS) << GENERATION_SHIFT | index as u64)
    }

    fn index(&self, badge: u64) -> Option<usize> {
        let index = (badge & 0xffff_ffff) as usize;
        let (generation, _) = self.entries.get(index)?;
        let is_it = badge & OWN != 0 && badge >> GENERATION_SHIFT & GENERATIONS == generation & GENERATIONS;
        is_it.then_some(index)
    }

    /// The open file of a badge.
    #[inline]
    pub(crate) fn get(&mut self, badge: u64) -> Option<&mut Open> {
        let index = self.index(badge)?;
        self.entries[index].1.as_mut()
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, badge: u64) -> Option<Open> {
        let index = self.index(badge)?;
        let open = self.entries[index].1.take()?;
        self.entries[index].0 += 1;
        self.free.push(index);
        Some(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_badge_means_nothing() {
        let mut opens = Opens::new(1);
        let first = opens.add(Open::root(5, false)).expect("room");
        assert_eq!(opens.get(first).map(|open| open.node), Some(5));
        assert!(opens.get(first & !OWN).is_none() && opens.get(first + 1).is_none());
        assert!(opens.remove(first).is_some() && opens.remove(first).is_none());
        let second = opens.add(Open::root(6, false)).expect("room");
        assert!(opens.get(first).is_none() && opens.get(second).is_some());
        assert!(Opens::new(2).get(second).is_none());
    }
}
