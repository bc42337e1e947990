//! What a program reads: its standard input, a file, a device, a disk.

use crate::raw_disk::RawDisk;
use crate::{About, Failure};
use alloc::boxed::Box;
use libsys::client;
use libsys::fs::{File, FileError, NodeKind, OpenOptions};
use libsys::io::{self, Error, Read};

/// Something to read.
#[derive(Debug)]
pub enum Input {
    /// The standard input.
    Standard(io::Stdin),
    /// A file, device or console.
    Stream(io::Input),
    /// A disk or partition.
    Disk(Box<RawDisk>),
}

/// What one read asks for, where much is read.
pub const PART: usize = 32 * 1024;

impl Input {
    /// What a path names; `-` is the standard input.
    pub fn open(path: &str) -> Result<Input, Failure> {
        if path == "-" { Ok(Input::Standard(io::stdin())) } else { Input::of_path(path).about(path) }
    }

    /// What a path names, be it `-`.
    pub fn of_path(path: &str) -> io::Result<Input> {
        let options = OpenOptions::new().read(true);
        let error = match options.open(path) {
            Ok(file) => return Ok(Input::Stream(io::Input::File(file))),
            Err(error) => error,
        };
        if error.file() != Some(FileError::Unsupported) {
            return Err(error);
        }
        let (opened, session) = options.open_any(path)?;
        Ok(match opened.kind {
            NodeKind::File | NodeKind::Directory => Input::Stream(io::Input::File(File::from_session(session))),
            NodeKind::Character => Input::Stream(io::Input::Character(client::unchecked(session))),
            NodeKind::Console => Input::Stream(io::Input::Console(client::unchecked(session))),
            NodeKind::Block => Input::Disk(Box::new(RawDisk::open(session)?)),
            NodeKind::Link | NodeKind::Pipe => return Err(Error::File(FileError::Unsupported)),
        })
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&File> {
        match self {
            Input::Stream(io::Input::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Whether it can be read on without waiting: there is more, or the end.
    pub fn is_ready(&self) -> bool {
        match self {
            Input::Stream(io::Input::File(_)) | Input::Disk(_) => true,
            Input::Stream(io::Input::Character(device)) => device.poll().is_ok_and(|readiness| readiness.readable > 0),
            _ => false,
        }
    }

    /// Goes forward without reading, where that is possible.
    pub fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        match self {
            Input::Stream(io::Input::File(file)) => {
                let bytes = i64::try_from(bytes).map_err(|_| Error::File(FileError::OutOfRange))?;
                file.seek(io::Whence::Current, bytes)?;
                Ok(true)
            }
            Input::Disk(disk) => disk.seek(bytes).map(|()| true),
            _ => Ok(false),
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Standard(input) => input.read(into),
            Input::Stream(input) => input.read(into),
            Input::Disk(disk) => disk.read(into),
        }
    }
}
