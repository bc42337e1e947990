//! A machine: a kernel with memory, which is memory of the host.

use crate::kernel::Kernel;
use crate::object::{Account, Ref};
use abi::{Limits, PAGE_BYTES};
use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::ops::Range;
use x86_64::PhysAddr;

/// Memory of the host that stands for RAM.
pub struct Arena(*mut u8, Layout);

impl Arena {
    pub fn new(frames: usize) -> Arena {
        let layout = Layout::from_size_align(frames * PAGE_BYTES, 1 << 20).unwrap();
        // SAFETY: the layout is not empty.
        Arena(unsafe { std::alloc::alloc(layout) }, layout)
    }

    pub fn frame(&self, number: usize) -> PhysAddr {
        PhysAddr::new(self.0 as u64 + (number * PAGE_BYTES) as u64)
    }

    pub fn range(&self, frames: Range<usize>) -> Range<PhysAddr> {
        self.frame(frames.start)..self.frame(frames.end)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: made with this layout.
        unsafe { std::alloc::dealloc(self.0, self.1) };
    }
}

pub struct Machine {
    pub kernel: Box<Kernel>,
    pub root: ManuallyDrop<Ref<Account>>,
    _arena: Arena,
}

/// Limits of an account that may have so many frames, and enough of everything else.
pub fn limits(frames: u64) -> Limits {
    Limits { frames, handles: 100, threads: 100, sessions: 100, processes: 100 }
}

impl Machine {
    pub fn new(frames: usize) -> Machine {
        let (arena, kernel) = (Arena::new(frames), Box::new(Kernel::new()));
        // SAFETY: the arena is ours, and lives as long as the kernel is used.
        unsafe { kernel.frames.add(arena.range(0..frames)) };
        let everything = Limits { handles: 10_000, threads: 10_000, sessions: 10_000, processes: 10_000, frames: 0 };
        let root = Account::root(&kernel, Limits { frames: kernel.frames.total.get(), ..everything });
        Machine { kernel, root: ManuallyDrop::new(root), _arena: arena }
    }

    /// A sub-account.
    pub fn account(&self, frames: u64) -> Ref<Account> {
        self.root.get(&self.kernel).split(&self.kernel, limits(frames)).unwrap()
    }

    /// Frees everything that can be freed.
    pub fn reap_all(&mut self) {
        while self.kernel.has_work() {
            self.kernel.work();
        }
    }
}
