//! A disk or partition as one long row of bytes, for programs that read or write `/dev/NAME`.

use crate::disks;
use alloc::string::String;
use libsys::block::{Buffer, Disk, DiskError};
use libsys::fs::FileError;
use libsys::io::{self, Error};
use libsys::protocol::BlockClient;
use libsys::protocol::block::{DiskName, SECTOR_BYTES};
use libsys::{Object, Rights, Session, client, env};

/// Most bytes that one call moves; whole blocks of every disk.
const PART: u64 = 128 * 1024;

/// An open disk, with a position.
#[derive(Debug)]
pub struct RawDisk {
    disk: Disk,
    buffer: Buffer,
    bytes: u64,
    position: u64,
}

/// What of a disk has to be moved for some bytes of it: whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u64,
    bytes: u64,
    /// Where the bytes begin in it, and how many they are.
    offset: u64,
    count: u64,
}

/// The blocks for at most `wanted` bytes at `position`, of a disk of `bytes`.
fn span(position: u64, wanted: u64, bytes: u64, block: u64) -> Span {
    let start = position - position % block;
    let offset = position - start;
    let count = wanted.min(bytes.saturating_sub(position)).min(PART - offset);
    Span { start, bytes: (offset + count).next_multiple_of(block), offset, count }
}

impl RawDisk {
    /// The disk behind a session from /dev.
    pub fn open(session: Session) -> io::Result<RawDisk> {
        let service = service_of(&session)?;
        let mut disk = Disk::open(session, &service, env::account()).map_err(io_error)?;
        let buffer = disk.allocate(PART, env::account()).map_err(io_error)?;
        let bytes = disk.info().sectors.saturating_mul(SECTOR_BYTES);
        Ok(RawDisk { disk, buffer, bytes, position: 0 })
    }

    fn span(&self, wanted: usize) -> Span {
        span(
            self.position,
            wanted as u64,
            self.bytes,
            u64::from(self.disk.info().logical_block_bytes).max(SECTOR_BYTES),
        )
    }

    /// Reads where it stands; 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let span = self.span(into.len());
        if span.count == 0 {
            return Ok(0);
        }
        self.fetch(span)?;
        let count = span.count as usize;
        self.buffer.copy_out(span.offset as usize, &mut into[..count]);
        self.position += span.count;
        Ok(count)
    }

    /// Writes where it stands. Blocks of which a part is written keep the rest.
    pub fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let span = self.span(from.len());
        if span.count == 0 {
            return if from.is_empty() { Ok(0) } else { Err(Error::File(FileError::NoSpace)) };
        }
        if span.bytes != span.count {
            self.fetch(span)?;
        }
        let count = span.count as usize;
        self.buffer.copy_in(span.offset as usize, &from[..count]);
        self.disk.write_at(span.start / SECTOR_BYTES, &self.buffer, 0, span.bytes).map_err(io_error)?;
        self.position += span.count;
        Ok(count)
    }

    fn fetch(&mut self, span: Span) -> io::Result<()> {
        self.disk.read_at(span.start / SECTOR_BYTES, &self.buffer, 0, span.bytes).map_err(io_error)
    }

    /// Goes forward.
    pub fn seek(&mut self, bytes: u64) -> io::Result<()> {
        self.position = self.position.checked_add(bytes).ok_or(Error::File(FileError::OutOfRange))?;
        Ok(())
    }

    /// Waits until what was written is on the medium.
    pub fn flush(&mut self) -> io::Result<()> {
        self.disk.flush().map_err(io_error)
    }
}

/// The service that a disk's session leads to: the one that knows a disk of its name.
fn service_of(session: &Session) -> io::Result<String> {
    let block: BlockClient = client::unchecked(session.duplicate(Rights::all())?);
    let gone = Error::File(FileError::NotFound);
    match block.info().map(|info| info.name) {
        Ok(DiskName::Exact(name)) => disks::service_of(&name).map(|service| service.name).map_err(|_| gone),
        _ => Err(gone),
    }
}

fn io_error(error: DiskError) -> Error {
    match error {
        DiskError::Kernel(error) => Error::Kernel(error),
        _ => Error::File(FileError::Device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_are_moved() {
        let of = |start, bytes, offset, count| Span { start, bytes, offset, count };
        assert_eq!(span(0, 512, 4096, 512), of(0, 512, 0, 512));
        assert_eq!(span(513, 2, 4096, 512), of(512, 512, 1, 2));
        assert_eq!(span(510, 4, 4096, 512), of(0, 1024, 510, 4));
        assert_eq!(span(4095, 100, 4096, 512), of(3584, 512, 511, 1));
        assert_eq!(span(4096, 100, 4096, 512).count, 0);
        assert_eq!(span(9999, 100, 4096, 512).count, 0);
        assert_eq!(span(1, PART * 2, PART * 4, 4096), of(0, PART, 1, PART - 1));
    }
}
