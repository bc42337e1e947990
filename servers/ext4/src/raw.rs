//! The bare disk, read and written at once: for the superblock before anything else is known, and for the format crate while it replays a journal.

use alloc::rc::Rc;
use core::cell::RefCell;
use libsys::Account;
use rsext4::{BlockIo, DeviceCapabilities, DeviceGeometry, Ext4Error, Ext4Result, SectorId};
use volume::disk::{DiskError, SECTOR_BYTES};
use volume::requests::SharedRequests;

/// The bare disk, for the format crate as well.
#[derive(Clone)]
pub struct RawDisk {
    raw: Rc<volume::raw::RawDisk>,
    error: Rc<RefCell<Option<DiskError>>>,
}

impl RawDisk {
    /// Of these requests; its buffer is charged to the account. Error: `Exhausted`.
    pub fn new(account: &Account, requests: SharedRequests) -> Result<RawDisk, DiskError> {
        Ok(RawDisk { raw: Rc::new(volume::raw::RawDisk::new(account, requests)?), error: Rc::default() })
    }

    /// Reads bytes, whole sectors.
    pub fn read_at(&self, sector: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.raw.read_at(sector, into)
    }

    /// Writes bytes, whole sectors, onto the medium.
    pub fn write_at(&self, sector: u64, from: &[u8]) -> Result<(), DiskError> {
        self.raw.write_at(sector, from).and_then(|()| self.raw.flush())
    }

    /// The first error since the last time this was asked.
    pub fn take_error(&self) -> Option<DiskError> {
        self.error.borrow_mut().take()
    }

    fn fail(&self, error: DiskError) -> Ext4Error {
        self.error.borrow_mut().get_or_insert(error);
        Ext4Error::io()
    }
}

impl BlockIo for RawDisk {
    fn write(&mut self, buffer: &[u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let from = buffer.get(..count as usize * SECTOR_BYTES as usize).ok_or_else(Ext4Error::io)?;
        self.raw.write_at(sector.raw(), from).map_err(|error| self.fail(error))
    }

    fn read(&mut self, buffer: &mut [u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let into = buffer.get_mut(..count as usize * SECTOR_BYTES as usize).ok_or_else(Ext4Error::io)?;
        self.read_at(sector.raw(), into).map_err(|error| self.fail(error))
    }

    fn geometry(&self) -> DeviceGeometry {
        DeviceGeometry::new(SECTOR_BYTES as u32, self.raw.geometry().sectors)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let read_only = self.raw.geometry().read_only;
        DeviceCapabilities { read_only, flush: true, ..DeviceCapabilities::default() }
    }

    fn flush(&mut self) -> Ext4Result<()> {
        self.raw.flush().map_err(|error| self.fail(error))
    }
}
