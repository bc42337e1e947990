//! The rings that are collected, and their merge by time. A ring may hold anything: its records are put in an order
//! in which they can have been written, and nobody else's suffer.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use libsys::Mapping;
use libsys::abi::ring::{LOG_MAGIC, LOG_RING_HEADER};
use libsys::log::LogReader;
use libsys::protocol::log::{Level, Record};
use libsys::protocol::registry::LogSource;
use serde::{Deserialize, Serialize};

/// Records that one ring may bring at once: a program that writes without end does not keep the others away.
const AT_ONCE: usize = 512;

/// Bytes of a name, which another process chose, that are kept.
const MOST_NAME: usize = 32;

/// How far a ring was read, and the time of the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    next: u64,
    latest: u64,
}

/// A record of a ring, and how far the ring is read with it.
#[derive(Debug)]
pub struct Collected {
    pub record: Record,
    /// The ring, by number of the Memory.
    pub ring: u64,
    pub position: Position,
}

/// A ring, and where it was read to.
#[derive(Debug)]
struct Source {
    /// Its place in the registry, and number of the Memory, which stays when others are taken away.
    place: u32,
    number: u64,
    name: String,
    process: u64,
    ring: Ring,
    position: Position,
    /// The next record, and the one behind it if that was read with it.
    next: Option<Collected>,
    behind: Option<Collected>,
    /// Records that this round may still take from the ring.
    left: usize,
    /// There was no further one in this round.
    is_empty: bool,
}

/// A ring is made by the first record that is written into it.
#[derive(Debug)]
enum Ring {
    Awaited(Mapping),
    Found(LogReader),
    /// It says that it is a ring, and is none.
    Bad,
}

impl Ring {
    fn reader(&mut self, position: u64) -> Option<&mut LogReader> {
        if let Ring::Awaited(mapping) = self
            && mapping.bytes() as u64 >= LOG_RING_HEADER
            && mapping.load_u64(0, Ordering::Acquire) == LOG_MAGIC
            && let Ring::Awaited(mapping) = core::mem::replace(self, Ring::Bad)
            && let Some(mut reader) = LogReader::open(mapping)
        {
            reader.seek(position);
            *self = Ring::Found(reader);
        }
        if let Ring::Found(reader) = self { Some(reader) } else { None }
    }
}

/// All rings.
#[derive(Debug, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Collects another ring, which has this place in the registry, from a position on.
    pub fn add(&mut self, place: u32, number: u64, source: LogSource, ring: Mapping, position: Position) {
        let LogSource { mut name, process } = source;
        let end = (0..=name.len().min(MOST_NAME)).rev().find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(0));
        let ring = Ring::Awaited(ring);
        let (next, behind) = (None, None);
        self.sources.push(Source {
            place,
            number,
            name,
            process,
            ring,
            position,
            next,
            behind,
            left: 0,
            is_empty: true,
        });
    }

    /// Collects a ring no more: number of its Memory.
    pub fn remove(&mut self, place: u32) -> Option<u64> {
        let at = self.sources.iter().position(|source| source.place == place)?;
        Some(self.sources.swap_remove(at).number)
    }

    /// Whether a ring is collected.
    pub fn has(&self, number: u64) -> bool {
        self.sources.iter().any(|source| source.number == number)
    }

    /// Begins a round, in which each ring gives so many records at most: [`Sources::next`].
    pub fn begin_round(&mut self) {
        self.sources.iter_mut().for_each(|source| (source.left, source.is_empty) = (AT_ONCE, false));
    }

    /// The earliest record of the round that was not taken yet; nothing is later than `now`. One of each ring is in memory at a time, however many
    /// there are: what a burst of records takes is not more than a few.
    pub fn next(&mut self, now: u64) -> Option<Collected> {
        self.sources.iter_mut().for_each(|source| source.read(now));
        let waiting = self.sources.iter_mut().filter(|source| source.next.is_some());
        // Of several at the same time it is the first.
        waiting.min_by_key(|source| source.next.as_ref().map(|next| next.record.time))?.next.take()
    }

    /// Whether there may be more behind the end of a round.
    pub fn has_more(&self) -> bool {
        self.sources.iter().any(|source| source.left == 0 && !source.is_empty)
    }
}

impl Source {
    /// Has the next record in `next`, if the round lets it and there is one.
    fn read(&mut self, now: u64) {
        if self.next.is_some() {
            return;
        }
        self.next = self.behind.take();
        if self.next.is_some() || self.left == 0 || self.is_empty {
            return;
        }
        let entry =
            self.ring.reader(self.position.next).and_then(|reader| Some((reader.next_entry()?, reader.offset())));
        let Some((entry, next)) = entry else {
            self.is_empty = true;
            return;
        };
        self.left -= 1;
        self.position.latest = entry.time.clamp(self.position.latest, now.max(self.position.latest));
        if entry.lost > 0 {
            let text = format!("{} bytes of records were overwritten before they were read", entry.lost);
            self.position.next = entry.start;
            self.next = Some(self.record(Level::Warning, 0, text));
        }
        self.position.next = next;
        let record = Some(self.record(entry.level, entry.thread, entry.text));
        if self.next.is_none() { self.next = record } else { self.behind = record }
    }

    fn record(&self, level: Level, thread: u32, text: String) -> Collected {
        let (source, process) = (self.name.to_string(), self.process);
        let record = Record { time: self.position.latest, level, source, process, thread, text };
        Collected { record, ring: self.number, position: self.position }
    }
}
