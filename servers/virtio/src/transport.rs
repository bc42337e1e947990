//! How a device is reached.

use libsys::driver::{DmaBuffer, Result};

/// Where a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// Entries.
    pub size: u16,
    /// Device address of the descriptors.
    pub descriptors: u64,
    /// Device address of the ring that the driver writes.
    pub available: u64,
    /// Device address of the ring that the device writes.
    pub used: u64,
}

/// The registers of a virtio device (§4).
pub trait Transport {
    /// Reads the status.
    fn status(&mut self) -> u8;
    /// Writes the status; 0 asks for a reset, which is complete when the status reads as 0.
    fn set_status(&mut self, status: u8);
    /// Says that the reset is complete: memory that earlier drivers attached is free.
    fn reset_complete(&mut self) -> Result<()>;
    /// What the device can do.
    fn features(&mut self) -> u64;
    /// What the driver wants of that.
    fn set_features(&mut self, features: u64);
    /// The most entries of a queue; 0: there is no such queue.
    fn most_entries(&mut self, queue: u16) -> u16;
    /// Memory for a queue, zeroed, contiguous for the device.
    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer>;
    /// Sets a queue up, lets it interrupt with `bits` of the service's channel, and lets the device use it.
    fn enable_queue(&mut self, queue: u16, place: QueuePlace, bits: u64) -> Result<()>;
    /// Tells the device that there is something in a queue.
    fn notify(&mut self, queue: u16);
    /// Acknowledges interrupts.
    fn acknowledge(&mut self);
    /// Bytes of the device's own configuration.
    fn config_bytes(&self) -> usize;
    /// Reads a byte of that, below [`Transport::config_bytes`].
    fn config(&mut self, offset: usize) -> u8;
    /// A number that changes with the configuration.
    fn config_generation(&mut self) -> u8;
}
