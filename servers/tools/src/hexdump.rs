//! Bytes in hexadecimal, 16 a line, as `hexdump` shows them.

use alloc::format;
use alloc::string::String;

/// Bytes of a line.
pub const LINE: usize = 16;

/// What goes into lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bytes, and characters beside them: `-C`.
    Canonical,
    /// Words of two bytes.
    Words,
}

/// Makes lines out of bytes: of equal lines but the first, one `*` is left.
#[derive(Clone, Debug)]
pub struct Dump {
    style: Style,
    offset: u64,
    last: Option<[u8; LINE]>,
    starred: bool,
    all: bool,
}

impl Dump {
    /// From an offset on. `all`: equal lines are shown.
    pub fn new(style: Style, offset: u64, all: bool) -> Dump {
        Dump { style, offset, last: None, starred: false, all }
    }

    /// The next line, with its newline, for up to 16 bytes; fewer are the last.
    pub fn line(&mut self, bytes: &[u8]) -> String {
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let whole: Option<[u8; LINE]> = bytes.try_into().ok();
        if !self.all && whole.is_some() && whole == self.last {
            let was = core::mem::replace(&mut self.starred, true);
            return if was { String::new() } else { "*\n".into() };
        }
        (self.last, self.starred) = (whole, false);
        match self.style {
            Style::Canonical => canonical(offset, bytes),
            Style::Words => words(offset, bytes),
        }
    }

    /// The last line: the offset of the end. Nothing where there was nothing.
    pub fn end(&self) -> String {
        match (self.offset, self.style) {
            (0, _) => String::new(),
            (offset, Style::Canonical) => format!("{offset:08x}\n"),
            (offset, Style::Words) => format!("{offset:07x}\n"),
        }
    }
}

fn canonical(offset: u64, bytes: &[u8]) -> String {
    let mut line = format!("{offset:08x} ");
    for index in 0..LINE {
        if index == LINE / 2 {
            line.push(' ');
        }
        match bytes.get(index) {
            Some(byte) => line.push_str(&format!(" {byte:02x}")),
            None => line.push_str("   "),
        }
    }
    line.push_str("  |");
    line.extend(bytes.iter().map(|byte| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '.' }));
    line.push_str("|\n");
    line
}

fn words(offset: u64, bytes: &[u8]) -> String {
    let mut line = format!("{offset:07x}");
    for pair in bytes.chunks(2) {
        let word = u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        line.push_str(&format!(" {word:04x}"));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn dump(style: Style, bytes: &[u8]) -> String {
        let mut dump = Dump::new(style, 0, false);
        let lines: String = bytes.chunks(LINE).map(|line| dump.line(line)).collect();
        lines + &dump.end()
    }

    #[test]
    fn canonical_lines() {
        assert_eq!(
            dump(Style::Canonical, b"hello, world\n\x00\xff~!"),
            "00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0a 00 ff 7e  |hello, world...~|\n\
             00000010  21                                                |!|\n00000011\n"
        );
        assert_eq!(dump(Style::Canonical, b""), "");
    }

    #[test]
    fn equal_lines_are_left_out() {
        let zeros = "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n";
        assert_eq!(dump(Style::Canonical, &[0; 64]), format!("{zeros}00000040\n"));
        let mut bytes = vec![0; 48];
        bytes.extend(b"x");
        assert!(dump(Style::Canonical, &bytes).starts_with(&format!("{zeros}00000030  78 ")));
    }

    #[test]
    fn words_of_two_bytes() {
        assert_eq!(dump(Style::Words, b"hello"), "0000000 6568 6c6c 006f\n0000005\n");
    }
}
