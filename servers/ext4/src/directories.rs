//! What is put right in the inodes of directories between the format crate and the overlay: how many blocks they have, and whether they have an index.
//!
//! When an indexed directory of rsext4 0.9 grows by a block, and its tree of extents grows by a node for that, the crate adds the block to the inode's count and forgets the node. So the counts of
//! directories whose extents have nodes of their own are put right in every block of inodes on its way to the overlay.
//!
//! Nor does the crate let a directory grow beyond 12 blocks that has no extents. Such a one can be made longer from outside ([`crate::format::Format::add_name`]) if it has no index; so where there are no extents the crate is
//! shown none, and what it writes has none: to others who do not know of indexes the blocks of one look empty.

use crate::crc32c::crc32c;
use crate::mapping::{EXTENT_MAGIC, FLAG_EXTENTS, Layout, MappingError, le16, le32};
use crate::superblock::Superblock;
use alloc::vec;
use alloc::vec::Vec;
use volume::Overlay;

/// Type of a directory in an inode's mode, and the mask of types.
const DIRECTORY: u16 = 0x4000;
const TYPES: u16 = 0xf000;

/// It has an index.
const FLAG_INDEX: u32 = 0x1000;

/// Its count is in blocks of the file system, not of 512 bytes.
const FLAG_HUGE: u32 = 0x40000;

/// Deeper than any tree of a directory.
const DEEPEST: u16 = 3;

/// Where inodes are, and what their checksums begin with.
pub struct Directories {
    /// First blocks of the tables of inodes, in order, with the number of the first inode in each.
    tables: Vec<(u64, u32)>,
    table_blocks: u64,
    inode_bytes: usize,
    /// The checksum of what all inodes share, where they have checksums.
    seed: Option<u32>,
}

impl Directories {
    /// Of a file system. Error: its group descriptors cannot be read.
    pub fn of(superblock: &Superblock, layout: &Layout, overlay: &mut Overlay) -> Result<Directories, MappingError> {
        let per_group = superblock.inodes_per_group();
        let tables = layout.inode_tables(overlay)?.into_iter();
        let mut tables: Vec<(u64, u32)> = tables.zip((1..).step_by(per_group as usize)).collect();
        tables.sort_unstable();
        let inode_bytes = superblock.inode_bytes();
        let table_blocks = (per_group as usize * inode_bytes).div_ceil(layout.block_bytes) as u64;
        Ok(Directories { tables, table_blocks, inode_bytes, seed: superblock.checksum_seed() })
    }

    /// The table that a block is in: its first block, and the number of its first inode.
    fn table(&self, block: u64) -> Option<(u64, u32)> {
        let after = self.tables.partition_point(|(start, _)| *start <= block);
        let table = *self.tables.get(after.checked_sub(1)?)?;
        (block - table.0 < self.table_blocks).then_some(table)
    }

    /// Whether a block has inodes.
    pub fn are_in(&self, block: u64) -> bool {
        self.table(block).is_some()
    }

    /// Takes away what says that directories in a block of inodes have an index, if they have no extents.
    pub fn hide_indexes(&self, bytes: &mut [u8]) {
        for inode in bytes.chunks_exact_mut(self.inode_bytes) {
            let flags = le32(inode, 0x20);
            if le16(inode, 0) & TYPES == DIRECTORY && flags & (FLAG_EXTENTS | FLAG_INDEX) == FLAG_INDEX {
                inode[0x20..0x24].copy_from_slice(&(flags & !FLAG_INDEX).to_le_bytes());
            }
        }
    }

    /// Puts counts in a block right before it is written, if it has inodes.
    pub fn count(&self, block: u64, bytes: &mut [u8], overlay: &mut Overlay) {
        let Some((start, first)) = self.table(block) else { return };
        let per_block = bytes.len() / self.inode_bytes;
        let first = first + (block - start) as u32 * per_block as u32;
        for (number, inode) in (first..).zip(bytes.chunks_exact_mut(self.inode_bytes)) {
            let depth = le16(inode, 0x28 + 6);
            let is_indexed = le16(inode, 0) & TYPES == DIRECTORY
                && le32(inode, 0x20) & (FLAG_EXTENTS | FLAG_HUGE) == FLAG_EXTENTS
                && le16(inode, 0x28) == EXTENT_MAGIC
                && (1..=DEEPEST).contains(&depth);
            if is_indexed && le16(inode, 0x1a) != 0 {
                self.count_inode(number, inode, depth, overlay);
            }
        }
    }

    fn count_inode(&self, number: u32, inode: &mut [u8], depth: u16, overlay: &mut Overlay) {
        let bytes = overlay.block_bytes();
        // A tree that cannot be read, or is none, is not for this place to complain about.
        let Some(nodes) = nodes_below(&inode[0x28..0x64], depth, overlay) else { return };
        let attributes = u64::from(le32(inode, 0x68) != 0);
        let size = u64::from(le32(inode, 0x6c)) << 32 | u64::from(le32(inode, 0x4));
        let sectors = (size.div_ceil(bytes as u64) + nodes + attributes) * (bytes as u64 / 512);
        let Ok(sectors) = u32::try_from(sectors) else { return };
        if le32(inode, 0x1c) == sectors {
            return;
        }
        inode[0x1c..0x20].copy_from_slice(&sectors.to_le_bytes());
        if let Some(seed) = self.seed {
            put_checksum(seed, number, inode);
        }
    }
}

/// Nodes of the tree below one, which says that it has this depth.
fn nodes_below(node: &[u8], depth: u16, overlay: &mut Overlay) -> Option<u64> {
    let entries = usize::from(le16(node, 2));
    if le16(node, 0) != EXTENT_MAGIC || le16(node, 6) != depth || entries > (node.len() - 12) / 12 {
        return None;
    }
    let mut nodes = entries as u64;
    if depth > 1 {
        let mut child = vec![0; overlay.block_bytes()];
        for entry in node[12..12 + entries * 12].chunks_exact(12) {
            let place = u64::from(le16(entry, 8)) << 32 | u64::from(le32(entry, 4));
            if place >= overlay.blocks() {
                return None;
            }
            overlay.read(place, &mut child).ok()?;
            nodes += nodes_below(&child, depth - 1, overlay)?;
        }
    }
    Some(nodes)
}

/// Sums an inode up: its number, its generation, and all of it with the checksum's halves as zeros. The upper half is there where the inode is long enough.
pub fn put_checksum(seed: u32, number: u32, inode: &mut [u8]) {
    const LOW: usize = 0x7c;
    const HIGH: usize = 0x82;
    let is_long = inode.len() > 128 && le16(inode, 0x80) >= 4;
    inode[LOW..LOW + 2].fill(0);
    if is_long {
        inode[HIGH..HIGH + 2].fill(0);
    }
    let sum = crc32c(crc32c(seed, &number.to_le_bytes()), &inode[0x64..0x68]);
    let sum = crc32c(sum, inode);
    inode[LOW..LOW + 2].copy_from_slice(&(sum as u16).to_le_bytes());
    if is_long {
        inode[HIGH..HIGH + 2].copy_from_slice(&((sum >> 16) as u16).to_le_bytes());
    }
}
