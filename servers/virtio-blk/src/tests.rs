//! Limits and requests, with a device that a test plays.

use crate::limits::RangeLimits;
use crate::requests::{Job, Requests};
use libsys::driver::block::{Submitted, Tag};
use libsys::driver::{DmaBuffer, Result};
use libsys::protocol::block::{BlockStatus, Operation};
use libsys::{WritableMapping, fake};
use virtio::{Device, Queue, QueuePlace, Segment, Transport, feature};

/// The registers of a device that is good for its configuration.
struct Played {
    status: u8,
    config: Vec<u8>,
}

impl Transport for Played {
    fn status(&mut self) -> u8 {
        self.status
    }

    fn set_status(&mut self, status: u8) {
        self.status = status;
    }

    fn reset_complete(&mut self) -> Result<()> {
        Ok(())
    }

    fn features(&mut self) -> u64 {
        feature::VERSION_1
    }

    fn set_features(&mut self, _: u64) {}

    fn most_entries(&mut self, _: u16) -> u16 {
        0
    }

    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer> {
        Ok(fake::dma_buffer(bytes)?)
    }

    fn enable_queue(&mut self, _: u16, _: QueuePlace, _: u64) -> Result<()> {
        Ok(())
    }

    fn notify(&mut self, _: u16) {}

    fn acknowledge(&mut self) {}

    fn config_bytes(&self) -> usize {
        self.config.len()
    }

    fn config(&mut self, offset: usize) -> u8 {
        self.config[offset]
    }

    fn config_generation(&mut self) -> u8 {
        0
    }
}

/// A device whose configuration has these words from `max_discard_sectors` on.
fn device(words: [u32; 5]) -> Device<Played> {
    let words = [[0; 36].as_slice(), words.map(u32::to_le_bytes).as_flattened()].concat();
    Device::open(Played { status: 0, config: words }, 0).expect("a device")
}

/// The limits of discards and of fills with zeros that it states.
fn limits(words: [u32; 5], block_sectors: u32) -> (Option<RangeLimits>, Option<RangeLimits>) {
    let mut device = device(words);
    (RangeLimits::of_discards(&mut device, block_sectors), RangeLimits::of_zeroes(&mut device, block_sectors))
}

/// The parts that a range goes in.
fn parts(limits: RangeLimits, mut range: core::ops::Range<u64>) -> Vec<(u64, u64)> {
    let mut parts = Vec::new();
    while !range.is_empty() {
        let part = limits.take_from(&mut range);
        parts.push((part.start, part.end));
    }
    parts
}

#[test]
fn ranges_go_in_parts_that_the_device_takes() {
    let (discards, zeroes) = limits([20, 1, 8, 10, 1], 1);
    let (discards, zeroes) = (discards.expect("discards"), zeroes.expect("zeros"));
    assert_eq!(parts(discards, 3..23), [(3, 23)], "as much as it takes");
    assert_eq!(parts(discards, 3..60), [(3, 16), (16, 32), (32, 48), (48, 60)], "aligned but for its ends");
    assert_eq!(parts(zeroes, 3..24), [(3, 13), (13, 23), (23, 24)]);
    let all = u64::from(u32::MAX);
    assert_eq!(parts(limits([u32::MAX, 1, 1, 0, 0], 1).0.expect("discards"), 8..8 + all), [(8, 8 + all)]);
    assert_eq!(parts(zeroes, u64::MAX - 12..u64::MAX), [(u64::MAX - 12, u64::MAX - 2), (u64::MAX - 2, u64::MAX)]);
}

#[test]
fn parts_are_whole_logical_blocks_whatever_the_device_says() {
    // An alignment that is none, is no whole block, or is larger than a request.
    for alignment in [0, 3, 1 << 20] {
        let discards = limits([21, 1, alignment, 0, 0], 8).0.expect("discards");
        assert_eq!(parts(discards, 8..64), [(8, 24), (24, 40), (40, 56), (56, 64)], "alignment {alignment}");
    }
}

#[test]
fn a_device_that_takes_not_one_block_cannot_do_it() {
    assert_eq!(limits([7, 1, 8, 7, 1], 8), (None, None), "less than a block");
    assert_eq!(limits([64, 0, 8, 64, 0], 8), (None, None), "no ranges");
    assert_eq!(limits([0; 5], 1), (None, None));
    let mut short = Device::open(Played { status: 0, config: vec![0xff; 36] }, 0).expect("a device");
    assert_eq!(RangeLimits::of_discards(&mut short, 1), None, "its configuration ends before");
}

/// Requests, and the device's side of their queue.
struct World {
    requests: Requests,
    queue: WritableMapping,
    queue_start: u64,
    place: QueuePlace,
    slots: WritableMapping,
    slots_start: u64,
    seen: u16,
}

/// A chain: its number, the request's type and sector, its range if it has one, and where its status goes.
struct Chain {
    head: u16,
    kind: u32,
    range: Option<(u64, u32, u32)>,
    status: usize,
}

const ENTRIES: u16 = 8;
const DEPTH: usize = 2;

impl World {
    fn new(words: [u32; 5]) -> World {
        let memory = fake::dma_buffer(Queue::bytes(ENTRIES, 0)).expect("memory");
        let slots = fake::dma_buffer(Requests::slot_bytes(DEPTH)).expect("memory");
        let (queue_start, slots_start) = (memory.device_address(), slots.device_address());
        let map = |buffer: &DmaBuffer| buffer.memory().map_writable().expect("a mapping");
        let (queue, far_slots) = (map(&memory), map(&slots));
        let near = Queue::new(0, ENTRIES, 0, false, memory);
        let place = near.place();
        let (discards, zeroes) = limits(words, 1);
        let requests = Requests::new(near, slots, discards, zeroes);
        World { requests, queue, queue_start, place, slots: far_slots, slots_start, seen: 0 }
    }

    fn submit(&mut self, tag: usize, operation: Operation, sector: u64, sectors: u32) -> Submitted {
        let submitted = self.requests.submit(Tag::from_number(tag), Job { operation, sector, sectors }, &[]);
        self.requests.queue().publish();
        submitted.expect("a queue that works")
    }

    fn word(memory: &WritableMapping, at: usize) -> u32 {
        let mut bytes = [0; 4];
        memory.copy_out(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn in_queue(&self, address: u64) -> usize {
        usize::try_from(address - self.queue_start).expect("in the queue")
    }

    fn half(&self, at: usize) -> u16 {
        let mut bytes = [0; 2];
        self.queue.copy_out(at, &mut bytes);
        u16::from_le_bytes(bytes)
    }

    fn descriptor(&self, index: u16) -> (Segment, u16, u16) {
        let at = self.in_queue(self.place.descriptors) + 16 * usize::from(index);
        let words = [0, 4, 8].map(|offset| World::word(&self.queue, at + offset));
        let address = u64::from(words[1]) << 32 | u64::from(words[0]);
        (Segment { address, bytes: words[2] }, self.half(at + 12), self.half(at + 14))
    }

    /// The next chain that the driver has made available.
    fn take(&mut self) -> Option<Chain> {
        let ring = self.in_queue(self.place.available);
        if self.half(ring + 2) == self.seen {
            return None;
        }
        let head = self.half(ring + 4 + 2 * usize::from(self.seen % ENTRIES));
        self.seen += 1;
        let mut segments = Vec::new();
        let mut index = head;
        loop {
            let (segment, flags, next) = self.descriptor(index);
            segments.push(segment);
            if flags & 1 == 0 {
                break;
            }
            index = next;
        }
        let at = |segment: &Segment| usize::try_from(segment.address - self.slots_start).expect("in a slot");
        let kind = World::word(&self.slots, at(&segments[0]));
        let range = (segments.len() == 3).then(|| {
            let words = [0, 4, 8, 12].map(|offset| World::word(&self.slots, at(&segments[1]) + offset));
            (u64::from(words[1]) << 32 | u64::from(words[0]), words[2], words[3])
        });
        let last = segments.last().expect("a status");
        assert_eq!(last.bytes, 1);
        Some(Chain { head, kind, range, status: at(last) })
    }

    /// The device has done with a chain; what has ended of that.
    fn end(&mut self, chain: &Chain, status: u8) -> Vec<(usize, BlockStatus)> {
        self.slots.copy_in(chain.status, &[status]);
        let ring = self.in_queue(self.place.used);
        let used = self.half(ring + 2);
        let entry = [u32::from(chain.head).to_le_bytes(), 1_u32.to_le_bytes()].concat();
        self.queue.copy_in(ring + 4 + 8 * usize::from(used % ENTRIES), &entry);
        self.queue.copy_in(ring + 2, &(used + 1).to_le_bytes());
        let mut ended = Vec::new();
        while let Some((tag, status)) = self.requests.next_ended().expect("a queue that works") {
            ended.push((tag.number(), status));
        }
        self.requests.queue().publish();
        ended
    }
}

#[test]
fn the_device_gets_no_more_than_it_takes() {
    for (operation, kind) in [(Operation::Discard, 11), (Operation::WriteZeroes, 13)] {
        let mut world = World::new([16, 1, 8, 16, 1]);
        assert_eq!(world.submit(0, operation, 8, 40), Submitted::Started);
        assert_eq!(world.submit(1, operation, 100, 4), Submitted::Started);
        let mut seen = Vec::new();
        let mut ended = Vec::new();
        while let Some(chain) = world.take() {
            assert_eq!(chain.kind, kind);
            seen.push(chain.range.expect("a range"));
            ended.extend(world.end(&chain, 0));
        }
        assert_eq!(seen, [(8, 16, 0), (100, 4, 0), (24, 16, 0), (40, 8, 0)], "{operation:?}");
        assert_eq!(ended, [(1, BlockStatus::Done), (0, BlockStatus::Done)]);
        assert_eq!(world.requests.queue().in_flight(), 0);
    }
}

#[test]
fn the_first_part_that_fails_ends_the_request() {
    let mut world = World::new([4, 1, 1, 4, 1]);
    world.submit(0, Operation::WriteZeroes, 0, 12);
    let first = world.take().expect("a part");
    assert_eq!(world.end(&first, 0), []);
    let second = world.take().expect("a part");
    assert_eq!((second.range, world.end(&second, 1)), (Some((4, 4, 0)), vec![(0, BlockStatus::Device)]));
    assert!(world.take().is_none(), "nothing follows");
    // The next request with this tag has nothing to do with the rest of that one.
    world.submit(0, Operation::Flush, 0, 0);
    let flush = world.take().expect("a flush");
    assert_eq!((flush.kind, flush.range, world.end(&flush, 0)), (4, None, vec![(0, BlockStatus::Done)]));
}

#[test]
fn what_the_device_cannot_do_does_not_reach_it() {
    let mut world = World::new([0; 5]);
    for operation in [Operation::Discard, Operation::WriteZeroes] {
        assert_eq!(world.submit(0, operation, 0, 8), Submitted::Ended(BlockStatus::Unsupported));
    }
    assert!(world.take().is_none());
}
