//! The moment at which a fault strikes: any instruction of the server's own code while it has work in flight.
//!
//! A server has work from the return of a receive that brought it a call or a signal until its next receive. Some of that is followed an instruction at a time in an undisturbed line
//! ([`trace`]); the moment is an execution of one of those instructions ([`Moment::Execution`]): a single break point finds it, while a stop at each arrival would take most of the time
//! of a campaign, as QEMU forgets all code that it has translated whenever it stops for a debugger. Where a call has to be in work, it is some instructions behind the arrival of one
//! ([`Moment::Call`]). What the kernel and others execute meanwhile does not count.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;
use libsys::abi::Delivery;

use super::program::{Program, SYSCALL_BYTES};
use super::system::{Deadline, System};
use crate::debugger::{Register, Registers};

/// Addresses of processes are below.
const KERNEL: u64 = 1 << 47;

/// Breaks in other processes at an address of the server that are borne in a row.
const MOST_STRANGERS: u32 = 100_000;

/// Those at an address that a moment was drawn at: then another is drawn.
pub const CROWD: u32 = 8;

/// What a receive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A call.
    Call,
    /// Signals.
    Signals,
    /// Anything, to a program that serves nobody: the return of a system call.
    Return,
}

/// A place in the course of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// An instruction, when it is executed for the `time`-th time.
    Execution {
        /// Where it is.
        address: u64,
        /// Which of its executions, from 1.
        time: u64,
    },
    /// A call is in work.
    Call {
        /// Which, from 0.
        number: u64,
        /// Instructions behind its arrival, at most.
        instructions: u64,
    },
}

/// What came of the way to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The processor stands there.
    At(Registers),
    /// The line was over before.
    Over,
    /// Other programs come to that address all the time: each stop costs QEMU all the code that it had translated.
    Crowded,
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Execution { address, time } => write!(formatter, "execution {time} of {address:#x}"),
            Moment::Call { number, instructions } => {
                write!(formatter, "{instructions} instructions into call {number}")
            }
        }
    }
}

/// Where arrivals are seen: behind the system calls that receive, or behind all of a program that serves nobody.
pub fn arrival_addresses(program: &Program) -> BTreeSet<u64> {
    let calls = if serves(program) { &program.receives } else { &program.syscalls };
    calls.iter().map(|address| address + SYSCALL_BYTES).collect()
}

/// Whether a program serves anybody: the shell does not.
fn serves(program: &Program) -> bool {
    !program.receives.is_empty()
}

/// What has arrived, where the processor is right behind a receive.
pub fn arrival(program: &Program, registers: &Registers) -> Option<Arrival> {
    let behind = registers.get(Register::RIP).checked_sub(SYSCALL_BYTES)?;
    if !program.syscalls.contains(&behind) {
        return None;
    }
    if !serves(program) {
        return Some(Arrival::Return);
    }
    match registers.get(Register::RAX) {
        Delivery::CALL_STATUS => Some(Arrival::Call),
        0 if registers.get(Register::RDI) == Delivery::Signals as u64 => Some(Arrival::Signals),
        _ => None,
    }
}

/// Whether the processor executes the program.
pub fn is_in(system: &mut System, program: &Program, registers: &Registers) -> Result<bool> {
    let Some((address, bytes)) = program.mark(registers.get(Register::RIP)) else { return Ok(false) };
    Ok(system.debugger().read(address, bytes.len())?.is_some_and(|found| found == bytes))
}

/// Lets the machine run to the next arrival at the server; `None` when the line is over before.
///
/// # Errors
/// The machine ends, or nothing happens in time.
pub fn next_arrival(
    system: &mut System,
    program: &Program,
    deadline: &mut Deadline,
) -> Result<Option<(Arrival, Registers)>> {
    system.debugger().break_only_at(&arrival_addresses(program))?;
    for _ in 0..MOST_STRANGERS {
        let Some(registers) = system.next_break(deadline)? else { return Ok(None) };
        if let Some(arrival) = arrival(program, &registers)
            && is_in(system, program, &registers)?
        {
            return Ok(Some((arrival, registers)));
        }
    }
    Ok(None)
}

/// Lets the machine run to a moment.
///
/// # Errors
/// As [`next_arrival`].
pub fn reach(system: &mut System, program: &Program, moment: Moment, deadline: &mut Deadline) -> Result<Reached> {
    match moment {
        Moment::Execution { address, time } => reach_execution(system, program, (address, time), deadline),
        Moment::Call { number, instructions } => reach_call(system, program, (number, instructions), deadline),
    }
}

fn reach_execution(
    system: &mut System,
    program: &Program,
    (address, time): (u64, u64),
    deadline: &mut Deadline,
) -> Result<Reached> {
    system.debugger().break_only_at(&[address].into())?;
    let (mut left, mut strangers) = (time, 0);
    while strangers < CROWD {
        let Some(registers) = system.next_break(deadline)? else { return Ok(Reached::Over) };
        if !is_in(system, program, &registers)? {
            strangers += 1;
            continue;
        }
        left -= 1;
        if left == 0 {
            return Ok(Reached::At(registers));
        }
    }
    Ok(Reached::Crowded)
}

fn reach_call(
    system: &mut System,
    program: &Program,
    (number, instructions): (u64, u64),
    deadline: &mut Deadline,
) -> Result<Reached> {
    let mut left = number;
    loop {
        let Some((arrival, registers)) = next_arrival(system, program, deadline)? else { return Ok(Reached::Over) };
        if arrival == Arrival::Signals {
            continue;
        }
        match left.checked_sub(1) {
            Some(fewer) => left = fewer,
            None => {
                let mut stepper = Stepper::at(&registers);
                for _ in 0..instructions {
                    let Some(is_received) = stepper.step(system, program, deadline)? else { return Ok(Reached::Over) };
                    // A fault that needs a request does not go on to what comes behind it.
                    if is_received {
                        break;
                    }
                }
                return system.debugger().registers().map(Reached::At);
            }
        }
    }
}

/// Executes the server from here to its next receive, at most so many instructions, and tells the address of each. Returns how many there were.
///
/// # Errors
/// As [`next_arrival`].
pub fn trace(
    system: &mut System,
    program: &Program,
    most: u64,
    deadline: &mut Deadline,
    mut executed: impl FnMut(u64),
) -> Result<u64> {
    let mut stepper = Stepper::at(&system.debugger().registers()?);
    for instructions in 0..most {
        executed(stepper.at);
        match stepper.step(system, program, deadline)? {
            Some(false) => {}
            Some(true) | None => return Ok(instructions),
        }
    }
    Ok(most)
}

/// Goes through a server an instruction at a time. What is known of the last one is not asked for again: a step is two exchanges with QEMU.
#[derive(Debug, Clone, Copy)]
struct Stepper {
    /// The instruction that is next.
    at: u64,
    /// The server's address space.
    space: u64,
}

impl Stepper {
    /// At an instruction of the server.
    fn at(registers: &Registers) -> Stepper {
        Stepper { at: registers.get(Register::RIP), space: registers.address_space() }
    }

    /// Executes one instruction of the server, with all that the kernel and others do for it: whether work arrived by it. `None` when the line is over before it is done.
    fn step(&mut self, system: &mut System, program: &Program, deadline: &mut Deadline) -> Result<Option<bool>> {
        let from = self.at;
        system.debugger().step()?;
        self.at = system.debugger().instruction()?;
        if self.at < KERNEL {
            return Ok(Some(false));
        }
        // The kernel comes back behind a system call, and to an instruction whose page was missing.
        let is_call = program.syscalls.contains(&from);
        let back = if is_call { from + SYSCALL_BYTES } else { from };
        let is_receive = program.receives.contains(&from);
        system.debugger().break_only_at(&[back].into())?;
        loop {
            let Some(registers) = system.next_break(deadline)? else { return Ok(None) };
            if registers.address_space() == self.space && is_in(system, program, &registers)? {
                self.at = back;
                // A receive that brought nothing: the server goes on by itself.
                return Ok(Some(is_receive && arrival(program, &registers).is_some()));
            }
        }
    }
}
