//! Writing a log ring.

use super::Level;
use crate::{WritableMapping, sys, time};
use abi::ring::{LOG_ANSWERED_BYTES, LOG_MAGIC, LOG_RECORD_HEADER, LOG_RING_HEADER, LOG_SKIP, LOG_TEXT_BYTES};
use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

const MAGIC: usize = offset_of!(abi::ring::LogRing, magic);
const CAPACITY: usize = offset_of!(abi::ring::LogRing, capacity);
const HEAD: usize = offset_of!(abi::ring::LogRing, head);
const OLDEST: usize = offset_of!(abi::ring::LogRing, oldest);

/// Smallest capacity: a record of any length fits.
const SMALLEST: u64 = 2048;

/// A ring is never written so far: an index beyond is nonsense.
const INDEX_END: u64 = 1 << 62;

/// The writer of a ring; there is one at a time.
#[derive(Debug)]
pub struct LogWriter {
    ring: WritableMapping,
    capacity: u64,
    head: u64,
    oldest: u64,
}

impl LogWriter {
    /// The ring that fills a mapping: continued, if an earlier incarnation wrote one there, else empty. `None`: too small.
    pub fn open(ring: WritableMapping) -> Option<LogWriter> {
        let room = (ring.bytes() as u64).checked_sub(LOG_RING_HEADER)?;
        let capacity = if room.is_power_of_two() { room } else { room.checked_next_power_of_two()? / 2 };
        if capacity < SMALLEST {
            return None;
        }
        let word = |at| ring.load_u64(at, Ordering::Relaxed);
        let (head, oldest) = (word(HEAD), word(OLDEST));
        let continues = word(MAGIC) == LOG_MAGIC
            && word(CAPACITY) == capacity
            && head.checked_sub(oldest).is_some_and(|held| held <= capacity)
            && (head | oldest) % 8 == 0
            && head < INDEX_END;
        let (head, oldest) = if continues { (head, oldest) } else { (0, 0) };
        let writer = LogWriter { ring, capacity, head, oldest };
        if !continues {
            let store = |at, value| writer.ring.word_u64(at).store(value, Ordering::Relaxed);
            store(HEAD, 0);
            store(OLDEST, 0);
            store(CAPACITY, capacity);
            writer.ring.word_u64(MAGIC).store(LOG_MAGIC, Ordering::Release);
        }
        Some(writer)
    }

    /// Writes a record, over the oldest ones. Texts beyond [`LOG_TEXT_BYTES`] are cut.
    pub fn write(&mut self, level: Level, text: &str) {
        let mut length = text.len().min(LOG_TEXT_BYTES);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let bytes = LOG_RECORD_HEADER + length.next_multiple_of(8) as u64;
        let to_end = self.to_end(self.head);
        if to_end < bytes {
            self.make_room(to_end);
            if to_end >= LOG_RECORD_HEADER {
                self.put_header(0, (to_end - LOG_RECORD_HEADER) as u16, LOG_SKIP);
            }
            self.publish(to_end);
        }
        self.make_room(bytes);
        self.put_header(time::now(), length as u16, level as u8);
        let at = self.place(self.head) + LOG_RECORD_HEADER as usize;
        self.ring.copy_in(at, &text.as_bytes()[..length]);
        self.publish(bytes);
    }

    /// Notes behind the ring, if there is room, when the process first answered a request.
    pub fn note_answer(&self, time: u64) {
        let at = LOG_RING_HEADER + self.capacity;
        if at + LOG_ANSWERED_BYTES <= self.ring.bytes() as u64 {
            self.ring.word_u64(at as usize).store(time, Ordering::Relaxed);
        }
    }

    fn to_end(&self, position: u64) -> u64 {
        self.capacity - position % self.capacity
    }

    /// Offset in the mapping of a position in the ring.
    fn place(&self, position: u64) -> usize {
        (LOG_RING_HEADER + position % self.capacity) as usize
    }

    fn put_header(&self, time: u64, bytes: u16, level: u8) {
        let thread = sys::identify().thread as u32;
        let at = self.place(self.head);
        self.ring.word_u64(at).store(time, Ordering::Relaxed);
        let rest = u64::from(bytes) | u64::from(level) << 16 | u64::from(thread) << 32;
        self.ring.word_u64(at + 8).store(rest, Ordering::Relaxed);
    }

    fn publish(&mut self, bytes: u64) {
        self.head += bytes;
        self.ring.word_u64(HEAD).store(self.head, Ordering::Release);
    }

    /// Gives up old records until `bytes` more fit.
    fn make_room(&mut self, bytes: u64) {
        while self.head + bytes - self.oldest > self.capacity {
            // What is there this process wrote itself; if it wrote over it, all old records go.
            let next = self.oldest + self.length(self.oldest);
            self.oldest = next.min(self.head);
        }
        self.ring.word_u64(OLDEST).store(self.oldest, Ordering::Relaxed);
        // Readers see this before the bytes change.
        fence(Ordering::SeqCst);
    }

    /// Bytes of the record at a position: at least 8.
    fn length(&self, position: u64) -> u64 {
        let to_end = self.to_end(position);
        if to_end < LOG_RECORD_HEADER {
            return to_end;
        }
        let rest = self.ring.load_u64(self.place(position) + 8, Ordering::Relaxed);
        let is_skip = (rest >> 16) as u8 == LOG_SKIP;
        if is_skip { to_end } else { (LOG_RECORD_HEADER + (rest & 0xffff).next_multiple_of(8)).min(to_end) }
    }
}
