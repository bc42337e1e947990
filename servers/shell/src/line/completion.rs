//! Tab: what a word that was begun may become.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Knows what may stand at a place.
pub trait Candidates {
    /// All words that may stand behind `words` (empty: a command), whether they fit what was `begun` or not. One that ends
    /// with `/` goes on.
    fn after(&mut self, words: &[&str], begun: &str) -> Vec<String>;
}

/// What Tab does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Nothing fits.
    Nothing,
    /// The word becomes this, which begins as it does.
    Word(String),
    /// The word stays, and these fit.
    Choice(Vec<String>),
}

/// Where the word before the end of `before` begins, and what may take its place.
pub fn complete(before: &str, candidates: &mut dyn Candidates) -> (usize, Completion) {
    let command = last_command(before);
    let start = before.len() - (command.len() - last_word(command));
    let begun = &before[start..];
    let words: Vec<&str> = command[..last_word(command)].split_whitespace().collect();
    let mut fitting = candidates.after(&words, begun);
    fitting.retain(|candidate| candidate.starts_with(begun));
    fitting.sort();
    fitting.dedup();
    let completion = match fitting.as_slice() {
        [] => Completion::Nothing,
        [only] => Completion::Word(only.clone() + if only.ends_with('/') { "" } else { " " }),
        [first, .., last] => {
            // Sorted, so what the outer two share all of them share.
            let same = common(first, last);
            if same.len() > begun.len() { Completion::Word(same.to_string()) } else { Completion::Choice(fitting) }
        }
    };
    (start, completion)
}

/// The text of the last command of a line: commands are told apart without a look at quotes.
fn last_command(line: &str) -> &str {
    let start = line.rfind([';', '&', '|', '(']).map_or(0, |at| at + 1);
    line[start..].trim_start()
}

/// Where the last word begins, which may be empty.
fn last_word(command: &str) -> usize {
    let space = command.char_indices().rev().find(|(_, c)| c.is_whitespace());
    space.map_or(0, |(at, c)| at + c.len_utf8())
}

fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let mut pairs = one.char_indices().zip(other.chars());
    let end = pairs.find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    &one[..end.unwrap_or(one.len().min(other.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    struct Example;

    impl Candidates for Example {
        fn after(&mut self, words: &[&str], _: &str) -> Vec<String> {
            let all: &[&str] = match words {
                [] => &["service", "sleep", "sys", "ps"],
                ["service"] => &["list", "start", "stop", "é1", "é2"],
                _ => &[],
            };
            all.iter().map(|word| word.to_string()).collect()
        }
    }

    fn complete(line: &str) -> (usize, Completion) {
        super::complete(line, &mut Example)
    }

    #[test]
    fn words_of_commands() {
        assert_eq!(complete("p"), (0, Completion::Word("ps ".into())));
        let choice = vec!["service".into(), "sleep".into(), "sys".into()];
        assert_eq!(complete("s"), (0, Completion::Choice(choice)));
        assert_eq!(complete("service st"), (8, Completion::Choice(vec!["start".into(), "stop".into()])));
        assert_eq!(complete("ps; se"), (4, Completion::Word("service ".into())));
        assert_eq!(complete("ps &&service l"), (13, Completion::Word("list ".into())));
        assert_eq!(complete("service list x").1, Completion::Nothing);
        assert_eq!(complete("service \u{e9}").1, Completion::Choice(vec!["é1".into(), "é2".into()]));
        assert_eq!(complete("se"), (0, Completion::Word("service ".into())));
        let (start, completion) = complete("service ");
        assert!(start == 8 && matches!(completion, Completion::Choice(all) if all.len() == 5));
    }

    proptest! {
        #[test]
        fn any_line_is_borne(line in "(\\PC|[ ;&|])*") {
            let (start, _) = complete(&line);
            prop_assert!(line.is_char_boundary(start));
        }
    }
}
