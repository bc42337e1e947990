//! The records that are kept: a bounded queue, numbered from the first that was ever taken in, in Memory that outlives the process.
//!
//! Each is its length and level in four bytes, and what postcard makes of it. Where it starts is not in memory again: a start of each of so many parts is, and from that on it is searched for.
//! So what the server has in memory does not depend on how many records there are.
//! A part of the Memory is left free, into which new ones are written; they count from
//! the commit of [`Extent`] on, with which the oldest give their place up. So what counts is never overwritten.

use alloc::boxed::Box;
use alloc::vec;
use libsys::WritableMapping;
use libsys::protocol::log::{Cursor, Level, Record, Records};
use serde::{Deserialize, Serialize};

/// Bytes before each record: how many it has, and above them its level.
const HEADER: usize = 4;

/// Where the level is in a header.
const LEVEL_SHIFT: u32 = 24;

/// Parts of the Memory of each of which it is known where a record starts.
const PARTS: usize = 256;

/// Least bytes for new records: more than the longest has, whose text is [`libsys::abi::ring::LOG_TEXT_BYTES`] before what is no character is replaced.
const LEAST_FREE: usize = 4096;

/// Least bytes of a store.
pub const SMALLEST: usize = 4 * LEAST_FREE;

/// Which part of the Memory counts: bytes ever written and given up, and the number of the first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    begin: u64,
    end: u64,
    first: u64,
}

/// The start of a record, in bytes ever written, and its number.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: u64,
    number: u64,
}

/// What is kept.
#[derive(Debug)]
pub struct Store {
    memory: WritableMapping,
    extent: Extent,
    /// Bytes behind the last commit.
    new: usize,
    /// Number that the next record gets.
    next: u64,
    /// The first start of a record in each part of the Memory; it counts if it is between `begin` and `end`.
    starts: Box<[Option<Start>]>,
}

impl Store {
    /// The store in Memory of at least [`SMALLEST`] bytes, with what counts there. What does not make sense is dropped, with all that is older.
    pub fn recover(memory: WritableMapping, extent: Extent) -> Store {
        let starts = vec![None; PARTS].into_boxed_slice();
        let mut store = Store { memory, extent, new: 0, next: extent.first, starts };
        let is_sound = extent.end.checked_sub(extent.begin).is_some_and(|bytes| bytes <= store.most() as u64);
        let mut at = if is_sound { extent.begin } else { extent.end };
        while at < extent.end {
            match store.header(at) {
                Some((bytes, _)) if at + bytes as u64 <= extent.end => {
                    store.note_start(at);
                    at += bytes as u64;
                }
                _ => {
                    store.drop_all();
                    break;
                }
            }
        }
        if !is_sound {
            store.drop_all();
        }
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
        let bytes = HEADER + encoded.len();
        if self.new + bytes > self.free() {
            return false;
        }
        let header = encoded.len() as u32 | (record.level as u32) << LEVEL_SHIFT;
        let at = self.extent.end;
        self.write(at, &header.to_le_bytes());
        self.write(at + HEADER as u64, &encoded);
        self.extent.end += bytes as u64;
        self.note_start(at);
        self.new += bytes;
        while self.extent.end - self.extent.begin > self.most() as u64 {
            let Some((oldest, _)) = self.header(self.extent.begin) else {
                self.drop_all();
                break;
            };
            self.extent.begin += oldest as u64;
            self.extent.first += 1;
        }
        true
    }

    /// Nothing counts that was written until now.
    fn drop_all(&mut self) {
        (self.extent.begin, self.extent.first) = (self.extent.end, self.next);
    }

    /// Notes that the next record starts somewhere.
    fn note_start(&mut self, at: u64) {
        let part = self.memory.bytes().div_ceil(PARTS);
        let index = (at % self.memory.bytes() as u64) as usize / part;
        // One that is farther behind was there when the Memory was last gone through.
        if self.starts[index].is_none_or(|start| at - start.at >= part as u64) {
            self.starts[index] = Some(Start { at, number: self.next });
        }
        self.next += 1;
    }

    /// What was added counts now.
    pub fn committed(&mut self) {
        self.new = 0;
    }

    /// After the newest record.
    pub fn end(&self) -> Cursor {
        Cursor(self.next)
    }

    /// Records after a cursor, of a level or more urgent ones, as many as a message holds.
    pub fn read(&self, after: Cursor, least: Level) -> Records {
        let first = self.extent.first;
        // A cursor that was never given out may be beyond the end.
        let start = after.0.min(self.next).max(first);
        let lost = first.saturating_sub(after.0);
        let (mut answer, mut encoded) = (Records { next: Cursor(start), lost, ..Records::default() }, 0);
        for (at, level) in self.records(start) {
            if level <= least
                && let Some(record) = self.record(at)
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
        self.records(after.0.clamp(self.extent.first, self.next)).map(|(_, level)| level).min()
    }

    /// Where records start, from a number on that counts, and their levels.
    fn records(&self, first: u64) -> impl Iterator<Item = (u64, Level)> {
        let Extent { begin, end, first: oldest } = self.extent;
        let known = self
            .starts
            .iter()
            .flatten()
            .filter(|start| (begin..end).contains(&start.at) && (oldest..=first).contains(&start.number));
        let near = known.max_by_key(|start| start.number).copied().unwrap_or(Start { at: begin, number: oldest });
        let mut at = near.at;
        let all = core::iter::from_fn(move || {
            let (bytes, level) = self.header(at).filter(|_| at < end)?;
            let start = at;
            at += bytes as u64;
            Some((start, level))
        });
        all.skip((first - near.number) as usize)
    }

    /// Bytes of the record that starts somewhere, this header included, and its level.
    fn header(&self, at: u64) -> Option<(usize, Level)> {
        let mut header = [0; HEADER];
        self.copy(at, &mut header);
        let header = u32::from_le_bytes(header);
        let bytes = HEADER + (header & ((1 << LEVEL_SHIFT) - 1)) as usize;
        let level = Level::from_number((header >> LEVEL_SHIFT) as u8)?;
        (bytes <= self.free()).then_some((bytes, level))
    }

    /// The record that starts somewhere.
    fn record(&self, at: u64) -> Option<Record> {
        let (bytes, _) = self.header(at)?;
        let mut encoded = vec![0; bytes - HEADER];
        self.copy(at + HEADER as u64, &mut encoded);
        postcard::from_bytes(&encoded).ok()
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
    HEADER + postcard::to_allocvec(record).map_or(0, |bytes| bytes.len())
}
