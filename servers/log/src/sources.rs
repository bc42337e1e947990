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

/// Records that one ring may bring at once: a program that writes without end does not keep the others away.
const AT_ONCE: usize = 512;

/// Bytes of a name, which another process chose, that are kept.
const MOST_NAME: usize = 32;

/// A ring, and where it was read to.
#[derive(Debug)]
struct Source {
    /// Its place in the registry.
    place: u32,
    name: String,
    process: u64,
    ring: Ring,
    latest: u64,
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
    fn reader(&mut self) -> Option<&mut LogReader> {
        if let Ring::Awaited(mapping) = self
            && mapping.bytes() as u64 >= LOG_RING_HEADER
            && mapping.load_u64(0, Ordering::Acquire) == LOG_MAGIC
            && let Ring::Awaited(mapping) = core::mem::replace(self, Ring::Bad)
        {
            *self = LogReader::open(mapping).map_or(Ring::Bad, Ring::Found);
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
    /// Collects another ring, which has this place in the registry.
    pub fn add(&mut self, place: u32, source: LogSource, ring: Mapping) {
        let LogSource { mut name, process } = source;
        let end = (0..=name.len().min(MOST_NAME)).rev().find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(0));
        self.sources.push(Source { place, name, process, ring: Ring::Awaited(ring), latest: 0 });
    }

    /// Collects a ring no more.
    pub fn remove(&mut self, place: u32) {
        self.sources.retain(|source| source.place != place);
    }

    /// What is new in all rings, in order of time; nothing is later than `now`. Whether there may be more.
    pub fn collect(&mut self, now: u64) -> (Vec<Record>, bool) {
        let (mut records, mut is_more) = (Vec::new(), false);
        for source in &mut self.sources {
            let before = records.len();
            source.collect(now, &mut records);
            is_more |= records.len() - before >= AT_ONCE;
        }
        // Stable: what one source wrote at the same time stays in order.
        records.sort_by_key(|record| record.time);
        (records, is_more)
    }
}

impl Source {
    fn collect(&mut self, now: u64, records: &mut Vec<Record>) {
        for _ in 0..AT_ONCE {
            let Some(entry) = self.ring.reader().and_then(LogReader::next_entry) else { break };
            self.latest = entry.time.clamp(self.latest, now.max(self.latest));
            if entry.lost > 0 {
                let text = format!("{} bytes of records were overwritten before they were read", entry.lost);
                records.push(self.record(Level::Warning, 0, text));
            }
            records.push(self.record(entry.level, entry.thread, entry.text));
        }
    }

    fn record(&self, level: Level, thread: u32, text: String) -> Record {
        Record { time: self.latest, level, source: self.name.to_string(), process: self.process, thread, text }
    }
}
