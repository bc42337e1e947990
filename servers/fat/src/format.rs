//! Files and directories over the medium: what is known of each in use, where its data is, and clusters for it.
//!
//! A file has no holes: its clusters go as far as its data was written back. What was written and has no clusters yet is promised some, so that a full disk is noticed by who writes.

use crate::directory::Directory;
use crate::entry::Entry;
use crate::medium::Medium;
use crate::nodes::{Node, Nodes, ROOT};
use crate::table::Next;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use volume::{Backing, DataError, FileError, Run};

/// The largest file.
pub const LARGEST: u64 = u32::MAX as u64;
/// Clusters that one record gives to a file, or takes from it.
const AT_ONCE: u32 = 1024;
/// How much is remembered of directories, in hashes of names.
const REMEMBERED: usize = 32768;

/// Files and directories.
pub struct Format {
    /// The disk.
    pub medium: Medium,
    /// What is known of files.
    pub nodes: Nodes,
    /// Directories, by first cluster.
    directories: BTreeMap<u32, Directory>,
    /// Clusters that are promised.
    promised: u64,
    seconds: fn() -> u64,
    turn: u64,
}

impl Format {
    /// On this disk.
    pub fn new(medium: Medium, seconds: fn() -> u64) -> Format {
        let (nodes, directories) = (Nodes::default(), BTreeMap::new());
        Format { medium, nodes, directories, promised: 0, seconds, turn: 0 }
    }

    /// Now, in seconds since 1970.
    pub fn now(&self) -> i64 {
        (self.seconds)() as i64
    }

    /// One operation: a record, or nothing. It needs so many free clusters at most.
    pub fn change<T>(
        &mut self,
        clusters: u32,
        operation: impl FnOnce(&mut Format) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        self.medium.begin(clusters)?;
        let result = operation(self);
        let result = self.medium.end(result);
        if result.is_err() {
            self.directories.clear();
        }
        result
    }

    /// Free clusters that are promised to nobody.
    pub fn available(&self) -> u64 {
        u64::from(self.medium.table.free()).saturating_sub(self.promised)
    }

    /// Whether so many clusters are to be had. Error: `NoSpace`.
    pub fn require(&self, clusters: u32) -> Result<(), FileError> {
        if self.available() < u64::from(clusters) { Err(FileError::NoSpace) } else { Ok(()) }
    }

    // ---- nodes -------------------------------------------------------------------------------------------------

    /// The entry of a file that has a name. Errors: `NotFound`, `Device`.
    pub fn entry(&mut self, number: u64) -> Result<(u64, Entry), FileError> {
        let position = self.nodes.position_of(number).filter(|_| number != ROOT).ok_or(FileError::NotFound)?;
        Ok((position, self.medium.entry(position)?))
    }

    /// What is known of a file; its entry is read if that is nothing yet.
    pub fn node(&mut self, number: u64) -> Result<&mut Node, FileError> {
        if self.nodes.get(number).is_none() {
            let node = match number {
                ROOT => Node::root(),
                number => {
                    let (position, entry) = self.entry(number)?;
                    Node::of(position, &entry, self.medium.layout.width)
                }
            };
            self.nodes.insert(number, node);
        }
        self.nodes.get_mut(number).ok_or(FileError::NotFound)
    }

    /// Clusters that so many bytes need.
    fn clusters(&self, bytes: u64) -> u32 {
        bytes.div_ceil(self.medium.layout.cluster_bytes()) as u32
    }

    /// All clusters of a file are found. Returns how many there are. Error: `Corrupt`: fewer than its size needs, or they have no end.
    pub fn complete(&mut self, number: u64) -> Result<u32, FileError> {
        self.node(number)?;
        let Some(node) = self.nodes.get_mut(number) else { return Err(FileError::NotFound) };
        let Medium { layout, table, overlay, .. } = &mut self.medium;
        let length = node.chain.complete(layout, table, overlay)?;
        let needed = node.recorded.div_ceil(layout.cluster_bytes());
        if u64::from(length) < needed { Err(FileError::Corrupt) } else { Ok(length) }
    }

    /// What is promised to a file becomes what it lacks.
    pub fn settle_promise(&mut self, number: u64) {
        let Some(node) = self.nodes.get(number) else { return };
        let lacks = self.clusters(node.size).saturating_sub(node.chain.length().unwrap_or(u32::MAX));
        if let Some(node) = self.nodes.get_mut(number) {
            self.promised = self.promised + u64::from(lacks) - u64::from(node.promised);
            node.promised = lacks;
        }
    }

    /// How far a file of so many bytes could grow: bytes. Its clusters are found.
    pub fn reach(&self, number: u64) -> u64 {
        let Some(node) = self.nodes.get(number) else { return 0 };
        let has = u64::from(node.chain.length().unwrap_or(0)) + u64::from(node.promised);
        ((has + self.available()) * self.medium.layout.cluster_bytes()).min(LARGEST)
    }

    // ---- directories -------------------------------------------------------------------------------------------

    /// The first cluster of a directory; 0: the root, where it has none. Errors: `NotFound` (it was removed), `NotDirectory`, `Corrupt`.
    pub fn first_cluster(&mut self, directory: u64) -> Result<u32, FileError> {
        if directory == ROOT {
            return Ok(self.medium.layout.root_cluster());
        }
        let (is_directory, first) = match self.nodes.get(directory) {
            Some(node) if node.position.is_none() => return Err(FileError::NotFound),
            Some(node) => (node.is_directory, node.chain.first()),
            None => {
                let (_, entry) = self.entry(directory)?;
                (entry.is_directory(), entry.cluster(self.medium.layout.width))
            }
        };
        match (is_directory, self.medium.layout.has(first)) {
            (false, _) => Err(FileError::NotDirectory),
            (true, false) => Err(FileError::Corrupt),
            (true, true) => Ok(first),
        }
    }

    /// Does something with a directory.
    pub fn with_directory<T>(
        &mut self,
        directory: u64,
        operation: impl FnOnce(&mut Medium, &mut Directory) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let first = self.first_cluster(directory)?;
        self.turn += 1;
        if !self.directories.contains_key(&first) {
            let opened = Directory::open(&mut self.medium, first)?;
            self.make_room(opened.weight());
            self.directories.insert(first, opened);
        }
        let Some(directory) = self.directories.get_mut(&first) else { return Err(FileError::Corrupt) };
        directory.stamp = self.turn;
        operation(&mut self.medium, directory)
    }

    /// Forgets directories until there is room for one of this weight.
    fn make_room(&mut self, weight: usize) {
        while self.directories.values().map(Directory::weight).sum::<usize>() + weight > REMEMBERED {
            let oldest = self.directories.iter().min_by_key(|(_, directory)| directory.stamp).map(|(first, _)| *first);
            let Some(oldest) = oldest else { return };
            self.directories.remove(&oldest);
        }
    }

    // ---- clusters ----------------------------------------------------------------------------------------------

    /// Takes the clusters from index `keep` on from a file; its entry says so first. Its data there is not in flight. Errors: `Corrupt` (what could be freed is), `Device`.
    pub fn cut(&mut self, number: u64, keep: u32, size: u64) -> Result<(), FileError> {
        let now = self.now();
        let old_first = self.node(number)?.chain.first();
        let mut next = self.change(0, |format| {
            let Format { medium, nodes, .. } = format;
            let Some(node) = nodes.get_mut(number) else { return Err(FileError::NotFound) };
            let Medium { layout, table, overlay, .. } = medium;
            let next = match keep {
                // Whatever the rest of the chain is like.
                0 => Some(old_first).filter(|first| *first != 0),
                keep => node.chain.at(layout, table, overlay, keep)?,
            };
            if let Some(position) = node.position {
                let mut entry = medium.entry(position)?;
                entry.set_size(size as u32);
                entry.set_cluster(if keep == 0 { 0 } else { old_first }, medium.layout.width);
                entry.set_modified(now);
                medium.set_entry(position, &entry)?;
            }
            let Medium { layout, table, overlay, .. } = medium;
            if next.is_some()
                && let Some(before) = keep.checked_sub(1)
                && let Some(last) = node.chain.at(layout, table, overlay, before)?
            {
                table.set(overlay, last, Next::End)?;
            }
            Ok(next)
        })?;
        let first_is_recorded = if keep == 0 { 0 } else { old_first };
        if let Some(node) = self.nodes.get_mut(number) {
            if next.is_some() || keep == 0 {
                node.chain.cut(keep);
            }
            (node.recorded, node.recorded_first, node.modified) = (size, first_is_recorded, None);
        }
        while let Some(cluster) = next {
            next = self.free_some(cluster, false)?;
        }
        Ok(())
    }

    /// Frees clusters of a chain that nobody names any more. Returns where to go on.
    fn free_some(&mut self, first: u32, is_directory: bool) -> Result<Option<u32>, FileError> {
        self.change(0, |format| {
            let medium = &mut format.medium;
            let mut cluster = first;
            for _ in 0..AT_ONCE {
                if !medium.layout.has(cluster) {
                    return Ok(None);
                }
                let next = medium.table.next(&mut medium.overlay, cluster)?;
                if next == Next::Free {
                    return Ok(None);
                }
                medium.table.set(&mut medium.overlay, cluster, Next::Free)?;
                if is_directory {
                    medium.forget(cluster);
                }
                match next {
                    Next::Cluster(next) => cluster = next,
                    _ => return Ok(None),
                }
            }
            Ok(Some(cluster))
        })
    }

    /// Frees all clusters of what has no name any more.
    pub fn free_all(&mut self, first: u32, is_directory: bool) -> Result<(), FileError> {
        if is_directory {
            self.directories.remove(&first);
        }
        let mut next = Some(first).filter(|first| *first != 0);
        while let Some(cluster) = next {
            next = self.free_some(cluster, is_directory)?;
        }
        Ok(())
    }

    /// Gives a file clusters until it has so many. They are promised to it. Errors: `NoSpace`, `Corrupt`, `Device`.
    fn grow(&mut self, number: u64, wanted: u32) -> Result<(), FileError> {
        loop {
            let has = self.complete(number)?;
            if has >= wanted {
                return Ok(());
            }
            let more = (wanted - has).min(AT_ONCE);
            let last = match has.checked_sub(1) {
                Some(index) => {
                    let Some(node) = self.nodes.get_mut(number) else { return Err(FileError::NotFound) };
                    let Medium { layout, table, overlay, .. } = &mut self.medium;
                    node.chain.at(layout, table, overlay, index)?
                }
                None => None,
            };
            let taken = self.change(more, |format| {
                let mut taken = Vec::with_capacity(more as usize);
                let mut before = last;
                for _ in 0..more {
                    let cluster = format.medium.table.take(&mut format.medium.overlay, before)?;
                    taken.push(cluster);
                    before = Some(cluster);
                }
                Ok(taken)
            })?;
            if let Some(node) = self.nodes.get_mut(number) {
                taken.into_iter().for_each(|cluster| node.chain.push(cluster));
            }
            self.settle_promise(number);
        }
    }

    /// The entry of a file says what is true now: at least this size, its first cluster, when it changed.
    pub fn record(&mut self, number: u64, size: u64) -> Result<(), FileError> {
        let Some(node) = self.nodes.get(number) else { return Ok(()) };
        let (size, first) = (node.recorded.max(size), node.chain.first());
        let Some(position) = node.position.filter(|_| number != ROOT && !node.is_directory) else { return Ok(()) };
        let modified = node.modified;
        if (size, first, modified) == (node.recorded, node.recorded_first, None) {
            return Ok(());
        }
        self.change(0, |format| {
            let mut entry = format.medium.entry(position)?;
            entry.set_size(size as u32);
            entry.set_cluster(first, format.medium.layout.width);
            if let Some(modified) = modified {
                entry.set_modified(modified);
                entry.set_accessed(modified);
                entry.set_attributes(entry.attributes() | crate::entry::ARCHIVE);
            }
            format.medium.set_entry(position, &entry)
        })?;
        if let Some(node) = self.nodes.get_mut(number) {
            (node.recorded, node.recorded_first, node.modified) = (size, first, None);
        }
        Ok(())
    }
}

impl Backing for Format {
    fn block_bytes(&self) -> u64 {
        self.medium.layout.sector_bytes as u64
    }

    fn written(&mut self, file: u64, end: u64) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(file) {
            node.size = node.size.max(end);
            node.modified = Some(now);
        }
    }

    fn size(&mut self, file: u64) -> Result<u64, DataError> {
        Ok(self.node(file)?.size)
    }

    fn map(&mut self, file: u64, offset: u64, bytes: u64, runs: &mut Vec<Run>) -> Result<(), DataError> {
        self.node(file)?;
        let Some(node) = self.nodes.get_mut(file) else { return Err(DataError::Corrupt) };
        let Medium { layout, table, overlay, .. } = &mut self.medium;
        let (of_cluster, of_sector) = (layout.cluster_bytes(), layout.sector_bytes as u64);
        let end = offset + bytes;
        let mut at = offset;
        while at < end {
            let until = ((at / of_cluster + 1) * of_cluster).min(end);
            let index = (at / of_cluster) as u32;
            let place = match node.chain.at(layout, table, overlay, index)? {
                Some(cluster) => Some(layout.sector_of(cluster) * of_sector + at % of_cluster),
                // The entry says that there is more.
                None if u64::from(index) * of_cluster < node.recorded => return Err(DataError::Corrupt),
                None => None,
            };
            match runs.last_mut() {
                Some(last) if last.place.map(|place| place + last.bytes) == place => last.bytes += until - at,
                _ => runs.push(Run { offset: at, bytes: until - at, place }),
            }
            at = until;
        }
        Ok(())
    }

    /// The promise is made before, for all that is written (`Volume::write`): where the last page ends, the file may end earlier.
    fn reserve(&mut self, _: u64, _: u64, _: u64) -> Result<(), DataError> {
        if self.medium.read_only { Err(DataError::ReadOnly) } else { Ok(()) }
    }

    fn allocate(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError> {
        let wanted = self.clusters(offset + bytes);
        Ok(self.grow(file, wanted)?)
    }

    fn extend(&mut self, file: u64, end: u64) -> Result<(), DataError> {
        match self.nodes.get(file) {
            Some(node) if node.recorded < end || node.recorded_first != node.chain.first() => {
                Ok(self.record(file, end)?)
            }
            _ => Ok(()),
        }
    }
}
