//! The superblock, as far as this server looks at it itself: geometry, features, and the view of it that the format crate gets.
//!
//! The journal is written here, not by the crate (`journal.rs`). So the crate must not see that there is one: in its view the features
//! `has_journal` and `needs_recovery` are off; what it writes gets them back.

use crate::crc32c::crc32c;

/// Where it is on the disk.
pub const OFFSET: u64 = 1024;
/// Its size.
pub const BYTES: usize = 1024;

const MAGIC: u16 = 0xef53;
const COMPAT_HAS_JOURNAL: u32 = 0x4;
const COMPAT_DIR_INDEX: u32 = 0x20;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_EXTENTS: u32 = 0x40;
const INCOMPAT_64BIT: u32 = 0x80;
/// The beginning of checksums is in the superblock, as the identity may change.
const INCOMPAT_CSUM_SEED: u32 = 0x2000;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const STATE_CLEAN: u16 = 1;
const STATE_ERRORS: u16 = 2;

/// Why a superblock is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No ext2, ext3 or ext4.
    Foreign,
    /// It contradicts itself or the disk.
    Corrupt,
}

/// The bytes of a superblock.
#[derive(Clone)]
pub struct Superblock(pub [u8; BYTES]);

impl Superblock {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn set_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Checks what everything else relies on; `disk` is the disk's size in bytes.
    pub fn check(&self, disk: u64) -> Result<(), Refusal> {
        if self.u16(0x38) != MAGIC {
            return Err(Refusal::Foreign);
        }
        let checksum = crc32c(u32::MAX, &self.0[..0x3fc]);
        if self.has_checksums() && checksum != self.u32(0x3fc) {
            return Err(Refusal::Corrupt);
        }
        let block_bytes = self.block_bytes().ok_or(Refusal::Corrupt)?;
        let per_group = (self.u32(0x20), self.u32(0x28));
        let bits = block_bytes as u32 * 8;
        let first = u64::from(self.u32(0x14));
        let right = self.blocks().checked_mul(block_bytes as u64).is_some_and(|bytes| bytes <= disk)
            && (1..=bits).contains(&per_group.0)
            && (1..=bits).contains(&per_group.1)
            && first == u64::from(block_bytes == 1024)
            && first < self.blocks()
            && self.inode_bytes().is_power_of_two()
            && (128..=block_bytes).contains(&self.inode_bytes())
            && self.descriptor_bytes().is_power_of_two()
            && (32..=1024).contains(&self.descriptor_bytes())
            // Every group has its inodes.
            && u64::from(self.inodes()) == self.groups() * u64::from(per_group.1);
        if right { Ok(()) } else { Err(Refusal::Corrupt) }
    }

    /// Whether its checksum would be right if the flag of the journal were the other way round: the power was cut while only that was being written, and one of the two sectors is
    /// older than the other. It is mended then, to what makes somebody look into the journal.
    pub fn mend(&mut self) -> bool {
        let sum = |bytes: &[u8]| crc32c(u32::MAX, &bytes[..0x3fc]);
        if self.u16(0x38) != MAGIC || !self.has_checksums() || !self.has_journal() || sum(&self.0) == self.u32(0x3fc) {
            return false;
        }
        let mut other = self.clone();
        other.set_u32(0x60, self.u32(0x60) ^ INCOMPAT_RECOVER);
        if sum(&other.0) != self.u32(0x3fc) {
            return false;
        }
        self.show_journal(true);
        true
    }

    /// Whether its checksum is wrong, and there is a journal that may have it right: the power may have been cut while it went home.
    pub fn may_be_torn(&self) -> bool {
        let right = crc32c(u32::MAX, &self.0[..0x3fc]) == self.u32(0x3fc);
        self.u16(0x38) == MAGIC && self.has_checksums() && self.has_journal() && !right
    }

    /// Bytes of a block; `None`: not one of 1, 2 and 4 KiB.
    pub fn block_bytes(&self) -> Option<usize> {
        let log = self.u32(0x18);
        (log <= 2).then(|| 1024 << log)
    }

    /// Blocks that there are.
    pub fn blocks(&self) -> u64 {
        let high = if self.is_64bit() { u64::from(self.u32(0x150)) } else { 0 };
        high << 32 | u64::from(self.u32(0x4))
    }

    /// Inodes that there are.
    pub fn inodes(&self) -> u32 {
        self.u32(0x0)
    }

    /// Blocks of a group.
    pub fn blocks_per_group(&self) -> u32 {
        self.u32(0x20)
    }

    /// Inodes of a group.
    pub fn inodes_per_group(&self) -> u32 {
        self.u32(0x28)
    }

    /// Groups that there are.
    pub fn groups(&self) -> u64 {
        (self.blocks() - u64::from(self.u32(0x14))).div_ceil(u64::from(self.u32(0x20).max(1)))
    }

    /// The block with the first group descriptor.
    pub fn descriptors(&self) -> u64 {
        u64::from(self.u32(0x14)) + 1
    }

    /// Bytes of an inode.
    pub fn inode_bytes(&self) -> usize {
        if self.u32(0x4c) == 0 { 128 } else { usize::from(self.u16(0x58)) }
    }

    /// Bytes of a group descriptor.
    pub fn descriptor_bytes(&self) -> usize {
        if self.is_64bit() { usize::from(self.u16(0xfe)).max(64) } else { 32 }
    }

    /// Block numbers have 64 bits.
    pub fn is_64bit(&self) -> bool {
        self.u32(0x60) & INCOMPAT_64BIT != 0
    }

    /// What the checksums of metadata begin with, where there are some.
    pub fn checksum_seed(&self) -> Option<u32> {
        let is_kept = self.u32(0x60) & INCOMPAT_CSUM_SEED != 0;
        let seed = if is_kept { self.u32(0x270) } else { crc32c(u32::MAX, &self.0[0x68..0x78]) };
        self.has_checksums().then_some(seed)
    }

    fn has_checksums(&self) -> bool {
        self.u32(0x64) & RO_COMPAT_METADATA_CSUM != 0
    }

    /// There is a journal.
    pub fn has_journal(&self) -> bool {
        self.u32(0x5c) & COMPAT_HAS_JOURNAL != 0
    }

    /// The journal has what is not at home.
    pub fn needs_recovery(&self) -> bool {
        self.u32(0x60) & INCOMPAT_RECOVER != 0
    }

    /// It was unmounted in order.
    pub fn is_clean(&self) -> bool {
        self.u16(0x3a) & STATE_CLEAN != 0 && !self.needs_recovery()
    }

    /// Somebody found an error in it, and it was not repaired since.
    pub fn has_errors(&self) -> bool {
        self.u16(0x3a) & STATE_ERRORS != 0
    }

    /// The inode of the journal.
    pub fn journal_inode(&self) -> u32 {
        self.u32(0xe0)
    }

    /// The first inode whose file or directory is to be reclaimed; 0: none.
    pub fn last_orphan(&self) -> u32 {
        self.u32(0xe8)
    }

    /// Says that another one is.
    pub fn set_last_orphan(&mut self, inode: u32) {
        self.set_u32(0xe8, inode);
        self.seal();
    }

    /// How often it was mounted since it was last checked.
    pub fn mounts(&self) -> u16 {
        self.u16(0x34)
    }

    /// Says how often.
    pub fn set_mounts(&mut self, mounts: u16) {
        self.0[0x34..0x36].copy_from_slice(&mounts.to_le_bytes());
        self.seal();
    }

    /// The name that the user gave the volume.
    pub fn label(&self) -> &[u8] {
        let name = &self.0[0x78..0x88];
        &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())]
    }

    fn seal(&mut self) {
        if self.has_checksums() {
            let checksum = crc32c(u32::MAX, &self.0[..0x3fc]);
            self.set_u32(0x3fc, checksum);
        }
    }

    /// What the crate sees: a file system without a journal.
    pub fn hide_journal(&mut self) {
        self.set_u32(0x5c, self.u32(0x5c) & !COMPAT_HAS_JOURNAL);
        self.set_u32(0x60, self.u32(0x60) & !INCOMPAT_RECOVER);
        self.seal();
    }

    /// The way back: with a journal, that has to be replayed or not.
    pub fn show_journal(&mut self, recover: bool) {
        self.set_u32(0x5c, self.u32(0x5c) | COMPAT_HAS_JOURNAL);
        let incompat = self.u32(0x60) & !INCOMPAT_RECOVER;
        // As Linux has it: what is to be known about a volume with a journal, that flag says.
        self.0[0x3a] |= STATE_CLEAN as u8;
        self.set_u32(0x60, if recover { incompat | INCOMPAT_RECOVER } else { incompat });
        self.seal();
    }

    /// Whether files have blocks in place of extents, and nothing but the superblock has checksums: ext2 and ext3 as they were made.
    pub fn is_of_blocks(&self) -> bool {
        self.u32(0x60) & INCOMPAT_EXTENTS == 0 && !self.has_checksums()
    }

    /// Whether directories may have indexes.
    pub fn has_index(&self) -> bool {
        self.u32(0x5c) & COMPAT_DIR_INDEX != 0
    }

    /// Says whether they may.
    pub fn set_index(&mut self, has_index: bool) {
        let compat = self.u32(0x5c) & !COMPAT_DIR_INDEX;
        self.set_u32(0x5c, if has_index { compat | COMPAT_DIR_INDEX } else { compat });
        self.seal();
    }
}
