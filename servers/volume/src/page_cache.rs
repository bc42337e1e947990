//! The page cache: file data in pages of 4 KiB, between a file system's users and the disk.
//!
//! Pages lie in *chunks*, contiguous Memory that is lent to the disk once, so that a run of pages is one segment of a request. A page belongs to a file
//! and has an index in it; where it is on the disk is asked of the file system ([`Backing`]). Pages are taken round in frame order (a clock), so
//! a file that is read from end to end gets consecutive frames.
//!
//! # Deaths
//!
//! Chunks may be kept Memory, and then there is a *table* in Memory of its own, two words a frame: the file and marks, and the page. It says which frames hold what is not on the disk; what is only read is
//! forgotten with the server.
//!
//! | what is written to the table | when |
//! |---|---|
//! | that a frame is a page of a file | behind the data, so it never shows anything else; what is beyond the file's committed size does not count, and is freed at a start |
//! | that it is being written to the disk | before its place there is found: what was on its way is on its way again before anything else, as the overlay's drain waits for it |
//! | that it is free | when the disk has it; for pages that were discarded, when what discarded them is committed ([`PageCache::settle`]) |
//!
//! What it decides: how far to read ahead, when to write back, whom to evict. What it does not: sizes and blocks of files.

use crate::disk::{Buffer, DiskError, Operation, Request, SECTOR_BYTES, Segment};
use crate::requests::{Owner, SharedRequests};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;
use libsys::{Account, Memory, WritableMapping};

/// Bytes of a frame's entry in the table.
const ENTRY: usize = 16;
/// Marks in an entry: there is a page, and it is being written to the disk. The file's number is above.
const TAKEN: u64 = 1;
const ON_ITS_WAY: u64 = 2;
const FILE_SHIFT: u32 = 2;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Pages that the first window read ahead has, and the largest: 128 KiB and 1 MiB.
const FIRST_WINDOW: u64 = 32;
const LAST_WINDOW: u64 = 256;
/// Pages of one piece that is mapped and allocated at once when written back: 1 MiB.
const WRITE_PIECE: u64 = 256;

/// Where a range of a file is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// Where it begins on the disk, in bytes; `None`: nowhere, it reads as zeros.
    pub place: Option<u64>,
}

/// Why file data cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataError {
    /// The disk failed.
    Disk(DiskError),
    /// The file system is full.
    NoSpace,
    /// What describes the file on the disk is wrong.
    Corrupt,
    /// The file cannot be that large.
    TooLarge,
    /// The volume cannot be written.
    ReadOnly,
    /// All pages are needed at the moment.
    Exhausted,
}

impl From<DiskError> for DataError {
    fn from(error: DiskError) -> DataError {
        match error {
            DiskError::ReadOnly => DataError::ReadOnly,
            DiskError::NoSpace => DataError::NoSpace,
            DiskError::Exhausted => DataError::Exhausted,
            error => DataError::Disk(error),
        }
    }
}

/// What the page cache asks a file system.
pub trait Backing {
    /// Bytes of a block: places on the disk are allocated and written in whole ones.
    fn block_bytes(&self) -> u64;

    /// A file was written to up to here: from now on it is at least as large.
    fn written(&mut self, file: u64, end: u64);

    /// How much of a file is committed: what is behind it is not written to the disk yet.
    fn settled(&mut self, file: u64) -> Result<u64, DataError> {
        self.size(file)
    }

    /// A file's size in bytes.
    fn size(&mut self, file: u64) -> Result<u64, DataError>;

    /// The runs that cover a range of a file, in order and without gaps. Disk places are whole sectors.
    fn map(&mut self, file: u64, offset: u64, bytes: u64, runs: &mut Vec<Run>) -> Result<(), DataError>;

    /// Promises blocks for a range that will be written back. Error: `NoSpace`.
    fn reserve(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError>;

    /// Gives blocks to a range that is about to be written; afterwards [`Backing::map`] has places for all of it.
    fn allocate(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError>;

    /// Data up to `end` is about to be written: the size that the disk knows is at least that from now on.
    fn extend(&mut self, file: u64, end: u64) -> Result<(), DataError>;
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// A read fills it.
    Reading,
    Clean,
    Dirty,
    /// It is being written, and clean then.
    Writing,
    /// It was written to while it was being written to the disk: dirty then.
    WritingDirty,
    /// It was discarded, and free when that is settled.
    Leaving,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    state: State,
    used: bool,
    file: u64,
    page: u64,
}

const FREE: Frame = Frame { state: State::Free, used: false, file: 0, page: 0 };

struct Chunk {
    mapping: WritableMapping,
    buffer: Buffer,
}

/// How a file is read: where the next sequential read begins, and up to where was read ahead.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    next: u64,
    window: u64,
    until: u64,
}

#[derive(Default)]
struct Pages {
    frames: BTreeMap<u64, u32>,
    dirty: BTreeSet<u64>,
    ahead: Ahead,
    /// Requests in flight.
    in_flight: usize,
    /// A write failed, and nobody was told.
    error: Option<DataError>,
    /// When the oldest dirty page became it, in the caller's time.
    since: u64,
}

/// A request in flight: pages of one file.
struct Batch {
    file: u64,
    frames: Vec<u32>,
    write: bool,
}

/// Pages of the files of one volume.
pub struct PageCache {
    requests: SharedRequests,
    chunks: Vec<Chunk>,
    chunk_pages: u32,
    frames: Vec<Frame>,
    hand: u32,
    files: BTreeMap<u64, Pages>,
    batches: BTreeMap<u64, Batch>,
    dirty: usize,
    /// The time that [`PageCache::set_time`] told.
    now: u64,
    /// Where the round over the files is.
    turn: u64,
    /// What the next incarnation finds.
    table: Option<WritableMapping>,
    /// Discarded frames.
    leaving: Vec<u32>,
}

impl PageCache {
    /// A cache of `bytes` in chunks of `chunk_bytes`, charged to an account. Errors: `Exhausted`.
    pub fn new(
        account: &Account,
        requests: SharedRequests,
        bytes: u64,
        chunk_bytes: u64,
    ) -> Result<PageCache, DiskError> {
        let make = |_| Memory::create_dma(account, chunk_bytes).map_err(|_| DiskError::Exhausted);
        let memories: Result<Vec<Memory>, DiskError> = (0..bytes.div_ceil(chunk_bytes).max(1)).map(make).collect();
        PageCache::over(memories?.iter(), requests, chunk_bytes, None)
    }

    /// A cache in Memory that is there, each piece of `chunk_bytes`, with a table of [`PageCache::table_bytes`] for the next incarnation. [`PageCache::recover`] finds
    /// what an earlier one has left. Errors: `Exhausted`.
    pub fn over<'a>(
        memories: impl Iterator<Item = &'a Memory>,
        requests: SharedRequests,
        chunk_bytes: u64,
        table: Option<WritableMapping>,
    ) -> Result<PageCache, DiskError> {
        let mut chunks = Vec::new();
        for memory in memories {
            let mapping = memory.map_writable().map_err(|_| DiskError::Exhausted)?;
            let buffer = requests.borrow_mut().lend(memory)?;
            chunks.push(Chunk { mapping, buffer });
        }
        let chunk_pages = (chunk_bytes / PAGE) as u32;
        let frames = alloc::vec![FREE; chunks.len() * chunk_pages as usize];
        Ok(PageCache {
            requests,
            chunks,
            chunk_pages,
            frames,
            hand: 0,
            files: BTreeMap::new(),
            batches: BTreeMap::new(),
            dirty: 0,
            now: 0,
            turn: 0,
            table,
            leaving: Vec::new(),
        })
    }

    /// Bytes of the table of a cache of so many.
    pub fn table_bytes(bytes: u64, chunk_bytes: u64) -> u64 {
        bytes.div_ceil(chunk_bytes).max(1) * (chunk_bytes / PAGE) * ENTRY as u64
    }

    // ---- the table ---------------------------------------------------------------------------------------------

    /// Says that a frame has data of its page, which is in it.
    fn own(&self, number: u32) {
        let Some(table) = &self.table else { return };
        let (frame, at) = (&self.frames[number as usize], number as usize * ENTRY);
        let entry = frame.file << FILE_SHIFT | TAKEN;
        let is_on_its_way = entry | ON_ITS_WAY;
        if ![entry, is_on_its_way].contains(&table.load_u64(at, Ordering::Relaxed)) {
            table.word_u64(at + 8).store(frame.page, Ordering::Release);
            crate::kept::step();
            table.word_u64(at).store(entry, Ordering::Release);
            crate::kept::step();
        }
    }

    /// Says whether the data of a frame, which is there, is being written.
    fn set_on_its_way(&self, number: u32, is_on_its_way: bool) {
        let Some(table) = &self.table else { return };
        let entry = self.frames[number as usize].file << FILE_SHIFT | TAKEN;
        let entry = if is_on_its_way { entry | ON_ITS_WAY } else { entry };
        table.word_u64(number as usize * ENTRY).store(entry, Ordering::Release);
        crate::kept::step();
    }

    /// Says that there is nothing in a frame that the disk does not have.
    fn disown(&self, number: u32) {
        if let Some(table) = &self.table {
            table.word_u64(number as usize * ENTRY).store(0, Ordering::Release);
            crate::kept::step();
        }
    }

    /// The files of which an earlier incarnation has left pages.
    pub fn files_in_table(&self) -> BTreeSet<u64> {
        let Some(table) = &self.table else { return BTreeSet::new() };
        let entries = (0..self.frames.len()).map(|frame| table.load_u64(frame * ENTRY, Ordering::Acquire));
        entries.filter(|entry| *entry & TAKEN != 0).map(|entry| entry >> FILE_SHIFT).collect()
    }

    /// Finds what an earlier incarnation has left, in files of which `size` tells how much is committed: `None` where there is no such file. What was on its way to the disk is started again.
    /// Nothing of what the earlier incarnation had started is in flight any more.
    pub fn recover(&mut self, backing: &mut dyn Backing, size: impl Fn(u64) -> Option<u64>) -> Result<(), DataError> {
        let Some(table) = &self.table else { return Ok(()) };
        let load = |at: usize| table.load_u64(at, Ordering::Acquire);
        let entries: Vec<(u32, u64, u64)> =
            (0..self.frames.len()).map(|frame| (frame as u32, load(frame * ENTRY), load(frame * ENTRY + 8))).collect();
        let mut on_its_way: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (number, entry, page) in entries.into_iter().filter(|(_, entry, _)| *entry != 0) {
            let file = entry >> FILE_SHIFT;
            let is_there = page.checked_mul(PAGE).is_some_and(|start| size(file).is_some_and(|size| start < size));
            let is_twice = self.files.get(&file).is_some_and(|pages| pages.frames.contains_key(&page));
            if entry & TAKEN == 0 || !is_there || is_twice {
                self.disown(number);
                continue;
            }
            self.frames[number as usize] = Frame { state: State::Dirty, used: true, file, page };
            let pages = self.files.entry(file).or_default();
            pages.frames.insert(page, number);
            pages.since = self.now;
            self.dirty += usize::from(pages.dirty.insert(page));
            if entry & ON_ITS_WAY != 0 {
                on_its_way.entry(file).or_default().insert(page);
            }
        }
        for (file, pages) in on_its_way {
            self.start_again(backing, file, &pages)?;
        }
        Ok(())
    }

    /// Pages that are to be written, consecutive ones of a file together.
    pub fn dirty_runs(&self) -> Vec<(u64, Range<u64>)> {
        let mut runs: Vec<(u64, Range<u64>)> = Vec::new();
        for (file, pages) in &self.files {
            for page in &pages.dirty {
                match runs.last_mut() {
                    Some((last, run)) if last == file && run.end == *page => run.end += 1,
                    _ => runs.push((*file, *page..*page + 1)),
                }
            }
        }
        runs
    }

    /// Starts writes again that a death has interrupted, of pages that have places; they stay dirty, as nobody has noted yet what comes with them.
    fn start_again(&mut self, backing: &mut dyn Backing, file: u64, pages: &BTreeSet<u64>) -> Result<(), DataError> {
        let size = backing.size(file)?;
        let mut batch = Assembly::new(self, Operation::Write, file);
        for page in pages {
            let bytes = PAGE.min(size - page * PAGE).next_multiple_of(backing.block_bytes());
            let mut runs = Vec::new();
            backing.map(file, page * PAGE, bytes, &mut runs)?;
            let Some(frame) = batch.cache.here(file, *page) else { continue };
            if runs.iter().any(|run| run.place.is_none()) || covered(&runs) < bytes {
                continue;
            }
            batch.cache.frames[frame as usize].state = State::WritingDirty;
            for run in runs {
                if let Some(place) = run.place {
                    batch.add(frame, run.offset % PAGE, run.bytes.min(PAGE), place);
                }
            }
        }
        batch.submit();
        Ok(())
    }

    /// What was discarded is committed: its frames are free.
    pub fn settle(&mut self) {
        for number in core::mem::take(&mut self.leaving) {
            self.disown(number);
            self.frames[number as usize] = FREE;
        }
    }

    fn chunk(&self, frame: u32) -> (&Chunk, usize) {
        let chunk = &self.chunks[(frame / self.chunk_pages) as usize];
        (chunk, (frame % self.chunk_pages) as usize * PAGE as usize)
    }

    /// Tells the time, in any unit: for [`PageCache::oldest`].
    pub fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Dirty pages, of how many there are.
    pub fn load(&self) -> (usize, usize) {
        (self.dirty, self.frames.len())
    }

    /// Whether a page of this file is to be written.
    pub fn is_dirty(&self, file: u64, page: u64) -> bool {
        self.files.get(&file).is_some_and(|pages| pages.dirty.contains(&page))
    }

    /// Whether the file has anything to be written or in flight.
    pub fn is_busy(&self, file: u64) -> bool {
        self.files.get(&file).is_some_and(|pages| !pages.dirty.is_empty() || pages.in_flight > 0)
    }

    // ---- completions -------------------------------------------------------------------------------------------

    /// Takes completions. Does not wait.
    pub fn advance(&mut self) {
        loop {
            let done = {
                let mut requests = self.requests.borrow_mut();
                requests.pump();
                requests.take(Owner::Pages)
            };
            let Some((id, result)) = done else { return };
            if let Some(batch) = self.batches.remove(&id) {
                self.complete(&batch, result);
            }
        }
    }

    fn complete(&mut self, batch: &Batch, result: Result<(), DiskError>) {
        let pages = self.files.entry(batch.file).or_default();
        pages.in_flight -= 1;
        if let (Err(error), true) = (result, batch.write) {
            pages.error.get_or_insert(error.into());
        }
        let mut done = Vec::new();
        for number in &batch.frames {
            let frame = &mut self.frames[*number as usize];
            match frame.state {
                State::Reading if result.is_err() => {
                    pages.frames.remove(&frame.page);
                    *frame = FREE;
                }
                State::Reading => frame.state = State::Clean,
                State::Writing => {
                    frame.state = State::Clean;
                    done.push((*number, false));
                }
                State::WritingDirty => {
                    frame.state = State::Dirty;
                    done.push((*number, true));
                }
                State::Free | State::Clean | State::Dirty | State::Leaving => {}
            }
        }
        for (number, is_dirty) in done {
            if is_dirty {
                self.set_on_its_way(number, false);
            } else {
                self.disown(number);
            }
        }
    }

    /// Waits for a completion of any request of file data.
    fn wait(&mut self) {
        self.requests.borrow_mut().wait(Owner::Pages);
        self.advance();
    }

    // ---- frames ------------------------------------------------------------------------------------------------

    /// A free frame: the next that can be had in frame order. `None`: all are dirty or in flight.
    fn frame(&mut self) -> Option<u32> {
        let count = self.frames.len() as u32;
        for _ in 0..2 * count {
            let number = self.hand;
            self.hand = (self.hand + 1) % count;
            let frame = &mut self.frames[number as usize];
            match frame.state {
                State::Free => return Some(number),
                State::Clean if frame.used => frame.used = false,
                State::Clean => {
                    if let Some(pages) = self.files.get_mut(&frame.file) {
                        pages.frames.remove(&frame.page);
                    }
                    *frame = FREE;
                    return Some(number);
                }
                _ => {}
            }
        }
        None
    }

    /// A frame, after writing back and waiting if need be. Error: `Exhausted`.
    fn frame_for(&mut self, backing: &mut dyn Backing, file: u64, page: u64, state: State) -> Result<u32, DataError> {
        let number = loop {
            if let Some(number) = self.frame() {
                break number;
            }
            if self.batches.is_empty() {
                self.write_back_some(backing, self.frames.len())?;
            }
            if self.batches.is_empty() {
                return Err(DataError::Exhausted);
            }
            self.wait();
        };
        // Only free until somebody else asks.
        self.frames[number as usize] = Frame { state, used: false, file, page };
        self.files.entry(file).or_default().frames.insert(page, number);
        Ok(number)
    }

    // ---- reading -----------------------------------------------------------------------------------------------

    /// Starts reading what is missing of a range, and ahead of it if the file is read sequentially. True: the range is here, nothing to wait for.
    pub fn prepare(
        &mut self,
        backing: &mut dyn Backing,
        file: u64,
        offset: u64,
        bytes: u64,
    ) -> Result<bool, DataError> {
        self.advance();
        let size = backing.size(file)?;
        if offset >= size || bytes == 0 {
            return Ok(true);
        }
        let (first, end) = (offset / PAGE, (offset + bytes).min(size).div_ceil(PAGE));
        self.fetch(backing, file, first, end)?;
        let ahead = &mut self.files.entry(file).or_default().ahead;
        if offset / PAGE == ahead.next || (offset / PAGE + 1 == ahead.next) {
            ahead.window = (ahead.window * 2).clamp(FIRST_WINDOW, LAST_WINDOW);
        } else {
            *ahead = Ahead::default();
        }
        ahead.next = end;
        let (window, until) = (ahead.window, ahead.until.max(end));
        if window > 0 && until < end + window / 2 {
            let to = (end + window).min(size.div_ceil(PAGE));
            if until < to {
                // Nobody has asked for it: that it cannot be had is nobody's error.
                let _ = self.fetch(backing, file, until, to);
            }
            self.files.entry(file).or_default().ahead.until = to;
        }
        Ok(self.is_here(file, first, end))
    }

    fn is_here(&self, file: u64, first: u64, end: u64) -> bool {
        let Some(pages) = self.files.get(&file) else { return first == end };
        let here = pages.frames.range(first..end);
        here.filter(|(_, frame)| self.frames[**frame as usize].state != State::Reading).count() as u64 == end - first
    }

    /// Starts reading the pages of a range that are missing.
    fn fetch(&mut self, backing: &mut dyn Backing, file: u64, first: u64, end: u64) -> Result<(), DataError> {
        let mut page = first;
        while page < end {
            let pages = self.files.entry(file).or_default();
            if pages.frames.contains_key(&page) {
                page += 1;
                continue;
            }
            let until = pages.frames.range(page..end).next().map_or(end, |(page, _)| *page).min(page + LAST_WINDOW);
            self.read_missing(backing, file, page, until)?;
            page = until;
        }
        Ok(())
    }

    /// Starts reading pages none of which is here.
    fn read_missing(&mut self, backing: &mut dyn Backing, file: u64, first: u64, end: u64) -> Result<(), DataError> {
        let mut runs = Vec::new();
        backing.map(file, first * PAGE, (end - first) * PAGE, &mut runs)?;
        let mut batch = Assembly::new(self, Operation::Read, file);
        let mut runs = runs.into_iter().peekable();
        for page in first..end {
            // The runs of this page: one, unless blocks are smaller than pages and scattered.
            let mut pieces: Vec<Run> = Vec::with_capacity(1);
            while let Some(run) = runs.peek() {
                if run.offset >= (page + 1) * PAGE {
                    break;
                }
                let from = run.offset.max(page * PAGE);
                let to = (run.offset + run.bytes).min((page + 1) * PAGE);
                if from < to {
                    let place = run.place.map(|place| place + (from - run.offset));
                    pieces.push(Run { offset: from, bytes: to - from, place });
                }
                if run.offset + run.bytes > (page + 1) * PAGE {
                    break;
                }
                runs.next();
            }
            // What is not on the disk is zero: it has to be so before the read begins.
            let hole = pieces.iter().any(|piece| piece.place.is_none()) || covered(&pieces) < PAGE;
            let all_hole = pieces.iter().all(|piece| piece.place.is_none());
            let state = if all_hole { State::Clean } else { State::Reading };
            batch.make_way();
            let number = match batch.cache.frame_for(backing, file, page, state) {
                Ok(number) => number,
                Err(error) => {
                    batch.submit();
                    return Err(error);
                }
            };
            if hole {
                let (chunk, at) = batch.cache.chunk(number);
                chunk.mapping.zero(at, PAGE as usize);
            }
            for piece in &pieces {
                if let Some(place) = piece.place {
                    batch.add(number, piece.offset % PAGE, piece.bytes, place);
                }
            }
        }
        batch.submit();
        Ok(())
    }

    /// Waits until a range is here. Errors: `Disk`, `Corrupt`, `Exhausted`.
    fn require(&mut self, backing: &mut dyn Backing, file: u64, first: u64, end: u64) -> Result<(), DataError> {
        // A read that fails leaves its pages missing; the second try says why.
        for _ in 0..3 {
            self.fetch(backing, file, first, end)?;
            while !self.is_here(file, first, end)
                && self.files.get(&file).is_some_and(|pages| {
                    pages
                        .frames
                        .range(first..end)
                        .any(|(_, frame)| self.frames[*frame as usize].state == State::Reading)
                })
            {
                self.wait();
            }
            if self.is_here(file, first, end) {
                return Ok(());
            }
        }
        Err(DataError::Disk(DiskError::Device))
    }

    /// Reads a range: `piece` gets the memory of each page with the part of it, and where that part is in the range. Returns the bytes
    /// read, less than asked for at the end of the file. Waits for what is not here.
    pub fn read(
        &mut self,
        backing: &mut dyn Backing,
        file: u64,
        offset: u64,
        bytes: u64,
        mut piece: impl FnMut(&WritableMapping, usize, usize, u64),
    ) -> Result<u64, DataError> {
        let size = backing.size(file)?;
        let bytes = bytes.min(size.saturating_sub(offset));
        if bytes == 0 {
            return Ok(0);
        }
        self.prepare(backing, file, offset, bytes)?;
        let mut done = 0;
        while done < bytes {
            let at = offset + done;
            let (page, within) = (at / PAGE, at % PAGE);
            let part = (PAGE - within).min(bytes - done);
            let frame = match self.here(file, page) {
                Some(frame) => frame,
                None => {
                    self.require(backing, file, page, page + 1)?;
                    self.here(file, page).ok_or(DataError::Disk(DiskError::Device))?
                }
            };
            self.frames[frame as usize].used = true;
            let (chunk, start) = self.chunk(frame);
            piece(&chunk.mapping, start + within as usize, part as usize, done);
            done += part;
        }
        Ok(bytes)
    }

    /// Reads into bytes.
    pub fn read_into(
        &mut self,
        backing: &mut dyn Backing,
        file: u64,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, DataError> {
        let bytes = into.len() as u64;
        self.read(backing, file, offset, bytes, |mapping, at, part, done| {
            mapping.copy_out(at, &mut into[done as usize..done as usize + part]);
        })
        .map(|bytes| bytes as usize)
    }

    /// The frame of a page with its data.
    fn here(&self, file: u64, page: u64) -> Option<u32> {
        let frame = *self.files.get(&file)?.frames.get(&page)?;
        (self.frames[frame as usize].state != State::Reading).then_some(frame)
    }

    // ---- writing -----------------------------------------------------------------------------------------------

    /// Writes a range: `piece` fills the part of each page's memory. Returns the bytes written; an error only when it is none.
    pub fn write(
        &mut self,
        backing: &mut dyn Backing,
        file: u64,
        offset: u64,
        bytes: u64,
        mut piece: impl FnMut(&WritableMapping, usize, usize, u64),
    ) -> Result<u64, DataError> {
        self.advance();
        let size = backing.size(file)?;
        if offset > size {
            self.clean_tail(backing, file, size)?;
        }
        let mut done = 0;
        while done < bytes {
            let at = offset + done;
            let (page, within) = (at / PAGE, at % PAGE);
            let part = (PAGE - within).min(bytes - done);
            let frame = match self.frame_to_write(backing, file, page, within, part, size) {
                Ok(frame) => frame,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            let (chunk, start) = self.chunk(frame);
            piece(&chunk.mapping, start + within as usize, part as usize, done);
            crate::kept::step();
            self.own(frame);
            done += part;
            backing.written(file, offset + done);
        }
        Ok(done)
    }

    /// Writes from bytes.
    pub fn write_from(
        &mut self,
        backing: &mut dyn Backing,
        file: u64,
        offset: u64,
        from: &[u8],
    ) -> Result<u64, DataError> {
        self.write(backing, file, offset, from.len() as u64, |mapping, at, part, done| {
            mapping.copy_in(at, &from[done as usize..done as usize + part]);
        })
    }

    /// The frame of a page that is about to be written to, dirty.
    fn frame_to_write(
        &mut self,
        backing: &mut dyn Backing,
        file: u64,
        page: u64,
        within: u64,
        part: u64,
        size: u64,
    ) -> Result<u32, DataError> {
        // What the page has on the disk and is not overwritten has to be read first.
        let whole = within == 0 && (part == PAGE || page * PAGE + part >= size);
        if self.here(file, page).is_none() && (!whole && page * PAGE < size) {
            self.require(backing, file, page, page + 1)?;
        }
        if !self.is_dirty(file, page) {
            backing.reserve(file, page * PAGE, PAGE)?;
        }
        let frame = loop {
            if let Some(frame) = self.here(file, page) {
                break frame;
            }
            if self.files.get(&file).is_some_and(|pages| pages.frames.contains_key(&page)) {
                // Read ahead at the moment.
                self.wait();
                continue;
            }
            let frame = self.frame_for(backing, file, page, State::Clean)?;
            let (chunk, at) = self.chunk(frame);
            if part < PAGE {
                chunk.mapping.zero(at, PAGE as usize);
            }
            break frame;
        };
        self.mark_dirty(file, page, frame);
        Ok(frame)
    }

    fn mark_dirty(&mut self, file: u64, page: u64, frame: u32) {
        let state = &mut self.frames[frame as usize].state;
        *state = match *state {
            State::Writing | State::WritingDirty => State::WritingDirty,
            _ => State::Dirty,
        };
        self.frames[frame as usize].used = true;
        let now = self.now;
        let pages = self.files.entry(file).or_default();
        if pages.dirty.is_empty() {
            pages.since = now;
        }
        self.dirty += usize::from(pages.dirty.insert(page));
    }

    /// Makes what lies behind `size` in its page zero, in memory and, if the page is on the disk, there as well: before a file becomes larger than `size`, or when it became
    /// as small. Errors as for reading, and `NoSpace`.
    pub fn clean_tail(&mut self, backing: &mut dyn Backing, file: u64, size: u64) -> Result<(), DataError> {
        let (page, within) = (size / PAGE, size % PAGE);
        if within == 0 {
            return Ok(());
        }
        let mut runs = Vec::new();
        backing.map(file, page * PAGE, PAGE, &mut runs)?;
        if self.here(file, page).is_none() {
            if runs.iter().all(|run| run.place.is_none()) && !self.is_dirty(file, page) {
                return Ok(());
            }
            self.require(backing, file, page, page + 1)?;
        }
        let Some(frame) = self.here(file, page) else { return Ok(()) };
        let (chunk, at) = self.chunk(frame);
        chunk.mapping.zero(at + within as usize, (PAGE - within) as usize);
        if runs.iter().any(|run| run.place.is_some()) {
            self.mark_dirty(file, page, frame);
            self.own(frame);
        }
        Ok(())
    }

    /// Forgets the pages from `page` on, dirty or not, after what is in flight on the file is done.
    pub fn discard(&mut self, file: u64, page: u64) {
        while self.files.get(&file).is_some_and(|pages| pages.in_flight > 0) {
            self.wait();
        }
        let Some(pages) = self.files.get_mut(&file) else { return };
        for (_, frame) in pages.frames.split_off(&page) {
            if self.frames[frame as usize].state == State::Dirty && self.table.is_some() {
                self.frames[frame as usize] = Frame { state: State::Leaving, ..FREE };
                self.leaving.push(frame);
            } else {
                self.frames[frame as usize] = FREE;
            }
        }
        self.dirty -= pages.dirty.split_off(&page).len();
        pages.ahead = Ahead::default();
        if page == 0 {
            self.files.remove(&file);
        }
    }

    /// Starts writing dirty pages of a file, at most `most`. Returns how many were started. Errors of single pages are kept for [`PageCache::take_error`].
    pub fn write_back(&mut self, backing: &mut dyn Backing, file: u64, most: usize) -> usize {
        self.advance();
        let mut started = 0;
        let mut from = 0;
        let (Ok(settled), Ok(size)) = (backing.settled(file), backing.size(file)) else { return 0 };
        while started < most {
            let Some(pages) = self.files.get(&file) else { break };
            // A page that is being written is not written again before that is done.
            let idle = |page: &&u64| {
                (settled >= size || (**page + 1) * PAGE <= settled)
                    && pages.frames.get(page).is_some_and(|frame| self.frames[*frame as usize].state == State::Dirty)
            };
            let Some(first) = pages.dirty.range(from..).find(idle).copied() else { break };
            let run = pages.dirty.range(first..).zip(first..first + WRITE_PIECE);
            let end = first + run.take_while(|(page, next)| *page == next && idle(page)).count() as u64;
            if let Err(error) = self.write_run(backing, file, first, end) {
                let pages = self.files.entry(file).or_default();
                pages.error.get_or_insert(error);
                // Nobody can write these pages: as with an error of the disk, they are given up.
                self.give_up(file, first, end);
            }
            started += (end - first) as usize;
            from = end;
        }
        started
    }

    fn give_up(&mut self, file: u64, first: u64, end: u64) {
        let mut gone = Vec::new();
        let pages = self.files.entry(file).or_default();
        for page in first..end {
            if let Some(frame) = pages.frames.get(&page)
                && self.frames[*frame as usize].state == State::Dirty
            {
                self.frames[*frame as usize].state = State::Clean;
                self.dirty -= usize::from(pages.dirty.remove(&page));
                gone.push(*frame);
            }
        }
        gone.into_iter().for_each(|frame| self.disown(frame));
    }

    /// Starts writing these pages, all dirty and idle.
    fn write_run(&mut self, backing: &mut dyn Backing, file: u64, first: u64, end: u64) -> Result<(), DataError> {
        let size = backing.size(file)?;
        let bytes = (end * PAGE).min(size).saturating_sub(first * PAGE);
        if bytes == 0 {
            self.give_up(file, first, end);
            return Ok(());
        }
        // What lies behind the end in the last block is zero on the disk.
        let last = size / PAGE;
        if size % PAGE != 0
            && (first..end).contains(&last)
            && let Some(frame) = self.here(file, last)
        {
            let (chunk, at) = self.chunk(frame);
            chunk.mapping.zero(at + (size % PAGE) as usize, (PAGE - size % PAGE) as usize);
        }
        let whole = bytes.next_multiple_of(backing.block_bytes());
        let mut runs = Vec::new();
        for page in first..end {
            if let Some(frame) = self.here(file, page) {
                self.set_on_its_way(frame, true);
            }
        }
        backing.map(file, first * PAGE, whole, &mut runs)?;
        if runs.iter().any(|run| run.place.is_none()) {
            backing.allocate(file, first * PAGE, bytes)?;
            runs.clear();
            backing.map(file, first * PAGE, whole, &mut runs)?;
        }
        backing.extend(file, first * PAGE + bytes)?;
        if runs.iter().any(|run| run.place.is_none()) || covered(&runs) < whole {
            return Err(DataError::Corrupt);
        }
        for page in first..end {
            let Some(frame) = self.here(file, page) else { return Err(DataError::Corrupt) };
            self.frames[frame as usize].state = State::Writing;
        }
        let pages = self.files.entry(file).or_default();
        for page in first..end {
            self.dirty -= usize::from(pages.dirty.remove(&page));
        }
        let mut batch = Assembly::new(self, Operation::Write, file);
        for run in runs {
            let mut done = 0;
            while let (true, Some(place)) = (done < run.bytes, run.place) {
                let at = run.offset + done;
                let part = (PAGE - at % PAGE).min(run.bytes - done);
                if let Some(frame) = batch.cache.here(file, at / PAGE) {
                    batch.add(frame, at % PAGE, part, place + done);
                }
                done += part;
            }
        }
        batch.submit();
        Ok(())
    }

    /// Writes back everything of a file, and waits until it is done. Error: what went wrong since somebody was told last.
    pub fn write_back_all(&mut self, backing: &mut dyn Backing, file: u64) -> Result<(), DataError> {
        while self.is_busy(file) {
            if self.write_back(backing, file, usize::MAX) == 0 {
                self.wait();
            }
        }
        self.take_error(file).map_or(Ok(()), Err)
    }

    /// Starts writing dirty pages of any file, at most about `most`.
    pub fn write_back_some(&mut self, backing: &mut dyn Backing, most: usize) -> Result<(), DataError> {
        let mut started = 0;
        for _ in 0..self.files.len() {
            if started >= most {
                break;
            }
            let next = self.files.range(self.turn..).next().or_else(|| self.files.iter().next());
            let Some(file) = next.map(|(file, _)| *file) else { break };
            self.turn = file + 1;
            started += self.write_back(backing, file, most - started);
        }
        Ok(())
    }

    /// The files with dirty pages, each with the time when its oldest became it.
    pub fn dirty_files(&self) -> Vec<(u64, u64)> {
        let dirty = self.files.iter().filter(|(_, pages)| !pages.dirty.is_empty());
        dirty.map(|(file, pages)| (*file, pages.since)).collect()
    }

    /// The first error of writing back that nobody was told of.
    pub fn take_error(&mut self, file: u64) -> Option<DataError> {
        self.files.get_mut(&file)?.error.take()
    }

    /// Pages of a file that are here.
    pub fn pages_of(&self, file: u64) -> usize {
        self.files.get(&file).map_or(0, |pages| pages.frames.len())
    }
}

/// Bytes that runs cover.
fn covered(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.bytes).sum()
}

/// Puts requests together from pieces that follow each other on the disk.
struct Assembly<'a> {
    cache: &'a mut PageCache,
    operation: Operation,
    file: u64,
    sector: u64,
    segments: Vec<Segment>,
    bytes: u64,
    frames: Vec<u32>,
    most_bytes: u64,
    most_segments: usize,
}

impl<'a> Assembly<'a> {
    fn new(cache: &'a mut PageCache, operation: Operation, file: u64) -> Assembly<'a> {
        let geometry = cache.requests.borrow().geometry();
        Assembly {
            cache,
            operation,
            file,
            sector: 0,
            segments: Vec::new(),
            bytes: 0,
            frames: Vec::new(),
            most_bytes: u64::from(geometry.most_bytes),
            most_segments: geometry.most_segments,
        }
    }

    /// A part of a frame, and its place on the disk in bytes.
    fn add(&mut self, frame: u32, within: u64, bytes: u64, place: u64) {
        let (chunk, at) = self.cache.chunk(frame);
        let segment = Segment { buffer: chunk.buffer, offset: at as u64 + within, bytes: bytes as u32 };
        let follows = place == self.sector * SECTOR_BYTES + self.bytes;
        let joins = self
            .segments
            .last()
            .is_some_and(|last| last.buffer == segment.buffer && last.offset + u64::from(last.bytes) == segment.offset);
        // A page is in one request only: its state says when that is done.
        let same = self.frames.last() == Some(&frame);
        let full = self.bytes + bytes > self.most_bytes || (!joins && self.segments.len() >= self.most_segments);
        if self.segments.is_empty() || !follows || full {
            if same {
                self.split(frame, segment, place);
                return;
            }
            self.submit();
            self.sector = place / SECTOR_BYTES;
        }
        match self.segments.last_mut() {
            Some(last) if joins && follows && !full => last.bytes += segment.bytes,
            _ => self.segments.push(segment),
        }
        self.bytes += bytes;
        if !same {
            self.frames.push(frame);
        }
    }

    /// Another piece of a page that is already in a request, elsewhere on the disk: at once, before that request goes, so that the page is done when it is.
    fn split(&mut self, frame: u32, segment: Segment, place: u64) {
        let request =
            Request { operation: self.operation, sector: place / SECTOR_BYTES, segments: alloc::vec![segment] };
        let result = self.cache.requests.borrow_mut().run(Owner::Pages, request);
        if let Err(error) = result {
            let pages = self.cache.files.entry(self.file).or_default();
            pages.error.get_or_insert(error.into());
            let _ = frame;
        }
    }

    /// Gives way to a search for a frame, which may wait for requests: what is put together has to be among them.
    fn make_way(&mut self) {
        if self.cache.frames.len() <= 2 * self.frames.len() {
            self.submit();
        }
    }

    fn submit(&mut self) {
        if self.segments.is_empty() {
            return;
        }
        let request =
            Request { operation: self.operation, sector: self.sector, segments: core::mem::take(&mut self.segments) };
        let frames = core::mem::take(&mut self.frames);
        self.bytes = 0;
        let id = self.cache.requests.borrow_mut().start(Owner::Pages, request);
        let write = self.operation == Operation::Write;
        self.cache.batches.insert(id, Batch { file: self.file, frames, write });
        self.cache.files.entry(self.file).or_default().in_flight += 1;
    }
}
