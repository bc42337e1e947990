//! Expressions of `find`: tests and actions, joined by `!`, `-a`, `-o` and parentheses.

use super::Test;
use crate::Failure;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression<'a> {
    /// A test.
    Test(Test<'a>),
    /// An action.
    Action(Action),
    /// What is true: an option of the whole search.
    True,
    /// True if the other is not.
    Not(Box<Expression<'a>>),
    /// One after the other until one is not true.
    All(Vec<Expression<'a>>),
    /// One after the other until one is true.
    Any(Vec<Expression<'a>>),
}

/// What is done with a name that was come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its path is written, and this behind it.
    Print(&'static str),
    /// It is removed.
    Delete,
    /// What is in it is not looked at.
    Prune,
    /// The command of this number, of those of the search.
    Execute(usize),
}

/// What decides over an expression: a part of it that has no parts.
#[derive(Clone, Copy, Debug)]
pub enum Part<'e, 'a> {
    /// A test.
    Test(&'e Test<'a>),
    /// An action, to be taken now.
    Action(Action),
}

impl<'a> Expression<'a> {
    /// Whether it is true. `decide` is asked for parts, from left to right, as long as they matter. Error: the first one of `decide`.
    pub fn evaluate(&self, decide: &mut dyn FnMut(Part<'_, 'a>) -> Result<bool, Failure>) -> Result<bool, Failure> {
        match self {
            Expression::Test(test) => decide(Part::Test(test)),
            Expression::Action(action) => decide(Part::Action(*action)),
            Expression::True => Ok(true),
            Expression::Not(other) => Ok(!other.evaluate(decide)?),
            Expression::All(parts) => {
                for part in parts {
                    if !part.evaluate(decide)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expression::Any(parts) => {
                for part in parts {
                    if part.evaluate(decide)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether it does something with what it finds; else its path is to be written.
    pub(super) fn acts(&self) -> bool {
        match self {
            Expression::Test(_) | Expression::True | Expression::Action(Action::Prune) => false,
            Expression::Action(_) => true,
            Expression::Not(other) => other.acts(),
            Expression::All(parts) | Expression::Any(parts) => parts.iter().any(Expression::acts),
        }
    }

    /// Of several that are to be joined by `join`; one stays as it is.
    pub(super) fn of(
        mut parts: Vec<Expression<'a>>,
        join: fn(Vec<Expression<'a>>) -> Expression<'a>,
    ) -> Expression<'a> {
        match (parts.pop(), parts.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                parts.extend(last);
                join(parts)
            }
        }
    }
}
