//! The views as a file system.

use crate::texts::Texts;
use crate::views::{DIRECTORIES, System, VIEWS};
use alloc::string::{String, ToString};
use filesystem::{
    Clock, Destination, FileError, FileSystemStatistics, Found, NodeId, NodeKind, Result, Status, Volume,
};
use libsys::env::Env;
use libsys::service;
use libsys::state::Records;

/// The root directory. Behind it come the views, and behind those the directories of views of one process.
const ROOT: NodeId = 0;

/// The first directory with a file for each of something.
const FIRST_DIRECTORY: NodeId = 1 + VIEWS.len() as NodeId;

/// Where the number of a directory starts in the number of a file in it.
const VIEW_SHIFT: u32 = 48;

/// What a node is.
enum Node {
    Root,
    View(usize),
    /// With a file for each of something.
    Directory(usize),
    /// The view of one thing, by its number.
    Item(usize, u64),
}

/// The live system.
pub struct Tree {
    system: System,
    clock: Clock,
    texts: Texts,
}

fn node(number: NodeId) -> Result<Node> {
    let (view, item) = (number >> VIEW_SHIFT, number & ((1 << VIEW_SHIFT) - 1));
    match (view, number) {
        (0, ROOT) => Ok(Node::Root),
        (0, 1..FIRST_DIRECTORY) => Ok(Node::View(number as usize - 1)),
        (0, _) => {
            let index = (number - FIRST_DIRECTORY) as usize;
            if index < DIRECTORIES.len() { Ok(Node::Directory(index)) } else { Err(FileError::Corrupt) }
        }
        (view, _) if view as usize <= DIRECTORIES.len() => Ok(Node::Item(view as usize - 1, item)),
        _ => Err(FileError::Corrupt),
    }
}

fn item(view: usize, number: u64) -> Found {
    Found { node: (view as u64 + 1) << VIEW_SHIFT | number, kind: NodeKind::File }
}

impl Tree {
    /// The text of a file at this moment.
    fn make(&mut self, number: NodeId) -> Result<String> {
        let mut text = String::new();
        let made = match node(number)? {
            Node::View(view) => (VIEWS[view].1)(&self.system, &mut text),
            Node::Item(view, number) => (DIRECTORIES[view].2)(&self.system, number, &mut text),
            Node::Root | Node::Directory(_) => return Err(FileError::IsDirectory),
        };
        // What is gone has nothing to show.
        made.map(|()| text).map_err(|_| FileError::NotFound)
    }

    fn names(&self, directory: NodeId) -> Result<alloc::vec::Vec<(String, Found)>> {
        match node(directory)? {
            Node::Root => {
                let views = VIEWS.iter().zip(1..).map(|((name, _), node)| (name.to_string(), node, NodeKind::File));
                let directories = DIRECTORIES.iter().zip(FIRST_DIRECTORY..);
                let directories = directories.map(|((name, ..), node)| (name.to_string(), node, NodeKind::Directory));
                Ok(views.chain(directories).map(|(name, node, kind)| (name, Found { node, kind })).collect())
            }
            Node::Directory(view) => {
                let items = (DIRECTORIES[view].1)(&self.system).map_err(|_| FileError::Device)?;
                Ok(items.into_iter().map(|(number, name)| (name, item(view, number))).collect())
            }
            _ => Err(FileError::NotDirectory),
        }
    }
}

impl Volume for Tree {
    fn start(env: &Env) -> service::Result<Tree> {
        let texts = Texts::open(Records::open(env)?, libsys::env::get().account());
        Ok(Tree { system: System::new(env), clock: Clock::of(env), texts })
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(self.texts.records())
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn status(&mut self, number: NodeId) -> Result<Status> {
        let (kind, size) = match node(number)? {
            Node::Root | Node::Directory(_) => (NodeKind::Directory, 0),
            // How long the text will be is known when it is read.
            Node::View(_) | Node::Item(..) => (NodeKind::File, 0),
        };
        let now = self.clock.now();
        Ok(Status {
            kind,
            id: number,
            size,
            allocated: 0,
            links: 1,
            mode: if kind == NodeKind::Directory { 0o555 } else { 0o444 },
            accessed: now,
            modified: now,
            changed: now,
            created: now,
        })
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        let names = self.names(directory)?;
        Ok(names.into_iter().find(|(known, _)| known == name).map(|(_, found)| found))
    }

    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()> {
        // The cursor is behind a node's number, and what is in a directory is in the order of theirs.
        let mut names = self.names(directory)?;
        names.sort_by_key(|(_, found)| found.node);
        for (name, found) in names.into_iter().filter(|(_, found)| found.node >= cursor) {
            if !add(&name, found, found.node + 1) {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&mut self, _: NodeId) -> Result<String> {
        Err(FileError::OutOfRange)
    }

    fn read(&mut self, number: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        let text = self.make(number)?;
        into.put(&text.as_bytes()[usize::try_from(offset).unwrap_or(usize::MAX).min(text.len())..]);
        Ok(())
    }

    fn read_open(&mut self, open: u64, number: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        if offset == 0 || !self.texts.has(open) {
            let text = self.make(number)?;
            self.texts.put(open, &text)?;
        }
        self.texts.read(open, offset, into);
        Ok(())
    }

    fn closed(&mut self, open: u64) {
        self.texts.forget(open);
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            bytes: 0,
            free_bytes: 0,
            files: FIRST_DIRECTORY,
            free_files: 0,
            block_bytes: 1,
            read_only: true,
            in_use: 0,
        })
    }
}
