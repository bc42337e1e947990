//! System calls of processes and threads.

use super::{
    Outcome, Results, argument, charged_account, land, managed_process, managed_thread, object, one, signalled_channel,
};
use crate::arch::{Context, clock};
use crate::ipc::end;
use crate::object::{Object, Process, Resource, Thread, process::State, thread::State as ThreadState};
use crate::{Cpu, Kernel, death, schedule};
use abi::boot::ResourceKind;
use abi::{Error, ExitReason, PAYLOAD_BYTES, Parameters, Policy, Rights};

/// Bytes that `ProcessRead` copies at once, by way of the kernel's stack.
const READ_STEP: usize = 512;

/// [`abi::Syscall::ProcessCreate`].
///
/// # Errors
/// See there.
pub fn create(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let account = charged_account(kernel, thread, 0)?;
    let mut name = [0; 16];
    name[..8].copy_from_slice(&argument(thread, 1).to_le_bytes());
    name[8..].copy_from_slice(&argument(thread, 2).to_le_bytes());
    // Where landing fails, it closes the only handle: the process ends by itself.
    land(kernel, thread, Process::create(kernel, account, thread.process.number(), name)?, 0)
}

/// [`abi::Syscall::ProcessStart`].
///
/// # Errors
/// See there.
pub fn start(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let process: &Object<Process> = object(kernel, thread, 0, Rights::MANAGE)?;
    start_process(kernel, process)
}

/// Makes the threads of a new process ready.
///
/// # Errors
/// `BadState`: it is not new, or has no thread.
pub fn start_process(kernel: &Kernel, process: &Object<Process>) -> Result<(), Error> {
    if process.state.get() != State::New || process.threads.is_empty() || process.account.is_revoked_above(kernel) {
        return Err(Error::BadState);
    }
    let now = clock::now();
    process.state.set(State::Running);
    process.up(now);
    for new in process.threads.iter(kernel) {
        schedule::make_ready(kernel, new);
    }
    Ok(())
}

/// [`abi::Syscall::ProcessKill`].
///
/// # Errors
/// See there.
pub fn kill(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let process = managed_process(kernel, thread, 0)?;
    let reason = u32::try_from(argument(thread, 1)).map_or(ExitReason::None, ExitReason::from_number);
    let code = argument(thread, 2);
    let is_own = process.is(thread.process.get(kernel));
    match reason {
        ExitReason::Exit | ExitReason::Panic if is_own => {
            death::kill(kernel, process, Some(thread), reason, code, 0);
        }
        ExitReason::Killed | ExitReason::Hung => death::kill(kernel, process, None, reason, code, 0),
        _ => return Err(Error::BadArgument),
    }
    Ok(())
}

/// [`abi::Syscall::ProcessReset`].
///
/// # Errors
/// See there.
pub fn reset(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let process: &Object<Process> = object(kernel, thread, 0, Rights::MANAGE)?;
    let channel = signalled_channel(kernel, thread, 1)?;
    if process.state.get() == State::Running {
        return Err(Error::BadState);
    }
    process.reset_channel.set(channel.map(Object::to_ref));
    process.reset_bits.set(argument(thread, 2));
    death::ask_reset(kernel, process)
}

/// [`abi::Syscall::ProcessWatch`].
///
/// # Errors
/// See there.
pub fn watch(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let process: &Object<Process> = object(kernel, thread, 0, Rights::MANAGE)?;
    let channel = signalled_channel(kernel, thread, 1)?;
    process.watcher.set(channel.map(Object::to_ref));
    process.watcher_bits.set(argument(thread, 2));
    if let (Some(channel), true) = (channel, process.is_dead()) {
        // It died before anybody watched: the news is not lost.
        crate::ipc::signal(kernel, channel, argument(thread, 2))?;
    }
    Ok(())
}

/// [`abi::Syscall::ProcessRead`].
///
/// # Errors
/// See there.
pub fn read(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let process: &Object<Process> = object(kernel, thread, 0, Rights::INSPECT)?;
    let (address, bytes) = (argument(thread, 1), argument(thread, 2));
    if bytes as usize > PAYLOAD_BYTES {
        return Err(Error::BadArgument);
    }
    let mut buffer = [0; READ_STEP];
    let (page, mut done) = (thread.call_page(), 0);
    while done < bytes as usize {
        let wanted = READ_STEP.min(bytes as usize - done);
        let Some(here) = address.checked_add(done as u64) else { break };
        let got = process.space.read(kernel, here, &mut buffer[..wanted]);
        page.write_payload(done, &buffer[..got]);
        done += got;
        if got < wanted {
            break;
        }
    }
    if done == 0 && bytes > 0 { Err(Error::BadAddress) } else { Ok(one(done as u64)) }
}

/// [`abi::Syscall::ThreadCreate`].
///
/// # Errors
/// See there.
pub fn create_thread(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let process = managed_process(kernel, thread, 0)?;
    let [entry, stack, value, pages, fs_base] = core::array::from_fn(|n| argument(thread, n + 1));
    let account = charged_account(kernel, thread, 6)?;
    let is_user = |address: u64| address < abi::memory::END_ADDRESS;
    if !is_user(entry) || stack > abi::memory::END_ADDRESS || !is_user(fs_base) {
        return Err(Error::BadAddress);
    }
    let new = Thread::create(kernel, process, account, Context::new(entry, stack, value, fs_base), pages)?;
    let landed = land(kernel, thread, new.clone(), 0).inspect_err(|_| Thread::undo_create(kernel, new.get(kernel)))?;
    if process.is_running() {
        schedule::make_ready(kernel, new.get(kernel));
    }
    Ok(landed)
}

/// [`abi::Syscall::ThreadSchedule`]. The right to real time is the Resource in argument 4.
///
/// # Errors
/// See there.
pub fn schedule(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let target = managed_thread(kernel, thread, 0)?;
    let policy = Policy::from_number(argument(thread, 1)).ok_or(Error::BadArgument)?;
    let priority = u8::try_from(argument(thread, 2)).map_err(|_| Error::BadArgument)?;
    let weight = u32::try_from(argument(thread, 3)).map_err(|_| Error::BadArgument)?;
    let parameters = Parameters { policy, priority, weight };
    if !parameters.is_valid() {
        return Err(Error::BadArgument);
    }
    if policy != Policy::Fair {
        let resource: &Object<Resource> = object(kernel, thread, 4, Rights::MANAGE)?;
        resource.must_be(ResourceKind::RealTime)?;
    }
    schedule::set_parameters(kernel, target, parameters);
    Ok(())
}

/// [`abi::Syscall::ThreadAffinity`].
///
/// # Errors
/// See there.
pub fn affinity(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let target = managed_thread(kernel, thread, 0)?;
    let set = argument(thread, 1);
    let exists = kernel.cpus.get().iter().any(|cpu| cpu.online.get() && set >> cpu.index() & 1 != 0);
    if !exists {
        return Err(Error::BadArgument);
    }
    schedule::set_affinity(kernel, target, set);
    Ok(())
}

/// [`abi::Syscall::ThreadCancel`].
///
/// # Errors
/// See there.
pub fn cancel(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let target: &Object<Thread> = object(kernel, thread, 0, Rights::MANAGE)?;
    end::cancel(kernel, target)
}

/// [`abi::Syscall::ThreadExit`].
///
/// # Errors
/// See there.
pub fn exit_thread(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> Result<Outcome, Error> {
    let channel = signalled_channel(kernel, thread, 0)?;
    let process = thread.process.get(kernel);
    if process.alive.get() == 1 {
        death::kill(kernel, process, Some(thread), ExitReason::Exit, argument(thread, 2), 0);
        return Ok(Outcome::Done);
    }
    thread.on_exit.set(channel.map(Object::to_ref));
    thread.on_exit_bits.set(argument(thread, 1));
    // From here on it does not count: two threads that end at once are not each other's survivors.
    process.alive.set(process.alive.get() - 1);
    schedule::take_off_cpu(cpu, thread, ThreadState::Ended);
    match Thread::unmap_pages(kernel, thread) {
        Some(ticket) => {
            thread.is_exiting.set(true);
            schedule::wait_for_flush(kernel, thread, ticket);
        }
        None => death::thread_ended(kernel, thread),
    }
    Ok(Outcome::Done)
}
