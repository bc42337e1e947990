//! The language: what a text says, before anything is run. `docs/shell.md` describes it.
//!
//! | file | part |
//! |---|---|
//! | [`parse`] | from text to the tree below |
//! | `words` | the words of it, with their quotes and `$…` |
//! | [`expand`] | from words to what a command gets |
//! | [`pattern`] | `*`, `?`, `[…]` |
//! | [`arithmetic`] | `$((…))` |
//!
//! Nothing here makes system calls: it is all tested on the host.

pub mod arithmetic;
mod error;
pub mod expand;
mod parse;
pub mod pattern;
mod words;

pub use error::{SyntaxError, SyntaxErrorKind};
pub use parse::parse;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Statements, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// In order.
    pub statements: Vec<Statement>,
}

/// Pipelines that are connected with `&&` and `||`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The pipelines; the first is always run.
    pub pipelines: Vec<(Condition, Pipeline)>,
    /// It ended with `&`. There is only one pipeline then.
    pub background: bool,
}

/// When a pipeline is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It is the first.
    Always,
    /// `&&`: what ran before it succeeded.
    Success,
    /// `||`: what ran before it failed.
    Failure,
}

impl Condition {
    /// Whether a pipeline of this condition is run after this status.
    pub fn holds(self, status: u8) -> bool {
        match self {
            Condition::Always => true,
            Condition::Success => status == 0,
            Condition::Failure => status != 0,
        }
    }
}

/// Commands, each of which writes what the next one reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// `!`: success is failure, and the other way round.
    pub is_negated: bool,
    /// The commands; at least one.
    pub stages: Vec<Command>,
}

/// A command with where it reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The line that it begins on; 1 is the first.
    pub line: u32,
    /// What it does.
    pub action: Action,
    /// In order.
    pub redirections: Vec<Redirection>,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// `A=b name arguments`; assignments, words or redirections are there.
    Simple {
        /// Variables and their values.
        assignments: Vec<(String, Word)>,
        /// Name and arguments.
        words: Vec<Word>,
    },
    /// `{ …; }`
    Group(Script),
    /// `( … )`: what it changes in the shell is forgotten.
    Subshell(Script),
    /// `if …; then …; elif …; then …; else …; fi`
    If {
        /// Conditions and what is done where they hold.
        branches: Vec<(Script, Script)>,
        /// Where none holds.
        otherwise: Option<Script>,
    },
    /// `while …; do …; done`, `until …; do …; done`
    Loop {
        /// `until`.
        until: bool,
        /// Run before each turn.
        condition: Script,
        /// A turn.
        body: Script,
    },
    /// `for NAME in …; do …; done`
    For {
        /// The variable.
        name: String,
        /// Its values; without `in`, the positional parameters.
        words: Option<Vec<Word>>,
        /// A turn.
        body: Script,
    },
    /// `case … in …) …;; esac`
    Case {
        /// What is compared.
        word: Word,
        /// Patterns, and what is done for the first that fits.
        arms: Vec<(Vec<Word>, Script)>,
    },
    /// `name() …`
    Function {
        /// Its name.
        name: String,
        /// What it does.
        body: Rc<Command>,
    },
}

/// Where a command reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirection {
    /// 0: input, 1: output, 2: errors.
    pub stream: u8,
    /// What becomes of it.
    pub kind: RedirectionKind,
}

/// What a stream becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedirectionKind {
    /// `< FILE`
    Read(Word),
    /// `> FILE`
    Write(Word),
    /// `>> FILE`
    Append(Word),
    /// `>&1`, `>&2`: what that one is now.
    Same(u8),
}

/// One word, before anything in it is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// What it is put together from.
    pub parts: Vec<Part>,
    /// Part of it was quoted: it is there even when it is empty.
    pub is_quoted: bool,
}

impl Word {
    /// Whether not a single character is there.
    pub fn is_nothing(&self) -> bool {
        self.parts.is_empty() && !self.is_quoted
    }
}

/// A piece of a word. What is quoted is not split, and means itself in patterns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Itself.
    Text(String, bool),
    /// `$NAME`, …
    Parameter(Parameter, bool),
    /// `$(…)`
    Output(Rc<Script>, bool),
    /// `$((…))`
    Arithmetic(String, bool),
    /// `${NAME:-WORD}`: the word where the parameter is empty or not there.
    Default(Parameter, Rc<Word>, bool),
}

/// What a `$` means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parameter {
    /// `$?`: the last status.
    Status,
    /// `$#`: how many positional parameters there are.
    Count,
    /// `$@`, `$*`: all positional parameters; whether they become one word in quotes.
    All(bool),
    /// `$$`: the number of the shell's process.
    Process,
    /// `$1`, …; `$0` is the script.
    Position(usize),
    /// `$NAME`.
    Variable(String),
}

/// Whether a text is a name of a variable or function.
pub fn is_name(name: &str) -> bool {
    name.starts_with(is_name_start) && name.chars().all(is_name_char)
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name_char(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit()
}
