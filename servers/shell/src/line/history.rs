//! Lines of before.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Lines that are kept.
pub const LINES: usize = 500;

/// Lines that were entered, and where in them the user is.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: VecDeque<String>,
    /// Which line is shown; none: the one that is being written.
    shown: Option<usize>,
    /// The line that was being written when the user went up.
    draft: String,
}

impl History {
    /// Adds a line that was entered, unless it says nothing new.
    pub fn add(&mut self, line: &str) {
        self.shown = None;
        self.draft.clear();
        if line.trim().is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_string());
    }

    /// Lines of before, the oldest first.
    pub fn restore(&mut self, lines: Vec<String>) {
        self.lines = lines.into();
    }

    /// The line before the one that is shown. `current` is what stands there now.
    pub fn up(&mut self, current: &str) -> Option<String> {
        let next = match self.shown {
            None => self.lines.len().checked_sub(1)?,
            Some(shown) => shown.checked_sub(1)?,
        };
        if self.shown.is_none() {
            self.draft = current.to_string();
        }
        self.shown = Some(next);
        self.lines.get(next).cloned()
    }

    /// The line after the one that is shown, at last the one that was being written.
    pub fn down(&mut self) -> Option<String> {
        let next = self.shown? + 1;
        if next < self.lines.len() {
            self.shown = Some(next);
            return self.lines.get(next).cloned();
        }
        self.shown = None;
        Some(core::mem::take(&mut self.draft))
    }

    /// The newest line with `text` in it that is older than the one at `before`, and where it is.
    pub fn search(&self, text: &str, before: usize) -> Option<(usize, &str)> {
        let older = self.lines.iter().enumerate().take(before).rev();
        let mut found = older.filter(|(_, line)| line.contains(text));
        found.next().map(|(at, line)| (at, line.as_str()))
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_and_down_come_back_to_the_draft() {
        let mut history = History::default();
        for line in ["a", "b", "b", " "] {
            history.add(line);
        }
        assert_eq!(history.down(), None);
        assert_eq!(history.up("draft").as_deref(), Some("b"));
        assert_eq!(history.up("b").as_deref(), Some("a"));
        assert_eq!(history.up("a"), None);
        assert_eq!(history.down().as_deref(), Some("b"));
        assert_eq!(history.down().as_deref(), Some("draft"));
        assert_eq!(history.down(), None);
    }

    #[test]
    fn old_lines_go_and_others_are_found() {
        let mut history = History::default();
        for number in 0..LINES + 3 {
            history.add(&number.to_string());
        }
        assert_eq!(history.lines().next(), Some("3"));
        assert_eq!(history.search("44", usize::MAX), Some((446, "449")));
        assert_eq!(history.search("44", 446), Some((445, "448")));
        assert_eq!(history.search("nothing", usize::MAX), None);
    }
}
