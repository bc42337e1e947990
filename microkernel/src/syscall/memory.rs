//! System calls of Memory and mappings. Long ones are done in steps: a thread whose call has more to do makes the same call
//! again, as its registers are left as they were and its instruction pointer is set back.

use super::{NOTHING, Outcome, Results, argument, charged_account, land, managed_process, object, one};
use crate::address_space::Placement;
use crate::handle_table::Found;
use crate::object::{Memory, Object, Process, Thread, thread::State};
use crate::{Cpu, Kernel, Progress, schedule};
use abi::memory::MemoryKind;
use abi::{Error, Handle, OK, Rights};

/// Bytes of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// [`abi::Syscall::MemoryCreate`].
///
/// # Errors
/// See there.
pub fn create(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let account = charged_account(kernel, thread, 0)?;
    let kind = MemoryKind::from_number(argument(thread, 2)).ok_or(Error::BadArgument)?;
    let memory = Memory::create(kernel, account, argument(thread, 1), kind)?;
    land(kernel, thread, memory, 0)
}

/// [`abi::Syscall::MemoryMap`].
///
/// # Errors
/// See there.
pub fn map(kernel: &Kernel, thread: &Object<Thread>) -> Result<Outcome, Error> {
    let process = changeable(kernel, thread)?;
    let handle = Handle(argument(thread, 1));
    let memory: &Object<Memory> = object(kernel, thread, 1, Rights::empty())?;
    let rights = thread.process.handles.rights(handle)?;
    if let Progress::More = memory.prepare() {
        return Ok(again(thread));
    }
    let [address, offset, bytes, word] = core::array::from_fn(|n| argument(thread, n + 2));
    let address = process.space.map(kernel, memory, Placement { address, offset, bytes, word, rights })?;
    Ok(Outcome::Results(one(address)))
}

/// [`abi::Syscall::MemoryUnmap`].
///
/// # Errors
/// See there.
pub fn unmap(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> Result<Outcome, Error> {
    let process = changeable(kernel, thread)?;
    let progress = process.space.unmap(kernel, argument(thread, 1))?;
    Ok(go_on(kernel, cpu, thread, progress))
}

/// [`abi::Syscall::MemoryProtect`].
///
/// # Errors
/// See there.
pub fn protect(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> Result<Outcome, Error> {
    let process = changeable(kernel, thread)?;
    let progress = process.space.protect(kernel, argument(thread, 1), argument(thread, 2))?;
    Ok(go_on(kernel, cpu, thread, progress))
}

/// [`abi::Syscall::MemorySeal`].
///
/// # Errors
/// See there.
pub fn seal(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> Result<Outcome, Error> {
    let memory: &Object<Memory> = object(kernel, thread, 0, Rights::MANAGE)?;
    if let Progress::More = memory.prepare() {
        return Ok(again(thread));
    }
    let progress = memory.seal(kernel)?;
    Ok(go_on(kernel, cpu, thread, progress))
}

/// [`abi::Syscall::MemoryInspect`].
///
/// # Errors
/// See there.
pub fn inspect(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let memory: &Object<Memory> = object(kernel, thread, 0, Rights::INSPECT)?;
    Ok([memory.bytes(), memory.kind as u64, memory.is_sealed(kernel) as u64, memory.resident.get(), 0])
}

/// The process of argument 0, alive.
fn changeable<'k>(kernel: &'k Kernel, thread: &Thread) -> Found<'k, Process> {
    let process = managed_process(kernel, thread, 0)?;
    if process.can_be_changed() { Ok(process) } else { Err(Error::BadState) }
}

/// Goes on with a long call, or waits until its effect has reached every CPU.
fn go_on(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, progress: Progress) -> Outcome {
    match progress {
        Progress::More => again(thread),
        Progress::Done(ticket) if kernel.shootdown.requests.is_done(ticket) => Outcome::Results(NOTHING),
        Progress::Done(ticket) => {
            thread.set_status(OK);
            schedule::take_off_cpu(cpu, thread, State::Flushing);
            schedule::wait_for_flush(kernel, thread, ticket);
            Outcome::Done
        }
    }
}

/// Makes a thread repeat its system call.
pub fn again(thread: &Thread) -> Outcome {
    let rip = &thread.context.frame.rip;
    rip.set(rip.get() - SYSCALL_BYTES);
    Outcome::Done
}
