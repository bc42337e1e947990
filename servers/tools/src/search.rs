//! What `find` looks for.

use crate::walk::Visit;
use crate::{About, Failure, glob, number};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use libsys::fs::{self, Metadata, NodeKind, Timestamp};

/// A search.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Where it begins.
    pub roots: Vec<&'a str>,
    /// What has to be passed; those with `true` must not be.
    pub tests: Vec<(bool, Test<'a>)>,
    /// Roots have depth 0.
    pub least_depth: usize,
    /// What is deeper is not looked at.
    pub most_depth: usize,
    /// What is in directories counts before them.
    pub depth_first: bool,
    /// What is found is removed.
    pub delete: bool,
    /// Behind each path.
    pub end: &'static [u8],
}

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

impl<'a> Search<'a> {
    /// Reads arguments.
    pub fn parse(arguments: &'a [String]) -> Result<Search<'a>, Failure> {
        let mut words = arguments.iter().map(String::as_str).peekable();
        let mut roots = Vec::new();
        while let Some(root) = words.next_if(|word| !(word.starts_with('-') && word.len() > 1 || *word == "!")) {
            roots.push(root);
        }
        if roots.is_empty() {
            roots.push(".");
        }
        let mut search = Search {
            roots,
            tests: Vec::new(),
            least_depth: 0,
            most_depth: usize::MAX,
            depth_first: false,
            delete: false,
            end: b"\n",
        };
        let mut negated = false;
        while let Some(word) = words.next() {
            if word == "!" || word == "-not" {
                negated = !negated;
                continue;
            }
            let mut value = || words.next().ok_or_else(|| Failure::Usage(format!("{word} needs a value")));
            let depth = |text: &str| text.parse().map_err(|_| Failure::Usage(format!("`{text}` is not a depth")));
            let test = match word {
                "--help" => return Err(Failure::Help),
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
                option => {
                    match option {
                        "-maxdepth" => search.most_depth = depth(value()?)?,
                        "-mindepth" => search.least_depth = depth(value()?)?,
                        "-depth" => search.depth_first = true,
                        "-print" => {}
                        "-print0" => search.end = b"\0",
                        "-delete" => (search.delete, search.depth_first) = (true, true),
                        _ => return Err(Failure::Usage(format!("unexpected `{word}`"))),
                    }
                    continue;
                }
            };
            search.tests.push((core::mem::take(&mut negated), test));
        }
        if negated { Err(Failure::Usage("a test behind `!` is missing".into())) } else { Ok(search) }
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

impl Test<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Stage;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn arguments() {
        let words = words("a b -name *.c ! -type d,l -maxdepth 2 -size +4k -print0");
        let search = Search::parse(&words).expect("good");
        assert_eq!((search.roots, search.most_depth, search.end), (vec!["a", "b"], 2, &b"\0"[..]));
        let tests = [
            (false, Test::Name("*.c", false)),
            (true, Test::Kind(vec![NodeKind::Directory, NodeKind::Link])),
            (false, Test::Size(Ordering::Greater, 4, 1024)),
        ];
        assert_eq!(search.tests, tests);
    }

    #[test]
    fn bad_arguments() {
        for text in
            ["-name", "-type x", "-size", "-size k", "-size 1x", "-size 1é", "-maxdepth x", "-nme a", "a -empty b", "!"]
        {
            assert!(matches!(Search::parse(&words(text)), Err(Failure::Usage(_))), "{text}");
        }
        assert!(Search::parse(&words("")).is_ok_and(|search| search.roots == ["."]));
    }

    #[test]
    fn names_and_kinds() {
        let visit = Visit { path: "x/Ab.c".into(), depth: 1, kind: NodeKind::File, stage: Stage::First };
        let passes = |test: Test<'_>| test.passes(&visit, || Err(Failure::Help)).expect("not asked for");
        assert!(passes(Test::Name("A*.c", false)) && passes(Test::Name("a*.C", true)) && passes(Test::Path("x/*")));
        assert!(!passes(Test::Name("x/*", false)) && !passes(Test::Kind(vec![NodeKind::Link])));
    }
}
