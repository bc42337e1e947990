//! Mappings of Memory in this process: undone when dropped.
//!
//! Another process may write the same Memory at any time, so there are no slices of it: bytes are copied in and
//! out, and words are atomics. Memory that is sealed is the exception: [`SealedMapping`] is a slice.

use crate::object::Object;
use crate::{Memory, sys};
use abi::memory::Protection;
use abi::{Error, Handle};
use core::ops::Deref;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// A mapping for reading.
#[derive(Debug)]
pub struct Mapping {
    address: usize,
    bytes: usize,
}

impl Mapping {
    pub(crate) fn of(memory: &Memory, offset: u64, bytes: u64) -> Result<Mapping, Error> {
        Mapping::with(memory, offset, bytes, Protection::READ)
    }

    fn with(memory: &Memory, offset: u64, bytes: u64, protection: Protection) -> Result<Mapping, Error> {
        let address = sys::memory_map(Handle::NONE, memory.handle(), 0, offset, bytes, protection)?;
        Ok(Mapping { address: address as usize, bytes: bytes as usize })
    }

    /// Its size.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where it starts in this process.
    #[inline]
    pub fn address(&self) -> usize {
        self.address
    }

    /// The address of `bytes` bytes at an offset. Panics when they are not inside, as an index of a slice does.
    #[inline]
    fn at(&self, offset: usize, bytes: usize, align: usize) -> *mut u8 {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes) && offset.is_multiple_of(align);
        assert!(inside, "{bytes} bytes at {offset} of a mapping of {}", self.bytes);
        (self.address + offset) as *mut u8
    }

    /// Copies bytes out. Panics when they are not inside. Somebody who writes meanwhile leaves a mixture.
    #[inline]
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) {
        // SAFETY: both are valid for that length, and `into` is exclusive, so they do not overlap.
        unsafe { copy(self.at(offset, into.len(), 1), into.as_mut_ptr(), into.len()) }
    }

    /// Reads a byte. Panics when it is not inside, as all reads do.
    #[inline]
    pub fn load_u8(&self, offset: usize) -> u8 {
        // SAFETY: inside the mapping, which lives as long as `self`; shared memory is only accessed atomically.
        unsafe { AtomicU8::from_ptr(self.at(offset, 1, 1)) }.load(Ordering::Relaxed)
    }

    /// Reads 16 bits, at an aligned offset.
    #[inline]
    pub fn load_u16(&self, offset: usize, order: Ordering) -> u16 {
        // SAFETY: as in `load_u8`, and aligned.
        unsafe { AtomicU16::from_ptr(self.at(offset, 2, 2).cast()) }.load(order)
    }

    /// Reads 32 bits, at an aligned offset.
    #[inline]
    pub fn load_u32(&self, offset: usize, order: Ordering) -> u32 {
        // SAFETY: as in `load_u16`.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4, 4).cast()) }.load(order)
    }

    /// Reads 64 bits, at an aligned offset.
    #[inline]
    pub fn load_u64(&self, offset: usize, order: Ordering) -> u64 {
        // SAFETY: as in `load_u16`.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8, 8).cast()) }.load(order)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from a mapping beyond its life.
        let _ = unsafe { sys::memory_unmap(Handle::NONE, self.address as u64) };
    }
}

/// A mapping for reading and writing.
#[derive(Debug)]
pub struct WritableMapping(Mapping);

impl WritableMapping {
    pub(crate) fn of(memory: &Memory, offset: u64, bytes: u64) -> Result<WritableMapping, Error> {
        Mapping::with(memory, offset, bytes, Protection::READ | Protection::WRITE).map(WritableMapping)
    }

    /// Copies bytes in. Panics when they do not fit.
    #[inline]
    pub fn copy_in(&self, offset: usize, from: &[u8]) {
        // SAFETY: both are valid for that length; no reference to the mapping's bytes exists, so `from` is elsewhere.
        unsafe { copy(from.as_ptr(), self.0.at(offset, from.len(), 1), from.len()) }
    }

    /// Copies bytes in from another mapping. Panics when they are not inside of both.
    #[inline]
    pub fn copy_from(&self, offset: usize, from: &Mapping, from_offset: usize, bytes: usize) {
        let (source, target) = (from.at(from_offset, bytes, 1), self.0.at(offset, bytes, 1));
        // SAFETY: both are valid for that length. Where they overlap, or show the same Memory, the bytes become a mixture, as they do with every other writer.
        unsafe { copy(source, target, bytes) }
    }

    /// Sets bytes to zero. Panics when they are not inside.
    pub fn zero(&self, offset: usize, bytes: usize) {
        let start = self.0.at(offset, bytes, 1);
        // SAFETY: inside the mapping; assembly, as others may access it meanwhile.
        unsafe {
            core::arch::asm!("rep stosq", "mov ecx, {tail:e}", "rep stosb", tail = in(reg) bytes & 7,
                inout("rcx") bytes / 8 => _, inout("rdi") start => _, in("rax") 0,
                options(nostack, preserves_flags));
        }
    }

    /// Writes a byte. Panics when it is not inside.
    #[inline]
    pub fn store_u8(&self, offset: usize, value: u8) {
        // SAFETY: as in `Mapping::load_u8`, and the mapping is writable.
        unsafe { AtomicU8::from_ptr(self.0.at(offset, 1, 1)) }.store(value, Ordering::Relaxed);
    }

    /// A 32-bit word, at an aligned offset. Panics when it is not inside.
    #[inline]
    pub fn word_u32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: inside, aligned, writable, and alive as long as `self`.
        unsafe { AtomicU32::from_ptr(self.0.at(offset, 4, 4).cast()) }
    }

    /// A 64-bit word, at an aligned offset. Panics when it is not inside.
    #[inline]
    pub fn word_u64(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as in `word_u32`.
        unsafe { AtomicU64::from_ptr(self.0.at(offset, 8, 8).cast()) }
    }

    /// So many 64-bit words, from an aligned offset on. Panics when they are not inside.
    #[inline]
    pub fn words_u64(&self, offset: usize, count: usize) -> &[AtomicU64] {
        let start = self.0.at(offset, count.saturating_mul(8), 8);
        // SAFETY: as in `word_u32`, all of them; an `AtomicU64` is 8 bytes.
        unsafe { core::slice::from_raw_parts(start.cast::<AtomicU64>(), count) }
    }
}

impl Deref for WritableMapping {
    type Target = Mapping;

    #[inline]
    fn deref(&self) -> &Mapping {
        &self.0
    }
}

/// A mapping of sealed Memory: plain bytes that nobody can change.
#[derive(Debug)]
pub struct SealedMapping(Mapping);

impl SealedMapping {
    pub(crate) fn of(memory: &Memory) -> Result<SealedMapping, Error> {
        let info = memory.info()?;
        if !info.sealed {
            return Err(Error::BadState);
        }
        Mapping::of(memory, 0, info.bytes).map(SealedMapping)
    }
}

impl Deref for SealedMapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped as long as `self` lives, and sealed: never written again by anyone.
        unsafe { core::slice::from_raw_parts(self.0.address as *const u8, self.0.bytes) }
    }
}

/// Copies bytes that others may access at the same time: in assembly, where that is no data race.
///
/// # Safety
///
/// Both ranges are valid for the access, and do not overlap.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise; the direction flag is clear by the calling convention.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov ecx, {tail:e}",
            "rep movsb",
            tail = in(reg) bytes & 7,
            inout("rcx") bytes / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
}
