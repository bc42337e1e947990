//! Command lines: what they say, before anything is run.
//!
//! A line is a list of commands with what connects them:
//!
//! | written | means |
//! |---|---|
//! | `a; b` | `a`, then `b` |
//! | `a && b` | `b` only if `a` succeeded |
//! | `a \|\| b` | `b` only if `a` failed |
//! | `a &` | `a` in the background |
//! | `'…'` | the text as it stands |
//! | `"…"` | the same, but `$…` is replaced, and `\` takes their meaning from `"`, `\` and `$` |
//! | `\c` | the character `c` without its meaning |
//! | `$?`, `$NAME`, `${NAME}` | the last status; a variable |
//! | `# …` | a comment, to the end of the line |

mod parse;

pub use parse::parse;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// One after the other.
    pub statements: Vec<Statement>,
}

/// Commands that are connected with `&&` and `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The commands; the first is always run.
    pub commands: Vec<(Condition, Command)>,
    /// It ended with `&`. There is only one command then.
    pub background: bool,
}

/// When a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is the first.
    Always,
    /// `&&`: what ran before it succeeded.
    Success,
    /// `||`: what ran before it failed.
    Failure,
}

impl Condition {
    /// Whether a command of this condition is run after this status.
    pub fn holds(self, status: u8) -> bool {
        match self {
            Condition::Always => true,
            Condition::Success => status == 0,
            Condition::Failure => status != 0,
        }
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name and arguments; at least one.
    pub words: Vec<Word>,
}

/// One word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// What it is put together from.
    pub parts: Vec<Part>,
    /// Part of it was quoted: it is there even when it is empty.
    pub is_quoted: bool,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Itself.
    Text(String),
    /// `$?`.
    Status,
    /// `$NAME`.
    Variable(String),
}

impl Word {
    /// The word with `variable`'s values in it. A word that comes to nothing, without having been quoted, is none.
    pub fn expand<'a>(&self, status: u8, variable: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Status => text.push_str(&alloc::format!("{status}")),
                Part::Variable(name) => text.push_str(variable(name).unwrap_or("")),
            }
        }
        (self.is_quoted || !text.is_empty()).then_some(text)
    }
}

/// Why a line cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where: characters before it.
    pub at: usize,
    /// What is wrong.
    pub kind: SyntaxErrorKind,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    /// A quote is not closed; `at` is where it was opened.
    OpenQuote(char),
    /// A backslash is the last character.
    LastBackslash,
    /// There is no command before this operator.
    NothingBefore(&'static str),
    /// There is no command after this operator.
    NothingAfter(&'static str),
    /// More than one command would go to the background.
    BackgroundOfSeveral,
    /// `${` without a name and `}`.
    BadVariable,
    /// The shell cannot do this.
    Unsupported(char),
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.at + 1;
        match &self.kind {
            SyntaxErrorKind::OpenQuote(quote) => {
                write!(f, "the {quote} in column {column} is not closed")
            }
            SyntaxErrorKind::LastBackslash => {
                f.write_str("the line ends with a backslash: there is nothing that it could quote")
            }
            SyntaxErrorKind::NothingBefore(operator) => {
                write!(f, "no command before `{operator}` in column {column}")
            }
            SyntaxErrorKind::NothingAfter(operator) => {
                write!(f, "no command after `{operator}` in column {column}")
            }
            SyntaxErrorKind::BackgroundOfSeveral => {
                write!(f, "`&` in column {column}: only a single command goes to the background")
            }
            SyntaxErrorKind::BadVariable => {
                write!(f, "`${{` in column {column} lacks a name and `}}`")
            }
            SyntaxErrorKind::Unsupported(operator) => {
                write!(
                    f,
                    "`{operator}` in column {column}: there are no pipes and redirections yet; \
                     quote it to mean the character"
                )
            }
        }
    }
}

impl core::error::Error for SyntaxError {}
