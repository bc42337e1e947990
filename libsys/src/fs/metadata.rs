//! What is known about a file, and which it is.

use crate::protocol::filesystem::{NodeKind, Status, Timestamp};

/// Which file it is, be it named by one path or another: two names of one file have the same, those of different files never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Number of the file system.
    pub(super) file_system: u64,
    /// Number of the file in it.
    pub(super) id: u64,
}

/// What is known about a file, directory, link or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata(Status);

impl Metadata {
    pub(super) fn new(status: Status) -> Metadata {
        Metadata(status)
    }

    /// All of it.
    pub fn status(&self) -> &Status {
        &self.0
    }

    /// What it is.
    pub fn kind(&self) -> NodeKind {
        self.0.kind
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.0.kind == NodeKind::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.0.kind == NodeKind::Directory
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0.kind == NodeKind::Link
    }

    /// Its size, in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.0.size
    }

    /// When its contents changed last.
    pub fn modified(&self) -> Timestamp {
        self.0.modified
    }
}
