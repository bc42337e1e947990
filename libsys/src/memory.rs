//! Memory: pages, committed when made.

use crate::mapping::{Mapping, SealedMapping, WritableMapping};
use crate::object::{Object, object};
use crate::{Account, Resource, sys};
use abi::memory::{Caching as Cache, MemoryKind};
use abi::{Error, Handle, PAGE_BYTES};

pub use abi::memory::{Caching, Protection};
pub use sys::MemoryInfo;

/// Memory, and through its rights what may be done with it.
pub struct Memory(Handle);

object!(Memory, Memory);

/// `bytes` rounded up to whole pages; `BadArgument` beyond the largest Memory.
pub(crate) fn whole_pages(bytes: u64) -> Result<u64, Error> {
    if bytes == 0 || bytes > abi::memory::LARGEST {
        return Err(Error::BadArgument);
    }
    Ok(bytes.next_multiple_of(PAGE_BYTES as u64))
}

impl Memory {
    /// Zeroed pages for at least `bytes`. Errors: `BadArgument` (0, or too large), `AccountExhausted`, `NoSlot`.
    pub fn create(account: &Account, bytes: u64) -> Result<Memory, Error> {
        sys::memory_create(account.handle(), whole_pages(bytes)?, MemoryKind::Anonymous).map(Memory::from_handle)
    }

    /// Zeroed, pinned, contiguous pages for a device. Error besides: `NoContiguousMemory`.
    pub fn create_dma(account: &Account, bytes: u64) -> Result<Memory, Error> {
        sys::memory_create(account.handle(), whole_pages(bytes)?, MemoryKind::Dma).map(Memory::from_handle)
    }

    /// A device's physical range. Needs `MANAGE` of the resource. Errors: `Busy`, `Denied`.
    pub fn of_device(
        resource: &Resource,
        physical: u64,
        bytes: u64,
        caching: Cache,
        account: &Account,
    ) -> Result<Memory, Error> {
        sys::memory_device(resource.handle(), physical, bytes, caching, account.handle()).map(Memory::from_handle)
    }

    /// Describes it. Needs `INSPECT`.
    pub fn info(&self) -> Result<MemoryInfo, Error> {
        sys::memory_inspect(self.0)
    }

    /// Ends all writing, for ever. Needs `MANAGE`. Error: `Busy` (a device may write it).
    pub fn seal(&self) -> Result<(), Error> {
        sys::memory_seal(self.0)
    }

    /// Maps all of it for reading. Needs `READ` and `INSPECT`.
    pub fn map(&self) -> Result<Mapping, Error> {
        let bytes = self.info()?.bytes;
        self.map_part(0, bytes)
    }

    /// Maps a part of it, in whole pages, for reading. Needs `READ`.
    pub fn map_part(&self, offset: u64, bytes: u64) -> Result<Mapping, Error> {
        Mapping::of(self, offset, bytes)
    }

    /// Maps all of it for reading and writing. Needs `READ`, `WRITE` and `INSPECT`. Error: `Sealed`.
    pub fn map_writable(&self) -> Result<WritableMapping, Error> {
        let bytes = self.info()?.bytes;
        self.map_writable_part(0, bytes)
    }

    /// Maps a part of it, in whole pages, for reading and writing. Needs `READ` and `WRITE`. Error: `Sealed`.
    pub fn map_writable_part(&self, offset: u64, bytes: u64) -> Result<WritableMapping, Error> {
        WritableMapping::of(self, offset, bytes)
    }

    /// Maps all of it as plain bytes, which nobody can change as it is sealed. Needs `READ` and `INSPECT`. Error: `BadState` (not sealed).
    pub fn map_sealed(&self) -> Result<SealedMapping, Error> {
        SealedMapping::of(self)
    }
}
