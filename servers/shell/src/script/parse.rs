//! From text to [`Script`].

use super::{Command, Condition, Part, Script, Statement, SyntaxError, SyntaxErrorKind, Word};
use alloc::string::String;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

/// Reads a command line, which may have several lines.
pub fn parse(text: &str) -> Result<Script, SyntaxError> {
    Parser { rest: text.chars().peekable(), at: 0 }.script()
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    /// Characters read.
    at: usize,
}

/// What separates words and commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    And,
    Or,
    Background,
    Semicolon,
    NewLine,
}

impl Operator {
    fn text(self) -> &'static str {
        match self {
            Operator::And => "&&",
            Operator::Or => "||",
            Operator::Background => "&",
            Operator::Semicolon => ";",
            Operator::NewLine => "\n",
        }
    }
}

impl Parser<'_> {
    fn script(mut self) -> Result<Script, SyntaxError> {
        let mut script = Script::default();
        let mut commands: Vec<(Condition, Command)> = Vec::new();
        let mut condition = Condition::Always;
        // Where `&&` or `||` stands that has no command yet.
        let mut open: Option<(usize, &'static str)> = None;
        loop {
            let words = self.words()?;
            let at = self.at;
            let operator = self.operator()?;
            let is_empty = words.is_empty();
            if !is_empty {
                commands.push((condition, Command { words }));
                open = None;
            }
            let ends_line = matches!(operator, None | Some(Operator::NewLine));
            if is_empty && !ends_line {
                let operator = operator.map_or("", Operator::text);
                return Err(error(at, SyntaxErrorKind::NothingBefore(operator)));
            }
            match operator {
                Some(Operator::And | Operator::Or) => {
                    open = Some((at, operator.map_or("", Operator::text)));
                    condition = if operator == Some(Operator::And) { Condition::Success } else { Condition::Failure };
                    continue;
                }
                // A line may end after `&&`: the command follows on the next one.
                Some(Operator::NewLine) if is_empty && open.is_some() => continue,
                _ => {}
            }
            if let Some((at, operator)) = open {
                return Err(error(at, SyntaxErrorKind::NothingAfter(operator)));
            }
            let background = operator == Some(Operator::Background);
            if background && commands.len() > 1 {
                return Err(error(at, SyntaxErrorKind::BackgroundOfSeveral));
            }
            if !commands.is_empty() {
                script.statements.push(Statement { commands: core::mem::take(&mut commands), background });
            }
            condition = Condition::Always;
            if operator.is_none() {
                return Ok(script);
            }
        }
    }

    /// Words up to an operator or the end.
    fn words(&mut self) -> Result<Vec<Word>, SyntaxError> {
        let mut words = Vec::new();
        loop {
            match self.rest.peek() {
                Some('#') => while self.next_if(|c| c != '\n').is_some() {},
                Some(c) if c.is_whitespace() && *c != '\n' => drop(self.next()),
                None | Some('\n' | ';' | '&' | '|') => return Ok(words),
                Some(_) => words.push(self.word()?),
            }
        }
    }

    fn operator(&mut self) -> Result<Option<Operator>, SyntaxError> {
        let at = self.at;
        let Some(first) = self.next() else {
            return Ok(None);
        };
        let doubled = self.next_if(|c| c == first && first != '\n' && first != ';');
        Ok(Some(match (first, doubled) {
            ('&', Some(_)) => Operator::And,
            ('&', None) => Operator::Background,
            ('|', Some(_)) => Operator::Or,
            ('|', None) => return Err(error(at, SyntaxErrorKind::Unsupported('|'))),
            (';', _) => Operator::Semicolon,
            _ => Operator::NewLine,
        }))
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Builder::default();
        loop {
            let at = self.at;
            match self.rest.peek().copied() {
                None | Some(';' | '&' | '|') => break,
                Some(c) if c.is_whitespace() => break,
                Some(c @ ('<' | '>')) => return Err(error(at, SyntaxErrorKind::Unsupported(c))),
                Some('\'') => {
                    self.next();
                    word.is_quoted = true;
                    self.single_quoted(at, &mut word)?;
                }
                Some('"') => {
                    self.next();
                    word.is_quoted = true;
                    self.double_quoted(at, &mut word)?;
                }
                Some('\\') => {
                    self.next();
                    match self.next() {
                        // A line that goes on.
                        Some('\n') => {}
                        Some(c) => word.push(c),
                        None => return Err(error(at, SyntaxErrorKind::LastBackslash)),
                    }
                }
                Some('$') => self.dollar(&mut word)?,
                Some(c) => {
                    self.next();
                    word.push(c);
                }
            }
        }
        Ok(word.finish())
    }

    fn single_quoted(&mut self, opened: usize, word: &mut Builder) -> Result<(), SyntaxError> {
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => word.push(c),
                None => return Err(error(opened, SyntaxErrorKind::OpenQuote('\''))),
            }
        }
    }

    fn double_quoted(&mut self, opened: usize, word: &mut Builder) -> Result<(), SyntaxError> {
        loop {
            match self.rest.peek().copied() {
                Some('$') => {
                    self.dollar(word)?;
                    continue;
                }
                Some('\\') => {
                    self.next();
                    match self.next_if(|c| matches!(c, '"' | '\\' | '$')) {
                        Some(c) => word.push(c),
                        None => word.push('\\'),
                    }
                    continue;
                }
                _ => {}
            }
            match self.next() {
                Some('"') => return Ok(()),
                Some(c) => word.push(c),
                None => return Err(error(opened, SyntaxErrorKind::OpenQuote('"'))),
            }
        }
    }

    /// At a `$`: what it stands for; a `$` that begins nothing is itself.
    fn dollar(&mut self, word: &mut Builder) -> Result<(), SyntaxError> {
        let at = self.at;
        self.next();
        if self.next_if(|c| c == '?').is_some() {
            word.add(Part::Status);
            return Ok(());
        }
        let braced = self.next_if(|c| c == '{').is_some();
        let mut name = String::new();
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        while let Some(c) = self.next_if(|c| is_first(c) || !name.is_empty() && c.is_ascii_digit()) {
            name.push(c);
        }
        if braced {
            if name.is_empty() && self.next_if(|c| c == '?').is_some() {
                name.push('?');
            }
            if self.next() != Some('}') || name.is_empty() {
                return Err(error(at, SyntaxErrorKind::BadVariable));
            }
        }
        match name.as_str() {
            "" => word.push('$'),
            "?" => word.add(Part::Status),
            _ => word.add(Part::Variable(name)),
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.at += usize::from(next.is_some());
        next
    }

    fn next_if(&mut self, condition: impl FnOnce(char) -> bool) -> Option<char> {
        let next = self.rest.next_if(|c| condition(*c));
        self.at += usize::from(next.is_some());
        next
    }
}

/// A word in the making.
#[derive(Default)]
struct Builder {
    word: Word,
    is_quoted: bool,
}

impl Builder {
    fn push(&mut self, c: char) {
        match self.word.parts.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.word.parts.push(Part::Text(String::from(c))),
        }
    }

    fn add(&mut self, part: Part) {
        self.word.parts.push(part);
    }

    fn finish(mut self) -> Word {
        self.word.is_quoted = self.is_quoted;
        self.word
    }
}

fn error(at: usize, kind: SyntaxErrorKind) -> SyntaxError {
    SyntaxError { at, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    /// The words of each command, with what connects them.
    fn read(text: &str) -> String {
        let script = match parse(text) {
            Ok(script) => script,
            Err(error) => return error.to_string(),
        };
        let mut said = String::new();
        for statement in &script.statements {
            for (condition, command) in &statement.commands {
                said.push_str(match condition {
                    Condition::Always => "",
                    Condition::Success => " && ",
                    Condition::Failure => " || ",
                });
                let words: Vec<String> = command
                    .words
                    .iter()
                    .filter_map(|word| word.expand(7, |name| (name == "x").then_some("X Y")))
                    .map(|word| format!("[{word}]"))
                    .collect();
                said.push_str(&words.concat());
            }
            said.push(if statement.background { '&' } else { ';' });
        }
        said
    }

    #[test]
    fn words_and_quotes() {
        assert_eq!(read("echo  a b\tc"), "[echo][a][b][c];");
        assert_eq!(read(r#"a'b c'"d e"\ f"#), "[ab cd e f];");
        assert_eq!(read(r#"'' "" x"#), "[][][x];");
        assert_eq!(read(r#""\"\\\$\n" '\n'"#), r#"["\$\n][\n];"#);
        assert_eq!(read("é ’ ß"), "[é][’][ß];");
        assert_eq!(read("a # b; c\nd"), "[a];[d];");
        assert_eq!(read("a#b"), "[a#b];");
        assert_eq!(read("a\\\nb"), "[ab];");
    }

    #[test]
    fn variables() {
        assert_eq!(read("$? \"$?\" '$?' ${?}"), "[7][7][$?][7];");
        assert_eq!(read("$x a${x}b $y \"$y\" $"), "[X Y][aX Yb][][$];");
        assert_eq!(read("$1 a$"), "[$1][a$];");
        assert_eq!(read("a ${x"), "`${` in column 3 lacks a name and `}`");
    }

    #[test]
    fn lists() {
        assert_eq!(read("a;b ; c"), "[a];[b];[c];");
        assert_eq!(read("a && b||c; d&"), "[a] && [b] || [c];[d]&");
        assert_eq!(read("a & b"), "[a]&[b];");
        assert_eq!(read("a &&\n\n b"), "[a] && [b];");
        assert_eq!(read("\n\n a;\n\nb\n"), "[a];[b];");
        assert_eq!(read(""), "");
        assert_eq!(read("  # nothing"), "");
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(read("echo 'a"), "the ' in column 6 is not closed");
        assert_eq!(read("é \"a"), "the \" in column 3 is not closed");
        assert_eq!(read("a && ; b"), "no command before `;` in column 6");
        assert_eq!(read("a &&"), "no command after `&&` in column 3");
        assert_eq!(read("|| a"), "no command before `||` in column 1");
        assert_eq!(read("a ;; b"), "no command before `;` in column 4");
        assert!(read("a | b").starts_with("`|` in column 3: there are no pipes"));
        assert!(read("a > b").starts_with("`>` in column 3: there are no pipes"));
        assert!(read("a && b &").starts_with("`&` in column 8: only a single"));
        assert!(read("a\\").starts_with("the line ends with a backslash"));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "(\\PC|[ \n'\"$\\\\&|;{}?#])*") {
            match parse(&text) {
                Ok(script) => for statement in script.statements {
                    prop_assert!(!statement.commands.is_empty());
                    prop_assert!(statement.commands.iter().all(|(_, command)| !command.words.is_empty()));
                },
                Err(error) => prop_assert!(error.at <= text.chars().count()),
            }
        }

        #[test]
        fn quoted_text_comes_back(words in proptest::collection::vec("\\PC*", 1..5)) {
            let line: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
            let script = parse(&line.join(" ")).unwrap();
            let read: Vec<String> = script.statements[0].commands[0].1.words.iter().map(|word| word.expand(0, |_| None).unwrap()).collect();
            prop_assert_eq!(read, words);
        }
    }
}
