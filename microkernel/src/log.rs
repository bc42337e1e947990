//! The kernel's log: a ring of records (`abi::ring`) that user space maps read-only, and, with `log=serial` on
//! the command line, the serial port.

use crate::arch::{clock, image_physical, serial};
use crate::sync::log_ring::LogRing;
use abi::ring::{LOG_RING_HEADER, LOG_TEXT_BYTES};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::*};
use spin::Mutex;
use x86_64::PhysAddr;

/// Those syslog levels (RFC 5424 §6.2.1) at which the kernel has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Words of the ring's data: 64 KiB.
const WORDS: usize = 8 * 1024;

type Ring = LogRing<WORDS>;
const _: () = assert!(Ring::DATA as u64 == LOG_RING_HEADER && WORDS.is_power_of_two());

/// Bytes of Memory that the ring takes.
pub const BYTES: u64 = size_of::<Pages>() as u64;

/// The ring, in pages of its own.
#[repr(align(4096))]
struct Pages(Ring);

static RING: Pages = Pages(LogRing::new());
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
    RING.0.put(time, level as u8, buffer.bytes());
    if ECHO.load(Relaxed) {
        let text = str::from_utf8(buffer.bytes()).unwrap_or("?");
        let (seconds, micros) = (time / 1_000_000_000, time / 1000 % 1_000_000);
        let _ = writeln!(serial::Serial, "[{seconds:5}.{micros:06}] {text}");
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
    use abi::ring::{LOG_RECORD_HEADER, LOG_SKIP};

    const CAPACITY: usize = WORDS * 8;

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
