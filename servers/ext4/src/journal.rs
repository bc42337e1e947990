//! The journal on the disk, in the format of JBD2: a ring of blocks in a file, behind a superblock of its own.
//!
//! A transaction is one or more *descriptor* blocks, each followed by the images of the blocks that it lists, and a *commit* block. All numbers are big-endian.
//! What a recovery does: from the superblock's start it takes transactions with consecutive numbers as long as they are complete, and writes their
//! images home. There are no revocations: a block that is in the journal is not used for file data before everything in the journal is at home
//! (`format.rs`).

use crate::crc32c::crc32c;
use alloc::vec;
use alloc::vec::Vec;
use volume::drain::{Journal, LogImage, Transaction};

const MAGIC: u32 = 0xc03b_3998;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const SUPERBLOCK_V2: u32 = 4;

const REVOKE: u32 = 0x1;
const BITS_64: u32 = 0x2;
const CSUM_V2: u32 = 0x8;
const CSUM_V3: u32 = 0x10;

/// Flags of a tag.
const ESCAPE: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

/// Bytes of a block's header: magic, type, number of the transaction.
const HEADER_BYTES: usize = 12;

/// Why a journal cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// It contradicts itself.
    Corrupt,
    /// It has features that this server does not know.
    Unsupported,
}

/// Tells the time for commit blocks, in seconds.
pub type Seconds = fn() -> u64;

/// The journal of a mounted file system.
pub struct Jbd2 {
    superblock: Vec<u8>,
    /// The disk's block of each of its blocks.
    places: Vec<u64>,
    first: u32,
    end: u32,
    /// Where the next transaction goes, and its number.
    head: u32,
    sequence: u32,
    /// Blocks in use, and how many of them there were when the tail was last asked for.
    used: u32,
    leaving: u32,
    features: u32,
    seed: u32,
    seconds: Seconds,
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

impl Jbd2 {
    /// The journal whose superblock this is, with the disk's blocks of its file. Nothing in it is needed: the file system's superblock
    /// says so, or it was replayed.
    pub fn open(superblock: Vec<u8>, places: Vec<u64>, seconds: Seconds) -> Result<Jbd2, JournalError> {
        let field = |at| be32(&superblock, at);
        if superblock.len() < 1024 || field(0) != MAGIC || field(4) != SUPERBLOCK_V2 {
            return Err(JournalError::Corrupt);
        }
        let (maximum, first, start) = (field(16), field(20), field(28));
        let (compatible, features, read_only) = (field(36), field(40), field(44));
        if features & !(REVOKE | BITS_64 | CSUM_V2 | CSUM_V3) != 0 || compatible != 0 || read_only != 0 {
            return Err(JournalError::Unsupported);
        }
        let sums = features & (CSUM_V2 | CSUM_V3);
        let right = field(12) as usize == superblock.len()
            && maximum as usize <= places.len()
            && first >= 1
            && first < maximum
            && maximum - first >= 64
            && sums != CSUM_V2 | CSUM_V3
            && (sums == 0 || field(0xfc) == superblock_checksum(&superblock));
        if !right {
            return Err(JournalError::Corrupt);
        }
        let seed = crc32c(u32::MAX, &superblock[48..64]);
        // One that was opened for nothing, or given up: numbers that nothing in it can have.
        let sequence = if start == 0 { field(24) } else { field(24).wrapping_add(maximum) };
        let journal = Jbd2 {
            places,
            first,
            end: maximum,
            head: first,
            sequence,
            used: 0,
            leaving: 0,
            features,
            seed,
            seconds,
            superblock,
        };
        Ok(journal)
    }

    /// The journal's superblock, to be written before the first transaction (`recover`: there may be some), or after the last.
    pub fn superblock(&mut self, recover: bool) -> (u64, Vec<u8>) {
        let (start, sequence) = (if recover { self.head } else { 0 }, self.sequence);
        put32(&mut self.superblock, 28, start);
        put32(&mut self.superblock, 24, sequence);
        if self.has_checksums() {
            let sum = superblock_checksum(&self.superblock);
            put32(&mut self.superblock, 0xfc, sum);
        }
        (self.places[0], self.superblock.clone())
    }

    /// Whether a block of the disk is one of the journal's.
    pub fn places(&self) -> &[u64] {
        &self.places
    }

    fn has_checksums(&self) -> bool {
        self.features & (CSUM_V2 | CSUM_V3) != 0
    }

    fn tag_bytes(&self) -> usize {
        match self.features {
            features if features & CSUM_V3 != 0 => 16,
            features => 8 + 2 * usize::from(features & CSUM_V2 != 0) + 4 * usize::from(features & BITS_64 != 0),
        }
    }

    /// Tags that fit into a descriptor block.
    fn tags(&self) -> usize {
        let tail = if self.has_checksums() { 4 } else { 0 };
        // The first tag is followed by a UUID.
        (self.superblock.len() - HEADER_BYTES - tail - 16) / self.tag_bytes()
    }

    fn size(&self, blocks: usize) -> usize {
        blocks + blocks.div_ceil(self.tags()) + 1
    }

    fn header(&self, kind: u32) -> Vec<u8> {
        let mut block = vec![0; self.superblock.len()];
        put32(&mut block, 0, MAGIC);
        put32(&mut block, 4, kind);
        put32(&mut block, 8, self.sequence);
        block
    }

    /// The place of the next block of the ring.
    fn next(&mut self) -> u64 {
        let place = self.places[self.head as usize];
        self.head = if self.head + 1 == self.end { self.first } else { self.head + 1 };
        self.used += 1;
        place
    }

    fn tag(&self, into: &mut [u8], block: u64, flags: u32, sum: u32) {
        put32(into, 0, block as u32);
        if self.features & CSUM_V3 != 0 {
            put32(into, 4, flags);
            put32(into, 8, (block >> 32) as u32);
            put32(into, 12, sum);
            return;
        }
        into[4..6].copy_from_slice(&(sum as u16).to_be_bytes());
        into[6..8].copy_from_slice(&(flags as u16).to_be_bytes());
        if self.features & BITS_64 != 0 {
            put32(into, 8, (block >> 32) as u32);
        }
    }
}

/// Whether a journal's superblock says that there may be transactions.
pub fn is_in_use(superblock: &[u8; 64]) -> bool {
    be32(superblock, 0) == MAGIC && be32(superblock, 4) == SUPERBLOCK_V2 && be32(superblock, 28) != 0
}

/// Over the superblock, with the field of the sum taken as 0.
fn superblock_checksum(superblock: &[u8]) -> u32 {
    let sum = crc32c(u32::MAX, &superblock[..0xfc]);
    let sum = crc32c(sum, &[0; 4]);
    crc32c(sum, &superblock[0x100..1024])
}

impl Journal for Jbd2 {
    fn largest(&self) -> usize {
        let room = (self.end - self.first) as usize;
        room.saturating_sub(2 + room.div_ceil(self.tags()))
    }

    fn fits(&self, blocks: usize) -> bool {
        self.size(blocks) < (self.end - self.first - self.used) as usize
    }

    fn begin(&mut self, blocks: &[u64], time: u64, image: &mut dyn FnMut(usize, &mut [u8])) -> Transaction {
        let mut transaction = Transaction::default();
        let mut bytes = vec![0; self.superblock.len()];
        let number = crc32c(self.seed, &self.sequence.to_be_bytes());
        let per_descriptor = self.tags();
        for (round, group) in blocks.chunks(per_descriptor).enumerate() {
            let mut descriptor = self.header(DESCRIPTOR);
            let place = self.next();
            let mut at = HEADER_BYTES;
            let mut images = Vec::with_capacity(group.len());
            for (index, block) in group.iter().enumerate() {
                let which = round * per_descriptor + index;
                image(which, &mut bytes);
                let mut flags = if index == 0 { 0 } else { SAME_UUID };
                if index + 1 == group.len() {
                    flags |= LAST;
                }
                let image = if be32(&bytes, 0) == MAGIC {
                    // What looks like a header of the journal is written without its magic number.
                    flags |= ESCAPE;
                    put32(&mut bytes, 0, 0);
                    LogImage::Bytes(bytes.clone())
                } else {
                    LogImage::Block(which)
                };
                let sum = if self.has_checksums() { crc32c(number, &bytes) } else { 0 };
                let size = self.tag_bytes();
                self.tag(&mut descriptor[at..at + size], *block, flags, sum);
                at += size;
                if index == 0 {
                    descriptor[at..at + 16].copy_from_slice(&self.superblock[48..64]);
                    at += 16;
                }
                images.push(image);
            }
            if self.has_checksums() {
                let end = descriptor.len() - 4;
                let sum = crc32c(self.seed, &descriptor);
                put32(&mut descriptor, end, sum);
            }
            transaction.writes.push((place, LogImage::Bytes(descriptor)));
            for image in images {
                transaction.writes.push((self.next(), image));
            }
        }
        let mut commit = self.header(COMMIT);
        commit[48..56].copy_from_slice(&time.to_be_bytes());
        if self.has_checksums() {
            let sum = crc32c(self.seed, &commit);
            put32(&mut commit, 16, sum);
        }
        transaction.commit = (self.next(), commit);
        self.sequence = self.sequence.wrapping_add(1);
        transaction
    }

    fn now(&self) -> u64 {
        (self.seconds)()
    }

    fn place(&self) -> [u64; 3] {
        [self.head, self.sequence, self.used].map(u64::from)
    }

    fn resume(&mut self, place: [u64; 3]) {
        let [head, sequence, used] = place.map(|number| number as u32);
        if (self.first..self.end).contains(&head) && used <= self.end - self.first {
            (self.head, self.sequence, self.used) = (head, sequence, used);
        }
    }

    fn tail(&mut self) -> (u64, Vec<u8>) {
        self.leaving = self.used;
        self.superblock(true)
    }

    fn emptied(&mut self) {
        self.used -= core::mem::take(&mut self.leaving);
    }

    fn close(&mut self) -> (u64, Vec<u8>) {
        self.superblock(false)
    }

    fn open(&mut self) -> (u64, Vec<u8>) {
        self.superblock(true)
    }
}
