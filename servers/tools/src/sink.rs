//! What a program writes to besides its standard output: a file, a device, a disk.

use crate::raw_disk::RawDisk;
use alloc::boxed::Box;
use libsys::client;
use libsys::fs::{File, FileError, NodeKind, OpenOptions};
use libsys::io::{self, Error, Room, Write};

/// Something to write to.
#[derive(Debug)]
pub enum Sink {
    /// The standard output.
    Standard(io::Stdout),
    /// A file, device or console.
    Stream(io::Output),
    /// A disk or partition.
    Disk(Box<RawDisk>),
}

impl Sink {
    /// What a path names, opened so.
    pub fn open(path: &str, options: OpenOptions) -> io::Result<Sink> {
        let error = match options.open(path) {
            Ok(file) => return Ok(Sink::Stream(io::Output::File(file))),
            Err(error) => error,
        };
        if error.file() != Some(FileError::Unsupported) {
            return Err(error);
        }
        // What makes and empties files means nothing to a device.
        let (opened, session) = options.create(false).truncate(false).open_any(path)?;
        Ok(match opened.kind {
            NodeKind::File | NodeKind::Directory => Sink::Stream(io::Output::File(File::from_session(session))),
            NodeKind::Character => Sink::Stream(io::Output::Character(client::unchecked(session), Room::default())),
            NodeKind::Console => Sink::Stream(io::Output::Console(client::unchecked(session), Room::default())),
            NodeKind::Block => Sink::Disk(Box::new(RawDisk::open(session)?)),
            NodeKind::Link | NodeKind::Pipe => return Err(Error::File(FileError::Unsupported)),
        })
    }

    /// A file that is made or emptied, or what else the path names.
    pub fn create(path: &str) -> io::Result<Sink> {
        Sink::open(path, OpenOptions::new().write(true).create(true).truncate(true))
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&File> {
        match self {
            Sink::Stream(io::Output::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Waits until all that was written is on the medium.
    pub fn sync(&mut self) -> io::Result<()> {
        match self {
            Sink::Stream(io::Output::File(file)) => file.sync_all(),
            other => other.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Standard(output) => output.write(from),
            Sink::Stream(output) => output.write(from),
            Sink::Disk(disk) => disk.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Standard(output) => output.flush(),
            Sink::Stream(output) => output.flush(),
            Sink::Disk(disk) => disk.flush(),
        }
    }
}
