//! `note`: a directory with one file, `note`, of at most a page of text. A program of it is `libsys::serve!(FileServer<Note>);`.

use filesystem::{
    Destination, FileError, FileServer, FileSystemStatistics, Found, NodeId, NodeKind, Result, Source, Status,
    Timestamp, Volume,
};
use libsys::env::Env;
use libsys::service;

const ROOT: NodeId = 0;
const FILE: NodeId = 1;
const NAME: &str = "note";
const LARGEST: u64 = 4096;

/// The volume: the text is its page cache.
#[derive(Debug, Default)]
pub struct Note {
    text: Vec<u8>,
}

/// What the server is.
pub type NoteServer = FileServer<Note>;

const FOUND: Found = Found { node: FILE, kind: NodeKind::File };

impl Volume for Note {
    fn start(_: &Env) -> service::Result<Note> {
        Ok(Note::default())
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        let (kind, size) = match node {
            ROOT => (NodeKind::Directory, 0),
            _ => (NodeKind::File, self.text.len() as u64),
        };
        let time = Timestamp::default();
        let (accessed, modified, changed, created) = (time, time, time, time);
        Ok(Status {
            kind,
            id: node,
            size,
            allocated: size,
            links: 1,
            mode: 0o644,
            accessed,
            modified,
            changed,
            created,
        })
    }

    fn lookup(&mut self, _: NodeId, name: &str) -> Result<Option<Found>> {
        Ok((name == NAME).then_some(FOUND))
    }

    fn read_directory(&mut self, _: NodeId, cursor: u64, add: &mut dyn FnMut(&str, Found, u64) -> bool) -> Result<()> {
        if cursor == 0 {
            add(NAME, FOUND, 1);
        }
        Ok(())
    }

    fn read_link(&mut self, _: NodeId) -> Result<String> {
        Err(FileError::OutOfRange)
    }

    fn read(&mut self, _: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        let start = (offset as usize).min(self.text.len());
        into.put(&self.text[start..]);
        Ok(())
    }

    fn write(&mut self, _: NodeId, offset: u64, from: &mut Source<'_>) -> Result<()> {
        if offset >= LARGEST {
            return Err(FileError::NoSpace);
        }
        let start = offset as usize;
        let end = (start + from.left()).min(LARGEST as usize);
        if self.text.len() < end {
            self.text.resize(end, 0);
        }
        from.take(&mut self.text[start..end]);
        Ok(())
    }

    fn truncate(&mut self, _: NodeId, bytes: u64) -> Result<()> {
        if bytes > LARGEST {
            return Err(FileError::NoSpace);
        }
        self.text.resize(bytes as usize, 0);
        Ok(())
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        let free_bytes = LARGEST - self.text.len() as u64;
        Ok(FileSystemStatistics {
            bytes: LARGEST,
            free_bytes,
            files: 1,
            free_files: 0,
            block_bytes: 1,
            read_only: false,
            in_use: 0,
        })
    }
}
