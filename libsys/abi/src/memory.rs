//! Memory objects and mappings.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Kinds of Memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MemoryKind {
    /// Zeroed pages, committed when made, placed when first touched.
    Anonymous = 0,
    /// Zeroed, pinned, physically contiguous: for devices.
    Dma = 1,
    /// A physical range: registers or memory of a device.
    Device = 2,
}

impl MemoryKind {
    /// The kind with this number.
    pub const fn from_number(number: u64) -> Option<MemoryKind> {
        match number {
            0 => Some(MemoryKind::Anonymous),
            1 => Some(MemoryKind::Dma),
            2 => Some(MemoryKind::Device),
            _ => None,
        }
    }
}

bitflags! {
    /// How a mapping may be used: bits 0 to 2 of the protection word. Bits 8 to 11 of the word
    /// are the protection key (0 where the processor has none).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Protection: u32 {
        /// Reads. Every mapping can be read on x86; a mapping without it is a reservation that faults.
        const READ = 1 << 0;
        /// Writes; never together with `EXECUTE`, and not of sealed Memory.
        const WRITE = 1 << 1;
        /// Instruction fetches; sealed Memory only.
        const EXECUTE = 1 << 2;
    }
}

/// Shift of the protection key in the protection word.
pub const KEY_SHIFT: u32 = 8;

/// Lowest address that can be mapped: a null pointer with an offset always faults.
pub const LOWEST_ADDRESS: u64 = 0x1_0000;

/// End of the addresses that can be mapped.
pub const END_ADDRESS: u64 = 0x7fff_ffff_f000;

/// Most mappings that an address space can have.
pub const MAPPINGS: usize = 512;

/// Largest Memory object, in bytes.
pub const LARGEST: u64 = 1 << 38;

/// How a mapping of device Memory is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Caching {
    /// Every access reaches the device, in order.
    Uncached = 0,
    /// Writes are gathered: frame buffers.
    WriteCombining = 1,
    /// As ordinary memory: tables that firmware left.
    WriteBack = 2,
}

impl Caching {
    /// The kind of caching with this number.
    pub const fn from_number(number: u64) -> Option<Caching> {
        match number {
            0 => Some(Caching::Uncached),
            1 => Some(Caching::WriteCombining),
            2 => Some(Caching::WriteBack),
            _ => None,
        }
    }
}

/// Memory attached to a DmaDomain, as `DmaList` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct AttachmentRecord {
    /// Its number in the domain.
    pub attachment: u64,
    /// The process that attached it; 0: that incarnation is dead.
    pub process: u64,
}
