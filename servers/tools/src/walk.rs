//! A tree of files, name by name, in the order of the names. Symbolic links in it are not followed.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::fs::{self, DirEntry, NodeKind};
use libsys::io;
use libsys::path;

/// A name that was come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The path, which begins as the root's was given.
    pub path: String,
    /// Directories between it and the root; 0: the root.
    pub depth: usize,
    /// What it is.
    pub kind: NodeKind,
    /// Why it is come to.
    pub stage: Stage,
}

/// Why a name is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For the first time: of a directory, before what is in it.
    First,
    /// A directory, after what is in it.
    After,
    /// A directory whose names cannot be read; it is come to after that as well.
    Failed(io::Error),
}

impl Visit {
    /// The last name of the path, or all of it.
    pub fn name(&self) -> &str {
        path::file_name(&self.path).unwrap_or(&self.path)
    }
}

/// Goes through a tree. It holds no directory open between two names, and needs no stack for depth.
#[derive(Debug)]
pub struct Walk {
    /// What is still to come, the next last.
    ahead: Vec<Visit>,
    /// The directory that was come to last: its names come next.
    entered: Option<Visit>,
}

impl Walk {
    /// From a root that is of this kind.
    pub fn new(path: &str, kind: NodeKind) -> Walk {
        let root = Visit { path: path.into(), depth: 0, kind, stage: Stage::First };
        Walk { ahead: vec![root], entered: None }
    }

    /// The directory that was come to last is left: what is in it is not come to, nor the directory again.
    pub fn leave(&mut self) {
        if self.entered.take().is_some() {
            self.ahead.pop();
        }
    }

    /// What is in the directory that was come to last is not come to.
    pub fn shut(&mut self) {
        self.entered = None;
    }

    fn enter(&mut self, directory: Visit) {
        let depth = directory.depth + 1;
        match sorted(&directory.path) {
            Ok(entries) => self.ahead.extend(entries.into_iter().rev().map(|entry| Visit {
                path: entry.path().into(),
                depth,
                kind: entry.kind(),
                stage: Stage::First,
            })),
            Err(error) => self.ahead.push(Visit { stage: Stage::Failed(error), ..directory }),
        }
    }
}

impl Iterator for Walk {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        if let Some(directory) = self.entered.take() {
            self.enter(directory);
        }
        let visit = self.ahead.pop()?;
        if visit.kind == NodeKind::Directory && visit.stage == Stage::First {
            self.ahead.push(Visit { stage: Stage::After, ..visit.clone() });
            self.entered = Some(visit.clone());
        }
        Some(visit)
    }
}

/// The names in a directory, in order.
pub fn sorted(path: &str) -> io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<DirEntry>>>()?;
    entries.sort_by(|a, b| a.file_name().cmp(b.file_name()));
    Ok(entries)
}
