//! Lines, words, numbers.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What is wrong in a line.
pub(super) type Reason = String;

/// The words of a line, without its comment.
pub(super) fn split(line: &str) -> Result<Vec<&str>, Reason> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| "a quotation mark is not closed".to_owned())?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err("a blank is missing behind a quotation mark".to_owned());
        }
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// The words of a line behind its first, taken one by one.
pub(super) struct Words<'a> {
    pub(super) keyword: &'a str,
    words: alloc::vec::IntoIter<&'a str>,
}

impl<'a> Words<'a> {
    /// `None` for a line without words.
    pub(super) fn of(line: &'a str) -> Result<Option<Words<'a>>, Reason> {
        let mut words = split(line)?.into_iter();
        Ok(words.next().map(|keyword| Words { keyword, words }))
    }

    /// The next word, which has to be there; `what` says what it is.
    pub(super) fn take(&mut self, what: &str) -> Result<&'a str, Reason> {
        self.words.next().ok_or_else(|| format!("`{}` needs {what}", self.keyword))
    }

    /// The next word, if it is there.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.words.next()
    }

    /// Whether no word is left.
    pub(super) fn is_empty(&self) -> bool {
        self.words.as_slice().is_empty()
    }

    /// Takes the next word if it is this one.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let is_next = self.words.as_slice().first() == Some(&word);
        if is_next {
            self.words.next();
        }
        is_next
    }

    /// All further words, of which there must be some.
    pub(super) fn rest(&mut self, what: &str) -> Result<Vec<String>, Reason> {
        let rest: Vec<String> = self.words.by_ref().map(str::to_owned).collect();
        if rest.is_empty() { Err(format!("`{}` needs {what}", self.keyword)) } else { Ok(rest) }
    }

    /// The next word as a number in a range.
    pub(super) fn number(&mut self, what: &str, least: u64, most: u64) -> Result<u64, Reason> {
        let word = self.take(what)?;
        match number(word) {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            Some(_) => Err(format!("{what} {word} is not between {least} and {most}")),
            None => Err(format!("`{word}` is not a number: {what} is wanted")),
        }
    }

    /// The next word as a name.
    pub(super) fn name(&mut self, what: &str) -> Result<String, Reason> {
        let word = self.take(what)?;
        if super::is_name(word) {
            return Ok(word.to_owned());
        }
        Err(format!("`{word}` is not a name: 1 to 16 of a-z, 0-9 and -"))
    }

    /// The next word as a time, in nanoseconds.
    pub(super) fn time(&mut self, what: &str) -> Result<u64, Reason> {
        let word = self.take(what)?;
        time(word).ok_or_else(|| format!("`{word}` is not a time such as 50ms, 2s or 1m"))
    }

    /// That there is nothing more.
    pub(super) fn end(mut self) -> Result<(), Reason> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(format!("`{word}` is too much for `{}`", self.keyword)),
        }
    }
}

/// A number, decimal or `0x…`.
pub(super) fn number(word: &str) -> Option<u64> {
    let (digits, radix) = word.strip_prefix("0x").map_or((word, 10), |digits| (digits, 16));
    // Signs are no part of a number here.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Bytes, with `K`, `M` or `G`.
pub(super) fn size(word: &str) -> Option<u64> {
    let (digits, shift) = match word.as_bytes().last()? {
        b'K' => (&word[..word.len() - 1], 10),
        b'M' => (&word[..word.len() - 1], 20),
        b'G' => (&word[..word.len() - 1], 30),
        _ => (word, 0),
    };
    number(digits)?.checked_mul(1 << shift)
}

/// Nanoseconds, with `ms`, `s` or `m`.
pub(super) fn time(word: &str) -> Option<u64> {
    let units = [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000)];
    let (digits, unit) = units.iter().find_map(|(suffix, unit)| Some((word.strip_suffix(suffix)?, *unit)))?;
    number(digits)?.checked_mul(unit)
}
