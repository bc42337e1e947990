//! The kernel's view of an [`abi::ring::ByteRing`] in Memory, which user space reads and writes at any time, on any CPU: nothing
//! read here is believed before it was checked, and every index is reduced to the capacity that was checked.
//!
//! The producer publishes `head` after the bytes, the consumer `tail` after it has read them.

use crate::object::Memory;
use crate::{Kernel, arch};
use abi::memory::MemoryKind;
use abi::ring::{BYTE_RING_HEADER, BYTE_RING_LARGEST, ByteRing};
use abi::{Error, PAGE_BYTES};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const HEAD: u64 = offset_of!(ByteRing, head) as u64;
const TAIL: u64 = offset_of!(ByteRing, tail) as u64;
const CAPACITY: u64 = offset_of!(ByteRing, capacity) as u64;

/// A ring in Memory.
pub struct RingView<'k> {
    kernel: &'k Kernel,
    memory: &'k Memory,
    offset: u64,
    /// Bytes that fit.
    pub capacity: u64,
}

impl<'k> RingView<'k> {
    /// The ring at an offset of Memory, a multiple of 8.
    ///
    /// # Errors
    /// `BadArgument` where it is not all in the Memory, or the Memory is a device's; `Sealed`; `BadState` where its capacity
    /// is none, or the Memory not ready.
    pub fn open(kernel: &'k Kernel, memory: &'k Memory, offset: u64) -> Result<RingView<'k>, Error> {
        let room = memory.bytes().checked_sub(offset).and_then(|rest| rest.checked_sub(BYTE_RING_HEADER));
        let room = room.filter(|_| offset.is_multiple_of(8) && memory.kind != MemoryKind::Device);
        let room = room.ok_or(Error::BadArgument)?;
        if memory.sealing.get() {
            return Err(Error::Sealed);
        }
        if !memory.is_prepared() {
            return Err(Error::BadState);
        }
        let ring = RingView { kernel, memory, offset, capacity: 0 };
        let capacity = ring.word(CAPACITY).load(Ordering::Relaxed);
        if !capacity.is_power_of_two() || capacity > BYTE_RING_LARGEST {
            return Err(Error::BadState);
        }
        if capacity > room {
            return Err(Error::BadArgument);
        }
        Ok(RingView { capacity, ..ring })
    }

    /// The head, and how many bytes are in the ring, for its producer.
    ///
    /// # Errors
    /// `BadState`.
    pub fn indices_of_producer(&self) -> Result<(u64, u64), Error> {
        let head = self.word(HEAD).load(Ordering::Relaxed);
        // Acquire: the consumer has read the bytes that are overwritten from here on.
        let used = self.used(head, self.word(TAIL).load(Ordering::Acquire))?;
        Ok((head, used))
    }

    /// The tail, and how many bytes are in the ring, for its consumer.
    ///
    /// # Errors
    /// `BadState`.
    pub fn indices_of_consumer(&self) -> Result<(u64, u64), Error> {
        let tail = self.word(TAIL).load(Ordering::Relaxed);
        // Acquire: the bytes up to there are written.
        let used = self.used(self.word(HEAD).load(Ordering::Acquire), tail)?;
        Ok((tail, used))
    }

    fn used(&self, head: u64, tail: u64) -> Result<u64, Error> {
        Some(head.wrapping_sub(tail)).filter(|used| *used <= self.capacity).ok_or(Error::BadState)
    }

    /// Puts a byte at an index.
    pub fn put(&self, index: u64, byte: u8) {
        self.byte(index).store(byte, Ordering::Relaxed);
    }

    /// The byte at an index.
    pub fn get(&self, index: u64) -> u8 {
        self.byte(index).load(Ordering::Relaxed)
    }

    /// The producer has put bytes up to here.
    pub fn publish_head(&self, head: u64) {
        self.word(HEAD).store(head, Ordering::Release);
    }

    /// The consumer has taken bytes up to here.
    pub fn publish_tail(&self, tail: u64) {
        self.word(TAIL).store(tail, Ordering::Release);
    }

    fn word(&self, field: u64) -> &AtomicU64 {
        // SAFETY: the field lies in the Memory and is aligned, so in one frame, which stays as long as the Memory. All accesses
        // of the kernel to it are atomic.
        unsafe { AtomicU64::from_ptr(self.at(self.offset + field).cast()) }
    }

    fn byte(&self, index: u64) -> &AtomicU8 {
        let at = self.offset + BYTE_RING_HEADER + (index & (self.capacity - 1));
        // SAFETY: as `word`.
        unsafe { AtomicU8::from_ptr(self.at(at)) }
    }

    /// The kernel's pointer to a byte of the Memory, in bounds; its page is placed.
    fn at(&self, offset: u64) -> *mut u8 {
        let frame = self.memory.place(self.kernel, offset / PAGE_BYTES as u64);
        arch::direct_map(frame).wrapping_add(offset as usize % PAGE_BYTES)
    }
}
