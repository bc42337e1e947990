//! The kernel's state. There is one in the running system, under one lock ([`crate::lock`]); host tests make
//! their own. Whoever has a borrow of it holds the lock: so it is passed wherever state is touched.

use crate::frames::Frames;
use crate::object::reference::{self, Doomed, ObjectType};
use core::cell::Cell;

/// Objects freed at the end of one kernel entry, at most: what is left waits for the next.
const REAP_BATCH: usize = 32;

/// The kernel's state.
pub struct Kernel {
    /// Free physical memory.
    pub frames: Frames,
    /// Objects to be freed.
    pub(crate) doomed: Doomed,
    /// How many objects there are.
    pub counts: Counts,
    last_number: Cell<u64>,
}

impl Kernel {
    /// A kernel without memory, processes or CPUs. It must not move once it has objects.
    pub const fn new() -> Kernel {
        Kernel { frames: Frames::new(), doomed: Doomed::new(), counts: Counts::new(), last_number: Cell::new(0) }
    }

    /// A number that was never given before.
    pub fn next_number(&self) -> u64 {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        number
    }

    /// Frees objects that nothing refers to: a bounded number of them.
    #[inline]
    pub fn reap(&mut self) {
        if !self.doomed.is_empty() {
            reference::reap(self, REAP_BATCH);
        }
    }
}

impl Default for Kernel {
    fn default() -> Kernel {
        Kernel::new()
    }
}

/// Live objects by type.
pub struct Counts([Cell<u64>; ObjectType::COUNT]);

impl Counts {
    const fn new() -> Counts {
        Counts([const { Cell::new(0) }; ObjectType::COUNT])
    }

    pub(crate) fn made(&self, object_type: ObjectType) {
        let count = &self.0[object_type as usize];
        count.set(count.get() + 1);
    }

    pub(crate) fn freed(&self, object_type: ObjectType) {
        let count = &self.0[object_type as usize];
        count.set(count.get() - 1);
    }

    /// Live objects of a type.
    pub fn of(&self, object_type: ObjectType) -> u64 {
        self.0[object_type as usize].get()
    }
}
