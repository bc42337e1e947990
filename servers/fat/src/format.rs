//! Files and directories over the medium: what is known of each in use, where its data is, and clusters for it.
//!
//! What a request changes counts with the commit of its reply; what is done besides (clusters for data that is written back, what entries say of it, the freeing of clusters) stands by itself, each record so that nothing is lost
//! where the server dies behind it.
//!
//! A file has no holes: its clusters go as far as its data was written back. What was written and has no clusters yet is promised some, so that a full disk is noticed by who writes.

use crate::directory::Directory;
use crate::entry::Entry;
use crate::medium::Medium;
use crate::nodes::{Node, Nodes, ROOT};
use crate::noted::{self, Noted, Rest};
use crate::table::Next;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use volume::log::ItemKey;
use volume::{Backing, Counts, DataError, FileError, Housekeeping, Kept, Overlay, Run};

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
    /// What outlives the server.
    pub kept: Kept,
    /// Files whose size is not committed.
    unsettled: Vec<u64>,
    /// Directories, by first cluster.
    directories: BTreeMap<u32, Directory>,
    /// Clusters that are promised.
    promised: u64,
    seconds: fn() -> u64,
    turn: u64,
}

impl Format {
    /// On this disk.
    pub fn new(medium: Medium, seconds: fn() -> u64, kept: Kept) -> Format {
        let (nodes, directories, unsettled) = (Nodes::default(), BTreeMap::new(), Vec::new());
        Format { medium, nodes, kept, unsettled, directories, promised: 0, seconds, turn: 0 }
    }

    /// Now, in seconds since 1970.
    pub fn now(&self) -> i64 {
        (self.seconds)() as i64
    }

    /// One operation of the request that is carried out: a record, or nothing. It needs so many free clusters at most.
    pub fn change<T>(
        &mut self,
        clusters: u32,
        operation: impl FnOnce(&mut Format) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        self.operate(Counts::WithReply, clusters, operation)
    }

    /// The same of what is no request's: it counts at once.
    pub fn keep_house<T>(
        &mut self,
        clusters: u32,
        operation: impl FnOnce(&mut Format) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        self.operate(Counts::AtOnce, clusters, operation)
    }

    fn operate<T>(
        &mut self,
        counts: Counts,
        clusters: u32,
        operation: impl FnOnce(&mut Format) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        self.medium.begin(clusters, &mut self.kept)?;
        if counts == Counts::WithReply {
            let prepared = self.medium.overlay.prepared();
            self.kept.reserve(prepared).map_err(|_| FileError::Exhausted)?;
        }
        let result = operation(self);
        let result = self.medium.end(result, &mut self.kept, counts);
        if result.is_err() {
            self.directories.clear();
        }
        result
    }

    /// What was staged is committed. False: not all of it.
    pub fn settle(&mut self) -> bool {
        if !self.kept.settle(&mut self.medium.overlay) {
            return false;
        }
        for number in core::mem::take(&mut self.unsettled) {
            if let Some(node) = self.nodes.get_mut(number) {
                node.settled = node.size;
            }
        }
        true
    }

    // ---- what the disk does not say ----------------------------------------------------------------------------

    /// Notes of a file what the disk does not say, in the record that is pending; `amend`: what this record changes. `is_used`: its number has to outlive the server. Error: `Exhausted`.
    pub fn note(&mut self, number: u64, is_used: bool, amend: impl FnOnce(&mut Noted)) -> Result<(), FileError> {
        let Some(node) = self.nodes.get(number).filter(|_| number != ROOT && self.kept.is_some()) else {
            return Ok(());
        };
        let mut noted = Noted {
            position: node.position,
            is_directory: node.is_directory,
            first: node.chain.first(),
            recorded: node.recorded,
            zeroed: node.zeroed.filter(|zeroed| *zeroed >= node.size),
        };
        amend(&mut noted);
        let overlay = &mut self.medium.overlay;
        let key = noted::node_key(number);
        let is_known = overlay.item(&key).is_some();
        let is_elsewhere = noted.position != Some(number);
        let is_wanted = noted.zeroed.is_some() || noted.position.is_none() || (is_elsewhere && (is_used || is_known));
        if is_wanted && !is_known && overlay.items(noted::NODE).count() >= noted::MOST {
            return Err(FileError::Exhausted);
        }
        if is_wanted || is_known {
            overlay.set_item(key, is_wanted.then(|| noted.encode()));
        }
        Ok(())
    }

    /// A file is used from now on, so its number has to outlive the server. Error: `Exhausted`.
    pub fn keep_number(&mut self, number: u64) -> Result<(), FileError> {
        let is_elsewhere = self.nodes.get(number).is_some_and(|node| node.position != Some(number));
        if !is_elsewhere || !self.kept.is_some() || self.is_noted(number) {
            return Ok(());
        }
        self.change(0, |format| format.note(number, true, |_| {}))
    }

    /// Whether something is noted of a file.
    pub fn is_noted(&self, number: u64) -> bool {
        self.medium.overlay.item(&noted::node_key(number)).is_some()
    }

    /// Files of which something is noted.
    pub fn noted(&self) -> Vec<u64> {
        self.medium.overlay.items(noted::NODE).map(|(key, _)| key.words[0]).collect()
    }

    /// Nobody uses a file any more: nothing is noted of it.
    pub fn forget_noted(&mut self, number: u64) -> Result<(), FileError> {
        if !self.is_noted(number) {
            return Ok(());
        }
        self.keep_house(0, |format| {
            format.medium.overlay.set_item(noted::node_key(number), None);
            Ok(())
        })
    }

    /// What an earlier incarnation has noted is known. Errors: `Corrupt`, `Device`.
    pub fn restore(&mut self) -> Result<(), FileError> {
        let items = self.medium.overlay.items(noted::NODE);
        let noted: Vec<(u64, Option<Noted>)> = items.map(|(key, value)| (key.words[0], Noted::decode(value))).collect();
        for (number, noted) in noted {
            let Noted { position, is_directory, first, recorded, zeroed } = noted.ok_or(FileError::Corrupt)?;
            let mut node = match position {
                Some(position) => Node::of(position, &self.medium.file_entry(position)?, self.medium.layout.width),
                None => Node::nameless(first, recorded, is_directory),
            };
            node.zeroed = zeroed;
            self.nodes.restore(number, node);
        }
        Ok(())
    }

    /// Stages how long a file will be when this request has ended. Error: `Exhausted`.
    pub fn keep_size(&mut self, number: u64, size: u64) -> Result<(), FileError> {
        if !self.kept.is_some() {
            return Ok(());
        }
        let Some(node) = self.nodes.get_mut(number) else { return Ok(()) };
        if node.kept != Some(size) {
            self.kept.put_size(number, size).map_err(|_| FileError::Exhausted)?;
            node.kept = Some(size);
        }
        Ok(())
    }

    /// Stages that the entry says how long it is, and when it changed, if it does.
    pub fn forget_size(&mut self, number: u64) {
        let Some(node) = self.nodes.get_mut(number) else { return self.kept.forget_size(number) };
        if node.kept.is_some() && node.recorded == node.size && node.modified.is_none() {
            node.kept = None;
            self.kept.forget_size(number);
        }
    }

    /// A file is as long as this request has made it.
    pub fn resized(&mut self, number: u64) {
        if self.kept.is_some() {
            self.unsettled.push(number);
        } else if let Some(node) = self.nodes.get_mut(number) {
            node.settled = node.size;
        }
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
        Ok((position, self.medium.file_entry(position)?))
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

    /// Makes a file so long, and takes the clusters from index `keep` on from it; its entry says so first. Its data there is not in flight. They are free after [`Format::free_rests`]. Errors: `Corrupt` (what could be freed is), `Device`.
    pub fn cut(&mut self, number: u64, keep: u32, size: u64, counts: Counts) -> Result<(), FileError> {
        let now = self.now();
        let old_first = self.node(number)?.chain.first();
        let first = if keep == 0 { 0 } else { old_first };
        let next = self.operate(counts, 0, |format| {
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
                entry.set_cluster(first, medium.layout.width);
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
            if let Some(next) = next {
                overlay.set_item(noted::rest_key(next), Some(Rest { next, is_directory: false }.encode()));
            }
            format.note(number, false, |noted| {
                (noted.first, noted.recorded, noted.zeroed) = (first, size, None);
            })?;
            Ok(next)
        })?;
        if let Some(node) = self.nodes.get_mut(number) {
            if next.is_some() || keep == 0 {
                node.chain.cut(keep);
            }
            (node.recorded, node.recorded_first, node.modified, node.zeroed) = (size, first, None, None);
        }
        Ok(())
    }

    /// Frees the clusters that nobody names any more, unless what has freed them is not committed. Errors: `Corrupt`, `Device`.
    pub fn free_rests(&mut self) -> Result<(), FileError> {
        let mut result = Ok(());
        while self.medium.overlay.prepared().is_none() {
            let Some((key, rest)) =
                self.medium.overlay.items(noted::REST).next().map(|(key, value)| (*key, Rest::decode(value)))
            else {
                break;
            };
            let freed = rest.ok_or(FileError::Corrupt).and_then(|rest| self.free_some(key, rest));
            if freed.is_err() {
                result = freed;
                self.keep_house(0, |format| {
                    format.medium.overlay.set_item(key, None);
                    Ok(())
                })?;
            }
        }
        result
    }

    /// Frees some clusters of a chain, and notes where to go on.
    fn free_some(&mut self, key: ItemKey, rest: Rest) -> Result<(), FileError> {
        self.keep_house(0, |format| {
            let medium = &mut format.medium;
            let mut next = Some(rest.next);
            for _ in 0..AT_ONCE {
                let Some(cluster) = next.filter(|cluster| medium.layout.has(*cluster)) else {
                    next = None;
                    break;
                };
                let behind = medium.table.next(&mut medium.overlay, cluster)?;
                if behind == Next::Free {
                    next = None;
                    break;
                }
                medium.table.set(&mut medium.overlay, cluster, Next::Free)?;
                if rest.is_directory {
                    medium.forget(cluster);
                }
                next = if let Next::Cluster(behind) = behind { Some(behind) } else { None };
            }
            let value = next.map(|next| Rest { next, ..rest }.encode());
            medium.overlay.set_item(key, value);
            Ok(())
        })
    }

    /// Frees all clusters of what has no name any more, and is forgotten.
    pub fn free_all(&mut self, number: u64, first: u32, is_directory: bool) -> Result<(), FileError> {
        if is_directory {
            self.directories.remove(&first);
        }
        self.keep_house(0, |format| {
            let overlay = &mut format.medium.overlay;
            if overlay.item(&noted::node_key(number)).is_some() {
                overlay.set_item(noted::node_key(number), None);
            }
            if first != 0 {
                overlay.set_item(noted::rest_key(first), Some(Rest { next: first, is_directory }.encode()));
            }
            Ok(())
        })?;
        self.free_rests()
    }

    /// Gives a file clusters until it has so many. They are promised to it. Errors: `NoSpace`, `Corrupt`, `Device`.
    pub fn grow(&mut self, number: u64, wanted: u32) -> Result<(), FileError> {
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
            let position = self.nodes.get(number).and_then(|node| node.position);
            let taken = self.keep_house(more, |format| {
                let mut taken = Vec::with_capacity(more as usize);
                let mut before = last;
                for _ in 0..more {
                    let cluster = format.medium.table.take(&mut format.medium.overlay, before)?;
                    taken.push(cluster);
                    before = Some(cluster);
                }
                // Somebody names them in the same record.
                let first = taken.first().copied().filter(|_| has == 0);
                if let (Some(first), Some(position)) = (first, position) {
                    let mut entry = format.medium.entry(position)?;
                    entry.set_cluster(first, format.medium.layout.width);
                    format.medium.set_entry(position, &entry)?;
                }
                format.note(number, false, |noted| noted.first = first.unwrap_or(noted.first))?;
                Ok(taken)
            })?;
            if let Some(node) = self.nodes.get_mut(number) {
                if let (0, Some(first)) = (has, taken.first()) {
                    node.recorded_first = *first;
                }
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
        self.keep_house(0, |format| {
            let mut entry = format.medium.entry(position)?;
            entry.set_size(size as u32);
            entry.set_cluster(first, format.medium.layout.width);
            if format.is_noted(number) {
                format.note(number, false, |noted| noted.recorded = size)?;
            }
            if let Some(modified) = modified {
                entry.set_modified(modified);
                entry.set_accessed(modified);
                entry.set_attributes(entry.attributes() | crate::entry::ARCHIVE);
            }
            format.medium.set_entry(position, &entry)
        })?;
        if let Some(node) = self.nodes.get_mut(number) {
            (node.recorded, node.recorded_first, node.modified) = (size, first, None);
            node.zeroed = node.zeroed.filter(|zeroed| *zeroed >= node.size);
        }
        self.forget_size(number);
        Ok(())
    }
}

impl Backing for Format {
    fn block_bytes(&self) -> u64 {
        self.medium.layout.sector_bytes as u64
    }

    fn written(&mut self, file: u64, end: u64) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(file) else { return };
        node.modified = Some(now);
        if node.size < end {
            node.size = end;
            self.resized(file);
        }
    }

    fn settled(&mut self, file: u64) -> Result<u64, DataError> {
        Ok(self.node(file)?.settled)
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

impl Housekeeping for Format {
    fn with_overlay<T>(&mut self, operation: impl FnOnce(&mut Overlay) -> T) -> T {
        operation(&mut self.medium.overlay)
    }

    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    fn files(&self) -> Vec<u64> {
        self.nodes.iter().map(|(number, _)| number).collect()
    }

    fn settle_time(&mut self, file: u64) -> Result<(), FileError> {
        self.record(file, 0)
    }

    fn come_home(&mut self) -> Result<(), FileError> {
        self.medium.come_home(&mut self.kept)
    }

    fn restore_size(&mut self, file: u64, size: u64) -> bool {
        let now = self.now();
        let Ok(node) = self.node(file) else { return false };
        if node.is_directory {
            return false;
        }
        node.kept = Some(size);
        node.size = node.size.max(size);
        node.settled = node.size;
        node.modified = Some(now);
        true
    }

    fn restore_data(&mut self, file: u64) -> Option<u64> {
        let now = self.now();
        let node = self.node(file).ok().filter(|node| !node.is_directory)?;
        node.modified = Some(now);
        Some(node.size)
    }

    fn promise_again(&mut self, file: u64, _: u64, _: u64) -> Result<(), FileError> {
        self.complete(file)?;
        self.settle_promise(file);
        Ok(())
    }
}
