//! The bare disk, read and written at once: before it is known what is on it, and where nothing is to be remembered.

use crate::disk::{Buffer, DiskError, Geometry, Operation, Request, SECTOR_BYTES, Segment};
use crate::requests::{Owner, SharedRequests};
use alloc::vec;
use libsys::{Account, Memory, WritableMapping};

/// Bytes of the buffer that everything goes through.
const BUFFER_BYTES: u64 = 64 << 10;

/// The bare disk.
pub struct RawDisk {
    requests: SharedRequests,
    mapping: WritableMapping,
    buffer: Buffer,
}

impl RawDisk {
    /// Of these requests; its buffer is charged to the account. Error: `Exhausted`.
    pub fn new(account: &Account, requests: SharedRequests) -> Result<RawDisk, DiskError> {
        let memory = Memory::create_dma(account, BUFFER_BYTES).map_err(|_| DiskError::Exhausted)?;
        let mapping = memory.map_writable().map_err(|_| DiskError::Exhausted)?;
        let buffer = requests.borrow_mut().lend(&memory)?;
        Ok(RawDisk { requests, mapping, buffer })
    }

    /// What the disk is like.
    pub fn geometry(&self) -> Geometry {
        self.requests.borrow().geometry()
    }

    /// Reads bytes, whole sectors.
    pub fn read_at(&self, sector: u64, into: &mut [u8]) -> Result<(), DiskError> {
        for (index, piece) in into.chunks_mut(BUFFER_BYTES as usize).enumerate() {
            self.run(Operation::Read, sector + index as u64 * (BUFFER_BYTES / SECTOR_BYTES), piece.len())?;
            self.mapping.copy_out(0, piece);
        }
        Ok(())
    }

    /// Writes bytes, whole sectors.
    pub fn write_at(&self, sector: u64, from: &[u8]) -> Result<(), DiskError> {
        for (index, piece) in from.chunks(BUFFER_BYTES as usize).enumerate() {
            self.mapping.copy_in(0, piece);
            self.run(Operation::Write, sector + index as u64 * (BUFFER_BYTES / SECTOR_BYTES), piece.len())?;
        }
        Ok(())
    }

    /// Everything that was written gets onto the medium.
    pub fn flush(&self) -> Result<(), DiskError> {
        self.requests.borrow_mut().run(Owner::Overlay, Request::flush())
    }

    fn run(&self, operation: Operation, sector: u64, bytes: usize) -> Result<(), DiskError> {
        let segments = vec![Segment { buffer: self.buffer, offset: 0, bytes: bytes as u32 }];
        self.requests.borrow_mut().run(Owner::Overlay, Request { operation, sector, segments })
    }
}
