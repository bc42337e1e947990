//! System calls. Each one first decodes: handles, rights, ranges; then acts, which cannot fail half-way.
//!
//! | file | calls |
//! |---|---|
//! | [`channel`] | channels, sessions, signals |
//! | [`handle`] | handles and accounts |
//! | [`process`] | processes and threads |
//! | [`memory`] | Memory and mappings |
//! | [`device`] | interrupts, ports, DMA, resources, power |
//! | [`inspect`] | clocks and views of the system |
//!
//! Calls, replies and receives are in [`crate::ipc`].

pub mod channel;
pub mod device;
pub mod handle;
pub mod inspect;
pub mod memory;
pub mod process;

use crate::handle_table::Found;
use crate::ipc::{call, flight, receive, reply};
use crate::object::{Account, AnyRef, Object, Process, Ref, Thread, Type};
use crate::{Cpu, Kernel, lock, schedule};
use abi::{Error, Handle, OK, Rights, Syscall};
use core::sync::atomic::Ordering::Relaxed;

/// Results of a system call: `r0` to `r4`.
pub type Results = [u64; 5];

/// No results.
pub const NOTHING: Results = [0; 5];

/// One result.
pub const fn one(result: u64) -> Results {
    [result, 0, 0, 0, 0]
}

/// Carries out the system call that a thread asked for, and leaves its outcome in the thread's registers, unless the thread
/// waits now.
pub fn dispatch(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) {
    let frame = &thread.context.frame;
    if lock::IS_MEASURED {
        lock::CAUSE.store(frame.rax.get(), Relaxed);
    }
    let Some(number) = Syscall::from_number(frame.rax.get()) else {
        return thread.set_status(Error::BadSyscall as u64);
    };
    let is_message = matches!(number, Syscall::Call | Syscall::ReplyReceive | Syscall::Receive);
    let may_repeat = !is_message && kernel.has_work();
    match invoke(kernel, cpu, thread, number) {
        Ok(Outcome::Results(results)) => {
            for (index, result) in results.into_iter().enumerate() {
                frame.argument(index).set(result);
            }
            thread.set_status(OK);
        }
        Ok(Outcome::Success) => thread.set_status(OK),
        Ok(Outcome::Done) => {}
        // What was given up before may still be charged: the thread asks again once it is freed. (What the failed call itself made and
        // gave up does not count: it would ask for ever.)
        Err(Error::AccountExhausted | Error::NoContiguousMemory | Error::Busy) if may_repeat => {
            memory::again(thread);
        }
        Err(error) => thread.set_status(error as u64),
    }
}

/// How a system call went that did not fail.
pub enum Outcome {
    /// With these results.
    Results(Results),
    /// With none.
    Success,
    /// The registers are as they should be: the thread waits, ended, or makes the same call again.
    Done,
}

fn results(results: Result<Results, Error>) -> Result<Outcome, Error> {
    results.map(Outcome::Results)
}

fn nothing(result: Result<(), Error>) -> Result<Outcome, Error> {
    result.map(|()| Outcome::Success)
}

fn invoke(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, number: Syscall) -> Result<Outcome, Error> {
    let handle = Handle(thread.context.frame.rdi.get());
    match number {
        Syscall::Null => Ok(Outcome::Results(NOTHING)),
        // These set registers themselves where they succeed: those of the thread that goes on.
        Syscall::Call => call::call(kernel, cpu, thread).map(|()| Outcome::Done),
        Syscall::ReplyReceive => reply::reply_receive(kernel, cpu, thread).map(|()| Outcome::Done),
        Syscall::Receive => receive::receive(kernel, cpu, thread).map(|()| Outcome::Done),
        // The header is where other calls have argument 1, and this one's argument 0 is unused.
        Syscall::Reply => nothing(reply::reply(kernel, thread)),
        Syscall::CallKeep => reply::keep(kernel, thread).map(|handle| Outcome::Results(one(handle.0))),
        Syscall::CallReply => nothing(reply::call_reply(kernel, thread)),
        Syscall::CallResume => nothing(reply::resume(kernel, thread, handle)),
        Syscall::CallProgress => nothing(reply::progress(kernel, thread, handle)),
        Syscall::CallPark => nothing(reply::park(kernel, thread, handle)),
        Syscall::CallAbandon => nothing(reply::abandon(kernel, thread, handle)),

        Syscall::ChannelCreate => results(channel::create(kernel, thread)),
        Syscall::ChannelClose => nothing(channel::close(kernel, thread)),
        Syscall::Signal => nothing(channel::signal(kernel, thread)),
        Syscall::SessionMint => results(channel::mint(kernel, thread)),
        Syscall::SessionList => results(inspect::sessions(kernel, thread)),
        Syscall::SessionAcknowledge => nothing(channel::acknowledge(kernel, thread)),

        Syscall::HandleDuplicate => results(handle::duplicate(kernel, thread)),
        Syscall::HandleClose => nothing(handle::close(kernel, thread)),
        Syscall::HandleInspect => results(handle::inspect(kernel, thread)),
        Syscall::HandleKeep => nothing(handle::keep(kernel, thread)),
        Syscall::HandleGrant => results(handle::grant(kernel, thread)),

        Syscall::AccountSplit => results(handle::split_account(kernel, thread)),
        Syscall::AccountRead => results(inspect::account(kernel, thread)),
        Syscall::AccountRevoke => handle::revoke_account(kernel, thread),

        Syscall::ProcessCreate => results(process::create(kernel, thread)),
        Syscall::ProcessStart => nothing(process::start(kernel, thread)),
        Syscall::ProcessKill => nothing(process::kill(kernel, thread)),
        Syscall::ProcessReset => nothing(process::reset(kernel, thread)),
        Syscall::ProcessInspect => results(inspect::process(kernel, thread)),
        Syscall::ProcessWatch => nothing(process::watch(kernel, thread)),
        Syscall::ProcessRead => results(process::read(kernel, thread)),
        Syscall::ThreadCreate => results(process::create_thread(kernel, thread)),
        Syscall::ThreadSchedule => nothing(process::schedule(kernel, thread)),
        Syscall::ThreadAffinity => nothing(process::affinity(kernel, thread)),
        Syscall::ThreadCancel => nothing(process::cancel(kernel, thread)),
        Syscall::ThreadExit => process::exit_thread(kernel, cpu, thread),
        Syscall::ThreadYield => {
            schedule::yield_now(kernel, cpu, thread);
            Ok(Outcome::Results(NOTHING))
        }

        Syscall::MemoryCreate => results(memory::create(kernel, thread)),
        Syscall::MemoryDevice => results(device::memory(kernel, thread)),
        Syscall::MemoryMap => memory::map(kernel, thread),
        Syscall::MemoryUnmap => memory::unmap(kernel, cpu, thread),
        Syscall::MemoryProtect => memory::protect(kernel, cpu, thread),
        Syscall::MemorySeal => memory::seal(kernel, cpu, thread),
        Syscall::MemoryInspect => results(memory::inspect(kernel, thread)),

        Syscall::InterruptCreate => results(device::create_interrupt(kernel, thread)),
        Syscall::InterruptAcknowledge => results(device::acknowledge_interrupt(kernel, thread)),
        Syscall::InterruptMask => results(device::mask_interrupt(kernel, thread)),
        Syscall::PortsCreate => results(device::create_ports(kernel, thread)),
        Syscall::PortIn => results(device::port_in(kernel, thread)),
        Syscall::PortOut => results(device::port_out(kernel, thread)),
        Syscall::PortsDrain => results(device::drain_ports(kernel, thread)),
        Syscall::PortsFill => results(device::fill_ports(kernel, thread)),
        Syscall::DmaDomainCreate => results(device::create_dma_domain(kernel, thread)),
        Syscall::DmaAttach => results(device::attach_dma(kernel, thread)),
        Syscall::DmaRelease => results(device::release_dma(kernel, thread)),
        Syscall::DmaList => results(inspect::attachments(kernel, thread)),
        Syscall::ResourceSplit => results(device::split_resource(kernel, thread)),

        Syscall::ClockRead => results(inspect::clock(kernel, thread)),
        Syscall::SystemInspect => results(inspect::system(kernel, thread)),
        Syscall::SystemPower => results(device::power(kernel, thread)),
        Syscall::Identify => results(inspect::identify(kernel, thread)),
    }
}

/// Argument `n` of the system call that a thread is in.
pub fn argument(thread: &Thread, n: usize) -> u64 {
    thread.context.frame.argument(n).get()
}

/// Argument `n`, a truth value.
///
/// # Errors
/// `BadArgument`.
pub fn flag(thread: &Thread, n: usize) -> Result<bool, Error> {
    let value = argument(thread, n);
    if value > 1 { Err(Error::BadArgument) } else { Ok(value == 1) }
}

/// Gives the caller the first handle to a new object, with a mask of signal bits where it is a channel.
///
/// # Errors
/// `AccountExhausted`, `NoSlot`: the object ends with its reference.
pub fn land<T: Type>(kernel: &Kernel, thread: &Thread, new: Ref<T>, mask: u64) -> Result<Results, Error> {
    flight::land_new(kernel, thread.process.get(kernel), AnyRef::new(new), mask).map(|handle| one(handle.0))
}

/// The object that argument `n` names.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`.
pub fn object<'k, T: Type>(kernel: &'k Kernel, thread: &Thread, n: usize, rights: Rights) -> Found<'k, T> {
    thread.process.handles.get(kernel, Handle(argument(thread, n)), rights)
}

/// The account that argument `n` names, to charge something to.
///
/// # Errors
/// As [`object`]; `AccountExhausted` where it, or one above it, was revoked.
pub fn charged_account<'k>(kernel: &'k Kernel, thread: &Thread, n: usize) -> Found<'k, Account> {
    let account: &Object<Account> = object(kernel, thread, n, Rights::CHARGE)?;
    if account.is_revoked_above(kernel) { Err(Error::AccountExhausted) } else { Ok(account) }
}

/// The process that argument `n` names, to change it; the caller's own where it is none.
///
/// # Errors
/// As [`object`].
pub fn managed_process<'k>(kernel: &'k Kernel, thread: &Thread, n: usize) -> Found<'k, Process> {
    if argument(thread, n) == Handle::NONE.0 {
        return Ok(thread.process.get(kernel));
    }
    object(kernel, thread, n, Rights::MANAGE)
}

/// The thread that argument `n` names, to change it; the caller where it is none.
///
/// # Errors
/// As [`object`].
pub fn managed_thread<'k>(kernel: &'k Kernel, thread: &'k Object<Thread>, n: usize) -> Found<'k, Thread> {
    if argument(thread, n) == Handle::NONE.0 {
        return Ok(thread);
    }
    object(kernel, thread, n, Rights::MANAGE)
}

/// The channel that argument `n` names, to signal it with the bits of argument `n + 1`; `None` where it is none.
///
/// # Errors
/// As [`object`]; `Denied` where a bit is outside of the handle's mask.
pub fn signalled_channel<'k>(
    kernel: &'k Kernel,
    thread: &Object<Thread>,
    n: usize,
) -> Result<Option<&'k Object<crate::object::Channel>>, Error> {
    let handle = Handle(argument(thread, n));
    if handle.is_none() {
        return Ok(None);
    }
    let (channel, mask) = thread.process.handles.get_masked(kernel, handle, Rights::SIGNAL)?;
    if argument(thread, n + 1) & !mask != 0 { Err(Error::Denied) } else { Ok(Some(channel)) }
}
