//! The text that is edited: lines, and positions between their characters.

use alloc::string::String;
use alloc::vec::Vec;

/// A place in a text, in front of a character or at the end of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 0 on.
    pub line: usize,
    /// The byte in the line, where a character begins.
    pub byte: usize,
}

/// A text: at least one line, which may be empty. One that ends with a newline has an empty line behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    lines: Vec<String>,
}

impl Text {
    /// The text of a file.
    pub fn new(contents: &str) -> Text {
        Text { lines: contents.split('\n').map(String::from).collect() }
    }

    /// The contents of its file.
    pub fn contents(&self) -> String {
        self.lines.join("\n")
    }

    /// How many lines; at least 1.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// A line, without its newline; empty behind the last.
    pub fn line(&self, line: usize) -> &str {
        self.lines.get(line).map_or("", String::as_str)
    }

    /// Inserts a character; the position behind it.
    pub fn insert(&mut self, at: Position, letter: char) -> Position {
        self.lines[at.line].insert(at.byte, letter);
        Position { byte: at.byte + letter.len_utf8(), ..at }
    }

    /// Begins a line; the position there.
    pub fn split(&mut self, at: Position) -> Position {
        let rest = self.lines[at.line].split_off(at.byte);
        self.lines.insert(at.line + 1, rest);
        Position { line: at.line + 1, byte: 0 }
    }

    /// Takes away the character or newline at a position; at the end there is none.
    pub fn remove(&mut self, at: Position) {
        if at.byte < self.lines[at.line].len() {
            self.lines[at.line].remove(at.byte);
        } else if at.line + 1 < self.lines.len() {
            let next = self.lines.remove(at.line + 1);
            self.lines[at.line].push_str(&next);
        }
    }

    /// One character back.
    pub fn before(&self, at: Position) -> Option<Position> {
        match self.line(at.line)[..at.byte].chars().next_back() {
            Some(letter) => Some(Position { byte: at.byte - letter.len_utf8(), ..at }),
            None => at.line.checked_sub(1).map(|line| Position { line, byte: self.line(line).len() }),
        }
    }

    /// One character on.
    pub fn after(&self, at: Position) -> Option<Position> {
        match self.line(at.line)[at.byte..].chars().next() {
            Some(letter) => Some(Position { byte: at.byte + letter.len_utf8(), ..at }),
            None => (at.line + 1 < self.lines()).then_some(Position { line: at.line + 1, byte: 0 }),
        }
    }

    /// The next place of a text behind a position, after the end from the beginning on.
    pub fn find(&self, wanted: &str, from: Position) -> Option<Position> {
        if wanted.is_empty() {
            return None;
        }
        let start =
            self.line(from.line)[from.byte..].chars().next().map_or(from.byte, |letter| from.byte + letter.len_utf8());
        let here = self.line(from.line)[start..].find(wanted).map(|at| Position { byte: start + at, ..from });
        let around = || {
            // The line itself comes last, for what is in front of the position.
            (1..=self.lines()).find_map(|step| {
                let line = (from.line + step) % self.lines();
                self.line(line).find(wanted).map(|byte| Position { line, byte })
            })
        };
        here.or_else(around)
    }
}
