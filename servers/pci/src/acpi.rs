//! The firmware's tables (ACPI Specification §5.2): where the configuration space is in memory, as the table MCFG says (PCI Firmware
//! Specification §4.1.2).

use crate::config::EcamRange;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use libsys::abi::PAGE_BYTES;
use libsys::memory::Caching;
use libsys::{Account, Memory, Resource};

/// Longest table that is read.
const LONGEST: u32 = 1 << 20;

/// Most tables that are listed.
const MOST_TABLES: usize = 256;

/// Bytes of the header that all tables start with.
const HEADER: usize = 36;

/// Physical memory, to be read.
pub trait Physical {
    /// Reads bytes. `None`: they cannot be reached.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Option<()>;
}

/// What a table is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// It is not where it should be.
    Unreachable,
    /// It does not start with its signature.
    Signature,
    /// Its bytes do not add up to 0.
    Checksum,
    /// It is too short or too long.
    Length,
    /// There is no such table.
    Missing,
}

/// The parts of ECAM that the tables tell of.
pub fn ecam_ranges(memory: &mut impl Physical, rsdp: u64) -> Result<Vec<EcamRange>, TableError> {
    let (root, entry_bytes) = root(memory, rsdp)?;
    let list = table(memory, root, if entry_bytes == 8 { b"XSDT" } else { b"RSDT" })?;
    for entry in list[HEADER..].chunks_exact(entry_bytes).take(MOST_TABLES) {
        let address = entry.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match table(memory, address, b"MCFG") {
            Err(TableError::Signature | TableError::Unreachable) => {}
            found => return found.map(|mcfg| ranges(&mcfg)),
        }
    }
    Err(TableError::Missing)
}

/// The table that lists the others, and how many bytes its entries have.
fn root(memory: &mut impl Physical, rsdp: u64) -> Result<(u64, usize), TableError> {
    let mut bytes = [0; 36];
    memory.read(rsdp, &mut bytes[..20]).ok_or(TableError::Unreachable)?;
    if &bytes[..8] != b"RSD PTR " {
        return Err(TableError::Signature);
    }
    check(&bytes[..20])?;
    let revision = bytes[15];
    if revision >= 2 && memory.read(rsdp, &mut bytes).is_some() && check(&bytes).is_ok() {
        let address = u64::from_le_bytes(core::array::from_fn(|n| bytes[24 + n]));
        if address != 0 {
            return Ok((address, 8));
        }
    }
    Ok((word(&bytes, 16).into(), 4))
}

/// A table, whole and checked.
fn table(memory: &mut impl Physical, address: u64, signature: &[u8; 4]) -> Result<Vec<u8>, TableError> {
    let mut header = [0; HEADER];
    memory.read(address, &mut header).ok_or(TableError::Unreachable)?;
    if &header[..4] != signature {
        return Err(TableError::Signature);
    }
    let length = word(&header, 4);
    if !(HEADER as u32..=LONGEST).contains(&length) {
        return Err(TableError::Length);
    }
    let mut bytes = vec![0; length as usize];
    memory.read(address, &mut bytes).ok_or(TableError::Unreachable)?;
    check(&bytes)?;
    Ok(bytes)
}

/// The entries of the MCFG that make sense.
fn ranges(mcfg: &[u8]) -> Vec<EcamRange> {
    let entries = mcfg.get(HEADER + 8..).unwrap_or_default().chunks_exact(16);
    let ranges = entries.map(|entry| EcamRange {
        base: u64::from(word(entry, 0)) | u64::from(word(entry, 4)) << 32,
        segment: u16::from_le_bytes([entry[8], entry[9]]),
        first: entry[10],
        last: entry[11],
    });
    let is_sound = |range: &EcamRange| {
        range.base.is_multiple_of(1 << 20) && (1..1 << 51).contains(&range.base) && range.first <= range.last
    };
    ranges.filter(is_sound).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|n| bytes[at + n]))
}

fn check(bytes: &[u8]) -> Result<(), TableError> {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 { Ok(()) } else { Err(TableError::Checksum) }
}

/// The machine's memory outside of RAM, read page by page; each page is asked for once.
pub struct Firmware<'a> {
    resource: &'a Resource,
    account: &'a Account,
    pages: BTreeMap<u64, Option<Vec<u8>>>,
}

impl<'a> Firmware<'a> {
    /// With the right to make device memory.
    pub fn new(resource: &'a Resource, account: &'a Account) -> Firmware<'a> {
        Firmware { resource, account, pages: BTreeMap::new() }
    }

    fn page(&mut self, start: u64) -> Option<&[u8]> {
        let (resource, account) = (self.resource, self.account);
        let read = || {
            let memory = Memory::of_device(resource, start, PAGE_BYTES as u64, Caching::WriteBack, account).ok()?;
            let mut bytes = vec![0; PAGE_BYTES];
            memory.map().ok()?.copy_out(0, &mut bytes);
            Some(bytes)
        };
        self.pages.entry(start).or_insert_with(read).as_deref()
    }
}

impl Physical for Firmware<'_> {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Option<()> {
        let mut done = 0;
        while done < into.len() {
            let at = address.checked_add(done as u64)?;
            let within = at as usize % PAGE_BYTES;
            let count = (into.len() - done).min(PAGE_BYTES - within);
            let page = self.page(at - within as u64)?;
            into[done..done + count].copy_from_slice(&page[within..within + count]);
            done += count;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory from an address on.
    struct Image(u64, Vec<u8>);

    impl Physical for Image {
        fn read(&mut self, address: u64, into: &mut [u8]) -> Option<()> {
            let start = usize::try_from(address.checked_sub(self.0)?).ok()?;
            into.copy_from_slice(self.1.get(start..start.checked_add(into.len())?)?);
            Some(())
        }
    }

    const BASE: u64 = 0x7fe_0000;

    fn sign(bytes: &mut [u8], at: usize) {
        bytes[at] = 0;
        bytes[at] = 0_u8.wrapping_sub(bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    }

    fn table_of(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[..4].copy_from_slice(signature);
        bytes.extend_from_slice(body);
        let length = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        sign(&mut bytes, 9);
        bytes
    }

    /// An RSDP, a root table, one that is not looked for, and an MCFG.
    fn image(is_wide: bool) -> Image {
        let mut entry = vec![0; 8];
        entry.extend(0xb000_0000_u64.to_le_bytes());
        entry.extend([0, 0, 0, 255, 0, 0, 0, 0]);
        // One that makes no sense.
        entry.extend(0xb000_0001_u64.to_le_bytes());
        entry.extend([1, 0, 5, 4, 0, 0, 0, 0]);
        let (other, mcfg) = (table_of(b"FACP", &[7; 99]), table_of(b"MCFG", &entry));
        let mut bytes = vec![0; 0x1000];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0x400, &other);
        put(0x600, &mcfg);
        let places = [BASE + 0x400, BASE + 0x600];
        let list: Vec<u8> = if is_wide {
            places.iter().flat_map(|place| place.to_le_bytes()).collect()
        } else {
            places.iter().flat_map(|place| (*place as u32).to_le_bytes()).collect()
        };
        put(0x200, &table_of(if is_wide { b"XSDT" } else { b"RSDT" }, &list));
        let mut rsdp = [0; 36];
        rsdp[..8].copy_from_slice(b"RSD PTR ");
        rsdp[15] = if is_wide { 2 } else { 0 };
        rsdp[16..20].copy_from_slice(&(BASE as u32 + 0x200).to_le_bytes());
        sign(&mut rsdp[..20], 8);
        rsdp[24..32].copy_from_slice(&(BASE + 0x200).to_le_bytes());
        sign(&mut rsdp, 32);
        put(0x10, &rsdp);
        Image(BASE, bytes)
    }

    #[test]
    fn the_tables_lead_to_ecam() {
        let expected = EcamRange { base: 0xb000_0000, segment: 0, first: 0, last: 255 };
        for is_wide in [false, true] {
            assert_eq!(ecam_ranges(&mut image(is_wide), BASE + 0x10), Ok(vec![expected]));
        }
        assert_eq!(ecam_ranges(&mut image(true), BASE), Err(TableError::Signature));
        assert_eq!(ecam_ranges(&mut image(true), 0), Err(TableError::Unreachable));
    }

    #[test]
    fn every_broken_byte_of_the_mcfg_is_seen() {
        for at in 0x600..0x600 + HEADER + 40 {
            let mut broken = image(true);
            broken.1[at] ^= 0x40;
            let found = ecam_ranges(&mut broken, BASE + 0x10);
            assert!(found.is_err(), "byte {at:#x}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_tables_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0x10..0x700_usize) {
            let mut broken = image(true);
            let end = (at + bytes.len()).min(broken.1.len());
            broken.1[at..end].copy_from_slice(&bytes[..end - at]);
            let _ = ecam_ranges(&mut broken, BASE + 0x10);
        }
    }
}
