//! Open files.

use super::mounts::{BUFFER_BYTES, Buffer, Lent, Mount, session_of};
use super::{Metadata, OpenOptions};
use crate::client::{self, CallError, Complaint};
use crate::io::{Error, Read, Result, Seek, Whence, Write};
use crate::protocol::file::{NEXT, incarnation_of};
use crate::protocol::filesystem::{FileError, OpenFlags, StatusChange};
use crate::protocol::{self, FileClient};
use crate::{Account, Channel, Memory, Session};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// The position is the server's, as others may share it.
const SHARED: u64 = u64::MAX;

/// Most bytes of data in one message: what is left of it besides its own fields.
const INLINE_BYTES: usize = 3072;

/// How often a server may deny a buffer that it was lent, in one call, until it is believed.
const DENIALS: u32 = 8;

/// How often it may have been started anew meanwhile: more often than any does.
const LENDS: u32 = 1 << 16;

/// Whether the server found fault with the buffer: it was not lent, or is not as large as it is.
#[inline]
fn is_about_buffer<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::File(FileError::NotLent | FileError::OutOfRange)))
}

/// An open file, or a directory of which only [`File::metadata`] and the like make sense. Threads can share it: reads and writes are calls of their own, and only the position is common.
#[derive(Debug)]
pub struct File {
    client: FileClient,
    /// The file system it is of; `None` for a file that the process was given open.
    mount: Option<Arc<Mount>>,
    lent: Lent,
    /// Where the next read or write is, as long as only this process can move it; or [`SHARED`].
    position: AtomicU64,
}

impl File {
    pub(super) fn new(client: FileClient, mount: Option<Arc<Mount>>, flags: OpenFlags) -> File {
        // Where a file that is appended to stands after a write only its server knows.
        let position = if flags.contains(OpenFlags::APPEND) { SHARED } else { 0 };
        File { client, mount, lent: Lent::default(), position: AtomicU64::new(position) }
    }

    /// A file that the process was given open.
    pub fn from_session(session: Session) -> File {
        File {
            client: client::unchecked(session),
            mount: None,
            lent: Lent::default(),
            position: AtomicU64::new(SHARED),
        }
    }

    /// Opens a file to read.
    #[inline]
    pub fn open(path: &str) -> Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// Makes or empties a file, to write.
    pub fn create(path: &str) -> Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file that must not be there, to read and write.
    pub fn create_new(path: &str) -> Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Nothing is set.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// The session, to be given to another process, which then shares the position.
    pub fn share(&self) -> Result<&Session> {
        let position = self.position.load(Ordering::Relaxed);
        if position != SHARED {
            self.client.seek(Whence::Start, position as i64)?;
            self.position.store(SHARED, Ordering::Relaxed);
        }
        Ok(session_of(&self.client))
    }

    /// Reads where the file stands: how many bytes; 0 at its end.
    #[inline]
    pub fn read(&self, into: &mut [u8]) -> Result<usize> {
        match self.position.load(Ordering::Relaxed) {
            SHARED => self.fetch(None, into),
            position => {
                let count = self.fetch(Some(position), into)?;
                self.position.store(position + count as u64, Ordering::Relaxed);
                Ok(count)
            }
        }
    }

    /// Reads at an offset: how many bytes; 0 at the end and behind it. The position stays.
    #[inline]
    pub fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        self.fetch(Some(offset), into)
    }

    /// Writes where the file stands, or at its end: how many bytes.
    #[inline]
    pub fn write(&self, from: &[u8]) -> Result<usize> {
        match self.position.load(Ordering::Relaxed) {
            SHARED => self.put(NEXT, from),
            position => {
                let count = self.put(position, from)?;
                self.position.store(position + count as u64, Ordering::Relaxed);
                Ok(count)
            }
        }
    }

    /// Writes at an offset: how many bytes. The position stays.
    pub fn write_at(&self, from: &[u8], offset: u64) -> Result<usize> {
        if offset == NEXT {
            return Err(FileError::TooLarge.into());
        }
        self.put(offset, from)
    }

    /// Moves at most `bytes` from where this file stands to where another stands, or to its end: how many; 0 at the end of this one. Data goes through the buffer that both file
    /// systems were lent, and is not touched on its way.
    pub fn send_to(&self, to: &File, bytes: usize) -> Result<usize> {
        let held = crate::env::get().files.buffer();
        let Some(buffer) = held.as_ref().and_then(|held| held.get()) else {
            let mut part = [0; INLINE_BYTES];
            let count = self.fetch_next_inline(&mut part[..bytes.min(INLINE_BYTES)])?;
            to.put_all(count, |position, done| Ok(to.client.write_inline(position, &part[done..count])?))?;
            return Ok(count);
        };
        let bytes = bytes.min(BUFFER_BYTES) as u32;
        let position = self.position.load(Ordering::Relaxed);
        let count = self.with_lent(buffer, |number| match position {
            SHARED => self.client.read_next(bytes, number, 0),
            position => self.client.read(position, bytes, number, 0),
        })?;
        let count = count.min(bytes) as usize;
        self.advance(count);
        to.put_all(count, |position, done| {
            let (left, at) = ((count - done) as u32, done as u32);
            to.with_lent(buffer, |number| to.client.write(position, left, number, at))
        })?;
        Ok(count)
    }

    /// Writes `count` bytes where the file stands, in as many calls as that takes: `write` gets the offset, and how many are written already.
    fn put_all(&self, count: usize, write: impl Fn(u64, usize) -> Result<u32>) -> Result<()> {
        let mut done = 0;
        while done < count {
            let position = match self.position.load(Ordering::Relaxed) {
                SHARED => NEXT,
                position => position,
            };
            let written = (write(position, done)? as usize).min(count - done);
            if written == 0 {
                return Err(FileError::NoSpace.into());
            }
            self.advance(written);
            done += written;
        }
        Ok(())
    }

    /// Reads where the file stands, without the buffer.
    fn fetch_next_inline(&self, into: &mut [u8]) -> Result<usize> {
        let position = self.position.load(Ordering::Relaxed);
        let count = self.fetch_inline((position != SHARED).then_some(position), into)?;
        self.advance(count);
        Ok(count)
    }

    /// Moves a position that is this process's own.
    fn advance(&self, bytes: usize) {
        let position = self.position.load(Ordering::Relaxed);
        if position != SHARED {
            self.position.store(position + bytes as u64, Ordering::Relaxed);
        }
    }

    fn fetch(&self, offset: Option<u64>, into: &mut [u8]) -> Result<usize> {
        let bytes = into.len().min(BUFFER_BYTES);
        let held = crate::env::get().files.buffer();
        let Some(buffer) = held.as_ref().and_then(|held| held.get()) else {
            return self.fetch_inline(offset, into);
        };
        let count = self.with_lent(buffer, |number| match offset {
            Some(offset) => self.client.read(offset, bytes as u32, number, 0),
            None => self.client.read_next(bytes as u32, number, 0),
        })?;
        let count = (count as usize).min(bytes);
        buffer.mapping.copy_out(0, &mut into[..count]);
        Ok(count)
    }

    /// Without the buffer, which another thread uses or nobody pays for.
    #[cold]
    fn fetch_inline(&self, offset: Option<u64>, into: &mut [u8]) -> Result<usize> {
        let bytes = into.len().min(INLINE_BYTES);
        let start = match offset {
            Some(offset) => offset,
            None => self.client.seek(Whence::Current, 0)?,
        };
        let count = self.client.read_inline(start, &mut into[..bytes])?;
        if offset.is_none() {
            self.client.seek(Whence::Start, (start + count as u64) as i64)?;
        }
        Ok(count)
    }

    #[inline]
    fn put(&self, offset: u64, from: &[u8]) -> Result<usize> {
        let bytes = from.len().min(BUFFER_BYTES);
        let held = crate::env::get().files.buffer();
        let count = match held.as_ref().and_then(|held| held.get()) {
            Some(buffer) => {
                buffer.mapping.copy_in(0, &from[..bytes]);
                self.with_lent(buffer, |number| self.client.write(offset, bytes as u32, number, 0))?
            }
            None => self.client.write_inline(offset, &from[..bytes.min(INLINE_BYTES)])?,
        };
        Ok((count as usize).min(bytes))
    }

    /// Calls with the buffer's number; a server that does not know it, as it was started anew, is lent it again, and one that says so of a buffer that it was lent itself is not
    /// [believed](crate::client::ask_again).
    #[inline]
    fn with_lent(
        &self,
        buffer: &Buffer,
        call: impl Fn(u32) -> core::result::Result<u32, CallError<FileError>>,
    ) -> Result<u32> {
        let number = self.lent(buffer);
        let result = number.and_then(|number| Ok(call(number)?));
        if is_about_buffer(&result) { self.lend_again(buffer, number, result, &call) } else { result }
    }

    /// Lends the buffer again until the server does not deny it. Who dies over and over may not know it however often that is done; but one that gives it a number of the same incarnation, and knew
    /// it all the time, is complained of when it denies it again.
    #[cold]
    fn lend_again(
        &self,
        buffer: &Buffer,
        mut number: Result<u32>,
        mut result: Result<u32>,
        call: &dyn Fn(u32) -> core::result::Result<u32, CallError<FileError>>,
    ) -> Result<u32> {
        let mut denials = 0;
        for _ in 0..LENDS {
            if !is_about_buffer(&result) || denials == DENIALS {
                break;
            }
            match &self.mount {
                Some(mount) => mount.forget_lent(),
                None => self.lent.forget(),
            }
            let again = self.lent(buffer);
            let is_another =
                matches!((number, again), (Ok(before), Ok(now)) if incarnation_of(before) != incarnation_of(now));
            if !is_another {
                self.doubt(denials);
                denials += 1;
            }
            number = again;
            result = number.and_then(|number| Ok(call(number)?));
        }
        result
    }

    /// Complains of a server that has denied the buffer so many times before: it was told it, and what is asked for is inside of it.
    fn doubt(&self, denials: u32) {
        if denials > 0
            && let Some(method) = <dyn protocol::File>::METHODS.iter().find(|method| method.name == "lend")
        {
            client::ask_again(&Complaint { session: session_of(&self.client), method, bad_replies: denials });
        }
    }

    #[inline]
    fn lent(&self, buffer: &Buffer) -> Result<u32> {
        match &self.mount {
            Some(mount) => mount.lent(buffer),
            None => self.lent.number(buffer, &self.client),
        }
    }

    /// Moves the position; where it is then.
    pub fn seek(&self, from: Whence, offset: i64) -> Result<u64> {
        let position = self.position.load(Ordering::Relaxed);
        if position == SHARED {
            return Ok(self.client.seek(from, offset)?);
        }
        let base = match from {
            Whence::Start => 0,
            Whence::Current => position,
            Whence::End => self.client.status()?.size,
        };
        let position = base.checked_add_signed(offset).filter(|position| *position <= i64::MAX as u64);
        let position = position.ok_or(Error::File(FileError::OutOfRange))?;
        self.position.store(position, Ordering::Relaxed);
        Ok(position)
    }

    /// Makes the file so long.
    pub fn set_len(&self, bytes: u64) -> Result<()> {
        Ok(self.client.truncate(bytes)?)
    }

    /// What is known about it.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(Metadata::new(self.client.status()?))
    }

    /// Changes permission bits or times.
    pub fn change(&self, change: StatusChange) -> Result<()> {
        Ok(self.client.set_status(change)?)
    }

    /// Waits until all that was written is on the medium.
    pub fn sync_all(&self) -> Result<()> {
        Ok(self.client.sync(false)?)
    }

    /// The same, without what only [`File::metadata`] shows.
    pub fn sync_data(&self) -> Result<()> {
        Ok(self.client.sync(true)?)
    }

    /// Waits for the exclusive lock of the file.
    pub fn lock(&self) -> Result<()> {
        Ok(self.client.lock(true, true)?)
    }

    /// Waits for a lock that readers share.
    pub fn lock_shared(&self) -> Result<()> {
        Ok(self.client.lock(false, true)?)
    }

    /// Takes a lock if that is possible now.
    pub fn try_lock(&self, exclusive: bool) -> Result<bool> {
        match self.client.lock(exclusive, false) {
            Err(CallError::Failed(FileError::WouldBlock)) => Ok(false),
            result => Ok(result.map(|()| true)?),
        }
    }

    /// Lets go of the lock.
    pub fn unlock(&self) -> Result<()> {
        Ok(self.client.unlock()?)
    }

    /// Signals bits of a channel whenever the file is changed by anybody; bits of 0 end it.
    pub fn notify(&self, channel: &Channel, bits: u64) -> Result<()> {
        Ok(self.client.notify(channel, bits)?)
    }

    /// Read-only Memory with a range of the file, and where in it the range starts: that of the file system, which has nothing copied and is sealed, or else a sealed copy that `account` pays for. What is
    /// written to the file later is not seen in it. Errors: `OutOfRange` (it goes beyond the end), `Exhausted`, and those of reading.
    pub fn map(&self, offset: u64, bytes: u64, account: &Account) -> Result<(Memory, u64)> {
        match self.map_in_place(offset, bytes) {
            Err(Error::File(FileError::Unsupported)) => Ok((self.copy_range(offset, bytes, account)?, 0)),
            mapped => mapped,
        }
    }

    /// The same where nothing has to be copied. Error: `Unsupported`, where it has to be read.
    pub fn map_in_place(&self, offset: u64, bytes: u64) -> Result<(Memory, u64)> {
        Ok(self.client.map(offset, bytes)?)
    }

    /// Sealed Memory with a copy of a range.
    fn copy_range(&self, offset: u64, bytes: u64, account: &Account) -> Result<Memory> {
        let end = offset.checked_add(bytes).ok_or(FileError::OutOfRange)?;
        if end > self.metadata()?.len() {
            return Err(FileError::OutOfRange.into());
        }
        let memory = Memory::create(account, bytes.max(1)).map_err(|_| FileError::Exhausted)?;
        let mapping = memory.map_writable().map_err(|_| FileError::Exhausted)?;
        let mut part = Vec::new();
        part.try_reserve_exact(BUFFER_BYTES).map_err(|_| FileError::Exhausted)?;
        part.resize(BUFFER_BYTES.min(bytes as usize), 0);
        let mut done = 0;
        while done < bytes {
            let wanted = part.len().min((bytes - done) as usize);
            match self.read_at(&mut part[..wanted], offset + done)? {
                // It was cut off meanwhile.
                0 => return Err(FileError::OutOfRange.into()),
                count => {
                    mapping.copy_in(done as usize, &part[..count]);
                    done += count as u64;
                }
            }
        }
        drop(mapping);
        memory.seal()?;
        Ok(memory)
    }

    /// The client of the protocol.
    pub fn client(&self) -> &FileClient {
        &self.client
    }
}

impl Read for File {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        File::read(self, into)
    }
}

impl Read for &File {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        File::read(self, into)
    }
}

impl Write for File {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        File::write(self, from)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Write for &File {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        File::write(self, from)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, from: Whence, offset: i64) -> Result<u64> {
        File::seek(self, from, offset)
    }
}
