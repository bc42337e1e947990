//! Virtio disk (virtio 1.2 §5.2). Serves `block`.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};
use libsys::driver::block::{BlockDevice, BlockServer, Completions, DiskName, Request, Submitted, Tag};
use libsys::driver::pci::Function;
use libsys::driver::{AttachedMemory, DmaBuffer, Env, Result};
use libsys::protocol::block::{BlockError, BlockInfo, BlockStatus, MOST_SEGMENTS, Operation};
use libsys::{ExitStatus, Memory};
use virtio::{Device, PciTransport, Queue, QueueError, Segment};

/// Bit of the channel: requests have ended.
const INTERRUPT: u64 = 1 << 0;
/// Most requests at a time, and most pieces of memory in one.
const DEPTH: u16 = 256;
const PIECES: u32 = 64;
const PAGE: u32 = 4096;

/// Features (§5.2.3).
mod feature {
    pub const MOST_PIECES: u64 = 1 << 2;
    pub const READ_ONLY: u64 = 1 << 5;
    pub const BLOCK_SIZE: u64 = 1 << 6;
    pub const FLUSH: u64 = 1 << 9;
    pub const TOPOLOGY: u64 = 1 << 10;
    pub const DISCARD: u64 = 1 << 13;
    pub const WRITE_ZEROES: u64 = 1 << 14;
    pub const ALL: u64 = MOST_PIECES | READ_ONLY | BLOCK_SIZE | FLUSH | TOPOLOGY | DISCARD | WRITE_ZEROES;
}

/// Each request has this much of the common buffer: its header, what it discards, and its status.
const SLOT_BYTES: usize = 64;
const HEADER: Piece = Piece { offset: 0, bytes: 16 };
const RANGE: Piece = Piece { offset: 16, bytes: 16 };
const STATUS: Piece = Piece { offset: 32, bytes: 1 };

struct Piece {
    offset: usize,
    bytes: u32,
}

struct Disk {
    device: Device<PciTransport>,
    queue: Queue,
    slots: DmaBuffer,
    info: BlockInfo,
    depth: usize,
    /// The request of each chain on its way.
    tags: Vec<Option<Tag>>,
    /// The data of the request that is being submitted.
    data: Vec<Segment>,
}

impl BlockDevice for Disk {
    type Buffer = AttachedMemory;

    fn start(env: &Env) -> Result<Disk> {
        let mut device = Device::open(PciTransport::new(Function::open(env)?)?, feature::ALL)?;
        let offered = u32::from_le_bytes(device.config(12));
        let pieces = if device.has(feature::MOST_PIECES) { offered.clamp(1, PIECES) } else { 1 };
        // A header and a status come with the data.
        let queue = device.queue(0, DEPTH, pieces as u16 + 2, INTERRUPT)?;
        let is_indirect = device.has(virtio::feature::INDIRECT);
        let depth = if is_indirect { queue.size().into() } else { usize::from(queue.size()) / (pieces as usize + 2) };
        let slots = device.transport().function().dma_buffer((depth.max(1) * SLOT_BYTES) as u64)?;
        let info = describe(&mut device, pieces, depth as u32);
        device.start()?;
        let tags = vec![None; queue.size().into()];
        Ok(Disk { device, queue, slots, info, depth: depth.max(1), tags, data: Vec::new() })
    }

    fn info(&self, _: u32) -> BlockInfo {
        self.info.clone()
    }

    fn depth(&self) -> usize {
        self.depth
    }

    fn lend(&mut self, memory: Memory) -> core::result::Result<AttachedMemory, BlockError> {
        self.device.transport().function().attach(memory).map_err(|_| BlockError::BadBuffer)
    }

    fn take_back(&mut self, buffer: AttachedMemory) {
        self.device.transport().function().detach(buffer);
    }

    fn submit(&mut self, tag: Tag, request: &Request<'_, AttachedMemory>) -> Submitted {
        let kind: u32 = match request.operation {
            Operation::Read => 0,
            Operation::Write => 1,
            Operation::Flush => 4,
            Operation::Discard => 11,
            Operation::WriteZeroes => 13,
        };
        let at = tag.number() * SLOT_BYTES;
        let has_range = matches!(request.operation, Operation::Discard | Operation::WriteZeroes);
        let sector = if request.operation.has_data() { request.sector } else { 0 };
        self.slots.word_u64(at).store(kind.into(), Ordering::Relaxed);
        self.slots.word_u64(at + 8).store(sector, Ordering::Relaxed);
        self.slots.word_u64(at + RANGE.offset).store(request.sector, Ordering::Relaxed);
        self.slots.word_u64(at + RANGE.offset + 8).store(request.sectors.into(), Ordering::Relaxed);
        // Until the device says something.
        self.slots.store_u8(at + STATUS.offset, u8::MAX);
        let own = |piece: Piece| {
            let address = self.slots.device_address() + (at + piece.offset) as u64;
            Segment { address, bytes: piece.bytes }
        };
        self.data.clear();
        let pieces = request.segments().flat_map(|(memory, offset, bytes)| memory.pieces(offset, bytes));
        self.data.extend(pieces.map(|piece| Segment { address: piece.address, bytes: piece.bytes as u32 }));
        let data = &self.data;
        let range = has_range.then(|| own(RANGE));
        let is_read = request.operation == Operation::Read;
        let (out, back) = if is_read { (&[][..], &data[..]) } else { (&data[..], &[][..]) };
        let readable = [own(HEADER)].into_iter().chain(range).chain(out.iter().copied());
        let writable = back.iter().copied().chain([own(STATUS)]);
        match self.queue.submit(readable, writable) {
            Ok(chain) => {
                self.tags[usize::from(chain)] = Some(tag);
                Submitted::Started
            }
            Err(QueueError::Full) => Submitted::Busy,
            Err(QueueError::BadChain) => Submitted::Ended(BlockStatus::BadBuffer),
            Err(error) => give_up(error),
        }
    }

    fn commit(&mut self) {
        self.device.publish(&mut self.queue);
    }

    fn interrupt(&mut self, _: u64, completions: &mut Completions) {
        self.device.acknowledge();
        loop {
            while let Some(done) = self.queue.next_completed().unwrap_or_else(|error| give_up(error)) {
                let Some(tag) = self.tags[usize::from(done.chain)].take() else { continue };
                fence(Ordering::Acquire);
                let status = match self.slots.load_u8(tag.number() * SLOT_BYTES + STATUS.offset) {
                    0 => BlockStatus::Done,
                    2 => BlockStatus::Unsupported,
                    _ => BlockStatus::Device,
                };
                completions.end(tag, status);
            }
            if !self.queue.arm() {
                return;
            }
        }
    }
}

/// What the device says of itself.
fn describe(device: &mut Device<PciTransport>, pieces: u32, depth: u32) -> BlockInfo {
    let word = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
    let stated = if device.has(feature::BLOCK_SIZE) { word(device.config(20)) } else { 512 };
    let logical = if stated.is_power_of_two() && (512..=PAGE).contains(&stated) { stated } else { 512 };
    let [exponent] = if device.has(feature::TOPOLOGY) { device.config(24) } else { [0] };
    let most_segments = pieces.min(MOST_SEGMENTS as u32);
    BlockInfo {
        name: DiskName::Lettered(String::from("vd")),
        model: String::from("virtio"),
        serial: String::new(),
        sectors: u64::from_le_bytes(device.config(0)) / u64::from(logical / 512) * u64::from(logical / 512),
        logical_block_bytes: logical,
        physical_block_bytes: logical << exponent.min(8),
        read_only: device.has(feature::READ_ONLY),
        flush: device.has(feature::FLUSH),
        fua: false,
        discard: device.has(feature::DISCARD),
        write_zeroes: device.has(feature::WRITE_ZEROES),
        // Each segment may begin and end within a page, and each page lie elsewhere.
        most_bytes: (pieces - most_segments).max(1) * PAGE,
        most_segments,
        queue_depth: depth.max(1),
        units: 1,
    }
}

/// The device says what cannot be: the next incarnation resets it.
fn give_up(error: QueueError) -> ! {
    libsys::error!("the device's queue: {error:?}");
    libsys::exit(ExitStatus::FAILURE)
}

libsys::serve!(BlockServer<Disk>);
