//! One ring of a stream device, as the device sees it: it puts input into one, and takes output out of another.
//!
//! The kernel moves both ends as well, so nobody keeps indices: an end stands where the ring says, or, where bytes were staged at it and
//! are not published yet, behind these.

use crate::protocol::character::CharacterError;
use crate::ring::{self, BadRing, Consumer, Producer};
use crate::state::{Keepsake, Records, Retained};
use crate::wire::Shared;
use crate::{Account, Error, Memory, Object, WritableMapping, sys};
use abi::ring::ByteRing;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::Ordering;
use serde::{Deserialize, Serialize};

/// Bytes of the driver's own rings: for the time before somebody attaches larger ones.
const OWN_CAPACITY: u64 = 2048;

/// One ring of a device: the Memory that it is in, for [`Ports::drain`](crate::Ports::drain) and
/// [`Ports::fill`](crate::Ports::fill), and how full it is.
#[derive(Debug)]
pub struct StreamRing {
    memory: Retained<Memory>,
    offset: u64,
    mapping: Arc<WritableMapping>,
    /// Where the ends stand at least, with what is staged.
    head: Cell<u64>,
    tail: Cell<u64>,
}

/// A ring, for the next incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptRing {
    memory: Keepsake,
    offset: u64,
    head: u64,
    tail: u64,
}

impl KeptRing {
    /// Whether it is the same ring, however far it is used.
    pub(super) fn is_same(&self, other: &KeptRing) -> bool {
        (self.memory, self.offset) == (other.memory, other.offset)
    }
}

impl StreamRing {
    /// The ring in a range of Memory, which is kept. Errors: `OutOfRange` (it is none), `Device` (it cannot be mapped or kept).
    pub(super) fn shared(shared: Shared, records: &mut Records) -> core::result::Result<StreamRing, CharacterError> {
        let Shared { memory, offset, bytes } = shared;
        let mapping = Arc::new(memory.map_writable().map_err(|_| CharacterError::Device)?);
        let capacity_at = offset as usize + offset_of!(ByteRing, capacity);
        let is_inside = offset.is_multiple_of(8) && bytes >= abi::ring::BYTE_RING_HEADER;
        if !is_inside || ring::memory_bytes(mapping.load_u64(capacity_at, Ordering::Relaxed).min(1 << 32)) > bytes {
            return Err(CharacterError::OutOfRange);
        }
        let sound = Consumer::attach(mapping.clone(), offset as usize);
        sound.map_err(|BadRing| CharacterError::OutOfRange)?;
        let memory = Retained::keep(memory, records).map_err(|_| CharacterError::Device)?;
        Ok(StreamRing { memory, offset, mapping, head: Cell::new(0), tail: Cell::new(0) })
    }

    pub(super) fn own(account: &Account, records: &mut Records) -> core::result::Result<StreamRing, Error> {
        let memory = ring::create(account, OWN_CAPACITY)?;
        let mapping = Arc::new(memory.map_writable()?);
        let memory = Retained::keep(memory, records)?;
        Ok(StreamRing { memory, offset: 0, mapping, head: Cell::new(0), tail: Cell::new(0) })
    }

    /// The ring of the incarnation before, if it makes sense.
    pub(super) fn recover(kept: KeptRing) -> Option<StreamRing> {
        let KeptRing { memory, offset, head, tail } = kept;
        let memory: Retained<Memory> = Retained::recover(memory).ok()?;
        let mapping = Arc::new(memory.map_writable().ok()?);
        let ring = StreamRing { memory, offset, mapping, head: Cell::new(head), tail: Cell::new(tail) };
        (ring.producer().is_ok() && ring.consumer().is_ok()).then_some(ring)
    }

    pub(super) fn kept(&self) -> KeptRing {
        let (head, tail) = (self.head.get(), self.tail.get());
        KeptRing { memory: self.memory.keepsake(), offset: self.offset, head, tail }
    }

    /// Gives it up, at the next commit.
    pub(super) fn release(self, records: &mut Records) {
        self.memory.release(records);
    }

    /// The Memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Where in it the ring starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes for which there is room; none in a ring that makes no sense.
    pub fn room(&self) -> usize {
        self.producer().and_then(|producer| producer.room()).unwrap_or(0)
    }

    /// Bytes that are there; none in a ring that makes no sense.
    pub fn available(&self) -> usize {
        self.consumer().and_then(|consumer| consumer.available()).unwrap_or(0)
    }

    pub(super) fn capacity(&self) -> usize {
        self.available() + self.room()
    }

    pub(super) fn lose(&self, bytes: u64) {
        let lost = self.mapping.word_u64(self.offset as usize + offset_of!(ByteRing, lost));
        lost.fetch_add(bytes, Ordering::Relaxed);
    }

    fn producer(&self) -> core::result::Result<Producer, BadRing> {
        Producer::resume(self.mapping.clone(), self.offset as usize, self.head.get())
    }

    fn consumer(&self) -> core::result::Result<Consumer, BadRing> {
        Consumer::resume(self.mapping.clone(), self.offset as usize, self.tail.get())
    }

    /// Puts bytes in, as the device whose input it is: how many there was room for.
    pub fn put(&self, bytes: &[u8]) -> usize {
        self.producer().and_then(|mut producer| producer.write(bytes)).map_or(0, |moved| moved.bytes)
    }

    /// Takes bytes out, as the device whose output it is: how many there were.
    pub fn take(&self, into: &mut [u8]) -> usize {
        self.consumer().and_then(|mut consumer| consumer.read(into)).map_or(0, |moved| moved.bytes)
    }

    /// Puts bytes in that the other side is not to see before the commit: how many there was room for.
    pub(super) fn stage(&self, bytes: &[u8]) -> usize {
        let Ok(mut producer) = self.producer() else { return 0 };
        let count = producer.stage(bytes).unwrap_or(0);
        self.head.set(producer.position());
        count
    }

    /// Takes at most so many bytes, whose room the other side gets after the commit.
    pub(super) fn stage_taken(&self, most: usize) -> Vec<u8> {
        let Ok(mut consumer) = self.consumer() else { return Vec::new() };
        let mut bytes = vec![0; most.min(self.available())];
        let count = consumer.take(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        self.tail.set(consumer.position());
        bytes
    }

    /// Takes back what was staged last as taken.
    pub(super) fn unstage_taken(&self, bytes: usize) {
        self.tail.set(self.tail.get().saturating_sub(bytes as u64));
    }

    /// Shows the other side what was staged; whether there was something.
    pub(super) fn publish(&self) -> bool {
        let put = self.producer().is_ok_and(|mut producer| producer.publish().bytes > 0);
        let taken = self.consumer().is_ok_and(|mut consumer| consumer.publish().bytes > 0);
        put || taken
    }

    /// Believes what the ring says, from now on.
    pub(super) fn reset(&self) {
        self.head.set(0);
        self.tail.set(0);
    }

    pub(super) fn is_same(&self, other: &StreamRing) -> bool {
        let number = |ring: &StreamRing| sys::handle_inspect(ring.memory.handle()).map(|info| info.object).ok();
        self.offset == other.offset && number(self).is_some() && number(self) == number(other)
    }
}
