//! The names of files that a pattern fits.

use super::{Character, Surroundings, pattern};
use alloc::string::String;
use alloc::vec::Vec;

/// Adds the files that a pattern fits, in order; where none does, the pattern itself. One that ends with `/` fits directories.
pub(super) fn add<S: Surroundings>(field: &[Character], surroundings: &mut S, all: &mut Vec<String>) {
    let starts_at_root = field.first().is_some_and(|(c, _)| *c == '/');
    let wants_directory = field.last().is_some_and(|(c, _)| *c == '/');
    let parts: Vec<&[Character]> = field.split(|(c, _)| *c == '/').filter(|part| !part.is_empty()).collect();
    let mut found: Vec<String> = alloc::vec![if starts_at_root { "/".into() } else { String::new() }];
    for (number, part) in parts.iter().enumerate() {
        let end = if number + 1 < parts.len() || wants_directory { "/" } else { "" };
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
    let is_looked_up = parts.last().is_some_and(|last| pattern::is_pattern(last));
    found.retain(|path| match path.strip_suffix('/') {
        Some(directory) if wants_directory => surroundings.is_directory(directory),
        // Names behind the last pattern were not looked up.
        _ if !is_looked_up => {
            let start = path.rfind('/').map_or(0, |slash| slash + 1);
            let (directory, name) = path.split_at(start);
            surroundings.names(directory).iter().any(|known| known == name)
        }
        _ => true,
    });
    match found.is_empty() {
        true => all.push(pattern::plain(field)),
        false => all.append(&mut found),
    }
}
