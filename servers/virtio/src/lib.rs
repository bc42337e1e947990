//! Virtio devices (Virtual I/O Device Specification 1.2): what their drivers have in common.
//!
//! | part | is |
//! |---|---|
//! | [`Transport`] | how a device is reached: [`PciTransport`], or what a test plays |
//! | [`Device`] | reset, features, queues, readiness |
//! | [`Queue`] | a split virtqueue: chains of buffers on their way to the device and back |
//!
//! A device is not trusted with more than the memory that it was given: what it says is checked, and a device that says
//! what cannot be ends in [`Broken`](QueueError::Broken). A driver then ends itself: its next incarnation resets the device.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod device;
mod pci;
mod queue;
#[cfg(test)]
mod tests;
mod transport;

pub use device::Device;
pub use pci::PciTransport;
pub use queue::{Completion, Queue, QueueError, Segment};
pub use transport::{QueuePlace, Transport};

/// Features that every device can have.
pub mod feature {
    /// Descriptors can lead to tables of descriptors.
    pub const INDIRECT: u64 = 1 << 28;
    /// Each side says at which index it wants to be told.
    pub const EVENT_INDEX: u64 = 1 << 29;
    /// The device follows the specification, not what was before it.
    pub const VERSION_1: u64 = 1 << 32;
}
