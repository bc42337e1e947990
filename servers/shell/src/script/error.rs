//! Why a text cannot be run.

use alloc::string::String;
use core::fmt;

/// Where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line; 1 is the first.
    pub line: u32,
    /// The character of the line; 1 is the first.
    pub column: u32,
    /// What is wrong.
    pub kind: SyntaxErrorKind,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    /// A quote is not closed.
    OpenQuote(char),
    /// A backslash is the last character.
    LastBackslash,
    /// There is no command before this operator or word.
    NothingBefore(String),
    /// There is no command after this operator.
    NothingAfter(&'static str),
    /// More than one pipeline would go to the background.
    BackgroundOfSeveral,
    /// `${` without a name and `}`.
    BadVariable,
    /// What begins here lacks something.
    Lacks(&'static str, &'static str),
    /// Something stands where it means nothing.
    Unexpected(String),
    /// A redirection names no file, or no stream that there is.
    BadRedirection,
    /// Commands in commands, too many of them.
    TooDeep,
    /// Too many commands and words.
    TooLong,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column;
        match &self.kind {
            SyntaxErrorKind::OpenQuote(quote) => write!(f, "the {quote} in column {column} is not closed"),
            SyntaxErrorKind::LastBackslash => {
                f.write_str("the line ends with a backslash: there is nothing that it could quote")
            }
            SyntaxErrorKind::NothingBefore(operator) => write!(f, "no command before `{operator}` in column {column}"),
            SyntaxErrorKind::NothingAfter(operator) => write!(f, "no command after `{operator}` in column {column}"),
            SyntaxErrorKind::BackgroundOfSeveral => {
                write!(f, "`&` in column {column}: only a single pipeline goes to the background")
            }
            SyntaxErrorKind::BadVariable => write!(f, "`${{` in column {column} lacks a name and `}}`"),
            SyntaxErrorKind::Lacks(what, lacks) => write!(f, "`{what}` in column {column} lacks its `{lacks}`"),
            SyntaxErrorKind::Unexpected(what) => write!(f, "unexpected `{what}` in column {column}"),
            SyntaxErrorKind::BadRedirection => {
                write!(f, "the redirection in column {column} lacks a file; streams are 0, 1 and 2")
            }
            SyntaxErrorKind::TooDeep => write!(f, "too many commands within commands in column {column}"),
            SyntaxErrorKind::TooLong => f.write_str("the text is too long: it has to be split into several"),
        }
    }
}

impl core::error::Error for SyntaxError {}
