//! Reading directories.

use super::{File, Metadata, OpenOptions};
use crate::io::Result;
use crate::path;
use crate::protocol::file::DirectoryEntry;
use crate::protocol::filesystem::NodeKind;
use alloc::string::String;
use alloc::vec;

/// The names in a directory, in the order of the file system.
#[derive(Debug)]
pub struct ReadDir {
    directory: File,
    path: String,
    cursor: u64,
    part: vec::IntoIter<DirectoryEntry>,
    is_over: bool,
}

impl ReadDir {
    pub(super) fn open(path: &str) -> Result<ReadDir> {
        let directory = OpenOptions::new().read(true).directory(true).open(path)?;
        Ok(ReadDir { directory, path: path.into(), cursor: 0, part: vec![].into_iter(), is_over: false })
    }
}

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(DirectoryEntry { name, kind, id }) = self.part.next() {
                return Some(Ok(DirEntry { path: path::join(&self.path, &name), name, kind, id }));
            }
            if self.is_over {
                return None;
            }
            match self.directory.client().read_directory(self.cursor) {
                Ok((part, cursor)) => {
                    self.is_over = part.is_empty();
                    (self.part, self.cursor) = (part.into_iter(), cursor);
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error.into()));
                }
            }
        }
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    path: String,
    name: String,
    kind: NodeKind,
    id: u64,
}

impl DirEntry {
    /// The name.
    pub fn file_name(&self) -> &str {
        &self.name
    }

    /// The directory's path, as it was given, and the name.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it stands for.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Number in the file system.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What is known about it; a link is not followed.
    pub fn metadata(&self) -> Result<Metadata> {
        super::symlink_metadata(&self.path)
    }
}
