//! Slots of one size in pages of the arena: places for nodes and names. A slot has a number that stays. Its first word is 0 where it is free: that is what the next incarnation finds
//! its way by, and the only thing that is changed to free it.

use crate::arena::{Arena, PageNumber};
use crate::budget::PAGE;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use filesystem::{FileError, Result};

/// Number of a slot in its slab.
pub type Slot = u32;

/// A page of slots.
#[derive(Debug)]
struct Page {
    page: PageNumber,
    /// A bit for each slot that is taken.
    taken: u64,
}

/// Slots of one size.
#[derive(Debug)]
pub struct Slab {
    /// Whose its pages are.
    owner: u64,
    bytes: usize,
    /// The place of a page there is the page's index here.
    pages: Vec<Option<Page>>,
    with_room: BTreeSet<u32>,
}

impl Slab {
    /// No slots, of so many bytes: a multiple of 8, at least 64. `owner`: in descriptors.
    pub const fn new(owner: u64, bytes: usize) -> Slab {
        Slab { owner, bytes, pages: Vec::new(), with_room: BTreeSet::new() }
    }

    /// Whose its pages are.
    pub fn owner(&self) -> u64 {
        self.owner
    }

    fn in_page(&self) -> u32 {
        (PAGE as usize / self.bytes) as u32
    }

    /// The bits of a page whose slots are all taken.
    fn full(&self) -> u64 {
        u64::MAX >> (64 - self.in_page())
    }

    /// The page of a slot, and where it starts there.
    pub fn place(&self, slot: Slot) -> Option<(PageNumber, usize)> {
        let page = self.pages.get((slot / self.in_page()) as usize)?.as_ref()?;
        Some((page.page, (slot % self.in_page()) as usize * self.bytes))
    }

    /// Takes a slot. Error: `NoSpace`.
    pub fn take(&mut self, arena: &mut Arena) -> Result<Slot> {
        let index = match self.with_room.first() {
            Some(index) => *index,
            None => self.add_page(arena)?,
        };
        let (full, in_page) = (self.full(), self.in_page());
        let page = self.pages[index as usize].as_mut().ok_or(FileError::NoSpace)?;
        let slot = page.taken.trailing_ones();
        page.taken |= 1 << slot;
        if page.taken == full {
            self.with_room.remove(&index);
        }
        Ok(index * in_page + slot)
    }

    fn add_page(&mut self, arena: &mut Arena) -> Result<u32> {
        let index = self.pages.iter().position(Option::is_none).unwrap_or(self.pages.len());
        self.pages.try_reserve(1).map_err(|_| FileError::NoSpace)?;
        let page = arena.take()?;
        if let Some((mapping, at)) = arena.place(page) {
            mapping.zero(at, PAGE as usize);
        }
        arena.own(page, self.owner, index as u64);
        self.put_page(index, Page { page, taken: 0 });
        Ok(index as u32)
    }

    fn put_page(&mut self, index: usize, page: Page) {
        if self.pages.len() <= index {
            self.pages.resize_with(index + 1, || None);
        }
        if page.taken != self.full() {
            self.with_room.insert(index as u32);
        }
        self.pages[index] = Some(page);
    }

    /// Gives a slot back, whose end is staged or which was never used. Its page is freed if nothing else is in it: it may be all that is left in its chunk.
    pub fn give(&mut self, slot: Slot, arena: &mut Arena) {
        let index = slot / self.in_page();
        let bit = 1 << (slot % self.in_page());
        let Some(Some(page)) = self.pages.get_mut(index as usize) else { return };
        page.taken &= !bit;
        if page.taken == 0 {
            arena.free_slots(page.page);
            self.pages[index as usize] = None;
            self.with_room.remove(&index);
        } else {
            self.with_room.insert(index);
        }
    }

    /// Finds a page of an earlier incarnation at its place: the slots that are taken, with what is in them. A page with none is freed.
    pub fn restore(&mut self, page: PageNumber, place: u64, arena: &mut Arena) -> Vec<(Slot, Vec<u8>)> {
        let mut found = Vec::new();
        let mut taken = 0;
        if let Some((mapping, at)) = arena.place(page) {
            for slot in 0..self.in_page() {
                let start = at + slot as usize * self.bytes;
                if mapping.load_u64(start, Ordering::Acquire) != 0 {
                    taken |= 1 << slot;
                    let mut bytes = alloc::vec![0; self.bytes];
                    mapping.copy_out(start, &mut bytes);
                    found.push((place as u32 * self.in_page() + slot, bytes));
                }
            }
        }
        let is_there = self.pages.get(place as usize).is_some_and(Option::is_some);
        if taken == 0 || is_there {
            arena.disown(page);
            return Vec::new();
        }
        arena.retake(page);
        self.put_page(place as usize, Page { page, taken });
        found
    }
}
