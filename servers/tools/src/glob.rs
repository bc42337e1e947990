//! Patterns of names: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a character that is meant as it is.

/// Whether a whole name is as the pattern says. It takes at most as many steps as both are long, multiplied.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on after a mismatch: behind the last star, with one character more for it.
    let mut again: Option<(&str, &str)> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix('*') {
            again = Some((rest, name));
            pattern = rest;
            continue;
        }
        let mut letters = name.chars();
        let fits = match letters.next() {
            None if pattern.is_empty() => return true,
            None => return false,
            Some(letter) => one(pattern, letter),
        };
        match (fits, again) {
            (Some(rest), _) => (pattern, name) = (rest, letters.as_str()),
            (None, None) => return false,
            (None, Some((behind, from))) => {
                let mut letters = from.chars();
                letters.next();
                again = Some((behind, letters.as_str()));
                (pattern, name) = (behind, letters.as_str());
            }
        }
    }
}

/// What is left of the pattern if its first part is for this letter.
fn one(pattern: &str, letter: char) -> Option<&str> {
    let mut rest = pattern.chars();
    let fits = match rest.next()? {
        '?' => true,
        '[' => match set(rest.as_str(), letter) {
            Some((fits, behind)) => {
                rest = behind.chars();
                fits
            }
            // Without an end it is no set.
            None => letter == '[',
        },
        '\\' => rest.next().unwrap_or('\\') == letter,
        plain => plain == letter,
    };
    fits.then_some(rest.as_str())
}

/// Whether a set has the letter, and what is behind it; `text` is behind its `[`. `None`: it does not end.
fn set(text: &str, letter: char) -> Option<(bool, &str)> {
    let inverted = text.starts_with(['!', '^']);
    let mut rest = text[usize::from(inverted)..].chars();
    let (mut has, mut first) = (false, true);
    loop {
        let mut low = rest.next()?;
        if low == ']' && !first {
            return Some((has != inverted, rest.as_str()));
        }
        first = false;
        if low == '\\' {
            low = rest.next()?;
        }
        let mut high = low;
        let mut ahead = rest.clone();
        if ahead.next() == Some('-')
            && let Some(end) = ahead.next().filter(|end| *end != ']')
        {
            high = if end == '\\' { ahead.next()? } else { end };
            rest = ahead;
        }
        has |= (low..=high).contains(&letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("*.rs", "a.b.rs"),
            ("**a**", "bab"),
            ("?", "é"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("[", "["),
            ("[ab", "[ab"),
            ("\\*", "*"),
            ("[\\]]", "]"),
            ("a\\", "a\\"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("?", ""),
            ("a", "ab"),
            ("*a", "ab"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "a"),
            ("a?c", "ac"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&(pattern + "b"), &"a".repeat(2000)));
    }

    proptest! {
        #[test]
        fn a_name_fits_itself(name in "[^*?\\[\\\\]*", begin in 0usize..10) {
            prop_assert!(matches(&name, &name));
            let tail: String = name.chars().skip(begin).collect();
            let pattern = alloc::format!("*{tail}");
            prop_assert!(matches(&pattern, &name));
        }

        #[test]
        fn any_pattern_is_borne(pattern in "[a*?\\[\\]!\\\\-]{0,12}", name in "[a\\[\\]-]{0,8}") {
            let _ = matches(&pattern, &name);
        }
    }
}
