//! `test`, `[`: files, strings, numbers.

use super::{Arguments, Command, Outcome, Topic};
use crate::failure::{Failure, usage};
use crate::status;
use alloc::format;
use alloc::string::String;
use libsys::fs;

pub(super) static TEST: Command = Command {
    name: "test",
    usage: "EXPRESSION",
    summary: "Says by its status whether something holds; `[ EXPRESSION ]` is the same.",
    details: "  -e FILE, -f FILE, -d FILE, -L FILE, -s FILE  it is there, a file, a directory, a link, not empty\n\
              \x20 TEXT, -n TEXT, -z TEXT                       the text is not empty, not empty, empty\n\
              \x20 TEXT = TEXT, TEXT != TEXT                    texts are the same, are not\n\
              \x20 NUMBER -eq NUMBER, -ne -lt -le -gt -ge       numbers\n\
              \x20 ! EXPRESSION, A -a B, A -o B, ( EXPRESSION ) not, and, or\n",
    topic: Topic::Files,
    run: |_, arguments: &mut Arguments| -> Outcome {
        let words = arguments.rest();
        match evaluate(words)? {
            true => Ok(()),
            false => Err(Failure::Status(status::FAILURE)),
        }
    },
};

/// Most expressions within each other.
const DEPTH: u32 = 32;

fn evaluate(words: &[String]) -> Result<bool, Failure> {
    if words.is_empty() {
        return Ok(false);
    }
    let mut expression = Expression { rest: words, depth: 0 };
    let value = expression.any()?;
    match expression.rest.first() {
        None => Ok(value),
        Some(word) => usage(format!("unexpected `{word}`")),
    }
}

struct Expression<'a> {
    rest: &'a [String],
    depth: u32,
}

impl<'a> Expression<'a> {
    fn next(&mut self) -> Result<&'a str, Failure> {
        let Some((first, rest)) = self.rest.split_first() else {
            return usage("something is missing at the end");
        };
        self.rest = rest;
        Ok(first)
    }

    fn take(&mut self, word: &str) -> bool {
        let is_here = self.rest.first().is_some_and(|first| first == word);
        if is_here {
            self.rest = &self.rest[1..];
        }
        is_here
    }

    fn any(&mut self) -> Result<bool, Failure> {
        let mut value = self.all()?;
        while self.take("-o") {
            value |= self.all()?;
        }
        Ok(value)
    }

    fn all(&mut self) -> Result<bool, Failure> {
        let mut value = self.one()?;
        while self.take("-a") {
            value &= self.one()?;
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<bool, Failure> {
        self.depth += 1;
        if self.depth > DEPTH {
            return usage("too many expressions within each other");
        }
        let value = self.within()?;
        self.depth -= 1;
        Ok(value)
    }

    fn within(&mut self) -> Result<bool, Failure> {
        let is_binary = self.rest.get(1).is_some_and(|word| is_comparison(word)) && self.rest.len() >= 3;
        if is_binary {
            let (left, operator, right) = (self.next()?, self.next()?, self.next()?);
            return compare(left, operator, right);
        }
        let is_alone =
            self.rest.len() == 1 || self.rest.get(1).is_some_and(|word| matches!(word.as_str(), "-a" | "-o"));
        if !is_alone {
            if self.take("!") {
                return Ok(!self.one()?);
            }
            if self.take("(") {
                let value = self.any()?;
                return if self.take(")") { Ok(value) } else { usage("a `)` is missing") };
            }
        }
        let first = self.next()?;
        if is_alone || !is_unary(first) {
            return Ok(!first.is_empty());
        }
        let word = self.next()?;
        Ok(match first {
            "-n" => !word.is_empty(),
            "-z" => word.is_empty(),
            "-L" | "-h" => fs::symlink_metadata(word).is_ok_and(|metadata| metadata.is_symlink()),
            _ => fs::metadata(word).is_ok_and(|metadata| match first {
                "-f" => metadata.is_file(),
                "-d" => metadata.is_dir(),
                "-s" => metadata.len() > 0,
                _ => true,
            }),
        })
    }
}

fn is_unary(word: &str) -> bool {
    matches!(word, "-n" | "-z" | "-e" | "-f" | "-d" | "-s" | "-L" | "-h" | "-r" | "-w" | "-x")
}

fn is_comparison(word: &str) -> bool {
    matches!(word, "=" | "==" | "!=" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge")
}

fn compare(left: &str, operator: &str, right: &str) -> Result<bool, Failure> {
    match operator {
        "=" | "==" => return Ok(left == right),
        "!=" => return Ok(left != right),
        _ => {}
    }
    let number =
        |word: &str| word.trim().parse::<i64>().map_err(|_| Failure::Usage(format!("`{word}` is not a number")));
    let order = number(left)?.cmp(&number(right)?);
    Ok(match operator {
        "-eq" => order.is_eq(),
        "-ne" => order.is_ne(),
        "-lt" => order.is_lt(),
        "-le" => order.is_le(),
        "-gt" => order.is_gt(),
        _ => order.is_ge(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn holds(text: &str) -> Result<bool, Failure> {
        let words: Vec<String> = text.split(' ').map(|word| if word == "''" { "" } else { word }.to_string()).collect();
        evaluate(&words)
    }

    #[test]
    fn texts_and_numbers() {
        for (text, expected) in [
            ("a", true),
            ("''", false),
            ("-n", true),
            ("-z ''", true),
            ("-n ''", false),
            ("a = a", true),
            ("a != a", false),
            ("! a = b", true),
            ("1 -lt 10", true),
            ("-5 -ge 3", false),
            ("1 -eq 1 -a 2 -eq 3", false),
            ("1 -eq 1 -o 2 -eq 3", true),
            ("( a = a ) -a ! ''", true),
            ("! = !", true),
            ("( = (", true),
        ] {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
        assert_eq!(evaluate(&[]), Ok(false));
        for text in ["a -lt 1", "a b", "( a", "1 -eq 1 -a"] {
            assert!(matches!(holds(text), Err(Failure::Usage(_))), "{text}");
        }
        assert!(holds(&"! ".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn anything_is_borne(words in proptest::collection::vec("!|\\(|\\)|-a|-o|-n|-z|=|-eq|[a1]?", 0..12)) {
            let _ = evaluate(&words);
        }
    }
}
