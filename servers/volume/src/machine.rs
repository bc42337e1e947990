//! A disk of the machine: the client of the block server as a [`Disk`].

use crate::disk::{Buffer, Disk, DiskError, Geometry, Operation, Refused, Request};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use libsys::block::{self, Segment};
use libsys::protocol::block::{BlockStatus, Flags};
use libsys::{Memory, Object, Rights};

/// Through `libsys::block`, which keeps what is outstanding through deaths of the server and the driver.
#[derive(Debug)]
pub struct MachineDisk {
    disk: block::Disk,
    /// Its numbers of requests, and ours.
    numbers: BTreeMap<u64, u64>,
    ended: VecDeque<(u64, Result<(), DiskError>)>,
}

impl MachineDisk {
    /// A disk with a channel of its own to wait on ([`block::Disk::open`]).
    pub fn new(disk: block::Disk) -> MachineDisk {
        MachineDisk { disk, numbers: BTreeMap::new(), ended: VecDeque::new() }
    }

    fn end(&mut self, completion: block::Completion) {
        if let Some(number) = self.numbers.remove(&completion.id) {
            self.ended.push_back((number, completion.status.result().map_err(status)));
        }
    }
}

fn status(status: BlockStatus) -> DiskError {
    match status {
        BlockStatus::ReadOnly => DiskError::ReadOnly,
        BlockStatus::OutOfRange => DiskError::OutOfRange,
        BlockStatus::BadBuffer => DiskError::Exhausted,
        _ => DiskError::Device,
    }
}

impl Disk for MachineDisk {
    fn geometry(&self) -> Geometry {
        let info = self.disk.info();
        Geometry {
            sectors: info.sectors,
            block_bytes: info.logical_block_bytes,
            read_only: info.read_only,
            most_bytes: info.most_bytes,
            most_segments: info.most_segments as usize,
        }
    }

    fn lend(&mut self, memory: &Memory) -> Result<Buffer, DiskError> {
        let lent = memory.duplicate(Rights::all()).map_err(|_| DiskError::Exhausted)?;
        self.disk.lend(lent).map(Buffer).map_err(|_| DiskError::Exhausted)
    }

    fn submit(&mut self, id: u64, request: &Request) -> Result<(), Refused> {
        let operation = match request.operation {
            Operation::Read => libsys::protocol::block::Operation::Read,
            Operation::Write => libsys::protocol::block::Operation::Write,
            Operation::Flush => libsys::protocol::block::Operation::Flush,
        };
        let segments = request.segments.iter();
        let segments: Vec<Segment> = segments
            .map(|segment| Segment { buffer: segment.buffer.0, bytes: segment.bytes, offset: segment.offset })
            .collect();
        let request =
            block::Request { operation, flags: Flags::NONE, sector: request.sector, sectors: 0, segments: &segments };
        match self.disk.submit(&request) {
            Ok(number) => {
                self.numbers.insert(number, id);
                Ok(())
            }
            Err(block::DiskError::Full) => Err(Refused::Full),
            Err(block::DiskError::Failed(failed)) => Err(Refused::Failed(status(failed))),
            Err(_) => Err(Refused::Failed(DiskError::Device)),
        }
    }

    fn poll(&mut self) -> Option<(u64, Result<(), DiskError>)> {
        if self.ended.is_empty()
            && let Some(completion) = self.disk.poll()
        {
            self.end(completion);
        }
        self.ended.pop_front()
    }

    fn wait(&mut self) {
        if self.ended.is_empty()
            && let Some(completion) = self.disk.wait()
        {
            self.end(completion);
        }
    }
}
