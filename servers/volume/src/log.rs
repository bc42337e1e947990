//! The record log of an overlay: what was committed and is not on the disk's home places yet. It lies in one Memory, with the frames of the
//! block images behind it, so that it can be kept across incarnations.
//!
//! The layout, in 64-bit words: a page with a header that never changes, two slots for the tail, of which the newer valid one counts, two for the *position* of the drain, and the number of entries that undo changes;
//! the records in a ring; what undoes changes (`log/undo.rs`); three words for each frame, what of the drain it is (its [`Role`]) and what its bytes sum up to; the frames. Every record has a sequence number and a checksum,
//! so the log ends where the next number or the checksum is not right: it is valid at every instruction.
//!
//! A record that *stands* counts from the store that completes it. Others count when somebody else says so, by their number: at [`RecordLog::open`] the rest is given up, from the first record on that
//! does neither.
//!
//! Neighbours: [`crate::overlay`] decides what is recorded, and what is still needed at the tail.

mod undo;

use crate::checksum::{self, Checksum};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use libsys::WritableMapping;

/// Bytes before the ring.
const RING: usize = 4096;
/// Where the two tail slots are.
const TAILS: [usize; 2] = [512, 1024];
/// Where the two slots of the drain's position are.
const POSITIONS: [usize; 2] = [2048, 3072];
/// Words of a position.
pub const POSITION_WORDS: usize = 10;
/// Bytes of a frame's role and sum.
const ENTRY: usize = 24;
/// Where the sum is in that.
const SUM: usize = 16;
/// The first word of a header: the name and the version of the layout.
const HEADER: u64 = u64::from_le_bytes(*b"overlay3");
/// The first half of a record's first word.
const RECORD: u64 = 0x5265_636f;
/// Words of a record before its entries.
const FIXED: usize = 5;
/// The mark of a record that stands, beside the number of its items.
const STANDS: u64 = 1 << 63;
/// The length of an item that is gone.
const GONE: u64 = u32::MAX as u64;

/// A block whose newest image is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// The block.
    pub block: u64,
    /// The frame.
    pub frame: u32,
}

/// The name of a small thing that is kept with the blocks: a reply, an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemKey {
    /// What it is.
    pub kind: u32,
    /// Which one.
    pub words: [u64; 3],
}

/// One atomic change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Blocks with a new image.
    pub puts: Vec<Put>,
    /// Blocks whose image is not needed any more: at home on the disk, or free.
    pub drops: Vec<u64>,
    /// Items with their new value; `None` removes one.
    pub items: Vec<(ItemKey, Option<Vec<u8>>)>,
    /// It counts as soon as it is there.
    pub stands: bool,
}

/// What a frame is to the drain: the image of a block in the transaction with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The transaction.
    pub transaction: u64,
    /// The block.
    pub block: u64,
}

impl Record {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.drops.is_empty() && self.items.is_empty()
    }

    /// Its size in the ring, in words.
    pub fn words(&self) -> usize {
        let items: usize =
            self.items.iter().map(|(_, value)| 4 + value.as_ref().map_or(0, |value| value.len().div_ceil(8))).sum();
        FIXED + 2 * self.puts.len() + self.drops.len() + items
    }

    fn encode(&self, sequence: u64) -> Vec<u64> {
        let mut words = Vec::with_capacity(self.words());
        words.push(RECORD << 32 | self.words() as u64);
        words.push(sequence);
        words.push(0);
        words.push((self.puts.len() as u64) << 32 | self.drops.len() as u64);
        words.push(self.items.len() as u64 | if self.stands { STANDS } else { 0 });
        for put in &self.puts {
            words.push(put.block);
            words.push(put.frame.into());
        }
        words.extend(&self.drops);
        for (key, value) in &self.items {
            let bytes = value.as_ref().map_or(GONE, |value| value.len() as u64);
            words.push(u64::from(key.kind) << 32 | bytes);
            words.extend(key.words);
            for piece in value.iter().flat_map(|value| value.chunks(8)) {
                let mut word = [0; 8];
                word[..piece.len()].copy_from_slice(piece);
                words.push(u64::from_le_bytes(word));
            }
        }
        words[2] = checksum(&words);
        words
    }

    /// `None`: not a whole record with this number.
    fn decode(words: &[u64], sequence: u64) -> Option<Record> {
        if words.len() < FIXED || words[1] != sequence || words[2] != checksum(words) {
            return None;
        }
        let mut rest = words[FIXED..].iter().copied();
        let mut record = Record { stands: words[4] & STANDS != 0, ..Record::default() };
        for _ in 0..words[3] >> 32 {
            let (block, frame) = (rest.next()?, rest.next()?);
            record.puts.push(Put { block, frame: u32::try_from(frame).ok()? });
        }
        for _ in 0..words[3] & u64::from(u32::MAX) {
            record.drops.push(rest.next()?);
        }
        for _ in 0..words[4] & !STANDS {
            let first = rest.next()?;
            let key = ItemKey { kind: (first >> 32) as u32, words: [rest.next()?, rest.next()?, rest.next()?] };
            let bytes = first & u64::from(u32::MAX);
            let value = if bytes == GONE {
                None
            } else {
                let mut value = Vec::new();
                for _ in 0..bytes.div_ceil(8) {
                    value.extend(rest.next()?.to_le_bytes());
                }
                value.truncate(bytes as usize);
                Some(value)
            };
            record.items.push((key, value));
        }
        Some(record)
    }
}

/// Over a record's words but the checksum itself.
fn checksum(words: &[u64]) -> u64 {
    let mut checksum = Checksum::new(HEADER);
    for (index, word) in words.iter().enumerate() {
        if index != 2 {
            checksum.word(*word);
        }
    }
    checksum.value()
}

/// Why a Memory is not taken as a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError {
    /// It is too small for a log.
    TooSmall,
    /// It holds no log of this layout and size.
    Foreign,
    /// A block image does not have its checksum, or the log contradicts itself.
    Damaged,
}

/// The log, and where the frames are.
pub struct RecordLog {
    memory: WritableMapping,
    /// Words of the ring.
    ring: u64,
    frame_bytes: usize,
    frames: u32,
    /// Positions in words, counted on for ever: the oldest record, the same as it is stored, and the end.
    tail: u64,
    stored_tail: u64,
    head: u64,
    /// Numbers of the oldest record and of the next.
    tail_sequence: u64,
    next: u64,
    /// Counts the moves of the tail.
    moves: u64,
    /// Counts the changes of the position.
    position_moves: u64,
    /// Entries that undo changes.
    undo: usize,
}

impl RecordLog {
    /// How a Memory of `bytes` is divided: words of the ring, and frames.
    fn division(bytes: usize, frame_bytes: usize) -> Result<(u64, u32), LogError> {
        // Entries are small against images: a sixteenth for the ring.
        let ring = (bytes / 16).next_multiple_of(4096).max(16 << 10);
        let rest = bytes.checked_sub(RING + ring + undo::BYTES).ok_or(LogError::TooSmall)?;
        let frames = rest.saturating_sub(4096) / (frame_bytes + ENTRY);
        let frames = u32::try_from(frames).map_err(|_| LogError::TooSmall)?;
        if frames < 32 { Err(LogError::TooSmall) } else { Ok((ring as u64 / 8, frames)) }
    }

    /// A new log in this memory, whatever is in it.
    pub fn create(memory: WritableMapping, frame_bytes: usize) -> Result<RecordLog, LogError> {
        let (ring, frames) = RecordLog::division(memory.bytes(), frame_bytes)?;
        let mut log = RecordLog {
            memory,
            ring,
            frame_bytes,
            frames,
            tail: 0,
            stored_tail: 0,
            head: 0,
            tail_sequence: 1,
            next: 1,
            moves: 0,
            position_moves: 0,
            undo: 0,
        };
        // The old header goes first, and the new one comes last.
        log.memory.word_u64(0).store(0, Ordering::Release);
        log.memory.zero(8, log.frame_at(0) - 8);
        log.store_tail();
        log.memory.word_u64(8).store(frame_bytes as u64, Ordering::Relaxed);
        log.memory.word_u64(0).store(HEADER, Ordering::Release);
        Ok(log)
    }

    /// The log that an earlier incarnation left, with its records in order: those that stand, and those up to the number `committed`. What comes behind the first other one is given up.
    pub fn open(
        memory: WritableMapping,
        frame_bytes: usize,
        committed: u64,
    ) -> Result<(RecordLog, Vec<(u64, Record)>), LogError> {
        let (ring, frames) = RecordLog::division(memory.bytes(), frame_bytes)?;
        let load = |at: usize| memory.load_u64(at, Ordering::Acquire);
        if load(0) != HEADER || load(8) != frame_bytes as u64 {
            return Err(LogError::Foreign);
        }
        let [moves, tail, sequence] = newest(&memory, TAILS).ok_or(LogError::Damaged)?;
        let mut log = RecordLog {
            memory,
            ring,
            frame_bytes,
            frames,
            tail,
            stored_tail: tail,
            head: tail,
            tail_sequence: sequence,
            next: sequence,
            moves,
            position_moves: 0,
            undo: 0,
        };
        let mut records = Vec::new();
        while let Some((record, words)) = log.read(log.head, log.next, log.tail + log.ring - log.head) {
            if !record.stands && log.next > committed {
                log.give_up_rest();
                break;
            }
            records.push((log.next, record));
            log.head += words;
            log.next += 1;
        }
        log.roll_back_dead()?;
        Ok((log, records))
    }

    /// Takes the records behind the head away, the last one first.
    fn give_up_rest(&mut self) {
        let (mut position, mut number, mut places) = (self.head, self.next, Vec::new());
        while let Some((_, words)) = self.read(position, number, self.tail + self.ring - position) {
            places.push(position);
            position += words;
            number += 1;
        }
        for position in places.into_iter().rev() {
            self.memory.word_u64(self.word_at(position)).store(0, Ordering::Release);
            crate::kept::step();
        }
    }

    fn word_at(&self, position: u64) -> usize {
        RING + (position % self.ring) as usize * 8
    }

    /// The record with this number at a position, at most `most` words long, and its length.
    fn read(&self, position: u64, sequence: u64, most: u64) -> Option<(Record, u64)> {
        if most < FIXED as u64 {
            return None;
        }
        let first = self.memory.load_u64(self.word_at(position), Ordering::Acquire);
        let words = first & u64::from(u32::MAX);
        if first >> 32 != RECORD || words < FIXED as u64 || words > most {
            return None;
        }
        let mut copy = vec![0; words as usize];
        for (index, word) in copy.iter_mut().enumerate() {
            *word = self.memory.load_u64(self.word_at(position + index as u64), Ordering::Relaxed);
        }
        Record::decode(&copy, sequence).map(|record| (record, words))
    }

    /// Stores where the oldest record is: only then there is room where those before were.
    pub fn store_tail(&mut self) {
        self.stored_tail = self.tail;
        self.moves += 1;
        let words = [self.moves, self.tail, self.tail_sequence];
        store_slot(&self.memory, TAILS[(self.moves % 2) as usize], words);
    }

    /// Where the drain is: what was stored last. `None`: nothing was.
    pub fn position(&mut self) -> Option<[u64; POSITION_WORDS]> {
        let words: [u64; POSITION_WORDS + 1] = newest(&self.memory, POSITIONS)?;
        self.position_moves = words[0];
        let mut position = [0; POSITION_WORDS];
        position.copy_from_slice(&words[1..]);
        Some(position)
    }

    /// Stores where the drain is, at once.
    pub fn set_position(&mut self, position: [u64; POSITION_WORDS]) {
        self.position_moves += 1;
        let mut words = [self.position_moves; POSITION_WORDS + 1];
        words[1..].copy_from_slice(&position);
        store_slot(&self.memory, POSITIONS[(self.position_moves % 2) as usize], words);
    }

    fn role_at(&self, frame: u32) -> usize {
        RING + self.ring as usize * 8 + undo::BYTES + frame as usize * ENTRY
    }

    /// What a frame was last to the drain. `None`: nothing yet.
    pub fn role(&self, frame: u32) -> Option<Role> {
        let at = self.role_at(frame);
        let transaction = self.memory.load_u64(at, Ordering::Acquire);
        let block = self.memory.load_u64(at + 8, Ordering::Acquire);
        (transaction != 0).then_some(Role { transaction, block })
    }

    /// Says what a frame is to the drain: the number comes last.
    pub fn set_role(&mut self, frame: u32, role: Role) {
        let at = self.role_at(frame);
        for (at, word) in [(at, 0), (at + 8, role.block), (at, role.transaction)] {
            self.memory.word_u64(at).store(word, Ordering::Release);
            crate::kept::step();
        }
    }

    /// Words that can still be appended.
    pub fn room(&self) -> u64 {
        self.ring - (self.head - self.stored_tail)
    }

    /// Words of the records that there are.
    pub fn in_use(&self) -> u64 {
        self.head - self.tail
    }

    /// Words of the whole ring.
    pub fn capacity(&self) -> u64 {
        self.ring
    }

    /// The number that the next record gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Appends a record, and returns its number. The caller has looked at [`RecordLog::room`]; without room nothing is written, and `None` returned.
    pub fn append(&mut self, record: &Record) -> Option<u64> {
        if record.words() as u64 > self.room() {
            return None;
        }
        let words = record.encode(self.next);
        // The first word comes last: until then there is no record here.
        for (index, word) in words.iter().enumerate().skip(1) {
            self.memory.word_u64(self.word_at(self.head + index as u64)).store(*word, Ordering::Relaxed);
        }
        crate::kept::step();
        self.memory.word_u64(self.word_at(self.head)).store(words[0], Ordering::Release);
        crate::kept::step();
        self.head += words.len() as u64;
        self.next += 1;
        Some(self.next - 1)
    }

    /// The oldest record, with its number.
    pub fn oldest(&self) -> Option<(u64, Record)> {
        let (record, _) = self.read(self.tail, self.tail_sequence, self.head - self.tail)?;
        Some((self.tail_sequence, record))
    }

    /// Words of the oldest record, if it says nothing.
    pub fn empty_oldest(&self) -> Option<usize> {
        let word = |index: u64| self.memory.load_u64(self.word_at(self.tail + index), Ordering::Relaxed);
        let is_empty = self.head - self.tail >= FIXED as u64
            && word(0) == RECORD << 32 | FIXED as u64
            && word(1) == self.tail_sequence;
        is_empty.then_some(FIXED)
    }

    /// Gives up the oldest record, which is of so many words. It is gone when [`RecordLog::store_tail`] says so.
    pub fn remove_oldest(&mut self, words: usize) {
        self.tail += words as u64;
        self.tail_sequence += 1;
    }

    /// Frames that there are.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Where a frame is in the Memory. Frames begin at a multiple of their size, up to a page.
    pub fn frame_at(&self, frame: u32) -> usize {
        let entries = (self.frames as usize * ENTRY).next_multiple_of(4096);
        RING + self.ring as usize * 8 + undo::BYTES + entries + frame as usize * self.frame_bytes
    }

    /// Reads a frame.
    pub fn read_frame(&self, frame: u32, into: &mut [u8]) {
        self.memory.copy_out(self.frame_at(frame), &mut into[..self.frame_bytes]);
    }

    /// Reads a part of a frame.
    pub fn read_part(&self, frame: u32, offset: usize, into: &mut [u8]) {
        self.memory.copy_out(self.frame_at(frame) + offset, into);
    }

    /// Writes a frame.
    pub fn write_frame(&self, frame: u32, from: &[u8]) {
        self.memory.copy_in(self.frame_at(frame), &from[..self.frame_bytes]);
        let words = from[..self.frame_bytes].as_chunks().0.iter();
        self.set_sum(frame, checksum::sum(words.map(|word| u64::from_le_bytes(*word))));
    }

    /// Copies a frame to another one; `is_summed`: it has its sum already.
    pub fn copy_frame(&self, from: u32, to: u32, is_summed: bool) {
        self.memory.copy_from(self.frame_at(to), &self.memory, self.frame_at(from), self.frame_bytes);
        self.set_sum(to, if is_summed { self.sum(from) } else { self.sum_up(to) });
    }

    /// What the bytes of a frame should sum up to, if they were written here.
    fn sum(&self, frame: u32) -> u64 {
        self.memory.load_u64(self.role_at(frame) + SUM, Ordering::Relaxed)
    }

    fn set_sum(&self, frame: u32, sum: u64) {
        self.memory.word_u64(self.role_at(frame) + SUM).store(sum, Ordering::Release);
    }

    /// What they do sum up to.
    fn sum_up(&self, frame: u32) -> u64 {
        let words = self.memory.words_u64(self.frame_at(frame), self.frame_bytes / 8);
        checksum::sum(words.iter().map(|word| word.load(Ordering::Relaxed)))
    }

    /// Whether a frame is as it was written here.
    pub fn is_right(&self, frame: u32) -> bool {
        self.sum_up(frame) == self.sum(frame)
    }
}

/// Stores words and their checksum: an interrupted store leaves a slot that the checksum refuses; the other one counts then.
fn store_slot<const N: usize>(memory: &WritableMapping, at: usize, words: [u64; N]) {
    memory.word_u64(at + N * 8).store(0, Ordering::Release);
    crate::kept::step();
    for (index, word) in words.iter().enumerate() {
        memory.word_u64(at + index * 8).store(*word, Ordering::Release);
    }
    crate::kept::step();
    memory.word_u64(at + N * 8).store(slot_checksum(words), Ordering::Release);
    crate::kept::step();
}

/// The words of the newer one of two slots, by the first word.
fn newest<const N: usize>(memory: &WritableMapping, slots: [usize; 2]) -> Option<[u64; N]> {
    let load = |at: usize| memory.load_u64(at, Ordering::Acquire);
    let slot = |at: usize| {
        let words: [u64; N] = core::array::from_fn(|index| load(at + index * 8));
        (words[0] != 0 && load(at + N * 8) == slot_checksum(words)).then_some(words)
    };
    slots.iter().filter_map(|at| slot(*at)).max_by_key(|words| words[0])
}

fn slot_checksum<const N: usize>(words: [u64; N]) -> u64 {
    let mut sum = Checksum::new(HEADER);
    for word in words {
        sum.word(word);
    }
    sum.value()
}
