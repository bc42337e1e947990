//! Command lines: options and operands, as POSIX and GNU have them.
//!
//! Options are one letter with `-`, and several can stand together (`-la`). One that takes a value has it behind it, in the same
//! word or the next (`-n5`, `-n 5`). Some have a long name (`--lines=5`, `--lines 5`), which can be shortened where only one begins so. Options and operands may be mixed; behind `--` everything is an operand, and so is `-`.

use crate::Failure;
use crate::number;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Options that a program has: their letters, each with a `:` behind it where it takes a value. A `+` in front: the first operand ends the options.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'s> {
    /// The letters.
    pub letters: &'s str,
    /// Long names, and the letters that they mean.
    pub long: &'s [(&'s str, char)],
}

/// What a command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    given: Vec<(char, Option<&'a str>)>,
    /// What is not an option.
    pub operands: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// Reads arguments for a program that has options of these letters only. Errors: `Usage`, and `Help` for `--help`.
    pub fn parse(letters: &str, arguments: &'a [String]) -> Result<Options<'a>, Failure> {
        Spec { letters, long: &[] }.parse(arguments)
    }

    /// Whether an option was given.
    pub fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// The value of an option: the last one counts.
    pub fn value(&self, letter: char) -> Option<&'a str> {
        self.values(letter).last()
    }

    /// All values of an option that may be given several times.
    pub fn values(&self, letter: char) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| *given == letter).filter_map(|(_, value)| *value)
    }

    /// The value of an option as a number, perhaps with a unit (see [`number::parse`]).
    pub fn number(&self, letter: char) -> Result<Option<u64>, Failure> {
        let read = |text| number::parse(text).ok_or_else(|| Failure::Usage(format!("`{text}` is not a number")));
        self.value(letter).map(read).transpose()
    }

    /// Whichever of these options was given last.
    pub fn last(&self, letters: &str) -> Option<char> {
        self.given.iter().map(|(letter, _)| *letter).rfind(|letter| letters.contains(*letter))
    }

    /// Fails where there are fewer operands than that, or more.
    pub fn expect(&self, least: usize, most: usize) -> Result<(), Failure> {
        if self.operands.len() < least {
            return Err(Failure::Usage("an operand is missing".into()));
        }
        match self.operands.get(most) {
            Some(extra) => Err(Failure::Usage(format!("unexpected `{extra}`"))),
            None => Ok(()),
        }
    }
}

impl Spec<'_> {
    /// Reads arguments. Errors: `Usage`, and `Help` for `--help`.
    pub fn parse<'a>(&self, arguments: &'a [String]) -> Result<Options<'a>, Failure> {
        let mut options = Options::default();
        let mut rest = arguments.iter().map(String::as_str);
        while let Some(word) = rest.next() {
            if word == "--" {
                options.operands.extend(rest.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                let letter = self.long_option(name)?;
                let value = match (self.takes_value(letter), value) {
                    (false, Some(_)) => return Err(Failure::Usage(format!("--{name} takes no value"))),
                    (true, None) => Some(rest.next().ok_or_else(|| missing(&format!("--{name}")))?),
                    (_, value) => value,
                };
                options.given.push((letter, value));
            } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                self.cluster(letters, &mut rest, &mut options)?;
            } else {
                options.operands.push(word);
                if self.letters.starts_with('+') {
                    options.operands.extend(rest.by_ref());
                }
            }
        }
        Ok(options)
    }

    /// Letters that stand together.
    fn cluster<'a>(
        &self,
        letters: &'a str,
        rest: &mut impl Iterator<Item = &'a str>,
        options: &mut Options<'a>,
    ) -> Result<(), Failure> {
        for (at, letter) in letters.char_indices() {
            if matches!(letter, ':' | '+') || !self.letters.contains(letter) {
                return Err(Failure::Usage(format!("there is no option -{letter}")));
            }
            if !self.takes_value(letter) {
                options.given.push((letter, None));
                continue;
            }
            let behind = &letters[at + letter.len_utf8()..];
            let value = if behind.is_empty() { rest.next() } else { Some(behind) };
            options.given.push((letter, Some(value.ok_or_else(|| missing(&format!("-{letter}")))?)));
            break;
        }
        Ok(())
    }

    fn takes_value(&self, letter: char) -> bool {
        self.letters.split_once(letter).is_some_and(|(_, behind)| behind.starts_with(':'))
    }

    fn long_option(&self, name: &str) -> Result<char, Failure> {
        if name == "help" {
            return Err(Failure::Help);
        }
        if let Some((_, letter)) = self.long.iter().find(|(long, _)| *long == name) {
            return Ok(*letter);
        }
        let mut begin_so = self.long.iter().filter(|(long, _)| !name.is_empty() && long.starts_with(name));
        match (begin_so.next(), begin_so.next()) {
            (Some((_, letter)), None) => Ok(*letter),
            (None, _) => Err(Failure::Usage(format!("there is no option --{name}"))),
            (Some(_), Some(_)) => Err(Failure::Usage(format!("--{name} may mean several options"))),
        }
    }
}

/// The old way of `head` and `tail`: a first argument `-5` is `-n5`.
pub fn with_number_first(arguments: &[String]) -> Cow<'_, [String]> {
    let digits = arguments.first().and_then(|first| first.strip_prefix('-')).unwrap_or("");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(arguments);
    }
    let mut all = arguments.to_vec();
    all[0] = format!("-n{digits}");
    Cow::Owned(all)
}

fn missing(option: &str) -> Failure {
    Failure::Usage(format!("{option} needs a value"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPEC: Spec<'_> =
        Spec { letters: "ab:c", long: &[("all", 'a'), ("bytes", 'b'), ("by-line", 'c'), ("count", 'c')] };

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(String::from).collect()
    }

    fn usage(text: &str) -> String {
        match SPEC.parse(&words(text)) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn options_come_in_every_form() {
        for text in
            ["-a -b 5 x", "-ab5 x", "-ab 5 x", "x -a -b5", "--all --bytes=5 x", "--al --byt 5 x", "-a -b 9 -b 5 x"]
        {
            let words = words(text);
            let options = SPEC.parse(&words).expect(text);
            assert!(options.has('a') && !options.has('c'), "{text}");
            assert_eq!((options.value('b'), &options.operands[..]), (Some("5"), &["x"][..]), "{text}");
            assert_eq!(options.number('b'), Ok(Some(5)), "{text}");
        }
    }

    #[test]
    fn operands_may_look_like_options() {
        let words = words("- -a -- -b --all");
        let options = SPEC.parse(&words).expect("good");
        assert_eq!(options.operands, ["-", "-b", "--all"]);
        assert_eq!((options.expect(3, 3), options.last("abc")), (Ok(()), Some('a')));
        assert_eq!(options.expect(1, 2), Err(Failure::Usage("unexpected `--all`".into())));
        assert!(matches!(options.expect(4, 9), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_first_operand_may_end_the_options() {
        let words = words("-a x -b");
        let options = Options::parse("+ab", &words).expect("good");
        assert!(options.has('a') && !options.has('b'));
        assert_eq!(options.operands, ["x", "-b"]);
    }

    #[test]
    fn a_number_may_be_the_first() {
        assert_eq!(with_number_first(&words("-5 x"))[..], words("-n5 x")[..]);
        assert_eq!(with_number_first(&words("- -5"))[..], words("- -5")[..]);
    }

    #[test]
    fn bad_options_are_told() {
        assert_eq!(usage("-d"), "there is no option -d");
        assert_eq!(usage("-a:"), "there is no option -:");
        assert_eq!(usage("-b"), "-b needs a value");
        assert_eq!(usage("-ab"), "-b needs a value");
        assert_eq!(usage("--bytes"), "--bytes needs a value");
        assert_eq!(usage("--all=5"), "--all takes no value");
        assert_eq!(usage("--none"), "there is no option --none");
        assert_eq!(usage("--by"), "--by may mean several options");
        assert_eq!(SPEC.parse(&words("x --help")), Err(Failure::Help));
        let words = words("-bx");
        assert!(matches!(SPEC.parse(&words).expect("good").number('b'), Err(Failure::Usage(_))));
    }

    proptest! {
        #[test]
        fn any_words_are_borne(words in proptest::collection::vec("[-=abc:d5é]{0,6}", 0..6)) {
            let words: Vec<String> = words;
            if let Ok(options) = SPEC.parse(&words) {
                prop_assert!(options.operands.len() <= words.len());
            }
        }
    }
}
