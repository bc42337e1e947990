//! Virtio disk (virtio 1.2 §5.2). Serves `block`.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod limits;
mod requests;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use libsys::driver::block::{BlockDevice, BlockServer, Completions, DiskName, Request, Submitted, Tag};
use libsys::driver::pci::Function;
use libsys::driver::{AttachedMemory, Env, Result};
use libsys::protocol::block::{BlockError, BlockInfo, MOST_SEGMENTS, SECTOR_BYTES};
use libsys::{ExitStatus, Memory};
use limits::RangeLimits;
use requests::{Job, Requests};
use virtio::{Device, PciTransport, QueueError, Segment};

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

struct Disk {
    device: Device<PciTransport>,
    requests: Requests,
    info: BlockInfo,
    depth: usize,
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
        let slots = device.transport().function().dma_buffer(Requests::slot_bytes(depth.max(1)))?;
        let mut info = describe(&mut device, pieces, depth as u32);
        let block_sectors = info.logical_block_bytes / SECTOR_BYTES as u32;
        let discards = info.discard.then(|| RangeLimits::of_discards(&mut device, block_sectors)).flatten();
        let zeroes = info.write_zeroes.then(|| RangeLimits::of_zeroes(&mut device, block_sectors)).flatten();
        (info.discard, info.write_zeroes) = (discards.is_some(), zeroes.is_some());
        device.start()?;
        let requests = Requests::new(queue, slots, discards, zeroes);
        Ok(Disk { device, requests, info, depth: depth.max(1), data: Vec::new() })
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
        self.data.clear();
        let pieces = request.segments().flat_map(|(memory, offset, bytes)| memory.pieces(offset, bytes));
        self.data.extend(pieces.map(|piece| Segment { address: piece.address, bytes: piece.bytes as u32 }));
        let job = Job { operation: request.operation, sector: request.sector, sectors: request.sectors };
        self.requests.submit(tag, job, &self.data).unwrap_or_else(|error| give_up(error))
    }

    fn commit(&mut self) {
        self.device.publish(self.requests.queue());
    }

    fn interrupt(&mut self, _: u64, completions: &mut Completions) {
        self.device.acknowledge();
        loop {
            while let Some((tag, status)) = self.requests.next_ended().unwrap_or_else(|error| give_up(error)) {
                completions.end(tag, status);
            }
            // Parts of what is discarded in several.
            self.device.publish(self.requests.queue());
            if !self.requests.queue().arm() {
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
