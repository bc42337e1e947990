//! All nodes, as a [`Volume`].

use crate::contents::{Budget, Contents, PAGE};
use crate::node::{Body, Node};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use filesystem::{
    Clock, Destination, FileError, FileSystemStatistics, Found, Listing, New, NodeId, Result, Source, Status,
    StatusChange, Volume,
};
use libsys::env::Env;
use libsys::protocol::filesystem::RenameOptions;
use libsys::service;

/// What a node takes of the memory, besides its data and names.
const NODE_BYTES: u64 = 256;

/// What a name takes, besides its letters: two places in maps.
const NAME_BYTES: u64 = 160;

/// Part of the account's memory for files, in percent, where nothing else is said.
const PERCENT: u64 = 75;

/// The root directory.
const ROOT: NodeId = 0;

/// A file system.
#[derive(Debug)]
pub struct Tree {
    /// By number; `None` where a number is free.
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    budget: Budget,
    clock: Clock,
}

impl Tree {
    /// An empty one, of so many bytes.
    pub fn new(bytes: u64, clock: Clock) -> Tree {
        let root = Node::new(Body::Directory(Listing::default()), 0o755, clock.now());
        Tree { nodes: alloc::vec![Some(root)], free: Vec::new(), budget: Budget::new(bytes), clock }
    }

    fn get(&mut self, node: NodeId) -> Result<&mut Node> {
        // The server asks only for nodes that it was told of; another number is an error of this program.
        self.nodes.get_mut(node as usize).and_then(Option::as_mut).ok_or(FileError::Corrupt)
    }

    fn names(&mut self, directory: NodeId) -> Result<&mut Listing> {
        match &mut self.get(directory)?.body {
            Body::Directory(names) => Ok(names),
            _ => Err(FileError::NotDirectory),
        }
    }

    /// A file that is being changed, and what its data is charged to.
    fn changed_file(&mut self, node: NodeId) -> Result<(&mut Contents, &mut Budget)> {
        let now = self.clock.now();
        let node = self.nodes.get_mut(node as usize).and_then(Option::as_mut).ok_or(FileError::Corrupt)?;
        (node.modified, node.changed) = (now, now);
        match &mut node.body {
            Body::File(contents) => Ok((contents, &mut self.budget)),
            _ => Err(FileError::IsDirectory),
        }
    }

    fn touch(&mut self, node: NodeId) {
        let now = self.clock.now();
        if let Ok(node) = self.get(node) {
            (node.modified, node.changed) = (now, now);
        }
    }

    /// A number for a node that will be put there at once.
    fn number(&mut self) -> Result<NodeId> {
        if let Some(number) = self.free.pop() {
            return Ok(number);
        }
        self.nodes.try_reserve(1).map_err(|_| FileError::NoSpace)?;
        // So that giving a number back never needs memory.
        self.free.try_reserve(self.nodes.len() + 1).map_err(|_| FileError::NoSpace)?;
        self.nodes.push(None);
        Ok(self.nodes.len() as NodeId - 1)
    }

    /// A name for a node, which is charged.
    fn add_name(&mut self, directory: NodeId, name: &str, found: Found) -> Result<()> {
        self.budget.take(NAME_BYTES + name.len() as u64)?;
        self.names(directory)?.insert(name, found);
        self.touch(directory);
        Ok(())
    }

    fn take_name(&mut self, directory: NodeId, name: &str) -> Result<()> {
        self.names(directory)?.remove(name).ok_or(FileError::NotFound)?;
        self.budget.give(NAME_BYTES + name.len() as u64);
        self.touch(directory);
        Ok(())
    }

    /// One name of a node is gone.
    fn lose(&mut self, node: NodeId) -> Result<()> {
        let now = self.clock.now();
        let node = self.get(node)?;
        node.links = node.links.saturating_sub(1);
        node.changed = now;
        Ok(())
    }

    /// Error: `NotEmpty`, for a directory with names.
    fn check_empty(&mut self, found: Found) -> Result<()> {
        match &self.get(found.node)?.body {
            Body::Directory(names) if !names.is_empty() => Err(FileError::NotEmpty),
            _ => Ok(()),
        }
    }
}

impl Volume for Tree {
    fn start(env: &Env) -> service::Result<Tree> {
        let percent = env.parse("percent")?.unwrap_or(PERCENT).min(100);
        let limits = env.account().usage()?.limits;
        Ok(Tree::new(limits.frames.saturating_mul(PAGE) / 100 * percent, Clock::of(env)))
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        let entry = self.get(node)?;
        let (size, allocated) = match &entry.body {
            Body::File(contents) => (contents.size(), contents.charged()),
            Body::Directory(names) => (names.len() as u64, names.len() as u64 * NAME_BYTES),
            Body::Link(target) => (target.len() as u64, 0),
        };
        Ok(Status {
            kind: entry.kind(),
            id: node,
            size,
            allocated: allocated + NODE_BYTES,
            links: entry.links,
            mode: entry.mode,
            accessed: entry.accessed,
            modified: entry.modified,
            changed: entry.changed,
            created: entry.created,
        })
    }

    fn size(&mut self, node: NodeId) -> Result<u64> {
        match &self.get(node)?.body {
            Body::File(contents) => Ok(contents.size()),
            _ => Ok(0),
        }
    }

    fn set_status(&mut self, node: NodeId, change: &StatusChange) -> Result<()> {
        let now = self.clock.now();
        let entry = self.get(node)?;
        entry.mode = change.mode.unwrap_or(entry.mode);
        entry.accessed = change.accessed.unwrap_or(entry.accessed);
        entry.modified = change.modified.unwrap_or(entry.modified);
        entry.changed = now;
        Ok(())
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        Ok(self.names(directory)?.get(name))
    }

    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()> {
        self.names(directory)?.read(cursor, add)
    }

    fn read_link(&mut self, node: NodeId) -> Result<String> {
        match &self.get(node)?.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(FileError::OutOfRange),
        }
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        match &self.get(node)?.body {
            Body::File(contents) => {
                contents.read(offset, into);
                Ok(())
            }
            _ => Err(FileError::IsDirectory),
        }
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &mut Source<'_>) -> Result<()> {
        let (contents, budget) = self.changed_file(node)?;
        contents.write(offset, from, budget)
    }

    fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<()> {
        let (contents, budget) = self.changed_file(node)?;
        contents.truncate(bytes, budget);
        Ok(())
    }

    fn create(&mut self, directory: NodeId, name: &str, new: New<'_>) -> Result<NodeId> {
        let (body, mode, extra) = match new {
            New::File(mode) => (Body::File(Contents::default()), mode, 0),
            New::Directory(mode) => (Body::Directory(Listing::default()), mode, 0),
            New::Link(target) => (Body::Link(target.to_string()), 0o777, target.len() as u64),
        };
        self.budget.take(NODE_BYTES + extra)?;
        let node = Node::new(body, mode, self.clock.now());
        let kind = node.kind();
        let added = self.number().and_then(|number| {
            self.nodes[number as usize] = Some(node);
            match self.add_name(directory, name, Found { node: number, kind }) {
                Ok(()) => Ok(number),
                Err(error) => {
                    self.nodes[number as usize] = None;
                    self.free.push(number);
                    Err(error)
                }
            }
        });
        if added.is_err() {
            self.budget.give(NODE_BYTES + extra);
        }
        added
    }

    fn link(&mut self, node: NodeId, directory: NodeId, name: &str) -> Result<()> {
        let kind = self.get(node)?.kind();
        self.add_name(directory, name, Found { node, kind })?;
        let now = self.clock.now();
        let node = self.get(node)?;
        node.links += 1;
        node.changed = now;
        Ok(())
    }

    fn remove(&mut self, directory: NodeId, name: &str, found: Found) -> Result<()> {
        self.check_empty(found)?;
        self.take_name(directory, name)?;
        self.lose(found.node)
    }

    fn rename(
        &mut self,
        from: (NodeId, &str),
        found: Found,
        to: (NodeId, &str),
        replaced: Option<Found>,
        _: RenameOptions,
    ) -> Result<()> {
        match replaced {
            Some(replaced) => {
                self.check_empty(replaced)?;
                self.names(to.0)?.insert(to.1, found);
                self.touch(to.0);
                self.lose(replaced.node)?;
            }
            None => self.add_name(to.0, to.1, found)?,
        }
        self.take_name(from.0, from.1)
    }

    fn release(&mut self, number: NodeId) {
        let Some(entry) = self.nodes.get_mut(number as usize) else { return };
        if number == ROOT || entry.as_ref().is_none_or(|node| node.links > 0) {
            return;
        }
        let mut bytes = NODE_BYTES;
        match entry.take().map(|node| node.body) {
            Some(Body::File(mut contents)) => contents.free(&mut self.budget),
            Some(Body::Link(target)) => bytes += target.len() as u64,
            _ => {}
        }
        self.budget.give(bytes);
        self.free.push(number);
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            bytes: self.budget.limit(),
            free_bytes: self.budget.left(),
            files: u64::MAX,
            free_files: u64::MAX,
            block_bytes: PAGE as u32,
            read_only: false,
            in_use: 0,
        })
    }
}
