//! How the overlay drains to the disk, in order.
//!
//! With a journal: the blocks that changed since the last transaction are written to the journal as one, after the file data that was
//! submitted before (so no block of a file is reachable before its data is there): *log*, flush, *commit block*, flush. From then on
//! the records are durable. Later, at leisure or when frames or the journal are short, the images go to their home places: *home*, flush,
//! journal superblock (*tail*), flush; only then are the frames clean and the journal's space free.
//!
//! Without a journal the images go home at once: home, flush. What is flushed is durable; a power cut in between leaves some blocks new and some old.
//!
//! What a later incarnation has to know lies beside the log: which frames are those of the transaction under way, and which are in the journal ([`crate::log::Role`]), and where in the journal that is. A
//! transaction that was under way at a death is written again, from the same images to the same places: so the disk is as if it had been written once, whatever of it was there already, and the next one comes behind it.
//! Without a journal everything that is committed and not at home goes there again.
//!
//! Everything is a step that starts requests, or takes completions: [`Overlay::advance`] never waits. A write that fails ends all writing, as the
//! disk is in between then; what is committed stays in memory.

use crate::disk::{DiskError, Operation, Request};
use crate::log::{POSITION_WORDS, Role};
use crate::overlay::{Overlay, OverlayError};
use crate::requests::Owner;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

/// What a block of the journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogImage {
    /// The image of the block with this index in the transaction.
    Block(usize),
    /// These bytes: one block.
    Bytes(Vec<u8>),
}

/// A transaction in the journal's format.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// What comes first, each with its block on the disk.
    pub writes: Vec<(u64, LogImage)>,
    /// What makes it count, when everything else is on the medium.
    pub commit: (u64, Vec<u8>),
}

/// A journal's format.
pub trait Journal {
    /// Most blocks of a transaction, in an empty journal.
    fn largest(&self) -> usize;

    /// Whether a transaction of so many blocks fits now.
    fn fits(&self, blocks: usize) -> bool;

    /// The next transaction: of these blocks, whose images `image` reads. The same of the same at the same place and time.
    fn begin(&mut self, blocks: &[u64], time: u64, image: &mut dyn FnMut(usize, &mut [u8])) -> Transaction;

    /// The time that a transaction gets which begins now.
    fn now(&self) -> u64;

    /// Where the next transaction goes, and what is in use.
    fn place(&self) -> [u64; 3];

    /// Goes on where an earlier incarnation was.
    fn resume(&mut self, place: [u64; 3]);

    /// Everything that is in the journal is about to go home: what has to be written when it is. The space is free after [`Journal::emptied`].
    fn tail(&mut self) -> (u64, Vec<u8>);

    /// What [`Journal::tail`] gave is on the medium.
    fn emptied(&mut self);

    /// What says that the journal is empty and nobody uses it.
    fn close(&mut self) -> (u64, Vec<u8>);

    /// What says that there may be something in it again.
    fn open(&mut self) -> (u64, Vec<u8>);
}

/// Where the drain is.
enum Stage {
    Idle,
    /// Begins a transaction again that an earlier incarnation had begun.
    Again,
    /// Waits for the file data that was submitted up to this request; the images are taken already.
    Data(u64),
    /// Writes the transaction; what is left to write.
    Log,
    LogFlush,
    Commit,
    CommitFlush,
    Home,
    HomeFlush,
    Tail,
    TailFlush,
}

/// Where the drain is, as the next incarnation has to know.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The number of the transaction under way; 0: none.
    current: u64,
    /// The last that is durable, and the last whose blocks are at home.
    durable: u64,
    home: u64,
    /// Where the journal goes on: behind `durable`.
    place: [u64; 3],
    /// Of the transaction under way: its time, and the record up to which it makes everything durable.
    time: u64,
    boundary: u64,
    /// The disk says that the journal is not in use.
    is_closed: bool,
}

impl Position {
    fn of(words: [u64; POSITION_WORDS]) -> Position {
        let [current, durable, home, head, number, used, time, boundary, is_closed, _] = words;
        let place = [head, number, used];
        Position { current, durable, home, place, time, boundary, is_closed: is_closed != 0 }
    }

    fn words(&self) -> [u64; POSITION_WORDS] {
        let [head, number, used] = self.place;
        let Position { current, durable, home, time, boundary, .. } = *self;
        [current, durable, home, head, number, used, time, boundary, self.is_closed.into(), 0]
    }
}

/// The state of the drain.
pub struct Drain {
    journal: Option<Box<dyn Journal>>,
    position: Position,
    /// There is one of an earlier incarnation.
    is_resumed: bool,
    /// The largest number that a transaction had.
    newest: u64,
    stage: Stage,
    /// Requests of this stage in flight, and whether one failed.
    in_flight: BTreeSet<u64>,
    error: Option<DiskError>,
    /// Records up to this one survive a power cut.
    durable: u64,
    /// What the transaction on its way has made durable when it is done.
    boundary: u64,
    /// Somebody waits for records up to this one.
    wanted: u64,
    /// The images must go home, whether there is room or not.
    checkpoint: bool,
    /// The blocks of the transaction, or those that go home, with their frames, held.
    taken: Vec<(u64, u32)>,
    /// Frames with bytes that only this stage needs.
    staged: Vec<u32>,
    commit: Option<(u64, Vec<u8>)>,
    /// Blocks in the journal and not at home, with the newest image there.
    pub(crate) logged: BTreeMap<u64, u32>,
    /// Counts for measurements: transactions, blocks logged, blocks home.
    pub counts: Counts,
}

/// What a drain has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that became durable.
    pub transactions: u64,
    /// Blocks in them.
    pub logged: u64,
    /// Blocks written to their home places.
    pub home: u64,
    /// Flushes.
    pub flushes: u64,
}

impl Drain {
    pub(crate) fn new(durable: u64) -> Drain {
        Drain {
            journal: None,
            position: Position::default(),
            is_resumed: false,
            newest: 0,
            stage: Stage::Idle,
            in_flight: BTreeSet::new(),
            error: None,
            durable,
            boundary: durable,
            wanted: 0,
            checkpoint: false,
            taken: Vec::new(),
            staged: Vec::new(),
            commit: None,
            logged: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.error.is_some()
    }

    pub(crate) fn largest(&self) -> usize {
        self.journal.as_ref().map_or(usize::MAX, |journal| journal.largest())
    }
}

impl Overlay {
    /// Drains through this journal from now on. There is nothing in it, or what an earlier incarnation has written.
    pub fn set_journal(&mut self, mut journal: Box<dyn Journal>) {
        if self.drain.is_resumed {
            journal.resume(self.drain.position.place);
        }
        self.drain.journal = Some(journal);
        self.note_position();
    }

    /// Stores where the drain is, with where the journal is now.
    fn note_position(&mut self) {
        if let Some(journal) = &self.drain.journal {
            self.drain.position.place = journal.place();
            self.log.set_position(self.drain.position.words());
        }
    }

    /// Whether the disk says that the journal is not in use, or may say so.
    pub fn is_closed(&self) -> bool {
        self.drain.position.is_closed
    }

    /// Notes that: before it is written there, and when the opposite is.
    pub fn set_closed(&mut self, is_closed: bool) {
        self.drain.position.is_closed = is_closed;
        self.note_position();
    }

    /// Finds what an earlier incarnation has left: what is under way, what is in the journal, and what is in no transaction yet.
    pub(crate) fn reopen_drain(&mut self) {
        if let Some(words) = self.log.position() {
            (self.drain.position, self.drain.is_resumed) = (Position::of(words), true);
        }
        let Position { current, durable, home, .. } = self.drain.position;
        let mut taken: BTreeMap<u64, u32> = BTreeMap::new();
        let mut logged: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
        self.drain.newest = current.max(durable);
        for frame in 0..self.log.frames() {
            let Some(Role { transaction, block }) = self.log.role(frame) else { continue };
            if transaction == current {
                taken.insert(block, frame);
            } else if transaction > durable {
                // Of one that was never begun: nobody may take it for another one with its number.
                self.log.set_role(frame, Role { transaction: 0, block: 0 });
            } else if transaction > home && logged.get(&block).is_none_or(|(other, _)| *other < transaction) {
                logged.insert(block, (transaction, frame));
            }
        }
        self.drain.taken = taken.into_iter().collect();
        self.drain.logged = logged.into_iter().map(|(block, (_, frame))| (block, frame)).collect();
        let held = self.drain.taken.iter().map(|(_, frame)| *frame).chain(self.drain.logged.values().copied());
        for frame in held.collect::<Vec<u32>>() {
            self.hold(frame);
        }
        let is_taken = |block: &u64, frame: u32| {
            self.drain.logged.get(block) == Some(&frame) || self.drain.taken.binary_search(&(*block, frame)).is_ok()
        };
        let fresh = self.map.iter().filter(|(block, image)| !is_taken(block, image.frame));
        self.fresh = fresh.map(|(block, _)| *block).collect();
        if current != 0 {
            self.drain.stage = Stage::Again;
        }
        if current != 0 || !self.fresh.is_empty() {
            self.drain.durable = 0;
        }
    }

    /// What the drain has done.
    pub fn counts(&self) -> Counts {
        self.drain.counts
    }

    /// Asks for all records so far to become durable. Returns the number to ask [`Overlay::is_durable`] for.
    pub fn want_durable(&mut self) -> u64 {
        let last = self.log.next() - 1;
        self.drain.wanted = self.drain.wanted.max(last);
        last
    }

    /// Whether records up to this one are durable. Error: `Failed`: they will not be.
    pub fn is_durable(&self, record: u64) -> Result<bool, OverlayError> {
        match self.drain.durable >= record {
            true => Ok(true),
            false if self.drain.failed() => Err(OverlayError::Failed),
            false => Ok(false),
        }
    }

    /// Waits until all records so far are durable. Errors: `Failed`, `Disk`; `TooLarge` (something is prepared and not settled, or changed in place, so nothing drains).
    pub fn make_durable(&mut self) -> Result<(), OverlayError> {
        if self.prepared().is_some() || self.is_changed {
            return Err(OverlayError::TooLarge);
        }
        let record = self.want_durable();
        while !self.is_durable(record)? {
            self.advance();
            if !self.is_durable(record)? {
                self.wait();
            }
        }
        Ok(())
    }

    /// Waits until every committed image is at home, and the journal is empty.
    pub fn empty(&mut self) -> Result<(), OverlayError> {
        self.make_durable()?;
        if self.drain.journal.is_some() {
            self.drain.checkpoint = true;
        }
        while self.drain.checkpoint || !matches!(self.drain.stage, Stage::Idle) {
            if self.drain.failed() {
                return Err(OverlayError::Failed);
            }
            self.advance();
            self.wait();
        }
        Ok(())
    }

    /// Whether a block's image is in the journal and not at home: a replay would write it.
    pub fn is_logged(&self, block: u64) -> bool {
        self.drain.logged.contains_key(&block)
            || self.drain.taken.binary_search_by_key(&block, |(block, _)| *block).is_ok()
    }

    /// Makes room for one more request, waiting for the disk where little is left. Error: `Failed`.
    pub fn make_room_for_request(&mut self) -> Result<(), OverlayError> {
        if self.prepared().is_some() {
            // A second record of one request: there is room for a few.
            return if self.drain.failed() { Err(OverlayError::Failed) } else { Ok(()) };
        }
        let frames = self.log.frames() as usize;
        if self.fresh.len() + self.most_of_request() > self.most_dirty() {
            self.make_durable()?;
        }
        if self.dirty + self.drain.logged.len() > frames / 2 {
            self.empty()?;
        }
        if self.drain.failed() { Err(OverlayError::Failed) } else { Ok(()) }
    }

    fn wait(&mut self) {
        if !self.drain.in_flight.is_empty() {
            self.requests.borrow_mut().wait(Owner::Overlay);
        } else if let Stage::Data(_) = self.drain.stage {
            self.requests.borrow_mut().wait_any();
        }
    }

    /// Whether there is something to drain that nobody has asked for yet.
    pub fn has_fresh(&self) -> bool {
        self.log.next() - 1 > self.drain.durable
    }

    /// Whether more than half of what may be logged is: the time to send it home.
    pub fn wants_checkpoint(&self) -> bool {
        self.drain.journal.is_some() && self.drain.logged.len() > self.log.frames() as usize / 4
    }

    /// Asks for everything that is in the journal to go home, without waiting.
    pub fn want_checkpoint(&mut self) {
        self.drain.checkpoint = true;
    }

    /// What has to be written for the journal to be empty and unused, after [`Overlay::empty`]. `None`: there is no journal.
    pub fn closed_journal(&mut self) -> Option<(u64, Vec<u8>)> {
        Some(self.drain.journal.as_mut()?.close())
    }

    /// What has to be written before the journal is used again. `None`: there is no journal.
    pub fn opened_journal(&mut self) -> Option<(u64, Vec<u8>)> {
        Some(self.drain.journal.as_mut()?.open())
    }

    /// Takes completions and starts what comes next. Does not wait. True if something is in flight or could be started.
    pub fn advance(&mut self) -> bool {
        if self.prepared().is_some() || self.is_changed {
            return false;
        }
        loop {
            while let Some((id, result)) = {
                let mut requests = self.requests.borrow_mut();
                requests.pump();
                requests.take(Owner::Overlay)
            } {
                if self.drain.in_flight.remove(&id)
                    && let Err(error) = result
                {
                    self.drain.error.get_or_insert(error);
                }
            }
            if !self.drain.in_flight.is_empty() {
                return true;
            }
            if self.drain.failed() {
                self.stop();
                return false;
            }
            if !self.step() {
                return !matches!(self.drain.stage, Stage::Idle);
            }
        }
    }

    /// Everything that was taken is given back: after a failure.
    fn stop(&mut self) {
        for (_, frame) in core::mem::take(&mut self.drain.taken) {
            self.release(frame);
        }
        self.unstage();
        self.drain.stage = Stage::Idle;
    }

    /// One step with nothing in flight; false: nothing to do.
    fn step(&mut self) -> bool {
        match self.drain.stage {
            Stage::Idle => return self.begin(),
            Stage::Again => {
                self.drain.boundary = self.drain.position.boundary;
                self.drain.stage = Stage::Data(self.requests.borrow().last());
            }
            Stage::Data(last) => {
                if self.requests.borrow().older_writes_in_flight(Owner::Pages, last) {
                    return false;
                }
                self.write_transaction();
            }
            Stage::Log => {
                self.flush();
                self.drain.stage = Stage::LogFlush;
            }
            Stage::LogFlush => {
                self.unstage();
                if let Some((block, bytes)) = self.drain.commit.take() {
                    self.write_bytes(block, &bytes);
                }
                self.drain.stage = Stage::Commit;
            }
            Stage::Commit => {
                self.flush();
                self.drain.stage = Stage::CommitFlush;
            }
            Stage::CommitFlush => {
                self.unstage();
                self.drain.counts.transactions += 1;
                self.drain.counts.logged += self.drain.taken.len() as u64;
                for (block, frame) in core::mem::take(&mut self.drain.taken) {
                    if let Some(old) = self.drain.logged.insert(block, frame) {
                        self.release(old);
                    }
                }
                self.drain.durable = self.drain.boundary;
                self.drain.position.durable = core::mem::take(&mut self.drain.position.current);
                self.note_position();
                self.drain.stage = Stage::Idle;
            }
            Stage::Home => {
                self.flush();
                self.drain.stage = Stage::HomeFlush;
            }
            Stage::HomeFlush => {
                let taken = core::mem::take(&mut self.drain.taken);
                self.drain.counts.home += taken.len() as u64;
                match self.drain.journal.as_mut().map(|journal| journal.tail()) {
                    Some((block, bytes)) => {
                        self.drain.taken = taken;
                        self.write_bytes(block, &bytes);
                        self.drain.stage = Stage::Tail;
                    }
                    None => {
                        self.home(&taken);
                        taken.iter().for_each(|(_, frame)| self.release(*frame));
                        self.drain.durable = self.drain.boundary;
                        self.drain.stage = Stage::Idle;
                    }
                }
            }
            Stage::Tail => {
                self.flush();
                self.drain.stage = Stage::TailFlush;
            }
            Stage::TailFlush => {
                self.unstage();
                if let Some(journal) = &mut self.drain.journal {
                    journal.emptied();
                }
                self.drain.position.home = self.drain.position.durable;
                self.note_position();
                let taken = core::mem::take(&mut self.drain.taken);
                self.home(&taken);
                // Held twice: as what was logged, and as what was on its way.
                for (block, frame) in taken {
                    if self.drain.logged.get(&block) == Some(&frame) {
                        self.drain.logged.remove(&block);
                        self.release(frame);
                    }
                    self.release(frame);
                }
                self.drain.checkpoint = false;
                self.drain.stage = Stage::Idle;
            }
        }
        true
    }

    /// Decides what to do next; false: nothing.
    fn begin(&mut self) -> bool {
        let wanted = self.drain.wanted > self.drain.durable;
        let fits = self.drain.journal.as_ref().is_none_or(|journal| journal.fits(self.fresh.len()));
        if wanted && fits {
            // The images as they are now: later ones go into frames of their own.
            self.drain.boundary = self.log.next() - 1;
            let blocks = core::mem::take(&mut self.fresh).into_iter();
            let images: Vec<(u64, u32)> =
                blocks.filter_map(|block| Some((block, self.map.get(&block)?.frame))).collect();
            images.iter().for_each(|(_, frame)| self.hold(*frame));
            if let Some(journal) = &self.drain.journal {
                let time = journal.now();
                self.drain.newest += 1;
                let transaction = self.drain.newest;
                images.iter().for_each(|(block, frame)| self.log.set_role(*frame, Role { transaction, block: *block }));
                let boundary = self.drain.boundary;
                self.drain.position = Position { current: transaction, time, boundary, ..self.drain.position };
                self.note_position();
            }
            self.drain.taken = images;
            self.drain.stage = Stage::Data(self.requests.borrow().last());
            return true;
        }
        if self.drain.checkpoint || wanted {
            if self.drain.logged.is_empty() && !self.drain.checkpoint {
                // More than the whole journal holds: `most_dirty` keeps that from happening.
                self.drain.error = Some(DiskError::NoSpace);
                return true;
            }
            let logged: Vec<(u64, u32)> = self.drain.logged.iter().map(|(block, frame)| (*block, *frame)).collect();
            logged.iter().for_each(|(_, frame)| self.hold(*frame));
            self.write_frames(&logged);
            self.drain.taken = logged;
            self.drain.stage = Stage::Home;
            return true;
        }
        false
    }

    /// The data is there: what was taken becomes a transaction.
    fn write_transaction(&mut self) {
        let images = core::mem::take(&mut self.drain.taken);
        let Some(journal) = &mut self.drain.journal else {
            self.write_frames(&images);
            self.drain.taken = images;
            self.drain.stage = Stage::Home;
            return;
        };
        let (log, taken) = (&self.log, &images);
        let mut image = |index: usize, into: &mut [u8]| {
            if let Some((_, frame)) = taken.get(index) {
                log.read_frame(*frame, into);
            }
        };
        let numbers: Vec<u64> = images.iter().map(|(block, _)| *block).collect();
        let transaction = journal.begin(&numbers, self.drain.position.time, &mut image);
        self.drain.taken = images;
        let mut writes = Vec::with_capacity(transaction.writes.len());
        for (block, image) in transaction.writes {
            let frame = match image {
                LogImage::Block(index) => self.drain.taken.get(index).map(|(_, frame)| *frame),
                LogImage::Bytes(bytes) => self.stage(&bytes),
            };
            match frame {
                Some(frame) => writes.push((block, frame)),
                None => self.drain.error = Some(DiskError::Exhausted),
            }
        }
        self.write_frames(&writes);
        self.drain.commit = Some(transaction.commit);
        self.drain.stage = Stage::Log;
    }

    /// A frame with bytes, until the stage is over. `None`: there is no frame.
    fn stage(&mut self, bytes: &[u8]) -> Option<u32> {
        let frame = self.frame().ok()?;
        self.hold(frame);
        self.log.write_frame(frame, bytes);
        self.drain.staged.push(frame);
        Some(frame)
    }

    fn unstage(&mut self) {
        for frame in core::mem::take(&mut self.drain.staged) {
            self.release(frame);
        }
    }

    fn write_bytes(&mut self, block: u64, bytes: &[u8]) {
        match self.stage(bytes) {
            Some(frame) => self.write_frames(&[(block, frame)]),
            None => self.drain.error = Some(DiskError::Exhausted),
        }
    }

    fn flush(&mut self) {
        self.drain.counts.flushes += 1;
        let id = self.requests.borrow_mut().start(Owner::Overlay, Request::flush());
        self.drain.in_flight.insert(id);
    }

    /// Starts the writes of these blocks, consecutive ones together.
    fn write_frames(&mut self, writes: &[(u64, u32)]) {
        let geometry = self.requests.borrow().geometry();
        let most = (geometry.most_bytes as usize / self.block_bytes).min(geometry.most_segments).max(1);
        let mut rest = writes;
        while let Some((first, _)) = rest.first() {
            let run = rest.iter().zip(*first..).take(most).take_while(|((block, _), next)| block == next).count();
            let (now, later) = rest.split_at(run);
            let frames: Vec<u32> = now.iter().map(|(_, frame)| *frame).collect();
            let request = self.request(Operation::Write, *first, &frames);
            let id = self.requests.borrow_mut().start(Owner::Overlay, request);
            self.drain.in_flight.insert(id);
            rest = later;
        }
    }

    /// Writes a block at its home place at once, and waits until it is on the medium: for what describes the overlay itself. Error: `Disk`.
    pub fn write_through(&mut self, block: u64, bytes: &[u8]) -> Result<(), OverlayError> {
        let mut frames = vec![self.frame()?];
        let frame = frames[0];
        self.log.write_frame(frame, bytes);
        let request = self.request(Operation::Write, block, &frames);
        let mut requests = self.requests.borrow_mut();
        let result =
            requests.run(Owner::Overlay, request).and_then(|()| requests.run(Owner::Overlay, Request::flush()));
        drop(requests);
        self.give_back(frames.pop());
        self.forget_clean(block);
        result.map_err(OverlayError::Disk)
    }
}
