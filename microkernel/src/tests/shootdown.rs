//! The shoot-down protocol: every state that three CPUs can reach, on the real code.
//!
//! The CPUs' TLBs are modelled: they remember any translation that they could have met, and forget only what the kernel flushes.

use super::machine::Machine;
use crate::address_space::{AddressSpace, Placement};
use crate::arch;
use crate::object::reference::ObjectType;
use crate::object::{Account, Memory, Ref};
use crate::radix::{ADDRESS, PRESENT};
use crate::shootdown::{Progress, Ticket};
use abi::Rights;
use abi::memory::MemoryKind;
use std::collections::{HashSet, VecDeque};
use x86_64::PhysAddr;

const CPUS: usize = 3;
const PLACE: u64 = 0x10_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The CPU takes an interrupt.
    Interrupt(usize),
    /// It switches to the address space, or to none.
    Load(usize),
    Unload(usize),
    /// Its user code writes, or reads where it cannot write.
    Touch(usize),
    /// A system call on it.
    Map(usize),
    Unmap(usize),
    Protect(usize),
    Seal(usize),
}

/// Whether a translation shows another frame than the page tables, or allows more.
fn exceeds(old: u64, entry: u64) -> bool {
    old & ADDRESS != entry & ADDRESS || old & 2 != 0 && entry & 2 == 0
}

fn actions() -> Vec<Action> {
    use Action::*;
    (0..CPUS)
        .flat_map(|cpu| [Interrupt, Load, Unload, Touch, Map, Unmap, Protect, Seal].map(|action| action(cpu)))
        .collect()
}

struct World {
    space: Box<AddressSpace>,
    account: Ref<Account>,
    /// Ours too, as a handle would be; the frame of what was unmapped and closed is what must not be reused early.
    memory: Option<Ref<Memory>>,
    is_mapped: bool,
    loaded: [bool; CPUS],
    /// What each TLB may hold for `PLACE`.
    tlb: [HashSet<u64>; CPUS],
    tickets: Vec<(Ticket, [bool; CPUS])>,
    /// Last, as it has to outlive the others.
    machine: Machine,
}

impl World {
    fn new() -> World {
        let machine = Machine::new(48);
        let account = machine.account(30);
        let space = Box::new(AddressSpace::new(&machine.kernel, account.get(&machine.kernel)).unwrap());
        arch::tlb::record::take();
        let tlb = [const { None::<HashSet<u64>> }; CPUS].map(|_| HashSet::new());
        World {
            machine,
            space,
            account,
            memory: None,
            is_mapped: false,
            loaded: [false; CPUS],
            tlb,
            tickets: Vec::new(),
        }
    }

    fn entry(&self) -> u64 {
        let mut word = self.space.root.get().as_u64() | PRESENT;
        for shift in [39, 30, 21, 12] {
            if word & PRESENT == 0 {
                return 0;
            }
            let table = arch::direct_map(PhysAddr::new(word & ADDRESS)).cast::<u64>();
            // SAFETY: a present entry points to a table.
            word = unsafe { table.add((PLACE >> shift) as usize & 511).read() };
        }
        word
    }

    fn enter(&mut self, cpu: usize) {
        self.machine.kernel.shootdown.enter(&self.machine.kernel, cpu);
        self.see_flushes(cpu);
    }

    fn see_flushes(&mut self, cpu: usize) {
        if arch::tlb::record::take().iter().any(|page| page.is_none_or(|page| page == PLACE)) {
            self.forget(cpu);
        }
    }

    fn forget(&mut self, cpu: usize) {
        self.tlb[cpu].clear();
        self.tickets.iter_mut().for_each(|(_, waits)| waits[cpu] = false);
    }

    /// The ticket waits for the TLBs that remember what this action, and no earlier one, took away.
    fn note(&mut self, progress: Progress, cpu: usize, before: u64) {
        let Progress::Done(ticket) = progress else { panic!("one page is one step") };
        let after = self.entry();
        let is_stale = |old: &u64| exceeds(*old, after) && !exceeds(*old, before);
        self.tickets.push((ticket, std::array::from_fn(|other| other != cpu && self.tlb[other].iter().any(is_stale))));
    }

    /// False where the action is not possible.
    fn act(&mut self, action: Action) -> bool {
        use Action::*;
        let kernel = &*self.machine.kernel as *const crate::kernel::Kernel;
        // SAFETY: the kernel stays where it is; the borrow does not overlap `reap`.
        let kernel = unsafe { &*kernel };
        match action {
            Touch(cpu) => {
                if !self.loaded[cpu] {
                    return false;
                }
                // The TLB answers where it can; else the processor walks, or faults and the kernel answers.
                if self.tlb[cpu].iter().any(|entry| entry & 2 != 0) {
                    return true;
                }
                if self.entry() & 2 == 0 {
                    self.enter(cpu);
                    let answered = self.space.fault(kernel, PLACE, 6).or_else(|_| self.space.fault(kernel, PLACE, 4));
                    if answered.is_err() {
                        self.machine.kernel.work();
                        return true;
                    }
                }
                let entry = self.entry();
                self.tlb[cpu].insert(entry);
            }
            Interrupt(cpu) => self.enter(cpu),
            Load(cpu) => {
                self.enter(cpu);
                kernel.shootdown.switch(kernel, self.loaded[cpu].then_some(&*self.space), Some(&*self.space));
                self.loaded[cpu] = true;
                self.forget(cpu);
            }
            Unload(cpu) => {
                if !self.loaded[cpu] {
                    return false;
                }
                self.enter(cpu);
                kernel.shootdown.switch(kernel, Some(&*self.space), None);
                self.loaded[cpu] = false;
                self.forget(cpu);
            }
            Map(cpu) => {
                if self.is_mapped {
                    return false;
                }
                self.enter(cpu);
                // As much as there is: what waits in limbo is charged.
                let Ok(memory) = Memory::create(kernel, self.account.get(kernel), 4096, MemoryKind::Anonymous) else {
                    return false;
                };
                let rights = Rights::READ | Rights::WRITE;
                let placement = Placement { address: PLACE, offset: 0, bytes: 4096, word: 3, rights };
                self.space.map(kernel, memory.get(kernel), placement).unwrap();
                self.memory = Some(memory);
                self.is_mapped = true;
            }
            Unmap(cpu) => {
                if !self.is_mapped {
                    return false;
                }
                self.enter(cpu);
                let before = self.entry();
                let progress = self.space.unmap(kernel, PLACE).unwrap();
                self.see_flushes(cpu);
                self.note(progress, cpu, before);
                self.memory = None;
                self.is_mapped = false;
            }
            Protect(cpu) => {
                if !self.is_mapped || self.memory.as_ref().is_some_and(|memory| memory.sealing.get()) {
                    return false;
                }
                self.enter(cpu);
                let before = self.entry();
                let word = if self.space.record(kernel, 0).unwrap().protection == 3 { 1 } else { 3 };
                let progress = self.space.protect(kernel, PLACE, word).unwrap();
                self.see_flushes(cpu);
                if word == 1 {
                    self.note(progress, cpu, before);
                }
            }
            Seal(cpu) => {
                let Some(memory) = self.memory.clone() else { return false };
                self.enter(cpu);
                if memory.sealing.get() {
                    return false;
                }
                let before = self.entry();
                let progress = memory.seal(kernel).unwrap();
                self.see_flushes(cpu);
                self.note(progress, cpu, before);
            }
        }
        self.machine.kernel.work();
        true
    }

    fn check(&mut self) {
        let (entry, kernel) = (self.entry(), &self.machine.kernel);
        let pending = kernel.shootdown.requests.pending.get();
        for cpu in 0..CPUS {
            for old in &self.tlb[cpu] {
                assert!(
                    !kernel.frames.is_free(PhysAddr::new(old & ADDRESS)),
                    "a frame is free that CPU {cpu} can reach"
                );
                assert!(!exceeds(*old, entry) || pending & 1 << cpu != 0, "CPU {cpu} is not asked to forget");
                if let Some(memory) = &self.memory {
                    let same = memory.frame(0).is_some_and(|frame| frame.as_u64() == old & ADDRESS);
                    assert!(!(same && old & 2 != 0 && memory.is_sealed(kernel)), "CPU {cpu} can write sealed Memory");
                }
            }
            assert!(pending & 1 << cpu == 0 || self.loaded[cpu]);
        }
        for (ticket, waits) in &self.tickets {
            assert!(!kernel.shootdown.requests.is_done(*ticket) || *waits == [false; CPUS], "done too early");
            assert!(kernel.shootdown.requests.is_done(*ticket) || pending != 0, "never done");
        }
        self.tickets.retain(|(ticket, _)| !kernel.shootdown.requests.is_done(*ticket));
        if pending == 0 {
            assert!(!kernel.has_work());
            assert_eq!(kernel.counts.of(ObjectType::Mapping), self.is_mapped as u64);
        }
    }

    /// What the future depends on: without the numbers of tickets and frames, and as CPUs are alike, in some order of them.
    fn state(&self) -> String {
        let (kernel, entry) = (&self.machine.kernel, self.entry());
        let mut cpus: Vec<_> = (0..CPUS)
            .map(|cpu| {
                let tlb = self.tlb[cpu].iter().map(|old| (old & ADDRESS == entry & ADDRESS, old & 2 != 0));
                let mut tlb: Vec<_> = tlb.collect();
                tlb.sort();
                let waits: Vec<bool> = self.tickets.iter().map(|(_, waits)| waits[cpu]).collect();
                (self.loaded[cpu], kernel.shootdown.requests.pending.get() >> cpu & 1, tlb, waits)
            })
            .collect();
        cpus.sort();
        let sealing = self.memory.as_ref().map(|memory| (memory.sealing.get(), memory.is_sealed(kernel)));
        let protection = self.space.record(kernel, 0).map(|record| record.protection);
        let limbo = kernel.counts.of(ObjectType::Mapping);
        format!("{cpus:?} {:x} {limbo} {sealing:?} {protection:?}", entry & !ADDRESS)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Every CPU leaves: then everything can be taken down.
        for cpu in 0..CPUS {
            self.act(Action::Unload(cpu));
        }
        self.memory = None;
        while self.space.clear(&self.machine.kernel) == Progress::More {}
        self.space.close(&self.machine.kernel);
        self.machine.reap_all();
        assert_eq!(self.account.usage().used.frames, 0);
    }
}

#[test]
fn every_state_of_three_cpus_is_safe() {
    let mut seen = HashSet::new();
    let mut paths = VecDeque::from([Vec::new()]);
    while let Some(path) = paths.pop_front() {
        for action in actions() {
            let mut world = World::new();
            for action in &path {
                world.act(*action);
            }
            world.tickets.retain(|(ticket, _)| !world.machine.kernel.shootdown.requests.is_done(*ticket));
            if !world.act(action) {
                continue;
            }
            world.check();
            // Three mappings in limbo at once show all that there is.
            if world.machine.kernel.counts.of(ObjectType::Mapping) <= 2
                && world.tickets.len() <= 3
                && seen.insert(world.state())
            {
                let mut path = path.clone();
                path.push(action);
                paths.push_back(path);
            }
        }
    }
    assert!(seen.len() > 500, "{}", seen.len());
}

#[test]
fn nobody_is_interrupted_for_what_nobody_has() {
    let mut world = World::new();
    for action in [Action::Load(1), Action::Map(1), Action::Touch(1), Action::Unmap(1)] {
        assert!(world.act(action));
    }
    assert_eq!(world.machine.kernel.shootdown.requests.kicks.take(), 0);
    for action in
        [Action::Load(2), Action::Map(1), Action::Touch(2), Action::Unmap(1), Action::Map(1), Action::Unmap(1)]
    {
        assert!(world.act(action));
    }
    assert_eq!(world.machine.kernel.shootdown.requests.kicks.take(), 1 << 2);
    assert_eq!(world.machine.kernel.shootdown.requests.kicks.take(), 0, "once");
    assert!(world.act(Action::Interrupt(2)));
    assert_eq!(world.machine.kernel.shootdown.requests.pending.get(), 0);
}
