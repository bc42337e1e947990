//! The overlay: block images that requests have made and that are not on the disk yet, over the disk.
//!
//! A format crate reads and writes blocks here, synchronously. What it writes during one request is *pending*: [`Overlay::commit`] makes it one
//! record of the log, atomically, before the request is answered; what is pending when the server dies is gone. A block that is written whole gets a new frame; a part of one is written in place if nobody else needs the
//! image, and can be taken back until the record counts (`log/undo.rs`). The images of records
//! drain to the disk in order (`drain.rs`). Frames that hold nothing new are a cache of what was read.
//!
//! The state of a block is its entry in `map`: an image of a record (dirty), or what is on the disk (clean, record 0).

use crate::disk::{Buffer, DiskError, Operation, Request, SECTOR_BYTES, Segment};
use crate::drain::Drain;
use crate::log::{ItemKey, LogError, Put, Record, RecordLog};
use crate::requests::{Owner, SharedRequests};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use libsys::Memory;

/// Blocks that are read at once when one is missing.
const READ_AHEAD: u64 = 8;

/// Words of records that stay although nothing needs them, beside some for each dirty block; and records that are given up at once where there is room.
const LEAST_RING: u64 = 2048;
const SOME: u32 = 64;

/// Why the overlay cannot do what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayError {
    /// The disk failed.
    Disk(DiskError),
    /// One request changes more blocks than fit into one transaction.
    TooLarge,
    /// Beyond the end of the disk.
    OutOfRange,
    /// An earlier failure to write has ended all writing.
    Failed,
    /// The Memory is no overlay of this volume.
    Log(LogError),
    /// No memory, here or at the disk.
    Exhausted,
}

impl From<DiskError> for OverlayError {
    fn from(error: DiskError) -> OverlayError {
        OverlayError::Disk(error)
    }
}

impl From<LogError> for OverlayError {
    fn from(error: LogError) -> OverlayError {
        OverlayError::Log(error)
    }
}

/// The newest committed image of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub(crate) frame: u32,
    /// The record that made it; 0: it is what the disk has.
    pub(crate) record: u64,
    /// It was read since the clock passed.
    used: bool,
    /// Somebody has asked for it: it is not only a neighbour of what was read, which may be a file's data and change behind the overlay's back.
    asked: bool,
}

/// An item's value, and the record that has it.
type Item = (Vec<u8>, u64);

/// Blocks over a disk.
pub struct Overlay {
    pub(crate) log: RecordLog,
    pub(crate) requests: SharedRequests,
    pub(crate) buffer: Buffer,
    pub(crate) block_bytes: usize,
    blocks: u64,
    pub(crate) map: BTreeMap<u64, Image>,
    items: BTreeMap<ItemKey, Item>,
    pending: BTreeMap<u64, u32>,
    pending_drops: BTreeSet<u64>,
    pending_items: BTreeMap<ItemKey, Option<Vec<u8>>>,
    /// Images were changed in place since the last record.
    pub(crate) is_changed: bool,
    free: Vec<u32>,
    /// Who needs a frame: the map, what is logged on the disk, what is being written.
    references: Vec<u8>,
    /// Where the clock that looks for clean frames is.
    hand: u64,
    /// Blocks of the map with a record.
    pub(crate) dirty: usize,
    /// Those whose image no transaction has taken yet.
    pub(crate) fresh: BTreeSet<u64>,
    pub(crate) drain: Drain,
    /// The newest record that does not stand and is not settled.
    prepared: Option<u64>,
    /// Frames that only records before the prepared ones name.
    leaving: Vec<u32>,
}

impl Overlay {
    /// A new overlay in this Memory, over a disk, in blocks of `block_bytes`. The Memory is lent to the disk.
    pub fn create(memory: &Memory, requests: SharedRequests, block_bytes: usize) -> Result<Overlay, OverlayError> {
        let mapping = memory.map_writable().map_err(|_| OverlayError::Exhausted)?;
        let log = RecordLog::create(mapping, block_bytes)?;
        Overlay::with(log, memory, requests, block_bytes)
    }

    /// The overlay that an earlier incarnation left: what was committed is there, what was pending is not, nor what was prepared behind the record `committed`.
    /// Error: `Log`, when it is none or an image is damaged.
    pub fn open(
        memory: &Memory,
        requests: SharedRequests,
        block_bytes: usize,
        committed: u64,
    ) -> Result<Overlay, OverlayError> {
        let mapping = memory.map_writable().map_err(|_| OverlayError::Exhausted)?;
        let (log, records) = RecordLog::open(mapping, block_bytes, committed)?;
        let mut overlay = Overlay::with(log, memory, requests, block_bytes)?;
        let mut puts = BTreeMap::new();
        for (sequence, record) in records {
            for put in record.puts {
                puts.insert(put.block, (put, sequence));
            }
            for block in record.drops {
                puts.remove(&block);
            }
            for (key, value) in record.items {
                match value {
                    Some(value) => drop(overlay.items.insert(key, (value, sequence))),
                    None => drop(overlay.items.remove(&key)),
                }
            }
        }
        let mut taken = BTreeSet::new();
        for (block, (put, sequence)) in puts {
            let right = put.frame < overlay.log.frames()
                && block < overlay.blocks
                && taken.insert(put.frame)
                && overlay.log.is_right(put.frame);
            if !right {
                return Err(LogError::Damaged.into());
            }
            overlay.references[put.frame as usize] = 1;
            overlay.map.insert(block, Image { frame: put.frame, record: sequence, used: false, asked: true });
        }
        overlay.dirty = overlay.map.len();
        overlay.reopen_drain();
        let references = &overlay.references;
        overlay.free.retain(|frame| references[*frame as usize] == 0);
        Ok(overlay)
    }

    fn with(
        log: RecordLog,
        memory: &Memory,
        requests: SharedRequests,
        block_bytes: usize,
    ) -> Result<Overlay, OverlayError> {
        let buffer = requests.borrow_mut().lend(memory)?;
        let geometry = requests.borrow().geometry();
        let frames = log.frames();
        let durable = log.next() - 1;
        Ok(Overlay {
            log,
            requests,
            buffer,
            block_bytes,
            blocks: geometry.sectors * SECTOR_BYTES / block_bytes as u64,
            map: BTreeMap::new(),
            items: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_drops: BTreeSet::new(),
            pending_items: BTreeMap::new(),
            is_changed: false,
            free: (0..frames).rev().collect(),
            references: vec![0; frames as usize],
            hand: 0,
            dirty: 0,
            fresh: BTreeSet::new(),
            drain: Drain::new(durable),
            prepared: None,
            leaving: Vec::new(),
        })
    }

    /// Bytes of a block.
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Blocks of the disk.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Blocks that are committed and not at home on the disk.
    pub fn uncommitted(&self) -> usize {
        self.dirty
    }

    /// Reads a block, with what is pending.
    pub fn read(&mut self, block: u64, into: &mut [u8]) -> Result<(), OverlayError> {
        self.read_part(block, 0, &mut into[..self.block_bytes])
    }

    /// Reads a part of a block.
    pub fn read_part(&mut self, block: u64, offset: usize, into: &mut [u8]) -> Result<(), OverlayError> {
        if block >= self.blocks {
            return Err(OverlayError::OutOfRange);
        }
        let frame = match (self.pending.get(&block), self.map.get_mut(&block)) {
            (Some(frame), _) => *frame,
            (None, Some(image)) => {
                (image.used, image.asked) = (true, true);
                image.frame
            }
            (None, None) => self.load(block)?,
        };
        self.log.read_part(frame, offset, into);
        Ok(())
    }

    /// Reads a block from the disk, and those around it that are not here either.
    fn load(&mut self, block: u64) -> Result<u32, OverlayError> {
        let window = block / READ_AHEAD * READ_AHEAD;
        let absent = |block: &u64| !self.map.contains_key(block) && !self.pending.contains_key(block);
        let first = (window..block).rev().take_while(absent).last().unwrap_or(block);
        let end = (block + 1..(window + READ_AHEAD).min(self.blocks)).take_while(absent).last().unwrap_or(block) + 1;
        // Where frames are short, the block itself has to do.
        let (first, end) = if self.free.len() > 2 * READ_AHEAD as usize { (first, end) } else { (block, block + 1) };
        let mut frames = Vec::new();
        for _ in first..end {
            frames.push(self.frame()?);
        }
        let request = self.request(Operation::Read, first, &frames);
        if let Err(error) = self.requests.borrow_mut().run(Owner::Overlay, request) {
            self.free.extend(frames);
            return Err(error.into());
        }
        for (near, frame) in (first..end).zip(&frames) {
            self.references[*frame as usize] = 1;
            self.map.insert(near, Image { frame: *frame, record: 0, used: false, asked: near == block });
        }
        Ok(frames[(block - first) as usize])
    }

    /// Puts images over what was read of the disk past the overlay: whole blocks, from this one on.
    pub fn cover(&self, first: u64, bytes: &mut [u8]) {
        let end = first + (bytes.len() / self.block_bytes) as u64;
        for (block, image) in self.map.range(first..end).filter(|(_, image)| image.record != 0) {
            let at = (block - first) as usize * self.block_bytes;
            self.log.read_part(image.frame, 0, &mut bytes[at..at + self.block_bytes]);
        }
    }

    /// A request on consecutive blocks.
    pub(crate) fn request(&self, operation: Operation, block: u64, frames: &[u32]) -> Request {
        let bytes = self.block_bytes as u32;
        let mut segments: Vec<Segment> = Vec::with_capacity(frames.len());
        for frame in frames {
            let offset = self.log.frame_at(*frame) as u64;
            match segments.last_mut() {
                Some(last) if last.offset + u64::from(last.bytes) == offset => last.bytes += bytes,
                _ => segments.push(Segment { buffer: self.buffer, offset, bytes }),
            }
        }
        Request { operation, sector: block * self.block_bytes as u64 / SECTOR_BYTES, segments }
    }

    /// A frame of nobody's: free, or with what is clean and was not used lately. Error: `TooLarge`, when all are needed.
    pub(crate) fn frame(&mut self) -> Result<u32, OverlayError> {
        if let Some(frame) = self.free.pop() {
            return Ok(frame);
        }
        // Two rounds: the first may only take the marks away.
        for _ in 0..2 * self.map.len() + 2 {
            let next = self.map.range_mut(self.hand..).next();
            let Some((block, image)) = next else {
                self.hand = 0;
                continue;
            };
            let block = *block;
            self.hand = block + 1;
            if image.record != 0 {
                continue;
            }
            if image.used {
                image.used = false;
                continue;
            }
            let frame = image.frame;
            self.map.remove(&block);
            self.references[frame as usize] -= 1;
            if self.references[frame as usize] == 0 {
                return Ok(frame);
            }
        }
        Err(OverlayError::TooLarge)
    }

    /// Gives back what [`Overlay::frame`] gave.
    pub(crate) fn give_back(&mut self, frame: Option<u32>) {
        self.free.extend(frame);
    }

    pub(crate) fn hold(&mut self, frame: u32) {
        self.references[frame as usize] += 1;
    }

    pub(crate) fn release(&mut self, frame: u32) {
        let references = &mut self.references[frame as usize];
        *references -= 1;
        if *references == 0 {
            self.free.push(frame);
        }
    }

    /// Writes a block: pending until [`Overlay::commit`]. Errors: `TooLarge`, `OutOfRange`, `Failed`.
    pub fn write(&mut self, block: u64, from: &[u8]) -> Result<(), OverlayError> {
        if block >= self.blocks {
            return Err(OverlayError::OutOfRange);
        }
        if self.drain.failed() {
            return Err(OverlayError::Failed);
        }
        if let Some(frame) = self.pending.get(&block) {
            self.log.write_frame(*frame, from);
            return Ok(());
        }
        if self.map.get(&block).is_some_and(|image| !image.asked) {
            self.forget_clean(block);
            self.load(block)?;
        }
        if self.map.get(&block).is_some_and(|image| self.same(image.frame, from)) {
            self.pending_drops.remove(&block);
            return Ok(());
        }
        if self.pending.len() >= self.most_of_request() {
            return Err(OverlayError::TooLarge);
        }
        let frame = self.frame()?;
        self.log.write_frame(frame, from);
        self.pending.insert(block, frame);
        self.pending_drops.remove(&block);
        Ok(())
    }

    /// Writes a part of a block: pending until [`Overlay::commit`]. Errors: `TooLarge`, `OutOfRange`, `Failed`, and those of reading.
    pub fn write_part(&mut self, block: u64, offset: usize, from: &[u8]) -> Result<(), OverlayError> {
        self.write_parts(block, &[(offset, from)])
    }

    /// Writes some parts of a block, each with its offset, as [`Overlay::write_part`] does one.
    pub fn write_parts(&mut self, block: u64, parts: &[(usize, &[u8])]) -> Result<(), OverlayError> {
        if block >= self.blocks || parts.iter().any(|(offset, from)| offset + from.len() > self.block_bytes) {
            return Err(OverlayError::OutOfRange);
        }
        if self.drain.failed() {
            return Err(OverlayError::Failed);
        }
        let frame = match self.pending.get(&block).copied() {
            Some(frame) => frame,
            None if self.change_in_place(block, parts) => return Ok(()),
            None => self.copy_for_change(block)?,
        };
        for (offset, from) in parts {
            self.log.write_part(frame, *offset, from, false);
        }
        Ok(())
    }

    /// Writes to an image that is committed, if only the map needs it: what goes to the disk now, or is in the journal, stays as it is. False: nothing was done.
    fn change_in_place(&mut self, block: u64, parts: &[(usize, &[u8])]) -> bool {
        let Some(image) = self.map.get_mut(&block) else { return false };
        let is_own = image.record != 0 && self.references[image.frame as usize] == 1;
        let lengths = parts.iter().map(|(_, from)| from.len());
        if !is_own || !self.log.can_undo(lengths) || self.pending_drops.contains(&block) {
            return false;
        }
        image.used = true;
        for (offset, from) in parts {
            self.is_changed |= self.log.write_part(image.frame, *offset, from, true);
        }
        true
    }

    /// A new frame with what a block has, which is pending.
    fn copy_for_change(&mut self, block: u64) -> Result<u32, OverlayError> {
        if self.pending.len() >= self.most_of_request() {
            return Err(OverlayError::TooLarge);
        }
        if self.map.get(&block).is_some_and(|image| !image.asked) {
            self.forget_clean(block);
        }
        // Whoever looks for a frame may take that of a block that was only read: this one is held.
        let (old, is_summed) = match self.map.get_mut(&block) {
            Some(image) => {
                (image.used, image.asked) = (true, true);
                (image.frame, image.record != 0)
            }
            None => (self.load(block)?, false),
        };
        self.hold(old);
        let frame = self.frame();
        if let Ok(frame) = frame {
            self.log.copy_frame(old, frame, is_summed);
            self.pending.insert(block, frame);
            self.pending_drops.remove(&block);
        }
        self.release(old);
        frame
    }

    fn same(&self, frame: u32, bytes: &[u8]) -> bool {
        let mut piece = [0; 512];
        bytes[..self.block_bytes].chunks(piece.len()).enumerate().all(|(index, bytes)| {
            self.log.read_part(frame, index * 512, &mut piece[..bytes.len()]);
            piece[..bytes.len()] == *bytes
        })
    }

    /// Most blocks that may wait for the disk: beyond, requests wait for the drain.
    pub fn most_dirty(&self) -> usize {
        (self.log.frames() as usize / 4).min(self.drain.largest())
    }

    /// Most blocks that one request may change.
    pub fn most_of_request(&self) -> usize {
        self.most_dirty() / 3
    }

    /// Takes back what is pending for a block.
    pub fn withdraw(&mut self, block: u64) {
        if let Some(frame) = self.pending.remove(&block) {
            self.free.push(frame);
        }
    }

    /// Says that nobody needs a block's image any more, as the block is free, or is written by another way: part of the pending record.
    pub fn forget(&mut self, block: u64) {
        self.withdraw(block);
        if self.map.get(&block).is_some_and(|image| image.record != 0) {
            self.pending_drops.insert(block);
        } else if let Some(image) = self.map.remove(&block) {
            self.release(image.frame);
        }
    }

    /// What was read of a block is not what the disk has any more.
    pub(crate) fn forget_clean(&mut self, block: u64) {
        if self.map.get(&block).is_some_and(|image| image.record == 0)
            && let Some(image) = self.map.remove(&block)
        {
            self.release(image.frame);
        }
    }

    /// Sets or removes an item, as part of the pending record.
    pub fn set_item(&mut self, key: ItemKey, value: Option<Vec<u8>>) {
        self.pending_items.insert(key, value);
    }

    /// A committed item.
    pub fn item(&self, key: &ItemKey) -> Option<&[u8]> {
        self.items.get(key).map(|(value, _)| value.as_slice())
    }

    /// All committed items of a kind.
    pub fn items(&self, kind: u32) -> impl Iterator<Item = (&ItemKey, &[u8])> {
        let first = ItemKey { kind, words: [0; 3] };
        let last = ItemKey { kind, words: [u64::MAX; 3] };
        self.items.range(first..=last).map(|(key, (value, _))| (key, value.as_slice()))
    }

    /// Makes everything pending one record, which counts at once. Returns its number; with nothing pending, that of the last one.
    /// Errors: `TooLarge`, `Failed`; then it stays pending.
    pub fn commit(&mut self) -> Result<u64, OverlayError> {
        self.make_record(true)
    }

    /// The same, but that it counts only when it is [settled](Overlay::settle): until then nothing drains.
    pub fn prepare(&mut self) -> Result<u64, OverlayError> {
        self.make_record(false)
    }

    /// The newest record that was prepared and is not settled.
    pub fn prepared(&self) -> Option<u64> {
        self.prepared
    }

    /// Everything that was prepared up to a record is committed by who keeps it.
    pub fn settle(&mut self, committed: u64) {
        if self.prepared.is_some_and(|prepared| prepared <= committed) {
            self.prepared = None;
            if !self.is_changed {
                self.log.counted();
            }
            for frame in core::mem::take(&mut self.leaving) {
                self.release(frame);
            }
        }
    }

    /// A frame that no record names any more, if the newest ones count.
    fn let_go(&mut self, frame: u32) {
        match self.prepared {
            Some(_) => self.leaving.push(frame),
            None => self.release(frame),
        }
    }

    fn make_record(&mut self, stands: bool) -> Result<u64, OverlayError> {
        let puts = self.pending.iter().map(|(block, frame)| Put { block: *block, frame: *frame });
        let record = Record {
            puts: puts.collect(),
            drops: self.pending_drops.iter().copied().collect(),
            items: self.pending_items.iter().map(|(key, value)| (*key, value.clone())).collect(),
            // Behind one that may be given up nothing can stand.
            stands: stands && self.prepared.is_none(),
        };
        if record.is_empty() && !self.is_changed {
            return Ok(self.log.next() - 1);
        }
        self.append(&record).ok_or(OverlayError::TooLarge)
    }

    /// Gives up what is pending.
    pub fn abandon(&mut self) {
        if core::mem::take(&mut self.is_changed) && self.log.roll_back().is_err() {
            // Nobody but this server writes there: its memory is damaged, which the next start finds and tells.
            panic!("what undoes changes is damaged");
        }
        self.free.extend(core::mem::take(&mut self.pending).into_values());
        self.pending_drops.clear();
        self.pending_items.clear();
    }

    fn append(&mut self, record: &Record) -> Option<u64> {
        if self.prepared.is_none() {
            self.make_room(record.words() as u64);
        }
        let number = self.log.append(record)?;
        self.is_changed = false;
        match record.stands {
            true => self.log.counted(),
            false => self.prepared = Some(number),
        }
        for put in &record.puts {
            self.pending.remove(&put.block);
            self.references[put.frame as usize] = 1;
            let image = Image { frame: put.frame, record: number, used: true, asked: true };
            let old = self.map.insert(put.block, image);
            self.dirty += 1;
            self.fresh.insert(put.block);
            self.retire(old);
        }
        for block in &record.drops {
            self.pending_drops.remove(block);
            self.fresh.remove(block);
            let old = self.map.remove(block);
            self.retire(old);
        }
        for (key, value) in &record.items {
            self.pending_items.remove(key);
            match value {
                Some(value) => drop(self.items.insert(*key, (value.clone(), number))),
                None => drop(self.items.remove(key)),
            }
        }
        Some(number)
    }

    /// An image that is not in the map any more.
    fn retire(&mut self, image: Option<Image>) {
        if let Some(image) = image {
            self.dirty -= usize::from(image.record != 0);
            self.let_go(image.frame);
        }
    }

    /// The images of these blocks are at home: a record says so, and they are clean from then on.
    pub(crate) fn home(&mut self, blocks: &[(u64, u32)]) {
        let home = blocks.iter().filter(|(block, frame)| {
            self.map.get(block).is_some_and(|image| image.frame == *frame && image.record != 0)
        });
        let drops: Vec<u64> = home.map(|(block, _)| *block).collect();
        for drops in drops.chunks(self.log.capacity() as usize / 8) {
            let record = Record { drops: drops.to_vec(), stands: true, ..Record::default() };
            self.make_room(record.words() as u64);
            if self.log.append(&record).is_none() {
                return;
            }
            for block in drops {
                if let Some(image) = self.map.get_mut(block) {
                    image.record = 0;
                    self.dirty -= 1;
                }
            }
        }
    }

    /// Makes room in the ring: what the oldest records still say is said again at the end. Somewhat more of them than are needed stay, as each is read at a start.
    fn make_room(&mut self, words: u64) {
        let least = words + self.log.capacity() / 8;
        let most = LEAST_RING + 8 * (self.dirty as u64 + 4 * self.items.len() as u64);
        if self.log.room() >= least && self.log.in_use() <= most {
            return;
        }
        // Half of the ring at most is live: entries of dirty blocks, and items.
        let mut budget = self.log.capacity();
        // Where there is room, some are looked at.
        let mut some = SOME;
        while budget > 0 && (self.log.room() < least || some > 0 && self.log.in_use() > most / 2) {
            some = some.saturating_sub(1);
            let Some(words) = self.renew_oldest() else { break };
            budget = budget.saturating_sub(words as u64);
            self.log.remove_oldest(words);
            if self.log.room() < least {
                self.log.store_tail();
            }
        }
        self.log.store_tail();
    }

    /// Says again what the oldest record still says. Returns its words. `None`: there is none, or no room.
    fn renew_oldest(&mut self) -> Option<usize> {
        if let Some(words) = self.log.empty_oldest() {
            return Some(words);
        }
        let (number, record) = self.log.oldest()?;
        let words = record.words();
        let is_live = |put: &Put| {
            self.map.get(&put.block).is_some_and(|image| image.record == number && image.frame == put.frame)
        };
        let has_value = |(key, value): &(ItemKey, Option<Vec<u8>>)| {
            value.is_some() && self.items.get(key).is_some_and(|item| item.1 == number)
        };
        let live = Record {
            puts: record.puts.into_iter().filter(is_live).collect(),
            drops: Vec::new(),
            stands: true,
            items: record.items.into_iter().filter(has_value).collect(),
        };
        if !live.is_empty() {
            let moved = self.log.append(&live)?;
            for put in &live.puts {
                if let Some(image) = self.map.get_mut(&put.block) {
                    image.record = moved;
                }
            }
            for (key, _) in &live.items {
                if let Some(item) = self.items.get_mut(key) {
                    item.1 = moved;
                }
            }
        }
        Some(words)
    }
}
