//! Keys, from the bytes that a terminal sends for them (ECMA-48, and what xterm made of it).

use alloc::vec::Vec;

/// A key that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Character(char),
    /// A letter with Ctrl, in upper case.
    Control(char),
    /// A letter with Alt, in lower case.
    Alt(char),
    /// The key of this name.
    Enter,
    /// The key of this name.
    Tab,
    /// The key of this name.
    Backspace,
    /// The key of this name.
    Delete,
    /// The key of this name.
    Left,
    /// The key of this name.
    Right,
    /// The key of this name.
    Up,
    /// The key of this name.
    Down,
    /// The key of this name.
    Home,
    /// The key of this name.
    End,
    /// Left with Ctrl, or Alt-B.
    WordLeft,
    /// Right with Ctrl, or Alt-F.
    WordRight,
    /// The terminal says in which column and row (from 1) its cursor is.
    Cursor(u16, u16),
    /// Something without a meaning here.
    Other,
}

/// Longest sequence that is understood; of longer ones the end is awaited, and that is all.
const LONGEST_SEQUENCE: usize = 16;

/// Puts bytes together to keys, however they are cut into reads.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Parameters of a sequence, or a character's first bytes.
    held: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it is part of it.
    returned: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// Inside a character of this many bytes.
    Character(usize),
    Escape,
    /// `ESC [`.
    Sequence,
    /// `ESC O`.
    Function,
}

impl Decoder {
    /// Takes a byte; the key that it completes.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        let after_return = core::mem::replace(&mut self.returned, false);
        match self.state {
            State::Ground if byte == b'\n' && after_return => None,
            State::Ground => self.ground(byte),
            State::Character(length) => self.character(byte, length),
            State::Escape => self.escape(byte),
            State::Sequence => self.sequence(byte),
            State::Function => {
                self.state = State::Ground;
                Some(cursor_key(byte).unwrap_or(Key::Other))
            }
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        self.held.clear();
        Some(match byte {
            b'\r' => {
                self.returned = true;
                Key::Enter
            }
            b'\n' => Key::Enter,
            b'\t' => Key::Tab,
            0x08 | 0x7f => Key::Backspace,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            0x00..=0x1f => Key::Control(char::from(byte + b'@')),
            0x20..=0x7e => Key::Character(char::from(byte)),
            0xc2..=0xdf => return self.begin(byte, 2),
            0xe0..=0xef => return self.begin(byte, 3),
            0xf0..=0xf4 => return self.begin(byte, 4),
            _ => Key::Character(char::REPLACEMENT_CHARACTER),
        })
    }

    fn begin(&mut self, byte: u8, length: usize) -> Option<Key> {
        self.state = State::Character(length);
        self.held.push(byte);
        None
    }

    fn character(&mut self, byte: u8, length: usize) -> Option<Key> {
        if !(0x80..=0xbf).contains(&byte) {
            // Broken off: the new byte begins something else, and what was lost is not worth more than silence.
            self.state = State::Ground;
            return self.ground(byte);
        }
        self.held.push(byte);
        if self.held.len() < length {
            return None;
        }
        self.state = State::Ground;
        let text = core::str::from_utf8(&self.held).ok();
        let character = text.and_then(|text| text.chars().next());
        Some(Key::Character(character.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.state = State::Ground;
        match byte {
            b'[' => self.state = State::Sequence,
            b'O' => self.state = State::Function,
            0x1b => self.state = State::Escape,
            0x08 | 0x7f => return Some(Key::Control('W')),
            b'a'..=b'z' | b'A'..=b'Z' => return Some(alt(byte)),
            // The escape key alone means nothing; what follows it does.
            _ => return self.ground(byte),
        }
        None
    }

    fn sequence(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x40..=0x7e => {
                self.state = State::Ground;
                Some(self.sequence_key(byte))
            }
            0x1b => {
                self.state = State::Escape;
                None
            }
            0x00..=0x1f => {
                self.state = State::Ground;
                self.ground(byte)
            }
            _ => {
                if self.held.len() < LONGEST_SEQUENCE {
                    self.held.push(byte);
                }
                None
            }
        }
    }

    fn sequence_key(&self, last: u8) -> Key {
        let number = |index: usize| {
            let part = self.held.split(|byte| *byte == b';').nth(index)?;
            core::str::from_utf8(part).ok()?.parse::<u16>().ok()
        };
        // A second parameter says which of Shift, Alt and Ctrl are held: 1 and a bit for each.
        let by_words = number(1).is_some_and(|held| held.wrapping_sub(1) & 0b110 != 0);
        match (last, number(0)) {
            (b'C', _) if by_words => Key::WordRight,
            (b'D', _) if by_words => Key::WordLeft,
            (b'~', Some(1 | 7)) => Key::Home,
            (b'~', Some(4 | 8)) => Key::End,
            (b'~', Some(3)) => Key::Delete,
            (b'R', Some(row)) => number(1).map_or(Key::Other, |column| Key::Cursor(column, row)),
            _ => cursor_key(last).unwrap_or(Key::Other),
        }
    }
}

fn cursor_key(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        _ => return None,
    })
}

fn alt(letter: u8) -> Key {
    match letter.to_ascii_lowercase() {
        b'b' => Key::WordLeft,
        b'f' => Key::WordRight,
        letter => Key::Alt(char::from(letter)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.feed(*byte)).collect()
    }

    #[test]
    fn keys_of_common_terminals() {
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[C\x1b[D"), [Key::Up, Key::Down, Key::Right, Key::Left]);
        assert_eq!(keys(b"\x1b[H\x1b[1~\x1bOH\x1b[F\x1b[4~"), [Key::Home, Key::Home, Key::Home, Key::End, Key::End]);
        assert_eq!(
            keys(b"\x1b[1;5C\x1b[1;5D\x1bb\x1bf"),
            [Key::WordRight, Key::WordLeft, Key::WordLeft, Key::WordRight]
        );
        assert_eq!(keys(b"\x1b[3~\x7f\x08"), [Key::Delete, Key::Backspace, Key::Backspace]);
        assert_eq!(keys(b"\x1b[24;80R\x1b[5~\x1b[?1;2c"), [Key::Cursor(80, 24), Key::Other, Key::Other]);
        assert_eq!(keys(b"\x01\x03\t"), [Key::Control('A'), Key::Control('C'), Key::Tab]);
    }

    #[test]
    fn line_ends_are_one_key() {
        assert_eq!(keys(b"\r\n\n\r\r"), [Key::Enter; 4]);
    }

    #[test]
    fn characters_of_every_length() {
        let text = "aé€𝄞";
        let expected: Vec<Key> = text.chars().map(Key::Character).collect();
        assert_eq!(keys(text.as_bytes()), expected);
        // A broken one is dropped, and what follows counts.
        assert_eq!(keys(b"\xe2\x82a"), [Key::Character('a')]);
        assert_eq!(keys(b"\xff"), [Key::Character(char::REPLACEMENT_CHARACTER)]);
        assert_eq!(keys(b"\xed\xa0\x80"), [Key::Character(char::REPLACEMENT_CHARACTER)]);
    }

    proptest! {
        #[test]
        fn text_comes_through(text in "\\PC*") {
            let expected: Vec<Key> = text.chars().map(Key::Character).collect();
            prop_assert_eq!(keys(text.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            for byte in bytes {
                decoder.feed(byte);
                prop_assert!(decoder.held.len() <= LONGEST_SEQUENCE);
            }
            // Whatever came, the end of any sequence and Enter still mean Enter.
            let ends: Vec<Option<Key>> = b"~\r".iter().map(|byte| decoder.feed(*byte)).collect();
            prop_assert_eq!(ends[1], Some(Key::Enter));
        }
    }
}
