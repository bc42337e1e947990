//! All nodes, as a [`Volume`]. Each change is staged first: where there is no room for that, nothing has happened.

use crate::arena::{Arena, PageNumber};
use crate::budget::{Budget, PAGE};
use crate::contents::{Contents, Owner};
use crate::names::{NameSlabs, Names, OWNERS, Place};
use crate::node::{Body, Node, SIZE, SLOT_BYTES};
use crate::recover::recover;
use crate::slab::{Slab, Slot};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use filesystem::{
    Clock, Destination, FileError, FileSystemStatistics, Found, New, NodeId, Result, Source, Status, StatusChange,
    Volume,
};
use libsys::Account;
use libsys::env::Env;
use libsys::protocol::filesystem::RenameOptions;
use libsys::service;
use libsys::state::Records;

/// What a node takes of the memory, besides its data and names: here, and in the arena.
pub const NODE_BYTES: u64 = 256 + SLOT_BYTES as u64;

/// What a name takes here, besides its letters: places in maps.
const NAME_BYTES: u64 = 192;

/// Part of the account's memory for files, in percent, where nothing else is said.
const PERCENT: u64 = 75;

/// The root directory: the first node that is made.
pub const ROOT: NodeId = 0;

/// Numbers by which the largest number of a node can grow at once.
const MOST_NEW: usize = 64;

/// What a name takes of the memory.
pub fn name_bytes(name: &str) -> u64 {
    NAME_BYTES + name.len() as u64 + NameSlabs::bytes(name)
}

/// A file system.
#[derive(Debug)]
pub struct Tree {
    /// By number; `None` where a number is free.
    nodes: Vec<Option<Node>>,
    slab: Slab,
    names: NameSlabs,
    arena: Arena,
    budget: Budget,
    clock: Clock,
    /// The last number that was given to a node.
    serial: u64,
    /// Nodes that nobody uses any more, and for whose end there was no room.
    left: Vec<NodeId>,
}

impl Tree {
    /// What the incarnation before has left, or an empty one, of so many bytes.
    pub fn open(records: Records, account: &'static Account, bytes: u64, clock: Clock) -> service::Result<Tree> {
        let mut arena = Arena::open(records, account, bytes)?;
        let (mut slab, mut names) = (Slab::new(OWNERS, SLOT_BYTES), NameSlabs::new());
        let mut budget = Budget::new(bytes);
        let found = recover(&mut arena, &mut slab, &mut names, &mut budget);
        let left = Vec::new();
        let mut tree = Tree { nodes: found.nodes, slab, names, arena, budget, clock, serial: found.serial, left };
        if tree.get(ROOT).is_err() {
            tree.make_root().map_err(|_| service::StartError::Device("no room for the root directory"))?;
        }
        Ok(tree)
    }

    fn make_root(&mut self) -> Result<()> {
        let slot = self.slab.take(&mut self.arena)?;
        self.budget.take(NODE_BYTES)?;
        self.serial += 1;
        let mut root = Node::new(self.serial, Body::Directory(Names::default()), 0o755, self.clock.now());
        root.links = 1;
        self.log_node(slot, &root);
        self.arena.stage()?;
        self.arena.records().commit();
        self.arena.committed();
        self.put(slot, root);
        if NodeId::from(slot) == ROOT { Ok(()) } else { Err(FileError::Corrupt) }
    }

    #[inline]
    fn get(&mut self, node: NodeId) -> Result<&mut Node> {
        // The server asks only for nodes that it was told of; another number is an error of this program.
        self.nodes.get_mut(node as usize).and_then(Option::as_mut).ok_or(FileError::Corrupt)
    }

    fn put(&mut self, slot: Slot, node: Node) {
        let index = slot as usize;
        if self.nodes.len() <= index {
            self.nodes.resize_with(index + 1, || None);
        }
        self.nodes[index] = Some(node);
    }

    fn names(&mut self, directory: NodeId) -> Result<&mut Names> {
        match &mut self.get(directory)?.body {
            Body::Directory(names) => Ok(names),
            _ => Err(FileError::NotDirectory),
        }
    }

    fn place(&self, node: NodeId) -> Result<(PageNumber, usize)> {
        self.slab.place(node as Slot).ok_or(FileError::Corrupt)
    }

    fn log_node(&mut self, slot: Slot, node: &Node) {
        if let Some((page, at)) = self.slab.place(slot) {
            self.arena.log(page, at, &node.encode());
        }
    }

    /// Changes a file's data, and its times.
    fn change(
        &mut self,
        number: NodeId,
        change: impl FnOnce(&mut Contents, Owner, &mut Arena, &mut Budget) -> Result<()>,
    ) -> Result<()> {
        let (page, at) = self.place(number)?;
        let node = self.nodes.get_mut(number as usize).and_then(Option::as_mut).ok_or(FileError::Corrupt)?;
        let owner = Owner { serial: node.serial, size: (page, at + SIZE) };
        let Body::File(contents) = &mut node.body else { return Err(FileError::IsDirectory) };
        change(contents, owner, &mut self.arena, &mut self.budget)?;
        self.touch(number);
        Ok(())
    }

    /// The contents of a node have changed now.
    fn touch(&mut self, number: NodeId) {
        let now = self.clock.now();
        if let Ok(node) = self.get(number) {
            (node.modified, node.changed) = (now, now);
        }
        self.write_times(number);
    }

    /// What is known about a node has changed now.
    fn touch_status(&mut self, number: NodeId) {
        let now = self.clock.now();
        if let Ok(node) = self.get(number) {
            node.changed = now;
        }
        self.write_times(number);
    }

    fn write_times(&mut self, number: NodeId) {
        if let Ok((page, at)) = self.place(number)
            && let Some((mapping, start)) = self.arena.place(page)
            && let Some(Some(node)) = self.nodes.get(number as usize)
        {
            node.write_times(mapping, start + at);
        }
    }

    /// Takes a place for a new name, and notes it. Errors: `NoSpace`, `NotDirectory`.
    fn log_name(&mut self, directory: NodeId, name: &str, node: NodeId) -> Result<Place> {
        let arrival = self.names(directory)?.listing.next_arrival();
        self.budget.take(name_bytes(name))?;
        let place = self.names.take(name, &mut self.arena);
        let place = place.inspect_err(|_| self.budget.give(name_bytes(name)))?;
        self.names.log(place, directory, node, arrival, name, &mut self.arena);
        Ok(place)
    }

    /// Takes back what [`Tree::log_name`] did.
    fn give_name(&mut self, name: &str, place: Place) {
        self.names.give(place, &mut self.arena);
        self.budget.give(name_bytes(name));
    }

    /// A staged name is there.
    fn add_name(&mut self, directory: NodeId, name: &str, found: Found, place: Place) -> Result<()> {
        self.names(directory)?.insert(name, found, place);
        self.get(found.node)?.links += 1;
        self.touch(directory);
        Ok(())
    }

    /// A staged name is gone.
    fn take_name(&mut self, directory: NodeId, name: &str, place: Place) -> Result<()> {
        self.names(directory)?.remove(name);
        self.give_name(name, place);
        self.touch(directory);
        Ok(())
    }

    /// One name of a node is gone.
    fn lose(&mut self, node: NodeId) -> Result<()> {
        let entry = self.get(node)?;
        entry.links = entry.links.saturating_sub(1);
        self.touch_status(node);
        Ok(())
    }

    /// Error: `NotEmpty`, for a directory with names.
    fn check_empty(&mut self, found: Found) -> Result<()> {
        match &self.get(found.node)?.body {
            Body::Directory(names) if !names.listing.is_empty() => Err(FileError::NotEmpty),
            _ => Ok(()),
        }
    }

    /// Writes the target of a new link as its data.
    fn fill_link(&mut self, slot: Slot, node: &mut Node) -> Result<()> {
        let (page, at) = self.place(slot.into())?;
        let owner = Owner { serial: node.serial, size: (page, at + SIZE) };
        let Body::Link(target, contents) = &mut node.body else { return Ok(()) };
        contents.write(owner, 0, &mut Source::bytes(target.as_bytes()), &mut self.arena, &mut self.budget)
    }

    /// Stages a new node under a new name. Error: `NoSpace`; nothing was taken then.
    fn stage_new(&mut self, directory: NodeId, name: &str, slot: Slot, node: &mut Node) -> Result<Place> {
        self.fill_link(slot, node)?;
        self.log_node(slot, node);
        let place = self.log_name(directory, name, slot.into())?;
        self.arena.stage().inspect_err(|_| self.give_name(name, place))?;
        Ok(place)
    }

    /// Ends a node. Error: `NoSpace`, where not even that can be noted.
    fn end_node(&mut self, number: NodeId) -> Result<()> {
        let (page, at) = self.place(number)?;
        self.arena.log(page, at, &[0; 8]);
        self.arena.stage_last()?;
        let node = self.nodes.get_mut(number as usize).and_then(Option::take);
        self.give_node(number as Slot, node);
        Ok(())
    }

    /// Gives back what a node has taken.
    fn give_node(&mut self, slot: Slot, node: Option<Node>) {
        if let Some(Node { body: Body::File(contents) | Body::Link(_, contents), .. }) = node {
            contents.free(&mut self.arena, &mut self.budget);
        }
        self.budget.give(NODE_BYTES);
        self.slab.give(slot, &mut self.arena);
    }

    fn is_unnamed(&self, number: NodeId) -> bool {
        let node = self.nodes.get(number as usize).and_then(Option::as_ref);
        number != ROOT && node.is_some_and(|node| node.links == 0)
    }
}

impl Volume for Tree {
    fn start(env: &Env) -> service::Result<Tree> {
        let percent =
            match env.parameter("percent") {
                None => PERCENT,
                Some(text) => text.parse().ok().filter(|percent| (1..=100).contains(percent)).unwrap_or_else(|| {
                    filesystem::refuse(FileError::OutOfRange, &format!("percent={text}: not 1 to 100"))
                }),
            };
        // The account is the process's own, and stays.
        let account = libsys::env::get().account();
        let limits = account.usage()?.limits;
        let bytes = limits.frames.saturating_mul(PAGE) / 100 * percent;
        Tree::open(Records::open(env)?, account, bytes, Clock::of(env))
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(self.arena.records())
    }

    fn reclaim(&mut self, is_open: &dyn Fn(NodeId) -> bool) {
        let all = 0..self.nodes.len() as NodeId;
        let unused: Vec<NodeId> = all.filter(|node| self.is_unnamed(*node) && !is_open(*node)).collect();
        unused.into_iter().for_each(|node| self.release(node));
    }

    fn committed(&mut self) {
        self.arena.committed();
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        let entry = self.get(node)?;
        let (size, allocated) = match &entry.body {
            Body::File(contents) | Body::Link(_, contents) => (contents.size(), contents.charged()),
            Body::Directory(Names { listing, .. }) => (listing.len() as u64, listing.len() as u64 * NAME_BYTES),
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

    fn set_status(&mut self, number: NodeId, change: &StatusChange) -> Result<()> {
        let now = self.clock.now();
        let (page, at) = self.place(number)?;
        let entry = self.get(number)?;
        let before = (entry.mode, entry.accessed, entry.modified, entry.changed);
        entry.mode = change.mode.unwrap_or(entry.mode);
        entry.accessed = change.accessed.unwrap_or(entry.accessed);
        entry.modified = change.modified.unwrap_or(entry.modified);
        entry.changed = now;
        let slot = entry.encode();
        self.arena.log(page, at, &slot);
        let staged = self.arena.stage();
        if staged.is_err() {
            let entry = self.get(number)?;
            (entry.mode, entry.accessed, entry.modified, entry.changed) = before;
        }
        staged
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        Ok(self.names(directory)?.listing.get(name))
    }

    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()> {
        self.names(directory)?.listing.read(cursor, add)
    }

    fn read_link(&mut self, node: NodeId) -> Result<String> {
        match &self.get(node)?.body {
            Body::Link(target, _) => Ok(target.clone()),
            _ => Err(FileError::OutOfRange),
        }
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        match self.nodes.get(node as usize).and_then(Option::as_ref).map(|node| &node.body) {
            Some(Body::File(contents)) => {
                contents.read(offset, into, &self.arena);
                Ok(())
            }
            Some(_) => Err(FileError::IsDirectory),
            None => Err(FileError::Corrupt),
        }
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &mut Source<'_>) -> Result<()> {
        self.change(node, |contents, owner, arena, budget| contents.write(owner, offset, from, arena, budget))
    }

    fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<()> {
        self.change(node, |contents, owner, arena, budget| contents.truncate(owner, bytes, arena, budget))
    }

    fn create(&mut self, directory: NodeId, name: &str, new: New<'_>) -> Result<NodeId> {
        let (body, mode) = match new {
            New::File(mode) => (Body::File(Contents::default()), mode),
            New::Directory(mode) => (Body::Directory(Names::default()), mode),
            New::Link(target) => (Body::Link(target.to_string(), Contents::default()), 0o777),
        };
        self.nodes.try_reserve(MOST_NEW).map_err(|_| FileError::NoSpace)?;
        self.budget.take(NODE_BYTES)?;
        let slot = self.slab.take(&mut self.arena).inspect_err(|_| self.budget.give(NODE_BYTES))?;
        self.serial += 1;
        let mut node = Node::new(self.serial, body, mode, self.clock.now());
        let kind = node.kind();
        match self.stage_new(directory, name, slot, &mut node) {
            Ok(place) => {
                self.put(slot, node);
                self.add_name(directory, name, Found { node: slot.into(), kind }, place)?;
                Ok(slot.into())
            }
            Err(error) => {
                self.arena.forget();
                self.give_node(slot, Some(node));
                Err(error)
            }
        }
    }

    fn link(&mut self, node: NodeId, directory: NodeId, name: &str) -> Result<()> {
        let kind = self.get(node)?.kind();
        let place = self.log_name(directory, name, node)?;
        self.arena.stage().inspect_err(|_| self.give_name(name, place))?;
        self.add_name(directory, name, Found { node, kind }, place)?;
        self.touch_status(node);
        Ok(())
    }

    fn remove(&mut self, directory: NodeId, name: &str, found: Found) -> Result<()> {
        self.check_empty(found)?;
        let place = self.names(directory)?.place(name).ok_or(FileError::NotFound)?;
        self.names.log_end(place, &mut self.arena);
        self.arena.stage_last()?;
        self.take_name(directory, name, place)?;
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
        if let Some(replaced) = replaced {
            self.check_empty(replaced)?;
        }
        let old = self.names(from.0)?.place(from.1).ok_or(FileError::NotFound)?;
        let known = self.names(to.0)?.place(to.1);
        let place = match known {
            Some(place) => {
                self.names.log_node(place, found.node, &mut self.arena);
                place
            }
            None => self.log_name(to.0, to.1, found.node)?,
        };
        self.names.log_end(old, &mut self.arena);
        self.arena.stage().inspect_err(|_| {
            if known.is_none() {
                self.give_name(to.1, place);
            }
        })?;
        self.add_name(to.0, to.1, found, place)?;
        if let Some(replaced) = replaced {
            self.lose(replaced.node)?;
        }
        self.take_name(from.0, from.1, old)?;
        self.lose(found.node)
    }

    #[inline]
    fn stays(&self, number: NodeId) -> bool {
        self.left.is_empty() && !self.is_unnamed(number)
    }

    fn release(&mut self, number: NodeId) {
        if self.stays(number) {
            return;
        }
        let mut left = core::mem::take(&mut self.left);
        left.push(number);
        for number in left {
            if self.is_unnamed(number) && self.end_node(number).is_err() {
                self.left.push(number);
            }
        }
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
