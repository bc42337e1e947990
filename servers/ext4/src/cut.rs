//! Files are cut off: the blocks behind a place get free, from the last one back, in the overlay itself.
//!
//! The format crate does that block by block, and remembers each: a file of gigabytes takes it minutes, and more memory than the server has. Here it is run by run, and what does not fit into one
//! record is several, each of which leaves a file that is right, and shorter.

use crate::crc32c::crc32c;
use crate::disk::{CORRUPT, Here, Record};
use crate::mapping::{FLAG_EXTENTS, extent_header, extent_length, le16, le32};
use crate::names::Names;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use volume::Overlay;

/// Blocks that an inode of ext2 names itself, and its levels of indirect ones.
const DIRECT: u64 = 12;
const LEVELS: u32 = 3;
/// Blocks that a record may change beside bitmaps and group descriptors: nodes above the cut, the inode, the superblock, a directory.
const BESIDES: usize = 16;
/// Groups that there is always room for: those of the nodes above an extent, and one of its own.
const FEWEST: usize = 6;

/// How far a file was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Blocks that got free, those included that said where the others were.
    pub blocks: u64,
    /// The first block of the file from which on there is none any more.
    pub at: u64,
    /// Whether it is cut off where it should be: otherwise the rest is for another record.
    pub is_done: bool,
}

struct Cutter<'a> {
    names: &'a mut Names,
    overlay: &'a mut Overlay,
    /// What checksums of the nodes begin with.
    seed: Option<u32>,
    /// Blocks of the file that stay.
    keep: u64,
    /// Groups whose bitmaps change, and how many that may be.
    groups: BTreeSet<u64>,
    most_groups: usize,
    /// Blocks that are to be freed together.
    run: (u64, u64),
    cut: Cut,
}

/// Cuts off what is behind the first `keep` blocks of a file, as far as one record has room; the inode is to be written then. What it writes is pending in the overlay. Error: `Corrupt` among others;
/// all of it is to be given up then.
pub fn cut(names: &mut Names, overlay: &mut Overlay, inode: &mut Record, keep: u64) -> Here<Cut> {
    let seed = names.disk().seed_of(inode);
    let most_groups = (overlay.most_of_request().saturating_sub(BESIDES) / 2).max(FEWEST);
    let cut = Cut { blocks: 0, at: u64::MAX, is_done: true };
    let mut cutter = Cutter { names, overlay, seed, keep, groups: BTreeSet::new(), most_groups, run: (0, 0), cut };
    let mut root = [0; 60];
    root.copy_from_slice(inode.mapping());
    if inode.flags() & FLAG_EXTENTS != 0 {
        if cutter.extents(&mut root, None)? == 0 {
            // No levels of nodes.
            root[6..8].fill(0);
        }
    } else {
        cutter.indirect(&mut root)?;
    }
    cutter.free_run()?;
    let cut = cutter.cut;
    inode.mapping_mut().copy_from_slice(&root);
    let sectors = names.disk().layout.block_bytes as u64 / 512;
    let left = inode.sectors().checked_sub(cut.blocks * sectors).ok_or(CORRUPT)?;
    inode.set_sectors(left);
    Ok(cut)
}

impl Cutter<'_> {
    // ---- what gets free ------------------------------------------------------------------------------------------

    /// How many of these blocks, from the last one back, lie in groups for which the record has room. Error: `Corrupt` (they are not those of a file).
    fn admit(&mut self, start: u64, blocks: u64) -> Here<u64> {
        let disk = self.names.disk();
        let end = start.checked_add(blocks).filter(|end| *end <= disk.blocks).ok_or(CORRUPT)?;
        if start <= disk.first_block || blocks == 0 {
            return Err(CORRUPT);
        }
        let per_group = u64::from(disk.blocks_per_group);
        let mut first = end;
        while first > start {
            let group = (first - 1 - disk.first_block) / per_group;
            if !self.groups.contains(&group) {
                if self.groups.len() == self.most_groups {
                    self.cut.is_done = false;
                    break;
                }
                self.groups.insert(group);
            }
            first = start.max(disk.first_block + group * per_group);
        }
        Ok(end - first)
    }

    /// Frees blocks, for which there is room.
    fn free(&mut self, start: u64, blocks: u64) -> Here<()> {
        self.cut.blocks += blocks;
        if start + blocks == self.run.0 {
            self.run.0 = start;
            return Ok(());
        }
        self.free_run()?;
        self.run = (start, start + blocks);
        Ok(())
    }

    fn free_run(&mut self) -> Here<()> {
        let (start, end) = core::mem::take(&mut self.run);
        if start < end { self.names.free_blocks(self.overlay, start, end) } else { Ok(()) }
    }

    /// Reads a node.
    fn load(&mut self, block: u64) -> Here<Vec<u8>> {
        let mut node = vec![0; self.names.disk().layout.block_bytes];
        self.overlay.read(block, &mut node)?;
        Ok(node)
    }

    // ---- extents -------------------------------------------------------------------------------------------------

    /// Cuts the last entries off a node of a tree of extents; `depth`: what its parent says. Returns how many are left.
    fn extents(&mut self, node: &mut [u8], depth: Option<u16>) -> Here<usize> {
        let (mut left, here) = extent_header(node, depth)?;
        let mut next = u64::MAX;
        while let Some(last) = left.checked_sub(1) {
            let entry = &mut node[12 + last * 12..24 + last * 12];
            let logical = u64::from(le32(entry, 0));
            if logical >= next {
                return Err(CORRUPT);
            }
            let is_gone = if here == 0 {
                self.extent(entry, logical, next)?
            } else {
                self.child(u64::from(le16(entry, 8)) << 32 | u64::from(le32(entry, 4)), here - 1)?
            };
            if !is_gone {
                break;
            }
            (left, next) = (last, logical);
        }
        node[2..4].copy_from_slice(&(left as u16).to_le_bytes());
        Ok(left)
    }

    /// Cuts an extent off, or shortens it; `next`: where the one behind it begins. Returns whether it is gone.
    fn extent(&mut self, entry: &mut [u8], logical: u64, next: u64) -> Here<bool> {
        let length = u64::from(extent_length(entry).0);
        if length == 0 || logical + length > next {
            return Err(CORRUPT);
        }
        let stays = self.keep.saturating_sub(logical);
        if stays >= length {
            return Ok(false);
        }
        let physical = u64::from(le16(entry, 6)) << 32 | u64::from(le32(entry, 8));
        // Where there is no room, more of it stays for now.
        let stays = length - self.admit(physical + stays, length - stays)?;
        if stays == length {
            return Ok(false);
        }
        self.free(physical + stays, length - stays)?;
        self.cut.at = logical + stays;
        // Whether it was written is in its length, which says that in what is beyond the longest one.
        let length = le16(entry, 4) - (length - stays) as u16;
        entry[4..6].copy_from_slice(&length.to_le_bytes());
        Ok(stays == 0)
    }

    /// Cuts the last entries off a node that is a block. Returns whether nothing is left of it, and the block is free.
    fn child(&mut self, block: u64, depth: u16) -> Here<bool> {
        if self.admit(block, 1)? == 0 {
            return Ok(false);
        }
        let mut node = self.load(block)?;
        let tail = 12 + usize::from(le16(&node, 4)) * 12;
        let sum = |seed: u32, node: &[u8]| crc32c(seed, &node[..tail]);
        if tail + 4 > node.len() || self.seed.is_some_and(|seed| sum(seed, &node) != le32(&node, tail)) {
            return Err(CORRUPT);
        }
        let before = self.cut.blocks;
        if self.extents(&mut node, Some(depth))? == 0 {
            self.free(block, 1)?;
            return Ok(true);
        }
        if self.cut.blocks != before {
            if let Some(seed) = self.seed {
                let sum = sum(seed, &node);
                node[tail..tail + 4].copy_from_slice(&sum.to_le_bytes());
            }
            self.overlay.write(block, &node)?;
        }
        Ok(false)
    }

    // ---- indirect blocks -----------------------------------------------------------------------------------------

    /// Cuts off what an inode of ext2 names.
    fn indirect(&mut self, root: &mut [u8]) -> Here<()> {
        let per_block = self.names.disk().layout.block_bytes as u64 / 4;
        let firsts = [DIRECT, DIRECT + per_block, DIRECT + per_block + per_block * per_block];
        for level in (0..LEVELS).rev() {
            let at = 48 + 4 * level as usize;
            if !self.entry(&mut root[at..at + 4], firsts[level as usize], level + 1)? {
                return Ok(());
            }
        }
        self.entries(&mut root[..48], 0, 0).map(drop)
    }

    /// Cuts the last entries off those of a block for blocks of the file from `first` on, with so many levels of nodes below. Returns whether nothing is left.
    fn entries(&mut self, node: &mut [u8], first: u64, levels: u32) -> Here<bool> {
        let per_block = self.names.disk().layout.block_bytes as u64 / 4;
        let step = per_block.pow(levels);
        for (index, entry) in node.chunks_exact_mut(4).enumerate().rev() {
            if !self.entry(entry, first + index as u64 * step, levels)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Cuts off what an entry names, if it is behind what stays. Returns whether it names nothing any more.
    fn entry(&mut self, entry: &mut [u8], first: u64, levels: u32) -> Here<bool> {
        let per_block = self.names.disk().layout.block_bytes as u64 / 4;
        let block = u64::from(le32(entry, 0));
        if first + per_block.pow(levels) <= self.keep {
            return Ok(false);
        }
        if block == 0 {
            // A hole: what is before it is looked at, too.
            return Ok(first >= self.keep);
        }
        if self.admit(block, 1)? == 0 {
            return Ok(false);
        }
        if levels > 0 {
            let mut node = self.load(block)?;
            let before = self.cut.blocks;
            if !self.entries(&mut node, first, levels - 1)? {
                if self.cut.blocks != before {
                    self.overlay.write(block, &node)?;
                }
                return Ok(false);
            }
        } else {
            self.cut.at = first;
        }
        self.free(block, 1)?;
        entry.fill(0);
        Ok(true)
    }
}
