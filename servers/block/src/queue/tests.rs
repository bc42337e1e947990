//! The queue against a model: a disk that is an array, and a driver that ends what it has in any order, fails, and dies.

use super::*;
use proptest::prelude::*;

const SECTORS: u64 = 48;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A request comes.
    Put { operation: Operation, fua: bool, sector: u64, sectors: u32 },
    /// The driver gets what it can.
    Send,
    /// The driver ends one of those that it has.
    End(usize),
    /// The driver fails one of them, if it has several members; alone, each succeeds.
    Fail(usize),
    /// The driver dies: what it has is submitted again to the next one, in order; some of it was done already.
    Die(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operation = prop_oneof![
        3 => Just(Operation::Read),
        5 => Just(Operation::Write),
        1 => Just(Operation::Flush),
        1 => Just(Operation::WriteZeroes),
    ];
    let put = (operation, any::<bool>(), 0..SECTORS, 1u32..6).prop_map(|(operation, fua, sector, sectors)| {
        let sectors = sectors.min((SECTORS - sector) as u32);
        Step::Put { operation, fua, sector, sectors }
    });
    let step = prop_oneof![
        6 => put,
        2 => Just(Step::Send),
        4 => (0usize..8).prop_map(Step::End),
        1 => (0usize..8).prop_map(Step::Fail),
        1 => any::<u64>().prop_map(Step::Die),
    ];
    prop::collection::vec(step, 1..120)
}

/// A device with a volatile cache, as an array.
struct Model {
    queue: Queue<usize>,
    device: Device,
    /// What the device holds, by sector: the number of the request that wrote it.
    cache: Vec<usize>,
    medium: Vec<usize>,
    /// What it should hold: writes in the order of their arrival.
    expected: Vec<usize>,
    /// All requests, by tag.
    requests: Vec<Request>,
    answered: Vec<bool>,
    /// At the driver, in the order of their submission.
    away: Vec<(usize, Batch)>,
    /// Writes that were answered when a flush came.
    covered: Vec<(usize, Vec<usize>)>,
    now: u64,
}

impl Model {
    fn new(device: Device, scheduler: Scheduler) -> Model {
        let empty = vec![usize::MAX; SECTORS as usize];
        Model {
            queue: Queue::new(device, scheduler),
            device,
            cache: empty.clone(),
            medium: empty.clone(),
            expected: empty,
            requests: Vec::new(),
            answered: Vec::new(),
            away: Vec::new(),
            covered: Vec::new(),
            now: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        self.now += 100_000_000;
        match step {
            Step::Put { operation, fua, sector, sectors } => self.put(*operation, *fua, *sector, *sectors),
            Step::Send => self.send(),
            Step::End(which) => self.end(*which, BlockStatus::Done),
            Step::Fail(which) => self.end(*which, BlockStatus::Device),
            Step::Die(done) => {
                // Any of them may have been carried out; then all are, in order, as the client submits them again.
                for index in 0..self.away.len() {
                    if done >> (index % 64) & 1 == 1 {
                        self.perform(index);
                    }
                }
            }
        }
    }

    fn put(&mut self, operation: Operation, fua: bool, sector: u64, sectors: u32) {
        let tag = self.requests.len();
        let mut segments = Segments::default();
        if operation.has_data() {
            // Of every request a buffer of its own, in pieces of a sector.
            for piece in 0..sectors {
                let segment = Segment { buffer: tag as u32, bytes: 512, offset: u64::from(piece) * 1024 };
                assert!(segments.push(segment, MOST_SEGMENTS));
            }
        }
        let (sector, sectors) = if operation == Operation::Flush { (0, 0) } else { (sector, sectors) };
        let fua = fua && operation == Operation::Write;
        let request = Request { operation, fua, sector, sectors, segments };
        if operation.is_write() {
            self.expected[sector as usize..][..sectors as usize].fill(tag);
        }
        if operation == Operation::Flush {
            let answered = (0..tag).filter(|tag| self.answered[*tag] && self.requests[*tag].operation.is_write());
            self.covered.push((tag, answered.collect()));
        }
        self.requests.push(request.clone());
        self.answered.push(false);
        self.queue.put(tag, &request, self.now);
    }

    fn send(&mut self) {
        let mut ended = Vec::new();
        while let Some((number, batch)) = self.queue.take(self.now, |one| ended.push(one)) {
            let batch = Batch::clone(batch);
            let request = &batch.request;
            for (_, other) in &self.away {
                let both_write = other.request.operation.is_write() && request.operation.is_write();
                assert!(!both_write || !other.request.overlaps(request), "two writes in flight overlap");
            }
            assert!(self.away.len() < self.device.depth);
            assert!(request.segments.as_slice().len() <= self.device.most_segments);
            assert!(!request.operation.has_data() || request.sectors <= self.device.most_sectors.max(6));
            assert!(self.device.fua || !request.fua);
            self.away.push((number, batch));
        }
        self.answer(ended);
    }

    /// Carries out one of those that the driver has.
    fn perform(&mut self, index: usize) {
        let request = self.away[index].1.request.clone();
        match request.operation {
            Operation::Flush => self.medium = self.cache.clone(),
            Operation::Write => {
                let pieces = request.segments.as_slice().iter();
                let writers = pieces.flat_map(|piece| (0..piece.bytes / 512).map(|_| piece.buffer as usize));
                let writers: Vec<usize> = writers.collect();
                assert_eq!(writers.len(), request.sectors as usize);
                for (sector, writer) in (request.sector..).zip(writers) {
                    self.write(sector as usize, writer, request.fua);
                }
            }
            Operation::WriteZeroes => {
                let owner = self.requests.iter().rposition(|one| *one == request).expect("one of them");
                (request.sector..request.end()).for_each(|sector| self.write(sector as usize, owner, false));
            }
            Operation::Read | Operation::Discard => {}
        }
    }

    fn write(&mut self, sector: usize, writer: usize, through: bool) {
        self.cache[sector] = writer;
        if through || !self.device.has_cache {
            self.medium[sector] = writer;
        }
    }

    fn end(&mut self, which: usize, status: BlockStatus) {
        if self.away.is_empty() {
            return;
        }
        let index = which % self.away.len();
        let Batch { request, members, .. } = &self.away[index].1;
        let status = if *members > 1 && request.operation != Operation::Flush { status } else { BlockStatus::Done };
        if status == BlockStatus::Done {
            self.perform(index);
        }
        let (number, _) = self.away.remove(index);
        let mut ended = Vec::new();
        self.queue.end(number, status, |one| ended.push(one));
        self.answer(ended);
    }

    fn answer(&mut self, ended: Vec<Ended<usize>>) {
        for Ended { tag, status, operation, sectors, .. } in ended {
            assert!(!std::mem::replace(&mut self.answered[tag], true), "answered twice");
            // A flush that fails would fail those that wait for it; nothing else may.
            assert_eq!(status, BlockStatus::Done);
            let request = self.requests[tag].clone();
            assert_eq!((operation, sectors), (request.operation, request.sectors));
            if request.fua {
                self.must_be_on_medium(tag);
            }
            if operation == Operation::Flush {
                let (_, covered) = self.covered.iter().find(|(flush, _)| *flush == tag).cloned().expect("it came");
                covered.into_iter().for_each(|tag| self.must_be_on_medium(tag));
            }
        }
    }

    /// A write is on the medium wherever no later one has come in its place.
    fn must_be_on_medium(&self, tag: usize) {
        let request = &self.requests[tag];
        for sector in request.sector..request.end() {
            let on_medium = self.medium[sector as usize];
            assert!(on_medium != usize::MAX && on_medium >= tag, "sector {sector} of {tag} is not on the medium");
        }
    }

    fn finish(&mut self) {
        for round in 0.. {
            self.now += 1_000_000;
            self.send();
            if self.away.is_empty() {
                break;
            }
            self.end(round, BlockStatus::Done);
        }
        assert!(self.answered.iter().all(|answered| *answered), "a request was forgotten");
        assert!(self.queue.is_empty());
        let zeroes = |writer: &usize| self.requests.get(*writer).map(|one| (one.operation, one.sector, one.sectors));
        // Fills with zeros of the same place are the same to the model.
        for (found, expected) in self.cache.iter().zip(&self.expected) {
            let same = found == expected || (zeroes(found) == zeroes(expected) && found != &usize::MAX);
            assert!(same, "the disk holds {found}, not {expected}");
        }
    }
}

fn device() -> impl Strategy<Value = Device> {
    (1usize..6, 6u32..20, 6usize..=MOST_SEGMENTS, any::<bool>(), any::<bool>()).prop_map(
        |(depth, most_sectors, most_segments, has_cache, fua)| Device {
            depth,
            most_sectors,
            most_segments,
            has_cache,
            fua,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_disk_holds_what_an_array_would(steps in steps(), device in device(), deadline in any::<bool>()) {
        let scheduler = if deadline { Scheduler::Deadline } else { Scheduler::None };
        let mut model = Model::new(device, scheduler);
        steps.iter().for_each(|step| model.step(step));
        model.finish();
    }
}

const DEVICE: Device = Device { depth: 1, most_sectors: 8, most_segments: 4, has_cache: true, fua: false };

fn put(queue: &mut Queue<u32>, tag: u32, operation: Operation, sector: u64, sectors: u32) {
    let mut segments = Segments::default();
    if operation.has_data() {
        assert!(segments.push(Segment { buffer: tag, bytes: sectors * 512, offset: 0 }, MOST_SEGMENTS));
    }
    queue.put(tag, &Request { operation, fua: false, sector, sectors, segments }, 0);
}

#[test]
fn adjacent_requests_travel_as_one() {
    let mut queue = Queue::new(DEVICE, Scheduler::None);
    for (tag, sector) in [(0, 10), (1, 12), (2, 8), (3, 30), (4, 14), (5, 6)] {
        put(&mut queue, tag, Operation::Read, sector, 2);
    }
    let (number, batch) = queue.take(0, |_| panic!("nothing has ended")).expect("a batch");
    // Four segments and eight sectors are the most: 8 to 16, without 6.
    assert_eq!((batch.request.sector, batch.request.sectors, batch.members), (8, 8, 4));
    let buffers: Vec<u32> = batch.request.segments.as_slice().iter().map(|segment| segment.buffer).collect();
    assert_eq!(buffers, [2, 0, 1, 4]);
    let mut ended = Vec::new();
    queue.end(number, BlockStatus::Done, |one| ended.push((one.tag, one.was_merged)));
    assert_eq!(ended, [(2, false), (0, true), (1, true), (4, true)]);
}

#[test]
fn a_batch_that_fails_is_tried_one_by_one() {
    let mut queue = Queue::new(DEVICE, Scheduler::None);
    put(&mut queue, 0, Operation::Write, 0, 2);
    put(&mut queue, 1, Operation::Write, 2, 2);
    put(&mut queue, 2, Operation::Write, 1, 2);
    let (number, batch) = queue.take(0, |_| ()).expect("a batch");
    assert_eq!(batch.members, 2);
    queue.end(number, BlockStatus::Device, |_| panic!("nothing has ended"));
    let mut ended = Vec::new();
    for _ in 0..3 {
        let (number, batch) = queue.take(0, |_| ()).expect("a batch");
        let status = if batch.request.sector == 2 { BlockStatus::Device } else { BlockStatus::Done };
        queue.end(number, status, |one| ended.push((one.tag, one.status)));
    }
    // The one that came last still goes last.
    assert_eq!(ended, [(0, BlockStatus::Done), (1, BlockStatus::Device), (2, BlockStatus::Done)]);
}

#[test]
fn flushes_that_wait_share_one() {
    let mut queue = Queue::new(DEVICE, Scheduler::None);
    put(&mut queue, 0, Operation::Flush, 0, 0);
    let (first, _) = queue.take(0, |_| ()).expect("a flush");
    put(&mut queue, 1, Operation::Flush, 0, 0);
    put(&mut queue, 2, Operation::Flush, 0, 0);
    let mut ended = Vec::new();
    queue.end(first, BlockStatus::Done, |one| ended.push(one.tag));
    assert_eq!(ended, [0]);
    let (second, batch) = queue.take(0, |_| ()).expect("a flush");
    assert_eq!(batch.members, 2);
    queue.end(second, BlockStatus::Device, |one| ended.push(one.tag));
    assert_eq!(ended, [0, 1, 2]);
    queue.set_device(Device { has_cache: false, ..DEVICE });
    put(&mut queue, 3, Operation::Flush, 0, 0);
    assert!(queue.take(0, |one| ended.push(one.tag)).is_none() && ended == [0, 1, 2, 3]);
}
