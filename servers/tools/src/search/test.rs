//! The tests of `find`: what is asked of one name.

use crate::walk::Visit;
use crate::{About, Failure, glob, number};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use libsys::fs::{self, Metadata, NodeKind, Timestamp};

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test<'a> {
    /// The name is as the pattern says; without regard to case.
    Name(&'a str, bool),
    /// The path is as the pattern says.
    Path(&'a str),
    /// It is of one of these kinds.
    Kind(Vec<NodeKind>),
    /// It takes so many units of so many bytes, or more, or less.
    Size(Ordering, u64, u64),
    /// It is a file without bytes, or a directory without names.
    Empty,
    /// It was changed after that.
    Newer(Timestamp),
}

impl<'a> Test<'a> {
    /// The test of a word, whose value is fetched where it takes one. `None`: the word is no test.
    pub(super) fn parse(
        word: &str,
        value: impl FnOnce() -> Result<&'a str, Failure>,
    ) -> Result<Option<Test<'a>>, Failure> {
        Ok(Some(match word {
            "-name" => Test::Name(value()?, false),
            "-iname" => Test::Name(value()?, true),
            "-path" => Test::Path(value()?),
            "-type" => Test::Kind(kinds(value()?)?),
            "-size" => size(value()?)?,
            "-empty" => Test::Empty,
            "-newer" => {
                let model = value()?;
                Test::Newer(fs::metadata(model).about(model)?.modified())
            }
            _ => return Ok(None),
        }))
    }

    /// Whether it is passed; `metadata` is asked for where the test takes it.
    pub fn passes(&self, visit: &Visit, metadata: impl FnOnce() -> Result<Metadata, Failure>) -> Result<bool, Failure> {
        Ok(match self {
            Test::Name(pattern, false) => glob::matches(pattern, visit.name()),
            Test::Name(pattern, true) => glob::matches(&pattern.to_lowercase(), &visit.name().to_lowercase()),
            Test::Path(pattern) => glob::matches(pattern, &visit.path),
            Test::Kind(kinds) => kinds.contains(&visit.kind),
            Test::Size(order, count, unit) => metadata()?.len().div_ceil(*unit).cmp(count) == *order,
            Test::Empty => match visit.kind {
                NodeKind::Directory => fs::read_dir(&visit.path).about(&visit.path)?.next().is_none(),
                NodeKind::File => metadata()?.len() == 0,
                _ => false,
            },
            Test::Newer(moment) => metadata()?.modified() > *moment,
        })
    }
}

fn kinds(text: &str) -> Result<Vec<NodeKind>, Failure> {
    let mut all = Vec::new();
    for letter in text.split(',') {
        all.extend(match letter {
            "f" => vec![NodeKind::File],
            "d" => vec![NodeKind::Directory],
            "l" => vec![NodeKind::Link],
            "c" => vec![NodeKind::Character, NodeKind::Console],
            "b" => vec![NodeKind::Block],
            "p" => vec![NodeKind::Pipe],
            _ => return Err(Failure::Usage(format!("there is no type `{letter}`"))),
        });
    }
    Ok(all)
}

fn size(text: &str) -> Result<Test<'static>, Failure> {
    let (order, rest) = match text.as_bytes().first() {
        Some(b'+') => (Ordering::Greater, &text[1..]),
        Some(b'-') => (Ordering::Less, &text[1..]),
        _ => (Ordering::Equal, text),
    };
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &rest[digits.len()..];
    let bytes = if unit.is_empty() { Some(512) } else { number::parse(&format!("1{unit}")) };
    match (digits.parse(), bytes) {
        (Ok(count), Some(bytes)) => Ok(Test::Size(order, count, bytes)),
        _ => Err(Failure::Usage(format!("`{text}` is not a size"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Stage;

    #[test]
    fn names_and_kinds() {
        let visit = Visit { path: "x/Ab.c".into(), depth: 1, kind: NodeKind::File, stage: Stage::First };
        let passes = |test: Test<'_>| test.passes(&visit, || Err(Failure::Help)).expect("not asked for");
        assert!(passes(Test::Name("A*.c", false)) && passes(Test::Name("a*.C", true)) && passes(Test::Path("x/*")));
        assert!(!passes(Test::Name("x/*", false)) && !passes(Test::Kind(vec![NodeKind::Link])));
    }
}
