//! The numbers of files. A file on the disk has no number: it is known by the place of its short entry. That is its number too, unless somebody uses the
//! file: then it keeps the number that it had, also when its entry moves or goes, and another file whose entry comes to that place gets a number that no place has.

use crate::boot::Width;
use crate::chain::Chain;
use crate::entry::Entry;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The number of the root directory, which has no entry: a place in the boot sector.
pub const ROOT: u64 = 1;
/// Numbers from here on are no places.
const OTHERS: u64 = 1 << 48;

/// A file or directory of which something is known.
pub struct Node {
    /// Where its entry is; `None`: it has no name any more.
    pub position: Option<u64>,
    /// It is a directory.
    pub is_directory: bool,
    /// Somebody has it open.
    pub is_held: bool,
    /// Bytes; ahead of the disk while there is data to write back.
    pub size: u64,
    /// The size that its entry says.
    pub recorded: u64,
    /// The size that is committed.
    pub settled: u64,
    /// The size that is kept, if it is: while the entry does not say it, or not the time.
    pub kept: Option<u64>,
    /// Clusters behind its end belong to it, and are zeros up to here.
    pub zeroed: Option<u64>,
    /// The first cluster that its entry says.
    pub recorded_first: u32,
    /// Its clusters.
    pub chain: Chain,
    /// Clusters that are promised to it.
    pub promised: u32,
    /// When its data changed, if the entry does not say so yet: seconds since 1970.
    pub modified: Option<i64>,
    /// When it was last asked for.
    stamp: u64,
}

impl Node {
    /// The root directory, which has no entry.
    pub fn root() -> Node {
        let mut entry = Entry([0; crate::entry::BYTES]);
        entry.set_attributes(crate::entry::DIRECTORY);
        Node::of(ROOT, &entry, Width::ThirtyTwo)
    }

    /// Something is known of it that its entry does not say.
    pub fn is_needed(&self) -> bool {
        self.modified.is_some()
            || self.kept.is_some()
            || self.zeroed.is_some()
            || (!self.is_directory && (self.recorded, self.settled) != (self.size, self.size))
    }

    /// A file without a name.
    pub fn nameless(first: u32, recorded: u64, is_directory: bool) -> Node {
        let mut entry = Entry([0; crate::entry::BYTES]);
        entry.set_cluster(first, Width::ThirtyTwo);
        entry.set_attributes(if is_directory { crate::entry::DIRECTORY } else { 0 });
        entry.set_size(recorded as u32);
        Node { position: None, ..Node::of(ROOT, &entry, Width::ThirtyTwo) }
    }

    /// What an entry says.
    pub fn of(position: u64, entry: &Entry, width: Width) -> Node {
        let first = entry.cluster(width);
        let size = if entry.is_directory() { 0 } else { u64::from(entry.size()) };
        Node {
            position: Some(position),
            is_directory: entry.is_directory(),
            is_held: false,
            size,
            recorded: size,
            settled: size,
            kept: None,
            zeroed: None,
            recorded_first: first,
            chain: Chain::new(first),
            promised: 0,
            modified: None,
            stamp: 0,
        }
    }
}

/// The files of which something is known.
#[derive(Default)]
pub struct Nodes {
    nodes: BTreeMap<u64, Node>,
    /// The numbers of those whose entries are not at the place that is their number.
    elsewhere: BTreeMap<u64, u64>,
    others: u64,
    now: u64,
}

impl Nodes {
    /// The number of the file whose entry is at a position.
    pub fn number_of(&mut self, position: u64) -> u64 {
        if let Some(number) = self.elsewhere.get(&position) {
            return *number;
        }
        match self.nodes.get(&position) {
            Some(node) if node.position != Some(position) => {
                self.others += 1;
                let number = OTHERS + self.others;
                self.elsewhere.insert(position, number);
                number
            }
            _ => position,
        }
    }

    /// Where the entry of a file is that has one.
    pub fn position_of(&self, number: u64) -> Option<u64> {
        match self.nodes.get(&number) {
            Some(node) => node.position,
            // Another file may have got the place of one that is gone.
            None if number < OTHERS => (!self.elsewhere.contains_key(&number)).then_some(number),
            None => self.elsewhere.iter().find(|(_, other)| **other == number).map(|(position, _)| *position),
        }
    }

    /// What is known of a file.
    pub fn get(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Node> {
        self.now += 1;
        let node = self.nodes.get_mut(&number)?;
        node.stamp = self.now;
        Some(node)
    }

    /// Something is known of a file from now on.
    pub fn insert(&mut self, number: u64, node: Node) {
        self.nodes.insert(number, node);
    }

    /// A file that an earlier incarnation has known, under the number that it had there.
    pub fn restore(&mut self, number: u64, node: Node) {
        if let Some(position) = node.position.filter(|position| *position != number) {
            self.elsewhere.insert(position, number);
        }
        self.others = self.others.max(number.saturating_sub(OTHERS));
        self.nodes.insert(number, node);
    }

    /// The entry of a file is somewhere else now, or nowhere.
    pub fn move_entry(&mut self, number: u64, to: Option<u64>) {
        let from = self.position_of(number);
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.position = to;
        if let Some(from) = from
            && self.elsewhere.get(&from) == Some(&number)
        {
            self.elsewhere.remove(&from);
        }
        if let Some(to) = to.filter(|to| *to != number) {
            self.elsewhere.insert(to, number);
        }
    }

    /// Nothing is known of a file any more. If it has a name, its number changes.
    pub fn remove(&mut self, number: u64) -> Option<Node> {
        let node = self.nodes.remove(&number)?;
        if let Some(position) = node.position
            && self.elsewhere.get(&position) == Some(&number)
        {
            self.elsewhere.remove(&position);
        }
        Some(node)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All numbers, those first that were not asked for the longest.
    pub fn oldest(&self) -> Vec<u64> {
        let mut all: Vec<(u64, u64)> = self.nodes.iter().map(|(number, node)| (node.stamp, *number)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, number)| number).collect()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().map(|(number, node)| (*number, node))
    }
}
