//! GUID partition tables (UEFI specification, 5.3): a header, and an array of entries, both with checksums.

use super::crc::Crc;
use super::{LARGEST_BLOCK, MOST_PARTITIONS, Medium, Partition, inside, u32_at, u64_at};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::protocol::disks::DiskKind;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const HEADER_BYTES: usize = 92;
const CHECKSUM: usize = 16;
const OWN_BLOCK: usize = 24;
const FIRST_USABLE: usize = 40;
const LAST_USABLE: usize = 48;
const ARRAY: usize = 72;
const COUNT: usize = 80;
const ENTRY_BYTES: usize = 84;
const ARRAY_CHECKSUM: usize = 88;

/// Characters of a label.
const LABEL: usize = 36;

/// Most bytes of an array that is believed: sixteen times the usual.
const LARGEST_ARRAY: u64 = 256 << 10;

struct Header {
    first_usable: u64,
    last_usable: u64,
    array: u64,
    count: u32,
    entry_bytes: usize,
    checksum: u32,
}

/// The partitions of the table whose header is in this block; `None` where it is broken.
pub fn read(medium: &mut dyn Medium, at: u64) -> Option<Vec<Partition>> {
    let header = header(medium, at)?;
    let mut block = [0; LARGEST_BLOCK];
    let size = medium.block_bytes();
    let mut left = u64::from(header.count) * header.entry_bytes as u64;
    let mut sum = Crc::new();
    let mut partitions = Vec::new();
    let (mut at, mut number) = (header.array, 1);
    while left > 0 {
        medium.read(at, &mut block).ok()?;
        let bytes = left.min(size as u64) as usize;
        sum = sum.add(&block[..bytes]);
        for entry in block[..bytes].chunks_exact(header.entry_bytes) {
            if partitions.len() < MOST_PARTITIONS {
                partitions.extend(partition(medium, &header, entry, number));
            }
            number += 1;
        }
        left -= bytes as u64;
        at += 1;
    }
    (sum.value() == header.checksum).then_some(partitions)
}

fn header(medium: &mut dyn Medium, at: u64) -> Option<Header> {
    let mut block = [0; LARGEST_BLOCK];
    if at >= medium.blocks() {
        return None;
    }
    medium.read(at, &mut block).ok()?;
    let bytes = u32_at(&block, 12) as usize;
    if block[..8] != *SIGNATURE || !(HEADER_BYTES..=medium.block_bytes()).contains(&bytes) {
        return None;
    }
    let expected = u32_at(&block, CHECKSUM);
    block[CHECKSUM..CHECKSUM + 4].fill(0);
    if Crc::new().add(&block[..bytes]).value() != expected || u64_at(&block, OWN_BLOCK) != at {
        return None;
    }
    let header = Header {
        first_usable: u64_at(&block, FIRST_USABLE),
        last_usable: u64_at(&block, LAST_USABLE),
        array: u64_at(&block, ARRAY),
        count: u32_at(&block, COUNT),
        entry_bytes: u32_at(&block, ENTRY_BYTES) as usize,
        checksum: u32_at(&block, ARRAY_CHECKSUM),
    };
    // Entries are 128 bytes or a power of two of that; none lies in two blocks then.
    let is_size = header.entry_bytes >= 128 && header.entry_bytes.is_power_of_two();
    let bytes = u64::from(header.count) * header.entry_bytes as u64;
    let blocks = bytes.div_ceil(medium.block_bytes() as u64);
    let end = header.array.checked_add(blocks);
    let is_inside = header.array > 0 && end.is_some_and(|end| end <= medium.blocks());
    (is_size && header.entry_bytes <= medium.block_bytes() && bytes <= LARGEST_ARRAY && is_inside).then_some(header)
}

/// The partition of an entry, if it is used, and inside of what the header says can be used.
fn partition(medium: &dyn Medium, header: &Header, entry: &[u8], number: u32) -> Option<Partition> {
    let kind: [u8; 16] = entry[..16].try_into().ok()?;
    let identity: [u8; 16] = entry[16..32].try_into().ok()?;
    let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
    if kind == [0; 16] || first < header.first_usable || last > header.last_usable || first > last {
        return None;
    }
    let units = entry[56..].chunks_exact(2).take(LABEL).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units = units.take_while(|unit| *unit != 0);
    let label: String = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    inside(medium, number, first, (last - first).checked_add(1)?, DiskKind::Gpt { kind, identity, label })
}
