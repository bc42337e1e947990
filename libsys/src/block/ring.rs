//! The queue of a block session: a ring of submissions and a ring of completions in one piece of shared Memory.
//!
//! The client makes it ([`format`]) and shares it with [`crate::protocol::block::Block::attach`]. All numbers are little-endian and aligned:
//!
//! | at | written by | is |
//! |---|---|---|
//! | 0 | client, once | [`MAGIC`], `u32` |
//! | 4 | client, once | depth, `u32`: entries in each ring, a power of two up to [`MOST_DEPTH`] |
//! | 64 | client | submissions put in, `u32` |
//! | 128 | server | completions put in, `u32` |
//! | 192 | both | 1: the client sleeps, and is to be signalled when there are completions, `u32` |
//! | 256 | both | 1: the server sleeps, and is to be signalled when there are submissions, `u32` |
//! | 320 | server | completions, 16 bytes each: id `u64`, status `u32`, 0 `u32` |
//! | behind | client | submissions, [`SUBMISSION_BYTES`] each, at a multiple of 64 |
//!
//! A submission: id `u64`; sector `u64`; sectors `u32`; operation `u8`; flags `u8`; segments `u16`; then so many times buffer `u32`, bytes `u32`,
//! offset `u64`.
//!
//! The counts run freely and wrap. There are no counts of what was taken out: a client has at most *depth* requests outstanding, so neither ring
//! overflows, and an entry can be written anew once its request was completed. Each side keeps its own numbers, believes the other's only as far as
//! that allows ([`BadRing`]), and reads every entry once.
//!
//! A side that runs out of work says that it sleeps, looks once more, and waits for a signal. The other side looks at
//! that word after it has put something in, clears it, and signals: so a busy side is never signalled.

use crate::protocol::block::{BlockStatus, Flags, MOST_SEGMENTS, Operation};
pub use crate::ring::BadRing;
use crate::wire::Shared;
use crate::{Error, WritableMapping};
use core::sync::atomic::{Ordering, fence};

/// Says that Memory holds a queue of this layout.
pub const MAGIC: u32 = 0x5142_4b53;

/// Most entries of a ring.
pub const MOST_DEPTH: u32 = 256;

/// Bytes of a submission.
pub const SUBMISSION_BYTES: usize = 320;

const DEPTH: usize = 4;
const SUBMITTED: usize = 64;
const COMPLETED: usize = 128;
const CLIENT_SLEEPS: usize = 192;
const SERVER_SLEEPS: usize = 256;
const COMPLETIONS: usize = 320;
const COMPLETION_BYTES: usize = 16;
const SEGMENTS: usize = 24;
const SEGMENT_BYTES: usize = 16;

const _: () = assert!(SEGMENTS + MOST_SEGMENTS * SEGMENT_BYTES <= SUBMISSION_BYTES);

/// Bytes of a queue with a depth.
pub const fn memory_bytes(depth: u32) -> u64 {
    (submissions_at(depth) + depth as usize * SUBMISSION_BYTES) as u64
}

const fn submissions_at(depth: u32) -> usize {
    (COMPLETIONS + depth as usize * COMPLETION_BYTES).next_multiple_of(64)
}

const fn is_depth(depth: u32) -> bool {
    depth.is_power_of_two() && depth <= MOST_DEPTH
}

/// A range of lent Memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The number that the Memory was lent under.
    pub buffer: u32,
    /// Bytes.
    pub bytes: u32,
    /// First byte in the Memory.
    pub offset: u64,
}

/// A request as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// What its completion will say: the client's own.
    pub id: u64,
    /// What to do.
    pub operation: Operation,
    /// How.
    pub flags: Flags,
    /// First sector.
    pub sector: u64,
    /// Sectors: of reads and writes it is what the segments hold.
    pub sectors: u32,
    count: u16,
    segments: [Segment; MOST_SEGMENTS],
}

impl Default for Submission {
    fn default() -> Submission {
        Submission {
            id: 0,
            operation: Operation::Flush,
            flags: Flags::NONE,
            sector: 0,
            sectors: 0,
            count: 0,
            segments: [Segment::default(); MOST_SEGMENTS],
        }
    }
}

impl Submission {
    /// A request without segments.
    pub fn new(operation: Operation, sector: u64, sectors: u32) -> Submission {
        Submission { operation, sector, sectors, ..Submission::default() }
    }

    /// Its segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments[..usize::from(self.count)]
    }

    /// Gives it other segments: whether they are not too many.
    #[must_use]
    pub fn set_segments(&mut self, segments: &[Segment]) -> bool {
        let fits = segments.len() <= MOST_SEGMENTS;
        if fits {
            self.segments[..segments.len()].copy_from_slice(segments);
            self.count = segments.len() as u16;
        }
        fits
    }
}

/// Makes an empty queue at the start of a mapping. Error: `BadArgument` (the depth, or no room).
pub fn format(memory: &WritableMapping, depth: u32) -> Result<(), Error> {
    if !is_depth(depth) || memory_bytes(depth) > memory.bytes() as u64 {
        return Err(Error::BadArgument);
    }
    for word in [SUBMITTED, COMPLETED, CLIENT_SLEEPS, SERVER_SLEEPS] {
        memory.word_u32(word).store(0, Ordering::Relaxed);
    }
    memory.word_u32(DEPTH).store(depth, Ordering::Relaxed);
    memory.word_u32(0).store(MAGIC, Ordering::Release);
    Ok(())
}

/// What both sides know.
#[derive(Debug)]
struct Queue {
    memory: WritableMapping,
    start: usize,
    depth: u32,
}

impl Queue {
    fn submission(&self, index: u32) -> usize {
        self.start + submissions_at(self.depth) + (index & (self.depth - 1)) as usize * SUBMISSION_BYTES
    }

    fn completion(&self, index: u32) -> usize {
        self.start + COMPLETIONS + (index & (self.depth - 1)) as usize * COMPLETION_BYTES
    }

    fn load(&self, word: usize) -> u32 {
        self.memory.load_u32(self.start + word, Ordering::Acquire)
    }

    fn store(&self, word: usize, value: u32) {
        self.memory.word_u32(self.start + word).store(value, Ordering::Release);
    }

    /// Publishes a count; whether the other side sleeps, which is then taken note of.
    fn publish(&self, word: usize, count: u32, sleeps: usize) -> bool {
        self.store(word, count);
        // Either this sees that the other side sleeps, or its last look sees the count.
        fence(Ordering::SeqCst);
        let is_asleep = self.load(sleeps) != 0;
        if is_asleep {
            self.store(sleeps, 0);
        }
        is_asleep
    }

    /// Says that this side sleeps, unless the other's count has moved.
    fn sleep(&self, word: usize, seen: u32, sleeps: usize) -> bool {
        // Where that was said and the other side has not taken note of it, it still sees it.
        if self.load(sleeps) == 0 {
            self.store(sleeps, 1);
            fence(Ordering::SeqCst);
        }
        if self.load(word) == seen {
            return true;
        }
        self.store(sleeps, 0);
        false
    }
}

/// The client's side.
#[derive(Debug)]
pub struct ClientRing {
    queue: Queue,
    submitted: u32,
    published: u32,
    taken: u32,
}

impl ClientRing {
    /// Makes the queue empty, and takes its client's side. Error: `BadArgument` (the depth, or no room).
    pub fn new(memory: WritableMapping, depth: u32) -> Result<ClientRing, Error> {
        format(&memory, depth)?;
        Ok(ClientRing { queue: Queue { memory, start: 0, depth }, submitted: 0, published: 0, taken: 0 })
    }

    /// Makes the queue empty again, for another attachment.
    pub fn reset(&mut self) -> Result<(), Error> {
        format(&self.queue.memory, self.queue.depth)?;
        (self.submitted, self.published, self.taken) = (0, 0, 0);
        Ok(())
    }

    /// Requests that can be outstanding.
    pub fn depth(&self) -> u32 {
        self.queue.depth
    }

    /// Requests that were put in and whose completion was not taken out.
    pub fn outstanding(&self) -> u32 {
        self.submitted.wrapping_sub(self.taken)
    }

    /// Puts a request in; the server sees it after [`ClientRing::publish`]. `false` when *depth* requests are outstanding.
    #[must_use]
    pub fn submit(&mut self, request: &Submission) -> bool {
        self.submit_as(request, |buffer| buffer)
    }

    /// The same with other numbers of buffers: those that the server knows.
    #[must_use]
    pub fn submit_as(&mut self, request: &Submission, name: impl Fn(u32) -> u32) -> bool {
        if self.outstanding() >= self.queue.depth {
            return false;
        }
        let (at, memory) = (self.queue.submission(self.submitted), &self.queue.memory);
        let store = |offset: usize, value: u64| memory.word_u64(at + offset).store(value, Ordering::Relaxed);
        store(0, request.id);
        store(8, request.sector);
        let kind = request.operation as u64 | u64::from(request.flags.0) << 8 | u64::from(request.count) << 16;
        store(16, u64::from(request.sectors) | kind << 32);
        for (index, segment) in request.segments().iter().enumerate() {
            let offset = SEGMENTS + index * SEGMENT_BYTES;
            store(offset, u64::from(name(segment.buffer)) | u64::from(segment.bytes) << 32);
            store(offset + 8, segment.offset);
        }
        self.submitted = self.submitted.wrapping_add(1);
        true
    }

    /// Lets the server see what was put in: whether it is to be signalled.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        if self.published == self.submitted {
            return false;
        }
        self.published = self.submitted;
        self.queue.publish(SUBMITTED, self.submitted, SERVER_SLEEPS)
    }

    /// Takes a completion out: id and status.
    pub fn pop(&mut self) -> Result<Option<(u64, BlockStatus)>, BadRing> {
        let there = self.queue.load(COMPLETED).wrapping_sub(self.taken);
        if there == 0 {
            return Ok(None);
        }
        if there > self.outstanding() {
            return Err(BadRing);
        }
        let (at, memory) = (self.queue.completion(self.taken), &self.queue.memory);
        let id = memory.load_u64(at, Ordering::Relaxed);
        let status = BlockStatus::from_number(memory.load_u32(at + 8, Ordering::Relaxed)).ok_or(BadRing)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some((id, status)))
    }

    /// Asks for a signal at the next completion: whether there is none yet, so that waiting is right.
    #[must_use]
    pub fn sleep(&mut self) -> bool {
        self.queue.sleep(COMPLETED, self.taken, CLIENT_SLEEPS)
    }
}

/// The server's side.
#[derive(Debug)]
pub struct ServerRing {
    queue: Queue,
    taken: u32,
    completed: u32,
    published: u32,
}

impl ServerRing {
    /// The server's side of a queue that a client shares. It must be new: nothing in it yet.
    pub fn attach(shared: &Shared) -> Result<ServerRing, BadRing> {
        let start = usize::try_from(shared.offset).map_err(|_| BadRing)?;
        if !start.is_multiple_of(64) || shared.bytes < memory_bytes(1) {
            return Err(BadRing);
        }
        let memory = shared.memory.map_writable().map_err(|_| BadRing)?;
        let is_inside = shared.offset.checked_add(shared.bytes).is_some_and(|end| end <= memory.bytes() as u64);
        if !is_inside || memory.load_u32(start, Ordering::Acquire) != MAGIC {
            return Err(BadRing);
        }
        let depth = memory.load_u32(start + DEPTH, Ordering::Acquire);
        if !is_depth(depth) || memory_bytes(depth) > shared.bytes {
            return Err(BadRing);
        }
        let queue = Queue { memory, start, depth };
        if queue.load(COMPLETED) != 0 || queue.load(SUBMITTED) > depth {
            return Err(BadRing);
        }
        Ok(ServerRing { queue, taken: 0, completed: 0, published: 0 })
    }

    /// Requests that can be outstanding.
    pub fn depth(&self) -> u32 {
        self.queue.depth
    }

    /// Requests that were taken out and not completed.
    pub fn in_flight(&self) -> u32 {
        self.taken.wrapping_sub(self.completed)
    }

    /// Takes a request out: whether there was one. Every field is read once. Errors: more requests than can be outstanding; an operation or a
    /// number of segments that means nothing.
    pub fn pop(&mut self, request: &mut Submission) -> Result<bool, BadRing> {
        let there = self.queue.load(SUBMITTED).wrapping_sub(self.taken);
        if there == 0 {
            return Ok(false);
        }
        if there.checked_add(self.in_flight()).is_none_or(|all| all > self.queue.depth) {
            return Err(BadRing);
        }
        let (at, memory) = (self.queue.submission(self.taken), &self.queue.memory);
        let load = |offset: usize| memory.load_u64(at + offset, Ordering::Relaxed);
        let word = load(16);
        let [operation, flags, low, high] = ((word >> 32) as u32).to_le_bytes();
        let count = u16::from_le_bytes([low, high]);
        if usize::from(count) > MOST_SEGMENTS {
            return Err(BadRing);
        }
        request.operation = Operation::from_number(operation).ok_or(BadRing)?;
        (request.id, request.sector, request.sectors) = (load(0), load(8), word as u32);
        (request.flags, request.count) = (Flags(flags), count);
        for (index, segment) in request.segments[..usize::from(count)].iter_mut().enumerate() {
            let offset = SEGMENTS + index * SEGMENT_BYTES;
            let word = load(offset);
            *segment = Segment { buffer: word as u32, bytes: (word >> 32) as u32, offset: load(offset + 8) };
        }
        self.taken = self.taken.wrapping_add(1);
        Ok(true)
    }

    /// Puts a completion in; the client sees it after [`ServerRing::publish`]. `false`: nothing is in flight.
    #[must_use]
    pub fn complete(&mut self, id: u64, status: BlockStatus) -> bool {
        if self.in_flight() == 0 {
            return false;
        }
        let (at, memory) = (self.queue.completion(self.completed), &self.queue.memory);
        memory.word_u64(at).store(id, Ordering::Relaxed);
        memory.word_u64(at + 8).store(status as u64, Ordering::Relaxed);
        self.completed = self.completed.wrapping_add(1);
        true
    }

    /// Lets the client see the completions: whether it is to be signalled.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        if self.published == self.completed {
            return false;
        }
        self.published = self.completed;
        self.queue.publish(COMPLETED, self.completed, CLIENT_SLEEPS)
    }

    /// Asks for a signal at the next submission: whether there is none yet, so that waiting is right.
    #[must_use]
    pub fn sleep(&mut self) -> bool {
        self.queue.sleep(SUBMITTED, self.taken, SERVER_SLEEPS)
    }
}
