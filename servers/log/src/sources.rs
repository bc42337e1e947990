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
        self.sources.push(Source { place, number, name, process, ring: Ring::Awaited(ring), position });
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

    /// What is new in all rings, in order of time; nothing is later than `now`. Whether there may be more.
    pub fn collect(&mut self, now: u64) -> (Vec<Collected>, bool) {
        let (mut records, mut is_more) = (Vec::new(), false);
        for source in &mut self.sources {
            let before = records.len();
            source.collect(now, &mut records);
            is_more |= records.len() - before >= AT_ONCE;
        }
        // Stable: what one source wrote at the same time stays in order.
        records.sort_by_key(|collected| collected.record.time);
        (records, is_more)
    }
}

impl Source {
    fn collect(&mut self, now: u64, records: &mut Vec<Collected>) {
        for _ in 0..AT_ONCE {
            let Some(reader) = self.ring.reader(self.position.next) else { break };
            let Some(entry) = reader.next_entry() else { break };
            let (next, latest) = (reader.offset(), self.position.latest);
            self.position.latest = entry.time.clamp(latest, now.max(latest));
            if entry.lost > 0 {
                let text = format!("{} bytes of records were overwritten before they were read", entry.lost);
                self.position.next = entry.start;
                records.push(self.record(Level::Warning, 0, text));
            }
            self.position.next = next;
            records.push(self.record(entry.level, entry.thread, entry.text));
        }
    }

    fn record(&self, level: Level, thread: u32, text: String) -> Collected {
        let (source, process) = (self.name.to_string(), self.process);
        let record = Record { time: self.position.latest, level, source, process, thread, text };
        Collected { record, ring: self.number, position: self.position }
    }
}
