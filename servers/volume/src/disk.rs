//! The disk that a volume lies on: requests are submitted and completed asynchronously, and name ranges of Memory that was lent before.
//!
//! What implements [`Disk`]: the client of the block server on the machine, [`crate::testing::FileDisk`] in tests.

use alloc::vec::Vec;
use libsys::Memory;

/// Bytes of a sector, the unit of addresses on a disk.
pub const SECTOR_BYTES: u64 = 512;

/// What a disk is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Its size in sectors.
    pub sectors: u64,
    /// Bytes of a block of the device: addresses and sizes of requests are multiples.
    pub block_bytes: u32,
    /// Nothing can be written.
    pub read_only: bool,
    /// Most bytes of one request.
    pub most_bytes: u32,
    /// Most segments of one request.
    pub most_segments: usize,
}

/// Memory that was lent to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer(pub u32);

/// A range of lent Memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The Memory.
    pub buffer: Buffer,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How much.
    pub bytes: u32,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Disk to memory.
    Read,
    /// Memory to disk.
    Write,
    /// Everything whose write was completed before gets onto the medium.
    Flush,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub operation: Operation,
    /// The first sector; 0 for a flush.
    pub sector: u64,
    /// The memory, in order.
    pub segments: Vec<Segment>,
}

impl Request {
    /// A flush.
    pub fn flush() -> Request {
        Request { operation: Operation::Flush, sector: 0, segments: Vec::new() }
    }

    /// Bytes that it moves.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.bytes)).sum()
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The device says that it could not.
    Device,
    /// The disk cannot be written.
    ReadOnly,
    /// Beyond the end, not whole blocks, or more than one request can have.
    OutOfRange,
    /// The device has no room (thin provisioning).
    NoSpace,
    /// No memory for it, here or there.
    Exhausted,
}

/// A request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full: again after a completion.
    Full,
    /// For good.
    Failed(DiskError),
}

/// A disk. Its owner never has two overlapping writes in flight.
pub trait Disk {
    /// What it is like.
    fn geometry(&self) -> Geometry;

    /// Lends Memory for requests to name, until the disk goes. Error: `Exhausted`.
    fn lend(&mut self, memory: &Memory) -> Result<Buffer, DiskError>;

    /// Starts a request; `id` comes back with its completion. Does not wait.
    fn submit(&mut self, id: u64, request: &Request) -> Result<(), Refused>;

    /// A completion, if there is one. Does not wait.
    fn poll(&mut self) -> Option<(u64, Result<(), DiskError>)>;

    /// Waits until there is a completion to [`Disk::poll`]. Returns at once when nothing is in flight.
    fn wait(&mut self);
}
