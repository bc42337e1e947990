//! Input and output: what files, pipes, consoles and devices have in common.
//!
//! [`Read`], [`Write`] and [`Seek`] are traits as those of Rust's `std::io`; [`BufReader`] and [`BufWriter`] gather small pieces; [`stdin`], [`stdout`] and [`stderr`]
//! are what the parent gave, whatever it is. Crates that read or write by the traits of `embedded-io` can do so with all of them.

mod buffered;
mod embedded;
mod stream;

pub use crate::protocol::file::Whence;
pub use buffered::{BufReader, BufWriter};
pub use stream::{Input, Output, Room, Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub(crate) use stream::{Shared, Streams};

use crate::client::CallError;
use crate::protocol::filesystem::FileError;
use crate::protocol::namespace::NamespaceError;
use crate::wire::NoError;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What input and output return.
pub type Result<T> = core::result::Result<T, Error>;

/// Why something was not read, written, opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A file system says why.
    File(FileError),
    /// The namespace says why.
    Namespace(NamespaceError),
    /// The process was given no namespace, or no stream of this name.
    NotGiven,
    /// Nobody reads the pipe any more.
    BrokenPipe,
    /// The other end of a line is gone.
    HungUp,
    /// A device refuses, or fails.
    Device,
    /// The input ended where more was wanted.
    UnexpectedEnd,
    /// The bytes are not UTF-8.
    NotText,
    /// There is no memory for it.
    NoMemory,
    /// A call to a server ended without an answer.
    Call(CallError<NoError>),
    /// A system call was refused.
    Kernel(crate::Error),
}

impl Error {
    /// What a file system says, if it is that.
    pub fn file(self) -> Option<FileError> {
        match self {
            Error::File(error) | Error::Namespace(NamespaceError::File(error)) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File(error) => error.fmt(f),
            Error::Namespace(error) => error.fmt(f),
            Error::NotGiven => f.write_str("the program was not given it"),
            Error::BrokenPipe => f.write_str("nobody reads the pipe any more"),
            Error::HungUp => f.write_str("the other end is gone"),
            Error::Device => f.write_str("the device does not do this"),
            Error::UnexpectedEnd => f.write_str("the input ends too early"),
            Error::NotText => f.write_str("not UTF-8 text"),
            Error::NoMemory => f.write_str("not enough memory"),
            Error::Call(error) => error.fmt(f),
            Error::Kernel(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl From<FileError> for Error {
    fn from(error: FileError) -> Error {
        Error::File(error)
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Error {
        Error::Kernel(error)
    }
}

/// How a call ended, without the protocol's own error.
fn without_own<E>(error: CallError<E>) -> Error {
    // There is no such error left: the callers have taken it out.
    match error {
        CallError::Failed(_) => Error::Device,
        CallError::Unsupported(method) => Error::Call(CallError::Unsupported(method)),
        CallError::Malformed => Error::Call(CallError::Malformed),
        CallError::Refused(refusal) => Error::Call(CallError::Refused(refusal)),
        CallError::Deadly => Error::Call(CallError::Deadly),
        CallError::TooLarge => Error::Call(CallError::TooLarge),
        CallError::BadReply => Error::Call(CallError::BadReply),
        CallError::NotStarted => Error::Call(CallError::NotStarted),
        CallError::Unknown => Error::Call(CallError::Unknown),
        CallError::Abandoned => Error::Call(CallError::Abandoned),
        CallError::PeerDied => Error::Call(CallError::PeerDied),
        CallError::Closed => Error::Call(CallError::Closed),
        CallError::Kernel(error) => Error::Kernel(error),
    }
}

impl From<CallError<FileError>> for Error {
    #[cold]
    fn from(error: CallError<FileError>) -> Error {
        match error {
            CallError::Failed(error) => Error::File(error),
            // Of what these calls have as arguments only paths can be that long: data goes in pieces.
            CallError::TooLarge => Error::File(FileError::NameTooLong),
            other => without_own(other),
        }
    }
}

impl From<CallError<NamespaceError>> for Error {
    #[cold]
    fn from(error: CallError<NamespaceError>) -> Error {
        match error {
            CallError::Failed(error) => Error::Namespace(error),
            other => without_own(other),
        }
    }
}

impl From<CallError<NoError>> for Error {
    #[cold]
    fn from(error: CallError<NoError>) -> Error {
        without_own(error)
    }
}

/// Where bytes come from.
pub trait Read {
    /// Reads what is there, at most what fits; waits where nothing is. 0: the end, or no room.
    fn read(&mut self, into: &mut [u8]) -> Result<usize>;

    /// Fills `into`. Error besides: `UnexpectedEnd`.
    fn read_exact(&mut self, mut into: &mut [u8]) -> Result<()> {
        while !into.is_empty() {
            match self.read(into)? {
                0 => return Err(Error::UnexpectedEnd),
                count => into = &mut into[count..],
            }
        }
        Ok(())
    }

    /// Reads up to the end, behind what is in `into`; how many. Error besides: `NoMemory`.
    fn read_to_end(&mut self, into: &mut Vec<u8>) -> Result<usize> {
        const LEAST: usize = 512;
        let start = into.len();
        loop {
            let filled = into.len();
            if into.capacity() - filled < LEAST {
                into.try_reserve(LEAST.max(filled / 2)).map_err(|_| Error::NoMemory)?;
            }
            into.resize(into.capacity(), 0);
            let count = self.read(&mut into[filled..]);
            into.truncate(filled + *count.as_ref().unwrap_or(&0));
            if count? == 0 {
                return Ok(into.len() - start);
            }
        }
    }

    /// Reads text up to the end. Errors besides: `NotText`, `NoMemory`.
    fn read_to_string(&mut self, into: &mut String) -> Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_to_end(&mut bytes)?;
        into.push_str(core::str::from_utf8(&bytes).map_err(|_| Error::NotText)?);
        Ok(count)
    }
}

/// Where bytes go.
pub trait Write {
    /// Writes some of `from`, at least one byte; waits where there is no room.
    fn write(&mut self, from: &[u8]) -> Result<usize>;

    /// Sends on what was held back.
    fn flush(&mut self) -> Result<()>;

    /// Writes all of `from`.
    fn write_all(&mut self, mut from: &[u8]) -> Result<()> {
        while !from.is_empty() {
            match self.write(from)? {
                0 => return Err(Error::File(FileError::NoSpace)),
                count => from = &from[count..],
            }
        }
        Ok(())
    }

    /// Writes formatted text: what `write!` calls.
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Result<()> {
        struct Text<'a, W: ?Sized>(&'a mut W, Result<()>);
        impl<W: Write + ?Sized> fmt::Write for Text<'_, W> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.1 = self.0.write_all(text.as_bytes());
                self.1.map_err(|_| fmt::Error)
            }
        }
        let mut writer = Text(self, Ok(()));
        let formatted = fmt::write(&mut writer, text);
        // A value that does not format itself has no other reason to give.
        writer.1.and(formatted.map_err(|_| Error::NotText))
    }
}

/// What has a position.
pub trait Seek {
    /// Moves the position; where it is then, from the start.
    fn seek(&mut self, from: Whence, offset: i64) -> Result<u64>;
}

impl Read for &[u8] {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = into.len().min(self.len());
        into[..count].copy_from_slice(&self[..count]);
        *self = &self[count..];
        Ok(count)
    }
}

impl Write for Vec<u8> {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        self.try_reserve(from.len()).map_err(|_| Error::NoMemory)?;
        self.extend_from_slice(from);
        Ok(from.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<R: Read + ?Sized> Read for &mut R {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        (**self).read(into)
    }
}

impl<W: Write + ?Sized> Write for &mut W {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        (**self).write(from)
    }

    fn flush(&mut self) -> Result<()> {
        (**self).flush()
    }
}

/// Copies everything up to the end of the input: how many bytes.
pub fn copy(from: &mut (impl Read + ?Sized), to: &mut (impl Write + ?Sized)) -> Result<u64> {
    const PART: usize = 16 * 1024;
    let mut part = Vec::new();
    part.try_reserve_exact(PART).map_err(|_| Error::NoMemory)?;
    part.resize(PART, 0);
    let mut total = 0;
    loop {
        match from.read(&mut part)? {
            0 => return Ok(total),
            count => {
                to.write_all(&part[..count])?;
                total += count as u64;
            }
        }
    }
}
