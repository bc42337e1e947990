//! What a terminal shows: rows of text, of which only what changed is sent.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use unicode_width::UnicodeWidthChar;

/// Columns between two tab stops.
const TAB: usize = 8;

/// What is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The rows, from the top on; none is wider than the screen.
    pub rows: Vec<String>,
    /// Row and column of the cursor, from 0 on.
    pub cursor: (usize, usize),
}

/// A terminal, and what it shows.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    /// `None`: nobody knows.
    shown: Option<Frame>,
}

impl Screen {
    /// What has to be sent so that the frame is shown (ECMA-48).
    pub fn update(&mut self, frame: Frame) -> String {
        let mut out = String::new();
        if self.shown.is_none() {
            out.push_str("\x1b[2J");
        }
        let none = Vec::new();
        let before = self.shown.as_ref().map_or(&none, |shown| &shown.rows);
        for (index, row) in frame.rows.iter().enumerate() {
            let old = before.get(index).map_or("", String::as_str);
            if row == old {
                continue;
            }
            let equal: usize =
                row.chars().zip(old.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
            // What combines with the character before it cannot be sent without that.
            let joins = |text: &str| text[equal..].chars().next().is_some_and(|c| c.width() == Some(0));
            let equal = if joins(row) || joins(old) { 0 } else { equal };
            let column = row[..equal].chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
            out.push_str(&format!("\x1b[{};{}H{}\x1b[K", index + 1, column + 1, &row[equal..]));
        }
        let (row, column) = frame.cursor;
        out.push_str(&format!("\x1b[{};{}H", row + 1, column + 1));
        self.shown = Some(frame);
        out
    }

    /// Nobody knows what the terminal shows.
    pub fn forget(&mut self) {
        self.shown = None;
    }
}

/// What a character is shown as, at a column, and how wide that is.
fn shown(letter: char, column: usize) -> (Shown, usize) {
    match letter {
        '\t' => (Shown::Blanks, TAB - column % TAB),
        letter if letter.is_control() => (Shown::Control(letter), 2),
        letter => (Shown::Letter(letter), letter.width().unwrap_or(0)),
    }
}

enum Shown {
    Blanks,
    /// `^X`; of those behind ASCII, `^?`.
    Control(char),
    Letter(char),
}

/// The column in which a byte of a line is shown.
pub fn column_of(line: &str, byte: usize) -> usize {
    line[..byte].chars().fold(0, |column, letter| column + shown(letter, column).1)
}

/// The byte of a line that is shown in a column, or the last before it.
pub fn byte_at(line: &str, column: usize) -> usize {
    let mut at = 0;
    for (byte, letter) in line.char_indices() {
        at += shown(letter, at).1;
        if at > column {
            return byte;
        }
    }
    line.len()
}

/// What is shown of a line, in so many columns from `left` on. Characters of which only a part would be there become blanks.
pub fn part(line: &str, left: usize, columns: usize) -> String {
    let (mut column, mut out, end) = (0, String::new(), left + columns);
    for letter in line.chars() {
        if column >= end {
            break;
        }
        let (shown, width) = shown(letter, column);
        let (start, stop) = (column, column + width);
        column = stop;
        if stop <= left && width > 0 || start < left && width == 0 {
            continue;
        }
        match shown {
            Shown::Letter(letter) if start >= left && stop <= end => out.push(letter),
            Shown::Control(letter) if start >= left && stop <= end => {
                out.push('^');
                out.push(if letter.is_ascii() { char::from(letter as u8 ^ 0x40) } else { '?' });
            }
            _ => out.extend((start.max(left)..stop.min(end)).map(|_| ' ')),
        }
    }
    out.truncate(out.trim_end_matches(' ').len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn columns_and_bytes() {
        assert_eq!([0, 1, 2, 5].map(|byte| column_of("a\t界", byte)), [0, 1, 8, 10]);
        assert_eq!([0, 1, 7, 8, 9, 99].map(|column| byte_at("a\t界", column)), [0, 1, 1, 2, 2, 5]);
    }

    #[test]
    fn parts_of_lines() {
        assert_eq!(part("abc", 1, 1), "b");
        assert_eq!(part("界x", 1, 5), " x");
        assert_eq!(part("a界", 0, 2), "a");
        assert_eq!(part("\x01\x7f\u{85}", 0, 9), "^A^?^?");
        assert_eq!(part("\tx", 4, 9), "    x");
    }

    #[test]
    fn only_changes_are_sent() {
        let frame = |rows: &[&str], cursor| Frame { rows: rows.iter().map(|row| String::from(*row)).collect(), cursor };
        let mut screen = Screen::default();
        assert_eq!(screen.update(frame(&["ab", ""], (0, 2))), "\x1b[2J\x1b[1;1Hab\x1b[K\x1b[1;3H");
        assert_eq!(screen.update(frame(&["abc", ""], (0, 3))), "\x1b[1;3Hc\x1b[K\x1b[1;4H");
        assert_eq!(screen.update(frame(&["abc", ""], (1, 0))), "\x1b[2;1H");
        assert_eq!(screen.update(frame(&["a", "界x"], (1, 0))), "\x1b[1;2H\x1b[K\x1b[2;1H界x\x1b[K\x1b[2;1H");
        assert_eq!(screen.update(frame(&["a", "界y"], (1, 0))), "\x1b[2;3Hy\x1b[K\x1b[2;1H");
        screen.forget();
        assert!(screen.update(Frame { rows: vec![], cursor: (0, 0) }).starts_with("\x1b[2J"));
    }
}
