//! The disk as all parts see it: layout, table, and the overlay with everything that describes files. An operation is one record, or leaves nothing behind.
//!
//! The disk says whether somebody writes to it: in its boot sector, and in entry 1 of the table. It says so from before the first change until everything is at
//! home. A volume that somebody else has left so stays so.

use crate::boot::Layout;
use crate::entry::{BYTES, Entry, Kind};
use crate::table::Table;
use alloc::vec;
use volume::{Counts, FileError, Kept, Overlay};

/// Where the information sector has its signatures, and how much is free.
const INFO_SIGNATURES: [(usize, u32); 3] = [(0, 0x4161_5252), (484, 0x6141_7272), (508, 0xaa55_0000)];
const INFO_FREE: usize = 488;

/// The disk.
pub struct Medium {
    /// Where everything is.
    pub layout: Layout,
    /// Which cluster follows which.
    pub table: Table,
    /// The sectors.
    pub overlay: Overlay,
    /// Nothing is written.
    pub read_only: bool,
    /// Somebody else has not unmounted it.
    pub is_left_dirty: bool,
    /// The disk says that nobody writes to it.
    pub clean: bool,
    /// A record could not be made: nothing is written any more.
    failed: bool,
}

impl Medium {
    /// A mounted disk.
    pub fn new(layout: Layout, table: Table, overlay: Overlay, read_only: bool) -> Medium {
        Medium { layout, table, overlay, read_only, is_left_dirty: false, clean: true, failed: false }
    }

    // ---- entries -----------------------------------------------------------------------------------------------

    fn place(&self, position: u64) -> (u64, usize) {
        let address = position * BYTES as u64;
        let bytes = self.layout.sector_bytes as u64;
        (address / bytes, (address % bytes) as usize)
    }

    /// The entry at a position: the disk in units of 32 bytes.
    pub fn entry(&mut self, position: u64) -> Result<Entry, FileError> {
        let (block, at) = self.place(position);
        let mut entry = Entry([0; BYTES]);
        self.overlay.read_part(block, at, &mut entry.0)?;
        Ok(entry)
    }

    /// The same, of a file or a directory. Error besides: `NotFound`.
    pub fn file_entry(&mut self, position: u64) -> Result<Entry, FileError> {
        let entry = self.entry(position)?;
        if entry.kind() == Kind::File { Ok(entry) } else { Err(FileError::NotFound) }
    }

    /// Writes one.
    pub fn set_entry(&mut self, position: u64, entry: &Entry) -> Result<(), FileError> {
        let (block, at) = self.place(position);
        let mut bytes = vec![0; self.layout.sector_bytes];
        self.overlay.read(block, &mut bytes)?;
        bytes[at..at + BYTES].copy_from_slice(&entry.0);
        Ok(self.overlay.write(block, &bytes)?)
    }

    /// Makes a cluster zero.
    pub fn clear(&mut self, cluster: u32) -> Result<(), FileError> {
        let zeros = vec![0; self.layout.sector_bytes];
        let first = self.layout.sector_of(cluster);
        for sector in first..first + self.layout.cluster_sectors {
            self.overlay.forget(sector);
            self.overlay.write(sector, &zeros)?;
        }
        Ok(())
    }

    /// Nobody wants to know any more what was in a cluster.
    pub fn forget(&mut self, cluster: u32) {
        let first = self.layout.sector_of(cluster);
        for sector in first..first + self.layout.cluster_sectors {
            self.overlay.forget(sector);
        }
    }

    // ---- records -----------------------------------------------------------------------------------------------

    /// Before an operation: there is room for it, and the disk says that it is in use. `clusters`: free ones that it may need. Errors: `ReadOnly`, `Device`.
    pub fn begin(&mut self, clusters: u32, kept: &mut Kept) -> Result<(), FileError> {
        if self.read_only {
            return Err(FileError::ReadOnly);
        }
        if self.failed {
            return Err(FileError::Device);
        }
        if core::mem::take(&mut self.clean)
            && let Err(error) = self.mark(false, kept)
        {
            self.clean = true;
            return Err(error);
        }
        self.overlay.make_room_for_request()?;
        self.table.wake(&mut self.overlay, clusters)
    }

    /// After it: what it did becomes a record, if it did not fail.
    pub fn end<T>(&mut self, result: Result<T, FileError>, kept: &mut Kept, counts: Counts) -> Result<T, FileError> {
        let result = result.and_then(|value| self.table.flush(&mut self.overlay).map(|()| value));
        if result.is_err() {
            self.overlay.abandon();
            self.table.abandon();
            return result;
        }
        match kept.record(&mut self.overlay, counts) {
            Ok(record) => self.table.committed(record),
            Err(error) => {
                self.failed = true;
                return Err(error.into());
            }
        }
        result
    }

    /// Brings everything home, and notes that nobody writes: as if unmounted, until something changes.
    pub fn come_home(&mut self, kept: &mut Kept) -> Result<(), FileError> {
        if self.clean || self.read_only {
            return Ok(());
        }
        self.overlay.make_durable()?;
        self.mark(true, kept)?;
        self.clean = true;
        Ok(())
    }

    /// Notes on the disk whether somebody writes, and how much is free.
    fn mark(&mut self, clean: bool, kept: &mut Kept) -> Result<(), FileError> {
        let result = self.put_marks(clean);
        self.end(result, kept, Counts::AtOnce)?;
        Ok(self.overlay.make_durable()?)
    }

    fn put_marks(&mut self, clean: bool) -> Result<(), FileError> {
        let mut bytes = vec![0; self.layout.sector_bytes];
        if clean && let Some(info) = self.layout.info {
            self.overlay.read(info, &mut bytes)?;
            let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            if INFO_SIGNATURES.iter().all(|(at, signature)| word(*at) == *signature) {
                bytes[INFO_FREE..INFO_FREE + 4].copy_from_slice(&self.table.free().to_le_bytes());
                bytes[INFO_FREE + 4..INFO_FREE + 8].copy_from_slice(&self.table.hint().to_le_bytes());
                self.overlay.write(info, &bytes)?;
            }
        }
        if self.is_left_dirty {
            return Ok(());
        }
        self.overlay.read(0, &mut bytes)?;
        self.layout.mark(&mut bytes, !clean);
        self.overlay.write(0, &bytes)?;
        self.table.mark(&mut self.overlay, clean)
    }
}
