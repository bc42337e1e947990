//! A file as a disk. Serves `block`. It needs the session `device`, of an open regular file. Parameters: `path`, by which people know the file; `read-only`, `yes` where it was opened to be
//! read only.
//!
//! The file is locked, so that it is not two disks at once. What is answered was given to the file system, and is on the medium after a flush, as with any disk. The disk has as many whole sectors
//! as the file had at the start; a file that became shorter has lost data, so from then on everything fails.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod backing;

use alloc::string::String;
use backing::Backing;
use libsys::driver::block::{BlockDevice, DiskName, Request, SECTOR_BYTES, Submitted, Tag};
use libsys::driver::{BlockServer, Env, Result};
use libsys::protocol::block::{BlockError, BlockInfo, BlockStatus, MOST_SEGMENTS, Operation};
use libsys::protocol::filesystem::FileError;
use libsys::{Memory, WritableMapping};

/// Most bytes that one request moves.
const MOST_BYTES: u32 = 1 << 20;

/// Requests that it is good to send at once: it does them one after the other.
const BATCH: u32 = 32;

struct LoopDisk {
    file: Backing,
    path: String,
    sectors: u64,
    read_only: bool,
}

impl BlockDevice for LoopDisk {
    type Buffer = WritableMapping;

    fn start(env: &Env) -> Result<Self> {
        let read_only = env.parameter("read-only") == Some("yes");
        let file = Backing::open(env, read_only)?;
        let sectors = file.bytes() / SECTOR_BYTES;
        Ok(LoopDisk { file, path: env.parameter("path").unwrap_or_default().into(), sectors, read_only })
    }

    fn info(&self, _: u32) -> BlockInfo {
        BlockInfo {
            name: DiskName::Numbered("loop".into()),
            model: self.path.clone(),
            serial: String::new(),
            sectors: self.sectors,
            logical_block_bytes: SECTOR_BYTES as u32,
            physical_block_bytes: libsys::abi::PAGE_BYTES as u32,
            read_only: self.read_only,
            // The file system's cache is this disk's.
            flush: !self.read_only,
            fua: false,
            discard: false,
            write_zeroes: false,
            most_bytes: MOST_BYTES,
            most_segments: MOST_SEGMENTS as u32,
            queue_depth: BATCH,
            units: 1,
        }
    }

    fn depth(&self) -> usize {
        1
    }

    fn lend(&mut self, memory: Memory) -> core::result::Result<WritableMapping, BlockError> {
        memory.map_writable().map_err(|_| BlockError::BadBuffer)
    }

    fn submit(&mut self, _: Tag, request: &Request<'_, WritableMapping>) -> Submitted {
        Submitted::Ended(match self.perform(request) {
            Ok(()) => BlockStatus::Done,
            Err(error) => {
                libsys::error!("{}: {:?} at sector {}: {error}", self.path, request.operation, request.sector);
                BlockStatus::Device
            }
        })
    }
}

impl LoopDisk {
    fn perform(&mut self, request: &Request<'_, WritableMapping>) -> core::result::Result<(), FileError> {
        // The kit has checked that all of it is inside.
        let mut offset = request.sector * SECTOR_BYTES;
        match request.operation {
            Operation::Read => {
                for (buffer, at, bytes) in request.segments() {
                    self.file.read(offset, buffer, at, bytes)?;
                    offset += u64::from(bytes);
                }
                Ok(())
            }
            Operation::Write => {
                self.file.check_length()?;
                for (buffer, at, bytes) in request.segments() {
                    self.file.write(offset, buffer, at, bytes)?;
                    offset += u64::from(bytes);
                }
                Ok(())
            }
            Operation::Flush => self.file.flush(),
            Operation::Discard | Operation::WriteZeroes => Err(FileError::Unsupported),
        }
    }
}

libsys::serve!(BlockServer<LoopDisk>);
