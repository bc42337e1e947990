//! What the format crate sees as its disk: the overlay, with the superblock in the crate's view, and without the contents of files.
//!
//! The crate allocates blocks for file data by writing the data. The data itself goes from the page cache to the disk, so the crate is given
//! [`FILL`] to write, and a block that begins with it goes nowhere (`format.rs` says how the last block of a file is told apart).

use crate::directories::Directories;
use crate::superblock::{self, Superblock};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use rsext4::{BlockIo, DeviceCapabilities, DeviceGeometry, Ext4Error, Ext4Result, SectorId};
use volume::disk::SECTOR_BYTES;
use volume::{Overlay, OverlayError};

/// What stands for file data, over and over: a number that nothing else on a disk begins with.
pub const FILL: [u8; 32] = *b"\xf3\x91skink: file data elsewhere\x00\xa7\xe5\xc2";

/// What the crate's disk and this server share.
pub struct Shared {
    /// The blocks.
    pub overlay: Overlay,
    /// There is a journal, which the crate does not see.
    pub journal: bool,
    /// The journal may hold what is not at home.
    pub recover: bool,
    /// The blocks with bitmaps that have a padding, and the bytes of each that are in use: what is behind them has to be ones, and the crate leaves zeros in those that it begins to use.
    pub padded_bitmaps: [(Vec<u64>, usize); 2],
    /// The first of the orphans that the crate does not see: while it mounts what an earlier incarnation of the server has left.
    pub orphans: Option<u32>,
    /// The files have blocks in place of extents: the crate is shown directories without indexes, as it cannot let those grow.
    pub is_of_blocks: bool,
    /// Directories may have indexes, says the disk.
    pub has_index: bool,
    /// Puts right how many blocks directories have.
    pub directories: Directories,
    /// How often the file system was mounted, as the crate is to write it: it counts each time that it is mounted anew while the server runs.
    pub mounts: Option<u16>,
    /// Blocks that begin with [`FILL`] go nowhere.
    pub filling: bool,
    /// The first error of the overlay during the request: the crate's own says less.
    pub error: Option<OverlayError>,
}

/// The overlay as the crate's disk.
pub struct Blocks(pub Rc<RefCell<Shared>>);

impl Shared {
    fn fail(&mut self, error: OverlayError) -> Ext4Error {
        self.error.get_or_insert(error);
        match error {
            OverlayError::TooLarge => Ext4Error::no_space(),
            _ => Ext4Error::io(),
        }
    }

    /// Reads a block as the crate sees it.
    fn read(&mut self, block: u64, into: &mut [u8]) -> Ext4Result<()> {
        self.overlay.read(block, into).map_err(|error| self.fail(error))?;
        let (has_journal, hides_orphans) = (self.journal, self.orphans.is_some());
        let hides_index = self.is_of_blocks && self.has_index;
        if hides_index && self.directories.are_in(block) {
            self.directories.hide_indexes(into);
        }
        if has_journal || hides_orphans || hides_index {
            with_superblock(block, into, |superblock| {
                if hides_index {
                    superblock.set_index(false);
                }
                if has_journal {
                    superblock.hide_journal();
                }
                if hides_orphans {
                    superblock.set_last_orphan(0);
                }
            });
        }
        Ok(())
    }

    fn write(&mut self, block: u64, from: &[u8]) -> Ext4Result<()> {
        if self.filling && from.starts_with(&FILL) {
            // Where there are no extents the crate has cleared the block before.
            self.overlay.withdraw(block);
            return Ok(());
        }
        let recover = self.recover;
        let mut copy;
        let mut from = from;
        let (has_journal, orphans) = (self.journal, self.orphans);
        let hides_index = self.is_of_blocks && self.has_index;
        let mounts = self.mounts;
        if (has_journal || orphans.is_some() || hides_index || mounts.is_some())
            && block == superblock::OFFSET / from.len() as u64
        {
            copy = from.to_vec();
            with_superblock(block, &mut copy, |superblock| {
                if hides_index {
                    superblock.set_index(true);
                }
                if has_journal {
                    superblock.show_journal(recover);
                }
                if let Some(orphan) = orphans {
                    superblock.set_last_orphan(orphan);
                }
                if let Some(mounts) = mounts {
                    superblock.set_mounts(mounts);
                }
            });
            from = &copy;
        }
        if from.last() != Some(&u8::MAX)
            && let Some((_, used)) =
                self.padded_bitmaps.iter().find(|(bitmaps, _)| bitmaps.binary_search(&block).is_ok())
        {
            copy = from.to_vec();
            copy[*used..].fill(u8::MAX);
            from = &copy;
        }
        if self.directories.are_in(block) {
            copy = from.to_vec();
            self.directories.count(block, &mut copy, &mut self.overlay);
            from = &copy;
        }
        self.overlay.write(block, from).map_err(|error| self.fail(error))
    }
}

/// Changes the superblock, if this block has it.
fn with_superblock(block: u64, bytes: &mut [u8], change: impl FnOnce(&mut Superblock)) {
    let size = bytes.len() as u64;
    if block != superblock::OFFSET / size {
        return;
    }
    let at = (superblock::OFFSET % size) as usize;
    if let Ok(copy) = bytes[at..at + superblock::BYTES].try_into() {
        let mut superblock = Superblock(copy);
        change(&mut superblock);
        bytes[at..at + superblock::BYTES].copy_from_slice(&superblock.0);
    }
}

impl BlockIo for Blocks {
    fn write(&mut self, buffer: &[u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let mut shared = self.0.borrow_mut();
        let size = shared.overlay.block_bytes();
        let from = buffer.get(..count as usize * SECTOR_BYTES as usize).ok_or_else(Ext4Error::io)?;
        let start = sector.raw() * SECTOR_BYTES;
        if start.is_multiple_of(size as u64) && from.len().is_multiple_of(size) {
            for (index, block) in from.chunks(size).enumerate() {
                shared.write(start / size as u64 + index as u64, block)?;
            }
            return Ok(());
        }
        let mut done = 0;
        while done < from.len() {
            let at = start + done as u64;
            let within = (at % size as u64) as usize;
            let part = (size - within).min(from.len() - done);
            let mut block = vec![0; size];
            shared.read(at / size as u64, &mut block)?;
            block[within..within + part].copy_from_slice(&from[done..done + part]);
            shared.write(at / size as u64, &block)?;
            done += part;
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let mut shared = self.0.borrow_mut();
        let size = shared.overlay.block_bytes();
        let into = buffer.get_mut(..count as usize * SECTOR_BYTES as usize).ok_or_else(Ext4Error::io)?;
        let start = sector.raw() * SECTOR_BYTES;
        let mut done = 0;
        while done < into.len() {
            let at = start + done as u64;
            let within = (at % size as u64) as usize;
            let part = (size - within).min(into.len() - done);
            if part == size {
                shared.read(at / size as u64, &mut into[done..done + part])?;
            } else {
                let mut block = vec![0; size];
                shared.read(at / size as u64, &mut block)?;
                into[done..done + part].copy_from_slice(&block[within..within + part]);
            }
            done += part;
        }
        Ok(())
    }

    fn geometry(&self) -> DeviceGeometry {
        let shared = self.0.borrow();
        let sectors = shared.overlay.blocks() * (shared.overlay.block_bytes() as u64 / SECTOR_BYTES);
        DeviceGeometry::new(SECTOR_BYTES as u32, sectors)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        DeviceCapabilities { flush: true, ..DeviceCapabilities::default() }
    }

    /// The overlay is as safe as it gets within a request: what must be on the medium when is the drain's business.
    fn flush(&mut self) -> Ext4Result<()> {
        Ok(())
    }
}
