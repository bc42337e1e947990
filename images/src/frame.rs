//! Takes the output of commands out of what comes over the serial line.
//!
//! The shell marks it: `ESC ] skink ; begin BEL`, the output, `ESC ] skink ; exit=N BEL`.
//! What is outside is the log. Inside, the guest's terminal layer made `\n` into `\r\n`, which
//! is undone here. A line inside that begins with the words of a dying kernel is held back:
//! it is the log's, unless the commands turn out to end in order.

/// Begins the output.
const BEGIN: &[u8] = b"\x1b]skink;begin\x07";
/// Ends the output; the status in decimal and BEL follow.
const EXIT: &[u8] = b"\x1b]skink;exit=";
/// Digits of a status.
const STATUS_DIGITS: usize = 3;
/// How lines of a kernel that ends begin.
const LAST_WORDS: [&[u8]; 2] = [b"KERNEL PANIC:", b"BOOT ERROR:"];

/// The parts of a serial line's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes outside of the frame.
    Log(Vec<u8>),
    /// Bytes that the commands wrote.
    Output(Vec<u8>),
    /// The commands ended, with this status.
    Exit(u8),
}

/// Splits a serial line's bytes into [`Piece`]s, however they were cut into reads.
#[derive(Debug)]
pub struct Deframer {
    place: Place,
    has_begun: bool,
    /// Bytes that may be the beginning of something that has a meaning.
    held: Vec<u8>,
    /// Whether the next byte of the output begins a line.
    line_begins: bool,
    /// Bytes since a line with last words.
    diverted: Vec<u8>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
    LastWords,
}

/// What the held bytes are.
enum Meaning {
    Nothing,
    Unfinished,
    Begin,
    Exit(u8),
    NewLine,
    LastWords,
}

impl Default for Deframer {
    fn default() -> Self {
        Self {
            place: Place::Outside,
            has_begun: false,
            held: Vec::new(),
            line_begins: false,
            diverted: Vec::new(),
            pieces: Vec::new(),
        }
    }
}

impl Deframer {
    /// Whether there was the mark that begins the output.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes the next bytes and returns what is certain by now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        for &byte in bytes {
            self.held.push(byte);
            while !self.held.is_empty() {
                match self.meaning() {
                    Meaning::Unfinished => break,
                    Meaning::Nothing => {
                        let first = self.held.remove(0);
                        self.emit(first);
                    }
                    Meaning::Begin => {
                        self.held.clear();
                        self.place = Place::Inside;
                        self.has_begun = true;
                        self.line_begins = true;
                    }
                    Meaning::Exit(status) => self.exit(status),
                    Meaning::NewLine => {
                        self.held.clear();
                        self.emit(b'\n');
                    }
                    Meaning::LastWords => {
                        self.diverted = std::mem::take(&mut self.held);
                        self.place = Place::LastWords;
                    }
                }
            }
        }
        std::mem::take(&mut self.pieces)
    }

    /// Takes what is left when the line is closed.
    pub fn finish(mut self) -> Vec<Piece> {
        for byte in std::mem::take(&mut self.held) {
            self.emit(byte);
        }
        if !self.diverted.is_empty() {
            self.pieces.push(Piece::Log(self.diverted));
        }
        self.pieces
    }

    /// What the held bytes are at this place.
    fn meaning(&self) -> Meaning {
        let held = self.held.as_slice();
        if self.place == Place::Outside {
            return match held {
                BEGIN => Meaning::Begin,
                _ if BEGIN.starts_with(held) => Meaning::Unfinished,
                _ => Meaning::Nothing,
            };
        }
        match held {
            b"\r\n" => return Meaning::NewLine,
            b"\r" => return Meaning::Unfinished,
            _ => {}
        }
        if self.place == Place::Inside && self.line_begins {
            if LAST_WORDS.contains(&held) {
                return Meaning::LastWords;
            }
            if LAST_WORDS.iter().any(|words| words.starts_with(held)) {
                return Meaning::Unfinished;
            }
        }
        exit_meaning(held)
    }

    fn emit(&mut self, byte: u8) {
        match self.place {
            Place::Outside => match self.pieces.last_mut() {
                Some(Piece::Log(log)) => log.push(byte),
                _ => self.pieces.push(Piece::Log(vec![byte])),
            },
            Place::Inside => {
                self.line_begins = byte == b'\n';
                match self.pieces.last_mut() {
                    Some(Piece::Output(output)) => output.push(byte),
                    _ => self.pieces.push(Piece::Output(vec![byte])),
                }
            }
            Place::LastWords => self.diverted.push(byte),
        }
    }

    fn exit(&mut self, status: u8) {
        if !self.diverted.is_empty() {
            self.pieces.push(Piece::Output(std::mem::take(&mut self.diverted)));
        }
        self.held.clear();
        self.pieces.push(Piece::Exit(status));
        self.place = Place::Outside;
    }
}

/// Whether `held` is, or may become, the end of the output.
fn exit_meaning(held: &[u8]) -> Meaning {
    let Some(status) = held.strip_prefix(EXIT) else {
        return if EXIT.starts_with(held) { Meaning::Unfinished } else { Meaning::Nothing };
    };
    let (digits, ended) = match status.strip_suffix(b"\x07") {
        Some(digits) => (digits, true),
        None => (status, false),
    };
    if digits.len() > STATUS_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Meaning::Nothing;
    }
    if !ended {
        return Meaning::Unfinished;
    }
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    number.map_or(Meaning::Nothing, Meaning::Exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Log, output and status of a line that is read in pieces of `size`.
    fn split(line: &[u8], size: usize) -> (Vec<u8>, Vec<u8>, Option<u8>) {
        let (mut log, mut output, mut status) = (Vec::new(), Vec::new(), None);
        let mut deframer = Deframer::default();
        let mut pieces = Vec::new();
        for chunk in line.chunks(size) {
            pieces.extend(deframer.feed(chunk));
        }
        pieces.extend(deframer.finish());
        for piece in pieces {
            match piece {
                Piece::Log(bytes) => log.extend(bytes),
                Piece::Output(bytes) => output.extend(bytes),
                Piece::Exit(number) => status = Some(number),
            }
        }
        (log, output, status)
    }

    #[test]
    fn a_frame_in_any_cut() {
        let line = b"boot\r\n\x1b]skink;begin\x07a\r\nb\x1b[1mc\r\r\nx\ry\x1b]skink;exit=42\x07off";
        for size in 1..=line.len() {
            let (log, output, status) = split(line, size);
            assert_eq!(log, b"boot\r\noff", "reads of {size}");
            assert_eq!(output, b"a\nb\x1b[1mc\r\nx\ry", "reads of {size}");
            assert_eq!(status, Some(42), "reads of {size}");
        }
    }

    #[test]
    fn what_only_looks_like_an_end() {
        for fake in ["exit=256", "exit=", "exit=1234", "exit=-1", "exit", "begin"] {
            let text = format!("\x1b]skink;{fake}\x07");
            let line = format!("\x1b]skink;begin\x07{text}\x1b]skink;exit=0\x07");
            let (log, output, status) = split(line.as_bytes(), 5);
            assert_eq!((log.as_slice(), status), (b"".as_slice(), Some(0)), "{fake}");
            assert_eq!(String::from_utf8(output).unwrap(), text);
        }
    }

    #[test]
    fn a_marker_behind_a_broken_one() {
        let (_, output, status) = split(b"\x1b]skink;begin\x07\x1b]sk\x1b]skink;exit=3\x07", 100);
        assert_eq!((output.as_slice(), status), (b"\x1b]sk".as_slice(), Some(3)));
    }

    #[test]
    fn output_is_live() {
        let mut deframer = Deframer::default();
        deframer.feed(BEGIN);
        assert_eq!(deframer.feed(b"50%"), [Piece::Output(b"50%".to_vec())]);
    }

    #[test]
    fn last_words_are_not_output() {
        let line = b"\x1b]skink;begin\x07one\r\nKERNEL PANIC: x\r\nEND PANIC\r\n";
        let (log, output, status) = split(line, 3);
        assert_eq!(log, b"KERNEL PANIC: x\nEND PANIC\n");
        assert_eq!((output.as_slice(), status), (b"one\n".as_slice(), None));
    }

    #[test]
    fn echoed_last_words_are_output() {
        let line = b"\x1b]skink;begin\x07KERNEL PANIC: x\r\ny\r\n\x1b]skink;exit=0\x07";
        let (log, output, status) = split(line, 4);
        assert_eq!((log.as_slice(), status), (b"".as_slice(), Some(0)));
        assert_eq!(output, b"KERNEL PANIC: x\ny\n");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..64) {
            prop_assume!(!text.contains(&0x1b));
            let mut line = BEGIN.to_vec();
            for &byte in &text {
                if byte == b'\n' {
                    line.push(b'\r');
                }
                line.push(byte);
            }
            line.extend(b"\x1b]skink;exit=0\x07");
            let (log, output, status) = split(&line, size);
            prop_assert!(log.is_empty());
            prop_assert_eq!(output, text);
            prop_assert_eq!(status, Some(0));
        }
    }
}
