//! The kernel's log: a ring of records (`abi::ring`) that user space maps read-only, and, with `log=serial` on
//! the command line, the serial port.

use crate::arch::{clock, image_physical, serial};
use abi::ring::{LOG_MAGIC, LOG_RECORD_HEADER, LOG_RING_HEADER, LOG_SKIP, LOG_TEXT_BYTES, LogRecord};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use spin::Mutex;
use x86_64::PhysAddr;

/// Those syslog levels (RFC 5424 §6.2.1) at which the kernel has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Level {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Writes a record: `log!(Info, "{} CPUs", n)`. Longer texts than a record's are cut.
#[macro_export]
macro_rules! log {
    ($level:ident, $($argument:tt)*) => {
        $crate::log::write($crate::log::Level::$level, format_args!($($argument)*))
    };
}

const CAPACITY: usize = 64 * 1024;

/// Bytes of Memory that the ring takes.
pub const BYTES: u64 = size_of::<Ring>() as u64;

/// `abi::ring::LogRing` and its data, with the fields that readers watch as atomics.
#[repr(C, align(4096))]
struct Ring {
    magic: u64,
    capacity: u64,
    head: AtomicU64,
    oldest: AtomicU64,
    data: [AtomicU64; CAPACITY / 8],
}

const _: () = assert!(core::mem::offset_of!(Ring, data) as u64 == LOG_RING_HEADER && CAPACITY.is_power_of_two());

static RING: Ring = Ring::new();
static WRITER: Mutex<Text> = Mutex::new(Text::new());
static ECHO: AtomicBool = AtomicBool::new(false);

/// Where the ring is, for mapping it.
pub fn ring() -> PhysAddr {
    image_physical(&raw const RING)
}

/// Sends all further records to the serial port too.
pub fn echo_to_serial() {
    ECHO.store(true, Relaxed);
}

/// Writes a record. See [`log!`].
pub fn write(level: Level, text: fmt::Arguments) {
    let time = clock::now();
    let mut buffer = WRITER.lock();
    buffer.length = 0;
    // It fails when the text is cut.
    let _ = buffer.write_fmt(text);
    RING.put(time, level as u8, buffer.bytes());
    if ECHO.load(Relaxed) {
        let text = str::from_utf8(buffer.bytes()).unwrap_or("?");
        let (seconds, micros) = (time / 1_000_000_000, time / 1000 % 1_000_000);
        let _ = writeln!(serial::Serial, "[{seconds:5}.{micros:06}] {text}");
    }
}

impl Ring {
    const fn new() -> Ring {
        let data = [const { AtomicU64::new(0) }; CAPACITY / 8];
        Ring { magic: LOG_MAGIC, capacity: CAPACITY as u64, head: AtomicU64::new(0), oldest: AtomicU64::new(0), data }
    }

    /// Puts a record in; the caller is the only writer.
    fn put(&self, time: u64, level: u8, text: &[u8]) {
        let bytes = LOG_RECORD_HEADER + text.len().next_multiple_of(8) as u64;
        let at = self.head.load(Relaxed);
        let to_end = CAPACITY as u64 - at % CAPACITY as u64;
        if to_end < bytes {
            // No record wraps. The rest is at least a word, as records are multiples of one.
            self.make_room(at + to_end);
            self.record(
                at,
                &LogRecord {
                    time,
                    bytes: to_end.saturating_sub(LOG_RECORD_HEADER) as u16,
                    level: LOG_SKIP,
                    ..LogRecord::default()
                },
                to_end,
            );
            self.head.store(at + to_end, Release);
        }
        let at = self.head.load(Relaxed);
        self.make_room(at + bytes);
        self.record(at, &LogRecord { time, bytes: text.len() as u16, level, ..LogRecord::default() }, bytes);
        for (n, chunk) in text.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(at + LOG_RECORD_HEADER + n as u64 * 8).store(u64::from_le_bytes(word), Relaxed);
        }
        self.head.store(at + bytes, Release);
    }

    /// The word at a position of the ring.
    fn word(&self, at: u64) -> &AtomicU64 {
        &self.data[at as usize % CAPACITY / 8]
    }

    /// Writes a record's header, as far as `bytes` allow: a skip can be shorter.
    fn record(&self, at: u64, record: &LogRecord, bytes: u64) {
        let (length, level, thread) = (u64::from(record.bytes), u64::from(record.level), u64::from(record.thread));
        let second = length | level << 16 | thread << 32;
        if bytes >= LOG_RECORD_HEADER {
            self.word(at).store(record.time, Relaxed);
            self.word(at + 8).store(second, Relaxed);
        } else {
            self.word(at).store(second, Relaxed);
        }
    }

    /// Gives up the oldest records until the ring has room up to `end`.
    fn make_room(&self, end: u64) {
        let mut oldest = self.oldest.load(Relaxed);
        while end - oldest > CAPACITY as u64 {
            oldest += self.length(oldest);
        }
        self.oldest.store(oldest, Release);
        // Readers see this before the bytes change.
        core::sync::atomic::fence(SeqCst);
    }

    /// Bytes of the record at a position: to the end of the data for a skip.
    fn length(&self, at: u64) -> u64 {
        let to_end = CAPACITY as u64 - at % CAPACITY as u64;
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

/// The text being formatted.
struct Text {
    bytes: [u8; LOG_TEXT_BYTES],
    length: usize,
}

impl Text {
    const fn new() -> Text {
        Text { bytes: [0; LOG_TEXT_BYTES], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.length;
        let cut = (0..=room.min(text.len())).rev().find(|&cut| text.is_char_boundary(cut)).unwrap_or(0);
        self.bytes[self.length..self.length + cut].copy_from_slice(&text.as_bytes()[..cut]);
        self.length += cut;
        if cut < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts in the ring, as a reader finds them.
    fn texts(ring: &Ring) -> Vec<Vec<u8>> {
        let (mut at, head) = (ring.oldest.load(Relaxed), ring.head.load(Relaxed));
        let mut texts = Vec::new();
        while at < head {
            let second = if CAPACITY as u64 - at % CAPACITY as u64 >= LOG_RECORD_HEADER {
                ring.word(at + 8).load(Relaxed)
            } else {
                u64::MAX
            };
            if second >> 16 & 0xff != u64::from(LOG_SKIP) {
                let words = (second & 0xffff).div_ceil(8);
                let mut text: Vec<u8> = (0..words)
                    .flat_map(|n| ring.word(at + LOG_RECORD_HEADER + 8 * n).load(Relaxed).to_le_bytes())
                    .collect();
                text.truncate(second as usize & 0xffff);
                texts.push(text);
            }
            at += ring.length(at);
        }
        assert_eq!(at, head, "the last record ends at the head");
        texts
    }

    #[test]
    fn a_full_ring_keeps_the_newest_whole_records() {
        let ring = Box::new(Ring::new());
        let text = |n: usize| vec![n as u8; n * 37 % 1001];
        for n in 0..2000 {
            ring.put(n as u64, 6, &text(n));
            let held = texts(&ring);
            assert!(held.iter().rev().zip((0..=n).rev()).all(|(held, n)| *held == text(n)));
            assert!(n < 200 || held.len() > 100);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut text = Text::new();
        assert!(write!(text, "{}é", "x".repeat(LOG_TEXT_BYTES - 1)).is_err());
        assert_eq!(text.bytes().len(), LOG_TEXT_BYTES - 1);
    }
}
