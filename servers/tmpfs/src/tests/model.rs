//! What a file system should be: names and bytes.

use filesystem::FileError;
use std::collections::BTreeMap;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A file, by its number.
    File(usize),
    Directory(usize),
    Link(String),
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub bytes: Vec<u8>,
    pub mode: u16,
}

/// Names and files.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub names: BTreeMap<String, Thing>,
    pub files: Vec<Data>,
}

type Outcome<T> = Result<T, FileError>;

impl Model {
    /// Whether there can be something of this name.
    fn check_parent(&self, path: &str) -> Outcome<()> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        self.check_parent(parent)?;
        match self.names.get(parent) {
            None => Err(FileError::NotFound),
            Some(Thing::Directory(_)) => Ok(()),
            Some(_) => Err(FileError::NotDirectory),
        }
    }

    fn find(&self, path: &str) -> Outcome<Option<Thing>> {
        self.check_parent(path)?;
        Ok(self.names.get(path).cloned())
    }

    fn is_empty(&self, directory: &str) -> bool {
        !self.names.keys().any(|name| name.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The file that is opened.
    pub fn open(&mut self, path: &str, creates: bool, is_exclusive: bool, truncates: bool) -> Outcome<usize> {
        match self.find(path)? {
            Some(_) if creates && is_exclusive => Err(FileError::Exists),
            None if !creates => Err(FileError::NotFound),
            None => {
                self.files.push(Data { bytes: Vec::new(), mode: 0o644 });
                self.names.insert(path.into(), Thing::File(self.files.len() - 1));
                Ok(self.files.len() - 1)
            }
            Some(Thing::Directory(_)) => Err(FileError::IsDirectory),
            Some(Thing::Link(_)) => Err(FileError::TooManyLinks),
            Some(Thing::File(file)) => {
                if truncates {
                    self.files[file].bytes.clear();
                }
                Ok(file)
            }
        }
    }

    pub fn make(&mut self, path: &str, target: Option<&str>) -> Outcome<()> {
        if self.find(path)?.is_some() {
            return Err(FileError::Exists);
        }
        let thing = match target {
            Some(target) => Thing::Link(target.into()),
            None => {
                self.files.push(Data::default());
                Thing::Directory(self.files.len() - 1)
            }
        };
        self.names.insert(path.into(), thing);
        Ok(())
    }

    pub fn remove(&mut self, path: &str, directory: bool) -> Outcome<()> {
        match (self.find(path)?.ok_or(FileError::NotFound)?, directory) {
            (Thing::Directory(_), false) => return Err(FileError::IsDirectory),
            (Thing::Directory(_), true) if !self.is_empty(path) => return Err(FileError::NotEmpty),
            (Thing::File(_) | Thing::Link(_), true) => return Err(FileError::NotDirectory),
            _ => {}
        }
        self.names.remove(path);
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Outcome<()> {
        let found = self.find(from)?.ok_or(FileError::NotFound)?;
        let replaced = self.find(to)?;
        let is_directory = |thing: &Thing| matches!(thing, Thing::Directory(_));
        match &replaced {
            Some(other) if from == to || *other == found && !matches!(found, Thing::Link(_)) => return Ok(()),
            _ if is_directory(&found) && to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) => {
                return Err(FileError::OutOfRange);
            }
            Some(other) if is_directory(other) && !is_directory(&found) => return Err(FileError::IsDirectory),
            Some(other) if !is_directory(other) && is_directory(&found) => return Err(FileError::NotDirectory),
            Some(other) if is_directory(other) && !self.is_empty(to) => return Err(FileError::NotEmpty),
            _ => {}
        }
        let moved: Vec<String> = self
            .names
            .keys()
            .filter(|name| name.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')))
            .cloned()
            .collect();
        for name in moved {
            let thing = self.names.remove(&name).expect("listed");
            self.names.insert(format!("{to}{}", &name[from.len()..]), thing);
        }
        self.names.remove(from);
        self.names.insert(to.into(), found);
        Ok(())
    }

    pub fn link(&mut self, from: &str, to: &str) -> Outcome<()> {
        let found = self.find(from)?.ok_or(FileError::NotFound)?;
        if self.find(to)?.is_some() {
            return Err(FileError::Exists);
        }
        if matches!(found, Thing::Directory(_)) {
            return Err(FileError::IsDirectory);
        }
        self.names.insert(to.into(), found);
        Ok(())
    }

    pub fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let data = &mut self.files[file].bytes;
        if data.len() < offset + bytes.len() {
            data.resize(offset + bytes.len(), 0);
        }
        data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Names that a file has.
    pub fn links(&self, file: usize) -> usize {
        self.names.values().filter(|thing| **thing == Thing::File(file)).count()
    }
}
