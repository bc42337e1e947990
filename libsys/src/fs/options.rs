//! How a file is opened.

use super::File;
use super::lookup::Walk;
use crate::Session;
use crate::client;
use crate::io::{Error, Result};
use crate::protocol::filesystem::{FileError, NodeKind, OpenFlags, OpenOptions as Request, Opened, Walked};
use alloc::sync::Arc;

/// Permission bits of a new file.
const MODE: u16 = 0o644;

/// How a file is opened: nothing is set at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    request: Request,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions::new()
    }
}

macro_rules! option {
    ($(#[$about:meta])* $name:ident, $flags:expr) => {
        $(#[$about])*
        #[inline]
        pub const fn $name(mut self, yes: bool) -> Self {
            let flags = $flags;
            self.request.flags = if yes { self.request.flags.union(flags) } else { self.request.flags.difference(flags) };
            self
        }
    };
}

impl OpenOptions {
    /// Nothing is set.
    #[inline]
    pub const fn new() -> OpenOptions {
        OpenOptions { request: Request { flags: OpenFlags::empty(), mode: MODE } }
    }

    option!(/// To read.
        read, OpenFlags::READ);
    option!(/// To write.
        write, OpenFlags::WRITE);
    option!(/// To write at the end, wherever that is then.
        append, OpenFlags::APPEND.union(OpenFlags::WRITE));
    option!(/// It is emptied. Needs [`OpenOptions::write`].
        truncate, OpenFlags::TRUNCATE);
    option!(/// It is made where it is not there.
        create, OpenFlags::CREATE);
    option!(/// It is made, and must not be there.
        create_new, OpenFlags::CREATE.union(OpenFlags::EXCLUSIVE));
    option!(/// It must be a directory.
        directory, OpenFlags::DIRECTORY);
    option!(/// A symbolic link as the last name is an error.
        no_follow, OpenFlags::NO_FOLLOW);

    /// Permission bits of a file that is made.
    #[inline]
    pub const fn mode(mut self, mode: u16) -> Self {
        self.request.mode = mode;
        self
    }

    /// Opens a file or directory. Errors: those of [`FileSystem::open`](crate::protocol::FileSystem::open); a device is not a file: see [`OpenOptions::open_any`].
    pub fn open(&self, path: &str) -> Result<File> {
        let mut walk = Walk::new(path)?;
        let request = self.request_for(path)?;
        let (opened, session, mount) = walk.run(|mount, rest| {
            let (walked, session) = mount.names.open(rest, request)?;
            Ok(match (walked, session) {
                (Walked::Here(opened), Some(session)) => Walked::Here((opened, session, Arc::clone(mount))),
                (Walked::Link((), link), _) => Walked::Link((), link),
                (Walked::Here(_), None) => return Err(FileError::Corrupt.into()),
            })
        })?;
        match opened.kind {
            NodeKind::File | NodeKind::Directory => {
                Ok(File::new(client::unchecked(session), Some(mount), request.flags))
            }
            _ => Err(Error::File(FileError::Unsupported)),
        }
    }

    /// Opens whatever is there: what it is, and a session that speaks the protocol of that kind.
    pub fn open_any(&self, path: &str) -> Result<(Opened, Session)> {
        let request = self.request_for(path)?;
        Walk::new(path)?.run(|mount, rest| {
            let (walked, session) = mount.names.open(rest, request)?;
            Ok(match (walked, session) {
                (Walked::Here(opened), Some(session)) => Walked::Here((opened, session)),
                (Walked::Link((), link), _) => Walked::Link((), link),
                (Walked::Here(_), None) => return Err(FileError::Corrupt.into()),
            })
        })
    }

    /// A path that ends with `/` means a directory.
    #[inline]
    fn request_for(&self, path: &str) -> Result<Request> {
        let mut request = self.request;
        if path.ends_with('/') {
            if request.flags.contains(OpenFlags::CREATE) {
                // Only files are made so: what is there is not one, or none is made.
                super::metadata(path)?;
                return Err(FileError::IsDirectory.into());
            }
            request.flags |= OpenFlags::DIRECTORY;
        }
        Ok(request)
    }
}
