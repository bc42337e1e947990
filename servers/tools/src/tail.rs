//! The ends of files and streams.

use crate::input::PART;
use alloc::collections::VecDeque;
use alloc::vec;
use libsys::io::{Error, Read, Result};

/// How much of an end is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many lines.
    Lines(u64),
    /// So many bytes.
    Bytes(u64),
}

/// Bytes of a file that are looked at at once.
const STEP: usize = 16 * 1024;

/// Where the last so many lines of a file of `bytes` bytes begin, which is read from its end on.
pub fn start_of_lines(mut read_at: impl FnMut(&mut [u8], u64) -> Result<usize>, bytes: u64, lines: u64) -> Result<u64> {
    if lines == 0 {
        return Ok(bytes);
    }
    let mut part = vec![0; STEP];
    let (mut end, mut found) = (bytes, 0);
    while end > 0 {
        let start = end.saturating_sub(STEP as u64);
        let part = &mut part[..(end - start) as usize];
        let mut filled = 0;
        while filled < part.len() {
            match read_at(&mut part[filled..], start + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        for (index, _) in part[..filled].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = start + index as u64 + 1;
            // The newline at the end of the file ends the last line; it begins none.
            if behind < bytes {
                found += 1;
                if found == lines {
                    return Ok(behind);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

/// The end of a stream, which has to be read to know where it is.
pub fn of_stream(input: &mut impl Read, amount: Amount) -> Result<VecDeque<u8>> {
    let mut held: VecDeque<u8> = VecDeque::new();
    let mut newlines = 0u64;
    let mut part = vec![0; PART];
    loop {
        let count = input.read(&mut part)?;
        if count == 0 {
            return Ok(held);
        }
        held.try_reserve(count).map_err(|_| Error::NoMemory)?;
        held.extend(&part[..count]);
        newlines += part[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        match amount {
            Amount::Bytes(most) => {
                let extra = (held.len() as u64).saturating_sub(most);
                held.drain(..extra as usize);
            }
            Amount::Lines(most) => {
                // A last line without its newline is one as well.
                while newlines + u64::from(held.back().is_some_and(|byte| *byte != b'\n')) > most {
                    match held.iter().position(|byte| *byte == b'\n') {
                        Some(at) => {
                            held.drain(..=at);
                            newlines -= 1;
                        }
                        None => {
                            held.clear();
                            break;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn of_file(text: &[u8], lines: u64) -> &[u8] {
        let read_at = |into: &mut [u8], offset: u64| {
            // No more than a few bytes at a time.
            let some = into.len().min(7);
            (&text[offset as usize..]).read(&mut into[..some])
        };
        let start = start_of_lines(read_at, text.len() as u64, lines).expect("it reads");
        &text[start as usize..]
    }

    #[test]
    fn last_lines() {
        for (text, lines, end) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\n\n\n", 2, "\n\n"),
            ("a", 1, "a"),
            ("a\nb", 0, ""),
            ("", 3, ""),
        ] {
            assert_eq!(of_file(text.as_bytes(), lines), end.as_bytes(), "{text:?}");
            let stream: Vec<u8> = of_stream(&mut text.as_bytes(), Amount::Lines(lines)).expect("it reads").into();
            assert_eq!(stream, end.as_bytes(), "{text:?}");
        }
        let bytes: Vec<u8> = of_stream(&mut &b"abc"[..], Amount::Bytes(2)).expect("it reads").into();
        assert_eq!(bytes, b"bc");
    }

    proptest! {
        #[test]
        fn files_and_streams_end_alike(lines in proptest::collection::vec("[a-c]{0,3}", 0..20), count in 0u64..25, newline in any::<bool>()) {
            let mut text = lines.join("\n");
            if newline {
                text.push('\n');
            }
            let stream: Vec<u8> = of_stream(&mut text.as_bytes(), Amount::Lines(count)).expect("it reads").into();
            prop_assert_eq!(of_file(text.as_bytes(), count), &stream[..]);
        }
    }

    #[test]
    fn long_files_are_looked_at_in_steps() {
        let text = [b"x\n".repeat(STEP), b"end".to_vec()].concat();
        assert_eq!(of_file(&text, 1), b"end");
        assert_eq!(of_file(&text, STEP as u64), &text[2..]);
    }
}
