//! Memory: pages, fixed in size, charged in full when made.
//!
//! Anonymous pages are placed when first touched: a [`Radix`] tree finds their frames, where they are more than a few. DMA and device Memory, and what the
//! boot loader left, are one run of frames. Whoever places a page cannot fail: frames and tree nodes are
//! promised by the charge.
//!
//! Sealing ends all writing for ever. The Memory lists the mappings through which it may be written; sealing
//! takes the right from one after the other, and is complete when no TLB remembers it.

use super::{Account, Mapping, New, Object, ObjectType, Quantity, Ref, Type, mapping::AsWriter, slab};
use crate::radix::{ADDRESS, Kept, PRESENT, Radix};
use crate::{Kernel, List, Progress, Ticket, arch, frames};
use abi::boot::ResourceKind;
use abi::memory::{Caching, LARGEST, MemoryKind, Protection};
use abi::{Error, PAGE_BYTES};
use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use x86_64::PhysAddr;

const PAGE: u64 = PAGE_BYTES as u64;
/// Pages zeroed or freed in one step.
const STEP: u64 = 16;
/// Up to so many anonymous pages are found without a tree: a thread's message pages are two.
const FEW: usize = 2;

/// Pages.
pub struct Memory {
    account: Ref<Account>,
    /// How many.
    pub pages: u64,
    /// What was asked for.
    pub kind: MemoryKind,
    /// How it is cached.
    pub caching: Caching,
    backing: Backing,
    /// Frames that are placed.
    pub resident: Cell<u64>,
    /// Pages from here on have no frame or, of a run, are not zeroed yet.
    ready: Cell<u64>,
    /// No mapping may be made writable any more: sealed, or on the way there.
    pub sealing: Cell<bool>,
    /// The last shoot-down of a writable translation.
    revoked: Cell<Ticket>,
    device_writers: Cell<u32>,
    writers: List<Mapping, AsWriter>,
}

enum Backing {
    /// Frames, or 0 while there is none.
    Few([Cell<PhysAddr>; FEW]),
    /// Frames of a tree.
    Tree(Radix),
    /// Adjacent frames of the allocator.
    Run(PhysAddr),
    /// Adjacent frames of somebody else.
    Foreign(PhysAddr),
}

fn allocate(kernel: &Kernel) -> PhysAddr {
    let frame = kernel.frames.allocate(0).expect("what is charged is promised");
    // SAFETY: it was just allocated.
    unsafe { frames::zero(frame) };
    frame
}

/// Levels of the tree for so many pages; 0 where there is none.
fn levels(pages: u64) -> u32 {
    match pages {
        _ if pages <= FEW as u64 => 0,
        0..=0x200 => 1,
        0x201..=0x4_0000 => 2,
        _ => 3,
    }
}

/// Frames that so many pages of a kind are charged, the nodes of a tree included.
fn price(kind: MemoryKind, pages: u64) -> u64 {
    match (kind, levels(pages)) {
        (MemoryKind::Anonymous, levels @ 1..) => pages + 1 + Radix::nodes(levels, 0..pages, Kept::NONE),
        _ => pages,
    }
}

impl Memory {
    /// Makes anonymous or DMA Memory. DMA Memory has to be [prepared](Memory::prepare) before it is used.
    ///
    /// # Errors
    /// `BadArgument`, `AccountExhausted`, `NoContiguousMemory`.
    pub fn create(kernel: &Kernel, account: &Object<Account>, bytes: u64, kind: MemoryKind) -> New<Memory> {
        let pages = bytes / PAGE;
        if !bytes.is_multiple_of(PAGE) || bytes == 0 || bytes > LARGEST || kind == MemoryKind::Device {
            return Err(Error::BadArgument);
        }
        account.charge(Quantity::Frames, price(kind, pages))?;
        let uncharge = || account.uncharge(Quantity::Frames, price(kind, pages));
        let backing = match (kind, levels(pages)) {
            (MemoryKind::Dma, _) => match kernel.frames.allocate_run(pages) {
                Some(start) => Backing::Run(start),
                None => {
                    uncharge();
                    return Err(Error::NoContiguousMemory);
                }
            },
            (_, 0) => Backing::Few([const { Cell::new(PhysAddr::zero()) }; FEW]),
            // SAFETY: a zeroed frame, which the Memory keeps.
            (_, levels) => Backing::Tree(unsafe { Radix::new(allocate(kernel), levels) }),
        };
        let undo = match backing {
            Backing::Run(start) => Some((start, pages)),
            Backing::Tree(tree) => Some((tree.root(), 1)),
            _ => None,
        };
        Memory::with(kernel, account, pages, kind, Caching::WriteBack, backing).inspect_err(|_| {
            if let Some((start, count)) = undo {
                kernel.frames.free_run(start, count);
            }
            uncharge();
        })
    }

    /// Makes device Memory of a physical range, page aligned. That nobody else has the range is the caller's to check.
    ///
    /// # Errors
    /// `BadArgument`, `AccountExhausted` (for the object alone).
    pub fn device(kernel: &Kernel, account: &Object<Account>, range: Range<PhysAddr>, caching: Caching) -> New<Memory> {
        let bytes = range.end.as_u64().saturating_sub(range.start.as_u64());
        if !range.start.is_aligned(PAGE) || !bytes.is_multiple_of(PAGE) || bytes == 0 || bytes > LARGEST {
            return Err(Error::BadArgument);
        }
        let (pages, backing) = (bytes / PAGE, Backing::Foreign(range.start));
        Memory::with(kernel, account, pages, MemoryKind::Device, caching, backing)
    }

    /// Makes sealed Memory of RAM that is not the allocator's and holds something: the boot archive. The range is rounded
    /// outward to pages; it is never freed.
    ///
    /// # Errors
    /// `AccountExhausted` (for the object alone).
    pub fn adopt(kernel: &Kernel, account: &Object<Account>, range: Range<PhysAddr>) -> New<Memory> {
        let start = range.start.align_down(PAGE);
        let pages = (range.end.align_up(PAGE) - start) / PAGE;
        let (kind, backing) = (MemoryKind::Anonymous, Backing::Foreign(start));
        let memory = Memory::with(kernel, account, pages, kind, Caching::WriteBack, backing)?;
        memory.sealing.set(true);
        Ok(memory)
    }

    fn with(
        kernel: &Kernel,
        account: &Object<Account>,
        pages: u64,
        kind: MemoryKind,
        caching: Caching,
        backing: Backing,
    ) -> New<Memory> {
        let resident = if matches!(backing, Backing::Run(_) | Backing::Foreign(_)) { pages } else { 0 };
        let value = Memory {
            account: account.to_ref(),
            pages,
            kind,
            caching,
            backing,
            resident: Cell::new(resident),
            ready: Cell::new(if kind == MemoryKind::Dma { 0 } else { pages }),
            sealing: Cell::new(false),
            revoked: Cell::new(Ticket::DONE),
            device_writers: Cell::new(0),
            writers: List::new(),
        };
        slab::create(kernel, account, value)
    }

    /// Zeroes some pages of new DMA Memory; of other Memory there is nothing to do.
    pub fn prepare(&self) -> Progress {
        if let Backing::Run(start) = self.backing {
            let end = (self.ready.get() + STEP).min(self.pages);
            for page in self.ready.get()..end {
                // SAFETY: the frames are this Memory's, and nobody sees them before they are zeroed.
                unsafe { frames::zero(start + page * PAGE) };
            }
            self.ready.set(end);
        }
        if self.is_prepared() { Progress::Done(Ticket::DONE) } else { Progress::More }
    }

    /// Whether it can be used.
    pub fn is_prepared(&self) -> bool {
        self.ready.get() == self.pages
    }

    /// Size.
    pub fn bytes(&self) -> u64 {
        self.pages * PAGE
    }

    /// The physical range of device Memory.
    #[cfg(test)]
    pub fn device_range(&self) -> Option<Range<PhysAddr>> {
        match self.backing {
            Backing::Foreign(start) if self.kind == MemoryKind::Device => Some(start..start + self.bytes()),
            _ => None,
        }
    }

    /// Whether its frames are adjacent, and so there from the start.
    pub fn is_run(&self) -> bool {
        matches!(self.backing, Backing::Run(_) | Backing::Foreign(_))
    }

    /// The frame of a page, where it has one.
    #[inline]
    pub fn frame(&self, page: u64) -> Option<PhysAddr> {
        if page >= self.pages {
            return None;
        }
        match &self.backing {
            Backing::Few(frames) => Some(frames[page as usize].get()).filter(|frame| !frame.is_null()),
            Backing::Tree(tree) => {
                let word = tree.word(page)?.load(Relaxed);
                (word != 0).then(|| PhysAddr::new_truncate(word & ADDRESS))
            }
            Backing::Run(start) | Backing::Foreign(start) => Some(*start + page * PAGE),
        }
    }

    /// The frame of a page, which is placed, zeroed, where it has none. It stays until the Memory ends.
    #[inline]
    pub fn place(&self, kernel: &Kernel, page: u64) -> PhysAddr {
        assert!(page < self.pages);
        match &self.backing {
            Backing::Few(frames) => {
                let frame = &frames[page as usize];
                if frame.get().is_null() {
                    frame.set(allocate(kernel));
                    self.resident.set(self.resident.get() + 1);
                }
                frame.get()
            }
            Backing::Tree(tree) => {
                let word = tree.word_or_grow(page, 0, || allocate(kernel));
                let old = word.load(Relaxed);
                if old != 0 {
                    return PhysAddr::new_truncate(old & ADDRESS);
                }
                let frame = allocate(kernel);
                word.store(frame.as_u64() | PRESENT, Relaxed);
                self.resident.set(self.resident.get() + 1);
                frame
            }
            Backing::Run(start) | Backing::Foreign(start) => *start + page * PAGE,
        }
    }

    /// Ends all writing: one step.
    ///
    /// # Errors
    /// `Busy` while a device may write it, `BadState` for device Memory.
    pub fn seal(&self, kernel: &Kernel) -> Result<Progress, Error> {
        if self.kind == MemoryKind::Device || !self.is_prepared() {
            return Err(Error::BadState);
        }
        if self.device_writers.get() > 0 {
            return Err(Error::Busy);
        }
        self.sealing.set(true);
        if let Some(writer) = self.writers.front(kernel) {
            writer.space(kernel).demote(kernel, writer);
        }
        Ok(if self.writers.is_empty() { Progress::Done(self.revoked.get()) } else { Progress::More })
    }

    /// Whether nobody can write it ever again.
    pub fn is_sealed(&self, kernel: &Kernel) -> bool {
        self.sealing.get() && self.writers.is_empty() && kernel.shootdown.requests.is_done(self.revoked.get())
    }

    /// Notes that a device may write it from now on.
    ///
    /// # Errors
    /// `Sealed`.
    pub fn add_device_writer(&self) -> Result<(), Error> {
        if self.sealing.get() {
            return Err(Error::Sealed);
        }
        self.device_writers.set(self.device_writers.get() + 1);
        Ok(())
    }

    /// Takes back one [`Memory::add_device_writer`].
    pub fn remove_device_writer(&self) {
        self.device_writers.set(self.device_writers.get() - 1);
    }

    /// Lists a mapping that may be written from now on.
    pub(crate) fn add_writer(&self, mapping: &Object<Mapping>) {
        debug_assert!(mapping.protection().contains(Protection::WRITE) && !self.sealing.get());
        if !self.writers.contains(mapping) {
            self.writers.push_back(mapping.to_ref());
        }
    }

    /// Takes a mapping off the list, none of whose page table entries can be written any more.
    pub(crate) fn remove_writer(&self, mapping: &Object<Mapping>) {
        if self.writers.remove(mapping).is_some() {
            self.revoked.set(self.revoked.get().max(mapping.ticket.get()));
        }
    }

    /// Reads bytes; pages that were never touched read as zeros. The caller bounds the length.
    ///
    /// # Errors
    /// `BadArgument` outside of the Memory, and for device Memory.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.check_range(offset, bytes.len())?;
        self.pieces(offset, bytes.len(), |page, within, range| {
            let bytes = &mut bytes[range];
            match self.frame(page) {
                // SAFETY: the bytes are in a frame of this Memory. User space may write them meanwhile: any bytes do.
                Some(frame) => unsafe {
                    arch::direct_map(frame).add(within).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len());
                },
                None => bytes.fill(0),
            }
        });
        Ok(())
    }

    /// Writes bytes, and places the pages. The caller bounds the length.
    ///
    /// # Errors
    /// `BadArgument` as [`Memory::read`], `Sealed`.
    pub fn write(&self, kernel: &Kernel, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.check_range(offset, bytes.len())?;
        if self.sealing.get() {
            return Err(Error::Sealed);
        }
        self.pieces(offset, bytes.len(), |page, within, range| {
            let bytes = &bytes[range];
            // SAFETY: the bytes are in a frame of this Memory, of which the kernel has no references.
            unsafe {
                let at = arch::direct_map(self.place(kernel, page)).add(within);
                at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        });
        Ok(())
    }

    fn check_range(&self, offset: u64, length: usize) -> Result<(), Error> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.bytes());
        if end.is_none() || self.kind == MemoryKind::Device || !self.is_prepared() {
            return Err(Error::BadArgument);
        }
        Ok(())
    }

    /// Cuts a range at pages: page, offset in it, range of the caller's bytes.
    fn pieces(&self, offset: u64, length: usize, mut piece: impl FnMut(u64, usize, Range<usize>)) {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let count = (PAGE_BYTES - within).min(length - done);
            piece(at / PAGE, within, done..done + count);
            done += count;
        }
    }
}

impl Type for Memory {
    const TYPE: ObjectType = ObjectType::Memory;

    fn dismantle(&self, kernel: &Kernel) -> bool {
        let Backing::Tree(tree) = self.backing else { return true };
        let free = |frame| kernel.frames.free(frame, 0);
        let leaf = |word| free(PhysAddr::new_truncate(word & ADDRESS));
        self.ready.set(tree.cut(0..self.ready.get(), Kept::NONE, STEP, leaf, free));
        self.ready.get() == 0
    }

    fn finalize(&self, kernel: &Kernel) {
        match &self.backing {
            Backing::Few(frames) => {
                let placed = frames.iter().map(Cell::get).filter(|frame| !frame.is_null());
                placed.for_each(|frame| kernel.frames.free(frame, 0));
            }
            Backing::Tree(tree) => kernel.frames.free(tree.root(), 0),
            Backing::Run(start) => kernel.frames.free_run(*start, self.pages),
            Backing::Foreign(start) => {
                if self.kind == MemoryKind::Device {
                    kernel.ranges.release(kernel, ResourceKind::Physical, start.as_u64());
                }
                return;
            }
        }
        self.account.uncharge(Quantity::Frames, price(self.kind, self.pages));
    }
}
