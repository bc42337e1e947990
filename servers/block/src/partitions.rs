//! Partition tables: MBR with extended partitions, and GPT.
//!
//! What is on a disk is not to be trusted: whatever its bytes are, reading them ends, and every partition lies inside of the disk. Where there are a GPT and the MBR that
//! protects it, the GPT counts; if its first copy is broken, the one at the end of the disk.

mod crc;
mod gpt;
mod mbr;

use alloc::vec::Vec;
use libsys::protocol::disks::{DiskKind, PartitionTable};
use serde::{Deserialize, Serialize};

/// Most partitions of a disk.
pub const MOST_PARTITIONS: usize = 128;

/// Bytes of the largest logical block.
pub const LARGEST_BLOCK: usize = 4096;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// First sector, of 512 bytes.
    pub start: u64,
    /// Sectors.
    pub sectors: u64,
    /// What the table says that it is.
    pub kind: DiskKind,
}

/// A disk that is read.
pub trait Medium {
    /// Bytes of a logical block: a power of two from 512 to [`LARGEST_BLOCK`].
    fn block_bytes(&self) -> usize;

    /// Logical blocks that there are.
    fn blocks(&self) -> u64;

    /// Reads a logical block into the start of `into`, which has room for it. Error: the device fails.
    fn read(&mut self, block: u64, into: &mut [u8]) -> Result<(), ReadError>;
}

/// A block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError;

/// Finds the partitions. Blocks that cannot be read are as good as broken ones; an error only where nothing can be read at all.
pub fn read(medium: &mut dyn Medium) -> Result<(PartitionTable, Vec<Partition>), ReadError> {
    let mut block = [0; LARGEST_BLOCK];
    if medium.blocks() == 0 {
        return Ok((PartitionTable::None, Vec::new()));
    }
    medium.read(0, &mut block)?;
    let Some(record) = mbr::Record::of(&block) else { return Ok((PartitionTable::None, Vec::new())) };
    if record.protects_gpt() {
        if let Some(partitions) = gpt::read(medium, 1) {
            return Ok((PartitionTable::Gpt, partitions));
        }
        let last = medium.blocks() - 1;
        if let Some(partitions) = gpt::read(medium, last) {
            return Ok((PartitionTable::GptBackup, partitions));
        }
        return Ok((PartitionTable::None, Vec::new()));
    }
    Ok((PartitionTable::Mbr, mbr::read(medium, &record)))
}

/// Little-endian numbers in a block.
fn u32_at(block: &[u8], at: usize) -> u32 {
    block.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(block: &[u8], at: usize) -> u64 {
    u64::from(u32_at(block, at)) | u64::from(u32_at(block, at + 4)) << 32
}

/// The partition on so many blocks from one on, if it lies inside of the disk.
fn inside(medium: &dyn Medium, number: u32, start: u64, blocks: u64, kind: DiskKind) -> Option<Partition> {
    let end = start.checked_add(blocks)?;
    let sectors = (medium.block_bytes() / 512) as u64;
    (start > 0 && blocks > 0 && end <= medium.blocks()).then(|| Partition {
        number,
        start: start * sectors,
        sectors: blocks * sectors,
        kind,
    })
}

#[cfg(test)]
mod tests;
