//! `bootfs`: the boot archive as a file system: `bin` with the programs, `manifest`, `init`. Serves `filesystem` and `file`, read-only. Needs the Memory `archive`.
//!
//! The archive is sealed Memory, so its files can be mapped, and executed, where they are.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use filesystem::{
    Destination, FileError, FileServer, FileSystemStatistics, Found, Listing, NodeId, NodeKind, Result, Status,
    Timestamp, Volume,
};
use libsys::archive::Archive;
use libsys::driver::StartError;
use libsys::env::Env;
use libsys::mapping::SealedMapping;
use libsys::{Memory, Object, Rights, path, service};

/// What a client may do with the archive's Memory: nothing that changes it.
const RIGHTS: Rights = Rights::READ.union(Rights::EXECUTE).union(Rights::INSPECT).union(Rights::DUPLICATE);

/// The root directory.
const ROOT: NodeId = 0;

/// The boot archive.
struct Boot {
    memory: Memory,
    bytes: SealedMapping,
    nodes: Vec<Node>,
}

enum Node {
    Directory(Listing),
    /// Where it is in the archive, and how many names it has.
    File {
        range: Range<usize>,
        links: u32,
    },
}

impl Boot {
    fn new(memory: Memory) -> service::Result<Boot> {
        let bytes = memory.map_sealed()?;
        let archive = Archive::read(&bytes).map_err(StartError::Device)?;
        let mut nodes = alloc::vec![Node::Directory(Listing::default())];
        let files = archive.files().iter().map(|range| Node::File { range: range.clone(), links: 0 });
        nodes.extend(files);
        for (name, file) in archive.names() {
            add(&mut nodes, name, ROOT as usize + 1 + file);
        }
        Ok(Boot { memory, bytes, nodes })
    }

    fn node(&self, node: NodeId) -> Result<&Node> {
        self.nodes.get(node as usize).ok_or(FileError::Corrupt)
    }

    fn range(&self, node: NodeId) -> Result<Range<usize>> {
        match self.node(node)? {
            Node::File { range, .. } => Ok(range.clone()),
            Node::Directory(_) => Err(FileError::IsDirectory),
        }
    }

    fn names(&self, node: NodeId) -> Result<&Listing> {
        match self.node(node)? {
            Node::Directory(names) => Ok(names),
            Node::File { .. } => Err(FileError::NotDirectory),
        }
    }
}

/// Gives a file a name, and makes the directories above it. A name that another one uses as a directory, or that is there already, is left out.
fn add(nodes: &mut Vec<Node>, name: &str, file: usize) {
    let mut directory = ROOT as usize;
    let mut names = path::names(name).peekable();
    while let Some(name) = names.next() {
        let is_last = names.peek().is_none();
        let next = nodes.len();
        let Some(Node::Directory(listing)) = nodes.get_mut(directory) else { return };
        match (listing.get(name), is_last) {
            (Some(found), false) => directory = found.node as usize,
            (Some(_), true) => return,
            (None, false) => {
                listing.insert(name, Found { node: next as NodeId, kind: NodeKind::Directory });
                nodes.push(Node::Directory(Listing::default()));
                directory = next;
            }
            (None, true) => {
                listing.insert(name, Found { node: file as NodeId, kind: NodeKind::File });
                if let Some(Node::File { links, .. }) = nodes.get_mut(file) {
                    *links += 1;
                }
            }
        }
    }
}

impl Volume for Boot {
    fn start(env: &Env) -> service::Result<Boot> {
        Boot::new(env.take("archive")?)
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        let (kind, size, links) = match self.node(node)? {
            Node::Directory(names) => (NodeKind::Directory, names.len() as u64, 1),
            Node::File { range, links } => (NodeKind::File, range.len() as u64, *links),
        };
        let time = Timestamp::default();
        Ok(Status {
            kind,
            id: node,
            size,
            allocated: size,
            links,
            mode: 0o555,
            accessed: time,
            modified: time,
            changed: time,
            created: time,
        })
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

    fn read_link(&mut self, _: NodeId) -> Result<String> {
        Err(FileError::OutOfRange)
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        let file = &self.bytes[self.range(node)?];
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        into.put(&file[start..]);
        Ok(())
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            bytes: self.bytes.len() as u64,
            free_bytes: 0,
            files: self.nodes.len() as u64,
            free_files: 0,
            block_bytes: 512,
            read_only: true,
            in_use: 0,
        })
    }

    fn map(&mut self, node: NodeId, offset: u64, bytes: u64) -> Result<(Memory, u64)> {
        let range = self.range(node)?;
        // The server has checked that the range is inside of the file.
        let start = range.start as u64 + offset;
        if start.checked_add(bytes).is_none_or(|end| end > range.end as u64) {
            return Err(FileError::OutOfRange);
        }
        let memory = self.memory.duplicate(RIGHTS).map_err(|_| FileError::Exhausted)?;
        Ok((memory, start))
    }
}

libsys::serve!(FileServer<Boot>);

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::fake;

    fn entry(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        block[257..262].copy_from_slice(b"ustar");
        block.extend_from_slice(contents);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }

    #[test]
    fn the_archive_is_a_tree() {
        let mut bytes = entry("init", b"ELF");
        for (name, contents) in [("bin/echo", &b"echo!"[..]), ("bin/true", b""), ("bin/echo/x", b"")] {
            bytes.extend(entry(name, contents));
        }
        let mut link = entry("bin/say", b"");
        link[156] = b'1';
        link[157..165].copy_from_slice(b"bin/echo");
        bytes.extend(link);
        bytes.extend([0; 1024]);
        let memory = Memory::create(&fake::account(), bytes.len() as u64).expect("memory");
        memory.map_writable().expect("mapped").copy_in(0, &bytes);
        memory.seal().expect("sealed");
        let mut boot = Boot::new(memory).expect("an archive");
        let bin = boot.lookup(ROOT, "bin").expect("no error").expect("there");
        let echo = boot.lookup(bin.node, "echo").expect("no error").expect("there");
        assert_eq!((bin.kind, echo.kind), (NodeKind::Directory, NodeKind::File));
        let mut text = [0; 9];
        let mut into = Destination::bytes(&mut text);
        boot.read(echo.node, 2, &mut into).expect("read");
        assert_eq!((into.room(), &text[..3]), (6, &b"ho!"[..]));
        let (mapped, offset) = boot.map(echo.node, 0, 5).expect("mapped");
        assert_eq!(&mapped.map_sealed().expect("sealed")[offset as usize..][..5], b"echo!");
        assert_eq!(boot.map(echo.node, 1, 5).map(drop), Err(FileError::OutOfRange));
        let mut names = Vec::new();
        boot.read_directory(bin.node, 0, &mut |name, _, _| {
            names.push(String::from(name));
            true
        })
        .expect("read");
        assert_eq!(names, ["echo", "true", "say"]);
        assert_eq!(boot.lookup(bin.node, "say"), Ok(Some(echo)));
        assert_eq!(boot.status(echo.node).map(|status| (status.links, status.size)), Ok((2, 5)));
    }
}
