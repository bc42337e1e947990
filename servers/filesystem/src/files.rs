//! The protocol `file`: open files and directories.

use crate::data::{Destination, Source};
use crate::opens::{OWN, Open};
use crate::server::FileServer;
use crate::volume::{Found, Result, Volume};
use crate::waiting::{Call, Transfer, Wanted};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libsys::abi::PAYLOAD_BYTES;
use libsys::protocol::File;
use libsys::protocol::file::{DirectoryEntry, NEXT, Whence};
use libsys::protocol::filesystem::{FileError, OpenFlags, Status, StatusChange};
use libsys::service::{Context, Reply};
use libsys::{Channel, Memory};

/// Largest size of a file, so that no sum of an offset and a length overflows.
const LARGEST: u64 = i64::MAX as u64;

/// What a directory entry takes in a message besides its name, at most.
const ENTRY_BYTES: usize = 16;

impl<V: Volume> FileServer<V> {
    /// Copies between a file and lent Memory.
    #[inline]
    pub(crate) fn transfer(&mut self, transfer: Transfer) -> Result<u32> {
        let Transfer { client, badge, offset, bytes, buffer, at, is_write } = transfer;
        let open = self.opens.get(badge).ok_or(FileError::BadSession)?;
        let mapping = self.buffers.find(client, buffer, at, bytes)?;
        if is_write {
            let mapping = Arc::clone(mapping);
            self.write_at(badge, &open, offset, &mut Source::lent(&mapping, at as usize, bytes as usize))
        } else {
            let mut destination = Destination::lent(mapping, at as usize, bytes as usize);
            let start = offset.unwrap_or_else(|| self.opens.position(badge));
            let count = read(&mut self.volume, badge, &open, start, &mut destination)?;
            if offset.is_none() && count > 0 {
                self.move_to(badge, start + u64::from(count))?;
            }
            Ok(count)
        }
    }

    #[inline]
    fn transfer_or_wait(&mut self, transfer: Transfer, reply: Reply<'_, Result<u32>>) {
        let result = self.transfer(transfer);
        self.wait_or_send(result, reply, Wanted::Transfer(transfer), Call::Count);
    }

    /// Makes an open file so long.
    pub(crate) fn truncate_to(&mut self, badge: u64, bytes: u64) -> Result<()> {
        // A session that others minted is the root.
        let open = if badge & OWN == 0 { return Err(FileError::Denied) } else { self.opens.get(badge) };
        let open = open.ok_or(FileError::BadSession)?;
        if !open.flags.contains(OpenFlags::WRITE) {
            return Err(FileError::Denied);
        }
        if bytes > LARGEST {
            return Err(FileError::TooLarge);
        }
        self.volume.truncate(open.node, bytes)?;
        self.changed(open.node);
        Ok(())
    }

    /// Writes at an offset, or where the open file stands or ends.
    fn write_at(&mut self, badge: u64, open: &Open, offset: Option<u64>, from: &mut Source<'_>) -> Result<u32> {
        if !open.flags.contains(OpenFlags::WRITE) {
            return Err(FileError::Denied);
        }
        let start = match offset {
            Some(offset) => offset,
            None if open.flags.contains(OpenFlags::APPEND) => self.volume.size(open.node)?,
            None => self.opens.position(badge),
        };
        let left = from.left();
        let end = start.checked_add(left as u64).filter(|end| *end <= LARGEST).ok_or(FileError::TooLarge)?;
        if offset.is_none() {
            // Before the data, so that it cannot fail behind it.
            self.note_position(badge, end)?;
        }
        let written = if left > 0 { self.volume.write(open.node, start, from) } else { Ok(()) };
        let count = left - from.left();
        if offset.is_none() {
            let position = if written.is_ok() { start + count as u64 } else { self.opens.position(badge) };
            if position != end {
                self.amend_position(badge, position);
            }
            self.opens.set_position(badge, position);
        }
        written?;
        self.changed(open.node);
        Ok(count as u32)
    }
}

/// Reads at an offset.
#[inline]
fn read<V: Volume>(volume: &mut V, badge: u64, open: &Open, start: u64, into: &mut Destination<'_>) -> Result<u32> {
    if !open.flags.contains(OpenFlags::READ) {
        return Err(FileError::Denied);
    }
    if open.is_directory {
        return Err(FileError::IsDirectory);
    }
    let room = into.room();
    if room > 0 && start < LARGEST {
        volume.read_open(badge, open.node, start, into)?;
    }
    Ok((room - into.room()) as u32)
}

/// An offset of the protocol: [`NEXT`] is where the open file stands.
fn place(offset: u64) -> Option<u64> {
    (offset != NEXT).then_some(offset)
}

impl<V: Volume> File for FileServer<V> {
    #[inline]
    fn read(&mut self, cx: &Context, offset: u64, bytes: u32, buffer: u32, at: u32, reply: Reply<'_, Result<u32>>) {
        let (client, badge) = (cx.client(), cx.badge());
        let offset = Some(offset);
        self.transfer_or_wait(Transfer { client, badge, offset, bytes, buffer, at, is_write: false }, reply);
    }

    fn read_next(&mut self, cx: &Context, bytes: u32, buffer: u32, at: u32, reply: Reply<'_, Result<u32>>) {
        let (client, badge) = (cx.client(), cx.badge());
        self.transfer_or_wait(Transfer { client, badge, offset: None, bytes, buffer, at, is_write: false }, reply);
    }

    fn read_inline(&mut self, cx: &Context, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let open = self.open_of(cx)?;
        let count = read(&mut self.volume, cx.badge(), &open, offset, &mut Destination::bytes(buffer))?;
        Ok(count as usize)
    }

    fn write(&mut self, cx: &Context, offset: u64, bytes: u32, buffer: u32, at: u32, reply: Reply<'_, Result<u32>>) {
        let (client, badge, offset) = (cx.client(), cx.badge(), place(offset));
        self.transfer_or_wait(Transfer { client, badge, offset, bytes, buffer, at, is_write: true }, reply);
    }

    fn write_inline(&mut self, cx: &Context, offset: u64, bytes: &[u8]) -> Result<u32> {
        let open = self.opens.get(cx.badge()).ok_or(FileError::BadSession)?;
        self.write_at(cx.badge(), &open, place(offset), &mut Source::bytes(bytes))
    }

    fn seek(&mut self, cx: &Context, from: Whence, offset: i64) -> Result<u64> {
        let open = self.opens.get(cx.badge()).ok_or(FileError::BadSession)?;
        if open.is_directory {
            return Err(FileError::IsDirectory);
        }
        let base = match from {
            Whence::Start => 0,
            Whence::Current => self.opens.position(cx.badge()),
            Whence::End => self.volume.size(open.node)?,
        };
        let position = base.checked_add_signed(offset).filter(|position| *position <= LARGEST);
        let position = position.ok_or(FileError::OutOfRange)?;
        if position != self.opens.position(cx.badge()) {
            self.move_to(cx.badge(), position)?;
        }
        Ok(position)
    }

    fn truncate(&mut self, cx: &Context, bytes: u64, reply: Reply<'_, Result<()>>) {
        let wanted = Wanted::Truncate { badge: cx.badge(), bytes };
        let result = self.attempt(wanted).map(drop);
        self.wait_or_send(result, reply, wanted, Call::Done);
    }

    fn status(&mut self, cx: &Context) -> Result<Status> {
        let open = self.open_of(cx)?;
        self.volume.status(open.node)
    }

    fn set_status(&mut self, cx: &Context, change: StatusChange) -> Result<()> {
        let open = self.open_of(cx)?;
        if open.read_only {
            return Err(FileError::ReadOnly);
        }
        self.volume.set_status(open.node, &change)
    }

    fn sync(&mut self, cx: &Context, data_only: bool, reply: Reply<'_, Result<()>>) {
        let node = match self.open_of(cx) {
            Ok(open) => Some(open.node),
            Err(error) => return reply.send(Err(error)),
        };
        let wanted = Wanted::Sync { node, data_only };
        let result = self.attempt(wanted).map(drop);
        self.wait_or_send(result, reply, wanted, Call::Done);
    }

    fn read_directory(&mut self, cx: &Context, cursor: u64) -> Result<(Vec<DirectoryEntry>, u64)> {
        let directory = self.directory(cx)?;
        // The list's length and the cursor travel as well.
        let mut room = PAYLOAD_BYTES - 32;
        let (mut entries, mut end) = (Vec::new(), cursor);
        self.volume.read_directory(directory.node, cursor, &mut |name, Found { node, kind }, behind| {
            let Some(left) = room.checked_sub(name.len() + ENTRY_BYTES) else { return false };
            (room, end) = (left, behind);
            entries.push(DirectoryEntry { name: name.to_string(), kind, id: node });
            true
        })?;
        Ok((entries, end))
    }

    fn lock(&mut self, cx: &Context, exclusive: bool, wait: bool, reply: Reply<'_, Result<()>>) {
        let wanted = Wanted::Lock { badge: cx.badge(), exclusive };
        match self.attempt(wanted).map(drop) {
            Err(FileError::WouldBlock) if !wait => reply.send(Err(FileError::WouldBlock)),
            result => self.wait_or_send(result, reply, wanted, Call::Done),
        }
        // One that was exclusive may be shared now.
        self.try_again();
    }

    fn unlock(&mut self, cx: &Context) -> Result<()> {
        let node = self.opens.get(cx.badge()).ok_or(FileError::BadSession)?.node;
        if self.drop_lock(node, cx.badge()) {
            self.try_again();
        }
        Ok(())
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<()> {
        let node = self.opens.get(cx.badge()).ok_or(FileError::BadSession)?.node;
        self.set_subscriber(node, cx.badge(), channel, bits)
    }

    fn map(&mut self, cx: &Context, offset: u64, bytes: u64) -> Result<(Memory, u64)> {
        let open = self.open_of(cx)?;
        if !open.flags.contains(OpenFlags::READ) || open.is_directory {
            return Err(FileError::Denied);
        }
        let end = offset.checked_add(bytes).ok_or(FileError::OutOfRange)?;
        if end > self.volume.size(open.node)? {
            return Err(FileError::OutOfRange);
        }
        self.volume.map(open.node, offset, bytes)
    }

    fn lend(&mut self, cx: &Context, memory: Memory) -> Result<u32> {
        self.buffers.lend(cx.client(), cx.badge(), &memory)
    }
}
