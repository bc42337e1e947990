//! System calls on Memory and mappings.

use super::entry::{brief, control};
use abi::memory::{Caching, MemoryKind, Protection};
use abi::{Error, Handle, Syscall};

/// What a Memory is: the result of [`memory_inspect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Its size.
    pub bytes: u64,
    /// Its kind.
    pub kind: MemoryKind,
    /// Nothing writes it any more.
    pub sealed: bool,
    /// Frames that are placed.
    pub resident_frames: u64,
}

/// Makes zeroed Memory; `bytes` is a multiple of the page size. Errors: `AccountExhausted`, `NoContiguousMemory`, `NoSlot`.
pub fn memory_create(account: Handle, bytes: u64, kind: MemoryKind) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::MemoryCreate, [account.0, bytes, kind as u64])?[0]))
}

/// Makes Memory of a device's physical range. Errors: `Busy`, `Denied`.
pub fn memory_device(
    resource: Handle,
    physical: u64,
    bytes: u64,
    caching: Caching,
    account: Handle,
) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::MemoryDevice, [resource.0, physical, bytes, caching as u64, account.0])?[0]))
}

/// Maps Memory into `process` ([`Handle::NONE`]: the caller's) at `address`, or where the kernel likes if that is 0. Returns the
/// address. Errors: `BadAddress` (taken: never maps over another mapping), `Sealed`, `AccountExhausted`.
pub fn memory_map(
    process: Handle,
    memory: Handle,
    address: u64,
    offset: u64,
    bytes: u64,
    protection: Protection,
) -> Result<u64, Error> {
    let arguments = [process.0, memory.0, address, offset, bytes, protection.bits().into()];
    Ok(control(Syscall::MemoryMap, arguments)?[0])
}

/// Undoes a mapping, whole.
///
/// # Safety
///
/// In the caller's own process nothing may use the mapping any more.
pub unsafe fn memory_unmap(process: Handle, address: u64) -> Result<(), Error> {
    brief(Syscall::MemoryUnmap, process.0, address)
}

/// Changes a mapping's protection word: [`Protection`] and a protection key. Errors: `BadAddress`, `Sealed`, `Denied`.
///
/// # Safety
///
/// In the caller's own process: no reference may promise more than the new protection allows.
pub unsafe fn memory_protect(process: Handle, address: u64, protection: u32) -> Result<(), Error> {
    control(Syscall::MemoryProtect, [process.0, address, protection.into()]).map(drop)
}

/// Ends all writing, for ever. Error: `Busy` (a device may write it).
pub fn memory_seal(memory: Handle) -> Result<(), Error> {
    brief(Syscall::MemorySeal, memory.0, 0)
}

/// Describes Memory.
pub fn memory_inspect(memory: Handle) -> Result<MemoryInfo, Error> {
    let [bytes, kind, sealed, resident_frames] = control(Syscall::MemoryInspect, [memory.0])?;
    let kind = MemoryKind::from_number(kind).ok_or(Error::WrongKind)?;
    Ok(MemoryInfo { bytes, kind, sealed: sealed != 0, resident_frames })
}
