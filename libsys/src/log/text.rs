//! Text of bounded length, formatted without the heap.

use abi::ring::LOG_TEXT_BYTES;
use core::fmt::{self, Write};

/// The text of a record, cut where it is too long.
pub(crate) struct Text<const BYTES: usize = LOG_TEXT_BYTES> {
    bytes: [u8; BYTES],
    length: usize,
}

impl<const BYTES: usize> Text<BYTES> {
    pub(crate) const fn new() -> Text<BYTES> {
        Text { bytes: [0; BYTES], length: 0 }
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Text {
    /// What the arguments say, cut at a record's length.
    pub(crate) fn format(arguments: fmt::Arguments) -> Text {
        let mut text = Text::new();
        // An error says that it was cut, or that somebody's `Display` failed: what there is is logged.
        let _ = text.write_fmt(arguments);
        text
    }
}

impl<const BYTES: usize> Write for Text<BYTES> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut cut = more.len().min(BYTES - self.length);
        while !more.is_char_boundary(cut) {
            cut -= 1;
        }
        self.bytes[self.length..self.length + cut].copy_from_slice(&more.as_bytes()[..cut]);
        self.length += cut;
        if cut == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
