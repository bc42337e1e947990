//! Putting a fault in: the processor stands at an instruction of the server.
//!
//! | fault | how |
//! |---|---|
//! | kill | the server is made to ask for its end, and in the kernel, where all ends come together, the reason and who asks are changed to those of a kill by somebody else |
//! | panic | it goes on where its own code panics, at a place drawn at random |
//! | exit | it goes on in `libsys::start::exit` with status 3 |
//! | wild write | it executes a store of a random word through a random pointer: half of them anywhere, half of them into its own data or stack |
//! | wild jump | it goes on at a random address: half of them anywhere, half of them in its own code |
//! | hang | its instructions become a loop without end: some that do nothing, and a jump back |
//! | stack overflow | its instruction becomes a call of itself |
//! | account exhausted | [`super::watch`] refuses its allocations and whatever makes objects, until the request is over in which that happened |
//! | undecodable reply | [`super::watch`] makes the status of its next reply a number that means nothing |
//! | deadly request | it goes on nowhere, and [`super::watch`] lets that happen again each time the request comes again, until it is refused |
//!
//! Code that is changed becomes what it was when the server has died.

use anyhow::{Context, Result};
use libsys::abi::{ExitReason, Syscall};

use super::fault::Fault;
use super::program::Program;
use super::random::Random;
use super::system::{System, jump};
use crate::debugger::{Debugger, Patch, Register, Registers};

/// `call .`, and `mov [rax], rbx`.
const CALL_HERE: [u8; 5] = [0xe8, 0xfb, 0xff, 0xff, 0xff];
const STORE: [u8; 3] = [0x48, 0x89, 0x18];

/// `nop`, and `jmp` by a distance.
const NOTHING: u8 = 0x90;
const JUMP: u8 = 0xe9;
const JUMP_BYTES: usize = 5;

/// The most instructions of a loop: QEMU executes so many as fast as a jump to itself, and what is turned round in is time that passes.
const LOOP: u64 = 400;

/// The status of a server that exits.
const STATUS: u64 = 3;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Bytes of the stack that a wild write may go to.
const STACK: u64 = 2048;

/// Where nothing is ever mapped.
pub const NOWHERE: u64 = 0x10;

/// Random addresses are below: the lower half of what a processor can name.
const ADDRESSES: u64 = 1 << 47;

/// Strikes. What is returned has to be taken back when the server has died.
///
/// # Errors
/// The program has nothing by which that fault can strike, or QEMU is gone.
pub fn strike(
    fault: Fault,
    system: &mut System,
    program: &Program,
    registers: &Registers,
    random: &mut Random,
) -> Result<Option<Patch>> {
    let at = registers.get(Register::RIP);
    match fault {
        Fault::Kill => end(system.debugger(), program, 0)?,
        Fault::Panic => {
            let place = *random.choose(&program.panics).context("its code has no panic")?;
            jump(system.debugger(), place)?;
        }
        // A server that never ends by itself has no function for it.
        Fault::Exit if program.exit == 0 => end(system.debugger(), program, STATUS)?,
        Fault::Exit => {
            system.debugger().set(Register::RDI, STATUS)?;
            jump(system.debugger(), program.exit)?;
        }
        Fault::WildWrite => return wild_write(system, program, registers, random),
        Fault::WildJump => {
            let (start, bytes) = program.text();
            let anywhere = random.below(ADDRESSES);
            let to = if random.below(2) == 0 { anywhere } else { start + random.below(bytes) };
            jump(system.debugger(), to)?;
        }
        Fault::Hang => return system.patch(at, &endless(program, at)).map(Some),
        Fault::StackOverflow => return system.patch(at, &CALL_HERE).map(Some),
        Fault::DeadlyRequest => jump(system.debugger(), NOWHERE)?,
        Fault::AccountExhausted | Fault::UndecodableReply => {}
    }
    Ok(None)
}

/// Has a program ask for its own end.
fn end(debugger: &mut Debugger, program: &Program, status: u64) -> Result<()> {
    debugger.set(Register::RAX, Syscall::ProcessKill as u64)?;
    debugger.set(Register::RDI, 0)?;
    debugger.set(Register::RSI, ExitReason::Exit as u64)?;
    debugger.set(Register::RDX, status)?;
    jump(debugger, program.control)
}

/// A loop without end that fits into the page and the code behind an address.
fn endless(program: &Program, at: u64) -> Vec<u8> {
    let (start, bytes) = program.text();
    let room = (PAGE - at % PAGE).min((start + bytes).saturating_sub(at)).min(LOOP);
    let mut code = vec![NOTHING; (room as usize).saturating_sub(JUMP_BYTES)];
    let back = -((code.len() + JUMP_BYTES) as i32);
    code.push(JUMP);
    code.extend(back.to_le_bytes());
    code
}

fn wild_write(
    system: &mut System,
    program: &Program,
    registers: &Registers,
    random: &mut Random,
) -> Result<Option<Patch>> {
    let (data, bytes) = program.data;
    let stack = registers.get(Register::RSP);
    let pointer = match random.below(4) {
        0 | 1 => random.below(ADDRESSES),
        2 if bytes >= 8 => data + random.below(bytes - 7),
        _ => stack + random.below(STACK),
    };
    let at = registers.get(Register::RIP);
    let patch = system.patch(at, &STORE)?;
    let debugger = system.debugger();
    debugger.set(Register::RAX, pointer)?;
    debugger.set(Register::RBX, random.number())?;
    debugger.step()?;
    if debugger.instruction()? != at + STORE.len() as u64 {
        // It faults: the kernel is on its way to end it, or to give it the page.
        return Ok(Some(patch));
    }
    for register in [Register::RAX, Register::RBX, Register::RIP] {
        debugger.set(register, registers.get(register))?;
    }
    debugger.restore(&patch)?;
    Ok(None)
}
