//! The bare disk, read and written at once: for the superblock before anything else is known, and for the format crate while it replays a journal.

use alloc::rc::Rc;
use alloc::vec;
use core::cell::RefCell;
use libsys::{Account, Memory, WritableMapping};
use rsext4::{BlockIo, DeviceCapabilities, DeviceGeometry, Ext4Error, Ext4Result, SectorId};
use volume::disk::{Buffer, DiskError, Operation, Request, SECTOR_BYTES, Segment};
use volume::requests::{Owner, SharedRequests};

/// Bytes of the buffer that everything goes through.
const BUFFER_BYTES: u64 = 64 << 10;

struct Bounce {
    requests: SharedRequests,
    mapping: WritableMapping,
    buffer: Buffer,
    error: Option<DiskError>,
}

/// The bare disk.
#[derive(Clone)]
pub struct RawDisk(Rc<RefCell<Bounce>>);

impl RawDisk {
    /// Of these requests; its buffer is charged to the account. Error: `Exhausted`.
    pub fn new(account: &Account, requests: SharedRequests) -> Result<RawDisk, DiskError> {
        let memory = Memory::create_dma(account, BUFFER_BYTES).map_err(|_| DiskError::Exhausted)?;
        let mapping = memory.map_writable().map_err(|_| DiskError::Exhausted)?;
        let buffer = requests.borrow_mut().lend(&memory)?;
        Ok(RawDisk(Rc::new(RefCell::new(Bounce { requests, mapping, buffer, error: None }))))
    }

    /// Reads bytes, whole sectors.
    pub fn read_at(&self, sector: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.0.borrow().read_at(sector, into)
    }

    /// Writes bytes, whole sectors, onto the medium.
    pub fn write_at(&self, sector: u64, from: &[u8]) -> Result<(), DiskError> {
        let bounce = self.0.borrow();
        bounce.write_at(sector, from)?;
        bounce.requests.borrow_mut().run(Owner::Overlay, Request::flush())
    }

    /// The first error since the last time this was asked.
    pub fn take_error(&self) -> Option<DiskError> {
        self.0.borrow_mut().error.take()
    }

    fn fail(&self, error: DiskError) -> Ext4Error {
        self.0.borrow_mut().error.get_or_insert(error);
        Ext4Error::io()
    }
}

impl Bounce {
    fn run(&self, operation: Operation, sector: u64, bytes: usize) -> Result<(), DiskError> {
        let segments = vec![Segment { buffer: self.buffer, offset: 0, bytes: bytes as u32 }];
        self.requests.borrow_mut().run(Owner::Overlay, Request { operation, sector, segments })
    }

    fn read_at(&self, mut sector: u64, mut into: &mut [u8]) -> Result<(), DiskError> {
        while !into.is_empty() {
            let window = self.window(sector, into.len());
            let (piece, rest) = into.split_at_mut(window.bytes);
            self.run(Operation::Read, window.first, window.span)?;
            self.mapping.copy_out(window.skipped, piece);
            (sector, into) = (sector + window.bytes as u64 / SECTOR_BYTES, rest);
        }
        Ok(())
    }

    fn write_at(&self, mut sector: u64, mut from: &[u8]) -> Result<(), DiskError> {
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

    /// The whole blocks of the device in which bytes from a sector on lie, as many of both as the buffer holds.
    fn window(&self, sector: u64, bytes: usize) -> Window {
        let block = u64::from(self.requests.borrow().geometry().block_bytes).max(SECTOR_BYTES);
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

impl BlockIo for RawDisk {
    fn write(&mut self, buffer: &[u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let from = buffer.get(..count as usize * SECTOR_BYTES as usize).ok_or_else(Ext4Error::io)?;
        let result = self.0.borrow().write_at(sector.raw(), from);
        result.map_err(|error| self.fail(error))
    }

    fn read(&mut self, buffer: &mut [u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let into = buffer.get_mut(..count as usize * SECTOR_BYTES as usize).ok_or_else(Ext4Error::io)?;
        self.read_at(sector.raw(), into).map_err(|error| self.fail(error))
    }

    fn geometry(&self) -> DeviceGeometry {
        DeviceGeometry::new(SECTOR_BYTES as u32, self.0.borrow().requests.borrow().geometry().sectors)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let read_only = self.0.borrow().requests.borrow().geometry().read_only;
        DeviceCapabilities { read_only, flush: true, ..DeviceCapabilities::default() }
    }

    fn flush(&mut self) -> Ext4Result<()> {
        let result = self.0.borrow().requests.borrow_mut().run(Owner::Overlay, Request::flush());
        result.map_err(|error| self.fail(error))
    }
}
