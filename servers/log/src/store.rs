//! The records that are kept: a bounded queue, numbered from the first that was ever taken in, in Memory that outlives the process.
//!
//! Each is its length in four bytes, and what postcard makes of it. A part of the Memory is left free, into which new ones are written; they count from
//! the commit of [`Extent`] on, with which the oldest give their place up. So what counts is never overwritten.

use alloc::collections::VecDeque;
use alloc::vec;
use libsys::WritableMapping;
use libsys::protocol::log::{Cursor, Level, Record, Records};
use serde::{Deserialize, Serialize};

/// Bytes of a record's length.
const LENGTH: usize = 4;

/// Least bytes for new records: more than the longest has, whose text is [`libsys::abi::ring::LOG_TEXT_BYTES`] before what is no character is replaced.
const LEAST_FREE: usize = 4096;

/// Bytes of the Memory for each record that is kept at most: hardly any is shorter. So the index is as large as it gets from the start.
const BYTES_A_RECORD: usize = 16;

/// Bits of a level.
const LEVEL_BITS: u32 = 3;

/// Least bytes of a store.
pub const SMALLEST: usize = 4 * LEAST_FREE;

/// Which part of the Memory counts: bytes ever written and given up, and the number of the first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    begin: u64,
    end: u64,
    first: u64,
}

/// What is kept.
#[derive(Debug)]
pub struct Store {
    memory: WritableMapping,
    extent: Extent,
    /// Bytes behind the last commit.
    new: usize,
    /// The records; never more than there is room for.
    index: VecDeque<Entry>,
}

/// Where a record starts, and how urgent it is, in one word.
#[derive(Clone, Copy, Debug)]
struct Entry(u64);

impl Entry {
    fn new(at: u64, level: Level) -> Entry {
        Entry(at << LEVEL_BITS | level as u64)
    }

    fn at(self) -> u64 {
        self.0 >> LEVEL_BITS
    }

    fn level(self) -> Level {
        Level::ALL[self.0 as usize % Level::ALL.len()]
    }
}

impl Store {
    /// The store in Memory of at least [`SMALLEST`] bytes, with what counts there. What does not make sense is dropped, with all that is older.
    pub fn recover(memory: WritableMapping, extent: Extent) -> Store {
        let index = VecDeque::with_capacity(memory.bytes() / BYTES_A_RECORD);
        let mut store = Store { memory, extent, new: 0, index };
        let is_sound = extent.end.checked_sub(extent.begin).is_some_and(|bytes| bytes <= store.most() as u64);
        let mut at = if is_sound { extent.begin } else { extent.end };
        while at < extent.end {
            let record = store.record(at);
            let (length, level) = record.map_or((0, None), |(length, record)| (length, Some(record.level)));
            let Some(level) = level else {
                store.index.clear();
                break;
            };
            // An older program may have kept more of them.
            if store.is_full() {
                store.drop_oldest();
            }
            store.index.push_back(Entry::new(at, level));
            at += length as u64;
        }
        store.extent.begin = store.begin();
        store
    }

    /// Which part of the Memory is to count.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Bytes that count, at most.
    fn most(&self) -> usize {
        self.memory.bytes() - self.free()
    }

    /// Bytes for new records, until the next commit.
    fn free(&self) -> usize {
        (self.memory.bytes() / 8).max(LEAST_FREE)
    }

    /// Adds a record; the oldest go where there is no room for it. Where this says no, what was added has to be committed first.
    pub fn push(&mut self, record: &Record) -> bool {
        // It only fails for values that have no length.
        let encoded = postcard::to_allocvec(record).unwrap_or_default();
        let bytes = LENGTH + encoded.len();
        if self.new + bytes > self.free() {
            return false;
        }
        self.write(self.extent.end, &(encoded.len() as u32).to_le_bytes());
        self.write(self.extent.end + LENGTH as u64, &encoded);
        if self.is_full() {
            self.drop_oldest();
        }
        self.index.push_back(Entry::new(self.extent.end, record.level));
        self.extent.end += bytes as u64;
        self.new += bytes;
        self.extent.begin = self.begin();
        while self.extent.end - self.extent.begin > self.most() as u64 && !self.index.is_empty() {
            self.drop_oldest();
            self.extent.begin = self.begin();
        }
        true
    }

    /// Whether the index has no room for another record.
    fn is_full(&self) -> bool {
        self.index.len() == self.memory.bytes() / BYTES_A_RECORD
    }

    fn drop_oldest(&mut self) {
        self.extent.first += u64::from(self.index.pop_front().is_some());
    }

    /// Where the first record starts.
    fn begin(&self) -> u64 {
        self.index.front().map_or(self.extent.end, |first| first.at())
    }

    /// What was added counts now.
    pub fn committed(&mut self) {
        self.new = 0;
    }

    /// After the newest record.
    pub fn end(&self) -> Cursor {
        Cursor(self.extent.first + self.index.len() as u64)
    }

    /// Records after a cursor, of a level or more urgent ones, as many as a message holds.
    pub fn read(&self, after: Cursor, least: Level) -> Records {
        let first = self.extent.first;
        // A cursor that was never given out may be beyond the end.
        let start = after.0.min(self.end().0).max(first);
        let lost = first.saturating_sub(after.0);
        let (mut answer, mut encoded) = (Records { next: Cursor(start), lost, ..Records::default() }, 0);
        for entry in self.index.range((start - first) as usize..) {
            if entry.level() <= least
                && let Some((_, record)) = self.record(entry.at())
                && !answer.push(record, &mut encoded)
            {
                break;
            }
            answer.next.0 += 1;
        }
        answer
    }

    /// The most urgent level after a cursor.
    pub fn most_urgent(&self, after: Cursor) -> Option<Level> {
        let start = after.0.clamp(self.extent.first, self.end().0);
        self.index.range((start - self.extent.first) as usize..).map(|entry| entry.level()).min()
    }

    /// The record that starts somewhere, and its bytes with the length.
    fn record(&self, at: u64) -> Option<(usize, Record)> {
        let mut length = [0; LENGTH];
        self.copy(at, &mut length);
        let length = u32::from_le_bytes(length) as usize;
        if length > self.free() {
            return None;
        }
        let mut bytes = vec![0; length];
        self.copy(at + LENGTH as u64, &mut bytes);
        Some((LENGTH + length, postcard::from_bytes(&bytes).ok()?))
    }

    /// The parts of the Memory where so many bytes from a position on are.
    fn parts(&self, at: u64, bytes: usize) -> (usize, usize) {
        let start = (at % self.memory.bytes() as u64) as usize;
        (start, bytes.min(self.memory.bytes() - start))
    }

    fn copy(&self, at: u64, into: &mut [u8]) {
        let (start, first) = self.parts(at, into.len());
        self.memory.copy_out(start, &mut into[..first]);
        self.memory.copy_out(0, &mut into[first..]);
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        let (start, first) = self.parts(at, bytes.len());
        self.memory.copy_in(start, &bytes[..first]);
        self.memory.copy_in(0, &bytes[first..]);
    }
}

/// Bytes that the records take, for tests.
#[cfg(test)]
pub fn encoded_bytes(record: &Record) -> usize {
    LENGTH + postcard::to_allocvec(record).map_or(0, |bytes| bytes.len())
}
