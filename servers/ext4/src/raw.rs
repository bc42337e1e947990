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
        let bounce = self.0.borrow();
        for (index, piece) in into.chunks_mut(BUFFER_BYTES as usize).enumerate() {
            let at = sector + index as u64 * (BUFFER_BYTES / SECTOR_BYTES);
            bounce.run(Operation::Read, at, piece.len())?;
            bounce.mapping.copy_out(0, piece);
        }
        Ok(())
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

    fn write_at(&self, sector: u64, from: &[u8]) -> Result<(), DiskError> {
        for (index, piece) in from.chunks(BUFFER_BYTES as usize).enumerate() {
            self.mapping.copy_in(0, piece);
            self.run(Operation::Write, sector + index as u64 * (BUFFER_BYTES / SECTOR_BYTES), piece.len())?;
        }
        Ok(())
    }
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
