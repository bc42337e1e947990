//! Finding ACPI tables (ACPI 6.4 §5.2): RSDP, then RSDT or XSDT, then the table of a given signature, with checksums verified.
//!
//! The kernel reads two tables, once, at boot: the MADT (`madt`) and the FADT (`fadt`). The pci server
//! and others read the rest themselves.

use super::start_info::BootMemory;

/// Longest table that is read.
const LONGEST: usize = 1 << 20;
/// Bytes of the header that every table has.
pub const HEADER: usize = 36;
/// Most entries of the root table that are looked at.
const ROOT_ENTRIES: usize = 256;

/// The root of the tables.
pub struct Tables<'a, M> {
    memory: &'a M,
    /// Physical address of the RSDP.
    pub rsdp: u64,
    root: &'a [u8],
    entry_bytes: usize,
}

impl<'a, M: BootMemory> Tables<'a, M> {
    /// The tables of the RSDP at `address`, or, if that is 0, of the one where BIOSes leave it (§5.2.5.1).
    pub fn find(memory: &'a M, address: u64) -> Option<Tables<'a, M>> {
        let candidates = if address != 0 { address..address.saturating_add(1) } else { 0xe0000..0x10_0000 };
        let (at, rsdp) = candidates.step_by(16).find_map(|at| Some((at, rsdp(memory, at)?)))?;
        // Revision 2 has the XSDT, whose entries are 64 bits wide.
        let (root, signature, entry_bytes) =
            if rsdp[15] >= 2 { (little(rsdp, 24, 8)?, b"XSDT", 8) } else { (little(rsdp, 16, 4)?, b"RSDT", 4) };
        Some(Tables { memory, rsdp: at, root: verified(memory, root, signature)?, entry_bytes })
    }

    /// The first table with this signature whose checksum is right.
    pub fn table(&self, signature: &[u8; 4]) -> Option<&'a [u8]> {
        let entries = self.root[HEADER..].chunks_exact(self.entry_bytes).take(ROOT_ENTRIES);
        entries
            .filter_map(|entry| little(entry, 0, self.entry_bytes))
            .find_map(|at| verified(self.memory, at, signature))
    }

    /// The table at an address, if it has this signature; its checksum is not looked at.
    pub fn table_at(&self, address: u64, signature: &[u8; 4]) -> Option<&'a [u8]> {
        unverified(self.memory, address, signature)
    }
}

/// The little-endian number at an offset.
pub fn little(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..length].copy_from_slice(bytes.get(at..at + length)?);
    Some(u64::from_le_bytes(number))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The RSDP at an address: 36 bytes in revision 2, of which revision 0 has the first 20.
fn rsdp<M: BootMemory>(memory: &M, address: u64) -> Option<&[u8]> {
    let first = memory.bytes(address, 20)?;
    if &first[..8] != b"RSD PTR " || sum(first) != 0 {
        return None;
    }
    let rsdp = if first[15] >= 2 { memory.bytes(address, 36)? } else { first };
    (sum(rsdp) == 0).then_some(rsdp)
}

fn unverified<'a, M: BootMemory>(memory: &'a M, address: u64, signature: &[u8; 4]) -> Option<&'a [u8]> {
    let header = memory.bytes(address, HEADER)?;
    let length = little(header, 4, 4)? as usize;
    let is_it = header.starts_with(signature) && (HEADER..=LONGEST).contains(&length);
    if is_it { memory.bytes(address, length) } else { None }
}

fn verified<'a, M: BootMemory>(memory: &'a M, address: u64, signature: &[u8; 4]) -> Option<&'a [u8]> {
    unverified(memory, address, signature).filter(|table| sum(table) == 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    /// A table with this signature and body, with its checksum.
    pub fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut table = std::vec![0; HEADER];
        table[..4].copy_from_slice(signature);
        table[4..8].copy_from_slice(&((HEADER + body.len()) as u32).to_le_bytes());
        table.extend_from_slice(body);
        table[9] = 0u8.wrapping_sub(sum(&table));
        table
    }

    /// Memory with an RSDP of this revision where BIOSes leave it, and these tables.
    fn memory(revision: u8, tables: &[&[u8]]) -> Vec<u8> {
        let mut memory = std::vec![0; 0x10_0000];
        let mut at = 0x1000;
        let mut entries = Vec::new();
        for table in tables {
            memory[at..at + table.len()].copy_from_slice(table);
            entries.extend_from_slice(&at.to_le_bytes()[..if revision == 2 { 8 } else { 4 }]);
            at += 0x1000;
        }
        let root = table(if revision == 2 { b"XSDT" } else { b"RSDT" }, &entries);
        memory[at..at + root.len()].copy_from_slice(&root);
        let rsdp = &mut memory[0xf0010..0xf0034];
        rsdp[..8].copy_from_slice(b"RSD PTR ");
        rsdp[15] = revision;
        rsdp[if revision == 2 { 24 } else { 16 }..][..4].copy_from_slice(&(at as u32).to_le_bytes());
        rsdp[8] = 0u8.wrapping_sub(sum(&rsdp[..20]));
        rsdp[32] = 0u8.wrapping_sub(sum(rsdp));
        memory
    }

    #[test]
    fn tables_are_found_through_both_roots() {
        for revision in [0, 2] {
            let memory = memory(revision, &[&table(b"FACP", &[1, 2]), &table(b"APIC", &[3])]);
            for rsdp in [0, 0xf0010] {
                let tables = Tables::find(&memory, rsdp).unwrap();
                assert_eq!((tables.rsdp, &tables.table(b"APIC").unwrap()[HEADER..]), (0xf0010, &[3][..]));
                assert!(tables.table(b"MCFG").is_none());
            }
        }
    }

    #[test]
    fn damaged_tables_are_not_there() {
        let mut damaged = table(b"APIC", &[3]);
        damaged[HEADER] = 4;
        let whole = memory(2, &[&damaged]);
        assert!(Tables::find(&whole, 0).unwrap().table(b"APIC").is_none());
        for at in (0xf0010..0xf0034).chain(0x2000..0x2030).chain(0x1000..0x1030) {
            for bits in [0x01, 0x80, 0xff] {
                let mut memory = whole.clone();
                memory[at] ^= bits;
                let _ = Tables::find(&memory, 0xf0010).map(|tables| tables.table(b"APIC").is_some());
            }
        }
        for length in [0, 0x1000, 0x2010, 0xf0010, 0xf0020] {
            assert!(Tables::find(&whole[..length].to_vec(), 0xf0010).is_none());
        }
    }
}
