//! One ring of a stream device, as the device sees it: it puts input into one, and takes output out of another.

use crate::protocol::character::CharacterError;
use crate::ring::{self, BadRing, Consumer, Producer};
use crate::wire::Shared;
use crate::{Account, Error, Memory, Object, WritableMapping, sys};
use abi::ring::ByteRing;
use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

/// Bytes of the driver's own rings: for the time before somebody attaches larger ones.
const OWN_CAPACITY: u64 = 2048;

/// One ring of a device: the Memory that it is in, for [`Ports::drain`](crate::Ports::drain) and
/// [`Ports::fill`](crate::Ports::fill), and how full it is.
#[derive(Debug)]
pub struct StreamRing {
    memory: Memory,
    offset: u64,
    mapping: Arc<WritableMapping>,
}

impl StreamRing {
    /// The ring in a range of Memory. Errors: `OutOfRange` (it is none), `Device` (it cannot be mapped).
    pub(super) fn shared(shared: Shared) -> core::result::Result<StreamRing, CharacterError> {
        let Shared { memory, offset, bytes } = shared;
        let mapping = Arc::new(memory.map_writable().map_err(|_| CharacterError::Device)?);
        let capacity_at = offset as usize + offset_of!(ByteRing, capacity);
        let is_inside = offset.is_multiple_of(8) && bytes >= abi::ring::BYTE_RING_HEADER;
        if !is_inside || ring::memory_bytes(mapping.load_u64(capacity_at, Ordering::Relaxed).min(1 << 32)) > bytes {
            return Err(CharacterError::OutOfRange);
        }
        let ring = StreamRing { memory, offset, mapping };
        ring.consumer().map_err(|BadRing| CharacterError::OutOfRange)?;
        Ok(ring)
    }

    pub(super) fn own(account: &Account) -> core::result::Result<StreamRing, Error> {
        let memory = ring::create(account, OWN_CAPACITY)?;
        let mapping = Arc::new(memory.map_writable()?);
        Ok(StreamRing { memory, offset: 0, mapping })
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

    /// This side of the ring as it stands: the kernel moves the indices too, so nobody keeps them.
    fn producer(&self) -> core::result::Result<Producer, BadRing> {
        Producer::attach(self.mapping.clone(), self.offset as usize)
    }

    fn consumer(&self) -> core::result::Result<Consumer, BadRing> {
        Consumer::attach(self.mapping.clone(), self.offset as usize)
    }

    /// Puts bytes in, as the device whose input it is: how many there was room for.
    pub fn put(&self, bytes: &[u8]) -> usize {
        self.producer().and_then(|mut producer| producer.write(bytes)).map_or(0, |moved| moved.bytes)
    }

    /// Takes bytes out, as the device whose output it is: how many there were.
    pub fn take(&self, into: &mut [u8]) -> usize {
        self.consumer().and_then(|mut consumer| consumer.read(into)).map_or(0, |moved| moved.bytes)
    }

    pub(super) fn is_same(&self, other: &StreamRing) -> bool {
        let number = |ring: &StreamRing| sys::handle_inspect(ring.memory.handle()).map(|info| info.object).ok();
        self.offset == other.offset && number(self).is_some() && number(self) == number(other)
    }
}

/// Moves what fits.
pub(super) fn copy(from: &StreamRing, to: &StreamRing) {
    let mut bytes = [0; 256];
    loop {
        let room = to.room().min(bytes.len());
        match from.take(&mut bytes[..room]) {
            0 => return,
            count => to.put(&bytes[..count]),
        };
    }
}
