//! Fields: what a word becomes when it is split. They have bounds, so that no value, however it came about, takes the shell's memory.

use super::Character;
use alloc::string::String;
use alloc::vec::Vec;

/// Most characters of a field.
const LENGTH: usize = 128 * 1024;

/// Most fields of a word.
const FIELDS: usize = super::WORDS;

/// Appends a text. Error: why it cannot be.
pub(super) fn append(field: &mut Vec<Character>, text: &str, quoted: bool) -> Result<(), &'static str> {
    if field.len() + text.len() > LENGTH {
        return Err("a word is too long");
    }
    if field.capacity() - field.len() < text.len() {
        let more = text.len().max(field.len().min(LENGTH - field.len()));
        field.try_reserve_exact(more).map_err(|_| "there is no memory for a word")?;
    }
    field.extend(text.chars().map(|c| (c, quoted)));
    Ok(())
}

/// The fields of a word in the making.
#[derive(Default)]
pub(super) struct Fields {
    done: Vec<Vec<Character>>,
    open: Vec<Character>,
    /// The open field is one even when it is empty.
    has_open: bool,
    /// `"$@"` without parameters makes no field.
    hides_empty: bool,
}

impl Fields {
    /// Adds a text to the open field.
    pub(super) fn add(&mut self, text: &str, quoted: bool) -> Result<(), &'static str> {
        append(&mut self.open, text, quoted)
    }

    /// Adds quoted texts, each of which is a field, but for what stands before the first and behind the last.
    pub(super) fn add_each(&mut self, texts: &[String]) -> Result<(), &'static str> {
        self.hides_empty |= texts.is_empty();
        for (number, text) in texts.iter().enumerate() {
            if number > 0 {
                self.end(true)?;
            }
            self.add(text, true)?;
        }
        self.has_open |= !texts.is_empty();
        Ok(())
    }

    /// Adds a text that is split at blanks.
    pub(super) fn split(&mut self, text: &str) -> Result<(), &'static str> {
        for (number, part) in text.split([' ', '\t', '\n']).enumerate() {
            if number > 0 {
                self.end(false)?;
            }
            self.add(part, false)?;
        }
        Ok(())
    }

    /// Ends the open field; an empty one is there only if it is to be kept.
    fn end(&mut self, keep_empty: bool) -> Result<(), &'static str> {
        if !self.open.is_empty() || keep_empty || self.has_open {
            if self.done.len() == FIELDS {
                return Err("there are too many words");
            }
            self.done.push(core::mem::take(&mut self.open));
        }
        self.has_open = false;
        Ok(())
    }

    /// All fields of a word, part of which was quoted or not.
    pub(super) fn finish(mut self, is_quoted: bool) -> Result<Vec<Vec<Character>>, &'static str> {
        let is_kept = is_quoted && self.done.is_empty() && !self.hides_empty;
        self.end(is_kept)?;
        Ok(self.done)
    }
}
