//! `block`: a device, or a part of one, that is read and written in sectors of 512 bytes. Drivers serve it, and so does
//! the server `block` for its disks and partitions: what is said here holds for both.
//!
//! No data and no requests travel in calls. The client shares a queue of two rings with the server
//! ([`crate::block::ring`]) and lends it Memory; requests name ranges of that Memory, and the device moves the data. Most clients
//! use [`crate::block::Disk`], which does all of it, recovery included; most drivers [`crate::driver::block`].
//!
//! # Order
//!
//! Requests may be carried out in any order, but of two writes that overlap the earlier one comes first, and they
//! are never in flight together: a disk of `block` sees to that; a client that talks to a driver itself has to. A flush is answered when every write that was
//! answered before it came is on the medium; a write with [`Flags::FUA`] when its data is.
//!
//! # When the server dies
//!
//! The client has the truth of what is outstanding. It hears of the death ([`super::Registry::watch`]), attaches its queue anew, lends its
//! Memory again, and submits again what was not answered, in the same order. A driver has reset its device before it answers
//! the first call, so nothing old is in flight then.

use crate::service::{Context, Reply};
use crate::wire::Shared;
use crate::{Channel, Memory, Session};
use alloc::string::String;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// Bytes of a sector: the unit of all addresses, whatever the device's own blocks are.
pub const SECTOR_BYTES: u64 = 512;

/// A block device.
#[protocol]
pub trait Block {
    /// What the device is and can do.
    ///
    /// Rights: any session. Errors: `NoSuchDisk` (it is gone). *replay*: it only reads.
    #[replay]
    fn info(&mut self, cx: &Context) -> Result<BlockInfo, BlockError>;

    /// A session to one unit of a device that has several, such as a namespace of an NVMe controller; other sessions lead to unit 0. It
    /// stays what it is when the server restarts. A disk or partition of `block` is its own unit 0.
    ///
    /// Rights: any session; what comes back can do no more than that. Errors: `OutOfRange`, `Exhausted`. *replay*: a session that was made and never
    /// delivered is closed.
    #[replay]
    fn unit(&mut self, cx: &Context, index: u32) -> Result<Session, BlockError>;

    /// Shares a queue, which the client has formatted ([`crate::block::ring`]), in place of the session's one before. It is answered when nothing of that one is
    /// in flight any more. Memory that was lent before is forgotten. `bits` of `channel` are signalled when there are completions and
    /// the client asked for that in the ring; returned are a channel and its bits, to signal when there are submissions and the server asked for it.
    ///
    /// Rights: any session; the queue's Memory with `READ`, `WRITE` and `INSPECT`; the channel with `SIGNAL` for the bits. Errors: `OutOfRange` (it is no queue),
    /// `Exhausted`, `Busy` (an attachment of this session is being answered), `NoSuchDisk`. *replay*: attached twice it is attached.
    #[replay]
    fn attach(
        &mut self,
        cx: &Context,
        queue: Shared,
        channel: Channel,
        bits: u64,
        reply: Reply<'_, Result<(Channel, u64), BlockError>>,
    );

    /// Lends Memory to the session's attachment: the number by which requests name it. Drivers may want it contiguous ([`crate::Memory::create_dma`], the
    /// safe choice) or take any.
    ///
    /// Rights: any session with a queue attached; the Memory with `READ`, `WRITE` and `INSPECT`. Errors: `NotAttached`, `Exhausted` (at most [`MOST_BUFFERS`]), `BadBuffer` (not of a
    /// kind that the device can use). *replay*: lent twice it has two numbers.
    #[replay]
    fn lend(&mut self, cx: &Context, memory: Memory) -> Result<u32, BlockError>;

    /// Ends a loan. It is answered when no request names the Memory any more, and the device cannot reach it.
    ///
    /// Rights: as [`Block::lend`]. Errors: `BadBuffer` (there is none of this number), `NotAttached`. *replay*: a number that
    /// the server does not know any more after a restart is `BadBuffer`, which is as good.
    #[replay]
    fn take_back(&mut self, cx: &Context, buffer: u32, reply: Reply<'_, Result<(), BlockError>>);
}

/// Most buffers that one attachment may have. `block` lends its drivers what all its clients lent.
pub const MOST_BUFFERS: usize = 1024;

/// What a device is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// How its disks are named.
    pub name: DiskName,
    /// Its model, as the device says; may be empty.
    pub model: String,
    /// Its serial number, as the device says; may be empty.
    pub serial: String,
    /// Size, in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of the smallest piece that can be read or written: a power of two, at least 512. Requests are multiples of it, at multiples of it.
    pub logical_block_bytes: u32,
    /// Bytes of the piece that the medium writes best: a multiple of the logical block.
    pub physical_block_bytes: u32,
    /// Writes are refused.
    pub read_only: bool,
    /// It has a cache that forgets when the power goes, and can flush it. Without one, every write that is answered is on the medium, and a flush is answered at once.
    pub flush: bool,
    /// It honours [`Flags::FUA`].
    pub fua: bool,
    /// It can be told that sectors are not needed any more.
    pub discard: bool,
    /// It can fill sectors with zeros by itself.
    pub write_zeroes: bool,
    /// Most bytes that one read or write moves: a multiple of the logical block.
    pub most_bytes: u32,
    /// Most segments in one request, 1 to [`MOST_SEGMENTS`].
    pub most_segments: u32,
    /// Requests that it works on at a time.
    pub queue_depth: u32,
    /// Units that there are: see [`Block::unit`].
    pub units: u32,
}

/// Most segments in one request.
pub const MOST_SEGMENTS: usize = 16;

/// How a device's disks are named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskName {
    /// This name: `ram0`.
    Exact(String),
    /// This and a letter, in order of appearance: `vd` gives `vda`, `vdb`, …
    Lettered(String),
    /// This and a number, in order of appearance: `loop` gives `loop0`, …
    Numbered(String),
    /// This, the number of the controller, `n`, and the number of the unit from 1: `nvme` gives `nvme0n1`, …
    Units(String),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// Reads sectors into the segments.
    Read,
    /// Writes sectors from the segments.
    Write,
    /// Puts on the medium what was answered as written.
    Flush,
    /// Says that sectors are not needed any more: what they hold is undefined until they are written.
    Discard,
    /// Fills sectors with zeros.
    WriteZeroes,
}

impl Operation {
    /// All of them, in the order of their numbers in a ring.
    pub const ALL: [Operation; 5] =
        [Operation::Read, Operation::Write, Operation::Flush, Operation::Discard, Operation::WriteZeroes];

    /// The operation with a number.
    pub fn from_number(number: u8) -> Option<Operation> {
        Operation::ALL.get(usize::from(number)).copied()
    }

    /// Whether it changes what is on the medium.
    pub const fn is_write(self) -> bool {
        matches!(self, Operation::Write | Operation::Discard | Operation::WriteZeroes)
    }

    /// Whether it moves data through segments.
    pub const fn has_data(self) -> bool {
        matches!(self, Operation::Read | Operation::Write)
    }
}

/// Bits of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags(pub u8);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);

    /// Force unit access: the write is answered when its data is on the medium.
    pub const FUA: Flags = Flags(1);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockStatus {
    /// Done.
    Done,
    /// Its sectors are beyond the end, or not whole logical blocks.
    OutOfRange,
    /// The device, the partition or the session is for reading only.
    ReadOnly,
    /// The device cannot do this.
    Unsupported,
    /// A segment names no lent Memory, or lies outside of it; or there are too many segments or bytes.
    BadBuffer,
    /// The device failed to do it: a bad sector, for one.
    Device,
    /// The disk is gone.
    Gone,
}

impl BlockStatus {
    /// All of them, in the order of their numbers in a ring.
    pub const ALL: [BlockStatus; 7] = [
        BlockStatus::Done,
        BlockStatus::OutOfRange,
        BlockStatus::ReadOnly,
        BlockStatus::Unsupported,
        BlockStatus::BadBuffer,
        BlockStatus::Device,
        BlockStatus::Gone,
    ];

    /// The status with a number.
    pub fn from_number(number: u32) -> Option<BlockStatus> {
        BlockStatus::ALL.get(number as usize).copied()
    }

    /// As a result.
    pub const fn result(self) -> Result<(), BlockStatus> {
        match self {
            BlockStatus::Done => Ok(()),
            other => Err(other),
        }
    }

    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            BlockStatus::Done => "done",
            BlockStatus::OutOfRange => "beyond the end, or not whole blocks",
            BlockStatus::ReadOnly => "read-only",
            BlockStatus::Unsupported => "the device cannot do this",
            BlockStatus::BadBuffer => "not a lent buffer",
            BlockStatus::Device => "the device failed",
            BlockStatus::Gone => "the disk is gone",
        }
    }
}

impl core::fmt::Display for BlockStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for BlockStatus {}

/// Why a call about a block device failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockError {
    /// No disk has this name, or the session's one is gone.
    NoSuchDisk,
    /// A number is too large, or the Memory is no queue.
    OutOfRange,
    /// It is for reading only.
    ReadOnly,
    /// The session may not do this.
    Denied,
    /// Somebody else writes it, or an earlier request of the same kind is not answered yet.
    Busy,
    /// The session has no queue attached.
    NotAttached,
    /// No lent Memory has this number, or it is not of a kind that the device can use.
    BadBuffer,
    /// Too many of something, or no room in an account.
    Exhausted,
    /// The device cannot do this.
    Unsupported,
    /// The device failed.
    Device,
    /// The file lies on a disk of the server that is to make a disk of it.
    Nested,
}

impl BlockError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            BlockError::NoSuchDisk => "no such disk",
            BlockError::OutOfRange => "out of range",
            BlockError::ReadOnly => "read-only",
            BlockError::Denied => "denied",
            BlockError::Busy => "in use",
            BlockError::NotAttached => "no queue is attached",
            BlockError::BadBuffer => "not a lent buffer",
            BlockError::Exhausted => "too many of them, or no memory",
            BlockError::Unsupported => "the device cannot do this",
            BlockError::Device => "the device failed",
            BlockError::Nested => "the file lies on such a disk itself",
        }
    }
}

impl core::fmt::Display for BlockError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for BlockError {}
