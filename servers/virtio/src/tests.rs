//! Queues and devices, with a device that a test plays: an honest one, and some that lie.

use crate::queue::{Completion, Queue, QueueError, Segment};
use crate::{Device, QueuePlace, Transport, feature};
use libsys::driver::{DmaBuffer, Result};
use libsys::{WritableMapping, fake};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// The device's side of a queue.
struct Far {
    memory: WritableMapping,
    start: u64,
    place: QueuePlace,
    seen: u16,
    used: u16,
}

/// A chain as the device sees it: the head, what it reads, what it writes.
type Chain = (u16, Vec<Segment>, Vec<Segment>);

impl Far {
    fn at(&self, address: u64) -> usize {
        usize::try_from(address - self.start).expect("within the queue")
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        self.memory.copy_out(at, &mut bytes);
        bytes
    }

    fn descriptor(&self, table: u64, index: u16) -> (Segment, u16, u16) {
        let bytes: [u8; 16] = self.bytes(self.at(table) + 16 * usize::from(index));
        let address = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        (Segment { address, bytes: length }, half(12), half(14))
    }

    fn available(&self) -> u16 {
        u16::from_le_bytes(self.bytes(self.at(self.place.available) + 2))
    }

    /// Where the driver wants to be interrupted.
    fn event(&self) -> u16 {
        u16::from_le_bytes(self.bytes(self.at(self.place.available) + 4 + 2 * usize::from(self.place.size)))
    }

    /// Takes the next chain that is available.
    fn take(&mut self) -> Option<Chain> {
        if self.seen == self.available() {
            return None;
        }
        let slot = usize::from(self.seen % self.place.size);
        let head = u16::from_le_bytes(self.bytes(self.at(self.place.available) + 4 + 2 * slot));
        self.seen = self.seen.wrapping_add(1);
        let (mut table, mut index) = (self.place.descriptors, head);
        let first = self.descriptor(table, head);
        if first.1 & 4 != 0 {
            assert!(first.0.bytes.is_multiple_of(16) && first.1 == 4);
            (table, index) = (first.0.address, 0);
        }
        let (mut read, mut write) = (Vec::new(), Vec::new());
        loop {
            let (segment, flags, next) = self.descriptor(table, index);
            if flags & 2 != 0 {
                write.push(segment);
            } else {
                assert!(write.is_empty(), "what is read comes first");
                read.push(segment);
            }
            if flags & 1 == 0 {
                return Some((head, read, write));
            }
            index = next;
        }
    }

    fn put(&mut self, id: u32, bytes: u32) {
        let at = self.at(self.place.used) + 4 + 8 * usize::from(self.used % self.place.size);
        self.memory.copy_in(at, &id.to_le_bytes());
        self.memory.copy_in(at + 4, &bytes.to_le_bytes());
        self.jump(self.used.wrapping_add(1));
    }

    fn jump(&mut self, used: u16) {
        self.used = used;
        self.memory.copy_in(self.at(self.place.used) + 2, &used.to_le_bytes());
    }

    fn want_event_at(&self, index: u16) {
        let at = self.at(self.place.used) + 4 + 8 * usize::from(self.place.size);
        self.memory.copy_in(at, &index.to_le_bytes());
    }
}

fn pair(size: u16, table: u16, has_events: bool) -> (Queue, Far) {
    let buffer = fake::dma_buffer(Queue::bytes(size, table)).expect("memory");
    let (memory, start) = (buffer.memory().map_writable().expect("a mapping"), buffer.device_address());
    let queue = Queue::new(0, size, table, has_events, buffer);
    let place = queue.place();
    (queue, Far { memory, start, place, seen: 0, used: 0 })
}

fn segments(count: u32, bytes: u32) -> impl Iterator<Item = Segment> + Clone {
    (0..count).map(move |number| Segment { address: 0x1000 * u64::from(number + 1), bytes })
}

#[test]
fn chains_go_there_and_back() {
    for (size, table) in [(4, 0), (4, 5), (1024, 18)] {
        let (mut queue, mut far) = pair(size, table, false);
        // The indices run over.
        for round in 0..70_000_u32 / u32::from(size) {
            let head = queue.submit(segments(1, 16), segments(2, 512)).expect("room");
            assert!(queue.publish());
            let (seen, read, write) = far.take().expect("available");
            assert_eq!((seen, read.len(), write.len()), (head, 1, 2), "round {round}");
            assert_eq!(write[1], Segment { address: 0x2000, bytes: 512 });
            assert_eq!(queue.next_completed(), Ok(None));
            far.put(head.into(), 1024);
            assert_eq!(queue.next_completed(), Ok(Some(Completion { chain: head, bytes: 1024 })));
            assert_eq!((queue.next_completed(), queue.in_flight()), (Ok(None), 0));
        }
    }
}

#[test]
fn a_full_queue_says_so_and_nothing_is_lost() {
    let (mut queue, mut far) = pair(8, 0, false);
    let heads: Vec<u16> = (0..2).map(|_| queue.submit(segments(1, 1), segments(2, 1)).expect("room")).collect();
    assert_eq!(queue.submit(segments(3, 1), segments(0, 1)), Err(QueueError::Full));
    assert_eq!(queue.submit(segments(9, 1), segments(0, 1)), Err(QueueError::BadChain));
    assert_eq!(queue.submit(segments(0, 1), segments(0, 1)), Err(QueueError::BadChain));
    let last = queue.submit(segments(2, 1), segments(0, 1)).expect("room");
    assert!(queue.publish() && !queue.publish());
    for head in [last, heads[1], heads[0]] {
        far.put(head.into(), 0);
        assert_eq!(queue.next_completed().map(|done| done.map(|done| done.chain)), Ok(Some(head)));
    }
    assert!(queue.submit(segments(4, 1), segments(4, 1)).is_ok(), "all descriptors are free again");
    let (mut queue, _) = pair(8, 3, false);
    assert_eq!(queue.submit(segments(2, 1), segments(2, 1)), Err(QueueError::BadChain));
    assert_eq!((0..9).filter(|_| queue.submit(segments(3, 1), segments(0, 1)).is_ok()).count(), 8);
}

#[test]
fn nobody_is_told_more_than_he_wants() {
    let (mut queue, mut far) = pair(8, 2, true);
    far.want_event_at(2);
    let told: Vec<bool> = (0..4)
        .map(|_| {
            queue.submit(segments(1, 1), segments(0, 1)).expect("room");
            queue.publish()
        })
        .collect();
    assert_eq!(told, [false, false, true, false]);
    assert!(!queue.arm());
    assert_eq!(far.event(), 0);
    let (head, ..) = far.take().expect("available");
    far.put(head.into(), 0);
    assert!(queue.arm(), "it came back meanwhile");
    assert!(queue.next_completed().is_ok_and(|done| done.is_some()) && !queue.arm());
    assert_eq!(far.event(), 1);
    let (mut queue, far) = pair(8, 2, false);
    far.memory.copy_in(far.at(far.place.used), &1_u16.to_le_bytes());
    queue.submit(segments(1, 1), segments(0, 1)).expect("room");
    assert!(!queue.publish(), "the device polls");
}

#[test]
fn a_device_that_lies_is_found_out() {
    type Lie = fn(&mut Far, u16, u16);
    let lies: [(&str, Lie); 7] = [
        ("an id beyond the queue", |far, _, _| far.put(8, 0)),
        ("an id of many bits", |far, first, _| far.put(u32::from(first) | 1 << 16, 0)),
        ("a descriptor in a chain's midst", |far, first, _| {
            let (.., next) = far.descriptor(far.place.descriptors, first);
            far.put(next.into(), 0);
        }),
        ("more bytes than there is room", |far, first, _| far.put(first.into(), 1025)),
        ("an index that jumps", |far, first, _| {
            far.put(first.into(), 0);
            far.jump(3);
        }),
        ("an index that goes back", |far, _, _| far.jump(u16::MAX)),
        ("a chain that was never shown", |far, _, hidden| far.put(hidden.into(), 0)),
    ];
    for (lie, tell) in lies {
        let (mut queue, mut far) = pair(8, 0, false);
        let first = queue.submit(segments(1, 16), segments(2, 512)).expect("room");
        let _second = queue.submit(segments(1, 16), segments(0, 0)).expect("room");
        queue.publish();
        let hidden = queue.submit(segments(1, 16), segments(0, 0)).expect("room");
        tell(&mut far, first, hidden);
        if lie == "a chain that was never shown" {
            // Two were shown: the third chain that comes back is one too many.
            far.put(first.into(), 0);
            far.put(first.into(), 0);
        }
        let outcomes: Vec<_> = (0..4).map(|_| queue.next_completed()).collect();
        assert!(outcomes.contains(&Err(QueueError::Broken)), "{lie}: {outcomes:?}");
        assert_eq!(queue.submit(segments(1, 1), segments(0, 1)), Err(QueueError::Broken), "{lie}");
        assert!(!queue.arm(), "{lie}");
    }
}

#[test]
fn a_chain_comes_back_once() {
    let (mut queue, mut far) = pair(4, 2, false);
    let head = queue.submit(segments(1, 1), segments(1, 1)).expect("room");
    queue.submit(segments(1, 1), segments(1, 1)).expect("room");
    queue.publish();
    far.put(head.into(), 1);
    far.put(head.into(), 1);
    assert!(queue.next_completed().is_ok());
    assert_eq!(queue.next_completed(), Err(QueueError::Broken));
}

proptest! {
    /// Whatever the device writes into memory that it can reach, nothing worse than `Broken` happens.
    #[test]
    fn garbage_does_no_harm(
        table in prop_oneof![Just(0_u16), Just(4_u16)],
        writes in proptest::collection::vec((any::<u16>(), any::<u32>()), 0..60),
    ) {
        let (mut queue, far) = pair(8, table, true);
        let mut on_their_way = 0;
        for (at, value) in writes {
            if queue.submit(segments(1, 8), segments(1, 8)).is_ok() {
                on_their_way += 1;
            }
            queue.publish();
            let at = usize::from(at) % (far.memory.bytes() / 4) * 4;
            far.memory.word_u32(at).store(value, Ordering::Relaxed);
            while let Ok(Some(done)) = queue.next_completed() {
                prop_assert!(done.chain < 8 && done.bytes <= 8);
                on_their_way -= 1;
                prop_assert!(on_their_way >= 0);
            }
            queue.arm();
        }
    }

    /// Chains of all shapes, back in any order, keep all their descriptors.
    #[test]
    fn no_descriptor_is_lost(
        shapes in proptest::collection::vec((0_u32..3, 0_u32..4, any::<bool>()), 1..200),
    ) {
        let (mut queue, mut far) = pair(16, 0, false);
        let mut out = VecDeque::new();
        for (read, write, is_back) in shapes {
            match queue.submit(segments(read, 4), segments(write, 4)) {
                Ok(head) => out.push_back(head),
                Err(QueueError::BadChain) => prop_assert_eq!(read + write, 0),
                Err(error) => prop_assert_eq!(error, QueueError::Full),
            }
            queue.publish();
            let back = if is_back { out.pop_front() } else { out.pop_back() };
            if let Some(head) = back {
                far.put(head.into(), 0);
                prop_assert_eq!(queue.next_completed(), Ok(Some(Completion { chain: head, bytes: 0 })));
            }
        }
        for head in out {
            far.put(head.into(), 0);
            prop_assert!(queue.next_completed().is_ok_and(|done| done.is_some()));
        }
        prop_assert!(queue.submit(segments(8, 4), segments(8, 4)).is_ok());
    }
}

/// What a device that a test plays was told.
#[derive(Default)]
struct Told {
    status: u8,
    /// Status reads that still show the one before the reset.
    slow: u32,
    offered: u64,
    accepted: u64,
    refuses: bool,
    resets: u32,
    queues: Vec<(u16, QueuePlace, u64)>,
    generation: u8,
    config: Vec<u8>,
}

#[derive(Clone, Default)]
struct Played(Rc<RefCell<Told>>);

impl Transport for Played {
    fn status(&mut self) -> u8 {
        let mut told = self.0.borrow_mut();
        if told.slow > 0 {
            told.slow -= 1;
            return 0xf;
        }
        let refused = if told.refuses { 8 } else { 0 };
        told.status & !refused
    }

    fn set_status(&mut self, status: u8) {
        self.0.borrow_mut().status = status;
    }

    fn reset_complete(&mut self) -> Result<()> {
        self.0.borrow_mut().resets += 1;
        Ok(())
    }

    fn features(&mut self) -> u64 {
        self.0.borrow().offered
    }

    fn set_features(&mut self, features: u64) {
        self.0.borrow_mut().accepted = features;
    }

    fn most_entries(&mut self, queue: u16) -> u16 {
        [100, 1][usize::from(queue)]
    }

    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer> {
        Ok(fake::dma_buffer(bytes)?)
    }

    fn enable_queue(&mut self, queue: u16, place: QueuePlace, bits: u64) -> Result<()> {
        self.0.borrow_mut().queues.push((queue, place, bits));
        Ok(())
    }

    fn notify(&mut self, _: u16) {}

    fn acknowledge(&mut self) {}

    fn config_bytes(&self) -> usize {
        self.0.borrow().config.len()
    }

    fn config(&mut self, offset: usize) -> u8 {
        let mut told = self.0.borrow_mut();
        let byte = told.config[offset];
        if told.generation == 0 && offset == 0 {
            // It changes while it is read.
            told.config.fill(9);
            told.generation = 1;
        }
        byte
    }

    fn config_generation(&mut self) -> u8 {
        self.0.borrow().generation
    }
}

#[test]
fn a_device_is_reset_and_made_ready() {
    let played = Played::default();
    {
        let mut told = played.0.borrow_mut();
        (told.slow, told.config) = (3, vec![1, 2, 3, 4]);
        told.offered = feature::VERSION_1 | feature::EVENT_INDEX | 0b11;
    }
    let mut device = Device::open(played.clone(), 0b101).expect("a device");
    assert_eq!(played.0.borrow().accepted, feature::VERSION_1 | feature::EVENT_INDEX | 1);
    assert!(device.has(1) && !device.has(4) && played.0.borrow().resets == 1);
    let queue = device.queue(0, 80, 4, 1 << 5).expect("a queue");
    assert_eq!(queue.size(), 64, "the largest power of two");
    assert_eq!(played.0.borrow().queues, [(0, queue.place(), 1 << 5)]);
    assert!(device.queue(1, 80, 4, 1).is_err(), "too small");
    device.start().expect("ready");
    assert_eq!(played.0.borrow().status, 15);
    assert_eq!(device.config::<2>(0), [9, 9], "all of one time");
    assert_eq!(device.config::<4>(1), [0; 4], "behind the end there is nothing");
}

#[test]
fn devices_of_no_use_are_refused() {
    let with = |offered, refuses| {
        let played = Played::default();
        played.0.borrow_mut().offered = offered;
        played.0.borrow_mut().refuses = refuses;
        Device::open(played, 0).err().map(|error| error.to_string())
    };
    assert!(with(0, false).is_some_and(|text| text.contains("older")));
    assert!(with(feature::VERSION_1, true).is_some_and(|text| text.contains("accept")));
    assert_eq!(with(feature::VERSION_1, false), None);
}
