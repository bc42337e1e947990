//! Following a log ring that another process writes.

use super::Level;
use crate::Mapping;
use abi::ring::{LOG_ANSWERED_BYTES, LOG_MAGIC, LOG_RECORD_HEADER, LOG_RING_HEADER, LOG_SKIP, LOG_TEXT_BYTES};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;
use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// How urgent.
    pub level: Level,
    /// Number of the thread that wrote it, low half.
    pub thread: u32,
    /// What it says. Bytes that are not UTF-8 are replaced, and control characters too.
    pub text: String,
    /// Bytes of records before it that were overwritten unread.
    pub lost: u64,
    /// Where it starts, as [`LogReader::offset`] counts.
    pub start: u64,
}

/// What stands before a text.
struct Header {
    time: u64,
    level: Level,
    thread: u32,
    length: usize,
}

/// A reader of a ring. The ring may hold anything: a writer that breaks its rules spoils its own records, and nothing else.
#[derive(Debug)]
pub struct LogReader {
    ring: Mapping,
    capacity: u64,
    next: u64,
}

/// Most steps over fillers and bad records in one [`LogReader::next`].
const STEPS: usize = 64;

impl LogReader {
    /// A reader of the ring at the start of a mapping, from its oldest record. `None`: it is no ring (yet).
    pub fn open(ring: Mapping) -> Option<LogReader> {
        if (ring.bytes() as u64) < LOG_RING_HEADER
            || ring.load_u64(offset_of!(abi::ring::LogRing, magic), Ordering::Acquire) != LOG_MAGIC
        {
            return None;
        }
        let capacity = ring.load_u64(offset_of!(abi::ring::LogRing, capacity), Ordering::Relaxed);
        let room = ring.bytes() as u64 - LOG_RING_HEADER;
        if !capacity.is_power_of_two() || !(8..=room).contains(&capacity) {
            return None;
        }
        Some(LogReader { ring, capacity, next: 0 })
    }

    /// When the process first answered a request, if that is noted behind the ring.
    pub fn answered(&self) -> Option<u64> {
        let at = LOG_RING_HEADER + self.capacity;
        let has_room = at + LOG_ANSWERED_BYTES <= self.ring.bytes() as u64;
        Some(if has_room { self.word(at as usize, Ordering::Relaxed) } else { 0 }).filter(|time| *time != 0)
    }

    /// Bytes of the ring, ever written, that are behind this reader.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// Goes on at an offset of before. One that is ahead of the ring means its oldest record.
    pub fn seek(&mut self, offset: u64) {
        self.next = offset;
    }

    /// Leaves out all but the last so many records that there are. The others' texts are not looked at.
    pub fn skip_to_last(&mut self, count: usize) {
        let Some((oldest, head)) = self.extent() else { return };
        let (mut at, mut starts) = (self.next.max(oldest), VecDeque::with_capacity(count + 1));
        while at < head {
            let (bytes, header) = self.header(at, head);
            if header.is_some() {
                starts.push_back(at);
            }
            if starts.len() > count {
                starts.pop_front();
            }
            at += bytes;
        }
        self.next = starts.front().copied().unwrap_or(head);
    }

    /// The next record, if there is one.
    pub fn next_entry(&mut self) -> Option<Entry> {
        let mut lost = 0;
        for _ in 0..STEPS {
            let (oldest, head) = self.extent()?;
            if oldest == head || self.next == head {
                return None;
            }
            if self.next < oldest {
                lost += oldest - self.next;
                self.next = oldest;
            } else if self.next > head {
                // The ring started anew.
                self.next = oldest;
            }
            let at = self.next;
            let (bytes, entry) = self.record(at, head);
            // The copy counts if the writer did not begin to write over it meanwhile.
            fence(Ordering::SeqCst);
            if self.word(offset_of!(abi::ring::LogRing, oldest), Ordering::Relaxed) > at {
                continue;
            }
            self.next = at + bytes;
            if let Some(entry) = entry {
                return Some(Entry { lost, ..entry });
            }
        }
        None
    }

    fn word(&self, at: usize, order: Ordering) -> u64 {
        self.ring.load_u64(at, order)
    }

    /// Where the oldest record starts, and where the newest ends. `None`: that cannot be.
    fn extent(&self) -> Option<(u64, u64)> {
        let head = self.word(offset_of!(abi::ring::LogRing, head), Ordering::Acquire);
        let oldest = self.word(offset_of!(abi::ring::LogRing, oldest), Ordering::Relaxed);
        let held = head.checked_sub(oldest)?;
        (held <= self.capacity && (head | oldest).is_multiple_of(8)).then_some((oldest, head))
    }

    /// The header of the record at a position before `head`, and the record's length: at least 8, and not beyond `head`.
    fn header(&self, at: u64, head: u64) -> (u64, Option<Header>) {
        let place = (LOG_RING_HEADER + at % self.capacity) as usize;
        let to_end = (self.capacity - at % self.capacity).min(head - at);
        if to_end < LOG_RECORD_HEADER {
            return (to_end, None);
        }
        let (time, rest) = (self.word(place, Ordering::Relaxed), self.word(place + 8, Ordering::Relaxed));
        let (length, level, thread) = (rest & 0xffff, (rest >> 16) as u8, (rest >> 32) as u32);
        if level == LOG_SKIP {
            return (to_end, None);
        }
        let bytes = LOG_RECORD_HEADER + length.next_multiple_of(8);
        let Some(level) = Level::from_number(level).filter(|_| bytes <= to_end && length as usize <= LOG_TEXT_BYTES)
        else {
            return (to_end, None);
        };
        (bytes, Some(Header { time, level, thread, length: length as usize }))
    }

    /// The record at a position before `head`, and its length.
    fn record(&self, at: u64, head: u64) -> (u64, Option<Entry>) {
        let (bytes, header) = self.header(at, head);
        let Some(Header { time, level, thread, length }) = header else { return (bytes, None) };
        let place = (LOG_RING_HEADER + at % self.capacity) as usize;
        let mut text = vec![0; length];
        self.ring.copy_out(place + LOG_RECORD_HEADER as usize, &mut text);
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if text.contains(char::is_control) {
            text = text.replace(char::is_control, "\u{fffd}");
        }
        (bytes, Some(Entry { time, level, thread, text, lost: 0, start: at }))
    }
}

impl Iterator for LogReader {
    type Item = Entry;

    /// The next record; after `None`, more may come.
    fn next(&mut self) -> Option<Entry> {
        self.next_entry()
    }
}
