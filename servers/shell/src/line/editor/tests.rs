//! The editor in front of a terminal that is played here.

use super::*;
use crate::line::keys::Decoder;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// A terminal of so many columns that understands what the editor writes, and nothing else.
struct Terminal {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Terminal {
    fn new(columns: usize) -> Terminal {
        Terminal { columns, rows: vec![Vec::new()], row: 0, column: 0 }
    }

    fn feed(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\n' => (self.row, self.column) = (self.row + 1, 0),
                '\r' => self.column = 0,
                '\x08' => self.column -= 1,
                '\x07' => {}
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['));
                    let mut number = String::new();
                    let letter = loop {
                        match rest.next().expect("a whole sequence") {
                            digit @ '0'..='9' => number.push(digit),
                            letter => break letter,
                        }
                    };
                    self.sequence(letter, number.parse().unwrap_or(1));
                }
                c => self.put(c),
            }
            while self.rows.len() <= self.row {
                self.rows.push(Vec::new());
            }
        }
    }

    fn sequence(&mut self, letter: char, count: usize) {
        match letter {
            'A' => self.row -= count,
            'B' => self.row += count,
            'C' => self.column += count,
            'D' => self.column -= count,
            'J' => {
                self.rows.truncate(self.row + 1);
                let row = &mut self.rows[self.row];
                row.truncate(self.column);
            }
            other => panic!("the terminal does not know {other}"),
        }
        assert!(self.column <= self.columns);
    }

    fn put(&mut self, c: char) {
        let width = crate::line::buffer::width(c);
        if width == 0 {
            // Combines with the character before it, wherever that is.
            return;
        }
        if self.column + width > self.columns {
            (self.row, self.column) = (self.row + 1, 0);
            while self.rows.len() <= self.row {
                self.rows.push(Vec::new());
            }
        }
        let row = &mut self.rows[self.row];
        while row.len() < self.column + width {
            row.push(' ');
        }
        row[self.column] = c;
        for cell in row.iter_mut().skip(self.column + 1).take(width - 1) {
            *cell = '\0';
        }
        self.column += width;
    }

    /// What stands there, rows put together as they were wrapped, and the place of the cursor.
    fn shown(&self) -> (Vec<String>, usize, usize) {
        let text = |row: &Vec<char>| row.iter().filter(|c| **c != '\0').collect::<String>().trim_end().to_string();
        let mut rows: Vec<String> = self.rows.iter().map(text).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        (rows, self.row, self.column)
    }
}

struct Words;

impl Candidates for Words {
    fn after(&mut self, words: &[&str], _: &str) -> Vec<String> {
        let all: &[&str] = if words.is_empty() { &["help", "echo", "echoes"] } else { &["grün", "grau"] };
        all.iter().map(|word| word.to_string()).collect()
    }
}

/// Types bytes; what has been entered, and the editor with what it wrote.
fn typed(bytes: &[u8], columns: Option<usize>) -> (Vec<Outcome>, Editor, String) {
    let (mut editor, mut history, mut out) = (Editor::default(), History::default(), String::new());
    let mut decoder = Decoder::default();
    editor.set_columns(columns);
    editor.begin("> ", &mut out);
    let mut ends = Vec::new();
    for byte in bytes {
        let Some(key) = decoder.feed(*byte) else {
            continue;
        };
        let outcome = editor.key(key, &mut history, &mut Words, &mut out);
        if outcome != Outcome::Editing {
            ends.push(outcome);
            editor.begin("> ", &mut out);
        }
    }
    (ends, editor, out)
}

fn line(bytes: &str) -> String {
    match typed((bytes.to_string() + "\r").as_bytes(), None).0.pop() {
        Some(Outcome::Line(line)) => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_edit() {
    assert_eq!(line("abc\x1b[D\x1b[DX"), "aXbc");
    assert_eq!(line("abc\x01X\x05Y"), "XabcY");
    assert_eq!(line("abé\x7f\x7fc"), "ac");
    assert_eq!(line("one two\x17three"), "one three");
    assert_eq!(line("one two\x01\x1bf\x0b!"), "one!");
    assert_eq!(line("one two\x15x\x19"), "xone two");
    assert_eq!(line("abc\x01\x1b[3~\x04"), "c");
    assert_eq!(line("ab\x14"), "ba");
    assert_eq!(line("a\x1b[5~\x1b[Zb"), "ab", "keys without a meaning");
}

#[test]
fn what_is_appended_is_written_as_it_is() {
    let (_, _, out) = typed("écho a".as_bytes(), Some(80));
    assert_eq!(out, "> écho a");
}

#[test]
fn history_is_walked_and_searched() {
    assert_eq!(line("one\rtwo\rdra\x1b[A\x1b[A"), "one");
    assert_eq!(line("one\rtwo\rdra\x1b[A\x1b[A\x1b[B\x1b[Bft"), "draft");
    assert_eq!(line("echo 1\recho 2\rps\r\x12ech"), "echo 2");
    assert_eq!(line("echo 1\recho 2\rps\r\x12ech\x12\x05x"), "echo 1x");
    assert_eq!(line("echo 1\r\x12ech\x07new"), "new");
}

#[test]
fn tab_completes_and_lists() {
    assert_eq!(line("h\tx"), "help x");
    assert_eq!(line("e\t\t"), "echo");
    assert_eq!(line("ps; help gr\t"), "ps; help gr");
    let (_, _, out) = typed(b"help gr\t", Some(80));
    assert_eq!(out, "> help gr\ngrau  grün\n> help gr");
}

#[test]
fn ends() {
    assert_eq!(typed(b"abc\x03", None).0, [Outcome::Cancelled]);
    assert_eq!(typed(b"a\x7f\x04", None).0, [Outcome::EndOfInput]);
    assert_eq!(typed(b"a\rb\nc\r\n", None).0.len(), 3, "lines that are pasted");
}

proptest! {
    #[test]
    fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..300), columns in proptest::option::of(0usize..200)) {
        let (_, editor, _) = typed(&bytes, columns);
        prop_assert!(editor.buffer.text().is_char_boundary(editor.buffer.cursor()));
    }

    /// Whatever keys come, the terminal shows prompt and line, and its cursor is where the line's is.
    #[test]
    fn the_terminal_shows_the_line(
        keys in proptest::collection::vec(prop_oneof![
            4 => "[a-zé漢 ]{1,6}",
            1 => prop_oneof![
                Just("\x1b[D"), Just("\x1b[C"), Just("\x7f"), Just("\x1b[3~"), Just("\x01"), Just("\x05"),
                Just("\x0b"), Just("\x15"), Just("\x17"), Just("\x19"), Just("\x1bb"), Just("\x1bf"), Just("\x14"),
            ].prop_map(str::to_string),
        ], 0..40),
        columns in 4usize..40,
    ) {
        let (_, editor, out) = typed(keys.concat().as_bytes(), Some(columns));
        let mut terminal = Terminal::new(columns);
        terminal.feed(&out);
        let mut expected = Terminal::new(columns);
        expected.feed("> ");
        expected.feed(editor.buffer.text());
        prop_assert_eq!(terminal.shown().0, expected.shown().0);
        let mut expected = Terminal::new(columns);
        expected.feed("> ");
        expected.feed(editor.buffer.before());
        // A terminal that has filled a row stands behind its end until the next character comes.
        let (_, row, column) = expected.shown();
        let (row, column) = if column == columns { (row + 1, 0) } else { (row, column) };
        prop_assert_eq!((terminal.row, terminal.column), (row, column));
    }
}
