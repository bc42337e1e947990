//! Rings of bytes in shared Memory ([`abi::ring::ByteRing`]): one [`Producer`], one [`Consumer`], each in its own process, or
//! the kernel in the place of one ([`crate::Ports::drain`], [`crate::Ports::fill`]).
//!
//! Each side keeps its own index and believes the other's only within the ring: a peer that writes nonsense is
//! told apart ([`BadRing`]), and harms nobody's memory.
//!
//! A side that has nothing to do waits for a signal. Who changes that sends it: a producer when the consumer may have found
//! the ring empty, a consumer when the producer may have found it full; [`Producer::write`] and [`Consumer::read`] say when.

use crate::{Account, Channel, Error, Memory, WritableMapping};
use abi::ring::{BYTE_RING_HEADER, BYTE_RING_LARGEST, ByteRing};
use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

/// The ring's indices or capacity make no sense: the peer is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRing;

impl core::fmt::Display for BadRing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the shared ring makes no sense")
    }
}

impl core::error::Error for BadRing {}

/// Bytes of Memory for a ring of a capacity.
pub const fn memory_bytes(capacity: u64) -> u64 {
    BYTE_RING_HEADER + capacity
}

/// New Memory with an empty ring at its start. `capacity` is a power of two up to 1 MiB. Errors: `BadArgument`, and those of [`Memory::create`].
pub fn create(account: &Account, capacity: u64) -> Result<Memory, Error> {
    let memory = Memory::create(account, memory_bytes(capacity))?;
    format(&memory.map_writable()?, 0, capacity)?;
    Ok(memory)
}

/// Makes an empty ring at an offset of a mapping. Error: `BadArgument` (the capacity, or no room).
pub fn format(memory: &WritableMapping, offset: usize, capacity: u64) -> Result<(), Error> {
    if !fits(memory, offset, capacity) {
        return Err(Error::BadArgument);
    }
    for field in [offset_of!(ByteRing, head), offset_of!(ByteRing, tail), offset_of!(ByteRing, lost)] {
        memory.word_u64(offset + field).store(0, Ordering::Relaxed);
    }
    memory.word_u64(offset + offset_of!(ByteRing, capacity)).store(capacity, Ordering::Release);
    Ok(())
}

fn fits(memory: &WritableMapping, offset: usize, capacity: u64) -> bool {
    let end = (offset as u64).checked_add(memory_bytes(capacity.min(BYTE_RING_LARGEST)));
    let inside = end.is_some_and(|end| end <= memory.bytes() as u64);
    inside && capacity.is_power_of_two() && capacity <= BYTE_RING_LARGEST && offset.is_multiple_of(8)
}

/// Indices never come near this: so they can be added to without a thought.
const INDEX_END: u64 = 1 << 62;

/// What both sides know.
#[derive(Debug)]
struct Ring {
    memory: Arc<WritableMapping>,
    offset: usize,
    capacity: u64,
}

/// Bytes moved, and whether the other side is to be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many.
    pub bytes: usize,
    /// The other side may wait for this.
    pub wake_peer: bool,
}

impl Moved {
    /// Signals the other side, if it may wait. A peer that is gone is not missed.
    pub fn signal(self, peer: &Channel, bits: u64) -> Moved {
        if self.wake_peer {
            let _ = peer.signal(bits);
        }
        self
    }
}

impl Ring {
    fn attach(memory: Arc<WritableMapping>, offset: usize) -> Result<Ring, BadRing> {
        let header_fits = offset.checked_add(BYTE_RING_HEADER as usize).is_some_and(|end| end <= memory.bytes());
        if !header_fits || !offset.is_multiple_of(8) {
            return Err(BadRing);
        }
        let capacity = memory.load_u64(offset + offset_of!(ByteRing, capacity), Ordering::Acquire);
        if fits(&memory, offset, capacity) { Ok(Ring { memory, offset, capacity }) } else { Err(BadRing) }
    }

    fn load(&self, field: usize) -> u64 {
        self.memory.load_u64(self.offset + field, Ordering::Acquire)
    }

    fn store(&self, field: usize, value: u64) {
        self.memory.word_u64(self.offset + field).store(value, Ordering::Release);
    }

    /// Bytes in the ring.
    fn used(&self, head: u64, tail: u64) -> Result<u64, BadRing> {
        head.checked_sub(tail).filter(|used| *used <= self.capacity && head < INDEX_END).ok_or(BadRing)
    }

    /// Splits `bytes` bytes from an index where the data ends: offsets in the mapping, and how many are in the first part.
    fn parts(&self, index: u64, bytes: usize) -> (usize, usize, usize) {
        let start = self.offset + BYTE_RING_HEADER as usize;
        let at = (index & (self.capacity - 1)) as usize;
        (start + at, start, bytes.min(self.capacity as usize - at))
    }
}

/// The side that puts bytes in. What it [stages](Producer::stage) the consumer does not see before it is [published](Producer::publish): a server whose
/// bytes are promised commits [`Producer::position`] in between, and goes on there ([`Producer::resume`]) after a death.
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    head: u64,
    /// What the consumer sees.
    published: u64,
}

impl Producer {
    /// The producer of the ring at an offset, from where an earlier one left off.
    pub fn attach(memory: Arc<WritableMapping>, offset: usize) -> Result<Producer, BadRing> {
        Producer::resume(memory, offset, 0)
    }

    /// The same, with what was staged up to a position: from where the ring stands if that is further. It is staged still.
    pub fn resume(memory: Arc<WritableMapping>, offset: usize, position: u64) -> Result<Producer, BadRing> {
        let ring = Ring::attach(memory, offset)?;
        let published = ring.load(offset_of!(ByteRing, head));
        let head = published.max(position);
        ring.used(head, ring.load(offset_of!(ByteRing, tail)))?;
        Ok(Producer { ring, head, published })
    }

    /// Bytes ever put in, with those that are staged.
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Bytes for which there is room.
    pub fn room(&self) -> Result<usize, BadRing> {
        let used = self.ring.used(self.head, self.ring.load(offset_of!(ByteRing, tail)))?;
        Ok((self.ring.capacity - used) as usize)
    }

    /// Puts in as many bytes as there is room for. Before waiting for room, write until nothing was moved. `wake_peer`: the
    /// consumer had taken out all that was there before.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Moved, BadRing> {
        self.stage(bytes)?;
        Ok(self.publish())
    }

    /// Puts in as many bytes as there is room for, unseen; returns how many.
    pub fn stage(&mut self, bytes: &[u8]) -> Result<usize, BadRing> {
        let count = bytes.len().min(self.room()?);
        let (at, start, first) = self.ring.parts(self.head, count);
        self.ring.memory.copy_in(at, &bytes[..first]);
        self.ring.memory.copy_in(start, &bytes[first..count]);
        self.head += count as u64;
        Ok(count)
    }

    /// Shows the consumer what was staged. The result is as that of [`Producer::write`].
    pub fn publish(&mut self) -> Moved {
        let before = core::mem::replace(&mut self.published, self.head);
        if before == self.head {
            return Moved { bytes: 0, wake_peer: false };
        }
        self.ring.store(offset_of!(ByteRing, head), self.head);
        // Either this sees the consumer's last index, or the consumer's next look sees these bytes.
        fence(Ordering::SeqCst);
        let tail = self.ring.load(offset_of!(ByteRing, tail));
        Moved { bytes: (self.head - before) as usize, wake_peer: tail >= before }
    }

    /// Puts in what there is room for, and counts the rest as lost.
    pub fn write_or_lose(&mut self, bytes: &[u8]) -> Result<Moved, BadRing> {
        let moved = self.write(bytes)?;
        if moved.bytes < bytes.len() {
            let lost = self.ring.memory.word_u64(self.ring.offset + offset_of!(ByteRing, lost));
            lost.fetch_add((bytes.len() - moved.bytes) as u64, Ordering::Relaxed);
        }
        Ok(moved)
    }
}

/// The side that takes bytes out. What it [takes](Consumer::take) stays in the ring until that is [published](Consumer::publish), as with [`Producer`].
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    tail: u64,
    /// What the producer sees.
    published: u64,
}

impl Consumer {
    /// The consumer of the ring at an offset, from where an earlier one left off.
    pub fn attach(memory: Arc<WritableMapping>, offset: usize) -> Result<Consumer, BadRing> {
        Consumer::resume(memory, offset, 0)
    }

    /// The same, with what was taken up to a position: from where the ring stands if that is further. It is not published.
    pub fn resume(memory: Arc<WritableMapping>, offset: usize, position: u64) -> Result<Consumer, BadRing> {
        let ring = Ring::attach(memory, offset)?;
        let published = ring.load(offset_of!(ByteRing, tail));
        let tail = published.max(position);
        ring.used(ring.load(offset_of!(ByteRing, head)), tail)?;
        Ok(Consumer { ring, tail, published })
    }

    /// Bytes ever taken out, published or not.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Bytes that are there.
    pub fn available(&self) -> Result<usize, BadRing> {
        Ok(self.ring.used(self.ring.load(offset_of!(ByteRing, head)), self.tail)? as usize)
    }

    /// Copies bytes from `skip` behind the oldest, without taking them: how many.
    pub fn peek(&self, skip: usize, into: &mut [u8]) -> Result<usize, BadRing> {
        let count = into.len().min(self.available()?.saturating_sub(skip));
        if count == 0 {
            return Ok(0);
        }
        let (at, start, first) = self.ring.parts(self.tail + skip as u64, count);
        self.ring.memory.copy_out(at, &mut into[..first]);
        self.ring.memory.copy_out(start, &mut into[first..count]);
        Ok(count)
    }

    /// Takes out as many bytes as `into` holds. Before waiting for more, read until nothing was moved. `wake_peer`: the ring was full.
    pub fn read(&mut self, into: &mut [u8]) -> Result<Moved, BadRing> {
        self.take(into)?;
        Ok(self.publish())
    }

    /// Takes as many bytes as `into` holds, without giving their room back; returns how many.
    pub fn take(&mut self, into: &mut [u8]) -> Result<usize, BadRing> {
        let count = self.peek(0, into)?;
        self.tail += count as u64;
        Ok(count)
    }

    /// The same of bytes that were looked at, or that nobody wants.
    pub fn skip(&mut self, bytes: usize) -> Result<usize, BadRing> {
        let count = bytes.min(self.available()?);
        self.tail += count as u64;
        Ok(count)
    }

    /// Gives the producer the room of what was taken. The result is as that of [`Consumer::read`].
    pub fn publish(&mut self) -> Moved {
        let before = core::mem::replace(&mut self.published, self.tail);
        if before == self.tail {
            return Moved { bytes: 0, wake_peer: false };
        }
        self.ring.store(offset_of!(ByteRing, tail), self.tail);
        // Either this sees the ring full, or the producer's next look sees the room.
        fence(Ordering::SeqCst);
        let head = self.ring.load(offset_of!(ByteRing, head));
        let wake_peer = head.wrapping_sub(before) >= self.ring.capacity;
        Moved { bytes: (self.tail - before) as usize, wake_peer }
    }

    /// Bytes that the producer had no room for, ever, by its own account.
    pub fn lost(&self) -> u64 {
        self.ring.load(offset_of!(ByteRing, lost))
    }
}

#[cfg(test)]
mod tests;
