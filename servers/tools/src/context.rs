//! The lines around those that were found: what `grep -A`, `-B` and `-C` show besides.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use libsys::io::{Error, Result};

/// How many lines are shown in front of a found one, and behind it, and which were come by.
#[derive(Debug, Default)]
pub struct Context {
    before: usize,
    after: u64,
    /// Lines that may turn out to be in front of a found one, with their numbers.
    held: VecDeque<(u64, Vec<u8>)>,
    /// How many lines are still shown behind the last found one.
    left: u64,
    /// The last line that was shown; 0: none.
    shown: u64,
}

impl Context {
    /// So many lines in front and behind.
    pub fn new(before: u64, after: u64) -> Context {
        Context { before: usize::try_from(before).unwrap_or(usize::MAX), after, ..Context::default() }
    }

    /// A line was found: whether there is a gap between what was shown last and what is shown now, and the lines in front of it, with their numbers.
    pub fn found(&mut self, number: u64) -> (bool, VecDeque<(u64, Vec<u8>)>) {
        let first = self.held.front().map_or(number, |(number, _)| *number);
        let has_gap = (self.before > 0 || self.after > 0) && self.shown > 0 && first > self.shown + 1;
        (self.shown, self.left) = (number, self.after);
        (has_gap, core::mem::take(&mut self.held))
    }

    /// A line was not found: whether it is shown all the same, as it is behind a found one. Error: `NoMemory`.
    pub fn passed(&mut self, number: u64, text: &[u8]) -> Result<bool> {
        if self.left > 0 {
            self.left -= 1;
            self.shown = number;
            return Ok(true);
        }
        if self.before > 0 {
            if self.held.len() == self.before {
                self.held.pop_front();
            }
            let mut line = Vec::new();
            line.try_reserve_exact(text.len()).map_err(|_| Error::NoMemory)?;
            line.extend_from_slice(text);
            self.held.try_reserve(1).map_err(|_| Error::NoMemory)?;
            self.held.push_back((number, line));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use std::format;

    /// What is shown of lines `1`, `2`, … of which some are found.
    fn shown(before: u64, after: u64, found: &[u64]) -> String {
        let mut context = Context::new(before, after);
        let mut text = String::new();
        for number in 1..=9 {
            if found.contains(&number) {
                let (has_gap, held) = context.found(number);
                text += if has_gap { "--" } else { "" };
                for (number, line) in held {
                    assert_eq!(line, format!("{number}").as_bytes());
                    text += &format!("{number}-");
                }
                text += &format!("{number}:");
            } else if context.passed(number, format!("{number}").as_bytes()).expect("memory") {
                text += &format!("{number}-");
            }
        }
        text
    }

    #[test]
    fn lines_around_are_shown_once() {
        assert_eq!(shown(0, 0, &[2, 5]), "2:5:");
        assert_eq!(shown(0, 1, &[2, 5]), "2:3---5:6-");
        assert_eq!(shown(1, 0, &[2, 5]), "1-2:--4-5:");
        assert_eq!(shown(1, 1, &[2, 5]), "1-2:3-4-5:6-");
        assert_eq!(shown(2, 2, &[2, 4]), "1-2:3-4:5-6-");
        assert_eq!(shown(9, 0, &[1, 9]), "1:2-3-4-5-6-7-8-9:");
        assert_eq!(shown(0, 9, &[8]), "8:9-");
    }
}
