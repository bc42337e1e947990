//! How a disk is connected.

use images::DiskBus;

/// To what, what Skink calls it if it is the first one, and who drives it.
#[derive(Debug, Clone, Copy)]
pub struct Bus {
    /// What it is connected to.
    pub bus: DiskBus,
    /// Its name in `/dev`.
    pub disk: &'static str,
    /// The service.
    pub driver: &'static str,
}

/// A virtio disk.
pub const VIRTIO: Bus = Bus { bus: DiskBus::Virtio, disk: "vda", driver: "virtio-blk-0" };

/// An NVMe disk.
pub const NVME: Bus = Bus { bus: DiskBus::Nvme, disk: "nvme0n1", driver: "nvme-0" };
