//! Free physical memory: a buddy allocator (Knuth, TAOCP vol. 1 §2.5).
//!
//! A block of order n is 2ⁿ frames, aligned to its size. Free blocks hold the links of their order's list in their
//! first bytes. Each range of RAM carries at its start, in frames of its own, one bit for each possible block of
//! each order: set when that block is free. These are 2 bits a frame, and adding a range writes them at 64 a word, so
//! that it costs some 10,000 instructions a GiB.

use crate::arch;
use abi::PAGE_BYTES;
use core::cell::Cell;
use core::ops::Range;
use core::ptr::NonNull;
use x86_64::PhysAddr;

/// Orders of blocks: up to 1 GiB.
pub const ORDERS: usize = 19;

const PAGE: u64 = PAGE_BYTES as u64;

/// Free physical memory.
pub struct Frames {
    regions: Cell<Option<NonNull<Region>>>,
    lists: [Cell<Option<NonNull<FreeBlock>>>; ORDERS],
    /// Bit n is set when the list of order n has a block.
    occupied: Cell<u32>,
    /// Frames that are free.
    pub free: Cell<u64>,
    /// Frames, free or not.
    pub total: Cell<u64>,
}

/// The head of a range of RAM. Frames are numbered by their physical address.
struct Region {
    next: Option<NonNull<Region>>,
    first: u64,
    end: u64,
    bits: [NonNull<Cell<u64>>; ORDERS],
}

struct FreeBlock {
    next: Cell<Option<NonNull<FreeBlock>>>,
    previous: Cell<Option<NonNull<FreeBlock>>>,
}

impl Region {
    fn holds(&self, frame: u64, order: usize) -> bool {
        frame >= self.first && frame + (1 << order) <= self.end
    }

    fn words(first: u64, end: u64, order: usize) -> u64 {
        (((end - 1) >> order) - (first >> order)) / 64 + 1
    }

    fn bit(&self, frame: u64, order: usize) -> (&Cell<u64>, u64) {
        debug_assert!(self.holds(frame, 0));
        let index = (frame >> order) - (self.first >> order);
        // SAFETY: a frame of the region: its bit lies in the order's words.
        (unsafe { self.bits[order].add(index as usize / 64).as_ref() }, 1 << (index % 64))
    }

    fn is_free(&self, frame: u64, order: usize) -> bool {
        let (word, bit) = self.bit(frame, order);
        word.get() & bit != 0
    }
}

fn number(address: PhysAddr) -> u64 {
    address.as_u64() / PAGE
}

fn address(frame: u64) -> PhysAddr {
    PhysAddr::new_truncate(frame * PAGE)
}

fn block(frame: u64) -> NonNull<FreeBlock> {
    NonNull::new(arch::direct_map(address(frame)).cast()).expect("the direct map is not at zero")
}

/// Fills a frame with zeros.
///
/// # Safety
/// The frame is the caller's alone.
#[inline]
pub unsafe fn zero(frame: PhysAddr) {
    // SAFETY: the caller owns the frame; the direction flag is clear in Rust code.
    unsafe {
        core::arch::asm!("rep stosq", inout("rdi") arch::direct_map(frame) => _, inout("rcx") PAGE / 8 => _, in("rax") 0,
            options(nostack, preserves_flags));
    }
}

impl Frames {
    /// No memory.
    pub const fn new() -> Frames {
        Frames {
            regions: Cell::new(None),
            lists: [const { Cell::new(None) }; ORDERS],
            occupied: Cell::new(0),
            free: Cell::new(0),
            total: Cell::new(0),
        }
    }

    /// Adds a range of RAM. What is not a whole frame is left out; so is frame 0, as 0 means «none» elsewhere.
    ///
    /// # Safety
    /// The range is in the direct map and belongs to the allocator from now on; it is added once.
    pub unsafe fn add(&self, range: Range<PhysAddr>) {
        let start = range.start.as_u64().div_ceil(PAGE).max(1);
        let end = range.end.as_u64() / PAGE;
        if start >= end {
            return;
        }
        let words: u64 = (0..ORDERS).map(|order| Region::words(start, end, order)).sum();
        let taken = (size_of::<Region>() as u64 + words * 8).div_ceil(PAGE);
        if start + taken >= end {
            return;
        }
        for frame in start..start + taken {
            // SAFETY: the range is ours.
            unsafe { zero(address(frame)) };
        }
        let region: NonNull<Region> = block(start).cast();
        // SAFETY: the words follow the head, in the frames counted above.
        let mut next = unsafe { region.add(1) }.cast::<Cell<u64>>();
        let first = start + taken;
        let bits = core::array::from_fn(|order| {
            let here = next;
            // SAFETY: as above.
            next = unsafe { next.add(Region::words(first, end, order) as usize) };
            here
        });
        // SAFETY: the start of the range, aligned and large enough.
        unsafe { region.write(Region { next: self.regions.replace(Some(region)), first, end, bits }) };
        self.total.set(self.total.get() + end - first);
        self.free_run(address(first), end - first);
    }

    /// A block of 2^`order` frames; its contents are whatever they were.
    #[inline]
    pub fn allocate(&self, order: usize) -> Option<PhysAddr> {
        let fit = self.occupied.get().checked_shr(order as u32)?;
        if fit == 0 {
            return None;
        }
        let mut found = order + fit.trailing_zeros() as usize;
        let head = self.lists[found].get()?;
        let frame = number(arch::physical(head.as_ptr().cast()));
        let region = self.region(frame);
        self.leave(region, frame, found);
        while found > order {
            found -= 1;
            self.join(region, frame + (1 << found), found);
        }
        self.free.set(self.free.get() - (1 << order));
        Some(address(frame))
    }

    /// Gives a block back, whole or in aligned parts.
    #[inline]
    pub fn free(&self, block: PhysAddr, order: usize) {
        let mut frame = number(block);
        let region = self.region(frame);
        debug_assert!(region.holds(frame, order) && frame.is_multiple_of(1 << order), "not a block of this order");
        debug_assert!((0..ORDERS).all(|order| !region.is_free(frame, order)), "freed twice");
        self.free.set(self.free.get() + (1 << order));
        let mut order = order;
        while order + 1 < ORDERS {
            let buddy = frame ^ (1 << order);
            if !region.holds(buddy, order) || !region.is_free(buddy, order) {
                break;
            }
            self.leave(region, buddy, order);
            frame &= !(1 << order);
            order += 1;
        }
        self.join(region, frame, order);
    }

    /// `count` frames in one run.
    pub fn allocate_run(&self, count: u64) -> Option<PhysAddr> {
        let order = count.next_power_of_two().trailing_zeros() as usize;
        if order >= ORDERS {
            return None;
        }
        let start = self.allocate(order)?;
        self.free_run(start + count * PAGE, (1 << order) - count);
        Some(start)
    }

    /// Gives a run back, or a part of one: in as few blocks as there can be.
    pub fn free_run(&self, start: PhysAddr, count: u64) {
        let (mut frame, end) = (number(start), number(start) + count);
        while frame < end {
            let order = frame.trailing_zeros().min((end - frame).ilog2()).min(ORDERS as u32 - 1) as usize;
            self.free(address(frame), order);
            frame += 1 << order;
        }
    }

    /// Free blocks by order.
    #[cfg(test)]
    pub(crate) fn shape(&self) -> [usize; ORDERS] {
        core::array::from_fn(|order| {
            // SAFETY: blocks on lists hold a `FreeBlock`.
            core::iter::successors(self.lists[order].get(), |block| unsafe { block.as_ref() }.next.get()).count()
        })
    }

    /// Whether a frame lies in a free block.
    #[cfg(test)]
    pub(crate) fn is_free(&self, frame: PhysAddr) -> bool {
        (0..ORDERS).any(|order| self.region(number(frame)).is_free(number(frame), order))
    }

    fn region(&self, frame: u64) -> &Region {
        let mut region = self.regions.get();
        while let Some(here) = region {
            // SAFETY: regions are made by `add` and never freed.
            let here = unsafe { here.as_ref() };
            if here.holds(frame, 0) {
                return here;
            }
            region = here.next;
        }
        panic!("frame {frame:#x} is not managed");
    }

    fn join(&self, region: &Region, frame: u64, order: usize) {
        let (word, bit) = region.bit(frame, order);
        word.set(word.get() | bit);
        let this = block(frame);
        let next = self.lists[order].replace(Some(this));
        // SAFETY: free blocks are the allocator's own memory, and those on lists hold a `FreeBlock`.
        unsafe {
            this.write(FreeBlock { next: Cell::new(next), previous: Cell::new(None) });
            if let Some(next) = next {
                next.as_ref().previous.set(Some(this));
            }
        }
        self.occupied.set(self.occupied.get() | 1 << order);
    }

    fn leave(&self, region: &Region, frame: u64, order: usize) {
        let (word, bit) = region.bit(frame, order);
        debug_assert!(word.get() & bit != 0);
        word.set(word.get() & !bit);
        // SAFETY: as in `join`: the block is on the list of its order.
        unsafe {
            let this = block(frame).as_ref();
            let (next, previous) = (this.next.get(), this.previous.get());
            match previous {
                Some(previous) => previous.as_ref().next.set(next),
                None => self.lists[order].set(next),
            }
            if let Some(next) = next {
                next.as_ref().previous.set(previous);
            }
        }
        if self.lists[order].get().is_none() {
            self.occupied.set(self.occupied.get() & !(1 << order));
        }
    }
}
