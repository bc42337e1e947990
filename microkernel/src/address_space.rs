//! AddressSpace: the mappings of a process, and the page tables that show them to the processor.
//!
//! Mappings are in an index ordered by address, in one frame. Page tables are charged when something is mapped: as many as
//! the mappings can ever need, each counted once; they are made when first needed. So a fault on committed memory
//! is always answered. The tables that a mapping needs alone go with it.
//!
//! Unmapping, changing protection and clearing are done in steps. After each step everything is consistent, and the
//! call that is repeated continues where the last one stopped.

use crate::arch::paging::{self, LEVELS, TABLE_FLAGS};
use crate::object::{Account, Mapping, Memory, Object, Quantity, Ref, slab};
use crate::radix::{ADDRESS, Kept, PRESENT, Radix};
use crate::{Kernel, Progress, Ticket, arch, frames};
use abi::inspect::MappingRecord;
use abi::memory::{END_ADDRESS, KEY_SHIFT, LOWEST_ADDRESS, MAPPINGS, MemoryKind, Protection};
use abi::{Error, PAGE_BYTES, Rights};
use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;
use x86_64::PhysAddr;
use x86_64::structures::idt::PageFaultErrorCode;

const PAGE: u64 = PAGE_BYTES as u64;
/// Where the kernel looks for room when it may choose: behind most programs, in the same GiB, so that they share page tables.
pub(crate) const FIRST_CHOICE: u64 = 0x1000_0000;
/// Page table entries looked at in one step.
const STEP: u64 = 512;
/// Mappings cleared in one step, at most.
const CLEAR_BATCH: usize = 8;
/// Pages mapped around a fault where their frames are there: a power of two.
const AROUND: u64 = 16;

/// The mappings of a process, and its page tables.
pub struct AddressSpace {
    account: Ref<Account>,
    /// The top-level table; 0 while closed.
    pub root: Cell<PhysAddr>,
    index: Cell<PhysAddr>,
    length: Cell<usize>,
    /// Where in the index the last fault was.
    recent: Cell<usize>,
    /// Pages that are in its page tables.
    pub resident: Cell<u64>,
    /// The CPUs whose page table this is, as a bit set.
    pub(crate) loaded: Cell<u64>,
}

type Entry = Cell<Option<NonNull<Object<Mapping>>>>;

/// Where and how to map.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Where, or 0 to let the kernel choose.
    pub address: u64,
    /// First byte in the Memory.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// Protection word.
    pub word: u64,
    /// What the handle to the Memory allows.
    pub rights: Rights,
}

/// Why a page fault is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing is mapped there.
    NotMapped,
    /// What is mapped there does not allow the access.
    Protection,
    /// The page below a mapped range that can be written, as a stack is.
    StackOverflow,
}

/// The protection word of a system call. There are no protection keys: only key 0 is known.
fn parse(word: u64) -> Result<u32, Error> {
    if word & 0xf << KEY_SHIFT != 0 {
        return Err(Error::Unsupported);
    }
    let known = u64::from(Protection::all().bits());
    let protection = Protection::from_bits_truncate(word as u32);
    let needs_read = protection.intersects(Protection::WRITE | Protection::EXECUTE);
    let both = protection.contains(Protection::WRITE | Protection::EXECUTE);
    if word & !known != 0 || both || needs_read && !protection.contains(Protection::READ) {
        return Err(Error::BadArgument);
    }
    Ok(word as u32)
}

/// Whether the Memory and the handle's rights allow a protection.
fn check(kernel: &Kernel, memory: &Memory, word: u32, maximum: Protection) -> Result<(), Error> {
    let protection = Protection::from_bits_truncate(word);
    if !maximum.contains(protection) {
        return Err(Error::Denied);
    }
    let writes_sealed = protection.contains(Protection::WRITE) && memory.sealing.get();
    let executes_unsealed = protection.contains(Protection::EXECUTE) && !memory.is_sealed(kernel);
    if writes_sealed || executes_unsealed { Err(Error::Sealed) } else { Ok(()) }
}

fn maximum(rights: Rights) -> Protection {
    [(Rights::READ, Protection::READ), (Rights::WRITE, Protection::WRITE), (Rights::EXECUTE, Protection::EXECUTE)]
        .into_iter()
        .filter(|(right, _)| rights.contains(*right))
        .map(|(_, protection)| protection)
        .collect()
}

impl AddressSpace {
    /// An address space that has no tables yet: nothing can be mapped.
    pub const fn closed(account: Ref<Account>) -> AddressSpace {
        AddressSpace {
            account,
            root: Cell::new(PhysAddr::zero()),
            index: Cell::new(PhysAddr::zero()),
            length: Cell::new(0),
            recent: Cell::new(0),
            resident: Cell::new(0),
            loaded: Cell::new(0),
        }
    }

    /// An empty address space. It must not move once something is mapped.
    ///
    /// # Errors
    /// `AccountExhausted`.
    #[cfg(test)]
    pub fn new(kernel: &Kernel, account: &Object<Account>) -> Result<AddressSpace, Error> {
        let space = AddressSpace::closed(account.to_ref());
        space.open(kernel)?;
        Ok(space)
    }

    /// Makes the top-level table and the index.
    ///
    /// # Errors
    /// `AccountExhausted`.
    pub fn open(&self, kernel: &Kernel) -> Result<(), Error> {
        debug_assert!(self.root.get().is_null());
        let root = self.account.allocate_frame(kernel)?;
        let index = self.account.allocate_frame(kernel).inspect_err(|_| self.account.free_frame(kernel, root))?;
        // SAFETY: the frame is ours until `close`.
        unsafe { paging::make_root(root, kernel.kernel_table.get()) };
        self.root.set(root);
        self.index.set(index);
        Ok(())
    }

    /// Takes everything out, in steps. No CPU has it loaded. It can be used again afterwards.
    pub fn clear(&self, kernel: &Kernel) -> Progress {
        assert_eq!(self.loaded.get(), 0, "cleared while in use");
        for _ in 0..CLEAR_BATCH {
            let Some(last) = self.length.get().checked_sub(1) else { return Progress::Done(Ticket::DONE) };
            if let Progress::More = self.shrink(kernel, last) {
                break;
            }
        }
        if self.length.get() == 0 { Progress::Done(Ticket::DONE) } else { Progress::More }
    }

    /// Gives the top-level table and the index back. It is clear; closing again changes nothing.
    pub fn close(&self, kernel: &Kernel) {
        assert!(self.length.get() == 0 && self.loaded.get() == 0);
        for frame in [&self.root, &self.index] {
            if !frame.get().is_null() {
                self.account.free_frame(kernel, frame.replace(PhysAddr::zero()));
            }
        }
    }

    /// Mappings.
    #[cfg(test)]
    pub fn mappings(&self) -> usize {
        self.length.get()
    }

    fn tree(&self) -> Radix {
        // SAFETY: `open` made the root; below it, this file alone makes and takes tables.
        unsafe { Radix::new(self.root.get(), LEVELS) }
    }

    fn index(&self) -> &[Entry] {
        if self.index.get().is_null() {
            return &[];
        }
        // SAFETY: the frame is the index's until `close`; entries up to the length were written.
        unsafe { core::slice::from_raw_parts(arch::direct_map(self.index.get()).cast(), self.length.get()) }
    }

    /// The entry with this number; the one after the last may be written.
    fn entry(&self, number: usize) -> &Entry {
        assert!(number < MAPPINGS && !self.index.get().is_null());
        // SAFETY: the frame holds so many entries, and no entry needs to be valid to be written.
        unsafe { &*arch::direct_map(self.index.get()).cast::<Entry>().add(number) }
    }

    /// A mapping by its number in the order of addresses.
    pub fn mapping<'k>(&self, _kernel: &'k Kernel, number: usize) -> Option<&'k Object<Mapping>> {
        // SAFETY: entries up to the length hold references.
        self.index().get(number).and_then(Cell::get).map(|mapping| unsafe { mapping.as_ref() })
    }

    /// How many mappings start at or below a page.
    #[inline]
    fn position(&self, page: u64) -> usize {
        // SAFETY: as in `mapping`.
        self.index()
            .partition_point(|entry| entry.get().is_some_and(|mapping| unsafe { mapping.as_ref() }.start <= page))
    }

    /// The mapping of a page.
    #[inline]
    fn find<'k>(&self, kernel: &'k Kernel, page: u64) -> Option<&'k Object<Mapping>> {
        let holds = |mapping: &&Object<Mapping>| mapping.start <= page && page < mapping.end.get();
        if let Some(recent) = self.mapping(kernel, self.recent.get()).filter(holds) {
            return Some(recent);
        }
        let number = self.position(page).checked_sub(1)?;
        let mapping = self.mapping(kernel, number).filter(holds)?;
        self.recent.set(number);
        Some(mapping)
    }

    /// The mapping that starts at an address.
    fn starting_at<'k>(&self, kernel: &'k Kernel, address: u64) -> Result<(usize, &'k Object<Mapping>), Error> {
        let number = self.position(address / PAGE).checked_sub(1).ok_or(Error::BadAddress)?;
        match self.mapping(kernel, number) {
            Some(mapping) if mapping.start * PAGE == address => Ok((number, mapping)),
            _ => Err(Error::BadAddress),
        }
    }

    /// What the neighbours of a place in the index need: from the mapping before to the one with the number `after`.
    fn kept(&self, kernel: &Kernel, number: usize, after: usize) -> Kept {
        let before = number.checked_sub(1).and_then(|before| self.mapping(kernel, before));
        Kept {
            below: before.map_or(0, |before| before.end.get()),
            above: self.mapping(kernel, after).map_or(u64::MAX, |after| after.start),
        }
    }

    /// The first room for so many pages, with a free page on either side.
    fn choose(&self, kernel: &Kernel, pages: u64) -> Option<u64> {
        let mut start = FIRST_CHOICE / PAGE;
        let mut number = self.position(start);
        if let Some(before) = number.checked_sub(1).and_then(|before| self.mapping(kernel, before)) {
            start = start.max(before.end.get() + 1);
        }
        loop {
            let next = self.mapping(kernel, number);
            let limit = next.map_or(END_ADDRESS / PAGE, |next| next.start - 1);
            if start.checked_add(pages)? <= limit {
                return Some(start);
            }
            start = next?.end.get() + 1;
            number += 1;
        }
    }

    /// Maps a range of Memory: gives its address.
    ///
    /// # Errors
    /// `BadArgument`, `BadAddress` (taken, out of bounds, or no room), `Denied`, `Sealed`, `BadState` (Memory not
    /// prepared), `AccountExhausted`.
    pub fn map(&self, kernel: &Kernel, memory: &Object<Memory>, placement: Placement) -> Result<u64, Error> {
        let Placement { address, offset, bytes, word, rights } = placement;
        if (address | offset | bytes) % PAGE != 0 || bytes == 0 {
            return Err(Error::BadArgument);
        }
        offset.checked_add(bytes).filter(|end| *end <= memory.bytes()).ok_or(Error::BadArgument)?;
        let (word, maximum) = (parse(word)?, maximum(rights));
        check(kernel, memory, word, maximum)?;
        if !memory.is_prepared() {
            return Err(Error::BadState);
        }
        if self.root.get().is_null() || self.length.get() == MAPPINGS {
            return Err(Error::BadAddress);
        }
        let pages = bytes / PAGE;
        let start = match address {
            0 => self.choose(kernel, pages).ok_or(Error::BadAddress)?,
            _ => address / PAGE,
        };
        let end = start + pages;
        let number = self.position(start);
        let kept = self.kept(kernel, number, number);
        if start < LOWEST_ADDRESS / PAGE || end > END_ADDRESS / PAGE || start < kept.below || end > kept.above {
            return Err(Error::BadAddress);
        }

        let tables = Radix::nodes(LEVELS, start..end, kept);
        self.account.charge(Quantity::Frames, tables)?;
        let value = Mapping::new(memory.to_ref(), NonNull::from(self), start..end, offset / PAGE, word, maximum);
        let mapping = slab::create(kernel, &self.account, value)
            .inspect_err(|_| self.account.uncharge(Quantity::Frames, tables))?;
        if mapping.protection().contains(Protection::WRITE) {
            memory.add_writer(&mapping);
        }
        for number in (number..self.length.get()).rev() {
            self.entry(number + 1).set(self.entry(number).get());
        }
        self.entry(number).set(Some(mapping.into_raw()));
        self.length.set(self.length.get() + 1);
        Ok(start * PAGE)
    }

    /// Takes a mapping out: one step.
    ///
    /// # Errors
    /// `BadAddress` where none starts.
    pub fn unmap(&self, kernel: &Kernel, address: u64) -> Result<Progress, Error> {
        let (number, _) = self.starting_at(kernel, address)?;
        Ok(self.shrink(kernel, number))
    }

    /// Takes pages from the end of a mapping, and the tables that only they needed. The last step ends the mapping.
    fn shrink(&self, kernel: &Kernel, number: usize) -> Progress {
        let mapping = self.mapping(kernel, number).expect("a mapping with this number");
        let (kept, old_end) = (self.kept(kernel, number, number + 1), mapping.end.get());
        // Where no other CPU is asked, tables are free before this one has flushed: that is done before anybody gets them.
        let ticket = kernel.shootdown.announce(self);
        let (mut cleared, mut tables) = (0, 0);
        let end = self.tree().cut(
            mapping.start..old_end,
            kept,
            STEP,
            |_| cleared += 1,
            |table| {
                tables += 1;
                kernel.shootdown.hold_table(kernel, table, &self.account, ticket);
            },
        );
        // What was charged and never made.
        let below = if end > mapping.start { end } else { kept.below };
        let charged = Radix::nodes(LEVELS, end..old_end, Kept { below, ..kept });
        self.account.uncharge(Quantity::Frames, charged - tables);
        self.resident.set(self.resident.get() - cleared);
        mapping.end.set(end);
        mapping.ticket.set(mapping.ticket.get().max(ticket));
        kernel.shootdown.flush_here(self, end * PAGE, old_end - end);
        if end > mapping.start {
            return Progress::More;
        }

        mapping.memory.remove_writer(mapping);
        let raw = self.entry(number).get().expect("a mapping with this number");
        for number in number + 1..self.length.get() {
            self.entry(number - 1).set(self.entry(number).get());
        }
        self.length.set(self.length.get() - 1);
        // SAFETY: `map` gave this reference up to the entry, which is gone.
        kernel.shootdown.hold_mapping(unsafe { Ref::from_raw(raw) });
        Progress::Done(mapping.ticket.get())
    }

    /// Whether a mapping of this Memory starts at an address.
    pub fn shows(&self, kernel: &Kernel, address: u64, memory: &Object<Memory>) -> bool {
        self.starting_at(kernel, address).is_ok_and(|(_, mapping)| mapping.memory.is(memory))
    }

    /// Changes the protection of a mapping: one step.
    ///
    /// # Errors
    /// `BadAddress` where none starts, `BadArgument`, `Denied`, `Sealed`.
    pub fn protect(&self, kernel: &Kernel, address: u64, word: u64) -> Result<Progress, Error> {
        let (_, mapping) = self.starting_at(kernel, address)?;
        let word = parse(word)?;
        check(kernel, &mapping.memory, word, mapping.maximum)?;
        self.change(kernel, mapping, word);
        Ok(self.settle(kernel, mapping))
    }

    /// Takes the right to write from a mapping of Memory that is being sealed: one step.
    pub(crate) fn demote(&self, kernel: &Kernel, mapping: &Object<Mapping>) {
        self.change(kernel, mapping, mapping.word.get() & !Protection::WRITE.bits());
        self.settle(kernel, mapping);
    }

    fn change(&self, kernel: &Kernel, mapping: &Object<Mapping>, word: u32) {
        if mapping.word.replace(word) != word {
            mapping.settled.set(mapping.start);
            if mapping.protection().contains(Protection::WRITE) {
                mapping.memory.get(kernel).add_writer(mapping);
            }
        }
    }

    /// Makes some page table entries agree with the mapping's word.
    fn settle(&self, kernel: &Kernel, mapping: &Object<Mapping>) -> Progress {
        let (from, end) = (mapping.settled.get(), mapping.end.get());
        if from < end {
            let flags = paging::flags(mapping.word.get(), mapping.memory.caching);
            let (mut revoked, mut cleared) = (false, 0);
            let to = self.tree().change(from..end, STEP, |old| {
                let new = if flags == 0 { 0 } else { old & ADDRESS | flags };
                revoked |= paging::revokes(old, new);
                cleared += u64::from(new == 0);
                new
            });
            mapping.settled.set(to);
            self.resident.set(self.resident.get() - cleared);
            if revoked {
                let ticket = kernel.shootdown.announce(self);
                kernel.shootdown.flush_here(self, from * PAGE, to - from);
                mapping.ticket.set(mapping.ticket.get().max(ticket));
            }
            if to < end {
                return Progress::More;
            }
        }
        if !mapping.protection().contains(Protection::WRITE) {
            mapping.memory.remove_writer(mapping);
        }
        Progress::Done(mapping.ticket.get())
    }

    /// Answers a page fault of user code: `code` is the processor's error code.
    ///
    /// # Errors
    /// Why it cannot be answered.
    #[inline]
    pub fn fault(&self, kernel: &Kernel, address: u64, code: u64) -> Result<(), FaultKind> {
        let page = address / PAGE;
        let needed = match PageFaultErrorCode::from_bits_truncate(code) {
            code if code.contains(PageFaultErrorCode::INSTRUCTION_FETCH) => Protection::EXECUTE,
            code if code.contains(PageFaultErrorCode::CAUSED_BY_WRITE) => Protection::WRITE,
            _ => Protection::READ,
        };
        let Some(mapping) = self.find(kernel, page) else {
            return Err(self.explain(kernel, page, FaultKind::NotMapped));
        };
        if !mapping.protection().contains(needed) {
            return Err(self.explain(kernel, page, FaultKind::Protection));
        }
        // A page that is there already was allowed more since the TLB remembered it, or another CPU was faster.
        self.enter(kernel, mapping, page);
        if mapping.memory.is_run() || mapping.memory.sealing.get() {
            self.enter_around(mapping, page);
        }
        Ok(())
    }

    #[cold]
    fn explain(&self, kernel: &Kernel, page: u64, kind: FaultKind) -> FaultKind {
        let next = self.find(kernel, page + 1).filter(|next| next.start == page + 1);
        let is_guard = self.find(kernel, page).is_none_or(|mapping| mapping.protection().is_empty());
        match next {
            Some(next) if is_guard && next.protection().contains(Protection::WRITE) => FaultKind::StackOverflow,
            _ => kind,
        }
    }

    /// Puts a page into the tables.
    #[inline]
    fn enter(&self, kernel: &Kernel, mapping: &Object<Mapping>, page: u64) {
        let frame = mapping.memory.place(kernel, mapping.memory_page(page));
        let word = self.tree().word_or_grow(page, TABLE_FLAGS, || {
            let table = kernel.frames.allocate(0).expect("what is charged is promised");
            // SAFETY: it was just allocated.
            unsafe { frames::zero(table) };
            table
        });
        if word.load(Relaxed) & PRESENT == 0 {
            self.resident.set(self.resident.get() + 1);
        }
        word.store(frame.as_u64() | paging::flags(mapping.word.get(), mapping.memory.caching), Relaxed);
    }

    /// Enters the pages around one whose frames are there too: programs run through many pages of text at first.
    fn enter_around(&self, mapping: &Object<Mapping>, page: u64) {
        let first = page & !(AROUND - 1);
        let flags = paging::flags(mapping.word.get(), mapping.memory.caching);
        for page in first.max(mapping.start)..(first + AROUND).min(mapping.end.get()) {
            let Some(word) = self.tree().word(page).filter(|word| word.load(Relaxed) & PRESENT == 0) else { continue };
            let Some(frame) = mapping.memory.frame(mapping.memory_page(page)) else { continue };
            word.store(frame.as_u64() | flags, Relaxed);
            self.resident.set(self.resident.get() + 1);
        }
    }

    /// Enters pages before anybody touches them. They are mapped, readable, and few.
    pub fn populate(&self, kernel: &Kernel, address: u64, pages: u64) {
        for page in address / PAGE..address / PAGE + pages {
            let mapping = self.find(kernel, page).expect("only what is mapped is populated");
            debug_assert!(mapping.protection().contains(Protection::READ));
            self.enter(kernel, mapping, page);
        }
    }

    /// The frame of an address that can be read, where there is one. Device Memory counts as not there.
    #[cfg(test)]
    pub fn translate(&self, kernel: &Kernel, address: u64) -> Option<PhysAddr> {
        let mapping = self.readable(kernel, address)?;
        Some(mapping.memory.frame(mapping.memory_page(address / PAGE))? + address % PAGE)
    }

    fn readable<'k>(&self, kernel: &'k Kernel, address: u64) -> Option<&'k Object<Mapping>> {
        self.find(kernel, address / PAGE).filter(|mapping| {
            mapping.protection().contains(Protection::READ) && mapping.memory.kind != MemoryKind::Device
        })
    }

    /// Reads bytes, up to the first page that is not there: gives how many. The caller bounds the length.
    pub fn read(&self, kernel: &Kernel, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let Some(at) = address.checked_add(done as u64) else { break };
            let Some(mapping) = self.readable(kernel, at) else { break };
            let count = ((PAGE - at % PAGE) as usize).min(bytes.len() - done);
            let offset = mapping.memory_page(at / PAGE) * PAGE + at % PAGE;
            if mapping.memory.read(offset, &mut bytes[done..done + count]).is_err() {
                break;
            }
            done += count;
        }
        done
    }

    /// What there is to say about the mapping with a number.
    pub fn record(&self, kernel: &Kernel, number: usize) -> Option<MappingRecord> {
        self.mapping(kernel, number).map(|mapping| MappingRecord {
            address: mapping.start * PAGE,
            bytes: (mapping.end.get() - mapping.start) * PAGE,
            memory: mapping.memory.number(),
            offset: mapping.first * PAGE,
            protection: mapping.word.get(),
            kind: mapping.memory.kind as u32,
            resident_frames: mapping.memory.resident.get(),
        })
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        debug_assert!(self.root.get().is_null(), "an address space is closed before it ends");
    }
}
