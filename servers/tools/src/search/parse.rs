//! From the words behind `find` to a search. From the loosest to the tightest: `-o`, `-a` (which need not be written), `!`.

use super::{Action, Command, Expression, Search, Test};
use crate::Failure;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::slice::Iter;

/// Most parentheses within each other.
const DEEPEST: usize = 32;

/// Whether a word begins the expression, and so ends the paths.
fn is_of_expression(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1 || matches!(word, "!" | "(" | ")")
}

/// Reads arguments.
pub(super) fn search(arguments: &[String]) -> Result<Search<'_>, Failure> {
    let mut words = arguments.iter().peekable();
    let mut roots = Vec::new();
    while let Some(root) = words.next_if(|word| !is_of_expression(word)) {
        roots.push(root.as_str());
    }
    if roots.is_empty() {
        roots.push(".");
    }
    let search = Search {
        roots,
        expression: Expression::True,
        commands: Vec::new(),
        least_depth: 0,
        most_depth: usize::MAX,
        depth_first: false,
    };
    let mut parser = Parser { words, search, depth: 0 };
    if parser.words.peek().is_some() {
        parser.search.expression = parser.any("")?;
    }
    match parser.words.next() {
        None => {}
        // Whatever else may stand there belongs to the expression.
        Some(_) => return usage("a `)` has no `(`"),
    }
    let mut search = parser.search;
    if !search.expression.acts() {
        search.expression = Expression::All(vec![search.expression, Expression::Action(Action::Print("\n"))]);
    }
    Ok(search)
}

fn usage<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::Usage(text.into()))
}

/// A command line that is being read.
struct Parser<'a> {
    words: Peekable<Iter<'a, String>>,
    /// What was read of it.
    search: Search<'a>,
    /// Parentheses that are open.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn next_is(&mut self, wanted: &[&str]) -> Option<&'a str> {
        self.words.next_if(|word| wanted.contains(&word.as_str())).map(String::as_str)
    }

    /// Expressions with `-o` between them; `before` is the word in front of them.
    fn any(&mut self, before: &'a str) -> Result<Expression<'a>, Failure> {
        let mut parts = vec![self.all(before)?];
        while let Some(word) = self.next_is(&["-o", "-or"]) {
            parts.push(self.all(word)?);
        }
        Ok(Expression::of(parts, Expression::Any))
    }

    /// Expressions with `-a` or nothing between them.
    fn all(&mut self, before: &'a str) -> Result<Expression<'a>, Failure> {
        let mut parts = vec![self.one(before)?];
        loop {
            if let Some(word) = self.next_is(&["-a", "-and"]) {
                parts.push(self.one(word)?);
            } else if self.words.peek().is_none_or(|word| matches!(word.as_str(), ")" | "-o" | "-or")) {
                return Ok(Expression::of(parts, Expression::All));
            } else {
                parts.push(self.one("")?);
            }
        }
    }

    /// An expression without operators but those in front of it.
    fn one(&mut self, mut before: &'a str) -> Result<Expression<'a>, Failure> {
        let mut negated = false;
        while let Some(word) = self.next_is(&["!", "-not"]) {
            (negated, before) = (!negated, word);
        }
        let expression = match self.words.peek().map(|word| word.as_str()) {
            None => return usage(&format!("an expression behind `{before}` is missing")),
            Some(word @ (")" | "-o" | "-or" | "-a" | "-and")) => {
                return usage(&match before {
                    "" => format!("an expression in front of `{word}` is missing"),
                    _ => format!("an expression between `{before}` and `{word}` is missing"),
                });
            }
            Some("(") => self.parentheses()?,
            Some(_) => self.primary()?,
        };
        Ok(if negated { Expression::Not(Box::new(expression)) } else { expression })
    }

    fn parentheses(&mut self) -> Result<Expression<'a>, Failure> {
        let open = self.words.next().map_or("", String::as_str);
        if self.depth == DEEPEST {
            return usage("there are too many parentheses within each other");
        }
        self.depth += 1;
        if self.words.peek().is_none() {
            return usage("a `(` has no `)`");
        }
        let expression = self.any(open)?;
        self.depth -= 1;
        match self.words.next() {
            Some(_) => Ok(expression),
            None => usage("a `(` has no `)`"),
        }
    }

    /// A test, an action or an option.
    fn primary(&mut self) -> Result<Expression<'a>, Failure> {
        let word = self.words.next().map_or("", String::as_str);
        let words = &mut self.words;
        let value = || {
            let value = words.next().map(String::as_str);
            value.ok_or_else(|| Failure::Usage(format!("{word} needs a value")))
        };
        if let Some(test) = Test::parse(word, value)? {
            return Ok(Expression::Test(test));
        }
        Ok(Expression::Action(match word {
            "--help" => return Err(Failure::Help),
            "-print" => Action::Print("\n"),
            "-print0" => Action::Print("\0"),
            "-prune" => Action::Prune,
            "-delete" => {
                self.search.depth_first = true;
                Action::Delete
            }
            "-exec" => {
                self.search.commands.push(Command::parse(&mut self.words.by_ref().map(String::as_str))?);
                Action::Execute(self.search.commands.len() - 1)
            }
            _ => {
                self.option(word)?;
                return Ok(Expression::True);
            }
        }))
    }

    /// An option of the whole search.
    fn option(&mut self, word: &str) -> Result<(), Failure> {
        let mut depth = || {
            let text = self.words.next().ok_or_else(|| Failure::Usage(format!("{word} needs a value")))?;
            text.parse().map_err(|_| Failure::Usage(format!("`{text}` is not a depth")))
        };
        match word {
            "-maxdepth" => self.search.most_depth = depth()?,
            "-mindepth" => self.search.least_depth = depth()?,
            "-depth" => self.search.depth_first = true,
            _ if is_of_expression(word) => return usage(&format!("unexpected `{word}`")),
            _ => return usage(&format!("unexpected `{word}`: paths come before the expression")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use core::cmp::Ordering;
    use libsys::fs::NodeKind;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    /// The expression of a command line, as text: `&` and `|` join what is in parentheses.
    fn shown(text: &str) -> String {
        fn show(expression: &Expression<'_>) -> String {
            let joined = |parts: &[Expression<'_>], by: &str| {
                let parts: Vec<String> = parts.iter().map(show).collect();
                format!("({})", parts.join(by))
            };
            match expression {
                Expression::Test(Test::Name(name, _)) => name.to_string(),
                Expression::Test(test) => format!("{test:?}"),
                Expression::Action(Action::Print(_)) => "print".into(),
                Expression::Action(action) => format!("{action:?}").to_lowercase(),
                Expression::True => "true".into(),
                Expression::Not(other) => format!("!{}", show(other)),
                Expression::All(parts) => joined(parts, "&"),
                Expression::Any(parts) => joined(parts, "|"),
            }
        }
        let words = words(text);
        show(&search(&words).expect(text).expression)
    }

    fn told(text: &str) -> String {
        let words = words(text);
        match search(&words) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn paths_options_and_tests() {
        let words = words("a b -name *.c ! -type d,l -maxdepth 2 -size +4k -print0");
        let search = search(&words).expect("good");
        assert_eq!((search.roots, search.most_depth), (vec!["a", "b"], 2));
        let kinds = Test::Kind(vec![NodeKind::Directory, NodeKind::Link]);
        let parts = vec![
            Expression::Test(Test::Name("*.c", false)),
            Expression::Not(Box::new(Expression::Test(kinds))),
            Expression::True,
            Expression::Test(Test::Size(Ordering::Greater, 4, 1024)),
            Expression::Action(Action::Print("\0")),
        ];
        assert_eq!(search.expression, Expression::All(parts));
    }

    #[test]
    fn operators_bind_as_they_should() {
        for (text, tree) in [
            ("", "(true&print)"),
            ("-name a", "(a&print)"),
            ("-name a -o -name b", "((a|b)&print)"),
            ("-name a -name b -o -name c -a -name d", "(((a&b)|(c&d))&print)"),
            ("-name a ( -name b -or -name c ) -and -name d", "((a&(b|c)&d)&print)"),
            ("! -name a -o -not -not -name b", "((!a|b)&print)"),
            ("! ( -name a -o -name b ) -print", "(!(a|b)&print)"),
            ("-name a -print -o -name b", "((a&print)|b)"),
            ("-name a -prune -o -name b", "(((a&prune)|b)&print)"),
            ("-name a -prune -o -print", "((a&prune)|print)"),
            ("-name -o -name (", "((-o&()&print)"),
            ("-depth -delete", "(true&delete)"),
            ("-exec a ( -o {} ; -o -exec b {} +", "(execute(0)|execute(1))"),
            ("( ( ( -name a ) ) )", "(a&print)"),
        ] {
            assert_eq!(shown(text), tree, "{text}");
        }
    }

    #[test]
    fn bad_expressions_are_told() {
        for (text, why) in [
            ("-name", "-name needs a value"),
            ("-type x", "there is no type `x`"),
            ("-size k", "`k` is not a size"),
            ("-size 1x", "`1x` is not a size"),
            ("-size 1é", "`1é` is not a size"),
            ("-maxdepth x", "`x` is not a depth"),
            ("-mindepth", "-mindepth needs a value"),
            ("-nme a", "unexpected `-nme`"),
            ("a -empty b", "unexpected `b`: paths come before the expression"),
            ("!", "an expression behind `!` is missing"),
            ("-name a -o", "an expression behind `-o` is missing"),
            ("-name a -a", "an expression behind `-a` is missing"),
            ("-o -name a", "an expression in front of `-o` is missing"),
            ("-name a -o -o -name b", "an expression between `-o` and `-o` is missing"),
            ("-name a -a -o -name b", "an expression between `-a` and `-o` is missing"),
            ("( )", "an expression between `(` and `)` is missing"),
            ("( ! )", "an expression between `!` and `)` is missing"),
            ("(", "a `(` has no `)`"),
            ("( -name a", "a `(` has no `)`"),
            (")", "an expression in front of `)` is missing"),
            ("-name a )", "a `)` has no `(`"),
            ("( -name a ) )", "a `)` has no `(`"),
            ("-exec ls {}", "-exec has no end: `;`, or `{} +`"),
            ("-exec", "-exec has no end: `;`, or `{} +`"),
        ] {
            assert_eq!(told(text), why, "{text}");
        }
        assert!(told(&"( ".repeat(5000)).contains("too many parentheses"));
        assert_eq!(shown(&["! ".repeat(5000), "-name a".into()].concat()), "(a&print)");
    }

    #[test]
    fn parts_are_asked_as_long_as_they_matter() {
        let words = words("-name a -exec x ; -o ! -name b -print");
        let search = search(&words).expect("good");
        let asked = |found: &[&str]| {
            let mut all = Vec::new();
            let result = search.expression.evaluate(&mut |part| {
                let (text, is_true) = match part {
                    super::super::Part::Test(Test::Name(name, _)) => (name.to_string(), found.contains(name)),
                    other => (format!("{other:?}"), true),
                };
                all.push(text);
                Ok(is_true)
            });
            (all.join(" "), result.expect("no failure"))
        };
        assert_eq!(asked(&["a"]), ("a Action(Execute(0))".into(), true));
        assert_eq!(asked(&["b"]), ("a b".into(), false));
        assert_eq!(asked(&[]), ("a b Action(Print(\"\\n\"))".into(), true));
    }

    proptest! {
        #[test]
        fn any_words_are_borne(words in proptest::collection::vec("[(!)a]|-o|-a|-name|-exec|;|\\+|-prune|-depth|\\{\\}", 0..12)) {
            let words: Vec<String> = words;
            let _ = search(&words);
        }
    }
}
