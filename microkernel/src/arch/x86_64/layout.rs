//! The upper half of every address space: where the kernel finds memory, devices, its stacks and itself.
//!
//! | from | holds |
//! |---|---|
//! | [`PHYSICAL_BASE`] | all RAM, read-write, never executable; the kernel's text and constants read-only |
//! | [`DEVICES_BASE`] | one page for each interrupt controller and power register, uncached |
//! | [`KERNEL_BASE`] | the kernel's image; physical address plus this base is its linked address |
//! | [`STACKS_BASE`] | a slot of stacks for each CPU, with guard pages: see `stacks` |
//!
//! The page tables of this half are made once (`kernel_space`), and their top-level entries are copied into every address space.

use x86_64::{PhysAddr, VirtAddr};

/// Where physical address 0 is mapped.
pub const PHYSICAL_BASE: u64 = 0xffff_8000_0000_0000;
/// Physical addresses that fit between [`PHYSICAL_BASE`] and [`DEVICES_BASE`]; memory above is ignored.
pub const PHYSICAL_END: u64 = 1 << 46;
/// Where registers of devices that the kernel itself drives are mapped.
pub const DEVICES_BASE: u64 = 0xffff_ff00_0000_0000;
/// Linked address of the kernel's image minus its physical address.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where the CPUs' stacks are mapped: in the same GiB as the image, so that they share page tables.
pub const STACKS_BASE: u64 = 0xffff_ffff_a000_0000;

/// Most CPUs that the kernel uses; the others stay asleep.
pub const MAX_CPUS: usize = 64;
/// Most I/O APICs.
pub const MAX_IO_APICS: usize = 8;

/// Pages of the device window.
pub const LOCAL_APIC_PAGE: u64 = 0;
/// The first I/O APIC's page.
pub const IO_APIC_PAGE: u64 = 1;
/// The page of the power-off register, where it is in memory.
pub const SLEEP_PAGE: u64 = IO_APIC_PAGE + MAX_IO_APICS as u64;
/// The page of the reset register, where it is in memory.
pub const RESET_PAGE: u64 = SLEEP_PAGE + 1;

/// Whether physical memory is mapped at [`PHYSICAL_BASE`]. On the host, «physical» addresses are addresses.
const OFFSET: u64 = if cfg!(target_os = "none") { PHYSICAL_BASE } else { 0 };

/// The kernel's pointer to a byte of RAM.
#[inline(always)]
pub fn direct_map(address: PhysAddr) -> *mut u8 {
    (address.as_u64() + OFFSET) as *mut u8
}

/// The physical address behind a pointer that [`direct_map`] made.
#[inline(always)]
pub fn physical(pointer: *const u8) -> PhysAddr {
    PhysAddr::new_truncate(pointer as u64 - OFFSET)
}

/// The physical address of something in the kernel's image.
pub fn image_physical<T>(thing: *const T) -> PhysAddr {
    PhysAddr::new_truncate(thing as u64 - if cfg!(target_os = "none") { KERNEL_BASE } else { 0 })
}

/// Where the device whose registers start at `address` is mapped, given its page of the device window.
pub fn device(page: u64, address: u64) -> VirtAddr {
    VirtAddr::new(DEVICES_BASE + page * 4096 + address % 4096)
}
