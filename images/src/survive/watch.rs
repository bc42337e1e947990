//! What comes of a fault, as a debugger sees it: when the server dies, why, and when it has answered again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use libsys::abi::{Error, ExitReason, Header, Syscall};

use super::death::Death;
use super::fault::Fault;
use super::flight::{Arrival, CROWD, arrival, arrival_addresses, is_in};
use super::program::{ALLOCATED, Program, SYSCALL_BYTES, answers};
use super::strike::NOWHERE;
use super::system::{Campaign, Deadline, System, jump};
use crate::debugger::{Patch, Register, Registers};

/// A request is refused after so many deaths.
const DEADLY: u32 = 3;

/// Arrivals that are looked at for a first answer, and for a first allocation.
const MOST_ARRIVALS: u32 = 500;
const MOST_REQUESTS: u32 = 40;

/// System calls that an exhausted account refuses.
const CHARGED: [Syscall; 8] = [
    Syscall::ChannelCreate,
    Syscall::SessionMint,
    Syscall::CallKeep,
    Syscall::HandleDuplicate,
    Syscall::ThreadCreate,
    Syscall::MemoryCreate,
    Syscall::MemoryMap,
    Syscall::AccountSplit,
];

/// What was seen of a server, from the fault to the end of the line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often it died, until it had recovered.
    pub deaths: u32,
    /// Why, the first time.
    pub reason: Option<ExitReason>,
    /// Nanoseconds of virtual time from its last death to its first answer, or, where no call came, to the end of its work on the first signals.
    pub recovery: Option<u64>,
    /// Allocations that were refused, or replies that were spoilt.
    pub touched: u32,
}

/// Follows a server after a fault.
#[derive(Debug)]
pub struct Watch<'a> {
    program: &'a Program,
    fault: Fault,
    death: Death,
    patch: Option<Patch>,
    space: u64,
    /// The kernel's address of the process, once it has died.
    process: Option<u64>,
    died_at: Option<u64>,
    arrivals: u32,
    requests: u32,
    is_answering: bool,
    is_lifted: bool,
    /// How often other programs came to an address.
    strangers: BTreeMap<u64, u32>,
    seen: Seen,
}

impl<'a> Watch<'a> {
    /// Follows the server of `program`, which was struck where `registers` tell.
    pub fn new(
        program: &'a Program,
        fault: Fault,
        campaign: &Campaign,
        registers: &Registers,
        patch: Option<Patch>,
    ) -> Watch<'a> {
        let space = registers.address_space();
        Watch {
            program,
            fault,
            death: campaign.death(),
            patch,
            space,
            process: None,
            died_at: None,
            arrivals: 0,
            requests: 0,
            is_answering: false,
            is_lifted: false,
            strangers: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// Follows it until the line is over.
    ///
    /// # Errors
    /// The machine ends, or the line does not.
    pub fn follow(&mut self, system: &mut System, deadline: &mut Deadline) -> Result<()> {
        loop {
            let addresses = self.addresses();
            system.debugger().break_only_at(&addresses)?;
            let Some(registers) = system.next_break(deadline)? else { break };
            let at = registers.get(Register::RIP);
            if at == self.death.address {
                self.died(system, &registers)?;
            } else if is_in(system, self.program, &registers)? {
                self.came(system, &registers)?;
            } else {
                *self.strangers.entry(at).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Makes the code what it was, and says what was seen.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn end(mut self, system: &mut System) -> Result<Seen> {
        system.debugger().interrupt()?;
        system.debugger().break_only_at(&BTreeSet::new())?;
        if let Some(patch) = self.patch.take() {
            system.debugger().restore(&patch)?;
        }
        Ok(self.seen)
    }

    /// Where the machine has to stop.
    fn addresses(&self) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        // Each program that ends comes there, so it costs much: what has died as it should is not watched for another death.
        let is_over = self.seen.deaths > 0 && !self.is_again_deadly() && self.seen.recovery.is_some();
        if !(is_over || self.fault == Fault::UndecodableReply && self.seen.touched > 0) {
            all.insert(self.death.address);
        }
        let waits = self.died_at.is_some() && self.seen.recovery.is_none() && self.arrivals < MOST_ARRIVALS;
        let is_exhausted = self.is_exhausted();
        if waits || is_exhausted || (self.is_again_deadly() && self.seen.deaths > 0) {
            all.extend(arrival_addresses(self.program).into_iter().filter(|address| !self.is_crowded(*address)));
        }
        if self.is_answering || self.spoils() {
            all.extend(&self.program.answers);
        }
        if is_exhausted {
            all.extend((self.program.allocator != 0).then_some(self.program.allocator));
            all.insert(self.program.control);
        }
        all
    }

    /// Whether others come to an address all the time, and the program has so many like it that it can do without.
    fn is_crowded(&self, address: u64) -> bool {
        self.program.receives.is_empty() && self.strangers.get(&address).is_some_and(|times| *times >= CROWD)
    }

    fn is_exhausted(&self) -> bool {
        self.fault == Fault::AccountExhausted && !self.is_lifted
    }

    fn spoils(&self) -> bool {
        self.fault == Fault::UndecodableReply && self.seen.touched == 0 && self.seen.deaths == 0
    }

    fn is_again_deadly(&self) -> bool {
        self.fault == Fault::DeadlyRequest && self.seen.deaths < DEADLY
    }

    /// Somebody dies: programs at the end of their work, too.
    fn died(&mut self, system: &mut System, registers: &Registers) -> Result<()> {
        let reason = self.death.reason(registers);
        let process = self.death.process(registers);
        let by_others = matches!(reason, ExitReason::Killed | ExitReason::Hung);
        let is_server = match self.process {
            Some(known) => known == process,
            None => by_others || registers.address_space() == self.space,
        };
        if !is_server {
            return Ok(());
        }
        let is_first = self.process.is_none();
        self.process = Some(process);
        self.seen.deaths += 1;
        let mut reason = reason;
        if is_first && self.fault == Fault::Kill {
            // Nobody of the process itself.
            reason = ExitReason::Killed;
            self.death.make_kill(system.debugger())?;
        }
        self.seen.reason.get_or_insert(reason);
        if let Some(patch) = self.patch.take() {
            system.debugger().restore(&patch)?;
        }
        self.died_at = Some(system.clock()?);
        self.seen.recovery = None;
        (self.arrivals, self.is_answering, self.is_lifted) = (0, false, true);
        Ok(())
    }

    /// The server is at a break point.
    fn came(&mut self, system: &mut System, registers: &Registers) -> Result<()> {
        let at = registers.get(Register::RIP);
        if at == self.program.allocator && self.is_exhausted() {
            return self.refuse_allocation(system, registers, registers.get(ALLOCATED));
        }
        if self.program.syscalls.contains(&at) {
            return self.calls(system, registers);
        }
        let Some(arrival) = arrival(self.program, registers) else { return Ok(()) };
        if self.is_exhausted() {
            self.requests += 1;
            self.is_lifted = self.seen.touched > 0 || self.requests > MOST_REQUESTS;
        }
        let header = Header(registers.get(Register::RSI));
        if self.is_again_deadly() && arrival == Arrival::Call && header.is_replayed() {
            return jump(system.debugger(), NOWHERE);
        }
        if let Some(died_at) = self.died_at {
            self.arrivals += 1;
            self.is_answering = arrival != Arrival::Signals;
            if arrival == Arrival::Signals && self.arrivals == 2 {
                // It has done all of what the first one asked for; a call may still come first.
                self.seen.recovery = Some(system.clock()?.saturating_sub(died_at));
            }
        }
        Ok(())
    }

    /// The server is about to make a system call.
    fn calls(&mut self, system: &mut System, registers: &Registers) -> Result<()> {
        let call = registers.get(Register::RAX);
        if self.spoils() && answers(call) {
            let header = registers.get(Register::RSI) | u64::from(u32::MAX) << 32;
            system.debugger().set(Register::RSI, header)?;
            self.seen.touched += 1;
        }
        if self.is_exhausted() && CHARGED.iter().any(|charged| *charged as u64 == call) {
            system.debugger().set(Register::RAX, Error::AccountExhausted as u64)?;
            jump(system.debugger(), registers.get(Register::RIP) + SYSCALL_BYTES)?;
            self.seen.touched += 1;
        }
        if self.is_answering && answers(call) {
            let died_at = self.died_at.context("it answers again before it has died")?;
            self.seen.recovery = Some(system.clock()?.saturating_sub(died_at));
            self.is_answering = false;
        }
        Ok(())
    }

    /// An allocation finds nothing: it comes to where the heap does then, or returns nothing.
    fn refuse_allocation(&mut self, system: &mut System, registers: &Registers, size: u64) -> Result<()> {
        self.seen.touched += 1;
        if self.program.refused != 0 {
            system.debugger().set(Register::RDI, size)?;
            return jump(system.debugger(), self.program.refused);
        }
        let stack = registers.get(Register::RSP);
        let top = system.debugger().read(stack, 8)?.context("there is no stack")?;
        let back: [u8; 8] = top.try_into().ok().context("eight bytes were asked for")?;
        let debugger = system.debugger();
        debugger.set(Register::RAX, 0)?;
        debugger.set(Register::RSP, stack + 8)?;
        jump(debugger, u64::from_le_bytes(back))?;
        Ok(())
    }
}
