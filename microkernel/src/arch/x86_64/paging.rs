//! Entries of user page tables: 4 levels, pages of 4 KiB (Intel SDM vol. 3A §4.5). The tables themselves are
//! [`crate::radix`] trees over page numbers.

use crate::arch;
use crate::radix::{PRESENT, Radix};
use abi::memory::{Caching, Protection};
use x86_64::PhysAddr;

/// Levels of tables.
pub const LEVELS: u32 = 4;

const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLE: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const NO_EXECUTE: u64 = 1 << 63;

/// Flags of entries that point to tables: the pages' own entries decide.
pub const TABLE_FLAGS: u64 = WRITE | USER | ACCESSED;

/// The flags of a page's entry for a protection word. The page attribute table has write-combining where `PWT` stands
/// alone; see `features`. Accessed and dirty are set at once: nobody asks for them, and the processor need not.
pub fn flags(word: u32, caching: Caching) -> u64 {
    let protection = Protection::from_bits_truncate(word);
    if protection.is_empty() {
        return 0;
    }
    let mut flags = PRESENT | USER | ACCESSED;
    if protection.contains(Protection::WRITE) {
        flags |= WRITE | DIRTY;
    }
    if !protection.contains(Protection::EXECUTE) {
        flags |= NO_EXECUTE;
    }
    flags
        | match caching {
            Caching::WriteBack => 0,
            Caching::WriteCombining => WRITE_THROUGH,
            Caching::Uncached => WRITE_THROUGH | CACHE_DISABLE,
        }
}

/// Whether replacing an entry takes a right away, so that TLBs must forget it.
pub fn revokes(old: u64, new: u64) -> bool {
    old & !new & (PRESENT | WRITE) | !old & new & NO_EXECUTE != 0
}

/// Makes the top-level table of an address space in a frame: an empty lower half, and the kernel's upper half.
///
/// # Safety
/// `frame` is the caller's, for as long as the tree is used. `kernel_table` is a top-level table whose upper half never
/// changes any more, or 0 for none (in host tests).
pub unsafe fn make_root(frame: PhysAddr, kernel_table: PhysAddr) -> Radix {
    const HALF: usize = 256;
    // SAFETY: the frame is ours; the kernel's table is only read.
    unsafe {
        crate::frames::zero(frame);
        if !kernel_table.is_null() {
            let upper = arch::direct_map(kernel_table).cast::<u64>().add(HALF);
            arch::direct_map(frame).cast::<u64>().add(HALF).copy_from_nonoverlapping(upper, HALF);
        }
        Radix::new(frame, LEVELS)
    }
}
