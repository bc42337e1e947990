//! The data of a file: pages by number; one that is not there is a hole and reads as zeros. What is in the last page behind the end nobody knows: it is zeroed when the file grows.

use crate::arena::{Arena, PageNumber};
use crate::budget::{Budget, PAGE};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use filesystem::{Destination, FileError, Result, Source};

/// What a page takes besides its bytes: its place in the map, and its descriptor.
const OVERHEAD: u64 = 64;

/// The data of a file.
#[derive(Debug, Default)]
pub struct Contents {
    pages: BTreeMap<u64, PageNumber>,
    size: u64,
}

/// Whose data is written, and where its size is noted.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub serial: u64,
    /// Page and offset of the size.
    pub size: (PageNumber, usize),
}

impl Contents {
    /// A file of this size, all of it a hole.
    pub fn of_size(size: u64) -> Contents {
        Contents { pages: BTreeMap::new(), size }
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory that it takes.
    pub fn charged(&self) -> u64 {
        self.pages.len() as u64 * (PAGE + OVERHEAD)
    }

    /// Finds a page of an earlier incarnation: whether it is a part of the file.
    pub fn restore(&mut self, number: u64, page: PageNumber) -> bool {
        let is_part = number < self.size.div_ceil(PAGE) && !self.pages.contains_key(&number);
        if is_part {
            self.pages.insert(number, page);
        }
        is_part
    }

    /// Copies from an offset on, up to the end.
    pub fn read(&self, offset: u64, into: &mut Destination<'_>, arena: &Arena) {
        let mut at = offset;
        while at < self.size && into.room() > 0 {
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let count = (PAGE - start as u64).min(self.size - at) as usize;
            at += match self.pages.get(&page).and_then(|page| arena.place(*page)) {
                Some((mapping, place)) => into.put_mapped(mapping, place + start, count),
                None => into.put_zeros(count),
            } as u64;
        }
    }

    /// Copies into the file from an offset on, as much as there is room for. Error: `NoSpace`, where there is none at all.
    pub fn write(
        &mut self,
        owner: Owner,
        offset: u64,
        from: &mut Source<'_>,
        arena: &mut Arena,
        budget: &mut Budget,
    ) -> Result<()> {
        let wanted = offset + from.left() as u64;
        let (mut end, mut new) = (offset, Vec::new());
        for number in offset / PAGE..wanted.div_ceil(PAGE) {
            if !self.pages.contains_key(&number) {
                match take_page(arena, budget) {
                    Ok(page) => new.push((number, page)),
                    // What fits is written.
                    Err(_) => break,
                }
            }
            end = wanted.min((number + 1) * PAGE);
        }
        if end == offset {
            return Err(FileError::NoSpace);
        }
        if end > self.size {
            arena.log(owner.size.0, owner.size.1, &end.to_le_bytes());
            if let Err(error) = arena.stage() {
                new.into_iter().for_each(|(_, page)| give_page(page, arena, budget));
                return Err(error);
            }
            self.zero_behind_end(offset, arena);
        }
        for (number, page) in &new {
            if let Some((mapping, place)) = arena.place(*page) {
                // All but what is written now.
                let (first, last) = (number * PAGE, (number + 1) * PAGE);
                let (start, stop) = (offset.max(first), end.min(last));
                mapping.zero(place, (start - first) as usize);
                mapping.zero(place + (stop - first) as usize, (last - stop) as usize);
            }
        }
        let is_new = |number| new.iter().find(|(new, _)| *new == number).map(|(_, page)| *page);
        let mut at = offset;
        while at < end {
            let (number, start) = (at / PAGE, (at % PAGE) as usize);
            let count = (PAGE - start as u64).min(end - at) as usize;
            let page = self.pages.get(&number).copied().or_else(|| is_new(number));
            let Some((mapping, place)) = page.and_then(|page| arena.place(page)) else { break };
            at += from.take_mapped(mapping, place + start, count) as u64;
        }
        for (number, page) in new {
            arena.own(page, owner.serial, number);
            self.pages.insert(number, page);
        }
        self.size = self.size.max(end);
        Ok(())
    }

    /// Cuts the file off, or lets it end later. Error: `NoSpace`.
    pub fn truncate(&mut self, owner: Owner, bytes: u64, arena: &mut Arena, budget: &mut Budget) -> Result<()> {
        if bytes == self.size {
            return Ok(());
        }
        arena.log(owner.size.0, owner.size.1, &bytes.to_le_bytes());
        if bytes > self.size {
            arena.stage()?;
            self.zero_behind_end(bytes, arena);
        } else {
            arena.stage_last()?;
            for page in self.pages.split_off(&bytes.div_ceil(PAGE)).into_values() {
                arena.free(page);
                budget.give(PAGE + OVERHEAD);
            }
        }
        self.size = bytes;
        Ok(())
    }

    /// Frees its pages, when that is committed.
    pub fn free(self, arena: &mut Arena, budget: &mut Budget) {
        budget.give(self.charged());
        self.pages.into_values().for_each(|page| arena.free(page));
    }

    /// Zeroes what is in the last page behind the end of the file, up to an offset.
    fn zero_behind_end(&self, up_to: u64, arena: &Arena) {
        let start = self.size % PAGE;
        let end = up_to.min(self.size - start + PAGE);
        if start > 0
            && end > self.size
            && let Some((mapping, place)) = self.pages.get(&(self.size / PAGE)).and_then(|page| arena.place(*page))
        {
            mapping.zero(place + start as usize, (end - self.size) as usize);
        }
    }
}

fn take_page(arena: &mut Arena, budget: &mut Budget) -> Result<PageNumber> {
    budget.take(PAGE + OVERHEAD)?;
    arena.take().inspect_err(|_| budget.give(PAGE + OVERHEAD))
}

fn give_page(page: PageNumber, arena: &mut Arena, budget: &mut Budget) {
    arena.give_back(page);
    budget.give(PAGE + OVERHEAD);
}
