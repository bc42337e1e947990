//! Pages in Memory that outlives the process, and the small changes to them that are committed.
//!
//! Pages come in *chunks*, kept Memory of one size, each with a table in its first pages that says of every page whose it is: a *descriptor* of two words, the owner (0: it is free) and the
//! place of the page there. Records say which chunks there are, and hold the *redo*: what the last commit writes into pages.
//!
//! | what is written | when |
//! |---|---|
//! | the redo: slots of nodes and names | staged with the reply, written behind the commit, and again at a start; removed before a page of slots is free |
//! | data of files | at once: a request that dies is carried out again, and writes the same |
//! | a descriptor of a page that is taken | at once, behind what is in the page: where what owns it is not committed, or ends before the page, the next incarnation frees it |
//! | a descriptor of a page that is freed | behind the commit; before, the page is not used again |

use crate::budget::PAGE;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use filesystem::{FileError, Result};
use libsys::service;
use libsys::state::{Keepsake, RecordKey, Records};
use libsys::{Account, Memory, Object, WritableMapping};

/// Number of a page: above the number of its chunk, below its place in the chunk.
pub type PageNumber = u32;

/// Kinds of records: a chunk, by its number, …
const CHUNK: u16 = 1;
/// … and the redo.
const REDO: RecordKey = RecordKey::new(2, 0);

/// Bytes of a descriptor.
const DESCRIPTOR: usize = 16;

/// Bytes of a change in the redo, before the changed bytes: page, offset, length.
const CHANGE: usize = 8;

/// Chunks of which the whole room consists, about.
const CHUNKS: u64 = 64;

/// Pages of the smallest and the largest chunk.
const PAGES: (u64, u64) = (16, 4096);

/// A chunk.
#[derive(Debug)]
struct Chunk {
    mapping: WritableMapping,
    keepsake: Keepsake,
    /// A bit for each page that is taken.
    taken: Vec<u64>,
    free: u32,
}

/// All pages.
#[derive(Debug)]
pub struct Arena {
    records: Records,
    account: &'static Account,
    chunks: Vec<Option<Chunk>>,
    /// Pages of each.
    pages: u32,
    /// Pages that are free, in all chunks.
    free: u32,
    /// Changes that are to be written into pages behind the next commit, and how much of them is staged.
    redo: Vec<u8>,
    staged: usize,
    /// Pages that are free behind the next commit.
    leaving: Vec<PageNumber>,
    /// Some of these have slots, into which the redo may write.
    has_slots: bool,
}

/// No room.
fn full<E>(_: E) -> FileError {
    FileError::NoSpace
}

impl Arena {
    /// The pages that the incarnation before has left; none at first. `bytes`: how many there may be.
    pub fn open(records: Records, account: &'static Account, bytes: u64) -> service::Result<Arena> {
        let pages = (bytes / PAGE / CHUNKS).next_power_of_two().clamp(PAGES.0, PAGES.1) as u32;
        let (chunks, redo, leaving) = (Vec::new(), Vec::new(), Vec::new());
        let mut arena = Arena { records, account, chunks, pages, free: 0, redo, staged: 0, leaving, has_slots: false };
        for (key, keepsake) in arena.records.all::<Keepsake>(CHUNK) {
            let Ok(memory) = keepsake.take::<Memory>() else {
                libsys::error!("chunk {} is lost, and what was in it", key.first);
                arena.records.remove(key);
                continue;
            };
            let chunk = arena.chunk(memory.map_writable()?, keepsake);
            // The record has the handle.
            let _ = memory.into_handle();
            let index = key.first as usize;
            if arena.chunks.len() <= index {
                arena.chunks.resize_with(index + 1, || None);
            }
            arena.free += chunk.free;
            arena.chunks[index] = Some(chunk);
        }
        arena.redo = arena.records.bytes_of(REDO).unwrap_or_default();
        arena.write_redo();
        Ok(arena)
    }

    /// What is kept besides.
    pub fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    /// A chunk of which only the table's own pages are taken.
    fn chunk(&self, mapping: WritableMapping, keepsake: Keepsake) -> Chunk {
        let mut chunk =
            Chunk { mapping, keepsake, taken: alloc::vec![0; self.pages.div_ceil(64) as usize], free: self.pages };
        for page in 0..self.table_pages() {
            chunk.take(page);
        }
        chunk
    }

    fn table_pages(&self) -> u32 {
        (self.pages as usize * DESCRIPTOR).div_ceil(PAGE as usize) as u32
    }

    /// Where a page is. `None`: in a chunk that is not there.
    #[inline]
    pub fn place(&self, page: PageNumber) -> Option<(&WritableMapping, usize)> {
        let chunk = self.chunks.get((page / self.pages) as usize)?.as_ref()?;
        Some((&chunk.mapping, (page % self.pages) as usize * PAGE as usize))
    }

    fn chunk_of(&mut self, page: PageNumber) -> Option<(&mut Chunk, u32)> {
        let in_chunk = page % self.pages;
        Some((self.chunks.get_mut((page / self.pages) as usize)?.as_mut()?, in_chunk))
    }

    /// All pages that are owned, as an earlier incarnation left them: page, owner, place.
    pub fn owned(&self) -> Vec<(PageNumber, u64, u64)> {
        let mut all = Vec::new();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let Some(chunk) = chunk else { continue };
            for page in self.table_pages()..self.pages {
                let word =
                    |word: usize| chunk.mapping.load_u64(page as usize * DESCRIPTOR + word * 8, Ordering::Acquire);
                if word(0) != 0 {
                    all.push((index as u32 * self.pages + page, word(0), word(1)));
                }
            }
        }
        all
    }

    /// Marks a page as taken that an earlier incarnation had taken.
    pub fn retake(&mut self, page: PageNumber) {
        if let Some((chunk, in_chunk)) = self.chunk_of(page) {
            chunk.take(in_chunk);
            self.free -= 1;
        }
    }

    /// Takes a page. What is in it nobody knows. Error: `NoSpace`.
    pub fn take(&mut self) -> Result<PageNumber> {
        if self.free == 0 {
            self.grow()?;
        }
        let chunks = self.chunks.iter_mut().enumerate();
        let mut with_room = chunks.filter_map(|(index, chunk)| Some((index, chunk.as_mut().filter(|c| c.free > 0)?)));
        let (index, chunk) = with_room.next().ok_or(FileError::NoSpace)?;
        let page = chunk.first_free().ok_or(FileError::NoSpace)?;
        chunk.take(page);
        self.free -= 1;
        Ok(index as u32 * self.pages + page)
    }

    /// Gives back a page that was taken and never owned.
    pub fn give_back(&mut self, page: PageNumber) {
        if let Some((chunk, in_chunk)) = self.chunk_of(page) {
            chunk.give(in_chunk);
            self.free += 1;
        }
    }

    /// Writes whose a page is, which has what it is to have: the owner last, as with it the rest counts.
    pub fn own(&mut self, page: PageNumber, owner: u64, place: u64) {
        if let Some((chunk, in_chunk)) = self.chunk_of(page) {
            let at = in_chunk as usize * DESCRIPTOR;
            chunk.mapping.word_u64(at + 8).store(place, Ordering::Release);
            step();
            chunk.mapping.word_u64(at).store(owner, Ordering::Release);
        }
    }

    /// Frees a page, when what is staged is committed.
    pub fn free(&mut self, page: PageNumber) {
        self.leaving.push(page);
    }

    /// The same of a page of slots, which the redo may write.
    pub fn free_slots(&mut self, page: PageNumber) {
        self.has_slots = true;
        self.free(page);
    }

    /// Frees a page that nobody has any more, at a start.
    pub fn disown(&mut self, page: PageNumber) {
        if let Some((chunk, in_chunk)) = self.chunk_of(page) {
            // Its place stays: until it has no owner it is where it was.
            chunk.mapping.word_u64(in_chunk as usize * DESCRIPTOR).store(0, Ordering::Release);
            step();
        }
    }

    /// Notes a change of a few bytes of a page.
    pub fn log(&mut self, page: PageNumber, offset: usize, bytes: &[u8]) {
        let head = u64::from(page) << 32 | (offset as u64) << 16 | bytes.len() as u64;
        self.redo.extend_from_slice(&head.to_le_bytes());
        self.redo.extend_from_slice(bytes);
    }

    /// Stages what was noted. Error: `NoSpace`; it is forgotten then.
    pub fn stage(&mut self) -> Result<()> {
        let staged = self.records.put_bytes(REDO, &self.redo);
        self.end_stage(staged.is_ok())
    }

    /// The same of something that frees room, for which there nearly always is some.
    pub fn stage_last(&mut self) -> Result<()> {
        let staged = self.records.put_last(REDO, &self.redo);
        self.end_stage(staged.is_ok())
    }

    fn end_stage(&mut self, is_staged: bool) -> Result<()> {
        if is_staged {
            self.staged = self.redo.len();
            return Ok(());
        }
        self.redo.truncate(self.staged);
        Err(FileError::NoSpace)
    }

    /// Forgets what was noted and not staged.
    pub fn forget(&mut self) {
        self.redo.truncate(self.staged);
    }

    /// What was staged is committed: it is written, and what it freed is free.
    pub fn committed(&mut self) {
        step();
        self.write_redo();
        if core::mem::take(&mut self.has_slots) {
            // It is written. Were it written again at a start, the page might be a file's by then: data comes into pages without a commit.
            self.records.remove(REDO);
            self.records.commit();
            step();
        }
        let leaving = core::mem::take(&mut self.leaving);
        for page in &leaving {
            self.disown(*page);
            self.give_back(*page);
        }
        if !leaving.is_empty() {
            self.shrink();
        }
    }

    /// Writes the redo into pages. A page of a chunk that was given up since is not there.
    fn write_redo(&mut self) {
        let redo = core::mem::take(&mut self.redo);
        self.staged = 0;
        let mut rest = redo.as_slice();
        while let Some((head, behind)) = rest.split_first_chunk::<CHANGE>() {
            let head = u64::from_le_bytes(*head);
            let (page, offset, length) = ((head >> 32) as u32, (head >> 16) as u16 as usize, head as u16 as usize);
            let Some((bytes, behind)) = behind.split_at_checked(length) else { break };
            if let Some((mapping, at)) = self.place(page).filter(|_| offset + length <= PAGE as usize) {
                mapping.copy_in(at + offset, bytes);
                step();
            }
            rest = behind;
        }
        self.redo = redo;
        self.redo.clear();
    }

    /// Makes one more chunk, which is committed with what it is for.
    fn grow(&mut self) -> Result<()> {
        let memory = Memory::create(self.account, u64::from(self.pages) * PAGE).map_err(full)?;
        let mapping = memory.map_writable().map_err(full)?;
        let index = self.chunks.iter().position(Option::is_none).unwrap_or(self.chunks.len());
        if u32::try_from(index).ok().and_then(|index| (index + 1).checked_mul(self.pages)).is_none() {
            return Err(FileError::NoSpace);
        }
        self.chunks.try_reserve(1).map_err(full)?;
        let keepsake = self.records.keep(&memory).map_err(full)?;
        self.records.put(RecordKey::new(CHUNK, index as u64), &keepsake).map_err(full)?;
        let _ = memory.into_handle();
        let chunk = self.chunk(mapping, keepsake);
        self.free += chunk.free;
        if index == self.chunks.len() {
            self.chunks.push(Some(chunk));
        } else {
            self.chunks[index] = Some(chunk);
        }
        Ok(())
    }

    /// Gives up chunks with nothing in them, as long as others have room.
    fn shrink(&mut self) {
        let whole = self.pages - self.table_pages();
        for index in 0..self.chunks.len() {
            let is_empty = self.chunks[index].as_ref().is_some_and(|chunk| chunk.free == whole);
            if !is_empty || self.free - whole < self.pages / 2 {
                continue;
            }
            if let Some(chunk) = self.chunks[index].take() {
                self.records.remove(RecordKey::new(CHUNK, index as u64));
                // It is written; a later chunk of this number knows nothing of it.
                self.records.remove(REDO);
                self.records.release(chunk.keepsake);
                self.free -= whole;
            }
        }
        self.records.commit();
    }
}

/// Here tests kill the server.
fn step() {
    #[cfg(test)]
    crate::tests::step();
}

impl Chunk {
    fn take(&mut self, page: u32) {
        self.taken[page as usize / 64] |= 1 << (page % 64);
        self.free -= 1;
    }

    fn give(&mut self, page: u32) {
        self.taken[page as usize / 64] &= !(1 << (page % 64));
        self.free += 1;
    }

    fn first_free(&self) -> Option<u32> {
        let word = self.taken.iter().position(|word| *word != u64::MAX)?;
        Some(word as u32 * 64 + self.taken[word].trailing_ones())
    }
}
