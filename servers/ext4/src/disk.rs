//! What the disk says of itself, as far as names and inodes are changed here without the format crate: features, checksums, group descriptors, inodes.
//!
//! All changes go to the overlay in parts of blocks, and checksums are continued, not made anew, where something long changes a little.

use crate::crc32c::{crc16, crc32c, replace};
use crate::directories::put_checksum;
use crate::hash::Hashing;
use crate::mapping::{Layout, MappingError, le16, le32};
use crate::superblock::{self, Superblock};
use alloc::boxed::Box;
use alloc::vec::Vec;
use volume::{FileError, Kind, Overlay, OverlayError};

/// The longest inode that is changed here.
const MOST_INODE: usize = 256;
/// The longest group descriptor that there is.
const MOST_DESCRIPTOR: usize = 64;

/// Features with which everything here is as it should be: names have types, and blocks are where they were in ext2, or extents.
const INCOMPAT: u32 = 0x2 | 0x4 | 0x40 | 0x80 | 0x200 | 0x2000;
const INCOMPAT_NEEDED: u32 = 0x2;
const RO_COMPAT: u32 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x400;
/// Journals that this server does not write, and orphans in a file.
const COMPAT_FOREIGN: u32 = 0x400 | 0x1000;
const RO_COMPAT_HUGE: u32 = 0x8;
const RO_COMPAT_GROUP_SUMS: u32 = 0x10;

/// Why something is not done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is for the format crate.
    ToCrate,
    /// It cannot be done.
    Failed(FileError),
}

impl From<FileError> for Left {
    fn from(error: FileError) -> Left {
        Left::Failed(error)
    }
}

impl From<OverlayError> for Left {
    fn from(error: OverlayError) -> Left {
        Left::Failed(error.into())
    }
}

impl From<MappingError> for Left {
    fn from(error: MappingError) -> Left {
        Left::Failed(crate::format::FileErrorOf::from(error).0)
    }
}

/// What is done here, or why not.
pub type Here<T> = Result<T, Left>;

/// The disk contradicts itself.
pub const CORRUPT: Left = Left::Failed(FileError::Corrupt);

/// What group descriptors are summed up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sums {
    None,
    Crc16,
    Crc32c(u32),
}

/// What is the same as long as the volume is mounted.
#[derive(Clone)]
pub struct Disk {
    /// Where things are.
    pub layout: Layout,
    sums: Sums,
    identity: [u8; 16],
    descriptors: u64,
    descriptor_bytes: usize,
    /// Bytes of an inode.
    pub inode_bytes: usize,
    /// Inodes of a group.
    pub inodes_per_group: u32,
    /// Blocks of a group.
    pub blocks_per_group: u32,
    /// The first block of the first group.
    pub first_block: u64,
    /// Blocks that there are.
    pub blocks: u64,
    /// Groups that there are.
    pub groups: u32,
    /// The first inode that is not the file system's own.
    pub first_inode: u32,
    /// Bytes beyond 128 that new inodes use.
    extra: u16,
    /// New files have extents.
    pub has_extents: bool,
    has_huge: bool,
    /// How names are hashed.
    pub hashing: Hashing,
    /// The first block of each group's table of inodes.
    tables: Vec<u64>,
}

/// A group descriptor.
#[derive(Clone)]
pub struct Group {
    /// Which one.
    pub number: u32,
    block: u64,
    at: usize,
    bytes: [u8; MOST_DESCRIPTOR],
    is_long: bool,
}

/// Which of the bitmaps of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bitmap {
    /// Which blocks are in use.
    Blocks,
    /// Which inodes are.
    Inodes,
}

/// An inode.
#[derive(Clone)]
pub struct Record {
    /// Which one.
    pub number: u32,
    block: u64,
    at: usize,
    bytes: [u8; MOST_INODE],
    length: usize,
}

/// What is known about a file.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Its inode.
    pub number: u64,
    /// Its type.
    pub kind: Kind,
    /// Type and permissions.
    pub mode: u16,
    /// Whose it is.
    pub owner: u32,
    /// And of which group.
    pub group: u32,
    /// Its names.
    pub links: u16,
    /// Bytes.
    pub size: u64,
    /// Bytes of its blocks.
    pub allocated: u64,
    /// When it was read, in seconds since 1970, …
    pub accessed: u32,
    /// … when its inode was changed, …
    pub changed: u32,
    /// … its data, …
    pub modified: u32,
    /// … and when it was made.
    pub created: u32,
}

/// The type that an inode's mode says.
pub fn kind_of(mode: u16) -> Kind {
    match mode & 0xf000 {
        0x4000 => Kind::Directory,
        0xa000 => Kind::Link,
        0x2000 => Kind::Character,
        0x6000 => Kind::Block,
        0x1000 => Kind::Pipe,
        0xc000 => Kind::Socket,
        _ => Kind::File,
    }
}

impl Disk {
    /// Of a checked superblock. `None`: it has what is not done here.
    pub fn of(superblock: &Superblock, layout: &Layout, overlay: &mut Overlay) -> Result<Option<Disk>, MappingError> {
        let bytes = &superblock.0;
        let (compat, incompat, ro_compat) = (le32(bytes, 0x5c), le32(bytes, 0x60), le32(bytes, 0x64));
        let seed = superblock.checksum_seed();
        let (inode_bytes, descriptor_bytes) = (superblock.inode_bytes(), superblock.descriptor_bytes());
        let is_plain = compat & COMPAT_FOREIGN == 0
            && incompat & !INCOMPAT == 0
            && incompat & INCOMPAT_NEEDED == INCOMPAT_NEEDED
            && ro_compat & !RO_COMPAT == 0
            && inode_bytes <= MOST_INODE
            && descriptor_bytes <= MOST_DESCRIPTOR
            // Bitmaps are summed up in whole bytes.
            && superblock.inodes_per_group().is_multiple_of(8)
            && superblock.blocks_per_group().is_multiple_of(8)
            && (seed.is_none() || bytes[0x175] == 1);
        if !is_plain {
            return Ok(None);
        }
        let sums = match seed {
            Some(seed) => Sums::Crc32c(seed),
            None if ro_compat & RO_COMPAT_GROUP_SUMS != 0 => Sums::Crc16,
            None => Sums::None,
        };
        let mut identity = [0; 16];
        identity.copy_from_slice(&bytes[0x68..0x78]);
        let first_inode = if le32(bytes, 0x4c) == 0 { 11 } else { le32(bytes, 0x54) };
        let room = inode_bytes.saturating_sub(128) as u16;
        let wanted = if room == 0 { 0 } else { le16(bytes, 0x15e).max(28).min(room) & !3 };
        Ok(Some(Disk {
            layout: layout.clone(),
            sums,
            identity,
            descriptors: superblock.descriptors(),
            descriptor_bytes,
            inode_bytes,
            inodes_per_group: superblock.inodes_per_group(),
            blocks_per_group: superblock.blocks_per_group(),
            first_block: u64::from(le32(bytes, 0x14)),
            blocks: superblock.blocks(),
            groups: superblock.inodes() / superblock.inodes_per_group(),
            first_inode,
            extra: wanted,
            has_extents: incompat & 0x40 != 0,
            has_huge: ro_compat & RO_COMPAT_HUGE != 0,
            hashing: Hashing {
                seed: core::array::from_fn(|word| le32(bytes, 0xec + 4 * word)),
                is_unsigned: le32(bytes, 0x160) & 2 != 0,
            },
            tables: layout.inode_tables(overlay)?,
        }))
    }

    /// What checksums of an inode's own blocks begin with, where there are some.
    pub fn seed_of(&self, inode: &Record) -> Option<u32> {
        match self.sums {
            Sums::Crc32c(seed) => Some(crc32c(crc32c(seed, &inode.number.to_le_bytes()), &inode.bytes[0x64..0x68])),
            _ => None,
        }
    }

    // ---- inodes --------------------------------------------------------------------------------------------------

    fn place_of(&self, number: u32) -> Here<(u64, usize)> {
        if number == 0 || number > self.layout.inodes() {
            return Err(CORRUPT);
        }
        let (group, index) = ((number - 1) / self.inodes_per_group, (number - 1) % self.inodes_per_group);
        let at = index as usize * self.inode_bytes;
        let table = *self.tables.get(group as usize).ok_or(CORRUPT)?;
        let block = table + (at / self.layout.block_bytes) as u64;
        let is_inside = table > self.descriptors && block < self.blocks;
        if is_inside { Ok((block, at % self.layout.block_bytes)) } else { Err(CORRUPT) }
    }

    /// Reads an inode; `is_known`: its checksum was looked at before.
    pub fn inode(&self, overlay: &mut Overlay, number: u32, is_known: bool) -> Here<Box<Record>> {
        let (block, at) = self.place_of(number)?;
        let mut record = Box::new(Record { number, block, at, bytes: [0; MOST_INODE], length: self.inode_bytes });
        overlay.read_part(block, at, &mut record.bytes[..record.length])?;
        if let Sums::Crc32c(seed) = self.sums
            && !is_known
        {
            let mut summed = record.clone();
            put_checksum(seed, number, &mut summed.bytes[..summed.length]);
            let is_unused = record.bytes.iter().all(|byte| *byte == 0);
            if summed.bytes != record.bytes && !is_unused {
                return Err(CORRUPT);
            }
        }
        Ok(record)
    }

    /// Writes an inode.
    pub fn write_inode(&self, overlay: &mut Overlay, record: &mut Record) -> Here<()> {
        if let Sums::Crc32c(seed) = self.sums {
            put_checksum(seed, record.number, &mut record.bytes[..record.length]);
        }
        Ok(overlay.write_part(record.block, record.at, &record.bytes[..record.length])?)
    }

    /// What an inode says.
    pub fn info(&self, record: &Record) -> Info {
        let bytes = &record.bytes;
        let mode = le16(bytes, 0);
        let kind = kind_of(mode);
        let high = if kind == Kind::Directory { 0 } else { u64::from(le32(bytes, 0x6c)) };
        let count = u64::from(le32(bytes, 0x1c)) | if self.has_huge { u64::from(le16(bytes, 0x74)) << 32 } else { 0 };
        let is_huge = self.has_huge && record.flags() & 0x40000 != 0;
        Info {
            number: record.number.into(),
            kind,
            mode,
            owner: u32::from(le16(bytes, 2)) | u32::from(le16(bytes, 0x78)) << 16,
            group: u32::from(le16(bytes, 0x18)) | u32::from(le16(bytes, 0x7a)) << 16,
            links: le16(bytes, 0x1a),
            size: high << 32 | u64::from(le32(bytes, 4)),
            allocated: count * if is_huge { self.layout.block_bytes as u64 } else { 512 },
            accessed: le32(bytes, 8),
            changed: le32(bytes, 0xc),
            modified: le32(bytes, 0x10),
            created: if record.extra() >= 20 { le32(bytes, 0x90) } else { 0 },
        }
    }

    // ---- groups --------------------------------------------------------------------------------------------------

    /// Reads a group's descriptor.
    pub fn group(&self, overlay: &mut Overlay, number: u32) -> Here<Group> {
        let at = u64::from(number) * self.descriptor_bytes as u64;
        let block_bytes = self.layout.block_bytes as u64;
        let (block, at) = (self.descriptors + at / block_bytes, (at % block_bytes) as usize);
        let is_long = self.descriptor_bytes == MOST_DESCRIPTOR;
        let mut group = Group { number, block, at, bytes: [0; MOST_DESCRIPTOR], is_long };
        overlay.read_part(block, at, &mut group.bytes[..self.descriptor_bytes])?;
        Ok(group)
    }

    /// Writes it.
    pub fn write_group(&self, overlay: &mut Overlay, group: &mut Group) -> Here<()> {
        let bytes = &mut group.bytes[..self.descriptor_bytes];
        let number = group.number.to_le_bytes();
        let sum = match self.sums {
            Sums::None => None,
            Sums::Crc16 => {
                let sum = crc16(crc16(crc16(u16::MAX, &self.identity), &number), &bytes[..0x1e]);
                Some(crc16(sum, &bytes[0x20..]))
            }
            Sums::Crc32c(seed) => {
                bytes[0x1e..0x20].fill(0);
                Some(crc32c(crc32c(seed, &number), bytes) as u16)
            }
        };
        if let Some(sum) = sum {
            bytes[0x1e..0x20].copy_from_slice(&sum.to_le_bytes());
        }
        Ok(overlay.write_part(group.block, group.at, bytes)?)
    }

    /// The block of a bitmap.
    pub fn bitmap(&self, group: &Group, which: Bitmap) -> Here<u64> {
        let block = match which {
            Bitmap::Blocks => group.wide(0x0, 0x20, 4),
            Bitmap::Inodes => group.wide(0x4, 0x24, 4),
        };
        if block > self.descriptors && block < self.blocks { Ok(block) } else { Err(CORRUPT) }
    }

    /// Bytes of a bitmap that are in use, and so summed up.
    pub fn bitmap_bytes(&self, which: Bitmap) -> usize {
        let bits = if which == Bitmap::Blocks { self.blocks_per_group } else { self.inodes_per_group };
        bits as usize / 8
    }

    /// Whether a bitmap has the checksum that its group says.
    pub fn is_right(&self, group: &Group, which: Bitmap, bitmap: &[u8]) -> bool {
        let Sums::Crc32c(seed) = self.sums else { return true };
        let sum = crc32c(seed, &bitmap[..self.bitmap_bytes(which)]);
        let (kept, mask) = group.sum(which);
        sum & mask == kept
    }

    /// Writes bytes of a bitmap, and says so in its group.
    pub fn write_bitmap(
        &self,
        overlay: &mut Overlay,
        group: &mut Group,
        which: Bitmap,
        at: usize,
        (old, new): (&[u8], &[u8]),
    ) -> Here<()> {
        if let Sums::Crc32c(_) = self.sums {
            let behind = self.bitmap_bytes(which) - at - old.len();
            let sum = replace(group.sum(which).0, old, new, behind);
            group.set_sum(which, sum);
        }
        Ok(overlay.write_part(self.bitmap(group, which)?, at, new)?)
    }

    /// Notes that inodes of a group up to this one are in use.
    pub fn use_inode(&self, group: &mut Group, index: u32) {
        if self.sums == Sums::None {
            return;
        }
        let unused = self.inodes_per_group - 1 - index;
        if group.wide(0x1c, 0x32, 2) as u32 > unused {
            group.set_wide(0x1c, 0x32, 2, unused.into());
        }
    }

    // ---- the superblock ------------------------------------------------------------------------------------------

    fn superblock(&self) -> (u64, usize) {
        let size = self.layout.block_bytes;
        (superblock::OFFSET / size as u64, superblock::OFFSET as usize % size)
    }

    /// Whether there are files without names.
    pub fn has_orphans(&self, overlay: &mut Overlay) -> Here<bool> {
        let (block, start) = self.superblock();
        let mut orphan = [0; 4];
        overlay.read_part(block, start + 0xe8, &mut orphan)?;
        Ok(orphan != [0; 4])
    }

    /// Says in the superblock that so many more blocks and inodes are free; of inodes less, where it is less than 0.
    pub fn count(&self, overlay: &mut Overlay, blocks: u64, inodes: i64) -> Here<()> {
        let (block, start) = self.superblock();
        let mut sum = [0; 4];
        overlay.read_part(block, start + 0x3fc, &mut sum)?;
        let (mut summed, is_summed) = (u32::from_le_bytes(sum), matches!(self.sums, Sums::Crc32c(_)));
        // Returns what does not go into its 32 bits.
        let mut change = |at: usize, by: i64| -> Here<i64> {
            let mut old = [0; 4];
            overlay.read_part(block, start + at, &mut old)?;
            let new = i64::from(u32::from_le_bytes(old)).saturating_add(by).max(0);
            let bytes = (new as u32).to_le_bytes();
            if bytes != old {
                summed = replace(summed, &old, &bytes, 0x3fc - at - 4);
                let sum = (start + 0x3fc, &summed.to_le_bytes()[..]);
                let parts = [(start + at, &bytes[..]), sum];
                overlay.write_parts(block, if is_summed { &parts } else { &parts[..1] })?;
            }
            Ok(new >> 32)
        };
        if inodes != 0 {
            change(0x10, inodes)?;
        }
        if blocks != 0 {
            let carry = change(0xc, blocks as i64)?;
            if carry != 0 && self.descriptor_bytes == MOST_DESCRIPTOR {
                change(0x158, carry)?;
            }
        }
        Ok(())
    }
}

impl Group {
    /// A number whose lower and upper half are of so many bytes.
    fn wide(&self, low: usize, high: usize, bytes: usize) -> u64 {
        let half =
            |at: usize| if bytes == 2 { u64::from(le16(&self.bytes, at)) } else { u64::from(le32(&self.bytes, at)) };
        half(low) | if self.is_long { half(high) << (8 * bytes) } else { 0 }
    }

    fn set_wide(&mut self, low: usize, high: usize, bytes: usize, value: u64) {
        let value = value.to_le_bytes();
        self.bytes[low..low + bytes].copy_from_slice(&value[..bytes]);
        if self.is_long {
            self.bytes[high..high + bytes].copy_from_slice(&value[bytes..2 * bytes]);
        }
    }

    fn sums_at(which: Bitmap) -> (usize, usize) {
        if which == Bitmap::Blocks { (0x18, 0x38) } else { (0x1a, 0x3a) }
    }

    /// What it says a bitmap sums up to, and how much of that it says.
    fn sum(&self, which: Bitmap) -> (u32, u32) {
        let (low, high) = Group::sums_at(which);
        (self.wide(low, high, 2) as u32, if self.is_long { u32::MAX } else { 0xffff })
    }

    fn set_sum(&mut self, which: Bitmap, sum: u32) {
        let (low, high) = Group::sums_at(which);
        self.set_wide(low, high, 2, sum.into());
    }

    /// Whether a bitmap is not there yet.
    pub fn is_unmade(&self, which: Bitmap) -> bool {
        le16(&self.bytes, 0x12) & if which == Bitmap::Blocks { 2 } else { 1 } != 0
    }

    /// Free blocks or inodes.
    pub fn free(&self, which: Bitmap) -> u32 {
        let (low, high) = if which == Bitmap::Blocks { (0xc, 0x2c) } else { (0xe, 0x2e) };
        self.wide(low, high, 2) as u32
    }

    /// Says how many.
    pub fn set_free(&mut self, which: Bitmap, free: u32) {
        let (low, high) = if which == Bitmap::Blocks { (0xc, 0x2c) } else { (0xe, 0x2e) };
        self.set_wide(low, high, 2, free.into());
    }
}

impl Record {
    fn extra(&self) -> u16 {
        if self.length > 128 { le16(&self.bytes, 0x80) } else { 0 }
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets a time, and what says which 136 years it is in, if there is room for that (so many bytes beyond 128).
    fn put_time(&mut self, at: usize, more: usize, seconds: u64) {
        self.put32(at, seconds as u32);
        if usize::from(self.extra()) + 128 >= more + 4 {
            let epoch = (seconds as i64 - i64::from(seconds as u32 as i32)) >> 32;
            self.put32(more, epoch as u32 & 3);
        }
    }

    /// The bits that say what is special about it.
    pub fn flags(&self) -> u32 {
        le32(&self.bytes, 0x20)
    }

    /// Type and permissions.
    pub fn mode(&self) -> u16 {
        le16(&self.bytes, 0)
    }

    /// Its names.
    pub fn links(&self) -> u16 {
        le16(&self.bytes, 0x1a)
    }

    /// Whether it has attributes in a block of their own.
    pub fn has_attributes(&self) -> bool {
        le32(&self.bytes, 0x68) != 0 || le16(&self.bytes, 0x76) != 0
    }

    /// Whether it has any blocks.
    pub fn has_blocks(&self) -> bool {
        self.sectors() != 0
    }

    /// Where its blocks are, or its short target.
    pub fn mapping(&self) -> &[u8] {
        &self.bytes[0x28..0x64]
    }

    /// The same, to be changed.
    pub fn mapping_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[0x28..0x64]
    }

    /// Its size, if it is a file.
    pub fn file_bytes(&self) -> u64 {
        u64::from(le32(&self.bytes, 0x6c)) << 32 | u64::from(le32(&self.bytes, 4))
    }

    /// It has so many bytes from now on.
    pub fn set_file_bytes(&mut self, bytes: u64) {
        self.put32(4, bytes as u32);
        self.put32(0x6c, (bytes >> 32) as u32);
    }

    /// Sectors of 512 bytes that its blocks are.
    pub fn sectors(&self) -> u64 {
        u64::from(le16(&self.bytes, 0x74)) << 32 | u64::from(le32(&self.bytes, 0x1c))
    }

    /// They are so many from now on.
    pub fn set_sectors(&mut self, sectors: u64) {
        self.put32(0x1c, sectors as u32);
        self.put16(0x74, (sectors >> 32) as u16);
    }

    /// Its size, if it is a directory.
    pub fn directory_bytes(&self) -> u64 {
        le32(&self.bytes, 4).into()
    }

    /// It was changed: a name in it came or went. Returns whether it says anything new.
    pub fn touch(&mut self, seconds: u64) -> bool {
        let times = |bytes: &[u8]| (le32(bytes, 0xc), le32(bytes, 0x84), le32(bytes, 0x10), le32(bytes, 0x88));
        let before = times(&self.bytes);
        self.put_time(0xc, 0x84, seconds);
        self.put_time(0x10, 0x88, seconds);
        times(&self.bytes) != before
    }

    /// It has so many names from now on.
    pub fn set_links(&mut self, links: u16, seconds: u64) {
        self.put16(0x1a, links);
        self.put_time(0xc, 0x84, seconds);
    }

    /// Makes it that of an empty file with one name.
    pub fn make_file(&mut self, disk: &Disk, mode: u16, seconds: u64) {
        let generation = le32(&self.bytes, 0x64).wrapping_add(1);
        self.bytes.fill(0);
        self.put16(0, 0x8000 | mode & 0o7777);
        self.put16(0x1a, 1);
        self.put32(0x64, generation);
        if self.length > 128 {
            self.put16(0x80, disk.extra);
        }
        for (at, more) in [(0x8, 0x8c), (0xc, 0x84), (0x10, 0x88)] {
            self.put_time(at, more, seconds);
        }
        if self.extra() >= 24 {
            self.put_time(0x90, 0x94, seconds);
        }
        if disk.has_extents {
            self.put32(0x20, crate::mapping::FLAG_EXTENTS);
            self.put16(0x28, crate::mapping::EXTENT_MAGIC);
            self.put16(0x2c, 4);
        }
    }

    /// Makes it that of nothing.
    pub fn clear(&mut self, seconds: u64) {
        let (generation, extra) = (le32(&self.bytes, 0x64), self.extra());
        self.bytes.fill(0);
        self.put32(0x64, generation);
        self.put32(0x14, seconds as u32);
        if self.length > 128 {
            self.put16(0x80, extra);
        }
    }
}
