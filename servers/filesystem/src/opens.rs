//! What the server's own badges mean: open files and directories. A badge says all about an open file that does not change, so that it means the same to the next incarnation, and an
//! open writes nothing down. Only the server makes badges, so nobody else can say something with them.
//!
//! | bits of a badge | hold |
//! |---|---|
//! | 61 | [`OWN`]: the server made it; the others are sessions of the root |
//! | 53–58 | what may be done |
//! | 32–52 | a serial number, by which open files of one node differ |
//! | 0–31 | the node; with [`WIDE`] (59) its number is larger, and noted in a record |

use crate::volume::{NodeId, Result};
use alloc::collections::{BTreeMap, BTreeSet};
use libsys::protocol::filesystem::{FileError, OpenFlags};

/// Mark of a badge that the server made itself; the others are sessions of the root.
pub const OWN: u64 = 1 << 61;

/// Mark of a badge whose node is in a record.
pub(crate) const WIDE: u64 = 1 << 59;

const READ: u64 = 1 << 53;
const WRITE: u64 = 1 << 54;
const APPEND: u64 = 1 << 55;
const DIRECTORY: u64 = 1 << 56;
const READ_ONLY: u64 = 1 << 57;
const ROOT: u64 = 1 << 58;

const SERIAL_SHIFT: u32 = 32;
const SERIALS: u64 = (1 << 21) - 1;
const NODES: u64 = (1 << SERIAL_SHIFT) - 1;

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
}

impl Open {
    /// A directory as the root of names.
    pub(crate) fn root(node: NodeId, read_only: bool) -> Open {
        Open { node, is_directory: true, flags: OpenFlags::READ, read_only, is_root: true }
    }

    /// The part of a badge that says what may be done.
    fn bits(&self) -> u64 {
        let bit = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
        bit(self.flags.contains(OpenFlags::READ), READ)
            | bit(self.flags.contains(OpenFlags::WRITE), WRITE)
            | bit(self.flags.contains(OpenFlags::APPEND), APPEND)
            | bit(self.is_directory, DIRECTORY)
            | bit(self.read_only, READ_ONLY)
            | bit(self.is_root, ROOT)
    }

    /// What a badge says of a node.
    fn of_bits(badge: u64, node: NodeId) -> Open {
        let flag = |bit: u64, flag: OpenFlags| if badge & bit != 0 { flag } else { OpenFlags::empty() };
        Open {
            node,
            is_directory: badge & DIRECTORY != 0,
            flags: flag(READ, OpenFlags::READ) | flag(WRITE, OpenFlags::WRITE) | flag(APPEND, OpenFlags::APPEND),
            read_only: badge & READ_ONLY != 0,
            is_root: badge & ROOT != 0,
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Opens {
    /// By node and badge.
    live: BTreeSet<(NodeId, u64)>,
    /// Nodes of wide badges.
    wide: BTreeMap<u64, NodeId>,
    /// Badges of an earlier incarnation that mean nothing any more, until their sessions are closed.
    stale: BTreeSet<u64>,
    /// Where a file stands, if it was ever moved.
    positions: BTreeMap<u64, u64>,
    serial: u64,
    /// Without roots of subtrees.
    in_use: u32,
    /// Badges of earlier incarnations mean what they say.
    outlives: bool,
}

impl Opens {
    /// None yet.
    pub(crate) fn new(outlives: bool) -> Opens {
        Opens {
            live: BTreeSet::new(),
            wide: BTreeMap::new(),
            stale: BTreeSet::new(),
            positions: BTreeMap::new(),
            serial: 0,
            in_use: 0,
            outlives,
        }
    }

    /// Adds one: its badge, which is noted by the caller where it is [`WIDE`]. Error: `Exhausted`.
    pub(crate) fn add(&mut self, open: &Open) -> Result<u64> {
        let node = if open.node <= NODES { open.node } else { WIDE };
        for _ in 0..=SERIALS {
            self.serial = (self.serial + 1) & SERIALS;
            let badge = OWN | open.bits() | self.serial << SERIAL_SHIFT | node;
            let is_taken = badge & WIDE != 0 && self.wide.contains_key(&badge) || self.stale.contains(&badge);
            if !is_taken && self.live.insert((open.node, badge)) {
                if badge & WIDE != 0 {
                    self.wide.insert(badge, open.node);
                }
                self.in_use += u32::from(!open.is_root);
                return Ok(badge);
            }
        }
        Err(FileError::Exhausted)
    }

    /// Adds one of an earlier incarnation by its badge; `wide`: its node, if that is noted.
    pub(crate) fn restore(&mut self, badge: u64, wide: Option<NodeId>) {
        if badge & OWN == 0 {
            return;
        }
        let node = if badge & WIDE == 0 { Some(badge & NODES) } else { wide };
        let Some(node) = node.filter(|_| self.outlives) else {
            self.stale.insert(badge);
            return;
        };
        if badge & WIDE != 0 {
            self.wide.insert(badge, node);
        }
        if self.live.insert((node, badge)) {
            self.in_use += u32::from(badge & ROOT == 0);
        }
    }

    /// What a badge stands for.
    #[inline]
    pub(crate) fn get(&self, badge: u64) -> Option<Open> {
        if badge & OWN == 0 {
            return None;
        }
        let node = if badge & WIDE == 0 { badge & NODES } else { *self.wide.get(&badge)? };
        // Nobody has the badge of a file that is closed.
        (self.outlives || self.stale.is_empty() || !self.stale.contains(&badge)).then(|| Open::of_bits(badge, node))
    }

    /// Takes one out, whose session is closed: `None` where nobody knows what it was.
    pub(crate) fn remove(&mut self, badge: u64) -> Option<Open> {
        if !self.stale.is_empty() && self.stale.remove(&badge) {
            return None;
        }
        let open = self.get(badge)?;
        if badge & WIDE != 0 {
            self.wide.remove(&badge);
        }
        if self.live.remove(&(open.node, badge)) {
            self.in_use -= u32::from(!open.is_root);
        }
        Some(open)
    }

    /// Whether somebody has a node open.
    #[inline]
    pub(crate) fn is_open(&self, node: NodeId) -> bool {
        self.live.range((node, 0)..=(node, u64::MAX)).next().is_some()
    }

    /// The nodes that somebody has open.
    pub(crate) fn nodes(&self) -> BTreeSet<NodeId> {
        self.live.iter().map(|(node, _)| *node).collect()
    }

    /// Whether a badge is one of a file that is open.
    pub(crate) fn is_live(&self, badge: u64) -> bool {
        self.get(badge).is_some_and(|open| self.live.contains(&(open.node, badge)))
    }

    /// Open files and directories, without roots of subtrees.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Where an open file stands.
    pub(crate) fn position(&self, badge: u64) -> u64 {
        self.positions.get(&badge).copied().unwrap_or(0)
    }

    /// Moves it.
    pub(crate) fn set_position(&mut self, badge: u64, position: u64) {
        self.positions.insert(badge, position);
    }

    /// Forgets where it stands: whether anything was known.
    pub(crate) fn forget_position(&mut self, badge: u64) -> bool {
        // Most are never moved.
        !self.positions.is_empty() && self.positions.remove(&badge).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(node: NodeId) -> Open {
        Open { node, is_directory: false, flags: OpenFlags::READ | OpenFlags::APPEND, read_only: true, is_root: false }
    }

    #[test]
    fn a_badge_says_what_is_open() {
        let mut opens = Opens::new(true);
        let all = [file(5), file(5), Open::root(5, false), file(u32::MAX.into()), file(1 << 40), file(1 << 40)];
        let badges = all.map(|open| opens.add(&open).expect("room"));
        let mut next = Opens::new(true);
        for (badge, open) in badges.into_iter().zip(all) {
            assert_eq!(opens.get(badge), Some(open));
            next.restore(badge, Some(open.node));
            assert!(next.get(badge) == Some(open) && next.is_live(badge) && next.is_open(open.node));
        }
        assert_eq!((opens.in_use(), next.in_use()), (5, 5));
        // The next incarnation counts from the start, and does not give a badge out twice.
        let mut again: BTreeSet<u64> = badges.into_iter().collect();
        assert!(all.iter().all(|open| again.insert(next.add(open).expect("room"))));
        again.into_iter().for_each(|badge| assert!(next.remove(badge).is_some()));
        assert!(next.in_use() == 0 && !next.is_open(5) && !next.is_open(1 << 40));
    }

    #[test]
    fn where_files_do_not_outlive_the_server_an_old_badge_means_nothing() {
        let mut opens = Opens::new(false);
        let old = Opens::new(false).add(&file(5)).expect("room");
        opens.restore(old, None);
        let new = opens.add(&file(5)).expect("room");
        assert!(opens.get(old).is_none() && opens.get(new).is_some() && new != old);
        assert!(opens.remove(old).is_none() && opens.get(new).is_some());
        assert!(opens.get(5).is_none(), "a badge of init's");
    }
}
