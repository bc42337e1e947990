//! Shows a prompt and a line on a terminal, with few bytes: an appended character costs itself.
//!
//! Places are counted in *cells* from where the prompt begins. Where the width of the terminal is known, a line
//! may go over several rows; where it is not, the terminal is taken to be endlessly wide.

use super::buffer::{Buffer, text_width, width};
use alloc::string::String;
use core::fmt::Write;

/// What is on the terminal.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    columns: Option<usize>,
    /// Cells of the prompt.
    prompt: usize,
    /// Where the terminal's cursor is.
    cell: usize,
}

impl Screen {
    /// Says how wide the terminal is.
    pub fn set_columns(&mut self, columns: Option<usize>) {
        // With one column there is no place for a cursor beside a wide character.
        self.columns = columns.filter(|columns| *columns > 1);
    }

    /// Columns, or what is usual where nobody knows.
    pub fn columns(&self) -> usize {
        self.columns.unwrap_or(80)
    }

    /// Writes a prompt at the cursor, and the line behind it.
    pub fn start(&mut self, prompt: &str, buffer: &Buffer, out: &mut String) {
        out.push_str(prompt);
        self.prompt = text_width(prompt);
        self.cell = self.prompt;
        self.show(buffer, 0, false, out);
    }

    /// The same in place of what is there.
    pub fn restart(&mut self, prompt: &str, buffer: &Buffer, out: &mut String) {
        self.go(0, out);
        out.push_str("\x1b[J");
        self.start(prompt, buffer, out);
    }

    /// Shows a line that changed from byte `from` on; `shrank`: what was there may have been longer.
    pub fn show(&mut self, buffer: &Buffer, from: usize, shrank: bool, out: &mut String) {
        let text = buffer.text();
        self.go(self.cell_of(text, from), out);
        let behind = &text[from..];
        if shrank || !buffer.behind().is_empty() {
            // First, as a wide character that does not fit into a row leaves its last column as it was.
            out.push_str("\x1b[J");
        }
        out.push_str(behind);
        self.cell = self.advance(self.cell, behind);
        if !behind.is_empty() && self.columns.is_some_and(|columns| self.cell.is_multiple_of(columns)) {
            // The terminal waits in the last column for the next character: let it go on.
            out.push_str(" \r");
        }
        self.place(buffer, out);
    }

    /// Moves the terminal's cursor to the line's.
    pub fn place(&mut self, buffer: &Buffer, out: &mut String) {
        self.go(self.cell_of(buffer.text(), buffer.cursor()), out);
    }

    /// Leaves the line, with `mark` behind it: what comes next is on a row of its own.
    pub fn finish(&mut self, buffer: &Buffer, mark: &str, out: &mut String) {
        self.go(self.cell_of(buffer.text(), buffer.text().len()), out);
        out.push_str(mark);
        out.push('\n');
        self.cell = 0;
    }

    fn cell_of(&self, text: &str, at: usize) -> usize {
        self.advance(self.prompt, &text[..at])
    }

    /// The cell behind a text that begins in a cell.
    fn advance(&self, cell: usize, text: &str) -> usize {
        text.chars().map(width).fold(cell, |cell, width| {
            let is_cut = self.columns.is_some_and(|columns| width > 1 && cell % columns == columns - 1);
            cell + usize::from(is_cut) + width
        })
    }

    fn go(&mut self, to: usize, out: &mut String) {
        let (row, column, old_row, old_column) = match self.columns {
            Some(columns) => (to / columns, to % columns, self.cell / columns, self.cell % columns),
            None => (0, to, 0, self.cell),
        };
        moves(row, old_row, 'B', 'A', out);
        moves(column, old_column, 'C', 'D', out);
        self.cell = to;
    }
}

/// Moves from one row or column to another, with the letters of further and back.
fn moves(to: usize, from: usize, further: char, back: char, out: &mut String) {
    let (count, letter) = if to >= from { (to - from, further) } else { (from - to, back) };
    // Writing to a string cannot fail.
    let _ = match (count, letter) {
        (0, _) => Ok(()),
        (1, 'D') => out.write_str("\x08"),
        (1, _) => write!(out, "\x1b[{letter}"),
        _ => write!(out, "\x1b[{count}{letter}"),
    };
}
