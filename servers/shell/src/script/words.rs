//! Words: quotes, backslashes, and what begins with `$`.

use super::parse::Parser;
use super::{Parameter, Part, SyntaxError, SyntaxErrorKind, Word, is_name_char, is_name_start};
use alloc::rc::Rc;
use alloc::string::String;

/// Whether a character ends a word that is not quoted.
pub(super) fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

impl Word {
    fn push(&mut self, c: char, quoted: bool) {
        match self.parts.last_mut() {
            Some(Part::Text(text, same)) if *same == quoted => text.push(c),
            _ => self.parts.push(Part::Text(String::from(c), quoted)),
        }
    }
}

impl Parser {
    /// The word here; without any character, an empty one.
    pub(super) fn word(&mut self) -> Result<Word, SyntaxError> {
        self.word_up_to(ends_word)
    }

    fn word_up_to(&mut self, ends: impl Fn(char) -> bool) -> Result<Word, SyntaxError> {
        self.count()?;
        let mut word = Word::default();
        loop {
            let at = self.at;
            match self.peek() {
                None => break,
                Some(c) if ends(c) => break,
                Some('\'') => {
                    self.at += 1;
                    word.is_quoted = true;
                    self.single_quoted(at, &mut word)?;
                }
                Some('"') => {
                    self.at += 1;
                    word.is_quoted = true;
                    self.double_quoted(at, '"', &mut word)?;
                }
                Some('\\') => {
                    self.at += 1;
                    match self.next() {
                        // A line that goes on.
                        Some('\n') => {}
                        Some(c) => word.push(c, true),
                        None => return Err(self.error(at, SyntaxErrorKind::LastBackslash)),
                    }
                }
                Some('$') => self.dollar(&mut word, false)?,
                Some(c) => {
                    self.at += 1;
                    word.push(c, false);
                }
            }
        }
        Ok(word)
    }

    fn single_quoted(&mut self, opened: usize, word: &mut Word) -> Result<(), SyntaxError> {
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => word.push(c, true),
                None => return Err(self.error(opened, SyntaxErrorKind::OpenQuote('\''))),
            }
        }
    }

    /// Up to the character that ends it: a quote, or the brace of `"${NAME:-…}"`.
    fn double_quoted(&mut self, opened: usize, end: char, word: &mut Word) -> Result<(), SyntaxError> {
        loop {
            match self.peek() {
                Some('$') => self.dollar(word, true)?,
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(c) if matches!(c, '"' | '\\' | '$') || c == end => {
                            self.at += 1;
                            word.push(c, true);
                        }
                        Some('\n') => self.at += 1,
                        _ => word.push('\\', true),
                    }
                }
                Some(c) => {
                    self.at += 1;
                    if c == end {
                        return Ok(());
                    }
                    word.push(c, true);
                }
                None => return Err(self.error(opened, SyntaxErrorKind::OpenQuote(end))),
            }
        }
    }

    /// At a `$`: what it stands for; a `$` that begins nothing is itself.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Result<(), SyntaxError> {
        let at = self.at;
        self.at += 1;
        let part = match self.peek() {
            Some('(') if self.starts_with("((") => Part::Arithmetic(self.arithmetic(at)?, quoted),
            Some('(') => {
                self.at += 1;
                let script = self.nested(at, |parser| parser.list(&[")"]))?;
                if self.next() != Some(')') {
                    return Err(self.error(at, SyntaxErrorKind::Lacks("$(", ")")));
                }
                Part::Output(Rc::new(script), quoted)
            }
            Some('{') => {
                self.at += 1;
                let parameter = self.parameter(true);
                let has_default = self.starts_with(":-");
                match (parameter, self.peek()) {
                    (Some(parameter), Some('}')) => {
                        self.at += 1;
                        Part::Parameter(parameter, quoted)
                    }
                    (Some(parameter), _) if has_default => {
                        self.at += 2;
                        let default = self.nested(at, |parser| parser.default(at, quoted))?;
                        word.is_quoted |= default.is_quoted;
                        Part::Default(parameter, Rc::new(default), quoted)
                    }
                    _ => return Err(self.error(at, SyntaxErrorKind::BadVariable)),
                }
            }
            _ => match self.parameter(false) {
                Some(parameter) => Part::Parameter(parameter, quoted),
                None => {
                    word.push('$', quoted);
                    return Ok(());
                }
            },
        };
        word.parts.push(part);
        Ok(())
    }

    /// Behind the `:-` of a parameter that began at `opened`: the word up to the `}`, which is taken.
    fn default(&mut self, opened: usize, quoted: bool) -> Result<Word, SyntaxError> {
        if quoted {
            self.count()?;
            let mut word = Word::default();
            self.double_quoted(opened, '}', &mut word)?;
            return Ok(word);
        }
        let word = self.word_up_to(|c| c == '}')?;
        match self.next() {
            Some(_) => Ok(word),
            None => Err(self.error(opened, SyntaxErrorKind::BadVariable)),
        }
    }

    /// The parameter that is named here.
    fn parameter(&mut self, is_braced: bool) -> Option<Parameter> {
        let first = self.peek()?;
        let special = match first {
            '?' => Some(Parameter::Status),
            '#' => Some(Parameter::Count),
            '@' => Some(Parameter::All(false)),
            '*' => Some(Parameter::All(true)),
            '$' => Some(Parameter::Process),
            _ => None,
        };
        if special.is_some() {
            self.at += 1;
            return special;
        }
        if first.is_ascii_digit() {
            let mut digits = String::new();
            while let Some(c) = self.peek().filter(|c| c.is_ascii_digit() && (is_braced || digits.is_empty())) {
                self.at += 1;
                digits.push(c);
            }
            // A position that no machine could have is empty, like any other that is not there.
            return Some(Parameter::Position(digits.parse().unwrap_or(usize::MAX)));
        }
        if !is_name_start(first) {
            return None;
        }
        Some(Parameter::Variable(self.take_while(is_name_char)))
    }

    /// At `((`: the text up to the `))` that ends it.
    fn arithmetic(&mut self, opened: usize) -> Result<String, SyntaxError> {
        self.at += 2;
        let mut text = String::new();
        let mut open = 0usize;
        loop {
            match self.next() {
                Some(')') if open == 0 && self.peek() == Some(')') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(c) => {
                    match c {
                        '(' => open += 1,
                        ')' if open == 0 => return Err(self.error(opened, SyntaxErrorKind::Lacks("$((", "))"))),
                        ')' => open -= 1,
                        _ => {}
                    }
                    text.push(c);
                }
                None => return Err(self.error(opened, SyntaxErrorKind::Lacks("$((", "))"))),
            }
        }
    }
}
