//! The requests of one disk on their way to its driver: which goes next, and with which others. Plain logic: no system calls.
//!
//! What holds whatever the scheduler does:
//!
//! - A write (also a discard, a fill with zeros) that overlaps an earlier one waits until that has ended: so two of them are never at the driver together, and
//!   after a death of the driver, submitting again what was there cannot turn their order round.
//! - A flush goes to the driver after it came, so it covers every write that was answered before. Flushes that wait at that time share one.
//! - Where the device has a cache and no FUA, a write that asks for it ends with a flush behind it.
//! - Adjacent reads or writes that wait travel as one request. If that fails, each is tried alone, so that only the one that is to blame fails.

use crate::schedule::{Class, Schedule};
use alloc::boxed::Box;
use alloc::vec::Vec;
use libsys::block::Segment;
use libsys::protocol::block::{BlockStatus, Flags, MOST_SEGMENTS, Operation};
use libsys::protocol::disks::Scheduler;

/// What a driver can do, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Requests that it gets at a time.
    pub depth: usize,
    /// Most sectors of one read or write.
    pub most_sectors: u32,
    /// Most segments of a request.
    pub most_segments: usize,
    /// It has a cache that is to be flushed.
    pub has_cache: bool,
    /// It honours FUA.
    pub fua: bool,
}

/// A request, on the sectors of the disk and in the disk's buffers.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// It is to be on the medium when it is answered.
    pub fua: bool,
    /// First sector.
    pub sector: u64,
    /// Sectors.
    pub sectors: u32,
    /// Its data.
    pub segments: Segments,
}

impl Default for Request {
    fn default() -> Request {
        let segments = Segments::default();
        Request { operation: Operation::Flush, fua: false, sector: 0, sectors: 0, segments }
    }
}

impl Clone for Request {
    fn clone(&self) -> Request {
        let mut copy = Request::default();
        copy.clone_from(self);
        copy
    }

    fn clone_from(&mut self, other: &Request) {
        (self.operation, self.fua, self.sector, self.sectors) =
            (other.operation, other.fua, other.sector, other.sectors);
        self.segments.clone_from(&other.segments);
    }
}

impl Request {
    fn end(&self) -> u64 {
        self.sector + u64::from(self.sectors)
    }

    fn overlaps(&self, other: &Request) -> bool {
        self.sector < other.end() && other.sector < self.end()
    }
}

/// Segments, in place. There is room for many where there mostly are few: so they are written over ([`Clone::clone_from`]), not moved.
#[derive(Debug, Default)]
pub struct Segments {
    all: [Segment; MOST_SEGMENTS],
    count: usize,
}

impl PartialEq for Segments {
    fn eq(&self, other: &Segments) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Segments {}

impl Clone for Segments {
    fn clone(&self) -> Segments {
        let mut copy = Segments::default();
        copy.clone_from(self);
        copy
    }

    fn clone_from(&mut self, other: &Segments) {
        self.all[..other.count].copy_from_slice(other.as_slice());
        self.count = other.count;
    }
}

impl Segments {
    /// Takes all out.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds one, to the last one where that ends in its place; whether there was room below `most`.
    #[must_use]
    pub fn push(&mut self, segment: Segment, most: usize) -> bool {
        if let Some(last) = self.all[..self.count].last_mut()
            && last.buffer == segment.buffer
            && last.offset.checked_add(last.bytes.into()) == Some(segment.offset)
            && let Some(bytes) = last.bytes.checked_add(segment.bytes)
        {
            last.bytes = bytes;
            return true;
        }
        if self.count >= most.min(MOST_SEGMENTS) {
            return false;
        }
        self.all[self.count] = segment;
        self.count += 1;
        true
    }

    /// Them.
    pub fn as_slice(&self) -> &[Segment] {
        &self.all[..self.count]
    }

    /// These and others behind them, if there is room.
    fn joined(&self, others: &Segments, most: usize) -> Option<Segments> {
        let mut joined = self.clone();
        others.as_slice().iter().all(|segment| joined.push(*segment, most)).then_some(joined)
    }
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    Waiting,
    /// At the driver.
    Away,
    /// Done, but for a flush.
    Flushing,
}

#[derive(Debug)]
struct Slot<T> {
    tag: T,
    request: Request,
    place: Place,
    /// When it came.
    arrival: u64,
    /// The how manieth it is.
    order: u64,
    /// It is not to be merged.
    is_alone: bool,
    /// The round of choosing in which it turned out that it has to wait.
    blocked_in: u64,
    /// The next of those that travel together.
    next: Option<usize>,
}

impl<T> Slot<T> {
    fn new(tag: T) -> Slot<T> {
        let (request, place) = (Request::default(), Place::Free);
        Slot { tag, request, place, arrival: 0, order: 0, is_alone: false, blocked_in: 0, next: None }
    }
}

/// What travels to the driver as one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The request.
    pub request: Request,
    first: usize,
    members: usize,
}

impl Batch {
    /// The request's flags.
    pub fn flags(&self) -> Flags {
        if self.request.fua { Flags::FUA } else { Flags::NONE }
    }
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// What it was put in with.
    pub tag: T,
    /// How it ended.
    pub status: BlockStatus,
    /// What it was.
    pub operation: Operation,
    /// Its sectors.
    pub sectors: u32,
    /// When it came.
    pub arrival: u64,
    /// It travelled behind another one.
    pub was_merged: bool,
}

/// The requests of a disk.
#[derive(Debug)]
pub struct Queue<T> {
    device: Device,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    /// In order of arrival; no flushes.
    waiting: Vec<usize>,
    /// Flushes, and writes that are done but for one.
    flushing: Vec<usize>,
    is_flush_away: bool,
    /// Batches at the driver, by number.
    away: Vec<Option<Box<Batch>>>,
    /// Those that were there, to be used again.
    #[expect(clippy::vec_box, reason = "they move from here to there, and are large")]
    spare: Vec<Box<Batch>>,
    in_flight: usize,
    schedule: Schedule,
    /// Requests that came so far.
    came: u64,
    /// Rounds of choosing so far.
    rounds: u64,
}

impl<T: Copy> Queue<T> {
    /// An empty queue.
    pub fn new(device: Device, scheduler: Scheduler) -> Queue<T> {
        Queue {
            device,
            slots: Vec::new(),
            free: Vec::new(),
            waiting: Vec::new(),
            flushing: Vec::new(),
            is_flush_away: false,
            away: Vec::new(),
            spare: Vec::new(),
            in_flight: 0,
            schedule: Schedule::new(scheduler),
            came: 0,
            rounds: 0,
        }
    }

    /// Changes what is known of the device.
    pub fn set_device(&mut self, device: Device) {
        self.device = device;
    }

    /// Changes it; what waits is scheduled in the new way.
    pub fn set_scheduler(&mut self, scheduler: Scheduler) {
        self.schedule = Schedule::new(scheduler);
    }

    /// Whether nothing waits and nothing is at the driver.
    pub fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Takes a request in; `now` in nanoseconds. Its sectors are inside of the disk.
    pub fn put(&mut self, tag: T, request: &Request, now: u64) {
        let is_flush = request.operation == Operation::Flush;
        let place = if is_flush { Place::Flushing } else { Place::Waiting };
        self.came += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::new(tag));
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        (slot.tag, slot.place, slot.arrival, slot.order) = (tag, place, now, self.came);
        (slot.is_alone, slot.blocked_in, slot.next) = (false, 0, None);
        slot.request.clone_from(request);
        if is_flush { self.flushing.push(index) } else { self.waiting.push(index) }
    }

    /// What goes to the driver next, if something can: a number for [`Queue::end`], and the request.
    pub fn take(&mut self, now: u64, mut ended: impl FnMut(Ended<T>)) -> Option<(usize, &Batch)> {
        if !self.device.has_cache {
            while let Some(index) = self.flushing.pop() {
                self.finish(index, BlockStatus::Done, false, &mut ended);
            }
        }
        if self.in_flight >= self.device.depth.max(1) {
            return None;
        }
        let mut batch = self.spare.pop().unwrap_or_default();
        if !self.flush(&mut batch) && !self.choose(now, &mut batch) {
            self.spare.push(batch);
            return None;
        }
        self.in_flight += 1;
        let number = self.away.iter().position(Option::is_none).unwrap_or_else(|| {
            self.away.push(None);
            self.away.len() - 1
        });
        Some((number, self.away[number].insert(batch)))
    }

    /// The driver has ended a batch; `ended` hears of the requests that are to be answered.
    pub fn end(&mut self, number: usize, status: BlockStatus, mut ended: impl FnMut(Ended<T>)) {
        let Some(batch) = self.away.get_mut(number).and_then(Option::take) else { return };
        self.in_flight -= 1;
        let is_flush = batch.request.operation == Operation::Flush;
        self.is_flush_away &= !is_flush;
        let needs_flush = !is_flush && status == BlockStatus::Done && self.is_flushed_behind(batch.first);
        let mut next = Some(batch.first);
        let mut at = 0;
        while let Some(index) = next {
            next = self.slots[index].next.take();
            if status != BlockStatus::Done && !is_flush && batch.members > 1 {
                self.slots[index].is_alone = true;
                self.slots[index].place = Place::Waiting;
                // Before those that came later: as it came.
                let order = self.slots[index].order;
                let place = self.waiting.partition_point(|other| self.slots[*other].order < order);
                self.waiting.insert(place, index);
            } else if needs_flush {
                self.slots[index].place = Place::Flushing;
                self.flushing.push(index);
            } else {
                self.finish(index, status, at > 0, &mut ended);
            }
            at += 1;
        }
        self.spare.push(batch);
    }

    fn finish(&mut self, index: usize, status: BlockStatus, was_merged: bool, ended: &mut impl FnMut(Ended<T>)) {
        let slot = &mut self.slots[index];
        slot.place = Place::Free;
        let Request { operation, sectors, .. } = slot.request;
        ended(Ended { tag: slot.tag, status, operation, sectors, arrival: slot.arrival, was_merged });
        self.free.push(index);
    }

    fn is_flushed_behind(&self, index: usize) -> bool {
        self.slots[index].request.fua && self.device.has_cache && !self.device.fua
    }

    /// One flush for all that wait for one: whether there is one now.
    fn flush(&mut self, batch: &mut Batch) -> bool {
        if self.is_flush_away || self.flushing.is_empty() {
            return false;
        }
        let mut next = None;
        batch.members = self.flushing.len();
        for index in self.flushing.drain(..).rev() {
            self.slots[index].place = Place::Away;
            self.slots[index].next = next.replace(index);
            batch.first = index;
        }
        (batch.request.operation, batch.request.fua) = (Operation::Flush, false);
        (batch.request.sector, batch.request.sectors) = (0, 0);
        batch.request.segments.clear();
        self.is_flush_away = true;
        true
    }

    /// Whether a request would overtake a write that it overlaps.
    fn is_blocked(&self, index: usize) -> bool {
        let request = &self.slots[index].request;
        if !request.operation.is_write() {
            return false;
        }
        let conflicts = |other: &Request| other.operation.is_write() && other.overlaps(request);
        self.away.iter().flatten().any(|batch| conflicts(&batch.request))
            || self
                .waiting
                .iter()
                .take_while(|other| **other != index)
                .any(|other| conflicts(&self.slots[*other].request))
    }

    /// The next request by the scheduler, and what can travel with it: whether there is one.
    fn choose(&mut self, now: u64, batch: &mut Batch) -> bool {
        self.rounds += 1;
        let place = loop {
            let mut schedule = self.schedule;
            let candidates = self.waiting.iter().enumerate().map(|(place, index)| (place, &self.slots[*index]));
            let candidates = candidates.filter(|(_, slot)| slot.blocked_in != self.rounds);
            let describe = |(place, slot): (usize, &Slot<T>)| {
                (place, Class::of(slot.request.operation), slot.request.sector, slot.arrival)
            };
            let Some(place) = schedule.choose(candidates.map(describe), now) else { return false };
            let index = self.waiting[place];
            if !self.is_blocked(index) {
                self.schedule = schedule;
                break place;
            }
            self.slots[index].blocked_in = self.rounds;
        };
        let index = self.waiting.remove(place);
        self.slots[index].place = Place::Away;
        let request = &mut batch.request;
        request.clone_from(&self.slots[index].request);
        let (mut first, mut last, mut members) = (index, index, 1);
        let is_mergeable = request.operation.has_data() && !self.slots[index].is_alone;
        while is_mergeable && let Some((place, is_behind)) = self.neighbour(request) {
            let index = self.waiting[place];
            let other = &self.slots[index].request;
            let (before, behind) = if is_behind { (&*request, other) } else { (other, &*request) };
            let Some(segments) = before.segments.joined(&behind.segments, self.device.most_segments) else { break };
            let sector = before.sector;
            request.sectors += other.sectors;
            request.sector = sector;
            request.segments.clone_from(&segments);
            self.waiting.remove(place);
            self.slots[index].place = Place::Away;
            if is_behind {
                self.slots[last].next = Some(index);
                last = index;
            } else {
                self.slots[index].next = Some(first);
                first = index;
            }
            members += 1;
        }
        self.schedule.went(Class::of(request.operation), request.end());
        request.fua &= self.device.fua;
        (batch.first, batch.members) = (first, members);
        true
    }

    /// A request that waits just behind or before this one and can join it: its place among those that wait, and whether it is behind.
    fn neighbour(&self, request: &Request) -> Option<(usize, bool)> {
        self.waiting.iter().enumerate().find_map(|(place, index)| {
            let Slot { request: other, is_alone, .. } = &self.slots[*index];
            let is_behind = other.sector == request.end();
            let can_join = (is_behind || other.end() == request.sector)
                && other.operation == request.operation
                && other.fua == request.fua
                && !is_alone
                && u64::from(request.sectors) + u64::from(other.sectors) <= self.device.most_sectors.into()
                && !self.is_blocked(*index);
            can_join.then_some((place, is_behind))
        })
    }
}

#[cfg(test)]
#[path = "queue/tests.rs"]
mod tests;
