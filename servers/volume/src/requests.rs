//! The requests in flight on one disk: several parts of a volume share it, and each gets its own completions.

use crate::disk::{Buffer, Disk, DiskError, Geometry, Operation, Refused, Request, SECTOR_BYTES};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use core::cell::RefCell;
use core::ops::Range;
use libsys::Memory;

/// Who started a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The page cache: file data.
    Pages = 0,
    /// The overlay: metadata that is read, and what drains.
    Overlay = 1,
    /// Zeros behind the end of a file.
    Zeros = 2,
}

const OWNERS: usize = 3;

/// A completion: which request, and how it ended.
pub type Completion = (u64, Result<(), DiskError>);

/// The requests on a disk.
pub struct Requests {
    disk: Box<dyn Disk>,
    /// Accepted here, not yet by the disk.
    waiting: VecDeque<(u64, Request)>,
    in_flight: BTreeMap<u64, (Owner, Operation)>,
    /// The sectors of the writes that the disk has.
    writing: BTreeMap<u64, Range<u64>>,
    done: [VecDeque<Completion>; OWNERS],
    next: u64,
}

/// The requests of a volume, as its parts share them.
pub type SharedRequests = Rc<RefCell<Requests>>;

impl Requests {
    /// On this disk.
    pub fn new(disk: Box<dyn Disk>) -> SharedRequests {
        let done = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
        Rc::new(RefCell::new(Requests {
            disk,
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            writing: BTreeMap::new(),
            done,
            next: 1,
        }))
    }

    /// What the disk is like.
    pub fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    /// Lends Memory for requests to name. Error: `Exhausted`.
    pub fn lend(&mut self, memory: &Memory) -> Result<Buffer, DiskError> {
        self.disk.lend(memory)
    }

    /// Starts a request, and returns its number. It may wait here for room in the disk's queue.
    pub fn start(&mut self, owner: Owner, request: Request) -> u64 {
        if request.operation != Operation::Read {
            crate::kept::step();
        }
        let id = self.next;
        self.next += 1;
        self.in_flight.insert(id, (owner, request.operation));
        self.waiting.push_back((id, request));
        self.submit();
        id
    }

    /// Hands on what waits for room in the disk's queue, or, on a damaged volume where two files have one block, for an overlapping write.
    fn submit(&mut self) {
        while let Some((id, request)) = self.waiting.front() {
            let sectors = request.sector..request.sector.saturating_add(request.bytes() / SECTOR_BYTES);
            let write = request.operation == Operation::Write;
            if write && self.writing.values().any(|other| other.start < sectors.end && sectors.start < other.end) {
                return;
            }
            match self.disk.submit(*id, request) {
                Ok(()) if write => drop(self.writing.insert(*id, sectors)),
                Ok(()) => {}
                Err(Refused::Full) => return,
                Err(Refused::Failed(error)) => {
                    let id = *id;
                    self.complete(id, Err(error));
                }
            }
            self.waiting.pop_front();
        }
    }

    fn complete(&mut self, id: u64, result: Result<(), DiskError>) {
        self.writing.remove(&id);
        // A completion of nothing that is in flight is the driver's error, and nobody's.
        if let Some((owner, _)) = self.in_flight.remove(&id) {
            self.done[owner as usize].push_back((id, result));
        }
    }

    /// Takes what the disk has completed. Does not wait.
    pub fn pump(&mut self) {
        while let Some((id, result)) = self.disk.poll() {
            self.complete(id, result);
        }
        self.submit();
    }

    /// A completion of this owner's, if there is one. Does not wait.
    pub fn take(&mut self, owner: Owner) -> Option<Completion> {
        self.done[owner as usize].pop_front()
    }

    /// Waits until this owner has a completion, or nothing in flight.
    pub fn wait(&mut self, owner: Owner) {
        self.pump();
        while self.done[owner as usize].is_empty() && self.in_flight.values().any(|(who, _)| *who == owner) {
            self.disk.wait();
            self.pump();
        }
    }

    /// Waits until anybody has a completion, or nothing is in flight.
    pub fn wait_any(&mut self) {
        let before = self.in_flight.len();
        self.pump();
        while self.in_flight.len() == before && before > 0 {
            self.disk.wait();
            self.pump();
        }
    }

    /// The number of the newest request.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// Whether a write of this owner's up to that number is in flight.
    pub fn older_writes_in_flight(&self, owner: Owner, last: u64) -> bool {
        self.in_flight.range(..=last).any(|(_, what)| *what == (owner, Operation::Write))
    }

    /// Waits for one request of this owner's, and takes its completion.
    pub fn finish(&mut self, owner: Owner, id: u64) -> Result<(), DiskError> {
        loop {
            let done = &mut self.done[owner as usize];
            if let Some(at) = done.iter().position(|(number, _)| *number == id) {
                return done.remove(at).map_or(Err(DiskError::Device), |(_, result)| result);
            }
            if !self.in_flight.contains_key(&id) {
                return Err(DiskError::Device);
            }
            self.disk.wait();
            self.pump();
        }
    }

    /// Runs one request to its end.
    pub fn run(&mut self, owner: Owner, request: Request) -> Result<(), DiskError> {
        let id = self.start(owner, request);
        self.finish(owner, id)
    }

    /// Whether this owner has anything in flight.
    pub fn busy(&self, owner: Owner) -> bool {
        self.in_flight.values().any(|(who, _)| *who == owner)
    }
}
