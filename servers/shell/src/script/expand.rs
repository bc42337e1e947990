//! From words to what a command gets: `$…` is replaced, what comes of it is split at blanks ([`fields`]), patterns become the names of files ([`files`]).

mod fields;
mod files;

use self::fields::{Fields, append};
use super::pattern::{self, Character};
use super::{Parameter, Part, Script, Word, arithmetic};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What words are expanded with.
pub trait Surroundings {
    /// Why a word cannot be expanded.
    type Error;
    /// The value of a parameter, as one text; `None`: it is not there.
    fn parameter(&self, parameter: &Parameter) -> Option<String>;
    /// The positional parameters.
    fn positions(&self) -> Vec<String>;
    /// What a script writes.
    fn output(&mut self, script: &Script) -> Result<String, Self::Error>;
    /// The names in a directory; empty where it cannot be read. `""` is the current one.
    fn names(&mut self, directory: &str) -> Vec<String>;
    /// Whether there is a directory of this name.
    fn is_directory(&mut self, path: &str) -> bool;
    /// An error with this text.
    fn error(&self, text: String) -> Self::Error;
}

/// Most words of a command.
const WORDS: usize = 16 * 1024;

/// All words, each of which may become several, or none.
pub fn words<S: Surroundings>(words: &[Word], surroundings: &mut S) -> Result<Vec<String>, S::Error> {
    let mut all = Vec::new();
    for word in words {
        for field in fields_of(word, surroundings)? {
            match pattern::is_pattern(&field) {
                true => files::add(&field, surroundings, &mut all),
                false => all.push(pattern::plain(&field)),
            }
            if all.len() > WORDS {
                return Err(surroundings.error("there are too many words".into()));
            }
        }
    }
    Ok(all)
}

/// A word that stays one, and no pattern: the value of an assignment, the name of a redirection.
pub fn one<S: Surroundings>(word: &Word, surroundings: &mut S) -> Result<String, S::Error> {
    Ok(pattern::plain(&whole(word, surroundings)?))
}

/// A word that stays one, as a pattern.
pub fn whole<S: Surroundings>(word: &Word, surroundings: &mut S) -> Result<Vec<Character>, S::Error> {
    let mut text = Vec::new();
    for part in &word.parts {
        let (value, quoted) = match part {
            Part::Parameter(Parameter::All(_), quoted) => (surroundings.positions().join(" "), *quoted),
            Part::Default(parameter, word, quoted) => match set(parameter, surroundings) {
                Some(value) => (value, *quoted),
                None => {
                    text.append(&mut whole(word, surroundings)?);
                    continue;
                }
            },
            part => value(part, surroundings)?,
        };
        append(&mut text, &value, quoted).map_err(|error| surroundings.error(error.into()))?;
    }
    Ok(text)
}

/// The fields that a word becomes.
fn fields_of<S: Surroundings>(word: &Word, surroundings: &mut S) -> Result<Vec<Vec<Character>>, S::Error> {
    let mut fields = Fields::default();
    for part in &word.parts {
        add(&mut fields, part, false, surroundings)?;
    }
    fields.finish(word.is_quoted).map_err(|error| surroundings.error(error.into()))
}

/// Adds what a part comes to. Text that is not quoted is split only where it stands `in_default`, behind a `:-`.
fn add<S: Surroundings>(
    fields: &mut Fields,
    part: &Part,
    in_default: bool,
    surroundings: &mut S,
) -> Result<(), S::Error> {
    let added = match part {
        Part::Parameter(Parameter::All(false), true) => fields.add_each(&surroundings.positions()),
        Part::Parameter(Parameter::All(_), true) => fields.add(&surroundings.positions().join(" "), true),
        Part::Parameter(Parameter::All(_), false) => fields.split(&surroundings.positions().join(" ")),
        Part::Default(parameter, word, quoted) => match set(parameter, surroundings) {
            Some(value) if *quoted => fields.add(&value, true),
            Some(value) => fields.split(&value),
            None => return word.parts.iter().try_for_each(|part| add(fields, part, true, surroundings)),
        },
        part => match value(part, surroundings)? {
            (value, true) => fields.add(&value, true),
            (value, false) if matches!(part, Part::Text(..)) && !in_default => fields.add(&value, false),
            (value, false) => fields.split(&value),
        },
    };
    added.map_err(|error| surroundings.error(error.into()))
}

/// The value of a parameter, unless it is empty or not there.
fn set<S: Surroundings>(parameter: &Parameter, surroundings: &S) -> Option<String> {
    let value = match parameter {
        Parameter::All(_) => Some(surroundings.positions().join(" ")),
        parameter => surroundings.parameter(parameter),
    };
    value.filter(|value| !value.is_empty())
}

/// What a part other than `$@` comes to, and whether it is quoted.
fn value<S: Surroundings>(part: &Part, surroundings: &mut S) -> Result<(String, bool), S::Error> {
    Ok(match part {
        Part::Text(text, quoted) => (text.clone(), *quoted),
        Part::Parameter(parameter, quoted) => (surroundings.parameter(parameter).unwrap_or_default(), *quoted),
        Part::Default(_, word, quoted) => (one(word, surroundings)?, *quoted),
        Part::Output(script, quoted) => {
            let mut output = surroundings.output(script)?;
            output.truncate(output.trim_end_matches('\n').len());
            (output, *quoted)
        }
        Part::Arithmetic(text, quoted) => {
            let variable = |name: &str| {
                surroundings.parameter(&match name.parse() {
                    Ok(position) => Parameter::Position(position),
                    Err(_) => Parameter::Variable(name.to_string()),
                })
            };
            let value = arithmetic::evaluate(text, &variable).map_err(|error| surroundings.error(error))?;
            (value.to_string(), *quoted)
        }
    })
}

#[cfg(test)]
mod tests;
