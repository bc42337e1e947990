//! A directory in memory: which of its slots are in use, and where each name is. The names themselves stay on the disk: here are hashes of them.
//!
//! A slot has room for one entry; the number of a slot is its place in the directory. A name has one slot for its short entry, and before it those of its long name.
//! Everything here can be read again: after an operation that failed it is thrown away.

use crate::boot::Root;
use crate::entry::{Entry, Kind, PARTS};
use crate::medium::Medium;
use crate::name::{self, Short};
use crate::table::Next;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use volume::FileError;

/// Most slots of a directory, as Windows has it: 2 MiB.
const MOST_SLOTS: u32 = 65536;

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Name {
    /// As it is spelled.
    pub text: String,
    /// The slot of its short entry.
    pub slot: u32,
    /// Slots before it that belong to it.
    parts: u32,
    /// The short entry.
    pub entry: Entry,
    /// Where on the disk that is.
    pub position: u64,
}

/// A set of slots.
#[derive(Default)]
struct Slots(Vec<u64>);

impl Slots {
    fn has(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 != 0)
    }

    fn set(&mut self, slot: u32, is_in: bool) {
        let index = slot as usize / 64;
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        let bit = 1 << (slot % 64);
        self.0[index] = if is_in { self.0[index] | bit } else { self.0[index] & !bit };
    }

    /// The first from here on that is in the set.
    fn next(&self, from: u32) -> Option<u32> {
        let mut slot = from;
        while let Some(word) = self.0.get(slot as usize / 64) {
            let rest = word >> (slot % 64);
            if rest != 0 {
                return Some(slot + rest.trailing_zeros());
            }
            slot = (slot / 64 + 1) * 64;
        }
        None
    }
}

/// A directory.
pub struct Directory {
    /// Its clusters, if it is made of some.
    clusters: Vec<u32>,
    slots: u32,
    /// The first slot that was never used.
    end: u32,
    used: Slots,
    /// All slots before this one are in use.
    full: u32,
    /// Slots with the short entries of names.
    names: Slots,
    count: u32,
    /// Hashes of names, long and short, with their slots.
    hashes: BTreeSet<(u64, u32)>,
    /// When it was last wanted.
    pub stamp: u64,
}

/// The long name that parts say, which are asked for from the short entry away; `None`: none, or none that can be said. And how many belong to it.
fn long_name(
    entry: &Entry,
    mut part: impl FnMut(u32) -> Result<Option<Entry>, FileError>,
) -> Result<(Option<String>, u32), FileError> {
    let sum = name::checksum(&entry.short());
    let mut units = Vec::new();
    let mut goes_on = true;
    for number in 1..=PARTS {
        let Some(is_last) = part(number)?.and_then(|part| {
            let is_last = part.is_part(number, sum)?;
            goes_on = goes_on && part.add_units(&mut units);
            Some(is_last)
        }) else {
            return Ok((None, 0));
        };
        if is_last {
            return Ok((name::long(&units), number));
        }
    }
    Ok((None, 0))
}

impl Directory {
    /// Reads the directory that begins with a cluster; 0: the root, where that has none. Errors: `Corrupt`, `Device`.
    pub fn open(medium: &mut Medium, first: u32) -> Result<Directory, FileError> {
        let per_sector = (medium.layout.sector_bytes / crate::entry::BYTES) as u32;
        let mut directory = Directory {
            clusters: Vec::new(),
            slots: 0,
            end: 0,
            used: Slots::default(),
            full: 0,
            names: Slots::default(),
            count: 0,
            hashes: BTreeSet::new(),
            stamp: 0,
        };
        match (first, medium.layout.root) {
            (0, Root::Fixed(_, sectors)) => directory.slots = sectors as u32 * per_sector,
            (0, Root::Chain(_)) => return Err(FileError::Corrupt),
            (first, _) => directory.find_clusters(medium, first)?,
        }
        directory.read(medium)?;
        Ok(directory)
    }

    fn find_clusters(&mut self, medium: &mut Medium, first: u32) -> Result<(), FileError> {
        let mut cluster = first;
        loop {
            if !medium.layout.has(cluster) || self.slots >= MOST_SLOTS {
                return Err(FileError::Corrupt);
            }
            self.clusters.push(cluster);
            self.slots += Self::slots_of_cluster(medium);
            match medium.table.next(&mut medium.overlay, cluster)? {
                Next::Cluster(next) => cluster = next,
                Next::End => return Ok(()),
                Next::Free | Next::Wrong => return Err(FileError::Corrupt),
            }
        }
    }

    fn slots_of_cluster(medium: &Medium) -> u32 {
        (medium.layout.cluster_bytes() / crate::entry::BYTES as u64) as u32
    }

    fn read(&mut self, medium: &mut Medium) -> Result<(), FileError> {
        let mut before: Vec<Entry> = Vec::new();
        let mut bytes = vec![0; medium.layout.sector_bytes];
        let per_sector = (bytes.len() / crate::entry::BYTES) as u32;
        self.end = self.slots;
        for slot in 0..self.slots {
            if slot % per_sector == 0 {
                let sector = self.position(medium, slot)? / u64::from(per_sector);
                medium.overlay.read(sector, &mut bytes)?;
            }
            let at = (slot % per_sector) as usize * crate::entry::BYTES;
            let mut entry = Entry([0; crate::entry::BYTES]);
            entry.0.copy_from_slice(&bytes[at..at + crate::entry::BYTES]);
            match entry.kind() {
                Kind::End => {
                    self.end = slot;
                    break;
                }
                Kind::Free => {
                    before.clear();
                    continue;
                }
                Kind::Part => before.push(entry),
                Kind::Label => before.clear(),
                Kind::File => {
                    let part = |number: u32| Ok(before.len().checked_sub(number as usize).map(|at| before[at]));
                    let (long, _) = long_name(&entry, part)?;
                    before.clear();
                    self.note(slot, &entry, long.as_deref());
                }
            }
            self.used.set(slot, true);
        }
        Ok(())
    }

    /// Notes a short entry.
    fn note(&mut self, slot: u32, entry: &Entry, long: Option<&str>) {
        let short = name::short(&entry.short(), entry.case());
        if entry.is_dots() || (short.is_none() && long.is_none()) {
            return;
        }
        self.names.set(slot, true);
        self.count += 1;
        for name in short.iter().map(String::as_str).chain(long) {
            self.hashes.insert((name::hash(name), slot));
        }
    }

    /// Where on the disk a slot is.
    fn position(&self, medium: &Medium, slot: u32) -> Result<u64, FileError> {
        let per_sector = (medium.layout.sector_bytes / crate::entry::BYTES) as u64;
        if let (true, Root::Fixed(sector, _)) = (self.clusters.is_empty(), medium.layout.root) {
            return Ok(sector * per_sector + u64::from(slot));
        }
        let per_cluster = Self::slots_of_cluster(medium);
        let cluster = self.clusters.get((slot / per_cluster) as usize).ok_or(FileError::Corrupt)?;
        Ok(medium.layout.sector_of(*cluster) * per_sector + u64::from(slot % per_cluster))
    }

    // ---- finding -----------------------------------------------------------------------------------------------

    /// Names that there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How much memory it takes, in hashes.
    pub fn weight(&self) -> usize {
        self.hashes.len() + self.slots as usize / 128
    }

    fn entry(&self, medium: &mut Medium, slot: u32) -> Result<Entry, FileError> {
        let position = self.position(medium, slot)?;
        medium.entry(position)
    }

    /// The name whose short entry is in a slot; `None`: none that can be said.
    fn name(&self, medium: &mut Medium, slot: u32) -> Result<Option<Name>, FileError> {
        let entry = self.entry(medium, slot)?;
        let part = |number: u32| match slot.checked_sub(number) {
            Some(slot) => self.entry(medium, slot).map(Some),
            None => Ok(None),
        };
        let (long, parts) = long_name(&entry, part)?;
        let position = self.position(medium, slot)?;
        let text = long.or_else(|| name::short(&entry.short(), entry.case()));
        Ok(text.map(|text| Name { text, slot, parts, entry, position }))
    }

    fn with_hash(&self, hash: u64) -> Vec<u32> {
        self.hashes.range((hash, 0)..=(hash, u32::MAX)).map(|(_, slot)| *slot).collect()
    }

    /// Finds a name, long or short, in any case. Errors: `Corrupt`, `Device`.
    pub fn find(&self, medium: &mut Medium, wanted: &str) -> Result<Option<Name>, FileError> {
        for slot in self.with_hash(name::hash(wanted)) {
            let Some(found) = self.name(medium, slot)? else { continue };
            let is_short = || name::short(&found.entry.short(), 0).is_some_and(|short| name::same(&short, wanted));
            if name::same(&found.text, wanted) || is_short() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The next name at this slot or behind it.
    pub fn next(&self, medium: &mut Medium, from: u32) -> Result<Option<Name>, FileError> {
        let mut from = from;
        while let Some(slot) = self.names.next(from) {
            if let Some(name) = self.name(medium, slot)? {
                return Ok(Some(name));
            }
            from = slot + 1;
        }
        Ok(None)
    }

    // ---- changing ----------------------------------------------------------------------------------------------

    fn has_short(&self, medium: &mut Medium, short: &Short) -> Result<bool, FileError> {
        let Some(text) = name::short(short, 0) else { return Ok(true) };
        for slot in self.with_hash(name::hash(&text)) {
            if self.entry(medium, slot)?.short() == *short {
                return Ok(true);
            }
        }
        // A long name that reads the same would be found instead.
        Ok(self.find(medium, &text)?.is_some())
    }

    /// A short name for a new name, and whether it says all of it. Error: `NoSpace`: all are taken.
    fn short_for(&self, medium: &mut Medium, name: &str) -> Result<(Short, bool), FileError> {
        if let Some(short) = name::exactly_short(name) {
            return Ok((short, true));
        }
        for short in name::aliases(name) {
            if !self.has_short(medium, &short)? {
                return Ok((short, false));
            }
        }
        Err(FileError::NoSpace)
    }

    /// The first of so many free slots that follow each other.
    fn room(&self, wanted: u32) -> Option<u32> {
        let mut start = self.full;
        while start + wanted <= self.slots {
            match (start..start + wanted).rev().find(|slot| self.used.has(*slot)) {
                Some(slot) => start = slot + 1,
                None => return Some(start),
            }
        }
        None
    }

    /// Adds a cluster. Errors: `NoSpace`.
    fn grow(&mut self, medium: &mut Medium) -> Result<(), FileError> {
        let Some(last) = self.clusters.last().copied() else { return Err(FileError::NoSpace) };
        let more = Self::slots_of_cluster(medium);
        if self.slots + more > MOST_SLOTS {
            return Err(FileError::NoSpace);
        }
        let cluster = medium.table.take(&mut medium.overlay, Some(last))?;
        medium.clear(cluster)?;
        self.clusters.push(cluster);
        self.slots += more;
        Ok(())
    }

    /// Most clusters that putting one name in may take.
    pub const GROWTH: u32 = 2;

    /// Puts a name in, which is not there: the entry gets its short name. Returns where the entry is. Errors: `NoSpace`, `Device`.
    pub fn insert(&mut self, medium: &mut Medium, name: &str, mut entry: Entry) -> Result<u64, FileError> {
        let (short, says_all) = self.short_for(medium, name)?;
        entry.set_short(short);
        let mut entries = if says_all { Vec::new() } else { Entry::parts(name, &short) };
        entries.push(entry);
        let wanted = entries.len() as u32;
        let start = loop {
            match self.room(wanted) {
                Some(start) => break start,
                None => self.grow(medium)?,
            }
        };
        for (slot, entry) in (start..).zip(&entries) {
            let position = self.position(medium, slot)?;
            medium.set_entry(position, entry)?;
            self.used.set(slot, true);
        }
        while self.used.has(self.full) {
            self.full += 1;
        }
        let behind = start + wanted;
        if behind > self.end {
            self.end = behind;
            // Whatever lies behind the end of a directory counts for nothing: it must not begin to.
            if behind < self.slots && self.entry(medium, behind)?.kind() != Kind::End {
                let position = self.position(medium, behind)?;
                medium.set_entry(position, &Entry([0; crate::entry::BYTES]))?;
            }
        }
        self.note(behind - 1, &entry, Some(name));
        self.position(medium, behind - 1)
    }

    /// Takes a name out.
    pub fn remove(&mut self, medium: &mut Medium, name: &Name) -> Result<(), FileError> {
        for slot in name.slot - name.parts..=name.slot {
            let position = self.position(medium, slot)?;
            let mut entry = medium.entry(position)?;
            entry.remove();
            medium.set_entry(position, &entry)?;
            self.used.set(slot, false);
            self.full = self.full.min(slot);
        }
        self.names.set(name.slot, false);
        self.count -= 1;
        let short = name::short(&name.entry.short(), name.entry.case());
        for text in short.iter().map(String::as_str).chain([name.text.as_str()]) {
            self.hashes.remove(&(name::hash(text), name.slot));
        }
        Ok(())
    }
}
