//! Master boot records: four entries, and behind one of them a chain of more. Addresses are logical blocks.

use super::{LARGEST_BLOCK, MOST_PARTITIONS, Medium, Partition, inside, u32_at};
use alloc::vec::Vec;
use libsys::protocol::disks::DiskKind;

const ENTRIES: usize = 446;
const ENTRY_BYTES: usize = 16;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// Type of the entry that covers a disk with a GPT.
const PROTECTIVE: u8 = 0xee;

/// Types of extended partitions: CHS, LBA, Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// Number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;

#[derive(Clone, Copy)]
struct Entry {
    kind: u8,
    start: u32,
    blocks: u32,
}

impl Entry {
    fn is_extended(self) -> bool {
        EXTENDED.contains(&self.kind) && self.blocks > 0
    }

    fn is_used(self) -> bool {
        self.kind != 0 && self.blocks > 0
    }
}

/// A boot record.
pub struct Record([Entry; 4]);

impl Record {
    /// The record in a block, if it looks like one: the boot sector of a file system has the same signature.
    pub fn of(block: &[u8]) -> Option<Record> {
        if block.get(510..512)? != SIGNATURE {
            return None;
        }
        let entry = |index: usize| {
            let at = ENTRIES + index * ENTRY_BYTES;
            Entry { kind: block[at + 4], start: u32_at(block, at + 8), blocks: u32_at(block, at + 12) }
        };
        // Bootable or not; everything else is somebody's code.
        let is_record = (0..4).all(|index| matches!(block[ENTRIES + index * ENTRY_BYTES], 0 | 0x80));
        is_record.then(|| Record([0, 1, 2, 3].map(entry)))
    }

    /// Whether it only says that there is a GPT.
    pub fn protects_gpt(&self) -> bool {
        self.0.iter().any(|entry| entry.kind == PROTECTIVE)
    }
}

/// The partitions of a disk with this record.
pub fn read(medium: &mut dyn Medium, record: &Record) -> Vec<Partition> {
    let mut partitions = Vec::new();
    for (entry, number) in record.0.into_iter().zip(1..) {
        if entry.is_used() && !entry.is_extended() {
            let kind = DiskKind::Mbr(entry.kind);
            partitions.extend(inside(medium, number, entry.start.into(), entry.blocks.into(), kind));
        }
    }
    if let Some(extended) = record.0.into_iter().find(|entry| entry.is_extended()) {
        read_chain(medium, extended, &mut partitions);
    }
    partitions
}

/// Follows the chain inside of an extended partition: each record has a partition, relative to itself, and the next record, relative to the
/// whole. A chain that meets itself, or is absurdly long, is cut there.
fn read_chain(medium: &mut dyn Medium, extended: Entry, partitions: &mut Vec<Partition>) {
    let mut block = [0; LARGEST_BLOCK];
    let (base, end) = (u64::from(extended.start), u64::from(extended.start) + u64::from(extended.blocks));
    let (mut at, mut number) = (base, FIRST_LOGICAL);
    let mut seen = Vec::new();
    while partitions.len() < MOST_PARTITIONS && seen.len() < MOST_PARTITIONS && !seen.contains(&at) {
        seen.push(at);
        if at < base || at >= end || at >= medium.blocks() || medium.read(at, &mut block).is_err() {
            return;
        }
        let Some(Record([first, link, ..])) = Record::of(&block) else { return };
        if first.is_used() && !first.is_extended() {
            let start = at + u64::from(first.start);
            let is_within = first.start > 0 && start + u64::from(first.blocks) <= end;
            let kind = DiskKind::Mbr(first.kind);
            partitions.extend(is_within.then(|| inside(medium, number, start, first.blocks.into(), kind)).flatten());
            number += 1;
        }
        if !link.is_extended() {
            return;
        }
        at = base + u64::from(link.start);
    }
}
