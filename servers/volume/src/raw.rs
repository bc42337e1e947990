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
    pub fn read_at(&self, mut sector: u64, mut into: &mut [u8]) -> Result<(), DiskError> {
        while !into.is_empty() {
            let window = self.window(sector, into.len());
            let (piece, rest) = into.split_at_mut(window.bytes);
            self.run(Operation::Read, window.first, window.span)?;
            self.mapping.copy_out(window.skipped, piece);
            (sector, into) = (sector + window.bytes as u64 / SECTOR_BYTES, rest);
        }
        Ok(())
    }

    /// Writes bytes, whole sectors.
    pub fn write_at(&self, mut sector: u64, mut from: &[u8]) -> Result<(), DiskError> {
        while !from.is_empty() {
            let window = self.window(sector, from.len());
            let (piece, rest) = from.split_at(window.bytes);
            if window.bytes < window.span {
                self.run(Operation::Read, window.first, window.span)?;
            }
            self.mapping.copy_in(window.skipped, piece);
            self.run(Operation::Write, window.first, window.span)?;
            (sector, from) = (sector + window.bytes as u64 / SECTOR_BYTES, rest);
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

    /// The whole blocks of the device in which bytes from a sector on lie, as many of both as the buffer holds.
    fn window(&self, sector: u64, bytes: usize) -> Window {
        let block = u64::from(self.geometry().block_bytes).max(SECTOR_BYTES);
        let first = sector - sector % (block / SECTOR_BYTES);
        let skipped = ((sector - first) * SECTOR_BYTES) as usize;
        let span = (skipped + bytes).next_multiple_of(block as usize).min(BUFFER_BYTES as usize);
        Window { first, span, skipped, bytes: bytes.min(span - skipped) }
    }
}

/// A part of the disk that is read or written at once.
struct Window {
    /// Its first sector.
    first: u64,
    /// Its bytes.
    span: usize,
    /// Bytes before those that are meant, and how many those are.
    skipped: usize,
    bytes: usize,
}
