//! System calls on processes and threads.

use super::entry::{brief, control};
use crate::message::CallPage;
use abi::{Error, ExitReason, ExitRecord, Handle, Parameters, Syscall};

/// Longest name of a process, in bytes.
pub const NAME_BYTES: usize = 16;

/// Makes a process; a longer name is cut at [`NAME_BYTES`]. Errors: `AccountExhausted`, `NoSlot`.
pub fn process_create(account: Handle, name: &str) -> Result<Handle, Error> {
    let mut bytes = [0; NAME_BYTES];
    let mut length = name.len().min(NAME_BYTES);
    while !name.is_char_boundary(length) {
        length -= 1;
    }
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|n| bytes[at + n]));
    Ok(Handle(control(Syscall::ProcessCreate, [account.0, word(0), word(8)])?[0]))
}

/// Starts a new process. Error: `BadState` (not new, or without a thread).
pub fn process_start(process: Handle) -> Result<(), Error> {
    brief(Syscall::ProcessStart, process.0, 0)
}

/// Ends the incarnation. [`Handle::NONE`]: the own one, with `Exit` or `Panic`; others with `Killed` or `Hung`.
pub fn process_kill(process: Handle, reason: ExitReason, code: u64) -> Result<(), Error> {
    control(Syscall::ProcessKill, [process.0, reason as u64, code]).map(drop)
}

/// Makes a dead process new again; `bits` of `channel` (or none) tell when it is. Error: `BadState` (it lives).
pub fn process_reset(process: Handle, channel: Handle, bits: u64) -> Result<(), Error> {
    control(Syscall::ProcessReset, [process.0, channel.0, bits]).map(drop)
}

/// Reads how a process ended or runs.
pub fn process_inspect(process: Handle) -> Result<ExitRecord, Error> {
    let page = CallPage::take();
    control(Syscall::ProcessInspect, [process.0])?;
    Ok(page.record())
}

/// Names the bits of a channel that tell of each death; [`Handle::NONE`] ends the watch.
pub fn process_watch(process: Handle, channel: Handle, bits: u64) -> Result<(), Error> {
    control(Syscall::ProcessWatch, [process.0, channel.0, bits]).map(drop)
}

/// Reads memory of a process, also a dead one, up to the first page that is not there or
/// the size of a payload: how many bytes stand in `into`.
pub fn process_read(process: Handle, address: u64, into: &mut [u8]) -> Result<usize, Error> {
    let page = CallPage::take();
    let wanted = into.len().min(abi::PAYLOAD_BYTES);
    let [read, ..] = control(Syscall::ProcessRead, [process.0, address, wanted as u64])?;
    let read = (read as usize).min(wanted);
    into[..read].copy_from_slice(&page.payload()[..read]);
    Ok(read)
}

/// Where a new thread starts: everything in addresses of its process.
#[derive(Clone, Copy, Debug)]
pub struct ThreadStart {
    /// First instruction.
    pub entry: u64,
    /// Stack pointer.
    pub stack: u64,
    /// `rdi`.
    pub argument: u64,
    /// Page-aligned place for the call page and, behind it, the serve page.
    pub pages: u64,
    /// FS base: the thread block.
    pub thread_block: u64,
}

/// Makes a thread in `process` ([`Handle::NONE`]: the caller's). Errors: `AccountExhausted`, `NoSlot`, `BadAddress`, `BadState`.
///
/// # Safety
///
/// In the caller's own process: `entry` must be code that is sound to run on that stack with that argument and thread
/// block, all of which must stay as long as the thread runs.
pub unsafe fn thread_create(process: Handle, start: ThreadStart, account: Handle) -> Result<Handle, Error> {
    let ThreadStart { entry, stack, argument, pages, thread_block } = start;
    Ok(Handle(control(Syscall::ThreadCreate, [process.0, entry, stack, argument, pages, thread_block, account.0])?[0]))
}

/// Sets scheduling parameters; [`Handle::NONE`]: the caller's. Error: `Denied`.
pub fn thread_schedule(thread: Handle, parameters: Parameters) -> Result<(), Error> {
    let Parameters { policy, priority, weight } = parameters;
    control(Syscall::ThreadSchedule, [thread.0, policy as u64, priority.into(), weight.into()]).map(drop)
}

/// Sets real-time parameters, by right of a Resource of real time. Errors: `Denied`, `WrongKind`.
pub fn thread_schedule_real_time(thread: Handle, parameters: Parameters, resource: Handle) -> Result<(), Error> {
    let Parameters { policy, priority, weight } = parameters;
    let arguments = [thread.0, policy as u64, priority.into(), weight.into(), resource.0];
    control(Syscall::ThreadSchedule, arguments).map(drop)
}

/// Says on which CPUs (a bit set) a thread may run; [`Handle::NONE`]: the caller. Error: `BadArgument`.
pub fn thread_affinity(thread: Handle, cpus: u64) -> Result<(), Error> {
    brief(Syscall::ThreadAffinity, thread.0, cpus)
}

/// Ends a thread's call (`NotStarted` or `Unknown`) or receive (`TimedOut`) early. Error: `BadState`.
pub fn thread_cancel(thread: Handle) -> Result<(), Error> {
    brief(Syscall::ThreadCancel, thread.0, 0)
}

/// Ends the calling thread, then signals; the last thread's end ends the process with `code`. On a host, returns.
pub(crate) fn thread_exit(channel: Handle, bits: u64, code: u64) {
    let _ = control(Syscall::ThreadExit, [channel.0, bits, code]);
}

/// Lets other threads of the same rank run.
pub fn thread_yield() {
    let _ = brief(Syscall::ThreadYield, 0, 0);
}
