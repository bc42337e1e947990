//! Patterns: `*` is any text, `?` any character, `[a-z]` one of some, `[!a-z]` one of all others. What was quoted means itself.

use alloc::string::String;
use alloc::vec::Vec;

/// A character, and whether it was quoted.
pub type Character = (char, bool);

/// Whether there is anything in it that does not mean itself.
pub fn is_pattern(text: &[Character]) -> bool {
    text.iter().any(|(c, quoted)| !quoted && matches!(c, '*' | '?' | '['))
}

/// The characters themselves.
pub fn plain(text: &[Character]) -> String {
    text.iter().map(|(c, _)| c).collect()
}

/// Whether a text is as the pattern says. It takes at most as many steps as the lengths multiplied, and one more factor for sets.
pub fn matches(pattern: &[Character], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut from) = (0, 0);
    // Behind the last `*`, and where its text ends as far as it was tried.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if let Some(('*', false)) = pattern.get(at) {
            at += 1;
            star = Some((at, from));
            continue;
        }
        let Some(c) = text.get(from) else {
            return at == pattern.len();
        };
        match one(&pattern[at.min(pattern.len())..], *c) {
            Some(length) => {
                at += length;
                from += 1;
            }
            None => match star {
                Some((behind, tried)) => {
                    at = behind;
                    from = tried + 1;
                    star = Some((behind, from));
                }
                None => return false,
            },
        }
    }
}

/// Whether the first element of a pattern is a character: the element's length then.
fn one(pattern: &[Character], c: char) -> Option<usize> {
    match pattern.first()? {
        ('?', false) => Some(1),
        ('[', false) => match set(pattern, c) {
            Some((true, length)) => Some(length),
            Some((false, _)) => None,
            // Never closed: it means itself.
            None => (c == '[').then_some(1),
        },
        (itself, _) => (*itself == c).then_some(1),
    }
}

/// At a `[`: whether the character is in the set, and the length up to the `]`.
fn set(pattern: &[Character], c: char) -> Option<(bool, usize)> {
    let is_negated = matches!(pattern.get(1), Some(('!' | '^', false)));
    let start = 1 + usize::from(is_negated);
    let mut at = start;
    let mut is_in = false;
    loop {
        let (first, quoted) = *pattern.get(at)?;
        // In the first place it is a member.
        if first == ']' && !quoted && at > start {
            return Some((is_in != is_negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(('-', false)), Some((last, last_quoted))) if *last != ']' || *last_quoted => {
                is_in |= (first..=*last).contains(&c);
                at += 3;
            }
            _ => {
                is_in |= first == c;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, text: &str) -> bool {
        let pattern: Vec<Character> = pattern.chars().map(|c| (c, false)).collect();
        matches(&pattern, text)
    }

    #[test]
    fn texts_fit_or_do_not() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*.rs", "a.rs.rs", true),
            ("**a**", "bab", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[a-", "a", false),
            ("[a-]", "-", true),
            ("é?", "éß", true),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!matches(&[('*', true)], "x") && matches(&[('*', true)], "*"));
        let many: String = "a*".repeat(40);
        assert!(!fits(&(many + "b"), &"a".repeat(200)), "and it ends soon");
    }

    proptest! {
        #[test]
        fn anything_is_borne(pattern in "[a-c*?!\\[\\]-]{0,12}", text in "[a-c\\[\\]-]{0,12}") {
            fits(&pattern, &text);
        }

        #[test]
        fn text_fits_itself_and_stars(text in "[a-z]{0,9}", at in 0usize..9) {
            let at = at.min(text.len());
            let starred = std::format!("{}*{}", &text[..at], &text[at..]);
            prop_assert!(fits(&text, &text) && fits(&starred, &text));
        }
    }
}
