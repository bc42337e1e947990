//! The log's ring of records (`abi::ring`): one CPU writes at a time, under the log's own lock, and user space reads at any time.

use super::platform::{AtomicU64, Ordering::*, constructor, fence, zeros};
use abi::ring::{LOG_MAGIC, LOG_RECORD_HEADER, LOG_SKIP};

/// `abi::ring::LogRing` and its data, with the fields that readers watch as atomics.
#[repr(C)]
pub struct LogRing<const WORDS: usize> {
    magic: u64,
    capacity: u64,
    pub(crate) head: AtomicU64,
    pub(crate) oldest: AtomicU64,
    data: [AtomicU64; WORDS],
}

impl<const WORDS: usize> LogRing<WORDS> {
    const CAPACITY: u64 = WORDS as u64 * 8;
    /// Where the data begins.
    pub const DATA: usize = core::mem::offset_of!(Self, data);

    constructor! {
        /// An empty ring.
        pub fn new() -> LogRing<WORDS> {
            let data = zeros();
            LogRing { magic: LOG_MAGIC, capacity: Self::CAPACITY, head: AtomicU64::new(0), oldest: AtomicU64::new(0), data }
        }
    }

    /// Puts a record in; the caller is the only writer.
    pub fn put(&self, time: u64, level: u8, text: &[u8]) {
        let bytes = LOG_RECORD_HEADER + text.len().next_multiple_of(8) as u64;
        let at = self.head.load(Relaxed);
        let to_end = Self::CAPACITY - at % Self::CAPACITY;
        if to_end < bytes {
            // No record wraps. The rest is at least a word, as records are multiples of one.
            self.make_room(at + to_end);
            self.record(at, to_end, time, to_end.saturating_sub(LOG_RECORD_HEADER), LOG_SKIP);
            self.head.store(at + to_end, Release);
        }
        let at = self.head.load(Relaxed);
        self.make_room(at + bytes);
        self.record(at, bytes, time, text.len() as u64, level);
        for (n, chunk) in text.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(at + LOG_RECORD_HEADER + n as u64 * 8).store(u64::from_le_bytes(word), Relaxed);
        }
        self.head.store(at + bytes, Release);
    }

    /// The word at a position of the ring.
    pub(crate) fn word(&self, at: u64) -> &AtomicU64 {
        &self.data[at as usize % (WORDS * 8) / 8]
    }

    /// Writes a record's header (`abi::ring::LogRecord`, of no thread), as far as `bytes` allow: a skip can be shorter.
    fn record(&self, at: u64, bytes: u64, time: u64, length: u64, level: u8) {
        let second = length & 0xffff | u64::from(level) << 16;
        if bytes >= LOG_RECORD_HEADER {
            self.word(at).store(time, Relaxed);
            self.word(at + 8).store(second, Relaxed);
        } else {
            self.word(at).store(second, Relaxed);
        }
    }

    /// Gives up the oldest records until the ring has room up to `end`.
    fn make_room(&self, end: u64) {
        let mut oldest = self.oldest.load(Relaxed);
        while end - oldest > Self::CAPACITY {
            oldest += self.length(oldest);
        }
        self.oldest.store(oldest, Release);
        // Readers see this before the bytes change.
        fence(SeqCst);
    }

    /// Bytes of the record at a position: to the end of the data for a skip.
    pub(crate) fn length(&self, at: u64) -> u64 {
        let to_end = Self::CAPACITY - at % Self::CAPACITY;
        if to_end < LOG_RECORD_HEADER {
            return to_end;
        }
        let second = self.word(at + 8).load(Relaxed);
        if second >> 16 & 0xff == u64::from(LOG_SKIP) {
            to_end
        } else {
            LOG_RECORD_HEADER + (second & 0xffff).next_multiple_of(8)
        }
    }
}
