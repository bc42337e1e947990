//! Zeros on the disk, for formats whose files have no holes: written from one small piece of memory, past the page cache.

use crate::disk::{Buffer, DiskError, Operation, Request, SECTOR_BYTES, Segment};
use crate::requests::{Owner, SharedRequests};
use alloc::vec::Vec;
use libsys::{Account, Memory, WritableMapping};

/// Bytes of the memory.
const PIECE: u64 = 64 << 10;

/// Memory with zeros, lent to a disk.
pub struct Zeros {
    requests: SharedRequests,
    buffer: Buffer,
    _mapping: WritableMapping,
}

impl Zeros {
    /// Charged to the account. Error: `Exhausted`.
    pub fn new(account: &Account, requests: SharedRequests) -> Result<Zeros, DiskError> {
        let memory = Memory::create_dma(account, PIECE).map_err(|_| DiskError::Exhausted)?;
        // A device is lent what was mapped: until then there are no pages.
        let mapping = memory.map_writable().map_err(|_| DiskError::Exhausted)?;
        let buffer = requests.borrow_mut().lend(&memory)?;
        Ok(Zeros { requests, buffer, _mapping: mapping })
    }

    /// Makes whole blocks of the disk zero, from a place in bytes on. Waits.
    pub fn write(&self, place: u64, bytes: u64) -> Result<(), DiskError> {
        let geometry = self.requests.borrow().geometry();
        let most = u64::from(geometry.most_bytes).min(PIECE * geometry.most_segments as u64);
        let mut started = Vec::new();
        let mut done = 0;
        while done < bytes {
            let part = (bytes - done).min(most);
            let pieces = (0..part).step_by(PIECE as usize);
            let segment = |at: u64| Segment { buffer: self.buffer, offset: 0, bytes: PIECE.min(part - at) as u32 };
            let segments = pieces.map(segment).collect();
            let sector = (place + done) / SECTOR_BYTES;
            let request = Request { operation: Operation::Write, sector, segments };
            started.push(self.requests.borrow_mut().start(Owner::Zeros, request));
            done += part;
        }
        // All of them, whatever becomes of one: nothing is on its way any more when this ends.
        let finish = |id| self.requests.borrow_mut().finish(Owner::Zeros, id);
        started.into_iter().map(finish).fold(Ok(()), Result::and)
    }
}
