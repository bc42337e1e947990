//! Process: an identity that outlives its incarnations. The states are in `docs/states.md`.

use super::{
    Account, Attachment, Call, Channel, New, Object, ObjectType, Quantity, Ref, Slot, Thread, Type, call,
    call::InServer, channel::Served, dma_domain::OfProcess, slab, thread, thread::InProcess,
};
use crate::address_space::AddressSpace;
use crate::arch::clock;
use crate::handle_table::HandleTable;
use crate::{Kernel, Link, List, Node, Tree};
use abi::ExitRecord;
use abi::process::ProcessState;
use core::cell::Cell;

/// Most threads of one process: death stops them all at once.
pub const MOST_THREADS: u32 = 128;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Made or reset, not started.
    New,
    /// Its threads run.
    Running,
    /// Died; being drained.
    Draining,
    /// Drained; its corpse can be read.
    Dead,
    /// Its address space and threads are being freed.
    Resetting,
}

/// Orders the calls that callers left: those that were made last come first.
pub(crate) fn orphan_key(client: &Thread) -> u64 {
    !client.arrived.get()
}

/// A process.
pub struct Process {
    /// What it and its handles are charged to.
    pub account: Ref<Account>,
    /// Number of the process that made it.
    pub parent: u64,
    /// Its name, padded with zeros.
    pub name: [u8; 16],
    /// Where it is in its life.
    pub state: Cell<State>,
    /// Which incarnation it is; the first is 1.
    pub incarnation: Cell<u64>,
    /// Its handles.
    pub handles: HandleTable,
    /// Its address space. Closed when it ends for good.
    pub space: AddressSpace,
    /// Its threads, in order of creation; of a corpse, the dead ones.
    pub threads: List<Thread, InProcess>,
    /// Threads that have not begun to end.
    pub alive: Cell<u32>,
    /// Channels that it serves.
    pub served: List<Channel, Served>,
    /// Channels that it served, and whose callers and sessions are still to be told that they are closed.
    pub(crate) closing: List<Channel, Served>,
    /// Calls that it keeps, without those in `kept_orphans`.
    pub kept: List<Call, InServer>,
    /// Calls that it keeps and whose callers left them, the latest first.
    pub(crate) kept_orphans: Tree<Call, call::InServerOrphans>,
    /// Memory that it attached to DmaDomains.
    pub attached: List<Attachment, OfProcess>,
    /// Calls that it has received and not answered: current and kept ones, without the parked.
    pub active_calls: Cell<u32>,
    /// A suspect call that has to be alone, while it is current or kept.
    pub alone: Slot<Thread>,
    /// A suspect is with it, or waits for it: what it receives is looked at one by one.
    pub has_suspect: Cell<bool>,
    /// It is init: what it receives is watched.
    pub is_init: Cell<bool>,
    /// Server threads that work for calls that it left, the latest first.
    pub(crate) orphan_threads: Tree<Thread, thread::InOrphans>,
    /// Calls that servers keep, and that it left, the latest first.
    pub(crate) orphan_calls: Tree<Call, call::InOrphans>,
    /// Handles to it outside of its own table.
    pub outside_handles: Cell<u32>,
    /// How it ended last.
    pub exit: Cell<Option<ExitRecord>>,
    /// Whom to signal at its death.
    pub watcher: Slot<Channel>,
    /// With which bits.
    pub watcher_bits: Cell<u64>,
    /// Whether a reset was asked for.
    pub reset_asked: Cell<bool>,
    /// Whom to signal when the reset is done.
    pub reset_channel: Slot<Channel>,
    /// With which bits.
    pub reset_bits: Cell<u64>,
    /// Its last handle is gone: it ends for good once it is dead.
    pub abandoned: Cell<bool>,
    /// Next slot of the handle table to look at while draining.
    pub drain_slot: Cell<u32>,
    /// While draining: channels that were not looked at yet.
    pub(crate) drain_channels: Cell<u32>,
    /// When it was started.
    pub started: Cell<u64>,
    /// Time for which it did not run, before the last start, in nanoseconds; see [`Process::downtime_at`].
    downtime: Cell<u64>,
    /// Since when it does not run.
    pub(crate) down_since: Cell<Option<u64>>,
    /// Time-stamp counts for which its ended threads ran.
    pub past_run_time: Cell<u64>,
    all: Node<Process>,
    /// Its place on the reaper's list.
    pub(crate) reaping: Link<Process>,
}

impl Process {
    /// Makes a process with an empty address space.
    ///
    /// # Errors
    /// `AccountExhausted`.
    pub fn create(kernel: &Kernel, account: &Object<Account>, parent: u64, name: [u8; 16]) -> New<Process> {
        account.charge(Quantity::Processes, 1)?;
        let new = Process {
            account: account.to_ref(),
            parent,
            name,
            state: Cell::new(State::New),
            incarnation: Cell::new(1),
            handles: HandleTable::new(),
            space: AddressSpace::closed(account.to_ref()),
            threads: List::new(),
            alive: Cell::new(0),
            served: List::new(),
            closing: List::new(),
            kept: List::new(),
            kept_orphans: Tree::new(),
            attached: List::new(),
            active_calls: Cell::new(0),
            alone: Slot::empty(),
            has_suspect: Cell::new(false),
            is_init: Cell::new(false),
            orphan_threads: Tree::new(),
            orphan_calls: Tree::new(),
            outside_handles: Cell::new(0),
            exit: Cell::new(None),
            watcher: Slot::empty(),
            watcher_bits: Cell::new(0),
            reset_asked: Cell::new(false),
            reset_channel: Slot::empty(),
            reset_bits: Cell::new(0),
            abandoned: Cell::new(false),
            drain_slot: Cell::new(0),
            drain_channels: Cell::new(0),
            started: Cell::new(0),
            downtime: Cell::new(0),
            down_since: Cell::new(Some(clock::now())),
            past_run_time: Cell::new(0),
            all: Node::new(),
            reaping: Link::new(),
        };
        let process = slab::create(kernel, account, new).inspect_err(|_| account.uncharge(Quantity::Processes, 1))?;
        process.space.open(kernel)?;
        let number = process.number();
        kernel.processes.insert(process.clone(), number);
        Ok(process)
    }

    /// Whether it can be given memory, handles and threads.
    pub fn can_be_changed(&self) -> bool {
        matches!(self.state.get(), State::New | State::Running)
    }

    /// Whether its threads may run.
    pub fn is_running(&self) -> bool {
        self.state.get() == State::Running
    }

    /// Work that goes on in servers for calls that it left.
    pub fn orphans(&self) -> u32 {
        self.orphan_threads.len() + self.orphan_calls.len()
    }

    /// [`orphan_key`] of the last of the calls that it left, and on which work goes on; `u64::MAX` when there is none.
    pub(crate) fn latest_orphan(&self, kernel: &Kernel) -> u64 {
        let thread = self.orphan_threads.first(kernel).map_or(u64::MAX, |thread| thread.in_orphans.key.get());
        let call = self.orphan_calls.first(kernel).map_or(u64::MAX, |call| call.in_orphans.key.get());
        thread.min(call)
    }

    /// Nanoseconds for which it has not run, at `now`. At 0: up to its last start.
    pub fn downtime_at(&self, now: u64) -> u64 {
        self.downtime.get() + self.down_since.get().map_or(0, |since| now.saturating_sub(since))
    }

    /// It runs, from `now` on.
    pub(crate) fn up(&self, now: u64) {
        self.downtime.set(self.downtime_at(now));
        self.down_since.set(None);
        self.started.set(now);
    }

    /// Where it is, as user space sees it.
    pub fn shown_state(&self) -> ProcessState {
        match self.state.get() {
            State::New => ProcessState::New,
            State::Running => ProcessState::Running,
            State::Draining => ProcessState::Draining,
            State::Dead | State::Resetting => ProcessState::Dead,
        }
    }

    /// Whether it died: nothing of it runs any more, or is being stopped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state.get(), State::Draining | State::Dead | State::Resetting)
    }
}

impl Object<Process> {
    /// The exit record, or what there is of it while it lives.
    pub fn record(&self) -> ExitRecord {
        ExitRecord {
            process: self.number(),
            incarnation: self.incarnation.get(),
            state: self.shown_state() as u32,
            ..self.exit.get().unwrap_or_default()
        }
    }
}

impl Type for Process {
    const TYPE: ObjectType = ObjectType::Process;

    fn finalize(&self, kernel: &Kernel) {
        self.handles.free(kernel, self.account.get(kernel));
        self.space.close(kernel);
        self.account.uncharge(Quantity::Processes, 1);
    }
}

crate::nodes! {
    /// Nodes of a process among all.
    AllProcesses: Process, all;
}

crate::links! {
    /// Links of a process on the reaper's list.
    Reaping: Process, reaping;
}
