//! Words with a few variables and files.

use super::super::{Action, parse};
use super::*;
use alloc::vec;
use proptest::prelude::*;

struct Example;

impl Surroundings for Example {
    type Error = String;

    fn parameter(&self, parameter: &Parameter) -> Option<String> {
        match parameter {
            Parameter::Status => Some("7".into()),
            Parameter::Position(1) => Some("one two".into()),
            Parameter::Count => Some("2".into()),
            Parameter::Variable(name) if name == "x" => Some("X  Y".into()),
            Parameter::Variable(name) if name == "star" => Some("*.rs".into()),
            _ => None,
        }
    }

    fn positions(&self) -> Vec<String> {
        vec!["one two".into(), "three".into()]
    }

    fn output(&mut self, script: &Script) -> Result<String, String> {
        match script.statements.len() {
            0 => Err("nothing to run".into()),
            _ => Ok("a\nb\n\n".into()),
        }
    }

    fn names(&mut self, directory: &str) -> Vec<String> {
        let names: &[&str] = match directory {
            "" => &["src", "b.rs", "a.rs", ".hidden.rs", "t[1]"],
            "src/" => &["lib.rs", "run"],
            "src/run/" => &["x.rs"],
            _ => &[],
        };
        names.iter().map(|name| name.to_string()).collect()
    }

    fn is_directory(&mut self, path: &str) -> bool {
        ["src", "src/run"].contains(&path)
    }

    fn error(&self, text: String) -> String {
        text
    }
}

fn expand(text: &str) -> Result<String, String> {
    let script = parse(text).map_err(|error| error.to_string())?;
    let Some(statement) = script.statements.first() else {
        return Ok(String::new());
    };
    let Action::Simple { words: all, .. } = &statement.pipelines[0].1.stages[0].action else {
        return Err("not simple".into());
    };
    Ok(words(all, &mut Example)?.iter().map(|word| alloc::format!("[{word}]")).collect())
}

#[test]
fn values_are_split_where_they_are_not_quoted() {
    for (text, expected) in [
        ("$x", "[X][Y]"),
        ("\"$x\"", "[X  Y]"),
        ("a${x}b", "[aX][Yb]"),
        ("$nothing \"$nothing\" '' x$nothing", "[][][x]"),
        ("$? \"$?\" '$?' ${?} $#", "[7][7][$?][7][2]"),
        ("$1 \"$1\" $9", "[one][two][one two]"),
        ("$@", "[one][two][three]"),
        ("\"$@\"", "[one two][three]"),
        ("\"a$@b\"", "[aone two][threeb]"),
        ("\"$*\"", "[one two three]"),
        ("$(a)", "[a][b]"),
        ("\"$(a)\"", "[a\nb]"),
        ("$((1 + x)) ${y:-other text}", ""),
        ("${y:-other}-$((2*3))", "[other-6]"),
        ("${y:-a b}c ${y:-'a b'}c \"${y:-a b}\"c", "[a][bc][a bc][a bc]"),
        ("${y:-$x} \"${y:-$x}\" \"${y:-a\\}b}\" ${y:-}", "[X][Y][X  Y][a}b]"),
        ("${x:-other} \"${x:-other}\" ${y:-${z:-$(a)}} ${y:-\"\"} ${9:-nine}", "[X][Y][X  Y][a][b][][nine]"),
    ] {
        match expected {
            "" => assert_eq!(expand(text), Err("`X  Y` is not a number".into())),
            expected => assert_eq!(expand(text).as_deref(), Ok(expected), "{text}"),
        }
    }
}

#[test]
fn patterns_become_names() {
    for (text, expected) in [
        ("*.rs", "[a.rs][b.rs]"),
        (".*.rs", "[.hidden.rs]"),
        ("'*'.rs \\*.rs \"*.rs\"", "[*.rs][*.rs][*.rs]"),
        ("$star", "[a.rs][b.rs]"),
        ("\"$star\"", "[*.rs]"),
        ("[ab].rs [!a].rs ?.rs", "[a.rs][b.rs][b.rs][a.rs][b.rs]"),
        ("*.c", "[*.c]"),
        ("*/lib.rs", "[src/lib.rs]"),
        ("*/*/*", "[src/run/x.rs]"),
        ("src/*.rs /*", "[src/lib.rs][/*]"),
        ("*/ sr[c]/run/ *.rs/", "[src/][src/run/][*.rs/]"),
        ("t'['1]", "[t[1]]"),
        ("[ a ]", "[[][a][]]"),
    ] {
        assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn words_have_bounds() {
    let long = "x".repeat(300_000);
    assert_eq!(expand(&long), Err("a word is too long".into()));
    assert_eq!(expand(&alloc::format!("\"{long}\"")), Err("a word is too long".into()));
    let many = "$1".repeat(17_000);
    assert_eq!(expand(&many), Err("there are too many words".into()));
    let many = "$1 ".repeat(9_000);
    assert_eq!(expand(&many), Err("there are too many words".into()));
}

proptest! {
    #[test]
    fn anything_is_expanded_or_refused(text in "(\\PC|[ '\"$*?\\[\\]/x@#{}()])*") {
        let _ = expand(&text);
    }
}
