//! A split virtqueue (§2.7): descriptors, the ring of what is available to the device, and the ring of what it has used.
//!
//! The driver's own indices are kept here and never read back from the memory that the device can write. What the device
//! says is checked: an index that jumps, an id that is not on its way, a length beyond what the chain has room for.

use crate::transport::QueuePlace;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};
use libsys::driver::DmaBuffer;

const DESCRIPTOR_BYTES: usize = 16;
/// Flags of a descriptor.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Flag of the used ring: the device does not want to be notified.
const NO_NOTIFY: u16 = 1;

/// A piece of memory as the device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts.
    pub address: u64,
    /// Its size.
    pub bytes: u32,
}

/// A chain that the device has done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The number that [`Queue::submit`] gave.
    pub chain: u16,
    /// Bytes that the device says it wrote.
    pub bytes: u32,
}

/// Why a queue does not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// There is no room now; there will be when a chain has come back.
    Full,
    /// The chain has no segments, or more than the queue was made for.
    BadChain,
    /// The device said what cannot be: nothing that it says counts any more.
    Broken,
}

/// A chain on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// Descriptors of the ring; 0: it is not on its way.
    descriptors: u16,
    /// Bytes that the device may write.
    writable: u64,
}

/// A virtqueue.
#[derive(Debug)]
pub struct Queue {
    number: u16,
    size: u16,
    /// Descriptors of an indirect table; 0: there are none, chains lie in the ring.
    table: u16,
    has_events: bool,
    memory: DmaBuffer,
    /// By the number of the first descriptor.
    chains: Vec<Chain>,
    /// Which descriptor follows one in its chain: the memory that the device can write is not asked.
    links: Vec<u16>,
    /// Descriptors that are free.
    free: Vec<u16>,
    /// Index of the next chain that becomes available.
    available: u16,
    /// What the device was shown of that.
    published: u16,
    /// Index of the next chain that comes back.
    used: u16,
    is_broken: bool,
}

impl Queue {
    /// Bytes of memory for a queue with `size` entries, each with an indirect table of `table` descriptors.
    pub fn bytes(size: u16, table: u16) -> u64 {
        (tables_at(size) + usize::from(size) * usize::from(table) * DESCRIPTOR_BYTES) as u64
    }

    /// A queue in zeroed memory of [`Queue::bytes`]; `size` is a power of two, at least 2.
    ///
    /// # Panics
    /// `size` is not, or the memory is too small.
    pub fn new(number: u16, size: u16, table: u16, has_events: bool, memory: DmaBuffer) -> Queue {
        assert!(size.is_power_of_two() && size >= 2 && memory.bytes() as u64 >= Queue::bytes(size, table));
        Queue {
            number,
            size,
            table,
            has_events,
            memory,
            chains: vec![Chain::default(); size.into()],
            links: vec![0; size.into()],
            free: (0..size).rev().collect(),
            available: 0,
            published: 0,
            used: 0,
            is_broken: false,
        }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its entries: chains have smaller numbers.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Where the device finds it.
    pub fn place(&self) -> QueuePlace {
        let start = self.memory.device_address();
        let (available, used) = (start + available_at(self.size) as u64, start + used_at(self.size) as u64);
        QueuePlace { size: self.size, descriptors: start, available, used }
    }

    /// How many chains are on their way.
    pub fn in_flight(&self) -> u16 {
        self.available.wrapping_sub(self.used)
    }

    /// Makes a chain of what the device reads and what it writes, in this order. It sees it with the next [`Queue::publish`]. The number of the chain.
    pub fn submit(
        &mut self,
        readable: impl Iterator<Item = Segment> + Clone,
        writable: impl Iterator<Item = Segment> + Clone,
    ) -> Result<u16, QueueError> {
        if self.is_broken {
            return Err(QueueError::Broken);
        }
        let count = readable.clone().count() + writable.clone().count();
        let most = if self.table > 0 { self.table } else { self.size };
        let count = u16::try_from(count).ok().filter(|count| (1..=most).contains(count)).ok_or(QueueError::BadChain)?;
        let descriptors = if self.table > 0 { 1 } else { count };
        if self.free.len() < usize::from(descriptors) {
            return Err(QueueError::Full);
        }
        let bytes_to_write = writable.clone().map(|segment| u64::from(segment.bytes)).sum();
        let pieces = readable.map(|piece| (piece, 0)).chain(writable.map(|piece| (piece, WRITE)));
        let head = if self.table > 0 { self.write_table(pieces, count) } else { self.write_chain(pieces, count) };
        self.chains[usize::from(head)] = Chain { descriptors, writable: bytes_to_write };
        let entry = available_at(self.size) + 4 + 2 * usize::from(self.available & (self.size - 1));
        self.memory.copy_in(entry, &head.to_le_bytes());
        self.available = self.available.wrapping_add(1);
        Ok(head)
    }

    /// Writes a chain into a table of its own.
    fn write_table(&mut self, pieces: impl Iterator<Item = (Segment, u16)>, count: u16) -> u16 {
        let head = self.take_free();
        let table = tables_at(self.size) + usize::from(head) * usize::from(self.table) * DESCRIPTOR_BYTES;
        for (index, (piece, flags)) in (0..count).zip(pieces) {
            let (next, more) = if index + 1 < count { (index + 1, NEXT) } else { (0, 0) };
            self.write(table + usize::from(index) * DESCRIPTOR_BYTES, piece, flags | more, next);
        }
        let address = self.memory.device_address() + table as u64;
        let whole = Segment { address, bytes: u32::from(count) * DESCRIPTOR_BYTES as u32 };
        self.write(usize::from(head) * DESCRIPTOR_BYTES, whole, INDIRECT, 0);
        head
    }

    /// Writes a chain into the ring.
    fn write_chain(&mut self, pieces: impl Iterator<Item = (Segment, u16)>, count: u16) -> u16 {
        let head = self.take_free();
        let mut current = head;
        for (index, (piece, flags)) in (0..count).zip(pieces) {
            let (next, more) = if index + 1 < count { (self.take_free(), NEXT) } else { (0, 0) };
            self.write(usize::from(current) * DESCRIPTOR_BYTES, piece, flags | more, next);
            self.links[usize::from(current)] = next;
            current = next;
        }
        head
    }

    fn take_free(&mut self) -> u16 {
        // Counted before.
        self.free.pop().unwrap_or_default()
    }

    fn write(&self, at: usize, piece: Segment, flags: u16, next: u16) {
        let mut bytes = [0; DESCRIPTOR_BYTES];
        bytes[..8].copy_from_slice(&piece.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&piece.bytes.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        self.memory.copy_in(at, &bytes);
    }

    /// Shows the device all chains that were made. Whether it wants to be notified.
    pub fn publish(&mut self) -> bool {
        if self.published == self.available {
            return false;
        }
        let before = core::mem::replace(&mut self.published, self.available);
        // Flags and index are in one word; what the index covers is written before it.
        let word = self.memory.word_u32(available_at(self.size));
        word.store(u32::from(self.available) << 16, Ordering::Release);
        fence(Ordering::SeqCst);
        if !self.has_events {
            return self.memory.load_u16(used_at(self.size), Ordering::Relaxed) & NO_NOTIFY == 0;
        }
        let event = self.memory.load_u16(used_at(self.size) + 4 + 8 * usize::from(self.size), Ordering::Relaxed);
        // §2.7.10.1: whether the event lies between what was published before and now.
        self.available.wrapping_sub(event).wrapping_sub(1) < self.available.wrapping_sub(before)
    }

    /// The next chain that has come back.
    pub fn next_completed(&mut self) -> Result<Option<Completion>, QueueError> {
        if self.is_broken {
            return Err(QueueError::Broken);
        }
        let index = self.memory.load_u16(used_at(self.size) + 2, Ordering::Acquire);
        let waiting = index.wrapping_sub(self.used);
        if waiting == 0 {
            return Ok(None);
        }
        let completion = self.take_used().filter(|_| waiting <= self.published.wrapping_sub(self.used));
        self.is_broken = completion.is_none();
        let Some(completion) = completion else { return Err(QueueError::Broken) };
        self.used = self.used.wrapping_add(1);
        Ok(Some(completion))
    }

    /// The entry of the used ring that is next, if it can be.
    fn take_used(&mut self) -> Option<Completion> {
        let entry = used_at(self.size) + 4 + 8 * usize::from(self.used & (self.size - 1));
        let id = self.memory.load_u32(entry, Ordering::Relaxed);
        let bytes = self.memory.load_u32(entry + 4, Ordering::Relaxed);
        let head = u16::try_from(id).ok().filter(|head| *head < self.size)?;
        self.give_back(head, bytes)?;
        Some(Completion { chain: head, bytes })
    }

    /// Frees the descriptors of a chain, if it is on its way and has room for that many bytes.
    fn give_back(&mut self, head: u16, bytes: u32) -> Option<()> {
        let chain = self.chains[usize::from(head)];
        if chain.descriptors == 0 || u64::from(bytes) > chain.writable {
            return None;
        }
        self.chains[usize::from(head)] = Chain::default();
        let mut current = head;
        for _ in 0..chain.descriptors {
            self.free.push(current);
            current = self.links[usize::from(current)];
        }
        Some(())
    }

    /// Wants an interrupt for the next chain that comes back. Whether one has come back meanwhile: then look again.
    pub fn arm(&mut self) -> bool {
        if self.has_events {
            // The word's other half is unused.
            let word = self.memory.word_u32(available_at(self.size) + 4 + 2 * usize::from(self.size));
            word.store(self.used.into(), Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        !self.is_broken && self.memory.load_u16(used_at(self.size) + 2, Ordering::Acquire) != self.used
    }
}

/// Where the available ring is: behind the descriptors.
fn available_at(size: u16) -> usize {
    usize::from(size) * DESCRIPTOR_BYTES
}

/// Where the used ring is: behind the available ring, its event, and what fills the word of that.
fn used_at(size: u16) -> usize {
    available_at(size) + 4 + 2 * usize::from(size) + 4
}

/// Where the indirect tables are: behind the used ring and its event.
fn tables_at(size: u16) -> usize {
    (used_at(size) + 4 + 8 * usize::from(size) + 2).next_multiple_of(DESCRIPTOR_BYTES)
}
