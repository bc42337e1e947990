//! A disk for tests on the host: an image in memory, completions late and in any order, writes recorded so that the power can be cut
//! anywhere afterwards, and errors on demand.

use crate::disk::{Buffer, Disk, DiskError, Geometry, Operation, Refused, Request, SECTOR_BYTES};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use libsys::{Memory, WritableMapping};

/// A sequence of numbers that look random, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end.max(1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What happened on a disk.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes were written at a sector.
    Write(u64, Vec<u8>),
    /// Everything before is on the medium.
    Flush,
    /// Something that the test wants to find again.
    Mark(u64),
}

/// The image and the history of a [`FakeDisk`].
pub struct Image {
    /// What a read sees.
    pub bytes: Vec<u8>,
    /// Everything that was written, in the order of completion; kept when `tracing`.
    pub trace: Vec<Event>,
    /// Whether to keep it.
    pub tracing: bool,
    /// Fails writes from now on, if set.
    pub fail_writes: bool,
    /// Fails reads of these sectors.
    pub bad_sectors: Vec<u64>,
    /// Requests completed: reads, writes, flushes, and bytes of the first two.
    pub counts: [u64; 5],
}

/// An image that a test keeps while a disk uses it.
pub type SharedImage = Rc<RefCell<Image>>;

impl Image {
    /// With these bytes.
    pub fn new(bytes: Vec<u8>) -> SharedImage {
        Rc::new(RefCell::new(Image {
            bytes,
            trace: Vec::new(),
            tracing: false,
            fail_writes: false,
            bad_sectors: Vec::new(),
            counts: [0; 5],
        }))
    }

    /// Marks this moment in the trace.
    pub fn mark(&mut self, number: u64) {
        self.trace.push(Event::Mark(number));
    }
}

/// The image after a power cut behind the first `events` of a trace: what was flushed is there, of the rest each sector or not.
pub fn cut(initial: &[u8], trace: &[Event], events: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = initial.to_vec();
    let trace = &trace[..events];
    let flushed = trace.iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
    // Some cuts lose all that was not flushed, some nothing, some a part.
    let style = dice.below(3);
    for (index, event) in trace.iter().enumerate() {
        let Event::Write(sector, data) = event else { continue };
        for (number, piece) in data.chunks(SECTOR_BYTES as usize).enumerate() {
            let kept = index < flushed || style == 1 || (style == 2 && dice.below(2) == 0);
            if kept {
                let at = ((sector + number as u64) * SECTOR_BYTES) as usize;
                bytes[at..at + piece.len()].copy_from_slice(piece);
            }
        }
    }
    bytes
}

/// A disk in memory.
pub struct FakeDisk {
    image: SharedImage,
    geometry: Geometry,
    lent: Vec<WritableMapping>,
    queue: Vec<(u64, Request)>,
    done: VecDeque<(u64, Result<(), DiskError>)>,
    dice: Dice,
    depth: usize,
}

/// What the death of a server is to a test: see [`end_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death;

std::thread_local! {
    static FUSE: core::cell::Cell<u64> = const { core::cell::Cell::new(u64::MAX) };
}

/// Ends the thread's server, by a panic with [`Death`], at the step with this number from now on: steps are the moments between the stores that count. Returns how many were left before.
pub fn end_after(steps: u64) -> u64 {
    FUSE.replace(steps)
}

/// A step.
pub(crate) fn step() {
    let left = FUSE.get();
    if left != u64::MAX {
        FUSE.set(left.wrapping_sub(1));
        if left == 0 {
            FUSE.set(u64::MAX);
            std::panic::resume_unwind(std::boxed::Box::new(Death));
        }
    }
}

/// Whatever becomes of who has submitted them, the disk does what was submitted.
impl Drop for FakeDisk {
    fn drop(&mut self) {
        while !self.queue.is_empty() {
            self.run();
        }
    }
}

impl FakeDisk {
    /// With this image; the seed decides about the order of completions.
    pub fn new(image: SharedImage, seed: u64) -> FakeDisk {
        let sectors = image.borrow().bytes.len() as u64 / SECTOR_BYTES;
        let geometry = Geometry { sectors, block_bytes: 512, read_only: false, most_bytes: 1 << 20, most_segments: 16 };
        let (lent, queue, done) = (Vec::new(), Vec::new(), VecDeque::new());
        FakeDisk { image, geometry, lent, queue, done, dice: Dice::new(seed), depth: 32 }
    }

    /// Nothing can be written to it.
    pub fn read_only(mut self) -> FakeDisk {
        self.geometry.read_only = true;
        self
    }

    fn run(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let at = self.dice.below(self.queue.len() as u64) as usize;
        let (id, request) = self.queue.remove(at);
        let result = self.perform(&request);
        self.done.push_back((id, result));
    }

    fn perform(&mut self, request: &Request) -> Result<(), DiskError> {
        let mut image = self.image.borrow_mut();
        let mut sector = request.sector;
        let kind = match request.operation {
            Operation::Read => 0,
            Operation::Write => 1,
            Operation::Flush => 2,
        };
        image.counts[kind] += 1;
        if request.operation == Operation::Flush {
            if image.tracing {
                image.trace.push(Event::Flush);
            }
            return Ok(());
        }
        image.counts[3 + kind] += request.bytes();
        if request.operation == Operation::Write && image.fail_writes {
            return Err(DiskError::Device);
        }
        let sectors = sector..sector + request.bytes() / SECTOR_BYTES;
        if request.operation == Operation::Read && image.bad_sectors.iter().any(|bad| sectors.contains(bad)) {
            return Err(DiskError::Device);
        }
        let mut written = Vec::new();
        for segment in &request.segments {
            let at = (sector * SECTOR_BYTES) as usize;
            let memory = &self.lent[segment.buffer.0 as usize];
            let range = at..at + segment.bytes as usize;
            match request.operation {
                Operation::Read => memory.copy_in(segment.offset as usize, &image.bytes[range]),
                _ => {
                    let mut bytes = vec![0; segment.bytes as usize];
                    memory.copy_out(segment.offset as usize, &mut bytes);
                    image.bytes[range].copy_from_slice(&bytes);
                    written.extend(bytes);
                }
            }
            sector += u64::from(segment.bytes) / SECTOR_BYTES;
        }
        if image.tracing && request.operation == Operation::Write {
            image.trace.push(Event::Write(request.sector, written));
        }
        Ok(())
    }

    /// Panics if two writes overlap: their owner must not do that. (A read of blocks that are being written may be asked for by who reads ahead.)
    fn check_overlap(&self, request: &Request) {
        let range = |request: &Request| request.sector..request.sector + request.bytes() / SECTOR_BYTES;
        let new = range(request);
        for (_, other) in &self.queue {
            let old = range(other);
            let writes = request.operation == Operation::Write && other.operation == Operation::Write;
            assert!(
                !writes || new.start >= old.end || old.start >= new.end,
                "overlapping requests: {request:?} and {other:?}"
            );
        }
    }
}

impl Disk for FakeDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn lend(&mut self, memory: &Memory) -> Result<Buffer, DiskError> {
        self.lent.push(memory.map_writable().map_err(|_| DiskError::Exhausted)?);
        Ok(Buffer(self.lent.len() as u32 - 1))
    }

    fn submit(&mut self, id: u64, request: &Request) -> Result<(), Refused> {
        if self.queue.len() + self.done.len() >= self.depth {
            return Err(Refused::Full);
        }
        let bytes = request.bytes();
        let sectors = bytes / SECTOR_BYTES;
        let fits = request.sector.checked_add(sectors).is_some_and(|end| end <= self.geometry.sectors)
            && bytes.is_multiple_of(SECTOR_BYTES)
            && bytes <= u64::from(self.geometry.most_bytes)
            && request.segments.len() <= self.geometry.most_segments;
        if !fits {
            return Err(Refused::Failed(DiskError::OutOfRange));
        }
        if request.operation == Operation::Write && self.geometry.read_only {
            return Err(Refused::Failed(DiskError::ReadOnly));
        }
        self.check_overlap(request);
        self.queue.push((id, request.clone()));
        Ok(())
    }

    fn poll(&mut self) -> Option<(u64, Result<(), DiskError>)> {
        if self.done.is_empty() && self.dice.once_in(2) {
            self.run();
        }
        self.done.pop_front()
    }

    fn wait(&mut self) {
        if self.done.is_empty() {
            self.run();
        }
    }
}
