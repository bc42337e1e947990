//! What the boot loader says: the start info of PVH (Xen's `public/arch-x86/hvm/start_info.h`), checked and
//! reduced to what the kernel wants. Nothing in it is believed further than its bounds.

use super::layout::PHYSICAL_END;
use super::ranges::{Full, Ranges};
use abi::boot::COMMAND_LINE_BYTES;
use core::ops::Range;
use x86_64::PhysAddr;

/// Physical memory as it can be read before the final page tables exist.
pub trait BootMemory {
    /// `length` bytes at `address`; `None` where they cannot be read.
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]>;

    /// A little-endian number of up to 8 bytes.
    fn number(&self, address: u64, bytes: usize) -> Option<u64> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.bytes(address, bytes)?);
        Some(u64::from_le_bytes(number))
    }
}

/// The start info, checked.
pub struct StartInfo<'a> {
    /// RAM that nobody uses, the kernel's own image and the archive included.
    pub usable: Ranges,
    /// The command line without its final zero.
    pub command_line: &'a [u8],
    /// The first module, or an empty range.
    pub archive: Range<PhysAddr>,
    /// The RSDP, or 0.
    pub rsdp: u64,
    /// Whether there is RAM at [`TRAMPOLINE`].
    pub low_memory: bool,
}

/// The page where other CPUs start, in real mode: below 640 KiB, and clear of what BIOSes use.
pub const TRAMPOLINE: u64 = 0x8000;

const MAGIC: u64 = 0x336e_c578;
/// `XEN_HVM_MEMMAP_TYPE_RAM`.
const RAM: u64 = 1;
/// Entries of a memory map that are looked at.
const MAP_ENTRIES: u64 = 512;
const TOO_MANY: &str = "the memory map has too many ranges";
/// Memory below is left to the firmware, the boot loader's structures and the start of other CPUs.
const LOWEST: u64 = 0x10_0000;

impl<'a> StartInfo<'a> {
    /// Reads the start info at `address`.
    pub fn parse(memory: &'a impl BootMemory, address: u64) -> Result<StartInfo<'a>, &'static str> {
        let field = |offset: u64, bytes| {
            address.checked_add(offset).and_then(|at| memory.number(at, bytes)).ok_or("the start info cannot be read")
        };
        if field(0, 4)? != MAGIC {
            return Err("not started by a PVH boot loader");
        }
        // Version 0 has no memory map.
        if field(4, 4)? < 1 {
            return Err("the boot loader gives no memory map");
        }
        let modules = field(12, 4)?;
        let map = field(40, 8)?;
        let entries = field(48, 4)?;
        let mut usable = usable(memory, map, entries)?;
        let low_memory = usable.contain(&(PhysAddr::new(TRAMPOLINE)..PhysAddr::new(TRAMPOLINE + 4096)));
        usable.remove(PhysAddr::zero()..PhysAddr::new(LOWEST)).map_err(|Full| TOO_MANY)?;
        if usable.as_slice().is_empty() {
            return Err("the memory map has no usable memory");
        }
        Ok(StartInfo {
            archive: archive(memory, modules, field(16, 8)?, &usable)?,
            command_line: command_line(memory, field(24, 8)?)?,
            rsdp: field(32, 8)?,
            low_memory,
            usable,
        })
    }
}

fn usable(memory: &impl BootMemory, map: u64, entries: u64) -> Result<Ranges, &'static str> {
    if entries > MAP_ENTRIES {
        return Err("the memory map is too long");
    }
    let mut ranges = Ranges::new();
    // RAM first, then everything else out of it: firmware's ranges may overlap.
    for ram in [true, false] {
        for n in 0..entries {
            let field = |offset, bytes| {
                let at = map.checked_add(n * 24 + offset).ok_or("the memory map cannot be read")?;
                memory.number(at, bytes).ok_or("the memory map cannot be read")
            };
            let start = field(0, 8)?;
            let end = start.saturating_add(field(8, 8)?).min(PHYSICAL_END);
            if (field(16, 4)? == RAM) != ram || start >= end {
                continue;
            }
            let range = PhysAddr::new(start)..PhysAddr::new(end);
            if ram { ranges.add(range) } else { ranges.remove(range) }.map_err(|Full| TOO_MANY)?;
        }
    }
    Ok(ranges)
}

/// The first module of the list.
fn archive(
    memory: &impl BootMemory,
    modules: u64,
    list: u64,
    usable: &Ranges,
) -> Result<Range<PhysAddr>, &'static str> {
    if modules == 0 {
        return Ok(PhysAddr::zero()..PhysAddr::zero());
    }
    let field = |offset: u64| list.checked_add(offset).and_then(|at| memory.number(at, 8));
    let (start, bytes) = field(0).zip(field(8)).ok_or("the module list cannot be read")?;
    let end =
        start.checked_add(bytes).filter(|&end| end <= PHYSICAL_END).ok_or("the boot archive lies outside of memory")?;
    let range = PhysAddr::new(start)..PhysAddr::new(end);
    if bytes == 0 || !usable.contain(&range) {
        return Err("the boot archive lies outside of memory");
    }
    Ok(range)
}

fn command_line(memory: &impl BootMemory, address: u64) -> Result<&[u8], &'static str> {
    if address == 0 {
        return Ok(&[]);
    }
    for length in 0..=COMMAND_LINE_BYTES {
        let end = address
            .checked_add(length as u64)
            .and_then(|at| memory.number(at, 1))
            .ok_or("the command line cannot be read")?;
        if end == 0 {
            return memory.bytes(address, length).ok_or("the command line cannot be read");
        }
    }
    Err("the command line is too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    /// Physical memory of a test: these bytes, from address 0.
    impl BootMemory for Vec<u8> {
        fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
            self.get(address as usize..)?.get(..length)
        }
    }

    fn put(memory: &mut [u8], at: usize, values: &[u64]) {
        for (n, value) in values.iter().enumerate() {
            memory[at + n * 8..at + n * 8 + 8].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// A start info at 0x100 with a map at 0x200, a module list at 0x300, a command line at 0x400.
    fn machine() -> Vec<u8> {
        let mut memory = std::vec![0; 0x500];
        put(&mut memory, 0x100, &[MAGIC | 1 << 32, 1 << 32, 0x300, 0x400, 0xf0000, 0x200, 4]);
        put(&mut memory, 0x200, &[0, 0x9fc00, RAM]);
        put(&mut memory, 0x218, &[0x10_0000, 0x1f0_0000, RAM]);
        put(&mut memory, 0x230, &[0x1ff_0000, 0x1_0000, 2]);
        put(&mut memory, 0x248, &[1 << 32, 1 << 32, RAM]);
        put(&mut memory, 0x300, &[0x180_0000, 0x1234]);
        memory[0x400..0x40a].copy_from_slice(b"log=serial");
        memory
    }

    #[test]
    fn a_machine_is_understood() {
        let memory = machine();
        let info = StartInfo::parse(&memory, 0x100).unwrap();
        assert_eq!(info.command_line, b"log=serial");
        assert_eq!(info.archive, PhysAddr::new(0x180_0000)..PhysAddr::new(0x180_1234));
        assert_eq!((info.rsdp, info.low_memory), (0xf0000, true));
        let ranges = [(0x10_0000, 0x1ff_0000), (1 << 32, 2 << 32)];
        assert_eq!(info.usable.as_slice(), ranges.map(|(start, end)| PhysAddr::new(start)..PhysAddr::new(end)));
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        let broken = |at: usize, value: u64| {
            let mut memory = machine();
            put(&mut memory, at, &[value]);
            StartInfo::parse(&memory, 0x100).err().unwrap()
        };
        assert_eq!(broken(0x100, 7), "not started by a PVH boot loader");
        assert_eq!(broken(0x100, MAGIC), "the boot loader gives no memory map");
        assert_eq!(broken(0x130, 0), "the memory map has no usable memory");
        assert_eq!(broken(0x130, 513), "the memory map is too long");
        assert_eq!(broken(0x128, u64::MAX - 8), "the memory map cannot be read");
        assert_eq!(broken(0x300, 0x1ff_f000), "the boot archive lies outside of memory");
        assert_eq!(broken(0x308, u64::MAX), "the boot archive lies outside of memory");
        assert_eq!(broken(0x118, 0x500), "the command line cannot be read");
    }

    #[test]
    fn no_truncation_or_mutation_panics() {
        let whole = machine();
        for length in 0..whole.len() {
            let _ = StartInfo::parse(&whole[..length].to_vec(), 0x100);
        }
        for at in 0x100..0x418 {
            for bits in [0x01, 0x80, 0xff] {
                let mut memory = whole.clone();
                memory[at] ^= bits;
                let _ = StartInfo::parse(&memory, 0x100);
                let _ = StartInfo::parse(&memory, u64::MAX - u64::from(bits));
            }
        }
    }
}
