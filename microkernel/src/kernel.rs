//! The kernel's state. There is one in the running system, under one lock ([`crate::lock`]); host tests make
//! their own. Whoever has a borrow of it holds the lock: so it is passed wherever state is touched.

use crate::arch::BootInformation;
use crate::death::{self, Revoking};
use crate::frames::Frames;
use crate::object::{
    Account, Channel, Memory, Object, ObjectType, Process, Ref, Slot, Thread, channel::AllChannels, interrupt::Vectors,
    process::AllProcesses, process::Reaping, reference, reference::Doomed, resource::Ranges, thread::InFair,
    thread::InTimers,
};
use crate::{Cpu, List, Tree, cpu::attention, schedule, shootdown::Shootdown};
use core::cell::Cell;
use core::marker::PhantomPinned;
use x86_64::PhysAddr;

/// Objects freed at the end of one kernel entry, at most: what is left waits for the next.
const REAP_BATCH: usize = 12;

/// The kernel's state.
pub struct Kernel {
    /// Free physical memory.
    pub frames: Frames,
    /// Objects to be freed.
    pub(crate) doomed: Doomed,
    /// How many objects there are.
    pub counts: Counts,
    last_number: Cell<u64>,
    /// All CPUs, in order of their numbers.
    pub cpus: Cell<&'static [Cpu]>,
    this_cpu: Cell<Option<&'static Cpu>>,
    /// The account of everything.
    pub root_account: Slot<Account>,
    /// This entry is an interrupt's: who it wakes may take the CPU from the running thread.
    pub is_interrupt: Cell<bool>,
    /// All processes, by number.
    pub processes: Tree<Process, AllProcesses>,
    /// All channels that are not closed, by number.
    pub channels: Tree<Channel, AllChannels>,
    /// Handles of all processes.
    pub handles: Cell<u64>,
    /// Where the search for processes of revoked accounts is.
    pub(crate) revoking: Revoking,
    /// Processes for which there is something to do: see [`death`].
    pub(crate) reaping: List<Process, Reaping>,
    /// Invalidation of translations.
    pub(crate) shootdown: Shootdown,
    /// Threads that wait for it.
    pub(crate) flushing: Tree<Thread, InFair>,
    /// Deadlines of waiting threads.
    pub(crate) timers: Tree<Thread, InTimers>,
    /// Ports and device memory in use.
    pub ranges: Ranges,
    /// Who gets which interrupt.
    pub vectors: Vectors,
    /// What the boot code found.
    pub boot: Cell<Option<&'static BootInformation>>,
    /// init.
    pub init: Slot<Process>,
    /// What is mapped in init: the page about the machine, and the boot archive.
    pub(crate) init_memory: Cell<Option<(Ref<Memory>, Ref<Memory>)>>,
    /// Deaths of init since it waited in receive last.
    pub init_early_deaths: Cell<u64>,
    /// When init is taken for hung, in nanoseconds; `u64::MAX` while it waits.
    pub watchdog: Cell<u64>,
    /// The page table without user half, whose upper half every address space has. Set once, at boot.
    pub kernel_table: Cell<PhysAddr>,
    /// Slab pages point to `doomed`: so an exclusive borrow of the kernel is not the only way to it, which this says.
    _pinned: PhantomPinned,
}

impl Kernel {
    /// A kernel without memory, processes or CPUs. It must not move once it has objects.
    pub const fn new() -> Kernel {
        Kernel {
            frames: Frames::new(),
            doomed: Doomed::new(),
            counts: Counts::new(),
            last_number: Cell::new(0),
            cpus: Cell::new(&[]),
            this_cpu: Cell::new(None),
            root_account: Slot::empty(),
            is_interrupt: Cell::new(false),
            processes: Tree::new(),
            channels: Tree::new(),
            handles: Cell::new(0),
            revoking: Revoking::none(),
            reaping: List::new(),
            shootdown: Shootdown::new(),
            flushing: Tree::new(),
            timers: Tree::new(),
            ranges: Ranges::new(),
            vectors: Vectors::new(),
            boot: Cell::new(None),
            init: Slot::empty(),
            init_memory: Cell::new(None),
            init_early_deaths: Cell::new(0),
            watchdog: Cell::new(u64::MAX),
            kernel_table: Cell::new(PhysAddr::zero()),
            _pinned: PhantomPinned,
        }
    }

    /// A number that was never given before.
    pub fn next_number(&self) -> u64 {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        number
    }

    /// The CPU with this number; the first where there is none.
    pub fn cpu(&self, index: u32) -> &'static Cpu {
        let cpus = self.cpus.get();
        cpus.get(index as usize).unwrap_or(&cpus[0])
    }

    /// Says which CPU has the lock.
    #[inline(always)]
    pub fn enter(&self, cpu: &'static Cpu) {
        self.this_cpu.set(Some(cpu));
        self.shootdown.here.set(cpu.index());
    }

    /// The CPU that has the lock.
    pub fn this_cpu(&self) -> &'static Cpu {
        self.this_cpu.get().expect("who has the lock has said who he is")
    }

    /// Makes the CPUs on which a dead process's address space is still loaded leave it: this one now, others soon. Returns whether
    /// none has it loaded.
    pub fn leave_space(&self, process: &Object<Process>) -> bool {
        for cpu in self.cpus.get().iter().filter(|cpu| cpu.loaded.names(process)) {
            if core::ptr::eq(cpu, self.this_cpu()) {
                self.load_kernel_space(cpu);
            } else {
                schedule::notify(self, cpu, attention::LEAVE);
            }
        }
        !self.cpus.get().iter().any(|cpu| cpu.loaded.names(process))
    }

    /// Loads the address space without user memory on this CPU.
    pub fn load_kernel_space(&self, cpu: &Cpu) {
        let from = cpu.loaded.get(self);
        self.shootdown.switch(self, from.map(|process| &process.space), None);
        cpu.loaded.clear();
    }

    /// Whether a thread of a process is on a CPU.
    pub fn is_on_cpu(&self, process: &Object<Process>) -> bool {
        self.cpus.get().iter().filter_map(|cpu| cpu.current.get(self)).any(|thread| thread.process.is(process))
    }

    /// Whether there is work that nobody waits for.
    pub fn has_work(&self) -> bool {
        !self.doomed.is_empty()
            || !self.reaping.is_empty()
            || self.revoking.parts.get() > 0
            || self.shootdown.has_garbage(self)
    }

    /// Does a bounded part of that work.
    pub fn work(&mut self) {
        self.reap();
        death::step(self);
        self.revoking.step(self);
        self.shootdown.collect(self);
        self.reap();
    }

    /// Frees objects that nothing refers to: a bounded number of them.
    pub fn reap(&mut self) {
        if !self.doomed.is_empty() {
            reference::reap(self, REAP_BATCH);
        }
    }

    /// The process with a number.
    pub fn process(&self, number: u64) -> Option<&Object<Process>> {
        self.processes.first_from(self, number).filter(|process| process.number() == number)
    }
}

/// Live objects by type.
pub struct Counts([Cell<u64>; ObjectType::COUNT]);

impl Counts {
    const fn new() -> Counts {
        Counts([const { Cell::new(0) }; ObjectType::COUNT])
    }

    /// Counts objects of a type as made, or with a negative number as freed.
    pub(crate) fn add(&self, object_type: ObjectType, objects: i64) {
        let count = &self.0[object_type as usize];
        count.set(count.get().wrapping_add_signed(objects));
    }

    /// Live objects of the type with a number.
    #[cfg(test)]
    pub(crate) fn by_number(&self, number: usize) -> u64 {
        self.0[number].get()
    }

    /// Live objects of a type.
    pub fn of(&self, object_type: ObjectType) -> u64 {
        self.0[object_type as usize].get()
    }
}
