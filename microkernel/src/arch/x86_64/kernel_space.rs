//! The kernel's half of every address space, made once at boot: see `layout` for what is where.
//!
//! Nothing is both writable and executable, all of it is global (it is the same in every address space), and
//! the kernel's text and constants are read-only in the direct map too.

use super::layout::{self, DEVICES_BASE, KERNEL_BASE, MAX_CPUS, PHYSICAL_BASE, STACKS_BASE, direct_map};
use super::ranges::Ranges;
use super::{features, processor, stacks};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use x86_64::PhysAddr;
use x86_64::structures::paging::{PageTable, PageTableFlags as Flags};

/// The boot tables, and so what can be reached before these are loaded, end here. On the host, everything can be reached.
pub const BOOT_END: u64 = if cfg!(target_os = "none") { 1 << 32 } else { 1 << 47 };

const READ: Flags = Flags::PRESENT.union(Flags::GLOBAL).union(Flags::NO_EXECUTE);
const WRITE: Flags = READ.union(Flags::WRITABLE);
const EXECUTE: Flags = Flags::PRESENT.union(Flags::GLOBAL);
/// PAT entry 3, which stays «uncached» (Intel SDM vol. 3A §12.12.4; `features` changes only entry 1).
const UNCACHED: Flags = WRITE.union(Flags::NO_CACHE).union(Flags::WRITE_THROUGH);

/// Physical address of the top level. The start of other CPUs reads it.
pub static TABLE: AtomicU64 = AtomicU64::new(0);

/// The top level of the kernel's own address space, whose lower half is empty.
pub fn table() -> PhysAddr {
    PhysAddr::new_truncate(TABLE.load(Relaxed))
}

/// The sections of the kernel's image, by linked address: `kernel.ld`.
#[derive(Clone)]
pub struct Image {
    /// Instructions.
    pub text: Range<u64>,
    /// Constants.
    pub constants: Range<u64>,
    /// Everything that is written, to the image's end.
    pub data: Range<u64>,
}

/// There is too little memory for the tables and stacks.
#[derive(Debug)]
pub struct OutOfMemory;

/// Makes the tables; what they and the stacks take is removed from `usable`, which must still hold the kernel's image, if
/// that is RAM, as it must be in `ram`. `devices` are pages of the device window and physical addresses.
pub fn build(
    usable: &mut Ranges,
    ram: &Ranges,
    image: Image,
    cpus: usize,
    devices: impl Iterator<Item = (u64, u64)>,
) -> Result<(), OutOfMemory> {
    let root = zeroed(usable)?;
    let mut tables = Tables { root, frames: usable, gigabytes: features::GIGABYTE_PAGES.is_there() };
    let fixed = image.text.start - KERNEL_BASE..image.data.start - KERNEL_BASE;
    for range in ram.as_slice() {
        let (start, end) = (range.start.as_u64(), range.end.as_u64());
        let parts = [
            (start, fixed.start.clamp(start, end), WRITE),
            (fixed.start.max(start), fixed.end.min(end), READ),
            (fixed.end.clamp(start, end), end, WRITE),
        ];
        for (from, to, flags) in parts {
            tables.map(PHYSICAL_BASE + from, from, to.saturating_sub(from), flags)?;
        }
    }
    for (part, flags) in [(image.text, EXECUTE), (image.constants, READ), (image.data, WRITE)] {
        tables.map(part.start, part.start - KERNEL_BASE, part.end - part.start, flags)?;
    }
    for cpu in 0..cpus.min(MAX_CPUS) as u64 {
        for page in stacks::PAGES.into_iter().flatten() {
            let frame = zeroed(tables.frames)?.as_u64();
            tables.map(STACKS_BASE + cpu * stacks::SLOT_BYTES + page * 4096, frame, 4096, WRITE)?;
        }
    }
    for (page, address) in devices {
        tables.map(DEVICES_BASE + page * 4096, address & !0xfff, 4096, UNCACHED)?;
    }
    TABLE.store(root.as_u64(), Relaxed);
    Ok(())
}

/// Loads the kernel's own address space, so that this CPU refers to no other.
#[inline(always)]
pub fn load() {
    // SAFETY: it maps the kernel as every address space does.
    unsafe { processor::set_page_table(table()) };
}

struct Tables<'a> {
    root: PhysAddr,
    frames: &'a mut Ranges,
    gigabytes: bool,
}

impl Tables<'_> {
    /// Maps a range with the largest pages that fit; all of it is a multiple of 4 KiB.
    fn map(&mut self, mut address: u64, mut physical: u64, mut bytes: u64, flags: Flags) -> Result<(), OutOfMemory> {
        while bytes > 0 {
            let fits = |size: u64| (address | physical).is_multiple_of(size) && bytes >= size;
            let (level, size) = match () {
                () if self.gigabytes && fits(1 << 30) => (3, 1 << 30),
                () if fits(1 << 21) => (2, 1 << 21),
                () => (1, 1 << 12),
            };
            let large = if level > 1 { Flags::HUGE_PAGE } else { Flags::empty() };
            let table = self.table(address, level)?;
            // SAFETY: the table was made below and nobody else has a reference to it.
            let table = unsafe { &mut *direct_map(table).cast::<PageTable>() };
            table[index(address, level)].set_addr(PhysAddr::new(physical), flags | large);
            (address, physical, bytes) = (address.wrapping_add(size), physical + size, bytes - size);
        }
        Ok(())
    }

    /// The table of a level (1 is the last) in which `address` has its entry.
    fn table(&mut self, address: u64, level: u32) -> Result<PhysAddr, OutOfMemory> {
        let mut table = self.root;
        for above in (level + 1..=4).rev() {
            // SAFETY: as in `map`.
            let entries = unsafe { &mut *direct_map(table).cast::<PageTable>() };
            let entry = &mut entries[index(address, above)];
            if entry.is_unused() {
                entry.set_addr(zeroed(self.frames)?, Flags::PRESENT | Flags::WRITABLE);
            }
            table = entry.addr();
        }
        Ok(table)
    }
}

fn index(address: u64, level: u32) -> usize {
    (address >> (3 + 9 * level) & 0x1ff) as usize
}

/// A zeroed frame out of `frames`, from below [`BOOT_END`] as it has to be written now.
fn zeroed(frames: &mut Ranges) -> Result<PhysAddr, OutOfMemory> {
    let frame = frames.take(4096, BOOT_END).ok_or(OutOfMemory)?;
    // SAFETY: the boot tables map it, and as it was in the set of usable memory nothing else is in it.
    unsafe { direct_map(frame).write_bytes(0, 4096) };
    Ok(frame)
}

/// The physical address of the kernel's image.
pub fn image_range(image: &Image) -> Range<PhysAddr> {
    PhysAddr::new(image.text.start - KERNEL_BASE)..PhysAddr::new(image.data.end - KERNEL_BASE)
}

const _: () = assert!(layout::PHYSICAL_END <= DEVICES_BASE - PHYSICAL_BASE);

#[cfg(all(test, not(target_os = "none")))]
mod tests {
    use super::*;

    /// Where the tables lead, and with which flags (of the last level).
    fn translate(address: u64) -> Option<(u64, Flags)> {
        let mut frame = table();
        for level in (1..=4).rev() {
            // SAFETY: on the host, the tables are where their addresses say.
            let table = unsafe { &*direct_map(frame).cast::<PageTable>() };
            let entry = &table[index(address, level)];
            if entry.is_unused() {
                return None;
            }
            let last = level == 1 || entry.flags().contains(Flags::HUGE_PAGE);
            if last {
                let size = 1u64 << (3 + 9 * level);
                return Some((entry.addr().as_u64() + address % size, entry.flags()));
            }
            frame = entry.addr();
        }
        None
    }

    #[test]
    fn everything_is_where_the_layout_says_and_never_writable_and_executable() {
        let megabyte = 1u64 << 20;
        let pool = Vec::leak(vec![0u8; 2 << 20]).as_ptr() as u64;
        let range = |start: u64, end: u64| PhysAddr::new(start)..PhysAddr::new(end);
        let mut usable = Ranges::new();
        usable.add(range(pool, pool + 2 * megabyte)).unwrap();
        let mut ram = Ranges::new();
        ram.add(range(megabyte, 5 << 30)).unwrap();
        let text = KERNEL_BASE + megabyte;
        let image = Image {
            text: text..text + 0x3000,
            constants: text + 0x3000..text + 0x4000,
            data: text + 0x4000..text + 0x9000,
        };
        build(&mut usable, &ram, image, 2, [(0, 0xfee0_0000), (1, 0xfec0_0400)].into_iter()).unwrap();
        let at = |address| {
            translate(address)
                .map(|(to, flags)| (to, flags.contains(Flags::WRITABLE), !flags.contains(Flags::NO_EXECUTE)))
        };
        for page in (megabyte..5 << 30).step_by(0x1000 * 501) {
            let fixed = (megabyte..megabyte + 0x4000).contains(&page);
            assert_eq!(at(PHYSICAL_BASE + page), Some((page, !fixed, false)), "{page:#x}");
        }
        for (offset, writable, executable) in [(0x2fff, false, true), (0x3000, false, false), (0x8fff, true, false)] {
            assert_eq!(at(text + offset), Some((megabyte + offset, writable, executable)));
        }
        assert_eq!(
            (at(PHYSICAL_BASE + megabyte - 1), at(PHYSICAL_BASE + (5 << 30)), at(text + 0x9000), at(0)),
            (None, None, None, None)
        );
        assert_eq!(at(DEVICES_BASE + 0x1400), Some((0xfec0_0400, true, false)));
        assert!(at(stacks::top(1) - 1).is_some() && at(stacks::top(1)).is_none() && at(stacks::top(2) - 1).is_none());
        assert_eq!(usable.as_slice().len(), 1);
    }
}
