//! The words behind a command's name.

use crate::failure::{Failure, usage};
use alloc::format;
use alloc::string::String;
use core::str::FromStr;

/// Words that are taken one after the other.
#[derive(Clone, Debug)]
pub struct Arguments<'a> {
    rest: &'a [String],
}

impl<'a> Arguments<'a> {
    /// All of these.
    pub fn new(words: &'a [String]) -> Arguments<'a> {
        Arguments { rest: words }
    }

    /// Whether the user wants to know about the command. Behind the first word it may be meant for another one.
    pub fn asks_for_help(&self) -> bool {
        self.rest.first().is_some_and(|word| word == "--help")
    }

    /// The next word.
    pub fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next word if it is an option: begins with `-`, and is not a number below zero.
    pub fn option(&mut self) -> Option<&'a str> {
        let first = self.rest.first()?;
        let digit = first.strip_prefix('-')?.chars().next();
        if digit.is_none_or(|digit| digit.is_ascii_digit()) {
            return None;
        }
        self.take()
    }

    /// Refuses an option: the command has none.
    pub fn no_option(&mut self) -> Result<(), Failure> {
        self.option().map_or(Ok(()), unknown_option)
    }

    /// The next word, which has to be there.
    pub fn require(&mut self, what: &str) -> Result<&'a str, Failure> {
        self.take().ok_or_else(|| Failure::Usage(format!("{what} is missing")))
    }

    /// The next word as a value.
    pub fn value<T: FromStr>(&mut self, what: &str) -> Result<T, Failure> {
        let word = self.require(what)?;
        parse(word, what)
    }

    /// All words that are left.
    pub fn rest(&mut self) -> &'a [String] {
        core::mem::take(&mut self.rest)
    }

    /// Refuses words that are left.
    pub fn end(&self) -> Result<(), Failure> {
        match self.rest.first() {
            None => Ok(()),
            Some(word) => usage(format!("unexpected `{word}`")),
        }
    }
}

/// A word as a value.
pub fn parse<T: FromStr>(word: &str, what: &str) -> Result<T, Failure> {
    word.parse().map_err(|_| Failure::Usage(format!("`{word}` is not {what}")))
}

/// An option that the command does not have.
pub fn unknown_option<T>(option: &str) -> Result<T, Failure> {
    usage(format!("there is no option {option}"))
}
