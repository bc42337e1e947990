//! Where the blocks of a file are: read from the inode's extents or indirect blocks, without the format crate, so that one lookup costs a few
//! blocks however large the file is.

use crate::superblock::Superblock;
use alloc::vec;
use alloc::vec::Vec;
use volume::{Overlay, OverlayError};

/// Blocks that one lookup covers, around what is asked for: 16 MiB at 4 KiB.
const WINDOW: u64 = 4096;
/// The deepest tree of extents that ext4 makes.
const DEEPEST: u16 = 5;
/// What a node of a tree of extents begins with.
pub const EXTENT_MAGIC: u16 = 0xf30a;
/// The inode has extents.
pub const FLAG_EXTENTS: u32 = 0x80000;
/// Beyond this an extent's length says that it was allocated and never written.
const WRITTEN: u16 = 32768;

/// Why a file's blocks cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// The inode or its tree is not as it should be.
    Corrupt,
    /// Reading failed.
    Overlay(OverlayError),
}

impl From<OverlayError> for MappingError {
    fn from(error: OverlayError) -> MappingError {
        MappingError::Overlay(error)
    }
}

/// Consecutive blocks of a file at consecutive places of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first block in the file.
    pub logical: u64,
    /// And on the disk.
    pub physical: u64,
    /// How many.
    pub blocks: u64,
}

/// The extents of a part of a file, in order; what is in none is a hole, or was never written.
#[derive(Clone, Debug, Default)]
pub struct Window {
    from: u64,
    to: u64,
    extents: Vec<Extent>,
    has_unwritten: bool,
}

impl Window {
    /// Whether a range of blocks is in it.
    pub fn covers(&self, first: u64, end: u64) -> bool {
        self.from <= first && end <= self.to
    }

    /// The extents that a range of blocks touches.
    pub fn extents(&self, first: u64, end: u64) -> &[Extent] {
        let begin = self.extents.partition_point(|extent| extent.logical + extent.blocks <= first);
        let rest = &self.extents[begin..];
        &rest[..rest.partition_point(|extent| extent.logical < end)]
    }

    /// Whether blocks in it were allocated and never written.
    pub fn has_unwritten(&self) -> bool {
        self.has_unwritten
    }

    fn push(&mut self, extent: Extent) {
        if let Some(last) = self.extents.last_mut()
            && last.logical + last.blocks == extent.logical
            && last.physical + last.blocks == extent.physical
        {
            last.blocks += extent.blocks;
            return;
        }
        self.extents.push(extent);
    }
}

/// What finding blocks needs to know of the file system.
#[derive(Clone)]
pub struct Layout {
    /// Bytes of a block.
    pub block_bytes: usize,
    blocks: u64,
    inodes: u32,
    blocks_per_group: u32,
    inodes_per_group: u32,
    inode_bytes: usize,
    descriptors: u64,
    descriptor_bytes: usize,
    is_64bit: bool,
}

/// The part of an inode that says where its data is.
pub struct Inode {
    /// Type and permissions.
    pub mode: u16,
    /// Its size in bytes.
    pub size: u64,
    flags: u32,
    /// Extents, or block numbers, or the target of a short symbolic link.
    pub block: [u8; 60],
    /// Blocks of 512 bytes that it has.
    pub sectors: u32,
    acl: u32,
}

/// Two bytes, the lower one first.
pub fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes, the lowest one first.
pub fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The number of entries of a node of a tree of extents, and its levels of nodes below; `depth`: what its parent says. Error: `Corrupt`.
pub fn extent_header(node: &[u8], depth: Option<u16>) -> Result<(usize, u16), MappingError> {
    let (entries, here) = (usize::from(le16(node, 2)), le16(node, 6));
    let is_right = le16(node, 0) == EXTENT_MAGIC
        && entries <= (node.len() - 12) / 12
        && depth.map_or(here <= DEEPEST, |depth| here == depth);
    if is_right { Ok((entries, here)) } else { Err(MappingError::Corrupt) }
}

/// The blocks of an extent, and whether they were written.
pub fn extent_length(entry: &[u8]) -> (u16, bool) {
    let length = le16(entry, 4);
    if length <= WRITTEN { (length, true) } else { (length - WRITTEN, false) }
}

impl Inode {
    /// Whether the target of a symbolic link is in the inode itself.
    pub fn has_target_inside(&self, block_bytes: usize) -> bool {
        let acl = if self.acl == 0 { 0 } else { (block_bytes / 512) as u32 };
        self.flags & FLAG_EXTENTS == 0 && self.size < 60 && self.sectors == acl
    }
}

impl Layout {
    /// Of a checked superblock.
    pub fn of(superblock: &Superblock) -> Option<Layout> {
        Some(Layout {
            block_bytes: superblock.block_bytes()?,
            blocks: superblock.blocks(),
            inodes: superblock.inodes(),
            blocks_per_group: superblock.blocks_per_group(),
            inodes_per_group: superblock.inodes_per_group(),
            inode_bytes: superblock.inode_bytes(),
            descriptors: superblock.descriptors(),
            descriptor_bytes: superblock.descriptor_bytes(),
            is_64bit: superblock.is_64bit(),
        })
    }

    /// A place that can be a file's.
    fn checked(&self, physical: u64, blocks: u64) -> Result<(), MappingError> {
        let right = physical > self.descriptors && physical.checked_add(blocks).is_some_and(|end| end <= self.blocks);
        if right { Ok(()) } else { Err(MappingError::Corrupt) }
    }

    /// A block number that each group's descriptor has, its halves at these places.
    fn of_groups(&self, overlay: &mut Overlay, low: usize, high: usize) -> Result<Vec<u64>, MappingError> {
        let mut blocks = Vec::new();
        for group in 0..u64::from(self.inodes / self.inodes_per_group) {
            let at = group * self.descriptor_bytes as u64;
            let (block, within) = (self.descriptors + at / self.block_bytes as u64, at as usize % self.block_bytes);
            let mut halves = [[0; 4]; 2];
            overlay.read_part(block, within + low, &mut halves[0])?;
            if self.is_64bit {
                overlay.read_part(block, within + high, &mut halves[1])?;
            }
            blocks.push(u64::from(u32::from_le_bytes(halves[1])) << 32 | u64::from(u32::from_le_bytes(halves[0])));
        }
        Ok(blocks)
    }

    /// The blocks with bitmaps that have a padding, in order, and the bytes of each that are in use: those of blocks, and those of inodes.
    pub fn padded_bitmaps(&self, overlay: &mut Overlay) -> Result<[(Vec<u64>, usize); 2], MappingError> {
        let used = [self.blocks_per_group as usize / 8, self.inodes_per_group as usize / 8];
        let mut all = [(Vec::new(), used[0]), (Vec::new(), used[1])];
        for ((bitmaps, used), (low, high)) in all.iter_mut().zip([(0x0, 0x20), (0x4, 0x24)]) {
            if *used < self.block_bytes {
                *bitmaps = self.of_groups(overlay, low, high)?;
                bitmaps.sort_unstable();
            }
        }
        Ok(all)
    }

    /// The first blocks of the tables of inodes, group by group.
    pub fn inode_tables(&self, overlay: &mut Overlay) -> Result<Vec<u64>, MappingError> {
        self.of_groups(overlay, 0x8, 0x28)
    }

    /// Inodes that there are.
    pub fn inodes(&self) -> u32 {
        self.inodes
    }

    /// The block of an inode, and where in it.
    pub fn place_of_inode(&self, overlay: &mut Overlay, number: u32) -> Result<(u64, usize), MappingError> {
        if number == 0 || number > self.inodes {
            return Err(MappingError::Corrupt);
        }
        let (group, index) = ((number - 1) / self.inodes_per_group, (number - 1) % self.inodes_per_group);
        let at = u64::from(group) * self.descriptor_bytes as u64;
        let mut descriptor = [0; 64];
        let part = self.descriptor_bytes.min(64);
        let (block, within) = (self.descriptors + at / self.block_bytes as u64, at as usize % self.block_bytes);
        overlay.read_part(block, within, &mut descriptor[..part])?;
        let high = if self.is_64bit { u64::from(le32(&descriptor, 0x28)) } else { 0 };
        let table = high << 32 | u64::from(le32(&descriptor, 0x8));
        let at = u64::from(index) * self.inode_bytes as u64;
        self.checked(table, 1)?;
        let block = table + at / self.block_bytes as u64;
        self.checked(block, 1)?;
        Ok((block, at as usize % self.block_bytes))
    }

    /// Reads an inode.
    pub fn inode(&self, overlay: &mut Overlay, number: u32) -> Result<Inode, MappingError> {
        let (block, at) = self.place_of_inode(overlay, number)?;
        let mut bytes = [0; 128];
        overlay.read_part(block, at, &mut bytes)?;
        let mode = le16(&bytes, 0);
        let mut block = [0; 60];
        block.copy_from_slice(&bytes[0x28..0x64]);
        Ok(Inode {
            mode,
            size: u64::from(le32(&bytes, 0x6c)) << 32 | u64::from(le32(&bytes, 4)),
            flags: le32(&bytes, 0x20),
            block,
            sectors: le32(&bytes, 0x1c),
            acl: le32(&bytes, 0x68),
        })
    }

    /// The extents around a range of blocks of a file.
    pub fn window(&self, overlay: &mut Overlay, number: u32, first: u64, end: u64) -> Result<Window, MappingError> {
        let inode = self.inode(overlay, number)?;
        let from = first / WINDOW * WINDOW;
        let mut window = Window { from, to: (from + WINDOW).max(end), ..Window::default() };
        if inode.flags & FLAG_EXTENTS != 0 {
            self.extents(overlay, &inode.block, None, &mut window)?;
        } else {
            self.indirect(overlay, &inode.block, &mut window)?;
        }
        Ok(window)
    }

    /// Adds the extents of a node of the tree; `depth`: what its parent says.
    fn extents(
        &self,
        overlay: &mut Overlay,
        node: &[u8],
        depth: Option<u16>,
        window: &mut Window,
    ) -> Result<(), MappingError> {
        let (entries, here) = extent_header(node, depth)?;
        let entry = |index: usize| &node[12 + index * 12..24 + index * 12];
        let logical = |index: usize| u64::from(le32(entry(index), 0));
        for index in 0..entries {
            // Entries are in order, so none leads back.
            let end = if index + 1 < entries { logical(index + 1) } else { u64::MAX };
            if end <= logical(index) {
                return Err(MappingError::Corrupt);
            }
            if logical(index) >= window.to {
                break;
            }
            if end <= window.from {
                continue;
            }
            let bytes = entry(index);
            if here > 0 {
                let child = u64::from(le16(bytes, 8)) << 32 | u64::from(le32(bytes, 4));
                self.checked(child, 1)?;
                let mut node = vec![0; self.block_bytes];
                overlay.read(child, &mut node)?;
                self.extents(overlay, &node, Some(here - 1), window)?;
                continue;
            }
            let (blocks, written) = extent_length(bytes);
            let physical = u64::from(le16(bytes, 6)) << 32 | u64::from(le32(bytes, 8));
            self.checked(physical, u64::from(blocks))?;
            if logical(index) + u64::from(blocks) > end || blocks == 0 {
                return Err(MappingError::Corrupt);
            }
            let after = window.extents.last().map_or(0, |last| last.logical + last.blocks);
            if logical(index) < after {
                return Err(MappingError::Corrupt);
            }
            window.has_unwritten |= !written;
            if written {
                window.push(Extent { logical: logical(index), physical, blocks: u64::from(blocks) });
            }
        }
        Ok(())
    }

    /// Adds what direct and indirect blocks say, block by block.
    fn indirect(&self, overlay: &mut Overlay, block: &[u8; 60], window: &mut Window) -> Result<(), MappingError> {
        for index in 0..12u64 {
            self.leaf(u64::from(le32(block, index as usize * 4)), index, window)?;
        }
        let per_block = self.block_bytes as u64 / 4;
        let (mut first, mut span) = (12, per_block);
        for level in 0..3u32 {
            let root = u64::from(le32(block, 48 + level as usize * 4));
            self.tree(overlay, root, level, first, span, window)?;
            first += span;
            span *= per_block;
        }
        Ok(())
    }

    fn leaf(&self, physical: u64, logical: u64, window: &mut Window) -> Result<(), MappingError> {
        if physical != 0 && (window.from..window.to).contains(&logical) {
            self.checked(physical, 1)?;
            window.push(Extent { logical, physical, blocks: 1 });
        }
        Ok(())
    }

    /// The blocks under an indirect block that is for `span` blocks from `first` on.
    fn tree(
        &self,
        overlay: &mut Overlay,
        root: u64,
        level: u32,
        first: u64,
        span: u64,
        window: &mut Window,
    ) -> Result<(), MappingError> {
        if root == 0 || first >= window.to || first + span <= window.from {
            return Ok(());
        }
        self.checked(root, 1)?;
        let mut node = vec![0; self.block_bytes];
        overlay.read(root, &mut node)?;
        let step = span / (self.block_bytes as u64 / 4);
        for (index, entry) in node.chunks_exact(4).enumerate() {
            let (physical, logical) = (u64::from(le32(entry, 0)), first + index as u64 * step);
            if level == 0 {
                self.leaf(physical, logical, window)?;
            } else {
                self.tree(overlay, physical, level - 1, logical, step, window)?;
            }
        }
        Ok(())
    }
}
