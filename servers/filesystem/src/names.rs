//! The protocol `filesystem`: names below a directory.

use crate::opens::Open;
use crate::path::{Walk, walk};
use crate::server::FileServer;
use crate::volume::{Found, New, NodeId, Result, Volume};
use crate::waiting::{Call, Wanted};
use alloc::string::String;
use libsys::Session;
use libsys::protocol::FileSystem;
use libsys::protocol::filesystem::{
    FileError, FileSystemStatistics, NodeKind, OfTwo, OpenFlags, OpenOptions, Opened, PATH_BYTES, RenameOptions,
    Status, StatusChange, Walked,
};
use libsys::service::{Context, Reply};

/// The directory, last name, and what that stands for; or what is to be looked up in place of the path.
type Target<'a> = core::result::Result<(NodeId, &'a str, Option<Found>), String>;

/// A walk that ended at a link ends the method.
macro_rules! arrive {
    ($walk:expr, $link:ident => $answer:expr) => {
        match $walk {
            Walk::Link($link) => return Ok($answer),
            Walk::Start => None,
            Walk::Name { directory, name, found } => Some((directory, name, found)),
        }
    };
}

impl<V: Volume> FileServer<V> {
    fn walk<'a>(&mut self, start: NodeId, path: &'a str, follow: bool) -> Result<Walk<'a>> {
        walk(&mut self.volume, start, path, follow, None).map(|(walk, _)| walk)
    }

    /// What is at a path, or the link that the walk ended at.
    fn find(&mut self, start: NodeId, path: &str, follow: bool) -> Result<Walked<Found>> {
        let end = arrive!(self.walk(start, path, follow)?, link => Walked::Link((), link));
        match end {
            None => Ok(Walked::Here(Found { node: start, kind: NodeKind::Directory })),
            Some((_, _, found)) => found.map(Walked::Here).ok_or(FileError::NotFound),
        }
    }

    /// Makes something under a new name.
    fn make(&mut self, cx: &Context, path: &str, new: New<'_>) -> Result<Walked<()>> {
        let start = self.changeable(cx)?.node;
        let end = arrive!(self.walk(start, path, false)?, link => Walked::Link((), link));
        let Some((directory, name, None)) = end else { return Err(FileError::Exists) };
        self.volume.create(directory, name, new)?;
        self.watched.changed(directory);
        Ok(Walked::Here(()))
    }

    /// Opens what was found.
    fn open_found(&mut self, found: Found, start: &Open, options: OpenOptions) -> Result<(Opened, Session)> {
        let Found { node, kind } = found;
        let flags = options.flags;
        let is_directory = kind == NodeKind::Directory;
        let writes = flags.intersects(OpenFlags::WRITE | OpenFlags::APPEND);
        match kind {
            _ if flags.contains(OpenFlags::DIRECTORY) && !is_directory => return Err(FileError::NotDirectory),
            NodeKind::Directory if writes => return Err(FileError::IsDirectory),
            // It was not to be followed.
            NodeKind::Link => return Err(FileError::TooManyLinks),
            NodeKind::File | NodeKind::Directory => {}
            kind => {
                let session = self.volume.connect(node, writes)?;
                return Ok((Opened { kind, id: node, size: 0 }, session));
            }
        }
        if writes && start.read_only {
            return Err(FileError::ReadOnly);
        }
        if flags.contains(OpenFlags::TRUNCATE) {
            if !writes {
                return Err(FileError::Denied);
            }
            self.volume.truncate(node, 0)?;
            self.watched.changed(node);
        }
        let mut kept = Self::kept_flags(flags);
        if flags.contains(OpenFlags::APPEND) {
            kept |= OpenFlags::WRITE;
        }
        let size = if is_directory { 0 } else { self.volume.size(node)? };
        let open = Open { node, is_directory, flags: kept, read_only: start.read_only, is_root: false, position: 0 };
        let session = self.add_open(open)?;
        Ok((Opened { kind, id: node, size }, session))
    }

    /// The directory and last name of a path that a change is about; the link that the walk ended at; `Busy` for the session's own directory.
    fn target<'a>(&mut self, start: NodeId, path: &'a str, avoid: Option<NodeId>) -> Result<(Target<'a>, bool)> {
        let (end, has_met) = walk(&mut self.volume, start, path, false, avoid)?;
        match end {
            Walk::Start => Err(FileError::Busy),
            Walk::Link(link) => Ok((Err(link), has_met)),
            Walk::Name { directory, name, found } => Ok((Ok((directory, name, found)), has_met)),
        }
    }
}

impl<V: Volume> FileSystem for FileServer<V> {
    fn open(&mut self, cx: &Context, path: &str, options: OpenOptions) -> Result<(Walked<Opened>, Option<Session>)> {
        let start = self.directory(cx)?;
        let OpenOptions { flags, mode } = options;
        let creates = flags.contains(OpenFlags::CREATE);
        let is_exclusive = creates && flags.contains(OpenFlags::EXCLUSIVE);
        let follow = !flags.contains(OpenFlags::NO_FOLLOW) && !is_exclusive;
        let end = arrive!(self.walk(start.node, path, follow)?, link => (Walked::Link((), link), None));
        let found = match end {
            None if is_exclusive => return Err(FileError::Exists),
            None => Found { node: start.node, kind: NodeKind::Directory },
            Some((.., Some(_))) if is_exclusive => return Err(FileError::Exists),
            Some((.., Some(found))) => found,
            Some((.., None)) if !creates => return Err(FileError::NotFound),
            Some(_) if start.read_only => return Err(FileError::ReadOnly),
            Some(_) if flags.contains(OpenFlags::DIRECTORY) || path.ends_with('/') => {
                return Err(FileError::IsDirectory);
            }
            Some((directory, name, None)) => {
                let node = self.volume.create(directory, name, New::File(mode))?;
                self.watched.changed(directory);
                Found { node, kind: NodeKind::File }
            }
        };
        let (opened, session) = self.open_found(found, &start, options)?;
        Ok((Walked::Here(opened), Some(session)))
    }

    fn status(&mut self, cx: &Context, path: &str, follow_last: bool) -> Result<Walked<Status>> {
        let start = self.directory(cx)?.node;
        match self.find(start, path, follow_last)? {
            Walked::Here(found) => Ok(Walked::Here(self.volume.status(found.node)?)),
            Walked::Link((), link) => Ok(Walked::Link((), link)),
        }
    }

    fn make_directory(&mut self, cx: &Context, path: &str, mode: u16) -> Result<Walked<()>> {
        self.make(cx, path, New::Directory(mode))
    }

    fn remove(&mut self, cx: &Context, path: &str, directory: bool) -> Result<Walked<()>> {
        let start = self.changeable(cx)?.node;
        let (parent, name, found) = match self.target(start, path, None)?.0 {
            Ok(target) => target,
            Err(link) => return Ok(Walked::Link((), link)),
        };
        let found = found.ok_or(FileError::NotFound)?;
        match (found.kind, directory) {
            (NodeKind::Directory, false) => return Err(FileError::IsDirectory),
            (NodeKind::Directory, true) | (_, false) => {}
            (_, true) => return Err(FileError::NotDirectory),
        }
        self.volume.remove(parent, name, found)?;
        self.watched.changed(parent);
        self.lost_name(found.node);
        Ok(Walked::Here(()))
    }

    fn rename(&mut self, cx: &Context, from: &str, to: &str, options: RenameOptions) -> Result<Walked<(), OfTwo>> {
        let start = self.changeable(cx)?.node;
        let (from_directory, from_name, found) = match self.target(start, from, None)?.0 {
            Ok(target) => target,
            Err(link) => return Ok(Walked::Link(OfTwo::From, link)),
        };
        let found = found.ok_or(FileError::NotFound)?;
        let (end, has_met) = self.target(start, to, Some(found.node))?;
        let (to_directory, to_name, mut replaced) = match end {
            Ok(target) => target,
            Err(link) => return Ok(Walked::Link(OfTwo::To, link)),
        };
        let is_directory = |found: &Found| found.kind == NodeKind::Directory;
        match replaced {
            Some(_) if options.contains(RenameOptions::NO_REPLACE) => return Err(FileError::Exists),
            // Another spelling of the name.
            Some(other)
                if other.node == found.node
                    && from_directory == to_directory
                    && from_name != to_name
                    && self.volume.is_same_name(from_name, to_name) =>
            {
                replaced = None;
            }
            // Two names of one file, or the same name: nothing is to be done.
            Some(other) if other.node == found.node => return Ok(Walked::Here(())),
            _ if has_met && is_directory(&found) => return Err(FileError::OutOfRange),
            Some(other) if is_directory(&other) && !is_directory(&found) => return Err(FileError::IsDirectory),
            Some(other) if !is_directory(&other) && is_directory(&found) => return Err(FileError::NotDirectory),
            _ => {}
        }
        self.volume.rename((from_directory, from_name), found, (to_directory, to_name), replaced, options)?;
        self.watched.changed(from_directory);
        if to_directory != from_directory {
            self.watched.changed(to_directory);
        }
        if let Some(replaced) = replaced {
            self.lost_name(replaced.node);
        }
        Ok(Walked::Here(()))
    }

    fn link(&mut self, cx: &Context, from: &str, to: &str) -> Result<Walked<(), OfTwo>> {
        let start = self.changeable(cx)?.node;
        let found = match self.target(start, from, None)?.0 {
            Ok((.., found)) => found.ok_or(FileError::NotFound)?,
            Err(link) => return Ok(Walked::Link(OfTwo::From, link)),
        };
        let (directory, name, replaced) = match self.target(start, to, None)?.0 {
            Ok(target) => target,
            Err(link) => return Ok(Walked::Link(OfTwo::To, link)),
        };
        if replaced.is_some() {
            return Err(FileError::Exists);
        }
        if found.kind == NodeKind::Directory {
            return Err(FileError::IsDirectory);
        }
        self.volume.link(found.node, directory, name)?;
        self.watched.changed(directory);
        Ok(Walked::Here(()))
    }

    fn symlink(&mut self, cx: &Context, target: &str, path: &str) -> Result<Walked<()>> {
        if target.is_empty() || target.contains('\0') {
            return Err(FileError::OutOfRange);
        }
        if target.len() > PATH_BYTES {
            return Err(FileError::NameTooLong);
        }
        self.make(cx, path, New::Link(target))
    }

    fn set_status(&mut self, cx: &Context, path: &str, follow_last: bool, change: StatusChange) -> Result<Walked<()>> {
        let start = self.changeable(cx)?.node;
        match self.find(start, path, follow_last)? {
            Walked::Here(found) => Ok(Walked::Here(self.volume.set_status(found.node, &change)?)),
            Walked::Link((), link) => Ok(Walked::Link((), link)),
        }
    }

    fn read_link(&mut self, cx: &Context, path: &str) -> Result<Walked<String>> {
        let start = self.directory(cx)?.node;
        match self.find(start, path, false)? {
            Walked::Here(Found { node, kind: NodeKind::Link }) => Ok(Walked::Here(self.volume.read_link(node)?)),
            Walked::Here(_) => Err(FileError::OutOfRange),
            Walked::Link((), link) => Ok(Walked::Link((), link)),
        }
    }

    fn statistics(&mut self, cx: &Context) -> Result<FileSystemStatistics> {
        self.open_of(cx)?;
        let statistics = self.volume.statistics()?;
        Ok(FileSystemStatistics { in_use: self.in_use, ..statistics })
    }

    fn sync_all(&mut self, cx: &Context, reply: Reply<'_, Result<()>>) {
        if let Err(error) = self.open_of(cx) {
            return reply.send(Err(error));
        }
        let wanted = Wanted::Sync { node: None, data_only: false };
        let result = self.attempt(wanted).map(drop);
        self.wait_or_send(result, reply, wanted, Call::Done);
    }

    fn subtree(&mut self, cx: &Context, path: &str, read_only: bool) -> Result<(Walked<()>, Option<Session>)> {
        let start = self.directory(cx)?;
        match self.find(start.node, path, true)? {
            Walked::Here(Found { node, kind: NodeKind::Directory }) => {
                let session = self.add_open(Open::root(node, read_only || start.read_only))?;
                Ok((Walked::Here(()), Some(session)))
            }
            Walked::Here(_) => Err(FileError::NotDirectory),
            Walked::Link((), link) => Ok((Walked::Link((), link), None)),
        }
    }
}
