//! The driver with a controller that a test plays: an honest one, and some that lie.

mod device;

use crate::controller::Controller;
use crate::identify::Namespace;
use crate::pages::PAGE;
use crate::queue::Fault;
use crate::requests::{Job, PATIENCE, Requests};
use device::{Device, Lie, MOST_BYTES, Manner, Space};
use libsys::dma::DmaSegment;
use libsys::driver::DmaBuffer;
use libsys::driver::block::{Submitted, Tag};
use libsys::protocol::block::{BlockStatus, Operation};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A driver with its device.
struct World {
    device: Device,
    controller: Controller<Device>,
    namespaces: Vec<Namespace>,
    requests: Requests,
}

impl World {
    fn new(spaces: impl IntoIterator<Item = (u32, Space)>, entries: u16) -> World {
        let device = Device::new(spaces);
        let mut controller = Controller::open(device.clone()).expect("a controller");
        let (info, namespaces) = controller.describe().expect("a description");
        let queue = controller.make_queue(entries, 1).expect("a queue");
        let lists = device.memory(Requests::list_bytes(&queue));
        let requests = Requests::new(queue, lists, info.most_bytes.expect("a limit"));
        World { device, controller, namespaces, requests }
    }

    fn submit(&mut self, tag: usize, unit: usize, job: Job, data: &[DmaSegment]) -> Submitted {
        let namespace = self.namespaces[unit];
        let submitted = self.requests.submit(Tag::from_number(tag), &namespace, &job, data.iter().copied());
        self.commit();
        submitted
    }

    fn commit(&mut self) {
        use crate::bus::Bus;
        if let Some((doorbell, value)) = self.requests.publish() {
            self.controller.bus().write(doorbell, value);
        }
    }

    /// What has ended.
    fn ended(&mut self) -> Result<Vec<(usize, BlockStatus)>, Fault> {
        use crate::bus::Bus;
        let mut all = Vec::new();
        loop {
            while let Some((tag, status)) = self.requests.next_ended()? {
                all.push((tag.number(), status));
            }
            let Some((doorbell, value)) = self.requests.acknowledge() else { return Ok(all) };
            self.controller.bus().write(doorbell, value);
            self.commit();
        }
    }

    /// One request from its beginning to its end.
    fn perform(&mut self, unit: usize, job: Job, data: &[DmaSegment]) -> BlockStatus {
        match self.submit(0, unit, job, data) {
            Submitted::Started => {}
            other => panic!("{other:?}"),
        }
        let ended = self.ended().expect("no fault");
        assert_eq!((ended.len(), ended[0].0), (1, 0));
        assert!(!self.requests.is_busy());
        ended[0].1
    }

    fn space<R>(&self, number: u32, look: impl FnOnce(&Space) -> R) -> R {
        look(&self.device.0.borrow().spaces[&number])
    }
}

fn job(operation: Operation, sector: u64, sectors: u32) -> Job {
    Job { operation, fua: false, sector, sectors }
}

fn piece(buffer: &DmaBuffer, offset: u64, bytes: u64) -> DmaSegment {
    DmaSegment { address: buffer.device_address() + offset, bytes }
}

fn content(buffer: &DmaBuffer, offset: u64, bytes: u64) -> Vec<u8> {
    let mut content = vec![0; bytes as usize];
    buffer.copy_out(offset as usize, &mut content);
    content
}

#[test]
fn a_reset_is_confirmed_before_anything_else() {
    let world = World::new([(1, Space::new(512, 64))], 8);
    assert_eq!(world.device.0.borrow().events, ["reset", "reset complete", "enabled"]);
}

#[test]
fn controllers_that_do_not_start_are_refused() {
    let refusal = |change: fn(&mut device::State)| {
        let device = Device::new([(1, Space::new(512, 64))]);
        change(&mut device.0.borrow_mut());
        let started = Controller::open(device).and_then(|mut controller| controller.describe());
        started.expect_err("it is refused").to_string()
    };
    let refused = |change, why: &str| {
        let reason = refusal(change);
        assert!(reason.contains(why), "`{reason}` says nothing of `{why}`");
    };
    refused(|state| state.manner = Manner::NeverReady, "does not become ready");
    refused(|state| state.manner = Manner::NeverReset, "does not reset");
    refused(|state| state.manner = Manner::Fails, "says that it has failed");
    refused(|state| state.manner = Manner::Gone, "does not answer");
    refused(|state| state.manner = Manner::Refuses, "refuses an admin command");
    refused(|state| state.manner = Manner::Silent, "does not complete a command");
    refused(|state| state.capabilities &= !(1 << 37), "no NVM commands");
    refused(|state| state.capabilities |= 1 << 48, "no pages of 4 KiB");
    refused(|state| state.capabilities &= !0xffff, "no entries");
    refused(|state| state.lie = Some(Lie::Number(7)), "not on its way");
    refused(|state| state.lie = Some(Lie::Queue(1)), "a queue that is another");
    refused(|state| state.lie = Some(Lie::Head(3)), "commands that were not there");
}

#[test]
fn namespaces_are_found_and_described() {
    let spaces = || {
        let mut locked = Space::new(512, 8);
        locked.is_read_only = true;
        let mut odd = Space::new(512, 8);
        odd.metadata = 8;
        [(1, Space::new(512, 64)), (3, Space::new(4096, 16)), (5, odd), (7, Space::new(8192, 2)), (8, locked)]
    };
    for is_old in [false, true] {
        let device = Device::new(spaces());
        device.0.borrow_mut().is_old = is_old;
        let mut controller = Controller::open(device).expect("a controller");
        let (info, namespaces) = controller.describe().expect("a description");
        assert_eq!((info.model.as_str(), info.serial.as_str()), ("a model", "serial 7"));
        assert_eq!((info.most_bytes, info.has_cache), (Some(MOST_BYTES), true));
        assert!(info.can_discard && info.can_write_zeroes);
        let found: Vec<_> =
            namespaces.iter().map(|one| (one.number, one.blocks, one.block_bytes, one.read_only)).collect();
        assert_eq!(found, [(1, 64, 512, false), (3, 16, 4096, false), (8, 8, 512, true)]);
        assert_eq!(namespaces[1].physical_block_bytes, 8 * 4096);
    }
}

#[test]
fn doorbells_are_where_the_controller_says() {
    for stride in [0, 1, 10] {
        let device = Device::new([(1, Space::new(512, 64))]);
        device.0.borrow_mut().capabilities |= stride << 32;
        let mut controller = Controller::open(device).expect("a controller");
        assert_eq!(controller.describe().expect("a description").1.len(), 1);
    }
}

#[test]
fn data_goes_there_and_back() {
    let mut world = World::new([(1, Space::new(512, 2048)), (2, Space::new(4096, 256))], 16);
    let buffer = world.device.memory(64 * PAGE);
    for unit in 0..2 {
        let number = unit as u32 + 1;
        let data: Vec<u8> = (0..32 * PAGE).map(|at| (at % 251) as u8 ^ number as u8).collect();
        buffer.copy_in(0, &data);
        let one = [piece(&buffer, 0, 32 * PAGE)];
        assert_eq!(world.perform(unit, job(Operation::Write, 256, 256), &one), BlockStatus::Done);
        assert!(world.space(number, |space| space.data[256 * 512..][..data.len()] == data));
        let other = [piece(&buffer, 32 * PAGE, 32 * PAGE)];
        assert_eq!(world.perform(unit, job(Operation::Read, 256, 256), &other), BlockStatus::Done);
        assert!(content(&buffer, 32 * PAGE, 32 * PAGE) == data);
        assert_eq!(world.device.0.borrow().commands.len(), 2, "one command each");
        world.device.0.borrow_mut().commands.clear();
    }
}

#[test]
fn pieces_that_one_command_cannot_name_take_several() {
    let mut world = World::new([(1, Space::new(512, 64)), (2, Space::new(4096, 64))], 16);
    let buffer = world.device.memory(8 * PAGE);
    let pieces = [piece(&buffer, 512, 512), piece(&buffer, 2048, 1024), piece(&buffer, 3 * PAGE, 512)];
    assert_eq!(world.perform(0, job(Operation::Read, 8, 4), &pieces), BlockStatus::Done);
    let found: Vec<u8> = [(512, 512), (2048, 1024), (3 * PAGE, 512)]
        .into_iter()
        .flat_map(|(offset, bytes)| content(&buffer, offset, bytes))
        .collect();
    assert!(world.space(1, |space| space.data[8 * 512..12 * 512] == found));
    assert_eq!(world.device.0.borrow().commands.len(), 3);
    // A block of 4 KiB cannot be cut.
    let pieces: Vec<DmaSegment> = (0..8).map(|at| piece(&buffer, 1024 * at, 512)).collect();
    let refused = world.submit(1, 1, job(Operation::Read, 8, 8), &pieces);
    assert_eq!(refused, Submitted::Ended(BlockStatus::BadBuffer));
    assert!(!world.requests.is_busy() && world.device.0.borrow().commands.len() == 3);
    for _ in 0..20 {
        // Nor does that use anything up.
        assert_eq!(world.submit(1, 1, job(Operation::Read, 8, 8), &pieces), refused);
    }
    assert_eq!(world.perform(0, job(Operation::Flush, 0, 0), &[]), BlockStatus::Done);
}

#[test]
fn what_is_written_through_says_so() {
    let mut world = World::new([(1, Space::new(512, 64))], 16);
    let buffer = world.device.memory(PAGE);
    let through = Job { fua: true, ..job(Operation::Write, 0, 1) };
    assert_eq!(world.perform(0, through, &[piece(&buffer, 0, 512)]), BlockStatus::Done);
    assert_eq!(world.perform(0, job(Operation::Write, 0, 1), &[piece(&buffer, 0, 512)]), BlockStatus::Done);
    assert_eq!(world.perform(0, job(Operation::Flush, 0, 0), &[]), BlockStatus::Done);
    let state = world.device.0.borrow();
    let said: Vec<(u8, bool)> = state.commands.iter().map(|words| (words[0] as u8, words[6] & 1 << 30 != 0)).collect();
    assert_eq!(said, [(1, true), (1, false), (0, false)]);
}

#[test]
fn zeros_and_discards_reach_all_their_blocks() {
    let mut world = World::new([(1, Space::new(512, 4096)), (2, Space::new(4096, 64))], 4);
    // More than one command can.
    let all = (MOST_BYTES / 512) as u32 * 3 + 8;
    assert_eq!(world.perform(0, job(Operation::WriteZeroes, 8, all), &[]), BlockStatus::Done);
    let (start, end) = (8 * 512, (8 + all as usize) * 512);
    let is_right = |space: &Space| {
        let data = &space.data;
        data[start..end].iter().all(|byte| *byte == 0) && data[..start].iter().any(|byte| *byte != 0) && data[end] != 0
    };
    assert!(world.space(1, is_right));
    assert_eq!(world.device.0.borrow().commands.len(), 4);
    assert_eq!(world.perform(1, job(Operation::Discard, 16, 24), &[]), BlockStatus::Done);
    assert_eq!(world.space(2, |space| space.discarded.clone()), [(2, 3)]);
    // One that fails does not go on.
    world.device.0.borrow_mut().spaces.get_mut(&1).unwrap().data.truncate(64 * 512);
    assert_eq!(world.perform(0, job(Operation::WriteZeroes, 8, all), &[]), BlockStatus::OutOfRange);
    assert_eq!(world.device.0.borrow().commands.len(), 6);
}

#[test]
fn requests_end_in_any_order_and_with_their_own_status() {
    let mut world = World::new([(1, Space::new(512, 64))], 16);
    let buffer = world.device.memory(16 * PAGE);
    world.device.0.borrow_mut().holds = true;
    for round in 0..40u64 {
        for tag in 0..5 {
            let at = tag as u64 * 2 * PAGE;
            // The third is beyond the end with its second command.
            let sector = if tag == 2 { 63 } else { tag as u64 };
            let pieces = [piece(&buffer, at, 512), piece(&buffer, at + 1024, 512)];
            assert_eq!(world.submit(tag, 0, job(Operation::Read, sector, 2), &pieces), Submitted::Started);
        }
        assert_eq!(world.ended(), Ok(Vec::new()));
        world.device.let_go(|held| {
            assert_eq!(held.len(), 10);
            held.rotate_left((round % 10) as usize);
            held.reverse();
        });
        let mut ended = world.ended().expect("no fault");
        ended.sort_by_key(|(tag, _)| *tag);
        let status = |tag| if tag == 2 { BlockStatus::OutOfRange } else { BlockStatus::Done };
        assert_eq!(ended, (0..5).map(|tag| (tag, status(tag))).collect::<Vec<_>>());
    }
}

#[test]
fn a_full_queue_says_so_and_nothing_is_lost() {
    let mut world = World::new([(1, Space::new(512, 64))], 4);
    let buffer = world.device.memory(4 * PAGE);
    world.device.0.borrow_mut().holds = true;
    let two = [piece(&buffer, 0, 512), piece(&buffer, 1024, 512)];
    assert_eq!(world.submit(0, 0, job(Operation::Read, 0, 2), &two), Submitted::Started);
    assert_eq!(world.submit(1, 0, job(Operation::Read, 0, 2), &two), Submitted::Busy);
    assert_eq!(world.submit(1, 0, job(Operation::Flush, 0, 0), &[]), Submitted::Started);
    for tag in [1, 2] {
        // No number is left, and that tag is on its way.
        assert_eq!(world.submit(tag, 0, job(Operation::Flush, 0, 0), &[]), Submitted::Busy);
    }
    world.device.let_go(|held| held.reverse());
    assert_eq!(world.ended(), Ok(vec![(1, BlockStatus::Done), (0, BlockStatus::Done)]));
    assert_eq!(world.submit(1, 0, job(Operation::Read, 0, 2), &two), Submitted::Started);
}

#[test]
fn a_controller_that_lies_is_found_out() {
    for (lie, fault) in [
        (Lie::Number(2), Fault::UnknownCommand),
        (Lie::Number(u16::MAX), Fault::UnknownCommand),
        (Lie::Queue(0), Fault::WrongQueue),
        (Lie::Queue(u16::MAX), Fault::WrongQueue),
        (Lie::Head(5), Fault::WrongHead),
        (Lie::Head(8), Fault::WrongHead),
        (Lie::Head(u16::MAX), Fault::WrongHead),
    ] {
        let mut world = World::new([(1, Space::new(512, 64))], 8);
        let buffer = world.device.memory(PAGE);
        world.device.0.borrow_mut().lie = Some(lie);
        assert_eq!(world.submit(0, 0, job(Operation::Read, 0, 1), &[piece(&buffer, 0, 512)]), Submitted::Started);
        assert_eq!(world.ended(), Err(fault), "{lie:?}");
    }
    // The same command twice.
    let mut world = World::new([(1, Space::new(512, 64))], 8);
    assert_eq!(world.perform(0, job(Operation::Flush, 0, 0), &[]), BlockStatus::Done);
    let number = (world.device.0.borrow().commands[0][0] >> 16) as u32;
    world.device.write_completion([0, 0, 1 << 16 | 1, number]);
    assert_eq!(world.ended(), Err(Fault::UnknownCommand));
}

#[test]
fn a_controller_that_fails_or_falls_silent_is_found_out() {
    let mut world = World::new([(1, Space::new(512, 64))], 8);
    world.device.0.borrow_mut().manner = Manner::Silent;
    assert_eq!(world.submit(0, 0, job(Operation::Flush, 0, 0), &[]), Submitted::Started);
    for _ in 0..PATIENCE {
        assert_eq!((world.controller.check(), world.requests.tick()), (Ok(()), Ok(())));
    }
    assert_eq!(world.requests.tick(), Err(Fault::Overdue));
    world.device.0.borrow_mut().manner = Manner::Gone;
    assert_eq!(world.controller.check(), Err(Fault::Gone));
}

proptest! {
    /// Whatever pieces of memory there are, each byte gets where it belongs.
    #[test]
    fn data_finds_its_place(
        pieces in proptest::collection::vec((0..32u64, 1..16u64), 1..9),
        sector in 0..64u64,
        is_write: bool,
        is_contiguous: bool,
    ) {
        let mut world = World::new([(1, Space::new(512, 512))], 32);
        let buffer = world.device.memory(8 * 16 * PAGE);
        let before: Vec<u8> = (0..8 * 16 * PAGE).map(|at| (at % 241) as u8).collect();
        buffer.copy_in(0, &before);
        let mut end = 0;
        let mut segments: Vec<(u64, u64)> = Vec::new();
        for (index, (shift, sectors)) in pieces.iter().enumerate() {
            // Each in a place of its own, or behind the one before.
            let at = if is_contiguous && index > 0 { end } else { index as u64 * 16 * PAGE + 4 * shift * 16 };
            segments.push((at, sectors * 512));
            end = at + sectors * 512;
        }
        if is_contiguous {
            prop_assume!(end <= 8 * 16 * PAGE);
        }
        let all: Vec<DmaSegment> = segments.iter().map(|(at, bytes)| piece(&buffer, *at, *bytes)).collect();
        let bytes: u64 = segments.iter().map(|(_, bytes)| bytes).sum();
        prop_assume!(bytes <= MOST_BYTES);
        let operation = if is_write { Operation::Write } else { Operation::Read };
        prop_assert_eq!(world.perform(0, job(operation, sector, (bytes / 512) as u32), &all), BlockStatus::Done);
        let found: Vec<u8> = segments.iter().flat_map(|(at, bytes)| content(&buffer, *at, *bytes)).collect();
        let (start, stop) = (sector as usize * 512, sector as usize * 512 + bytes as usize);
        world.space(1, |space| {
            assert!(space.data[start..stop] == found);
            let fresh = Space::new(512, 512);
            assert!(space.data[..start] == fresh.data[..start] && space.data[stop..] == fresh.data[stop..]);
        });
        let mut expected = before;
        let mut from = &found[..];
        for (at, bytes) in segments {
            let (part, rest) = from.split_at(bytes as usize);
            expected[at as usize..][..part.len()].copy_from_slice(part);
            from = rest;
        }
        prop_assert!(content(&buffer, 0, 8 * 16 * PAGE) == expected, "nothing else was written");
    }

    /// Completions of chance end in a fault, or end requests that were on their way, each once.
    #[test]
    fn completions_of_chance_are_borne(words in proptest::collection::vec((0..4u32, 0..12u32, 0..12u32, 0..0x8000u32), 0..20)) {
        let mut world = World::new([(1, Space::new(512, 64))], 8);
        world.device.0.borrow_mut().manner = Manner::Silent;
        let mut on_the_way: BTreeMap<usize, ()> = BTreeMap::new();
        for tag in 0..6 {
            prop_assert_eq!(world.submit(tag, 0, job(Operation::Flush, 0, 0), &[]), Submitted::Started);
            on_the_way.insert(tag, ());
        }
        for (queue, head, number, status) in words {
            world.device.write_completion([0, 0, head | queue << 16, number | status << 17]);
            match world.ended() {
                Ok(ended) => ended.iter().for_each(|(tag, _)| assert!(on_the_way.remove(tag).is_some())),
                Err(_) => return Ok(()),
            }
        }
    }
}
