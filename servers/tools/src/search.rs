//! What `find` looks for, and what it does with it: the whole command line is read before anything is looked at.
//!
//! | file | part |
//! |---|---|
//! | `parse` | from words to a [`Search`] |
//! | `expression` | tests and actions, joined |
//! | `test` | what is asked of one name |
//! | `command` | commands that are run |

mod command;
mod expression;
mod parse;
mod test;

pub use command::{Batch, Command};
pub use expression::{Action, Expression, Part};
pub use test::Test;

use crate::Failure;
use alloc::string::String;
use alloc::vec::Vec;

/// A search.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Where it begins.
    pub roots: Vec<&'a str>,
    /// What is decided over each name.
    pub expression: Expression<'a>,
    /// The commands that the expression runs.
    pub commands: Vec<Command<'a>>,
    /// Roots have depth 0.
    pub least_depth: usize,
    /// What is deeper is not looked at.
    pub most_depth: usize,
    /// What is in directories counts before them.
    pub depth_first: bool,
}

impl<'a> Search<'a> {
    /// Reads arguments. Errors: `Usage`, `Help`, and `Error` for a file to compare with that cannot be looked at.
    pub fn parse(arguments: &'a [String]) -> Result<Search<'a>, Failure> {
        parse::search(arguments)
    }
}
