//! A tree of files, name by name, in the order of the names. Symbolic links in it are not followed.

use crate::names::Names;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::fs::NodeKind;
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
    /// The root, until it was come to.
    root: Option<Visit>,
    /// The directories on the way, the deepest last.
    levels: Vec<Level>,
    /// The directory that was come to last is still to be read: its names come next.
    is_entered: bool,
}

/// A directory on the way.
#[derive(Debug)]
struct Level {
    directory: Visit,
    names: Names,
    /// Which of the names comes next.
    next: usize,
}

impl Walk {
    /// From a root that is of this kind.
    pub fn new(path: &str, kind: NodeKind) -> Walk {
        let root = Visit { path: path.into(), depth: 0, kind, stage: Stage::First };
        Walk { root: Some(root), levels: Vec::new(), is_entered: false }
    }

    /// The directory that was come to last is left: what is in it is not come to, nor the directory again.
    pub fn leave(&mut self) {
        if core::mem::take(&mut self.is_entered) {
            self.levels.pop();
        }
    }

    /// What is in the directory that was come to last is not come to.
    pub fn shut(&mut self) {
        self.is_entered = false;
    }

    /// What was come to, which is entered next if it is a directory.
    fn come_to(&mut self, visit: Visit) -> Visit {
        if visit.kind == NodeKind::Directory {
            self.levels.push(Level { directory: visit.clone(), names: Names::default(), next: 0 });
            self.is_entered = true;
        }
        visit
    }
}

impl Iterator for Walk {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        if let Some(root) = self.root.take() {
            return Some(self.come_to(root));
        }
        let Level { directory, names, next } = self.levels.last_mut()?;
        if core::mem::take(&mut self.is_entered) {
            match Names::read(&directory.path, |_, _| true) {
                Ok(all) => *names = all,
                Err(error) => return Some(Visit { stage: Stage::Failed(error), ..directory.clone() }),
            }
        }
        if let Some((name, kind)) = names.get(*next) {
            *next += 1;
            let path = path::join(&directory.path, name);
            let visit = Visit { path, depth: directory.depth + 1, kind, stage: Stage::First };
            return Some(self.come_to(visit));
        }
        self.levels.pop().map(|level| Visit { stage: Stage::After, ..level.directory })
    }
}
