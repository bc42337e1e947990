//! From words to what a command gets: `$…` is replaced, what comes of it is split at blanks, patterns become the names of files.

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
    /// An error with this text.
    fn error(&self, text: String) -> Self::Error;
}

/// All words, each of which may become several, or none.
pub fn words<S: Surroundings>(words: &[Word], surroundings: &mut S) -> Result<Vec<String>, S::Error> {
    let mut all = Vec::new();
    for word in words {
        for field in fields(word, surroundings)? {
            match pattern::is_pattern(&field) {
                true => files(&field, surroundings, &mut all),
                false => all.push(pattern::plain(&field)),
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
        match part {
            Part::Text(part, quoted) => text.extend(part.chars().map(|c| (c, *quoted))),
            Part::Parameter(Parameter::All(_), quoted) => {
                text.extend(surroundings.positions().join(" ").chars().map(|c| (c, *quoted)));
            }
            part => {
                let (value, quoted) = value(part, surroundings)?;
                text.extend(value.chars().map(|c| (c, quoted)));
            }
        }
    }
    Ok(text)
}

/// The fields that a word becomes.
fn fields<S: Surroundings>(word: &Word, surroundings: &mut S) -> Result<Vec<Vec<Character>>, S::Error> {
    let mut fields = Fields::default();
    for part in &word.parts {
        match part {
            Part::Text(text, quoted) => fields.add(text, *quoted),
            Part::Parameter(Parameter::All(is_joined), true) => {
                let positions = surroundings.positions();
                if *is_joined {
                    fields.add(&positions.join(" "), true);
                    continue;
                }
                fields.hides_empty |= positions.is_empty();
                for (number, position) in positions.iter().enumerate() {
                    if number > 0 {
                        fields.end(true);
                    }
                    fields.add(position, true);
                }
                fields.has_open |= !positions.is_empty();
            }
            Part::Parameter(Parameter::All(_), false) => fields.split(&surroundings.positions().join(" ")),
            part => match value(part, surroundings)? {
                (value, true) => fields.add(&value, true),
                (value, false) => fields.split(&value),
            },
        }
    }
    let is_kept = word.is_quoted && fields.done.is_empty() && !fields.hides_empty;
    fields.end(is_kept);
    Ok(fields.done)
}

/// What a part other than text and `$@` comes to, and whether it is quoted.
fn value<S: Surroundings>(part: &Part, surroundings: &mut S) -> Result<(String, bool), S::Error> {
    Ok(match part {
        Part::Text(text, quoted) => (text.clone(), *quoted),
        Part::Parameter(parameter, quoted) => (surroundings.parameter(parameter).unwrap_or_default(), *quoted),
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

#[derive(Default)]
struct Fields {
    done: Vec<Vec<Character>>,
    open: Vec<Character>,
    /// The open field is one even when it is empty.
    has_open: bool,
    /// `"$@"` without parameters makes no field.
    hides_empty: bool,
}

impl Fields {
    fn add(&mut self, text: &str, quoted: bool) {
        self.open.extend(text.chars().map(|c| (c, quoted)));
    }

    /// Ends the open field; an empty one is there only if it is to be kept.
    fn end(&mut self, keep_empty: bool) {
        if !self.open.is_empty() || keep_empty || self.has_open {
            self.done.push(core::mem::take(&mut self.open));
        }
        self.has_open = false;
    }

    fn split(&mut self, text: &str) {
        let mut first = true;
        for part in text.split([' ', '\t', '\n']) {
            if !first {
                self.end(false);
            }
            first = false;
            self.add(part, false);
        }
    }
}

/// Adds the files that a pattern fits, in order; where none does, the pattern itself.
fn files<S: Surroundings>(field: &[Character], surroundings: &mut S, all: &mut Vec<String>) {
    let is_absolute = field.first().is_some_and(|(c, _)| *c == '/');
    let mut found: Vec<String> = alloc::vec![if is_absolute { "/".into() } else { String::new() }];
    let parts: Vec<&[Character]> = field.split(|(c, _)| *c == '/').filter(|part| !part.is_empty()).collect();
    for (number, part) in parts.iter().enumerate() {
        let end = if number + 1 < parts.len() { "/" } else { "" };
        let mut next = Vec::new();
        for before in &found {
            if !pattern::is_pattern(part) {
                next.push(before.clone() + &pattern::plain(part) + end);
                continue;
            }
            let mut names = surroundings.names(before);
            names.sort();
            // A name that begins with a dot has to be asked for.
            let hidden = matches!(part.first(), Some(('.', _)));
            names.retain(|name| (hidden || !name.starts_with('.')) && pattern::matches(part, name));
            next.extend(names.iter().map(|name| before.clone() + name + end));
        }
        found = next;
    }
    // Names behind the last pattern were not looked up.
    if parts.iter().rposition(|part| pattern::is_pattern(part)) != parts.len().checked_sub(1) {
        found.retain(|path| {
            let (directory, name) =
                path.rsplit_once('/').map_or(("", path.as_str()), |(d, n)| (&path[..d.len() + 1], n));
            surroundings.names(directory).iter().any(|known| known == name)
        });
    }
    match found.is_empty() {
        true => all.push(pattern::plain(field)),
        false => all.append(&mut found),
    }
}

#[cfg(test)]
mod tests;
