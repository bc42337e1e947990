//! The file behind the disk: data goes through a buffer that is lent to the file's server.

use libsys::client::{self, CallError};
use libsys::driver::{Env, Result};
use libsys::protocol::FileClient;
use libsys::protocol::file::incarnation_of;
use libsys::protocol::filesystem::{FileError, NodeKind};
use libsys::{Memory, WritableMapping};

/// Bytes of the buffer, and so the most that one call moves.
const BUFFER_BYTES: u32 = 256 << 10;

/// How often the server may die in one call: more often than any does.
const DEATHS: usize = 1 << 16;

/// How often it may deny a buffer that it was lent.
const DENIALS: usize = 4;

type Done<T> = core::result::Result<T, FileError>;
type Called<T> = core::result::Result<T, CallError<FileError>>;

/// An open, locked file.
pub struct Backing {
    file: FileClient,
    bytes: u64,
    memory: Memory,
    buffer: WritableMapping,
    /// Its number at the file's server.
    lent: Option<u32>,
    /// The file became shorter than it was.
    is_shorter: bool,
}

impl Backing {
    /// The file that the session `device` is of. Where it cannot be a disk the server ends, and its exit status says why.
    pub fn open(env: &Env, read_only: bool) -> Result<Backing> {
        let file: FileClient = client::unchecked(env.take_session("device")?);
        let status = again(|| file.status()).unwrap_or_else(|error| end(env, error));
        if status.kind != NodeKind::File {
            end(env, FileError::Unsupported);
        }
        match again(|| file.lock(!read_only, false)) {
            Ok(()) => {}
            Err(FileError::WouldBlock) => end(env, FileError::Busy),
            Err(error) => end(env, error),
        }
        let memory = Memory::create(env.account(), BUFFER_BYTES.into())?;
        let buffer = memory.map_writable()?;
        Ok(Backing { file, bytes: status.size, memory, buffer, lent: None, is_shorter: false })
    }

    /// How long it was at the start.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Error: the file is not as long as it was. A write would fill what is gone with zeros, and it would read as good.
    pub fn check_length(&mut self) -> Done<()> {
        if !self.is_shorter {
            self.is_shorter = again(|| self.file.status())?.size < self.bytes;
        }
        if self.is_shorter { Err(FileError::Corrupt) } else { Ok(()) }
    }

    /// Reads into Memory that a client lent, from its byte `at` on.
    pub fn read(&mut self, offset: u64, into: &WritableMapping, at: u64, bytes: u32) -> Done<()> {
        let mut done = 0;
        while done < bytes {
            let part = (bytes - done).min(BUFFER_BYTES);
            let from = offset + u64::from(done);
            let count = self.with_buffer(|file, buffer| file.read(from, part, buffer, 0))?.min(part);
            if count == 0 {
                self.is_shorter = true;
            }
            if self.is_shorter {
                return Err(FileError::Corrupt);
            }
            into.copy_from((at + u64::from(done)) as usize, &self.buffer, 0, count as usize);
            done += count;
        }
        Ok(())
    }

    /// Writes from Memory that a client lent.
    pub fn write(&mut self, offset: u64, from: &WritableMapping, at: u64, bytes: u32) -> Done<()> {
        let mut done = 0;
        while done < bytes {
            let part = (bytes - done).min(BUFFER_BYTES);
            self.buffer.copy_from(0, from, (at + u64::from(done)) as usize, part as usize);
            let to = offset + u64::from(done);
            let count = self.with_buffer(|file, buffer| file.write(to, part, buffer, 0))?.min(part);
            if count == 0 {
                return Err(FileError::NoSpace);
            }
            done += count;
        }
        Ok(())
    }

    /// Waits until what was written is on the medium.
    pub fn flush(&mut self) -> Done<()> {
        again(|| self.file.sync(true))
    }

    /// Calls with the buffer's number; a server that does not know it, as it was started anew, is lent it again.
    fn with_buffer(&mut self, call: impl Fn(&FileClient, u32) -> Called<u32>) -> Done<u32> {
        let (mut denied, mut denials) = (None, 0);
        while denials < DENIALS {
            let number = match self.lent {
                Some(number) => number,
                None => again(|| self.file.lend(&self.memory))?,
            };
            self.lent = Some(number);
            // It was lent that one in this incarnation, and denies it.
            denials += usize::from(denied == Some(incarnation_of(number)));
            match again(|| call(&self.file, number)) {
                Err(FileError::NotLent) => (self.lent, denied) = (None, Some(incarnation_of(number))),
                result => return result,
            }
        }
        Err(FileError::NotLent)
    }
}

/// Calls until the server does not die in the call. Done twice, each of these calls is as good as once: bytes at an offset, while the lock keeps other disks away.
fn again<T>(call: impl Fn() -> Called<T>) -> Done<T> {
    for _ in 0..DEATHS {
        match call() {
            Ok(value) => return Ok(value),
            Err(CallError::Failed(error)) => return Err(error),
            Err(CallError::PeerDied | CallError::Abandoned) => {}
            Err(error) => {
                libsys::error!("the file: {error}");
                return Err(FileError::Device);
            }
        }
    }
    Err(FileError::Device)
}

/// Ends the server, with the status that says why.
fn end(env: &Env, error: FileError) -> ! {
    libsys::error!("{}: {error}", env.parameter("path").unwrap_or_default());
    libsys::exit(error.exit_status())
}
