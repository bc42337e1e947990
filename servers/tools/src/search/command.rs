//! Commands that `find` runs: `-exec`.

use crate::Failure;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What stands for a path.
const PATH: &str = "{}";

/// Most bytes of the paths that one command gets, with what each costs besides: far below what a program can be started with.
const BATCH_BYTES: usize = 64 * 1024;

/// What a word costs besides its bytes.
const WORD_BYTES: usize = 4;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Its name and arguments; those that come behind them are not here.
    words: Vec<&'a str>,
    /// It gets many paths at once, behind its words.
    pub gathers: bool,
}

/// Paths for a command that gets many at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    paths: Vec<String>,
    bytes: usize,
}

impl<'a> Command<'a> {
    /// Reads the words behind `-exec`, to `;` or `{} +`.
    pub(super) fn parse(words: &mut impl Iterator<Item = &'a str>) -> Result<Command<'a>, Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.into()));
        let mut command = Command { words: Vec::new(), gathers: false };
        loop {
            match words.next() {
                None => return usage("-exec has no end: `;`, or `{} +`"),
                Some(";") => break,
                Some("+") if command.words.last() == Some(&PATH) => {
                    command.words.pop();
                    command.gathers = true;
                    break;
                }
                Some(word) => command.words.push(word),
            }
        }
        if command.words.is_empty() {
            return usage("-exec needs a command");
        }
        if command.gathers && command.words.iter().any(|word| word.contains(PATH)) {
            return usage("-exec with `+` takes one `{}`, at its end");
        }
        Ok(command)
    }

    /// The words of the command for one path.
    pub fn for_path(&self, path: &str) -> Vec<String> {
        self.words.iter().map(|word| word.replace(PATH, path)).collect()
    }

    /// The words of the command for paths, which are taken out.
    pub fn for_batch(&self, batch: &mut Batch) -> Vec<String> {
        let words = self.words.iter().map(ToString::to_string);
        words.chain(core::mem::take(batch).paths).collect()
    }
}

impl Batch {
    /// Whether there are no paths.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether one more path is too much for what is there.
    pub fn is_full_for(&self, path: &str) -> bool {
        !self.is_empty() && self.bytes + path.len() + WORD_BYTES > BATCH_BYTES
    }

    /// Adds a path. Error: there is no memory for it.
    pub fn add(&mut self, path: &str) -> Result<(), Failure> {
        let no_memory = |_| Failure::Error(format!("{path}: {}", libsys::io::Error::NoMemory));
        let mut text = String::new();
        text.try_reserve_exact(path.len()).map_err(no_memory)?;
        self.paths.try_reserve(1).map_err(no_memory)?;
        text.push_str(path);
        self.paths.push(text);
        self.bytes += path.len() + WORD_BYTES;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Command<'_>, Failure> {
        Command::parse(&mut text.split(' ').filter(|word| !word.is_empty()))
    }

    #[test]
    fn paths_stand_where_the_braces_stood() {
        let one = parse("mv {} a/{}{}.old + ; -print").expect("good");
        assert_eq!(one.for_path("x"), ["mv", "x", "a/xx.old", "+"]);
        assert!(!one.gathers);
        let many = parse("cat -n {} + -print").expect("good");
        let mut batch = Batch::default();
        for path in ["a", "b"] {
            batch.add(path).expect("memory");
        }
        assert!(many.gathers && !batch.is_empty());
        assert_eq!(many.for_batch(&mut batch), ["cat", "-n", "a", "b"]);
        assert_eq!(batch, Batch::default());
    }

    #[test]
    fn batches_have_an_end() {
        let long = "x".repeat(BATCH_BYTES);
        let mut batch = Batch::default();
        assert!(!batch.is_full_for(&long));
        batch.add("a").expect("memory");
        assert!(!batch.is_full_for("b") && batch.is_full_for(&long));
    }

    #[test]
    fn a_command_has_a_name_and_an_end() {
        for (text, why) in [
            ("", "no end"),
            ("ls {}", "no end"),
            ("ls +", "no end"),
            (";", "needs a command"),
            ("{} +", "needs a command"),
            ("ls {} {} +", "one `{}`"),
            ("ls a{} {} +", "one `{}`"),
        ] {
            let failure = parse(text).expect_err(text);
            assert!(matches!(&failure, Failure::Usage(told) if told.contains(why)), "{text}: {failure:?}");
        }
    }
}
