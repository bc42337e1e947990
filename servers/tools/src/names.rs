//! The names in a directory, of which there may be very many: their text is in one piece, and each costs a few bytes besides. Where there is no memory for them that is an error, and no panic.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::fs::{self, NodeKind};
use libsys::io::{Error, Result};

/// Names, and what they stand for.
#[derive(Debug, Default)]
pub struct Names {
    text: String,
    entries: Vec<Entry>,
}

/// Where a name is in the text.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    length: u16,
    kind: NodeKind,
}

impl Names {
    /// Those in a directory that are wanted, in the order of their text.
    pub fn read(directory: &str, is_wanted: impl Fn(&str, NodeKind) -> bool) -> Result<Names> {
        let mut names = Names::default();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if is_wanted(entry.file_name(), entry.kind()) {
                names.add(entry.file_name(), entry.kind())?;
            }
        }
        names.sort();
        Ok(names)
    }

    /// Adds a name behind the others. Error: `NoMemory`.
    pub fn add(&mut self, name: &str, kind: NodeKind) -> Result<()> {
        let (Ok(start), Ok(length)) = (u32::try_from(self.text.len()), u16::try_from(name.len())) else {
            return Err(Error::NoMemory);
        };
        self.text.try_reserve(name.len()).map_err(|_| Error::NoMemory)?;
        self.entries.try_reserve(1).map_err(|_| Error::NoMemory)?;
        self.text.push_str(name);
        self.entries.push(Entry { start, length, kind });
        Ok(())
    }

    /// Puts them in the order of their text.
    pub fn sort(&mut self) {
        let Names { text, entries } = self;
        entries.sort_unstable_by(|one, other| name(text, one).cmp(name(text, other)));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// One of them, and what it stands for.
    pub fn get(&self, index: usize) -> Option<(&str, NodeKind)> {
        self.entries.get(index).map(|entry| (name(&self.text, entry), entry.kind))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.entries.iter().map(|entry| name(&self.text, entry))
    }
}

fn name<'t>(text: &'t str, entry: &Entry) -> &'t str {
    let start = entry.start as usize;
    text.get(start..start + usize::from(entry.length)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_put_in_order() {
        let mut names = Names::default();
        for (name, kind) in
            [("é", NodeKind::Link), ("b", NodeKind::File), ("", NodeKind::File), ("ab", NodeKind::Directory)]
        {
            names.add(name, kind).expect("memory");
        }
        names.sort();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["", "ab", "b", "é"]);
        assert_eq!((names.get(1), names.get(4)), (Some(("ab", NodeKind::Directory)), None));
        assert_eq!(names.count(), 4);
    }

    #[test]
    fn a_name_costs_little() {
        assert!(size_of::<Entry>() <= 8);
    }
}
