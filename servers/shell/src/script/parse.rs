//! From text to [`Script`].

use super::words::ends_word;
use super::{
    Action, Command, Condition, Pipeline, Redirection, RedirectionKind, Script, Statement, SyntaxError,
    SyntaxErrorKind, is_name,
};
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Most commands within each other: what runs them has a stack with an end.
pub const DEPTH: u32 = 24;

/// Most commands and words of a text: what is made of them is in memory as a whole.
pub const LENGTH: u32 = 16 * 1024;

/// Words that mean something where a command begins, and begin none.
const ENDS: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];

/// Reads a text of any number of lines.
pub fn parse(text: &str) -> Result<Script, SyntaxError> {
    let mut parser = Parser::new(text);
    let script = parser.list(&[])?;
    match parser.peek() {
        None => Ok(script),
        Some(c) => Err(parser.error(parser.at, SyntaxErrorKind::Unexpected(c.to_string()))),
    }
}

pub(super) struct Parser {
    text: Vec<char>,
    /// Where each line starts.
    lines: Vec<usize>,
    pub(super) at: usize,
    depth: u32,
    length: u32,
}

impl Parser {
    fn new(text: &str) -> Parser {
        let text: Vec<char> = text.chars().collect();
        let ends = text.iter().enumerate().filter(|(_, c)| **c == '\n');
        let lines = core::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Parser { text, lines, at: 0, depth: 0, length: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        let rest = &self.text[self.at..];
        let mut at = 0;
        text.chars().all(|c| {
            at += 1;
            rest.get(at - 1) == Some(&c)
        })
    }

    pub(super) fn take_while(&mut self, condition: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| condition(*c)) {
            self.at += 1;
            taken.push(c);
        }
        taken
    }

    pub(super) fn error(&self, at: usize, kind: SyntaxErrorKind) -> SyntaxError {
        let at = at.min(self.text.len());
        let line = self.line_of(at);
        let start = self.lines.get(line as usize - 1).copied().unwrap_or(0);
        SyntaxError { line, column: (at - start + 1) as u32, kind }
    }

    fn line_of(&self, at: usize) -> u32 {
        self.lines.partition_point(|start| *start <= at) as u32
    }

    /// Counts a command or word.
    pub(super) fn count(&mut self) -> Result<(), SyntaxError> {
        if self.length == LENGTH {
            return Err(self.error(self.at, SyntaxErrorKind::TooLong));
        }
        self.length += 1;
        Ok(())
    }

    /// What is within something else, which began at `opened`.
    pub(super) fn nested<T>(
        &mut self,
        opened: usize,
        read: impl FnOnce(&mut Parser) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == DEPTH {
            return Err(self.error(opened, SyntaxErrorKind::TooDeep));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Blanks, continued lines and comments; not the ends of lines.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some('#') => drop(self.take_while(|c| c != '\n')),
                Some('\\') if self.starts_with("\\\n") => self.at += 2,
                Some(c) if c.is_whitespace() && c != '\n' => self.at += 1,
                _ => return,
            }
        }
    }

    /// The same with ends of lines.
    fn skip_lines(&mut self) {
        self.skip_blanks();
        while self.peek() == Some('\n') {
            self.at += 1;
            self.skip_blanks();
        }
    }

    /// The word here, if it is only of characters that mean themselves.
    fn bare_word(&self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|c| ends_word(*c)).unwrap_or(rest.len());
        rest[..end].iter().collect()
    }

    /// Takes a word or operator if it stands here.
    fn take(&mut self, text: &str) -> bool {
        let is_here = match text {
            ")" | ";;" | "(" => self.starts_with(text),
            word => self.bare_word() == word,
        };
        if is_here {
            self.at += text.chars().count();
        }
        is_here
    }

    fn expect(&mut self, opened: usize, what: &'static str, text: &'static str) -> Result<(), SyntaxError> {
        self.skip_lines();
        match self.take(text) {
            true => Ok(()),
            false => Err(self.error(opened, SyntaxErrorKind::Lacks(what, text))),
        }
    }

    fn stands_at(&self, ends: &[&str]) -> bool {
        ends.iter().any(|end| match *end {
            ")" | ";;" => self.starts_with(end),
            word => self.bare_word() == word,
        })
    }

    /// Statements up to the end, or to one of `ends`, which is not taken.
    pub(super) fn list(&mut self, ends: &[&str]) -> Result<Script, SyntaxError> {
        let mut script = Script::default();
        loop {
            self.skip_lines();
            if self.peek().is_none() || self.stands_at(ends) {
                return Ok(script);
            }
            let pipelines = self.pipelines(ends)?;
            self.skip_blanks();
            let at = self.at;
            let mut background = false;
            match self.peek() {
                Some(';') if self.starts_with(";;") && ends.contains(&";;") => {}
                Some(';' | '\n') => self.at += 1,
                Some('&') => {
                    self.at += 1;
                    background = true;
                }
                Some(c) if !self.stands_at(ends) => {
                    return Err(self.error(at, SyntaxErrorKind::Unexpected(c.to_string())));
                }
                _ => {}
            }
            if background && pipelines.len() > 1 {
                return Err(self.error(at, SyntaxErrorKind::BackgroundOfSeveral));
            }
            script.statements.push(Statement { pipelines, background });
        }
    }

    /// Statements that there has to be at least one of, and the word behind them.
    fn body(&mut self, opened: usize, what: &'static str, ends: &[&'static str]) -> Result<Script, SyntaxError> {
        let script = self.nested(opened, |parser| parser.list(ends))?;
        let Some(end) = ends.iter().copied().find(|end| self.stands_at(&[end])) else {
            return Err(self.error(opened, SyntaxErrorKind::Lacks(what, ends.last().copied().unwrap_or(""))));
        };
        if script.statements.is_empty() {
            return Err(self.error(self.at, SyntaxErrorKind::NothingBefore(end.to_string())));
        }
        Ok(script)
    }

    fn pipelines(&mut self, ends: &[&str]) -> Result<Vec<(Condition, Pipeline)>, SyntaxError> {
        let mut all = Vec::new();
        let mut condition = Condition::Always;
        loop {
            all.push((condition, self.pipeline(ends)?));
            self.skip_blanks();
            let at = self.at;
            let operator = if self.starts_with("&&") {
                condition = Condition::Success;
                "&&"
            } else if self.starts_with("||") {
                condition = Condition::Failure;
                "||"
            } else {
                return Ok(all);
            };
            self.at += 2;
            // A line may end here: the command follows on the next one.
            self.skip_lines();
            if self.peek().is_none() {
                return Err(self.error(at, SyntaxErrorKind::NothingAfter(operator)));
            }
        }
    }

    fn pipeline(&mut self, ends: &[&str]) -> Result<Pipeline, SyntaxError> {
        let mut is_negated = false;
        while self.take("!") {
            is_negated = !is_negated;
            self.skip_blanks();
        }
        let mut stages = Vec::new();
        loop {
            stages.push(self.command(ends)?);
            self.skip_blanks();
            let at = self.at;
            if !self.starts_with("|") || self.starts_with("||") {
                return Ok(Pipeline { is_negated, stages });
            }
            self.at += 1;
            self.skip_lines();
            if self.peek().is_none() {
                return Err(self.error(at, SyntaxErrorKind::NothingAfter("|")));
            }
        }
    }

    fn command(&mut self, ends: &[&str]) -> Result<Command, SyntaxError> {
        let at = self.at;
        let line = self.line_of(at);
        self.count()?;
        if let Some(operator) = self.operator() {
            return Err(self.error(at, SyntaxErrorKind::NothingBefore(operator.into())));
        }
        let word = self.bare_word();
        if self.stands_at(ends) {
            return Err(self.error(at, SyntaxErrorKind::NothingBefore(word)));
        }
        if ENDS.contains(&word.as_str()) {
            return Err(self.error(at, SyntaxErrorKind::Unexpected(word)));
        }
        let action = match word.as_str() {
            "if" => Some(self.branches(at)?),
            "while" => Some(self.repeated(at, "while")?),
            "until" => Some(self.repeated(at, "until")?),
            "for" => Some(self.for_each(at)?),
            "case" => Some(self.case(at)?),
            "{" => {
                self.at += 1;
                let script = self.body(at, "{", &["}"])?;
                self.at += 1;
                Some(Action::Group(script))
            }
            "" if self.take("(") => {
                let script = self.body(at, "(", &[")"])?;
                self.at += 1;
                Some(Action::Subshell(script))
            }
            _ => self.function(&word, ends)?,
        };
        let mut redirections = Vec::new();
        let action = match action {
            Some(action) => {
                loop {
                    self.skip_blanks();
                    match self.redirection()? {
                        Some(redirection) => redirections.push(redirection),
                        None => break,
                    }
                }
                action
            }
            None => self.simple(&mut redirections)?,
        };
        Ok(Command { line, action, redirections })
    }

    /// The operator that stands where a command should.
    fn operator(&self) -> Option<&'static str> {
        let all = ["&&", "||", ";", "&", "|", ")"];
        all.into_iter().find(|operator| self.starts_with(operator))
    }

    fn simple(&mut self, redirections: &mut Vec<Redirection>) -> Result<Action, SyntaxError> {
        let (mut assignments, mut words) = (Vec::new(), Vec::new());
        loop {
            self.skip_blanks();
            let at = self.at;
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | '&' | '|' | ')') => break,
                Some('(') => return Err(self.error(at, SyntaxErrorKind::Unexpected("(".into()))),
                _ => {}
            }
            let bare = self.bare_word();
            match bare.split_once('=').filter(|(name, _)| words.is_empty() && is_name(name)) {
                Some((name, _)) => {
                    self.at += name.len() + 1;
                    assignments.push((name.to_string(), self.word()?));
                }
                None => words.push(self.word()?),
            }
        }
        Ok(Action::Simple { assignments, words })
    }

    /// `name() …`, if it is that.
    fn function(&mut self, name: &str, ends: &[&str]) -> Result<Option<Action>, SyntaxError> {
        let start = self.at;
        self.at += name.chars().count();
        self.skip_blanks();
        if !is_name(name) || !self.take("(") {
            self.at = start;
            return Ok(None);
        }
        self.skip_blanks();
        if !self.take(")") {
            return Err(self.error(start, SyntaxErrorKind::Lacks("(", ")")));
        }
        self.skip_lines();
        if self.peek().is_none() {
            return Err(self.error(start, SyntaxErrorKind::NothingAfter("()")));
        }
        let body = self.nested(start, |parser| parser.command(ends))?;
        Ok(Some(Action::Function { name: name.to_string(), body: Rc::new(body) }))
    }

    fn redirection(&mut self) -> Result<Option<Redirection>, SyntaxError> {
        let at = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit());
        let Some(operator @ ('<' | '>')) = self.peek() else {
            self.at = at;
            return Ok(None);
        };
        self.at += 1;
        let bad = SyntaxErrorKind::BadRedirection;
        let stream = match (digits.as_str(), operator) {
            ("" | "0", '<') => 0,
            ("" | "1", '>') => 1,
            ("2", '>') => 2,
            _ => return Err(self.error(at, bad)),
        };
        if operator == '>' && self.starts_with("&") {
            self.at += 1;
            let same = match self.next() {
                Some('1') => 1,
                Some('2') => 2,
                _ => return Err(self.error(at, bad)),
            };
            if self.peek().is_some_and(|c| !ends_word(c)) {
                return Err(self.error(at, bad));
            }
            return Ok(Some(Redirection { stream, kind: RedirectionKind::Same(same) }));
        }
        let is_append = operator == '>' && self.starts_with(">");
        self.at += usize::from(is_append);
        self.skip_blanks();
        let word = self.word()?;
        if word.is_nothing() {
            return Err(self.error(at, bad));
        }
        let kind = match operator {
            '<' => RedirectionKind::Read(word),
            _ if is_append => RedirectionKind::Append(word),
            _ => RedirectionKind::Write(word),
        };
        Ok(Some(Redirection { stream, kind }))
    }

    fn branches(&mut self, opened: usize) -> Result<Action, SyntaxError> {
        let mut branches = Vec::new();
        self.at += "if".len();
        loop {
            let condition = self.body(opened, "if", &["then"])?;
            self.at += "then".len();
            let body = self.body(opened, "if", &["elif", "else", "fi"])?;
            branches.push((condition, body));
            if self.take("elif") {
                continue;
            }
            let otherwise = match self.take("else") {
                true => Some(self.body(opened, "if", &["fi"])?),
                false => None,
            };
            self.at += "fi".len();
            return Ok(Action::If { branches, otherwise });
        }
    }

    fn repeated(&mut self, opened: usize, what: &'static str) -> Result<Action, SyntaxError> {
        self.at += what.len();
        let condition = self.body(opened, what, &["do"])?;
        let body = self.turns(opened, what)?;
        Ok(Action::Loop { until: what == "until", condition, body })
    }

    /// `do …; done`
    fn turns(&mut self, opened: usize, what: &'static str) -> Result<Script, SyntaxError> {
        self.expect(opened, what, "do")?;
        let body = self.body(opened, what, &["done"])?;
        self.at += "done".len();
        Ok(body)
    }

    fn for_each(&mut self, opened: usize) -> Result<Action, SyntaxError> {
        self.at += "for".len();
        self.skip_blanks();
        let name = self.bare_word();
        if !is_name(&name) {
            return Err(self.error(opened, SyntaxErrorKind::Lacks("for", "NAME")));
        }
        self.at += name.len();
        self.skip_lines();
        let words = match self.take("in") {
            true => {
                let mut words = Vec::new();
                loop {
                    self.skip_blanks();
                    match self.peek() {
                        None | Some('\n' | ';') => break,
                        Some(c) if ends_word(c) => {
                            return Err(self.error(self.at, SyntaxErrorKind::Unexpected(c.to_string())));
                        }
                        _ => words.push(self.word()?),
                    }
                }
                Some(words)
            }
            false => None,
        };
        self.at += usize::from(self.peek() == Some(';'));
        let body = self.turns(opened, "for")?;
        Ok(Action::For { name, words, body })
    }

    fn case(&mut self, opened: usize) -> Result<Action, SyntaxError> {
        self.at += "case".len();
        self.skip_blanks();
        let word = self.word()?;
        self.expect(opened, "case", "in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_lines();
            if self.take("esac") {
                return Ok(Action::Case { word, arms });
            }
            if self.peek().is_none() {
                return Err(self.error(opened, SyntaxErrorKind::Lacks("case", "esac")));
            }
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                let (at, pattern) = (self.at, self.word()?);
                if pattern.is_nothing() {
                    let found = self.peek().map_or("its end".into(), |c| c.to_string());
                    return Err(self.error(at, SyntaxErrorKind::Unexpected(found)));
                }
                patterns.push(pattern);
                self.skip_blanks();
                match self.next() {
                    Some('|') => {}
                    Some(')') => break,
                    _ => return Err(self.error(opened, SyntaxErrorKind::Lacks("case", ")"))),
                }
            }
            let body = self.nested(opened, |parser| parser.list(&[";;", "esac"]))?;
            self.take(";;");
            arms.push((patterns, body));
        }
    }
}

#[cfg(test)]
mod tests;
