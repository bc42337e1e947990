//! Mapping: a range of an address space that shows a range of Memory. The address space owns it and does the
//! work ([`crate::address_space`]); the Memory knows those mappings through which it may be written.

use super::{Memory, ObjectType, Ref, Type};
use crate::address_space::AddressSpace;
use crate::{Kernel, Link, Ticket};
use abi::memory::Protection;
use core::cell::Cell;
use core::ops::Range;
use core::ptr::NonNull;

/// A mapping.
pub struct Mapping {
    /// What it shows. Kept until no TLB can have a translation any more.
    pub memory: Ref<Memory>,
    /// The space that it is part of: its index holds this mapping, so it lives while `start < end`.
    pub(crate) space: NonNull<AddressSpace>,
    /// First page.
    pub(crate) start: u64,
    /// End of its pages; falls while it is being unmapped.
    pub(crate) end: Cell<u64>,
    /// First page in the Memory.
    pub(crate) first: u64,
    /// Protection word.
    pub(crate) word: Cell<u32>,
    /// What the handle through which it was mapped allows.
    pub(crate) maximum: Protection,
    /// Below this page, the page tables agree with `word`.
    pub(crate) settled: Cell<u64>,
    /// The last request for a shoot-down.
    pub(crate) ticket: Cell<Ticket>,
    pub(crate) as_writer: Link<Mapping>,
    pub(crate) in_limbo: Link<Mapping>,
}

impl Mapping {
    pub(crate) fn new(
        memory: Ref<Memory>,
        space: NonNull<AddressSpace>,
        pages: Range<u64>,
        first: u64,
        word: u32,
        maximum: Protection,
    ) -> Mapping {
        Mapping {
            memory,
            space,
            start: pages.start,
            end: Cell::new(pages.end),
            first,
            word: Cell::new(word),
            maximum,
            settled: Cell::new(pages.end),
            ticket: Cell::new(Ticket::DONE),
            as_writer: Link::new(),
            in_limbo: Link::new(),
        }
    }

    /// What its pages may be used for.
    pub fn protection(&self) -> Protection {
        Protection::from_bits_truncate(self.word.get())
    }

    /// The page of the Memory that is at a page of the address space.
    pub(crate) fn memory_page(&self, page: u64) -> u64 {
        self.first + (page - self.start)
    }

    /// The space that it is part of.
    pub(crate) fn space<'k>(&self, _kernel: &'k Kernel) -> &'k AddressSpace {
        // SAFETY: an address space stays where it is and lives until all its mappings are taken out of it; those that were
        // are in limbo at most, where nobody asks.
        unsafe { self.space.as_ref() }
    }
}

impl Type for Mapping {
    const TYPE: ObjectType = ObjectType::Mapping;
}

crate::links! {
    /// Links of the mappings through which a Memory may be written.
    AsWriter: Mapping, as_writer;
    /// Links of the mappings in limbo.
    InLimbo: Mapping, in_limbo;
}
