//! The patterns of `grep`: regular expressions of POSIX, basic and extended, and fixed strings, put into the words of the crate `regex`, which finds them in time that grows with the text only. Of alternatives the first counts, not the longest, and there are no back references.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use regex::bytes::{Regex, RegexBuilder};

/// Most memory of a pattern, in bytes.
const MOST: usize = 4 << 20;

/// Classes of letters that a set can name.
const CLASSES: [&str; 12] =
    ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"];

/// How patterns are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Basic regular expressions.
    Basic,
    /// Extended ones.
    Extended,
    /// Text that is meant as it is.
    Fixed,
}

/// What counts as found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Whole words only.
    pub word: bool,
    /// Whole lines only.
    pub line: bool,
}

/// Patterns, of which any may be found.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// From texts that may have several patterns each, one a line. Error: what is wrong.
    pub fn new<'t>(texts: impl Iterator<Item = &'t str>, syntax: Syntax, choices: Choices) -> Result<Pattern, String> {
        let all: Result<Vec<String>, String> = texts
            .flat_map(|text| text.split('\n'))
            .map(|text| translate(text, syntax).map(|text| format!("(?:{text})")))
            .collect();
        let any = all?.join("|");
        let whole = match choices {
            Choices { line: true, .. } => format!("^(?:{any})$"),
            Choices { word: true, .. } => format!("\\b{{start-half}}(?:{any})\\b{{end-half}}"),
            _ => any,
        };
        let regex = RegexBuilder::new(&whole).case_insensitive(choices.ignore_case).size_limit(MOST).build();
        regex.map(|regex| Pattern { regex }).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".into(),
            other => other.to_string().lines().last().unwrap_or("bad pattern").trim_start_matches("error: ").into(),
        })
    }

    /// Whether a line, without its newline, has it.
    pub fn is_in(&self, line: &[u8]) -> bool {
        self.regex.is_match(line)
    }

    /// Where it is in a line; those that overlap with one before are left out, and empty ones.
    pub fn places<'l>(&'l self, line: &'l [u8]) -> impl Iterator<Item = Range<usize>> + 'l {
        self.regex.find_iter(line).map(|found| found.range()).filter(|range| !range.is_empty())
    }
}

/// The same pattern as the crate writes it.
fn translate(text: &str, syntax: Syntax) -> Result<String, String> {
    if syntax == Syntax::Fixed {
        return Ok(regex::escape(text));
    }
    let basic = syntax == Syntax::Basic;
    let mut out = String::new();
    let mut rest = text.chars();
    // Nothing is there yet that could be repeated.
    let mut begins = true;
    while let Some(letter) = rest.next() {
        let was_begin = core::mem::replace(&mut begins, false);
        let (letter, escaped) = match letter {
            '\\' => (rest.next().ok_or("the pattern ends with a `\\`")?, true),
            letter => (letter, false),
        };
        match letter {
            // With the backslash in one syntax, without it in the other.
            '(' | ')' | '{' | '}' | '|' | '+' | '?' if escaped == basic => {
                let is_text = match letter {
                    '{' => !is_interval(rest.as_str(), basic),
                    '}' => !ends_interval(&out),
                    '+' | '?' => was_begin,
                    _ => false,
                };
                if is_text || (letter == '{' && was_begin) {
                    push_escaped(&mut out, letter);
                } else {
                    out.push(letter);
                }
                begins = matches!(letter, '(' | '|');
            }
            '1'..='9' if escaped => return Err("back references are not there".into()),
            '<' | '>' | 'b' | 'B' | 'w' | 'W' | 's' | 'S' if escaped => out.extend(['\\', letter]),
            letter if escaped => push_escaped(&mut out, letter),
            '[' => bracket(&mut rest, &mut out)?,
            '*' if was_begin => out.push_str("\\*"),
            '^' if !basic || was_begin => {
                out.push('^');
                begins = true;
            }
            '$' if !basic
                || matches!(rest.as_str(), "")
                || rest.as_str().starts_with("\\)")
                || rest.as_str().starts_with("\\|") =>
            {
                out.push('$')
            }
            '.' | '*' => out.push(letter),
            letter => push_escaped(&mut out, letter),
        }
    }
    Ok(out)
}

fn push_escaped(out: &mut String, letter: char) {
    out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
}

/// Whether what follows a brace is an interval with its end.
fn is_interval(rest: &str, basic: bool) -> bool {
    let end = if basic { "\\}" } else { "}" };
    rest.split_once(end).is_some_and(|(inside, _)| {
        inside.starts_with(|c: char| c.is_ascii_digit())
            && inside.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
    })
}

/// Whether the output ends inside of an interval.
fn ends_interval(out: &str) -> bool {
    let inside = out.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',');
    inside.len() < out.len() && inside.ends_with('{') && !inside.ends_with("\\{")
}

/// A set in brackets, behind its `[`: no letter in it needs a backslash.
fn bracket(rest: &mut core::str::Chars<'_>, out: &mut String) -> Result<(), String> {
    const NO_END: &str = "a `[` has no end";
    out.push('[');
    if rest.as_str().starts_with('^') {
        rest.next();
        out.push('^');
    }
    let mut first = true;
    loop {
        let letter = rest.next().ok_or(NO_END)?;
        match letter {
            ']' if !first => break,
            '[' if rest.as_str().starts_with(':') => {
                let (name, behind) = rest.as_str()[1..].split_once(":]").ok_or("a class has no end")?;
                if !CLASSES.contains(&name) {
                    return Err(format!("there is no class `{name}`"));
                }
                out.push_str(&format!("[:{name}:]"));
                *rest = behind.chars();
            }
            '[' if rest.as_str().starts_with(['.', '=']) => return Err("collating elements are not there".into()),
            letter => {
                set_letter(out, letter);
                let mut ahead = rest.clone();
                if ahead.next() == Some('-')
                    && let Some(high) = ahead.next().filter(|high| *high != ']')
                {
                    out.push('-');
                    set_letter(out, high);
                    *rest = ahead;
                }
            }
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

fn set_letter(out: &mut String, letter: char) {
    if letter.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn has(pattern: &str, syntax: Syntax, line: &str) -> bool {
        Pattern::new([pattern].into_iter(), syntax, Choices::default()).expect(pattern).is_in(line.as_bytes())
    }

    #[test]
    fn basic_expressions() {
        for (pattern, line) in [
            ("a.c", "xabcx"),
            ("^a*b$", "aab"),
            ("*a", "x*a"),
            ("a+b", "a+b"),
            ("a\\+b", "aab"),
            ("a{2}", "a{2}"),
            ("^a\\{2,3\\}$", "aaa"),
            ("\\(ab\\)*c", "ababc"),
            ("a\\|b", "b"),
            ("a|b", "a|b"),
            ("a^b", "a^b"),
            ("a$b", "a$b"),
            ("[]x]", "]"),
            ("[^]x]", "a"),
            ("[[:digit:]]\\{2\\}", "a12"),
            ("[a\\]", "\\"),
            ("[a&&b]", "&"),
            ("\\.", "."),
            ("\\<ab\\>", "x ab y"),
            ("", ""),
        ] {
            assert!(has(pattern, Syntax::Basic, line), "{pattern} {line}");
        }
        for (pattern, line) in [("a\\+b", "a+b"), ("\\.", "x"), ("[^]x]", "]x"), ("\\<b", "ab"), ("a\\{3\\}", "aa")] {
            assert!(!has(pattern, Syntax::Basic, line), "{pattern} {line}");
        }
    }

    #[test]
    fn extended_expressions() {
        for (pattern, line) in [
            ("a+b", "aab"),
            ("a\\+b", "a+b"),
            ("(ab|cd){2}", "abcd"),
            ("a{,", "a{,"),
            ("a{x}", "a{x}"),
            ("x?y", "y"),
            ("\\(a\\)", "(a)"),
            ("^(a|b)$", "b"),
            ("[a-c-]+$", "-"),
        ] {
            assert!(has(pattern, Syntax::Extended, line), "{pattern} {line}");
        }
    }

    #[test]
    fn fixed_strings_and_choices() {
        assert!(has("a.c*", Syntax::Fixed, "xa.c*") && !has("a.c", Syntax::Fixed, "abc"));
        let with = |choices, text: &'static str| Pattern::new([text].into_iter(), Syntax::Basic, choices).expect(text);
        let word = with(Choices { word: true, ..Choices::default() }, "ab");
        assert!(word.is_in(b"x ab.") && !word.is_in(b"xab") && !word.is_in(b"ab_"));
        let line = with(Choices { line: true, ..Choices::default() }, "ab\ncd");
        assert!(line.is_in(b"cd") && !line.is_in(b"abc"));
        let caseless = with(Choices { ignore_case: true, ..Choices::default() }, "äb");
        assert!(caseless.is_in("xÄB".as_bytes()));
        let places: Vec<Range<usize>> = with(Choices::default(), "a*").places(b"aaxa").collect();
        assert_eq!(places, [0..2, 3..4]);
        assert!(with(Choices::default(), "b").is_in(b"\xff\xfeb"));
    }

    #[test]
    fn bad_patterns_are_told() {
        for pattern in ["a\\", "[a", "\\(a", "\\(a\\)\\1", "[[:none:]]", "[[.a.]]", "[b-a]", "a\\{9999999\\}"] {
            let bad = Pattern::new([pattern].into_iter(), Syntax::Basic, Choices::default());
            assert!(bad.is_err_and(|why| !why.is_empty()), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_borne(pattern in "[a*+?{}|()\\[\\]\\\\^$.,0-9:-]{0,10}", extended in any::<bool>()) {
            let syntax = if extended { Syntax::Extended } else { Syntax::Basic };
            if let Ok(pattern) = Pattern::new([pattern.as_str()].into_iter(), syntax, Choices::default()) {
                let _ = pattern.is_in(b"a0:-");
            }
        }

        #[test]
        fn fixed_text_is_found(before in "\\PC{0,5}", text in "\\PC{1,5}", after in "\\PC{0,5}") {
            let line = format!("{before}{text}{after}");
            prop_assert!(has(&text, Syntax::Fixed, &line));
        }
    }
}
