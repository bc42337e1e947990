//! Memory that a device reaches.

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
