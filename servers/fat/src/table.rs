//! The file allocation table: which cluster follows which, and which are free.
//!
//! What is known in memory: how many entries are free in each group of [`GROUP`], so that a full part of the table is passed over. Entries themselves are read and
//! written in the overlay, one sector at a time. What an operation changed is undone by [`Table::abandon`].
//!
//! A cluster that was freed is *resting* until the record that frees it is durable: until then it is not given to anybody, as the file that it belonged to may still
//! be there after a power cut.

use crate::boot::{Layout, Width};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use volume::raw::RawDisk;
use volume::{DataError, DiskError, FileError, Overlay};

/// Entries that are counted together.
const GROUP: u32 = 256;
/// Bytes of the table that are read at once when it is counted.
const COUNTED: usize = 64 << 10;
/// Ranges of resting clusters that are remembered.
const RESTING: usize = 4096;
/// The bit of entry 1 that says that the volume was unmounted in order.
const CLEAN_16: u32 = 0x8000;
const CLEAN_32: u32 = 0x0800_0000;

/// What follows a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is free.
    Free,
    /// This cluster.
    Cluster(u32),
    /// Nothing: it is the last.
    End,
    /// No number of a cluster; a bad one among them.
    Wrong,
}

/// The sector of the table that is being worked on.
struct Page {
    sector: u64,
    bytes: Vec<u8>,
    is_changed: bool,
}

/// The table.
pub struct Table {
    width: Width,
    sector_bytes: u64,
    first: u64,
    copies: Vec<u64>,
    clusters: u32,
    groups: Vec<u16>,
    free: u32,
    /// Where the next search begins.
    hint: u32,
    page: Option<Page>,
    /// What this operation freed (true) and took.
    changes: Vec<(u32, bool)>,
    /// Runs of clusters that rest: first, and the one behind the last.
    resting: BTreeMap<u32, u32>,
    /// How many clusters those are.
    asleep: u32,
    /// The record that freed the newest of them.
    rested: u64,
}

impl Table {
    /// Counts what is free, with what of the overlay is not on the disk. Error: `Device`.
    pub fn open(layout: &Layout, raw: &RawDisk, overlay: &Overlay) -> Result<Table, FileError> {
        let groups = vec![0; ((layout.clusters + 2).div_ceil(GROUP)) as usize];
        let mut table = Table {
            width: layout.width,
            sector_bytes: layout.sector_bytes as u64,
            first: layout.table,
            copies: layout.tables.clone(),
            clusters: layout.clusters,
            groups,
            free: 0,
            hint: 2,
            page: None,
            changes: Vec::new(),
            resting: BTreeMap::new(),
            asleep: 0,
            rested: 0,
        };
        table.count(raw, overlay)?;
        Ok(table)
    }

    fn count(&mut self, raw: &RawDisk, overlay: &Overlay) -> Result<(), FileError> {
        let device = |error: DiskError| FileError::from(DataError::from(error));
        let bits = u64::from(self.width.bits());
        let bytes = (u64::from(self.clusters + 2) * bits).div_ceil(8).next_multiple_of(self.sector_bytes);
        let start = self.first * self.sector_bytes;
        // Three sectors hold whole entries, however wide.
        let piece = (3 * self.sector_bytes) as usize;
        let mut buffer = vec![0; COUNTED / piece * piece];
        let per_buffer = (buffer.len() as u64 * 8 / bits) as u32;
        let mut done = 0;
        let mut first = 0;
        while done < bytes {
            let part = (bytes - done).min(buffer.len() as u64) as usize;
            raw.read_at((start + done) / volume::disk::SECTOR_BYTES, &mut buffer[..part]).map_err(device)?;
            overlay.cover(self.first + done / self.sector_bytes, &mut buffer[..part]);
            for number in first.max(2)..(first + per_buffer).min(self.clusters + 2) {
                if self.value(&buffer, u64::from(number - first)) & self.width.mask() == 0 {
                    self.groups[(number / GROUP) as usize] += 1;
                    self.free += 1;
                }
            }
            first += per_buffer;
            done += part as u64;
        }
        Ok(())
    }

    /// The entry with this index in bytes that begin with an entry.
    fn value(&self, bytes: &[u8], index: u64) -> u32 {
        let at = (index * u64::from(self.width.bits()) / 8) as usize;
        let byte = |more: usize| u32::from(bytes.get(at + more).copied().unwrap_or(0));
        match self.width {
            Width::Twelve => (byte(0) | byte(1) << 8) >> (index % 2 * 4) & 0xfff,
            Width::Sixteen => byte(0) | byte(1) << 8,
            Width::ThirtyTwo => byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24,
        }
    }

    /// Clusters that are free, resting ones among them.
    pub fn free(&self) -> u32 {
        self.free
    }

    /// Where the next search for a free cluster begins.
    pub fn hint(&self) -> u32 {
        self.hint
    }

    // ---- entries -----------------------------------------------------------------------------------------------

    fn page(&mut self, overlay: &mut Overlay, sector: u64) -> Result<&mut Page, FileError> {
        if self.page.as_ref().is_none_or(|page| page.sector != sector) {
            self.flush(overlay)?;
            let mut bytes = self.page.take().map_or_else(|| vec![0; self.sector_bytes as usize], |page| page.bytes);
            overlay.read(self.first + sector, &mut bytes)?;
            self.page = Some(Page { sector, bytes, is_changed: false });
        }
        self.page.as_mut().ok_or(FileError::Corrupt)
    }

    /// Writes what was changed to the overlay: before a commit.
    pub fn flush(&mut self, overlay: &mut Overlay) -> Result<(), FileError> {
        let Some(page) = &mut self.page else { return Ok(()) };
        if core::mem::take(&mut page.is_changed) {
            for copy in &self.copies {
                overlay.write(copy + page.sector, &page.bytes)?;
            }
        }
        Ok(())
    }

    fn byte(&mut self, overlay: &mut Overlay, at: u64) -> Result<u32, FileError> {
        let (sector, within) = (at / self.sector_bytes, at % self.sector_bytes);
        Ok(u32::from(self.page(overlay, sector)?.bytes[within as usize]))
    }

    fn set_byte(&mut self, overlay: &mut Overlay, at: u64, value: u32) -> Result<(), FileError> {
        let (sector, within) = (at / self.sector_bytes, at % self.sector_bytes);
        let page = self.page(overlay, sector)?;
        page.bytes[within as usize] = value as u8;
        page.is_changed = true;
        Ok(())
    }

    fn raw(&mut self, overlay: &mut Overlay, number: u32) -> Result<u32, FileError> {
        let at = u64::from(number) * u64::from(self.width.bits()) / 8;
        let bytes = self.width.bits().div_ceil(8);
        let mut value = 0;
        for more in 0..bytes {
            value |= self.byte(overlay, at + u64::from(more))? << (more * 8);
        }
        Ok(match self.width {
            Width::Twelve => value >> (number % 2 * 4) & 0xfff,
            _ => value,
        })
    }

    fn set_raw(&mut self, overlay: &mut Overlay, number: u32, value: u32) -> Result<(), FileError> {
        let at = u64::from(number) * u64::from(self.width.bits()) / 8;
        match self.width {
            Width::Twelve => {
                let (low, high) = (self.byte(overlay, at)?, self.byte(overlay, at + 1)?);
                let (low, high) = match number % 2 {
                    0 => (value, high & 0xf0 | value >> 8),
                    _ => (low & 0xf | value << 4, value >> 4),
                };
                self.set_byte(overlay, at, low)?;
                self.set_byte(overlay, at + 1, high)
            }
            Width::Sixteen | Width::ThirtyTwo => {
                for more in 0..self.width.bits() / 8 {
                    self.set_byte(overlay, at + u64::from(more), value >> (more * 8))?;
                }
                Ok(())
            }
        }
    }

    /// What follows a cluster.
    pub fn next(&mut self, overlay: &mut Overlay, cluster: u32) -> Result<Next, FileError> {
        let value = self.raw(overlay, cluster)? & self.width.mask();
        let mask = self.width.mask();
        Ok(match value {
            0 => Next::Free,
            value if value >= 2 && value - 2 < self.clusters => Next::Cluster(value),
            value if value >= mask - 7 => Next::End,
            _ => Next::Wrong,
        })
    }

    /// Says what follows a cluster.
    pub fn set(&mut self, overlay: &mut Overlay, cluster: u32, next: Next) -> Result<(), FileError> {
        let mask = self.width.mask();
        let old = self.raw(overlay, cluster)?;
        let value = match next {
            Next::Free | Next::Wrong => 0,
            Next::Cluster(next) => next,
            Next::End => mask,
        };
        // The upper bits of a wide entry are nobody's business.
        self.set_raw(overlay, cluster, old & !mask | value)?;
        let (was_free, is_free) = (old & mask == 0, value == 0);
        if was_free != is_free {
            self.account(cluster, is_free);
            self.changes.push((cluster, is_free));
        }
        Ok(())
    }

    fn account(&mut self, cluster: u32, is_free: bool) {
        let group = &mut self.groups[(cluster / GROUP) as usize];
        match is_free {
            true => {
                *group += 1;
                self.free += 1;
            }
            false => {
                *group -= 1;
                self.free -= 1;
            }
        }
    }

    /// Entry 1 says whether the volume was unmounted in order; true where it cannot.
    pub fn is_clean(&mut self, overlay: &mut Overlay) -> Result<bool, FileError> {
        let value = self.raw(overlay, 1)?;
        Ok(match self.width {
            Width::Twelve => true,
            Width::Sixteen => value & CLEAN_16 != 0,
            Width::ThirtyTwo => value & CLEAN_32 != 0,
        })
    }

    /// Notes it.
    pub fn mark(&mut self, overlay: &mut Overlay, clean: bool) -> Result<(), FileError> {
        let bit = match self.width {
            Width::Twelve => return Ok(()),
            Width::Sixteen => CLEAN_16,
            Width::ThirtyTwo => CLEAN_32,
        };
        let value = self.raw(overlay, 1)?;
        self.set_raw(overlay, 1, if clean { value | bit } else { value & !bit })
    }

    // ---- operations --------------------------------------------------------------------------------------------

    /// The operation is over: what it changed is in this record.
    pub fn committed(&mut self, record: u64) {
        for (cluster, is_free) in core::mem::take(&mut self.changes) {
            if is_free {
                self.rest(cluster);
                self.rested = record;
            }
        }
    }

    /// The operation is not done: everything is as it was before.
    pub fn abandon(&mut self) {
        self.page = None;
        for (cluster, is_free) in core::mem::take(&mut self.changes).into_iter().rev() {
            self.account(cluster, !is_free);
        }
    }

    fn rest(&mut self, cluster: u32) {
        let below = self.resting.range(..=cluster).next_back().map(|(first, end)| (*first, *end));
        let first = match below {
            Some((_, end)) if end > cluster => return,
            Some((first, end)) if end == cluster => first,
            _ => cluster,
        };
        let end = self.resting.remove(&(cluster + 1)).unwrap_or(cluster + 1);
        self.resting.insert(first, end);
        self.asleep += 1;
    }

    fn rests(&self, cluster: u32) -> bool {
        self.resting.range(..=cluster).next_back().is_some_and(|(_, end)| *end > cluster)
    }

    /// Lets clusters be given away whose record is durable; waits for that where fewer than `wanted` would be left otherwise. Between operations only.
    pub fn wake(&mut self, overlay: &mut Overlay, wanted: u32) -> Result<(), FileError> {
        if self.resting.is_empty() {
            return Ok(());
        }
        // In the middle of a request nothing becomes durable.
        let is_between = overlay.prepared().is_none();
        if is_between && (self.resting.len() > RESTING || self.free - self.asleep.min(self.free) < wanted) {
            overlay.make_durable()?;
        }
        if overlay.is_durable(self.rested)? {
            self.resting.clear();
            self.asleep = 0;
        }
        Ok(())
    }

    /// Takes a free cluster: the one behind `before`, or the next that there is; it is the last of its chain. Error: `NoSpace`.
    pub fn take(&mut self, overlay: &mut Overlay, before: Option<u32>) -> Result<u32, FileError> {
        let start = match before {
            Some(before) if before + 1 < self.clusters + 2 => before + 1,
            Some(_) => 2,
            None => self.hint.clamp(2, self.clusters + 1),
        };
        let found = match self.find(overlay, start, self.clusters + 2)? {
            Some(cluster) => Some(cluster),
            None => self.find(overlay, 2, start)?,
        };
        let cluster = found.ok_or(FileError::NoSpace)?;
        self.set(overlay, cluster, Next::End)?;
        if let Some(before) = before {
            self.set(overlay, before, Next::Cluster(cluster))?;
        }
        self.hint = if cluster + 1 < self.clusters + 2 { cluster + 1 } else { 2 };
        Ok(cluster)
    }

    fn find(&mut self, overlay: &mut Overlay, first: u32, end: u32) -> Result<Option<u32>, FileError> {
        let mut number = first;
        while number < end {
            if self.groups[(number / GROUP) as usize] == 0 {
                number = (number / GROUP + 1) * GROUP;
                continue;
            }
            if self.raw(overlay, number)? & self.width.mask() == 0 && !self.rests(number) {
                return Ok(Some(number));
            }
            number += 1;
        }
        Ok(None)
    }
}
