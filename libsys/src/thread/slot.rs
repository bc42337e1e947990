//! Slots: what a thread needs besides the kernel's object, kept from one thread to the next.

use super::parking::{self, EXIT};
#[cfg(target_os = "none")]
use crate::sync::Mutex;
use crate::{Object, env};
use abi::{Error, Handle, PAGE_BYTES};
use alloc::vec::Vec;

/// A stack with a guard below it, a place for message pages, and two channels: one parks the thread, so only the thread receives on
/// it; the other tells who joins it of its exit.
pub(super) struct Slot {
    parking: Handle,
    exit: Handle,
    /// The thread that uses it has ended, and that was seen.
    exited: bool,
    /// Size of the stack, by which slots are chosen.
    stack_bytes: usize,
    #[cfg(target_os = "none")]
    pub(super) stack: usize,
    #[cfg(target_os = "none")]
    pub(super) pages: usize,
}

/// Slots that no thread uses, and slots whose thread nobody joins.
struct Slots {
    free: Vec<Slot>,
    detached: Vec<Slot>,
}

#[cfg(target_os = "none")]
static SLOTS: Mutex<Slots> = Mutex::new(Slots { free: Vec::new(), detached: Vec::new() });

/// Slots belong to a process: channels are handles. So are those that a lock of libsys wakes its waiters by: what all fake processes share is under one of the host's.
#[cfg(not(target_os = "none"))]
static SLOTS: std::sync::Mutex<alloc::collections::BTreeMap<u64, Slots>> =
    std::sync::Mutex::new(alloc::collections::BTreeMap::new());

/// The slots of all fake processes.
#[cfg(not(target_os = "none"))]
fn all_slots() -> std::sync::MutexGuard<'static, alloc::collections::BTreeMap<u64, Slots>> {
    // Nothing panics under it.
    SLOTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn with_slots<R>(act: impl FnOnce(&mut Slots) -> R) -> R {
    #[cfg(target_os = "none")]
    return act(&mut SLOTS.lock());
    #[cfg(not(target_os = "none"))]
    {
        // Taken out meanwhile, so that no fake kernel call is made under the map's lock.
        let process = crate::fake::who().process;
        let mut slots = all_slots().remove(&process).unwrap_or(Slots { free: Vec::new(), detached: Vec::new() });
        let result = act(&mut slots);
        let mut all = all_slots();
        let entry = all.entry(process).or_insert(Slots { free: Vec::new(), detached: Vec::new() });
        entry.free.append(&mut slots.free);
        entry.detached.append(&mut slots.detached);
        result
    }
}

impl Slot {
    /// A slot with a stack of at least so many bytes. Errors: `AccountExhausted`, `NoSlot`, `BadArgument`.
    pub(super) fn take(stack_bytes: usize) -> Result<Slot, Error> {
        let stack_bytes = stack_bytes.max(PAGE_BYTES).checked_next_multiple_of(PAGE_BYTES).ok_or(Error::BadArgument)?;
        let reused = with_slots(|slots| {
            for index in (0..slots.detached.len()).rev() {
                if slots.detached[index].has_exited() {
                    let slot = slots.detached.swap_remove(index);
                    slots.free.push(slot);
                }
            }
            let index = slots.free.iter().position(|slot| slot.stack_bytes == stack_bytes)?;
            Some(slots.free.swap_remove(index))
        });
        match reused {
            Some(slot) => Ok(Slot { exited: false, ..slot }),
            None => Slot::make(stack_bytes),
        }
    }

    #[cfg(not(target_os = "none"))]
    fn make(stack_bytes: usize) -> Result<Slot, Error> {
        let (parking, exit) = (crate::Channel::create(env::account())?, crate::Channel::create(env::account())?);
        Ok(Slot { parking: parking.into_handle(), exit: exit.into_handle(), exited: false, stack_bytes })
    }

    #[cfg(target_os = "none")]
    fn make(stack_bytes: usize) -> Result<Slot, Error> {
        use crate::sys;
        use abi::memory::{MemoryKind, Protection};
        use core::sync::atomic::{AtomicUsize, Ordering};

        /// Where slots are. The message pages come and go with threads, the stack stays: side by side, they share page tables.
        const SLOTS: usize = 0x6000_0000_0000;
        /// The pages that stay free: below the stack, and on either side of the message pages.
        const GUARD: usize = PAGE_BYTES;
        static NEXT: AtomicUsize = AtomicUsize::new(SLOTS);

        let account = env::account().handle();
        let (parking, exit) = (crate::Channel::create(env::account())?, crate::Channel::create(env::account())?);
        let memory =
            crate::Memory::from_handle(sys::memory_create(account, stack_bytes as u64, MemoryKind::Anonymous)?);
        let pages = NEXT.fetch_add(stack_bytes + 2 * PAGE_BYTES + 2 * GUARD, Ordering::Relaxed) + GUARD;
        let stack = pages + 2 * PAGE_BYTES + GUARD;
        let protection = Protection::READ | Protection::WRITE;
        sys::memory_map(Handle::NONE, memory.handle(), stack as u64, 0, stack_bytes as u64, protection)?;
        Ok(Slot { parking: parking.into_handle(), exit: exit.into_handle(), exited: false, stack_bytes, stack, pages })
    }

    /// The thread's private channel.
    pub(super) fn parking(&self) -> Handle {
        self.parking
    }

    /// The channel that the thread's exit signals.
    pub(super) fn exit(&self) -> Handle {
        self.exit
    }

    /// End of the stack.
    #[cfg(target_os = "none")]
    pub(super) fn stack_end(&self) -> usize {
        self.stack + self.stack_bytes
    }

    /// Waits until the thread is off the stack, and gives the slot back.
    pub(super) fn wait_for_exit(mut self) {
        while !self.exited {
            match parking::receive(self.exit, None) {
                Ok(bits) => self.exited = bits & EXIT != 0,
                Err(Error::TimedOut) => {}
                // The channel is gone: with the process, as slots never close theirs. Nobody uses this one again.
                Err(_) => return,
            }
        }
        self.give_back();
    }

    pub(super) fn has_exited(&mut self) -> bool {
        if !self.exited {
            self.exited = parking::receive(self.exit, Some(0)).is_ok_and(|bits| bits & EXIT != 0);
        }
        self.exited
    }

    /// The slot of a thread that nobody joins: it is looked at when the next thread starts.
    pub(super) fn detach(self) {
        with_slots(|slots| slots.detached.push(self));
    }

    /// For the next thread.
    pub(super) fn give_back(self) {
        with_slots(|slots| slots.free.push(self));
    }
}
