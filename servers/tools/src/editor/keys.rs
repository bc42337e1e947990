//! Keys, from the bytes that a terminal sends for them (ECMA-48, and what xterm made of it).

use alloc::vec::Vec;

/// A key that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Key {
    Character(char),
    /// A letter with Ctrl, in upper case.
    Control(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    PageUp,
    PageDown,
    /// Something without a meaning here.
    Other,
}

/// Longest sequence that is understood.
const LONGEST: usize = 16;

/// Puts bytes together to keys, however they are cut into reads.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// The bytes of a key that is not whole yet.
    held: Vec<u8>,
}

impl Decoder {
    /// Takes a byte; the key that it completes.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        // Escape begins anew, and so does what cannot go on with a character.
        let breaks_off = match self.held.first() {
            Some(0x1b) => byte == 0x1b,
            Some(_) => byte & 0xc0 != 0x80,
            None => false,
        };
        if breaks_off {
            self.held.clear();
        }
        if self.held.len() < LONGEST {
            self.held.push(byte);
        }
        let key = match self.held[..] {
            [b'\r' | b'\n'] => Key::Enter,
            [b'\t'] => Key::Tab,
            [0x08 | 0x7f] => Key::Backspace,
            [0x1b] | [0x1b, b'[' | b'O'] => return None,
            [control @ 0..0x20] => Key::Control(char::from(control + b'@')),
            [0x1b, b'O', last] => named(last, &[]),
            [0x1b, b'[', ref parameters @ ..] if !matches!(byte, 0x40..=0x7e) => {
                let _ = parameters;
                return None;
            }
            [0x1b, b'[', ref parameters @ .., last] => named(last, parameters),
            [0x1b, ..] => Key::Other,
            ref bytes => match core::str::from_utf8(bytes) {
                Ok(text) => text.chars().next().map_or(Key::Other, Key::Character),
                Err(error) if error.error_len().is_none() => return None,
                Err(_) => Key::Character(char::REPLACEMENT_CHARACTER),
            },
        };
        self.held.clear();
        Some(key)
    }
}

/// The key of a sequence that ends with this byte.
fn named(last: u8, parameters: &[u8]) -> Key {
    let number = parameters.split(|byte| *byte == b';').next().unwrap_or(&[]);
    match (last, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'~', b"3") => Key::Delete,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        _ => Key::Other,
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
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[D"), [Key::Up, Key::Down, Key::Right, Key::Left]);
        assert_eq!(
            keys(b"\x1b[H\x1b[4~\x1b[3~\x1b[5~\x1b[6~"),
            [Key::Home, Key::End, Key::Delete, Key::PageUp, Key::PageDown]
        );
        assert_eq!(
            keys(b"\x13\r\t\x7f\x1bx\x1b[99~"),
            [Key::Control('S'), Key::Enter, Key::Tab, Key::Backspace, Key::Other, Key::Other]
        );
        assert_eq!(keys("aé界𝄞".as_bytes()), ['a', 'é', '界', '𝄞'].map(Key::Character));
        assert_eq!(keys(b"\xe2\x82a\xff"), [Key::Character('a'), Key::Character(char::REPLACEMENT_CHARACTER)]);
        assert_eq!(keys(b"\x1b[\x1b[A"), [Key::Up]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut decoder = Decoder::default();
            bytes.iter().for_each(|byte| {
                decoder.feed(*byte);
            });
            // Whatever came, the end of any sequence and Enter still mean Enter.
            decoder.feed(b'~');
            prop_assert_eq!(decoder.feed(b'\r'), Some(Key::Enter));
        }
    }
}
