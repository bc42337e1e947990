//! Names of files, looked up, made and taken away in the overlay itself: what programs do most, and what the format crate takes too long for.
//!
//! Whatever is not plain is left to the crate: directories that have to grow, attributes, orphans, features that are rare ([`Left::ToCrate`]). The crate has caches, and
//! does not know what was done here: it is mounted anew before it is asked the next time ([`Names::is_ahead`], `format.rs`).

use crate::cut::{Cut, cut};
use crate::disk::{Bitmap, CORRUPT, Disk, Group, Here, Info, Left, Record};
use crate::entries::{self, Entry, TAIL_BYTES};
use crate::hints::Hints;
use crate::mapping::{FLAG_EXTENTS, Window, le16, le32};
use crate::recent::Recent;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use volume::{FileError, Kind, Overlay};

/// An inode of a directory with an index.
const FLAG_INDEX: u32 = 0x1000;
/// What a directory may be here, besides: nothing.
const DIRECTORY_FLAGS: u32 = FLAG_EXTENTS | FLAG_INDEX;
/// Levels of nodes below the root of an index.
const MOST_LEVELS: u8 = 2;
/// Things that are remembered.
const MOST_KNOWN: usize = 4096;
const MOST_WINDOWS: usize = 64;
/// Runs of work here that are shorter than this were not worth that the crate was mounted anew.
const SHORT_RUN: u32 = 16;
/// The most blocks that are left to the crate to be freed, and that files have.
const MOST_OF_CRATE: u64 = 256;
const MOST_BLOCKS: u64 = 1 << 32;
/// The most that the crate does before it is tried again whether a run gets longer.
const MOST_PATIENCE: u32 = 64;

/// What was looked at, and found right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Inode(u32),
    Block(u64),
}

/// Where a name is.
#[derive(Clone, Copy)]
struct Place {
    block: u64,
    entry: Entry,
}

/// The last name that was looked up.
struct Looked {
    directory: u32,
    name: Vec<u8>,
    place: Option<Place>,
    /// The block that the name belongs into; `None`: any.
    leaf: Option<u64>,
}

/// Names of a mounted volume.
pub struct Names {
    disk: Disk,
    known: BTreeSet<Known>,
    windows: BTreeMap<u32, Window>,
    looked: Option<Looked>,
    /// The last directory that was used, as it is in the overlay.
    directory: Option<Box<Record>>,
    recent: Recent,
    /// Blocks as they are in the overlay, with what is pending: of a directory, of a bitmap, and the node above the first.
    scratch: Cached,
    bitmap: Cached,
    node: Vec<u8>,
    hints: Hints,
    /// The crate's caches are out of date.
    is_ahead: bool,
    /// Blocks and inodes that are free now, beyond what the crate thinks.
    freed: Freed,
    /// Changes here since the crate was mounted; how many are left to it before the next one here, and how many that is to be the next time.
    run: u32,
    waiting: u32,
    patience: u32,
    most_patience: u32,
}

/// A block as it is in the overlay.
struct Cached {
    /// Which one; `None`: nothing that could be relied on.
    block: Option<u64>,
    bytes: Vec<u8>,
}

/// Blocks of a directory without an index from which on it is worth noting where its names are.
const HINTED: u64 = 4;

/// Blocks and inodes that a change makes free; less than 0: takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blocks.
    pub blocks: i64,
    /// Inodes.
    pub inodes: i64,
}

/// What became of a name that was taken away.
pub struct Removed {
    /// The file.
    pub inode: u64,
    /// It went with the name.
    pub is_last: bool,
}

fn damaged(_: entries::Damaged) -> Left {
    CORRUPT
}

impl Names {
    /// Of a disk.
    pub fn new(disk: Disk) -> Names {
        let empty = || Cached { block: None, bytes: vec![0; disk.layout.block_bytes] };
        Names {
            directory: None,
            recent: Recent::default(),
            scratch: empty(),
            bitmap: empty(),
            node: Vec::new(),
            hints: Hints::default(),
            disk,
            known: BTreeSet::new(),
            windows: BTreeMap::new(),
            looked: None,
            is_ahead: false,
            freed: Freed::default(),
            run: 0,
            waiting: 0,
            patience: 0,
            most_patience: MOST_PATIENCE,
        }
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    // ---- who does what -------------------------------------------------------------------------------------------

    /// Whether the crate has to be mounted anew before it is asked.
    pub fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Blocks and inodes that are free beyond what the crate thinks.
    pub fn freed(&self) -> Freed {
        self.freed
    }

    /// The crate knows everything again.
    pub fn caught_up(&mut self) {
        self.patience = if self.run < SHORT_RUN { (self.patience * 2).max(1).min(self.most_patience) } else { 0 };
        (self.is_ahead, self.freed, self.run, self.waiting) = (false, Freed::default(), 0, self.patience);
    }

    /// How many changes are left to the crate at most, where changes here and there alternate.
    pub fn set_patience(&mut self, most: u32) {
        self.most_patience = most;
        self.waiting = self.waiting.min(most);
    }

    /// The crate changes something.
    pub fn passed(&mut self) {
        self.abandoned();
        self.windows.clear();
    }

    /// Before a change: `ToCrate` while changes alternate between here and there, and while there are orphans, of which the crate has to know.
    fn turn(&mut self, overlay: &mut Overlay) -> Here<()> {
        if !self.is_ahead && self.waiting > 0 {
            self.waiting -= 1;
            return Err(Left::ToCrate);
        }
        if self.recent.has_orphans(&self.disk, overlay)? { Err(Left::ToCrate) } else { Ok(()) }
    }

    // ---- looking -------------------------------------------------------------------------------------------------

    fn record(&mut self, overlay: &mut Overlay, number: u32) -> Here<Box<Record>> {
        let is_known = self.known.contains(&Known::Inode(number));
        let record = self.disk.inode(overlay, number, is_known)?;
        if !is_known {
            self.note(Known::Inode(number));
        }
        Ok(record)
    }

    fn note(&mut self, what: Known) {
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(what);
    }

    /// What an inode says. Error: `NotFound` (it is nobody's).
    pub fn info(&mut self, overlay: &mut Overlay, inode: u64) -> Here<Info> {
        let number = u32::try_from(inode).map_err(|_| FileError::OutOfRange)?;
        let record = match self.recent.take_inode(number) {
            Some(record) => record,
            None => self.record_in_use(overlay, number)?,
        };
        let info = self.disk.info(&record);
        self.recent.keep_inode(record);
        // No file has more blocks than 32 bits number.
        let most = u64::from(u32::MAX) * self.disk.layout.block_bytes as u64;
        if info.size > most { Err(CORRUPT) } else { Ok(info) }
    }

    /// An inode that is somebody's. Error: `NotFound`.
    fn record_in_use(&mut self, overlay: &mut Overlay, number: u32) -> Here<Box<Record>> {
        let record = self.record(overlay, number)?;
        let (group, index) = ((number - 1) / self.disk.inodes_per_group, (number - 1) % self.disk.inodes_per_group);
        let group = self.recent.group(&self.disk, overlay, group)?;
        let mut byte = [0];
        if !group.is_unmade(Bitmap::Inodes) {
            overlay.read_part(self.disk.bitmap(&group, Bitmap::Inodes)?, index as usize / 8, &mut byte)?;
        }
        if byte[0] >> (index % 8) & 1 == 0 { Err(FileError::NotFound.into()) } else { Ok(record) }
    }

    /// Writes an inode.
    fn write_inode(&mut self, overlay: &mut Overlay, record: &mut Record) -> Here<()> {
        self.recent.take_inode(record.number);
        self.disk.write_inode(overlay, record)
    }

    /// Writes a group's descriptor.
    fn write_group(&mut self, overlay: &mut Overlay, mut group: Group) -> Here<()> {
        self.disk.write_group(overlay, &mut group)?;
        self.recent.keep_group(group);
        Ok(())
    }

    /// A directory, which is given back with [`Names::give_back`]. Errors: `NotDirectory`, `ToCrate` (it is not plain).
    fn directory(&mut self, overlay: &mut Overlay, inode: u64) -> Here<Box<Record>> {
        let number = u32::try_from(inode).map_err(|_| FileError::OutOfRange)?;
        if let Some(known) = self.directory.take_if(|known| known.number == number) {
            return Ok(known);
        }
        let record = self.record(overlay, number)?;
        if record.mode() & 0xf000 != 0x4000 {
            return Err(FileError::NotDirectory.into());
        }
        let bytes = record.directory_bytes();
        let is_plain =
            record.flags() & !DIRECTORY_FLAGS == 0 && bytes % self.scratch.bytes.len() as u64 == 0 && bytes > 0;
        if is_plain { Ok(record) } else { Err(Left::ToCrate) }
    }

    /// It is used again: as it is in the overlay.
    fn give_back(&mut self, directory: Box<Record>) {
        self.directory = Some(directory);
    }

    /// Where a block of a directory is.
    fn block(&mut self, overlay: &mut Overlay, directory: &Record, logical: u64) -> Here<u64> {
        let is_there = self.windows.get(&directory.number).is_some_and(|window| window.covers(logical, logical + 1));
        if !is_there {
            if self.windows.len() >= MOST_WINDOWS {
                self.windows.clear();
            }
            let window = self.disk.layout.window(overlay, directory.number, logical, logical + 1)?;
            self.windows.insert(directory.number, window);
        }
        let window = self.windows.get(&directory.number).ok_or(CORRUPT)?;
        let extent = window.extents(logical, logical + 1).first().ok_or(CORRUPT)?;
        Ok(extent.physical + (logical - extent.logical))
    }

    /// Reads a block of a directory.
    fn load(&mut self, overlay: &mut Overlay, directory: &Record, block: u64, is_node: bool) -> Here<()> {
        if self.scratch.block == Some(block) {
            return Ok(());
        }
        self.scratch.block = None;
        let bytes = &mut self.scratch.bytes;
        overlay.read(block, bytes)?;
        if !self.known.contains(&Known::Block(block)) {
            if let Some(seed) = self.disk.seed_of(directory) {
                let is_right = if is_node { is_node_right(seed, bytes) } else { is_leaf_right(seed, bytes) };
                if !is_right {
                    return Err(CORRUPT);
                }
            }
            self.note(Known::Block(block));
        }
        self.scratch.block = Some(block);
        Ok(())
    }

    /// Looks a name up.
    fn look(&mut self, overlay: &mut Overlay, directory: &Record, name: &[u8]) -> Here<(Option<Place>, Option<u64>)> {
        if let Some(looked) = &self.looked
            && looked.directory == directory.number
            && looked.name == name
        {
            return Ok((looked.place, looked.leaf));
        }
        let (place, leaf) = match directory.flags() & FLAG_INDEX {
            0 => (self.scan(overlay, directory, name)?, None),
            _ => self.descend(overlay, directory, name)?,
        };
        let mut kept = self.looked.take().map_or_else(Vec::new, |looked| looked.name);
        kept.clear();
        kept.extend_from_slice(name);
        self.looked = Some(Looked { directory: directory.number, name: kept, place, leaf });
        Ok((place, leaf))
    }

    fn blocks_of(&self, directory: &Record) -> u64 {
        directory.directory_bytes() / self.scratch.bytes.len() as u64
    }

    /// Looks a name up in a directory without an index.
    fn scan(&mut self, overlay: &mut Overlay, directory: &Record, name: &[u8]) -> Here<Option<Place>> {
        let (number, blocks) = (directory.number, self.blocks_of(directory));
        let has_hints = blocks >= HINTED;
        let hint = if has_hints { self.hints.block_of(number, name).filter(|hint| *hint < blocks) } else { None };
        for logical in hint.into_iter().chain(0..blocks) {
            let block = self.block(overlay, directory, logical)?;
            self.load(overlay, directory, block, false)?;
            if let Some(entry) = entries::find(&self.scratch.bytes, name).map_err(damaged)? {
                if has_hints && hint != Some(logical) {
                    self.hints.note(number, name, logical);
                }
                return Ok(Some(Place { block, entry }));
            }
            if has_hints {
                self.hints.note_all(number, logical, &self.scratch.bytes).map_err(damaged)?;
            }
        }
        Ok(None)
    }

    /// Looks a name up in the index: the leaf that it belongs into, too.
    fn descend(
        &mut self,
        overlay: &mut Overlay,
        directory: &Record,
        name: &[u8],
    ) -> Here<(Option<Place>, Option<u64>)> {
        let root = self.block(overlay, directory, 0)?;
        self.load(overlay, directory, root, true)?;
        let (algorithm, information, levels) = (self.scratch.bytes[28], self.scratch.bytes[29], self.scratch.bytes[30]);
        if information != 8 || levels > MOST_LEVELS {
            return Err(CORRUPT);
        }
        let hash = self.disk.hashing.hash(name, algorithm).ok_or(Left::ToCrate)?;
        let blocks = self.blocks_of(directory);
        let (mut at, mut has_more_above, mut left) = (32, false, levels);
        let (node, mut index) = loop {
            let entries = Index::of(&self.scratch.bytes, at)?;
            let index = entries.position(&self.scratch.bytes, hash);
            if left == 0 {
                break (entries, index);
            }
            has_more_above |= entries.goes_on(&self.scratch.bytes, index, hash);
            let child = entries.block(&self.scratch.bytes, index, blocks)?;
            let child = self.block(overlay, directory, child)?;
            self.load(overlay, directory, child, true)?;
            (at, left) = (8, left - 1);
        };
        let mut of_node = core::mem::take(&mut self.node);
        of_node.resize(self.scratch.bytes.len(), 0);
        core::mem::swap(&mut self.scratch.bytes, &mut of_node);
        self.scratch.block = None;
        let mut first = None;
        let found = loop {
            let leaf = match node.block(&of_node, index, blocks).and_then(|leaf| self.block(overlay, directory, leaf)) {
                Ok(leaf) => leaf,
                Err(error) => break Err(error),
            };
            first.get_or_insert(leaf);
            match self
                .load(overlay, directory, leaf, false)
                .and_then(|()| entries::find(&self.scratch.bytes, name).map_err(damaged))
            {
                Ok(Some(entry)) => break Ok(Some(Place { block: leaf, entry })),
                Ok(None) if node.goes_on(&of_node, index, hash) => index += 1,
                // Names with this hash may go on in another node.
                Ok(None) if index + 1 == node.count && has_more_above => break Err(Left::ToCrate),
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        self.node = of_node;
        Ok((found?, first))
    }

    /// What a name in a directory stands for.
    pub fn lookup(&mut self, overlay: &mut Overlay, directory: u64, name: &[u8]) -> Here<Option<(u64, Kind)>> {
        let directory = self.directory(overlay, directory)?;
        let place = self.look(overlay, &directory, name)?.0;
        self.give_back(directory);
        let Some(Place { entry, .. }) = place else { return Ok(None) };
        if entry.inode > self.disk.layout.inodes() {
            return Err(CORRUPT);
        }
        let kind = match entries::kind(entry.kind) {
            Some(kind) => kind,
            None => self.info(overlay, entry.inode.into())?.kind,
        };
        Ok(Some((entry.inode.into(), kind)))
    }

    // ---- changing ------------------------------------------------------------------------------------------------

    /// Writes a part of a block of a directory, which is in the scratch block; `old`: what was there.
    fn write(
        &mut self,
        overlay: &mut Overlay,
        directory: &Record,
        block: u64,
        (from, to): (usize, usize),
        old: &[u8],
    ) -> Here<()> {
        let bytes = &mut self.scratch.bytes;
        let end = bytes.len();
        if self.disk.seed_of(directory).is_none() {
            return Ok(overlay.write_part(block, from, &bytes[from..to])?);
        }
        let sum = crate::crc32c::replace(le32(bytes, end - 4), old, &bytes[from..to], end - TAIL_BYTES - to);
        bytes[end - 4..].copy_from_slice(&sum.to_le_bytes());
        Ok(overlay.write_parts(block, &[(from, &bytes[from..to]), (end - 4, &bytes[end - 4..])])?)
    }

    /// Makes an empty file, pending in the overlay. Errors: `Exists`, `ToCrate` (there is no room in the directory, among others).
    pub fn create(&mut self, overlay: &mut Overlay, directory: u64, name: &[u8], mode: u16, seconds: u64) -> Here<u64> {
        self.turn(overlay)?;
        let mut directory = self.directory(overlay, directory)?;
        let (place, leaf) = self.look(overlay, &directory, name)?;
        if place.is_some() {
            return Err(FileError::Exists.into());
        }
        let (block, room) = self.room(overlay, &directory, name.len(), leaf)?;
        let mut old = [0; 2 * 264];
        let span = (room.0, (room.0 + room.1 + entries::needed(name.len())).min(self.scratch.bytes.len()));
        old[..span.1 - span.0].copy_from_slice(&self.scratch.bytes[span.0..span.1]);
        let number = self.allocate(overlay, directory.number, mode, seconds)?;
        let (from, to) = entries::insert(&mut self.scratch.bytes, room, number, name, 1);
        self.write(overlay, &directory, block, (from, to), &old[from - span.0..to - span.0])?;
        if directory.touch(seconds) {
            self.write_inode(overlay, &mut directory)?;
        }
        self.give_back(directory);
        self.disk.count(overlay, 0, -1)?;
        Ok(number.into())
    }

    /// A block of the directory with room for a name, now the scratch block, and where in it.
    fn room(
        &mut self,
        overlay: &mut Overlay,
        directory: &Record,
        name: usize,
        leaf: Option<u64>,
    ) -> Here<(u64, (usize, usize))> {
        let blocks = if leaf.is_some() { 1 } else { self.blocks_of(directory) };
        for logical in 0..blocks {
            let block = match leaf {
                Some(leaf) => leaf,
                None => self.block(overlay, directory, logical)?,
            };
            self.load(overlay, directory, block, false)?;
            if let Some(room) = entries::room(&self.scratch.bytes, name).map_err(damaged)? {
                return Ok((block, room));
            }
        }
        Err(Left::ToCrate)
    }

    /// Reads a bitmap.
    fn load_bitmap(&mut self, overlay: &mut Overlay, group: &Group, which: Bitmap) -> Here<()> {
        let block = self.disk.bitmap(group, which)?;
        if self.bitmap.block == Some(block) {
            return Ok(());
        }
        self.bitmap.block = None;
        overlay.read(block, &mut self.bitmap.bytes)?;
        if !self.known.contains(&Known::Block(block)) {
            if !self.disk.is_right(group, which, &self.bitmap.bytes) {
                return Err(CORRUPT);
            }
            self.note(Known::Block(block));
        }
        self.bitmap.block = Some(block);
        Ok(())
    }

    /// Takes an inode for an empty file, near its directory.
    fn allocate(&mut self, overlay: &mut Overlay, directory: u32, mode: u16, seconds: u64) -> Here<u32> {
        let near = (directory - 1) / self.disk.inodes_per_group;
        for number in (near..self.disk.groups).chain(0..near) {
            let mut group = self.recent.group(&self.disk, overlay, number)?;
            if group.free(Bitmap::Inodes) == 0 || group.is_unmade(Bitmap::Inodes) {
                continue;
            }
            self.load_bitmap(overlay, &group, Bitmap::Inodes)?;
            let first = if number == 0 { self.disk.first_inode - 1 } else { 0 };
            let Some(index) = first_clear(&self.bitmap.bytes, first, self.disk.inodes_per_group) else {
                return Err(CORRUPT);
            };
            let inode = number * self.disk.inodes_per_group + index + 1;
            let at = index as usize / 8;
            let old = self.bitmap.bytes[at];
            let new = old | 1 << (index % 8);
            self.bitmap.bytes[at] = new;
            self.disk.write_bitmap(overlay, &mut group, Bitmap::Inodes, at, (&[old], &[new]))?;
            group.set_free(Bitmap::Inodes, group.free(Bitmap::Inodes) - 1);
            self.disk.use_inode(&mut group, index);
            self.write_group(overlay, group)?;
            // What was there before is nothing that could be wrong.
            let mut record = self.disk.inode(overlay, inode, true)?;
            record.make_file(&self.disk, mode, seconds);
            self.write_inode(overlay, &mut record)?;
            self.recent.keep_inode(record);
            return Ok(inode);
        }
        Err(Left::ToCrate)
    }

    /// Takes a name away, pending in the overlay, and the file with it if that was its last and it is not `held`. Errors: `NotFound`, `ToCrate`.
    pub fn remove(
        &mut self,
        overlay: &mut Overlay,
        directory: u64,
        name: &[u8],
        held: &BTreeSet<u64>,
        seconds: u64,
    ) -> Here<(Removed, Freed)> {
        self.turn(overlay)?;
        let mut directory = self.directory(overlay, directory)?;
        let place = self.look(overlay, &directory, name)?.0.ok_or(FileError::NotFound)?;
        let mut target = match self.recent.take_inode(place.entry.inode) {
            Some(target) => target,
            None => self.record(overlay, place.entry.inode)?,
        };
        let removed = Removed { inode: target.number.into(), is_last: target.links() == 1 };
        let is_plain = matches!(target.mode() & 0xf000, 0x8000 | 0xa000)
            && target.flags() & !FLAG_EXTENTS == 0
            && !target.has_attributes()
            && target.links() > 0;
        if !is_plain || removed.is_last && held.contains(&removed.inode) {
            return Err(Left::ToCrate);
        }
        self.load(overlay, &directory, place.block, false)?;
        let mut old = [0; 4];
        let from = place.entry.before.map_or(place.entry.at, |before| before + 4);
        old.copy_from_slice(&self.scratch.bytes[from..from + 4]);
        let (from, to) = entries::remove(&mut self.scratch.bytes, &place.entry);
        self.write(overlay, &directory, place.block, (from, to), &old[..to - from])?;
        if directory.touch(seconds) {
            self.write_inode(overlay, &mut directory)?;
        }
        self.give_back(directory);
        if !removed.is_last {
            target.set_links(target.links() - 1, seconds);
            self.write_inode(overlay, &mut target)?;
            return Ok((removed, Freed::default()));
        }
        let mut blocks = 0;
        if target.has_blocks() {
            let cut = cut(self, overlay, &mut target, 0)?;
            if !cut.is_done {
                return Err(Left::ToCrate);
            }
            blocks = cut.blocks;
        }
        let (group, index) =
            ((target.number - 1) / self.disk.inodes_per_group, (target.number - 1) % self.disk.inodes_per_group);
        let mut group = self.recent.group(&self.disk, overlay, group)?;
        self.set_bits(overlay, &mut group, Bitmap::Inodes, index, index + 1)?;
        self.write_group(overlay, group)?;
        target.clear(seconds);
        self.write_inode(overlay, &mut target)?;
        self.disk.count(overlay, blocks, 1)?;
        Ok((removed, Freed { blocks: blocks as i64, inodes: 1 }))
    }

    /// Whether cutting a file off behind so many bytes is better done here than by the crate: many blocks get free, or some that were never written, which it leaves in use.
    pub fn is_worth_cutting(&mut self, overlay: &mut Overlay, inode: u64, bytes: u64) -> Here<bool> {
        let number = u32::try_from(inode).map_err(|_| FileError::OutOfRange)?;
        let record = self.record(overlay, number)?;
        if record.mode() & 0xf000 != 0x8000 || record.flags() & !FLAG_EXTENTS != 0 || !record.has_blocks() {
            return Ok(false);
        }
        let block_bytes = self.disk.layout.block_bytes as u64;
        let keep = bytes.div_ceil(block_bytes);
        if record.sectors() * 512 / block_bytes > keep + MOST_OF_CRATE {
            return Ok(true);
        }
        let has_extents = record.flags() & FLAG_EXTENTS != 0;
        Ok(has_extents && self.disk.layout.window(overlay, number, keep, MOST_BLOCKS)?.has_unwritten())
    }

    /// Cuts a file off behind so many bytes, pending in the overlay, as far as one record has room: its size is what it has then, and is no more than `bytes` in the end.
    pub fn cut_off(&mut self, overlay: &mut Overlay, inode: u64, bytes: u64, seconds: u64) -> Here<(Cut, Freed)> {
        let number = u32::try_from(inode).map_err(|_| FileError::OutOfRange)?;
        let mut record = self.record(overlay, number)?;
        let block_bytes = self.disk.layout.block_bytes as u64;
        let cut = cut(self, overlay, &mut record, bytes.div_ceil(block_bytes))?;
        let size = if cut.is_done { bytes } else { cut.at.saturating_mul(block_bytes) };
        record.set_file_bytes(record.file_bytes().min(size));
        record.touch(seconds);
        self.write_inode(overlay, &mut record)?;
        self.disk.count(overlay, cut.blocks, 0)?;
        Ok((cut, Freed { blocks: cut.blocks as i64, inodes: 0 }))
    }

    /// Frees blocks, which have to be in use.
    pub fn free_blocks(&mut self, overlay: &mut Overlay, start: u64, end: u64) -> Here<()> {
        let per_group = u64::from(self.disk.blocks_per_group);
        let mut at = start - self.disk.first_block;
        let end = end - self.disk.first_block;
        while at < end {
            let group = at / per_group;
            let to = end.min((group + 1) * per_group);
            let group_number = u32::try_from(group).map_err(|_| CORRUPT)?;
            let mut descriptor = self.recent.group(&self.disk, overlay, group_number)?;
            let (first, last) = ((at % per_group) as u32, ((to - 1) % per_group) as u32 + 1);
            self.set_bits(overlay, &mut descriptor, Bitmap::Blocks, first, last)?;
            self.write_group(overlay, descriptor)?;
            at = to;
        }
        Ok(())
    }

    /// Frees bits of a bitmap, all of which have to be taken; the group is to be written then.
    fn set_bits(&mut self, overlay: &mut Overlay, group: &mut Group, which: Bitmap, first: u32, end: u32) -> Here<()> {
        if group.is_unmade(which) {
            return Err(CORRUPT);
        }
        self.load_bitmap(overlay, group, which)?;
        let (from, to) = (first as usize / 8, (end as usize).div_ceil(8));
        if to > self.disk.bitmap_bytes(which) {
            return Err(CORRUPT);
        }
        let bytes = &mut self.bitmap.bytes;
        let old = bytes[from..to].to_vec();
        for bit in first..end {
            let byte = &mut bytes[bit as usize / 8];
            if *byte >> (bit % 8) & 1 == 0 {
                return Err(CORRUPT);
            }
            *byte &= !(1 << (bit % 8));
        }
        self.disk.write_bitmap(overlay, group, which, from, (&old, &bytes[from..to]))?;
        group.set_free(which, group.free(which) + (end - first));
        Ok(())
    }

    /// What was pending is a record.
    pub fn committed(&mut self, freed: Freed) {
        self.looked = None;
        self.is_ahead = true;
        self.run = self.run.saturating_add(1);
        self.freed.blocks += freed.blocks;
        self.freed.inodes += freed.inodes;
    }

    /// What was pending is given up.
    pub fn abandoned(&mut self) {
        self.looked = None;
        (self.directory, self.scratch.block, self.bitmap.block) = (None, None, None);
        self.recent = Recent::default();
    }
}

/// The first bit of a bitmap from `first` on that is clear.
fn first_clear(bitmap: &[u8], first: u32, end: u32) -> Option<u32> {
    let from = first as usize / 8;
    let bytes = bitmap.get(from..(end as usize).div_ceil(8))?;
    for (byte, value) in (from..).zip(bytes) {
        let mut value = *value;
        if byte == from {
            value |= (1u16 << (first % 8)) as u8 - 1;
        }
        if value != u8::MAX {
            let bit = byte as u32 * 8 + value.trailing_ones();
            return (bit < end).then_some(bit);
        }
    }
    None
}

/// The entries of a node of an index.
struct Index {
    at: usize,
    count: usize,
}

impl Index {
    /// Of the node whose entries begin there.
    fn of(node: &[u8], at: usize) -> Here<Index> {
        let (limit, count) = (usize::from(le16(node, at)), usize::from(le16(node, at + 2)));
        let is_right = count >= 1 && count <= limit && at + limit * 8 <= node.len();
        if is_right { Ok(Index { at, count }) } else { Err(CORRUPT) }
    }

    fn hash(&self, node: &[u8], index: usize) -> u32 {
        le32(node, self.at + 8 * index)
    }

    /// The last entry whose hash is not larger.
    fn position(&self, node: &[u8], hash: u32) -> usize {
        let (mut low, mut high) = (1, self.count);
        while low < high {
            let middle = (low + high) / 2;
            if self.hash(node, middle) <= hash { low = middle + 1 } else { high = middle }
        }
        low - 1
    }

    /// Whether names with this hash go on in the next entry.
    fn goes_on(&self, node: &[u8], index: usize, hash: u32) -> bool {
        index + 1 < self.count && self.hash(node, index + 1) == hash | 1
    }

    fn block(&self, node: &[u8], index: usize, blocks: u64) -> Here<u64> {
        let block = u64::from(le32(node, self.at + 8 * index + 4) & 0x0fff_ffff);
        if block > 0 && block < blocks { Ok(block) } else { Err(CORRUPT) }
    }
}

fn is_leaf_right(seed: u32, block: &[u8]) -> bool {
    let end = block.len() - TAIL_BYTES;
    entries::has_tail(block) && crate::crc32c::crc32c(seed, &block[..end]) == le32(block, end + 8)
}

/// The checksum of a node is behind the room for its entries, and over those that there are.
fn is_node_right(seed: u32, node: &[u8]) -> bool {
    let at = if le16(node, 4) as usize == node.len() { 8 } else { 32 };
    let (limit, count) = (usize::from(le16(node, at)), usize::from(le16(node, at + 2)));
    let tail = at + limit * 8;
    if count > limit || tail + 8 > node.len() {
        return false;
    }
    let sum = crate::crc32c::crc32c(seed, &node[..at + count * 8]);
    let sum = crate::crc32c::crc32c(sum, &node[tail..tail + 4]);
    crate::crc32c::crc32c(sum, &[0; 4]) == le32(node, tail + 4)
}
