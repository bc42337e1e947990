//! Parts of lines: the lists of `cut`, the keys of `sort`.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Numbers from 1 on, as `1,3-5,-2,7-` lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List(Vec<(usize, usize)>);

impl List {
    /// Reads a list; `None`: it is none.
    pub fn parse(text: &str) -> Option<List> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
        let range = |part: &str| {
            let (low, high) = match part.split_once('-') {
                None => (number(part)?, number(part)?),
                Some(("", "")) => return None,
                Some((low, "")) => (number(low)?, usize::MAX),
                Some(("", high)) => (1, number(high)?),
                Some((low, high)) => (number(low)?, number(high)?),
            };
            (low <= high).then_some((low, high))
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>().map(List)
    }

    /// Whether a number is in it.
    pub fn has(&self, number: usize) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&number))
    }
}

/// What lines are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The first field, from 0 on.
    pub first: usize,
    /// The last field; `None`: the line's last.
    pub last: Option<usize>,
    /// What separates fields; `None`: blanks, which belong to the field behind them.
    pub separator: Option<u8>,
    /// By the number that it begins with.
    pub numeric: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Blanks in front do not count.
    pub ignore_blanks: bool,
}

impl Key {
    /// Which of two lines comes first.
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let (a, b) = (self.part(a), self.part(b));
        if self.numeric {
            return compare_numbers(a, b);
        }
        if self.ignore_case {
            return a.iter().map(u8::to_ascii_uppercase).cmp(b.iter().map(u8::to_ascii_uppercase));
        }
        a.cmp(b)
    }

    fn part<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        let start = self.start_of(line, self.first);
        let end = self.last.map_or(line.len(), |last| {
            let next = self.start_of(line, last + 1);
            // The separator in front of the next field is not part of this one.
            if self.separator.is_some() && next > 0 && self.has_field(line, last + 1) { next - 1 } else { next }
        });
        let part = line.get(start..end).unwrap_or_default();
        if self.ignore_blanks { part.trim_ascii_start() } else { part }
    }

    fn has_field(&self, line: &[u8], index: usize) -> bool {
        self.separator.is_some_and(|separator| line.iter().filter(|byte| **byte == separator).count() >= index)
    }

    /// Where a field begins; the end of the line where there is none.
    fn start_of(&self, line: &[u8], index: usize) -> usize {
        if index == 0 {
            return 0;
        }
        if let Some(separator) = self.separator {
            let mut ends = line.iter().enumerate().filter(|(_, byte)| **byte == separator);
            return ends.nth(index - 1).map_or(line.len(), |(at, _)| at + 1);
        }
        let mut at = 0;
        for _ in 0..index {
            at += line[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            at += line[at..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        }
        at
    }
}

/// Compares the numbers that texts begin with, however long; what is none counts as 0.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (Number::of(a), Number::of(b));
    match (a.is_negative, b.is_negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => a.compare_size(&b),
        (true, true) => b.compare_size(&a),
    }
}

/// A number in a text: its digits, without zeros that mean nothing.
struct Number<'t> {
    is_negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
}

impl<'t> Number<'t> {
    fn of(text: &'t [u8]) -> Number<'t> {
        let text = text.trim_ascii_start();
        let (has_sign, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let digits = |text: &'t [u8]| text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let (whole, rest) = digits(text);
        let fraction = rest.strip_prefix(b".").map_or(&rest[..0], |rest| digits(rest).0);
        let whole = &whole[whole.iter().take_while(|byte| **byte == b'0').count()..];
        let zeros = fraction.iter().rev().take_while(|byte| **byte == b'0').count();
        let fraction = &fraction[..fraction.len() - zeros];
        let is_negative = has_sign && !(whole.is_empty() && fraction.is_empty());
        Number { is_negative, whole, fraction }
    }

    fn compare_size(&self, other: &Number<'_>) -> Ordering {
        let lengths = self.whole.len().cmp(&other.whole.len());
        lengths.then_with(|| self.whole.cmp(other.whole)).then_with(|| self.fraction.cmp(other.fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_have_ranges() {
        let list = List::parse("2,4-5,8-").expect("a list");
        let all: Vec<usize> = (1..11).filter(|number| list.has(*number)).collect();
        assert_eq!(all, [2, 4, 5, 8, 9, 10]);
        assert!(List::parse("-3").is_some_and(|list| list.has(1) && !list.has(4)));
        for wrong in ["", "0", "3-2", "-", "a", "1,", "1-2-3", "0-2"] {
            assert_eq!(List::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_compared_by_their_value() {
        for (a, b, order) in [
            ("2", "10", Ordering::Less),
            (" 010", "10", Ordering::Equal),
            ("-2", "-10", Ordering::Greater),
            ("1.5", "1.25", Ordering::Greater),
            ("x", "0", Ordering::Equal),
            ("-0", "0", Ordering::Equal),
            ("-1", "", Ordering::Less),
            ("99999999999999999999999", "100000000000000000000000", Ordering::Less),
        ] {
            assert_eq!(compare_numbers(a.as_bytes(), b.as_bytes()), order, "{a} {b}");
        }
    }

    #[test]
    fn keys_are_parts_of_lines() {
        let second = Key { first: 1, last: Some(1), ..Key::default() };
        assert_eq!(second.part(b"ab  cd ef"), b"  cd");
        assert_eq!(Key { ignore_blanks: true, ..second }.part(b"ab  cd ef"), b"cd");
        assert_eq!(second.part(b"ab"), b"");
        let colon = Key { separator: Some(b':'), ..second };
        assert_eq!((colon.part(b"a:b:c"), colon.part(b"a:b"), colon.part(b"a")), (&b"b"[..], &b"b"[..], &b""[..]));
        assert_eq!(Key { first: 1, ..Key::default() }.part(b"a b c"), b" b c");
        let caseless = Key { ignore_case: true, ..Key::default() };
        assert_eq!(caseless.compare(b"aB", b"Ab"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn integers_sort_as_integers(a in any::<i64>(), b in any::<i64>()) {
            let (left, right) = (alloc::format!("{a}"), alloc::format!("{b} x"));
            prop_assert_eq!(compare_numbers(left.as_bytes(), right.as_bytes()), a.cmp(&b));
        }

        #[test]
        fn any_line_has_its_parts(line in proptest::collection::vec(any::<u8>(), 0..20), first in 0usize..5, last in 0usize..5, colon in any::<bool>()) {
            let key = Key { first, last: Some(last), separator: colon.then_some(b':'), ..Key::default() };
            prop_assert!(key.part(&line).len() <= line.len());
        }
    }
}
