//! The heap: an allocator over Memory that the process makes when it needs it.
//!
//! A small program lives on [`ARENA_BYTES`] of its own data, and makes no Memory at all. The first chunk is [`FIRST_CHUNK`]; each further one is twice as large as the one before, up to [`LARGEST_CHUNK`], and any is as large as
//! what it was made for. A chunk of more than [`KEPT_CHUNK`] goes back to the account when nothing in it is used any more; smaller ones are kept. When the account has no more, an allocation fails, and what cannot do without it panics.

use crate::service::exhausted;
use crate::sync::RawLock;
use crate::{Error, Handle, sys};
use abi::PAGE_BYTES;
use abi::memory::{MemoryKind, Protection};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use talc::base::Talc;
use talc::base::binning::{Binning, DefaultBinning};
use talc::source::Source;

/// Bytes of the arena in the program's data that the process's heap starts with.
pub const ARENA_BYTES: usize = 16 * 1024;
/// Bytes of the first chunk.
pub const FIRST_CHUNK: usize = 64 * 1024;
/// Bytes at which chunks stop to grow.
pub const LARGEST_CHUNK: usize = 4 * 1024 * 1024;
/// Bytes up to which a chunk is kept when nothing in it is used: making one costs more than it is worth.
pub const KEPT_CHUNK: usize = 128 * 1024;
/// Bytes of a chunk that the allocator needs for itself, at most: its lists are in the first one.
const OVERHEAD: usize = 4096;

/// A heap.
pub struct Heap {
    lock: RawLock,
    talc: UnsafeCell<Talc<Chunks, DefaultBinning>>,
    bytes: AtomicUsize,
    account: AtomicU64,
}

// SAFETY: `talc` is touched under the lock only.
unsafe impl Sync for Heap {}
// SAFETY: it owns its chunks and its arena.
unsafe impl Send for Heap {}

/// Where chunks come from.
#[derive(Debug)]
struct Chunks {
    /// Memory that is there from the start, and not used yet.
    arena: Option<NonNull<Arena>>,
    account: Handle,
    next: usize,
    /// Bytes of all chunks.
    bytes: usize,
}

/// Memory that is there from the start.
#[repr(align(64))]
pub struct Arena(#[allow(dead_code)] UnsafeCell<[u8; ARENA_BYTES]>);

// SAFETY: nothing but the heap that it is given to touches it.
unsafe impl Sync for Arena {}

// SAFETY: making and mapping Memory allocates nothing.
unsafe impl Source for Chunks {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let needed =
            layout.size().checked_add(layout.align()).and_then(|bytes| bytes.checked_add(OVERHEAD)).ok_or(())?;
        let needed = needed.checked_next_multiple_of(PAGE_BYTES).ok_or(())?;
        if let Some(arena) = talc.source.arena.take() {
            // SAFETY: the arena was given to this heap for ever.
            let claimed = unsafe { talc.claim(arena.as_ptr().cast(), ARENA_BYTES) };
            // If it is too small for this request, there is another turn.
            return claimed.map(drop).ok_or(());
        }
        let preferred = talc.source.next.max(needed);
        // An account that has no room for a generous chunk may have it for a small one.
        let (base, bytes) = map(talc.source.account, preferred)
            .or_else(|_| map(talc.source.account, needed.max(FIRST_CHUNK.min(preferred))))
            .or_else(|_| map(talc.source.account, needed))
            .map_err(|_| ())?;
        talc.source.next = (talc.source.next * 2).min(LARGEST_CHUNK);
        talc.source.bytes += bytes;
        // SAFETY: new memory, which is this heap's for ever.
        unsafe { talc.claim(base, bytes) }.map(drop).ok_or(())
    }

    const TRACK_HEAP_END: bool = true;

    unsafe fn resize(&mut self, unused: *mut u8, end: *mut u8, is_all: bool) -> *mut u8 {
        // A chunk is whole pages, and the allocator keeps a tag of less than a page before what it hands out.
        let start = ((unused as usize) - 1) & !(PAGE_BYTES - 1);
        let bytes = end as usize - start;
        // SAFETY: the chunk was mapped as one, and all of it is unused; the allocator forgets it.
        if !is_all || bytes <= KEPT_CHUNK || unsafe { sys::memory_unmap(Handle::NONE, start as u64) }.is_err() {
            return end;
        }
        self.bytes -= bytes;
        self.next = self.next.min(bytes);
        unused
    }
}

/// Where an allocation comes to for which there is nothing: no block.
#[cold]
#[inline(never)]
fn refused(bytes: usize) -> *mut u8 {
    exhausted::no_memory(bytes);
    // Campaigns enter here in place of an allocation, so the null has to come from here.
    core::hint::black_box(ptr::null_mut())
}

/// New memory, mapped where the kernel likes.
fn map(account: Handle, bytes: usize) -> Result<(*mut u8, usize), Error> {
    let memory = sys::memory_create(account, bytes as u64, MemoryKind::Anonymous)?;
    let mapped = sys::memory_map(Handle::NONE, memory, 0, 0, bytes as u64, Protection::READ | Protection::WRITE);
    // The mapping holds it.
    let _ = sys::handle_close(memory);
    mapped.map(|address| (address as *mut u8, bytes))
}

impl Heap {
    /// An empty heap.
    pub const fn new() -> Heap {
        Heap::starting_with(None)
    }

    /// A heap that uses an arena, which nothing else does, before it makes Memory.
    #[cfg(any(target_os = "none", test))]
    const fn with_arena(arena: &'static Arena) -> Heap {
        Heap::starting_with(NonNull::new((&raw const *arena).cast_mut()))
    }

    const fn starting_with(arena: Option<NonNull<Arena>>) -> Heap {
        Heap {
            lock: RawLock::new(),
            talc: UnsafeCell::new(Talc::new(Chunks { arena, account: Handle::NONE, next: FIRST_CHUNK, bytes: 0 })),
            bytes: AtomicUsize::new(0),
            account: AtomicU64::new(0),
        }
    }

    /// Names the account that chunks are charged to: before that, every allocation fails.
    pub fn set_account(&self, account: Handle) {
        self.account.store(account.0, Relaxed);
    }

    /// The account that chunks are charged to.
    #[cfg(target_os = "none")]
    pub(crate) fn account(&self) -> Handle {
        Handle(self.account.load(Relaxed))
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Allocates. Campaigns count on it: it begins with the size in the first argument's register, and is never part of another function.
    ///
    /// # Safety
    /// Size and alignment are those of a layout that is not empty.
    #[inline(never)]
    unsafe fn allocate(bytes: usize, align: usize, heap: &Heap) -> *mut u8 {
        // SAFETY: the caller's promise.
        let layout = unsafe { Layout::from_size_align_unchecked(bytes, align) };
        // SAFETY: not empty, by the caller's promise.
        let found = heap.with(|talc| unsafe { talc.allocate(layout) });
        found.map_or_else(|| refused(bytes), NonNull::as_ptr)
    }

    fn with<R>(&self, act: impl FnOnce(&mut Talc<Chunks, DefaultBinning>) -> R) -> R {
        self.lock.lock();
        // SAFETY: the lock is held, and `act` does not come back here: nothing in it allocates.
        let talc = unsafe { &mut *self.talc.get() };
        talc.source.account = Handle(self.account.load(Relaxed));
        let result = act(talc);
        self.bytes.store(talc.source.bytes, Relaxed);
        self.lock.unlock();
        result
    }
}

impl Default for Heap {
    fn default() -> Self {
        Heap::new()
    }
}

// SAFETY: Talc keeps `GlobalAlloc`'s promises; the lock makes them hold among threads.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a layout, and the caller asks for at least a byte.
        unsafe { Heap::allocate(layout.size(), layout.align(), self) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back what `alloc` gave it for this layout.
        self.with(|talc| unsafe { talc.deallocate(pointer, layout) });
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`.
        if self.with(|talc| unsafe { talc.try_realloc_in_place(pointer, layout, new_bytes) }) {
            return pointer;
        }
        // SAFETY: the caller promises that the size is in range for the alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_bytes, layout.align()) };
        // SAFETY: a size that is not 0, by the caller's promise; old and new memory are different.
        unsafe {
            let new = self.alloc(new_layout);
            if !new.is_null() {
                ptr::copy_nonoverlapping(pointer, new, layout.size().min(new_bytes));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}

/// The process's heap.
#[cfg(target_os = "none")]
#[global_allocator]
pub static HEAP: Heap = Heap::with_arena(&ARENA);

#[cfg(target_os = "none")]
static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Object, fake};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A heap with an account of so many frames.
    fn heap(frames: u64) -> (Heap, crate::Account) {
        let limits = Limits { frames, handles: 10, ..Limits::default() };
        let account = fake::account().split(limits).expect("room");
        let heap = Heap::new();
        heap.set_account(account.handle());
        (heap, account)
    }

    #[test]
    fn it_grows_by_chunks_until_the_account_is_exhausted() {
        let (heap, _account) = heap(48);
        let layout = Layout::from_size_align(16 * 1024, 8).expect("a layout");
        // SAFETY: the layout is not empty.
        let all: Vec<*mut u8> = (0..20).map(|_| unsafe { heap.alloc(layout) }).collect();
        assert_eq!(heap.bytes(), 48 * PAGE_BYTES, "64 KiB, then 128 KiB");
        let got = all.iter().filter(|pointer| !pointer.is_null()).count();
        assert!((9..12).contains(&got), "{got}");
        all.into_iter().filter(|pointer| !pointer.is_null()).for_each(|pointer| {
            // SAFETY: allocated above.
            unsafe { heap.dealloc(pointer, layout) }
        });
        // SAFETY: the layout is not empty.
        assert!(!unsafe { heap.alloc(layout) }.is_null());
    }

    #[test]
    fn an_arena_comes_before_any_memory() {
        static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));
        let heap = Heap::with_arena(&ARENA);
        let layout = Layout::from_size_align(1000, 8).expect("a layout");
        // SAFETY: the layout is not empty.
        let got = (0..100).take_while(|_| !unsafe { heap.alloc(layout) }.is_null()).count();
        assert!((10..16).contains(&got), "{got} without an account");
        heap.set_account(fake::account().into_handle());
        // SAFETY: the layout is not empty.
        assert!(!unsafe { heap.alloc(layout) }.is_null());
        assert_eq!(heap.bytes(), FIRST_CHUNK);
    }

    #[test]
    fn a_large_request_has_a_chunk_of_its_own() {
        let (heap, _account) = heap(10_000);
        // SAFETY: the layout is not empty.
        let pointer = unsafe { heap.alloc(Layout::from_size_align(10 << 20, 4096).expect("a layout")) };
        assert!(!pointer.is_null() && (pointer as usize).is_multiple_of(4096));
        assert!(heap.bytes() < (10 << 20) + (16 << 10));
    }

    #[test]
    fn large_chunks_go_back_when_nothing_in_them_is_used() {
        let (heap, account) = heap(10_000);
        let layout = Layout::from_size_align(1000, 8).expect("a layout");
        let used = || account.usage().expect("an account").used.frames;
        // SAFETY: the layout is not empty.
        let all: Vec<*mut u8> = (0..2000).map(|_| unsafe { heap.alloc(layout) }).collect();
        assert!(all.iter().all(|pointer| !pointer.is_null()));
        let most = (heap.bytes(), used());
        all.into_iter().for_each(|pointer| {
            // SAFETY: allocated above.
            unsafe { heap.dealloc(pointer, layout) }
        });
        assert_eq!(heap.bytes(), FIRST_CHUNK + KEPT_CHUNK, "after {most:?}");
        assert!(used() * PAGE_BYTES as u64 <= heap.bytes() as u64 + 8 * PAGE_BYTES as u64, "{} after {most:?}", used());
        // SAFETY: the layout is not empty.
        assert!(!unsafe { heap.alloc(layout) }.is_null());
    }

    proptest! {
        #[test]
        fn blocks_do_not_overlap_and_keep_their_bytes(steps in proptest::collection::vec((0usize..40, 1usize..3000, 0u32..8), 1..150)) {
            let (heap, _account) = heap(4096);
            let mut blocks: Vec<Option<(*mut u8, Layout, u8)>> = std::vec![None; 40];
            for (number, (index, size, align)) in steps.into_iter().enumerate() {
                let fill = number as u8;
                let layout = Layout::from_size_align(size, 1 << align).expect("a layout");
                // SAFETY: what is read, grown and given back was allocated with that layout; sizes are not 0.
                unsafe {
                    blocks[index] = match blocks[index].take() {
                        None => {
                            let pointer = heap.alloc(layout);
                            prop_assert!(!pointer.is_null() && (pointer as usize).is_multiple_of(layout.align()));
                            pointer.write_bytes(fill, size);
                            Some((pointer, layout, fill))
                        }
                        Some((pointer, old, byte)) if number % 2 == 0 => {
                            let pointer = heap.realloc(pointer, old, size);
                            let kept = core::slice::from_raw_parts(pointer, old.size().min(size));
                            prop_assert!(kept.iter().all(|kept| *kept == byte));
                            pointer.write_bytes(fill, size);
                            Some((pointer, Layout::from_size_align(size, old.align()).expect("a layout"), fill))
                        }
                        Some((pointer, old, byte)) => {
                            let kept = core::slice::from_raw_parts(pointer, old.size());
                            prop_assert!(kept.iter().all(|kept| *kept == byte));
                            heap.dealloc(pointer, old);
                            None
                        }
                    };
                }
            }
        }
    }
}
