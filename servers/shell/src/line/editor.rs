//! What each key does to a line.

use super::buffer::{Buffer, text_width};
use super::completion::{self, Candidates, Completion};
use super::history::History;
use super::keys::Key;
use super::screen::Screen;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;

/// What has become of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is still being edited.
    Editing,
    /// It was entered.
    Line(String),
    /// Ctrl-C: it is not to be.
    Cancelled,
    /// Ctrl-D on an empty line.
    EndOfInput,
}

/// An editor of one line at a time.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    prompt: String,
    buffer: Buffer,
    screen: Screen,
    /// What Ctrl-K, Ctrl-U and Ctrl-W removed last.
    removed: String,
    search: Option<Search>,
}

/// Ctrl-R: a line of before is looked for.
#[derive(Clone, Debug, Default)]
struct Search {
    text: String,
    /// Which line of the history was found.
    found: Option<usize>,
}

impl Editor {
    /// Says how wide the terminal is, if that is known.
    pub fn set_columns(&mut self, columns: Option<usize>) {
        self.screen.set_columns(columns);
    }

    /// Begins a line.
    pub fn begin(&mut self, prompt: &str, out: &mut String) {
        self.prompt = prompt.to_string();
        self.buffer = Buffer::default();
        self.search = None;
        self.screen.start(prompt, &self.buffer, out);
    }

    /// Begins with a line that was being typed, on the row where it stands.
    pub fn resume(&mut self, prompt: &str, buffer: Buffer, out: &mut String) {
        out.push_str("\r\x1b[J");
        self.begin(prompt, out);
        self.buffer = buffer;
        self.screen.start(prompt, &self.buffer, out);
    }

    /// The line so far.
    pub fn line(&self) -> &Buffer {
        &self.buffer
    }

    /// Shows prompt and line again, on a row of their own.
    pub fn show_again(&mut self, out: &mut String) {
        self.screen.start(&self.prompt, &self.buffer, out);
    }

    /// Takes a key. What the terminal is to get for it goes to `out`.
    pub fn key(
        &mut self,
        key: Key,
        history: &mut History,
        candidates: &mut dyn Candidates,
        out: &mut String,
    ) -> Outcome {
        if self.search.is_some() && !self.search_key(key, history, out) {
            return Outcome::Editing;
        }
        match key {
            Key::Enter => {
                self.screen.finish(&self.buffer, "", out);
                let line = core::mem::take(&mut self.buffer).text().to_string();
                history.add(&line);
                return Outcome::Line(line);
            }
            Key::Control('C') => {
                self.screen.finish(&self.buffer, "^C", out);
                self.buffer = Buffer::default();
                return Outcome::Cancelled;
            }
            Key::Control('D') if self.buffer.text().is_empty() => {
                self.screen.finish(&self.buffer, "", out);
                return Outcome::EndOfInput;
            }
            Key::Character(c) => self.insert(c.encode_utf8(&mut [0; 4]), out),
            Key::Tab => self.complete(candidates, out),
            Key::Up | Key::Control('P') => self.replace(history.up(self.buffer.text()), out),
            Key::Down | Key::Control('N') => self.replace(history.down(), out),
            Key::Control('R') => {
                self.search = Some(Search::default());
                self.show_search(history, out);
            }
            Key::Control('L') => {
                out.push_str("\x1b[H\x1b[2J");
                self.screen.start(&self.prompt, &self.buffer, out);
            }
            Key::Control('T') => self.transpose(out),
            Key::Control('Y') => {
                let text = self.removed.clone();
                self.insert(&text, out);
            }
            _ => self.move_or_remove(key, out),
        }
        Outcome::Editing
    }

    fn move_or_remove(&mut self, key: Key, out: &mut String) {
        let buffer = &self.buffer;
        let (cursor, end) = (buffer.cursor(), buffer.text().len());
        let (to, range, is_word) = match key {
            Key::Left | Key::Control('B') => (buffer.left(), None, false),
            Key::Right | Key::Control('F') => (buffer.right(), None, false),
            Key::WordLeft => (buffer.word_left(), None, false),
            Key::WordRight => (buffer.word_right(), None, false),
            Key::Home | Key::Control('A') => (0, None, false),
            Key::End | Key::Control('E') => (end, None, false),
            Key::Backspace => (0, Some(buffer.left()..cursor), false),
            Key::Delete | Key::Control('D') => (0, Some(cursor..buffer.right()), false),
            Key::Control('K') => (0, Some(cursor..end), true),
            Key::Control('U') => (0, Some(0..cursor), true),
            Key::Control('W') => (0, Some(buffer.word_left()..cursor), true),
            Key::Alt('d') => (0, Some(cursor..buffer.word_right()), true),
            _ => return,
        };
        let Some(range) = range else {
            self.buffer.move_to(to);
            return self.screen.place(&self.buffer, out);
        };
        if range.is_empty() {
            return;
        }
        let start = range.start;
        let removed = self.buffer.remove(range);
        if is_word {
            self.removed = removed;
        }
        self.screen.show(&self.buffer, start, true, out);
    }

    fn insert(&mut self, text: &str, out: &mut String) {
        let from = self.buffer.cursor();
        if self.buffer.insert(text) {
            self.screen.show(&self.buffer, from, false, out);
        } else {
            bell(out);
        }
    }

    /// Exchanges the characters around the cursor.
    fn transpose(&mut self, out: &mut String) {
        let before = self.buffer.cursor();
        if self.buffer.cursor() == self.buffer.text().len() {
            self.buffer.move_to(self.buffer.left());
        }
        let (left, cursor, right) = (self.buffer.left(), self.buffer.cursor(), self.buffer.right());
        if left < cursor && cursor < right {
            let first = self.buffer.remove(left..cursor);
            self.buffer.move_to(left + (right - cursor));
            self.buffer.insert(&first);
            self.screen.show(&self.buffer, left, true, out);
        } else {
            self.buffer.move_to(before);
        }
    }

    /// Puts another line in place of this one.
    fn replace(&mut self, line: Option<String>, out: &mut String) {
        match line {
            Some(line) => {
                self.buffer = Buffer::new(line);
                self.screen.show(&self.buffer, 0, true, out);
            }
            None => bell(out),
        }
    }

    fn complete(&mut self, candidates: &mut dyn Candidates, out: &mut String) {
        let (start, completion) = completion::complete(self.buffer.before(), candidates);
        match completion {
            Completion::Nothing => bell(out),
            Completion::Word(word) => {
                // It begins with what is there.
                let begun = self.buffer.cursor() - start;
                self.insert(word.get(begun..).unwrap_or_default(), out);
            }
            Completion::Choice(words) => {
                self.screen.finish(&self.buffer, "", out);
                list(&words, self.screen.columns(), out);
                self.show_again(out);
            }
        }
    }

    /// A key while a line is looked for; whether it is to be taken as any other then.
    fn search_key(&mut self, key: Key, history: &History, out: &mut String) -> bool {
        let Some(search) = &mut self.search else {
            return true;
        };
        match key {
            Key::Character(c) => {
                search.text.push(c);
                search.found = None;
            }
            Key::Backspace => {
                search.text.pop();
                search.found = None;
            }
            Key::Control('R') => {}
            Key::Control('G') => {
                self.search = None;
                self.buffer = Buffer::default();
                self.screen.restart(&self.prompt, &self.buffer, out);
                return false;
            }
            _ => {
                self.search = None;
                self.screen.restart(&self.prompt, &self.buffer, out);
                return true;
            }
        }
        self.show_search(history, out);
        false
    }

    fn show_search(&mut self, history: &History, out: &mut String) {
        let Some(search) = &mut self.search else {
            return;
        };
        let before = search.found.unwrap_or(usize::MAX);
        let found = Some(&search.text).filter(|text| !text.is_empty());
        match found.and_then(|text| history.search(text, before)) {
            Some((at, line)) => {
                search.found = Some(at);
                self.buffer = Buffer::new(line.to_string());
            }
            None if search.text.is_empty() => {}
            None => bell(out),
        }
        let prompt = format!("(search `{}`) ", search.text);
        self.screen.restart(&prompt, &self.buffer, out);
    }
}

fn bell(out: &mut String) {
    out.push('\x07');
}

/// Writes words in columns, read from top to bottom.
fn list(words: &[String], columns: usize, out: &mut String) {
    let widest = words.iter().map(|word| text_width(word)).max().unwrap_or(0) + 2;
    let across = (columns / widest).max(1);
    let rows = words.len().div_ceil(across);
    for row in 0..rows {
        let mut padding = 0;
        for word in words.iter().skip(row).step_by(rows) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{:padding$}{word}", "");
            padding = widest - text_width(word);
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
