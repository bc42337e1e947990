//! Memory that a device reaches.

use crate::dma::{Attachment, DmaSegment};
use crate::{Account, DmaDomain, Error, Memory, WritableMapping};
use core::ops::Deref;

/// Zeroed memory that both the driver and its device reach. The device may write it at any time, so it is read and written as
/// any [`WritableMapping`]: by copies and atomics. It stays pinned until the domain's owner knows that the device cannot reach it any
/// more, also when the driver drops it or dies.
#[derive(Debug)]
pub struct DmaBuffer {
    memory: Memory,
    mapping: WritableMapping,
    device_address: u64,
    attachment: u64,
}

impl DmaBuffer {
    /// At least `bytes`, contiguous for the device. Errors: `NoContiguousMemory`, `AccountExhausted`; `Unsupported` (the domain sees it in pieces).
    pub fn new(domain: &DmaDomain, account: &Account, bytes: u64) -> Result<DmaBuffer, Error> {
        let memory = Memory::create_dma(account, bytes)?;
        let mapping = memory.map_writable()?;
        let attachment = domain.attach(&memory)?;
        let [segment] = attachment.segments[..] else { return Err(Error::Unsupported) };
        Ok(DmaBuffer { memory, mapping, device_address: segment.address, attachment: attachment.number })
    }

    /// A buffer that no kernel attached anywhere: a test's device reads and writes the Memory.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn unattached(account: &Account, bytes: u64) -> Result<DmaBuffer, Error> {
        let memory = Memory::create_dma(account, bytes)?;
        let mapping = memory.map_writable()?;
        Ok(DmaBuffer { device_address: mapping.address() as u64, attachment: 0, memory, mapping })
    }

    /// Where the device sees it.
    pub fn device_address(&self) -> u64 {
        self.device_address
    }

    /// Number of the attachment, by which it is released.
    pub fn attachment(&self) -> u64 {
        self.attachment
    }

    /// The Memory, to share it with a server that fills it.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
}

impl Deref for DmaBuffer {
    type Target = WritableMapping;

    fn deref(&self) -> &WritableMapping {
        &self.mapping
    }
}

/// Memory of somebody else that a device reaches: what a client lent to a driver. It stays attached when this is dropped, until it is released by its
/// number: see [`super::pci::Function::release`].
#[derive(Debug)]
pub struct AttachedMemory {
    attachment: Attachment,
    _memory: Memory,
}

impl AttachedMemory {
    /// Attaches Memory. Errors: those of [`DmaDomain::attach`].
    pub fn new(domain: &DmaDomain, memory: Memory) -> Result<AttachedMemory, Error> {
        Ok(AttachedMemory { attachment: domain.attach(&memory)?, _memory: memory })
    }

    /// Number of the attachment.
    pub fn attachment(&self) -> u64 {
        self.attachment.number
    }

    /// Where the device sees `bytes` of it from `offset` on: pieces, in order.
    pub fn pieces(&self, offset: u64, bytes: u32) -> impl Iterator<Item = DmaSegment> {
        pieces(&self.attachment.segments, offset, bytes)
    }
}

fn pieces(segments: &[DmaSegment], offset: u64, bytes: u32) -> impl Iterator<Item = DmaSegment> {
    let end = offset.saturating_add(bytes.into());
    let starts = segments.iter().scan(0, |next, segment| {
        let start = *next;
        *next += segment.bytes;
        Some((start, segment))
    });
    starts.filter_map(move |(start, segment)| {
        let (from, to) = (offset.max(start), end.min(start + segment.bytes));
        (from < to).then(|| DmaSegment { address: segment.address + (from - start), bytes: to - from })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_where_the_memory_is() {
        let segment = |address, bytes| DmaSegment { address, bytes };
        let memory = [segment(0x1000, 0x1000), segment(0x8000, 0x2000)];
        let found = |offset, bytes| pieces(&memory, offset, bytes).collect::<std::vec::Vec<_>>();
        assert_eq!(found(0, 0x3000), memory);
        assert_eq!(found(0xe00, 0x400), [segment(0x1e00, 0x200), segment(0x8000, 0x200)]);
        assert_eq!(found(0x1000, 0x200), [segment(0x8000, 0x200)]);
        assert_eq!(found(0x2fff, 9), [segment(0x9fff, 1)]);
        assert_eq!(found(u64::MAX, 9), []);
    }
}
