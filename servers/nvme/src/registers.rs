//! The controller's registers (§3.1).

use libsys::driver::Register;
use libsys::time::Duration;

/// Capabilities, low half; the high half is behind it (§3.1.3.1).
pub const CAPABILITIES: Register<u32> = Register::at(0x00);
/// Sets bits of the mask of interrupts, for those that are no MSI-X (§3.1.3.3).
pub const INTERRUPT_MASK_SET: Register<u32> = Register::at(0x0c);
/// Configuration (§3.1.3.5).
pub const CONFIGURATION: Register<u32> = Register::at(0x14);
/// Status (§3.1.3.6).
pub const STATUS: Register<u32> = Register::at(0x1c);
/// Sizes of the admin queues (§3.1.3.8).
pub const ADMIN_ENTRIES: Register<u32> = Register::at(0x24);
/// Where the admin submission queue is, low half (§3.1.3.9).
pub const ADMIN_SUBMISSIONS: Register<u32> = Register::at(0x28);
/// Where the admin completion queue is, low half (§3.1.3.10).
pub const ADMIN_COMPLETIONS: Register<u32> = Register::at(0x30);
/// Where the doorbells start (PCIe transport §3.1.2).
pub const DOORBELLS: usize = 0x1000;

/// Bits of [`CONFIGURATION`].
pub mod configuration {
    /// The controller works.
    pub const ENABLE: u32 = 1 << 0;
    /// Submissions of 2⁶ bytes, completions of 2⁴; pages of 4 KiB, the NVM command set, and round robin are zeros.
    pub const ENTRY_BYTES: u32 = 6 << 16 | 4 << 20;
}

/// Bits of [`STATUS`].
pub mod status {
    /// It takes commands; 0: the reset is complete.
    pub const READY: u32 = 1 << 0;
    /// It has failed, and takes commands again after a reset.
    pub const FATAL: u32 = 1 << 1;
    /// What is read where no device answers.
    pub const GONE: u32 = u32::MAX;
}

/// What the controller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Most entries of a queue.
    pub fn most_entries(self) -> u32 {
        (self.0 as u32 & 0xffff) + 1
    }

    /// How long it may take until it is ready, or not any more.
    pub fn timeout(self) -> Duration {
        Duration::from_millis(500) * (self.0 >> 24 & 0xff).max(1) as u32
    }

    /// Bytes between two doorbells.
    pub fn stride(self) -> usize {
        4 << (self.0 >> 32 & 0xf)
    }

    /// Whether it has the NVM command set, which reads and writes blocks.
    pub fn has_blocks(self) -> bool {
        self.0 >> 37 & 1 != 0
    }

    /// Bytes of the smallest page that it can be told of.
    pub fn least_page(self) -> u64 {
        1 << (12 + (self.0 >> 48 & 0xf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_decoded() {
        // As QEMU has them.
        let qemu = Capabilities(0x0040_0020_0f01_07ff);
        assert_eq!((qemu.most_entries(), qemu.timeout(), qemu.stride()), (2048, Duration::from_millis(7500), 4));
        assert!(qemu.has_blocks() && qemu.least_page() == 4096);
        let odd = Capabilities(1 << 48 | 3 << 32 | 0xffff);
        assert_eq!((odd.most_entries(), odd.stride(), odd.least_page()), (65536, 32, 8192));
        assert!(!odd.has_blocks() && odd.timeout() == Duration::from_millis(500));
    }
}
