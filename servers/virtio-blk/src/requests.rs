//! Requests on their way to the device (virtio 1.2 §5.2.6): one chain of descriptors at a time for each. A discard, or a fill with zeros, that is larger than the
//! device takes goes there in parts, one after the other.

use crate::limits::RangeLimits;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{Ordering, fence};
use libsys::driver::DmaBuffer;
use libsys::driver::block::{Submitted, Tag};
use libsys::protocol::block::{BlockStatus, Operation};
use virtio::{Queue, QueueError, Segment};

/// Each request has this much of the common buffer: its header, what it discards, and its status.
const SLOT_BYTES: usize = 64;
const HEADER: Piece = Piece { offset: 0, bytes: 16 };
const RANGE: Piece = Piece { offset: 16, bytes: 16 };
const STATUS: Piece = Piece { offset: 32, bytes: 1 };

struct Piece {
    offset: usize,
    bytes: u32,
}

/// What is to be done: a request that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What.
    pub operation: Operation,
    /// First sector, of 512 bytes.
    pub sector: u64,
    /// Sectors.
    pub sectors: u32,
}

/// What of a discard or a fill with zeros the device was not told yet.
#[derive(Clone, Debug)]
struct Rest {
    operation: Operation,
    limits: RangeLimits,
    sectors: Range<u64>,
}

/// All requests that the device works on.
#[derive(Debug)]
pub struct Requests {
    queue: Queue,
    slots: DmaBuffer,
    discards: Option<RangeLimits>,
    zeroes: Option<RangeLimits>,
    /// The request of each chain on its way.
    tags: Vec<Option<Tag>>,
    /// By tag.
    rests: Vec<Option<Rest>>,
}

impl Requests {
    /// Bytes of memory for so many requests at a time.
    pub const fn slot_bytes(depth: usize) -> u64 {
        (depth * SLOT_BYTES) as u64
    }

    /// None on their way; `slots` is memory of [`Requests::slot_bytes`], the limits are `None` where the device cannot do it.
    pub fn new(queue: Queue, slots: DmaBuffer, discards: Option<RangeLimits>, zeroes: Option<RangeLimits>) -> Requests {
        let (tags, rests) = (vec![None; queue.size().into()], vec![None; slots.bytes() / SLOT_BYTES]);
        Requests { queue, slots, discards, zeroes, tags, rests }
    }

    /// The queue that they travel in.
    pub fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Submits a request; `data` is where the device finds what it reads or writes. The tag is below the depth, and no other request on its way has
    /// it. Error: `Broken`.
    pub fn submit(&mut self, tag: Tag, job: Job, data: &[Segment]) -> Result<Submitted, QueueError> {
        let limits = match job.operation {
            Operation::Discard => self.discards,
            Operation::WriteZeroes => self.zeroes,
            Operation::Read | Operation::Write | Operation::Flush => {
                let sector = if job.operation.has_data() { job.sector } else { 0 };
                self.write_header(tag, job.operation, sector);
                return self.send(tag, job.operation, data);
            }
        };
        let Some(limits) = limits else { return Ok(Submitted::Ended(BlockStatus::Unsupported)) };
        let sectors = job.sector..job.sector.saturating_add(job.sectors.into());
        let mut rest = Rest { operation: job.operation, limits, sectors };
        let submitted = self.send_part(tag, &mut rest)?;
        if submitted == Submitted::Started {
            self.rests[tag.number()] = Some(rest).filter(|rest| !rest.sectors.is_empty());
        }
        Ok(submitted)
    }

    /// Sends the next part of what is to be discarded or filled.
    fn send_part(&mut self, tag: Tag, rest: &mut Rest) -> Result<Submitted, QueueError> {
        let part = rest.limits.take_from(&mut rest.sectors);
        let at = tag.number() * SLOT_BYTES + RANGE.offset;
        self.write_header(tag, rest.operation, 0);
        self.slots.word_u64(at).store(part.start, Ordering::Relaxed);
        // No flags: in particular, zeros stay allocated.
        self.slots.word_u64(at + 8).store(part.end - part.start, Ordering::Relaxed);
        let range = self.piece(tag, RANGE);
        self.send(tag, rest.operation, &[range])
    }

    fn write_header(&self, tag: Tag, operation: Operation, sector: u64) {
        let kind: u64 = match operation {
            Operation::Read => 0,
            Operation::Write => 1,
            Operation::Flush => 4,
            Operation::Discard => 11,
            Operation::WriteZeroes => 13,
        };
        let at = tag.number() * SLOT_BYTES;
        self.slots.word_u64(at).store(kind, Ordering::Relaxed);
        self.slots.word_u64(at + 8).store(sector, Ordering::Relaxed);
    }

    fn piece(&self, tag: Tag, piece: Piece) -> Segment {
        let offset = tag.number() * SLOT_BYTES + piece.offset;
        Segment { address: self.slots.device_address() + offset as u64, bytes: piece.bytes }
    }

    /// Sends a request whose header is written; the device writes to `data` if it is to read, and reads it otherwise.
    fn send(&mut self, tag: Tag, operation: Operation, data: &[Segment]) -> Result<Submitted, QueueError> {
        // Until the device says something.
        self.slots.store_u8(tag.number() * SLOT_BYTES + STATUS.offset, u8::MAX);
        let (out, back) = if operation == Operation::Read { (&[][..], data) } else { (data, &[][..]) };
        let readable = [self.piece(tag, HEADER)].into_iter().chain(out.iter().copied());
        let writable = back.iter().copied().chain([self.piece(tag, STATUS)]);
        match self.queue.submit(readable, writable) {
            Ok(chain) => {
                self.tags[usize::from(chain)] = Some(tag);
                Ok(Submitted::Started)
            }
            Err(QueueError::Full) => Ok(Submitted::Busy),
            Err(QueueError::BadChain) => Ok(Submitted::Ended(BlockStatus::BadBuffer)),
            Err(error) => Err(error),
        }
    }

    /// The next request that has ended. The parts of others may have been submitted meanwhile, and are to be published. Error: `Broken`.
    pub fn next_ended(&mut self) -> Result<Option<(Tag, BlockStatus)>, QueueError> {
        while let Some(done) = self.queue.next_completed()? {
            let Some(tag) = self.tags[usize::from(done.chain)].take() else { continue };
            fence(Ordering::Acquire);
            let status = match self.slots.load_u8(tag.number() * SLOT_BYTES + STATUS.offset) {
                0 => BlockStatus::Done,
                2 => BlockStatus::Unsupported,
                _ => BlockStatus::Device,
            };
            match self.rests[tag.number()].take() {
                Some(rest) if status == BlockStatus::Done => {
                    if let Some(ended) = self.go_on(tag, rest)? {
                        return Ok(Some((tag, ended)));
                    }
                }
                _ => return Ok(Some((tag, status))),
            }
        }
        Ok(None)
    }

    /// A part was done, and there are more. How the request ended, if it did.
    fn go_on(&mut self, tag: Tag, mut rest: Rest) -> Result<Option<BlockStatus>, QueueError> {
        match self.send_part(tag, &mut rest)? {
            Submitted::Started => {
                self.rests[tag.number()] = Some(rest).filter(|rest| !rest.sectors.is_empty());
                Ok(None)
            }
            Submitted::Ended(status) => Ok(Some(status)),
            // The part before took as many descriptors, which are free again.
            Submitted::Busy => Ok(Some(BlockStatus::Device)),
        }
    }
}
