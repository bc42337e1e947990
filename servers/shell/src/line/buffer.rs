//! A line that is being edited: text, and a cursor between two of its characters.

use alloc::string::String;
use core::ops::Range;
use unicode_width::UnicodeWidthChar;

/// Longest line, in bytes: more is not taken.
pub const LONGEST_LINE: usize = 4096;

/// Columns that a character takes on a terminal.
pub fn width(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Columns that a text takes.
pub fn text_width(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// A line with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    text: String,
    /// Bytes before the cursor; never inside a character.
    cursor: usize,
}

impl Buffer {
    /// A text with the cursor behind it.
    pub fn new(text: String) -> Buffer {
        let cursor = text.len();
        Buffer { text, cursor }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// The text behind the cursor.
    pub fn behind(&self) -> &str {
        &self.text[self.cursor..]
    }

    /// Inserts text before the cursor; whether there is room for it.
    pub fn insert(&mut self, text: &str) -> bool {
        let fits = self.text.len() + text.len() <= LONGEST_LINE;
        if fits {
            self.text.insert_str(self.cursor, text);
            self.cursor += text.len();
        }
        fits
    }

    /// Removes a range; the cursor goes to where it was. Returns what was removed.
    pub fn remove(&mut self, range: Range<usize>) -> String {
        self.cursor = range.start;
        self.text.drain(range).collect()
    }

    /// Moves the cursor.
    pub fn move_to(&mut self, cursor: usize) {
        self.cursor = cursor;
    }

    /// Bytes before the cursor.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Where the character before the cursor begins, with what combines with it.
    pub fn left(&self) -> usize {
        let mut characters = self.before().char_indices().rev();
        let base = characters.find(|(_, c)| width(*c) > 0);
        base.map_or(0, |(at, _)| at)
    }

    /// Where the character behind the cursor ends, with what combines with it.
    pub fn right(&self) -> usize {
        let mut characters = self.behind().char_indices().skip(1);
        let next = characters.find(|(_, c)| width(*c) > 0);
        next.map_or(self.text.len(), |(at, _)| self.cursor + at)
    }

    /// Where the word before the cursor begins.
    pub fn word_left(&self) -> usize {
        let before = self.before().trim_end();
        let space = before.char_indices().rev().find(|(_, c)| c.is_whitespace());
        space.map_or(0, |(at, c)| at + c.len_utf8())
    }

    /// Where the word behind the cursor ends.
    pub fn word_right(&self) -> usize {
        let behind = self.behind();
        let word = behind.trim_start();
        let skipped = behind.len() - word.len();
        let end = word.find(char::is_whitespace).unwrap_or(word.len());
        self.cursor + skipped + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn characters_are_never_cut() {
        let mut buffer = Buffer::new("ae\u{301}€".to_string());
        assert_eq!(buffer.left(), 4);
        buffer.move_to(4);
        assert_eq!((buffer.left(), buffer.right()), (1, 7), "the accent goes with its letter");
        let left = buffer.left();
        assert_eq!(buffer.remove(left..4), "e\u{301}");
        assert_eq!((buffer.text(), buffer.cursor()), ("a€", 1));
    }

    #[test]
    fn words() {
        let mut buffer = Buffer::new("one two  three ".to_string());
        assert_eq!(buffer.word_left(), 9);
        buffer.move_to(9);
        assert_eq!(buffer.word_left(), 4);
        buffer.move_to(3);
        assert_eq!(buffer.word_right(), 7);
        buffer.move_to(15);
        assert_eq!(buffer.word_right(), 15);
        buffer.move_to(0);
        assert_eq!(buffer.word_left(), 0);
    }

    #[test]
    fn a_line_has_an_end() {
        let mut buffer = Buffer::new("x".repeat(LONGEST_LINE - 1));
        assert!(buffer.insert("y") && !buffer.insert("z"));
        assert_eq!(buffer.text().len(), LONGEST_LINE);
    }
}
