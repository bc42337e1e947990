//! The vectors, and messages that signal interrupts.

pub use super::apic;
use core::ops::Range;
use x86_64::PhysAddr;

/// Vectors for devices. Below are the exceptions, and the sixteen that the legacy controllers are set to (`pic`).
pub const DEVICE_VECTORS: Range<u8> = 0x30..0xf0;
/// This CPU's timer.
pub const TIMER_VECTOR: u8 = 0xf0;
/// Another CPU wants this one to look around.
pub const KICK_VECTOR: u8 = 0xf1;
/// An interrupt that vanished while it was delivered: nothing is to be done, not even [`apic::end_of_interrupt`]
/// (Intel SDM vol. 3A §11.9). The same goes for vectors below [`DEVICE_VECTORS`].
pub const SPURIOUS_VECTOR: u8 = 0xff;

/// Where a device writes what to interrupt a CPU with a vector (Intel SDM vol. 3A §11.11): fixed delivery, edge.
pub fn msi(vector: u8, cpu: usize) -> (PhysAddr, u32) {
    (PhysAddr::new(0xfee0_0000 | u64::from(apic::identity(cpu)) << 12), u32::from(vector))
}
