//! The end of an incarnation, and the way to the next: `docs/states.md`, table «Process».
//!
//! [`kill`] does at once what must not be seen half done: no thread of the dead runs again, its own calls end, the calls that it
//! had received go back to their queues or end. The rest (handles, address space) is done in steps
//! ([`step`]) at the end of kernel entries and when CPUs are idle.

use crate::arch::clock;
use crate::cpu::attention;
use crate::ipc::{self, end, flight, reply};
use crate::kernel::Kernel;
use crate::object::process::{Exit, State};
use crate::object::thread::State as ThreadState;
use crate::object::{Object, Process, Slot, Thread, dma_domain, interrupt};
use crate::shootdown::Progress;
use crate::{schedule, timer};
use abi::process::Registers;
use abi::{Error, ExitReason};

/// Handles closed in one step.
const HANDLES_A_STEP: usize = 16;

/// Ends the incarnation of a process. `culprit` is the thread that faulted or asked for it. Killing the dead changes nothing.
pub fn kill(
    kernel: &Kernel,
    process: &Object<Process>,
    culprit: Option<&Object<Thread>>,
    reason: ExitReason,
    code: u64,
    address: u64,
) {
    if !process.can_be_changed() {
        return;
    }
    let now = clock::now();
    let current = culprit.and_then(|thread| thread.current.get(kernel));
    process.exit.set(Some(Exit {
        reason,
        code,
        address,
        thread: culprit.map_or(0, Object::number),
        time: now,
        call: current.map_or(0, |client| client.request.get().0),
        client: current.map_or(0, |client| client.process.number()),
        registers: culprit.map_or(Registers::default(), |thread| thread.context.frame.registers()),
    }));
    process.state.set(State::Draining);
    process.drain_slot.set(0);

    for thread in process.threads.iter(kernel) {
        stop_thread(kernel, thread);
    }
    for thread in process.threads.iter(kernel) {
        let Some(client) = thread.current.take() else { continue };
        let client = client.get(kernel);
        let is_blamed = culprit.is_none_or(|culprit| culprit.is(thread));
        count_death(client, reason, is_blamed);
        return_call(kernel, process, client, false);
    }
    let mut next = process.kept.front(kernel);
    while let Some(call) = next {
        next = process.kept.after(kernel, call);
        // Orphans stay until the drain is over.
        let Some(client) = call.client.take() else { continue };
        process.kept.remove(call);
        client.kept.set(None);
        return_call(kernel, process, client.get(kernel), call.parked.get());
    }
    process.alone.set(None);
    interrupt::mask_all_of(kernel, process);
    for channel in process.served.iter(kernel) {
        channel.down(now);
        while let Some(close) = channel.delivered_closes.pop_front() {
            channel.closes.push_back(close);
        }
        while channel.withdrawn.pop_front().is_some() {}
    }
    if let Some(watcher) = process.watcher.get(kernel) {
        let _ = ipc::signal(kernel, watcher, process.watcher_bits.get());
    }
    progress(kernel, process);
}

/// The account of a process was revoked: it ends, if it did not, and gives up the handles that it keeps as well, as it never starts
/// again. So processes that keep handles to each other end for good.
pub fn revoke(kernel: &Kernel, process: &Object<Process>) {
    kill(kernel, process, None, ExitReason::Revoked, 0, 0);
    if process.state.get() == State::Dead {
        process.state.set(State::Draining);
    }
    process.drain_slot.set(0);
    progress(kernel, process);
}

/// A call that the dead process had received, and did not answer.
fn return_call(kernel: &Kernel, process: &Object<Process>, client: &Object<Thread>, parked: bool) {
    if !parked {
        process.active_calls.set(process.active_calls.get() - 1);
    }
    client.leave_fast_path(kernel);
    let channel = client.called_channel(kernel).expect("a caller has a channel");
    client.server.clear();
    end::server_died(kernel, channel, client, parked);
}

/// Counts, in a call that was current, what struck its server.
fn count_death(client: &Thread, reason: ExitReason, is_blamed: bool) {
    if reason == ExitReason::Hung {
        client.hangs.set(client.hangs.get().saturating_add(1));
    } else if reason.is_fault() && is_blamed {
        client.faults.set(client.faults.get().saturating_add(1));
    }
}

/// Takes a thread of a dead process out of whatever it does. One that runs on another CPU is asked to stop.
fn stop_thread(kernel: &Kernel, thread: &Object<Thread>) {
    match thread.state.get() {
        ThreadState::Ended => return,
        ThreadState::Running => {
            let cpu = kernel.cpu(thread.cpu.get());
            schedule::notify(kernel, cpu, attention::STOP);
        }
        ThreadState::Ready => {
            schedule::dequeue(kernel, thread);
            thread.state.set(ThreadState::Ended);
        }
        ThreadState::Receiving => {
            if let Some(channel) = thread.serving.take() {
                channel.receivers.remove(thread);
            }
            thread.state.set(ThreadState::Ended);
        }
        ThreadState::Queued | ThreadState::Current | ThreadState::Kept => {
            end::leave(kernel, thread);
            end::release(kernel, thread);
            thread.state.set(ThreadState::Ended);
        }
        ThreadState::Flushing => {
            kernel.flushing.remove(thread);
            thread.state.set(ThreadState::Ended);
        }
        ThreadState::New => thread.state.set(ThreadState::Ended),
    }
    timer::clear(kernel, thread);
}

/// A thread of a living process has ended itself: it is off its CPU, and does not count as alive.
pub fn thread_ended(kernel: &Kernel, thread: &Object<Thread>) {
    let process = thread.process.get(kernel);
    if let Some(client) = thread.current.take() {
        let client = client.get(kernel);
        client.server.clear();
        reply::finished(kernel, process, client);
        end::finish(kernel, client, Error::Abandoned as u64);
    }
    if thread.orphan.is_some() {
        reply::end_current_orphan(kernel, thread);
    }
    process.past_run_time.set(process.past_run_time.get() + thread.run_time.get());
    process.threads.remove(thread);
    schedule::forget(kernel, thread);
    if let Some(channel) = thread.on_exit.take() {
        let _ = ipc::signal(kernel, channel.get(kernel), thread.on_exit_bits.get());
    }
}

/// The last handle to a process is gone.
pub fn abandoned(kernel: &Kernel, process: &Object<Process>) {
    process.abandoned.set(true);
    progress(kernel, process);
}

/// Something changed that a dead process may have waited for: the reaper looks at it again.
pub fn progress(kernel: &Kernel, process: &Object<Process>) {
    let has_steps = match process.state.get() {
        State::Draining => !kernel.is_on_cpu(process),
        State::Dead => process.reset_asked.get() || process.abandoned.get(),
        State::Resetting => true,
        State::New => process.abandoned.get(),
        State::Running => false,
    };
    if has_steps && !process.reaping.is_linked() {
        kernel.reaping.push_back(process.to_ref());
    }
}

/// Does a step for the process whose turn it is. Returns whether there is more to do.
pub fn step(kernel: &Kernel) -> bool {
    let Some(process) = kernel.reaping.pop_front() else { return false };
    let process = process.get(kernel);
    let goes_on = match process.state.get() {
        State::Draining => drain(kernel, process),
        State::Dead if process.abandoned.get() => vanish(kernel, process),
        State::Dead if process.reset_asked.get() => {
            process.state.set(State::Resetting);
            true
        }
        State::Resetting => reset(kernel, process),
        State::New if process.abandoned.get() => {
            kill(kernel, process, None, ExitReason::Killed, 0, 0);
            false
        }
        State::New | State::Running | State::Dead => false,
    };
    if goes_on && !process.reaping.is_linked() {
        kernel.reaping.push_back(process.to_ref());
    }
    !kernel.reaping.is_empty()
}

/// Closes handles; then, once no orphan is left, the process is dead.
fn drain(kernel: &Kernel, process: &Object<Process>) -> bool {
    if dma_domain::process_died(kernel, process) {
        return true;
    }
    let gives_all_up = process.abandoned.get() || process.account.is_revoked_above(kernel);
    for _ in 0..HANDLES_A_STEP {
        let Some(next) = process.handles.next_from(kernel, process.drain_slot.get()) else { break };
        process.drain_slot.set(next.handle.slot() + 1);
        if !next.keep || gives_all_up {
            let _ = flight::close(kernel, process, next.handle);
        }
    }
    if process.handles.next_from(kernel, process.drain_slot.get()).is_some() {
        return true;
    }
    if kernel.is_on_cpu(process) {
        return false;
    }
    // What it did for a caller that left may have reached further down, by calls that it made later: it is over when these are. In
    // this order processes that left calls in each other cannot wait for each other.
    let latest = process.latest_orphan(kernel);
    for thread in process.threads.iter(kernel) {
        if thread.orphan.is_some() && thread.orphan_since.get() >= latest {
            reply::end_current_orphan(kernel, thread);
        }
    }
    for call in process.kept.iter(kernel) {
        if call.orphan.is_some() && call.orphan_since.get() >= latest {
            reply::end_kept_orphan(kernel, call);
        }
    }
    if process.orphans() > 0 {
        // One of its own may have ended.
        return process.latest_orphan(kernel) < latest;
    }
    let is_over = |orphan: &Slot<Process>| !orphan.is_some();
    let mut all = process.threads.iter(kernel).map(|thread| &thread.orphan);
    if !(all.all(is_over) && process.kept.iter(kernel).map(|call| &call.orphan).all(is_over)) {
        return true;
    }
    while process.kept.pop_front().is_some() {}
    debug_assert_eq!(process.active_calls.get(), 0, "a dead server has calls");
    process.state.set(State::Dead);
    process.reset_asked.get() || process.abandoned.get()
}

/// Asks for a reset: done at once, later, or never where the process lives.
///
/// # Errors
/// `BadState`.
pub fn ask_reset(kernel: &Kernel, process: &Object<Process>) -> Result<(), Error> {
    match process.state.get() {
        State::Running => Err(Error::BadState),
        State::New => {
            reset_done(kernel, process);
            Ok(())
        }
        State::Draining | State::Dead | State::Resetting => {
            process.reset_asked.set(true);
            progress(kernel, process);
            Ok(())
        }
    }
}

/// Frees the corpse in steps; then the process is new again.
fn reset(kernel: &Kernel, process: &Object<Process>) -> bool {
    if !free_corpse(kernel, process) {
        return true;
    }
    process.state.set(State::New);
    process.incarnation.set(process.incarnation.get() + 1);
    process.reset_asked.set(false);
    process.past_run_time.set(0);
    for channel in process.served.iter(kernel) {
        channel.signals.set(u64::MAX);
    }
    reset_done(kernel, process);
    if process.account.is_revoked_above(kernel) {
        revoke(kernel, process);
    }
    process.abandoned.get()
}

fn reset_done(kernel: &Kernel, process: &Object<Process>) {
    if let Some(channel) = process.reset_channel.take() {
        let _ = ipc::signal(kernel, channel.get(kernel), process.reset_bits.get());
    }
}

/// Frees threads and mappings. Returns whether it is done.
fn free_corpse(kernel: &Kernel, process: &Object<Process>) -> bool {
    if let Some(thread) = process.threads.pop_front() {
        schedule::forget(kernel, thread.get(kernel));
        process.alive.set(0);
        return false;
    }
    // A CPU that is idle may still have it loaded.
    kernel.leave_space(process) && matches!(process.space.clear(kernel), Progress::Done(_))
}

/// The process ends for good.
fn vanish(kernel: &Kernel, process: &Object<Process>) -> bool {
    if !process.handles.is_empty() {
        process.state.set(State::Draining);
        process.drain_slot.set(0);
        return true;
    }
    if !free_corpse(kernel, process) {
        return true;
    }
    while let Some(channel) = process.served.front(kernel) {
        ipc::close_channel(kernel, channel);
    }
    process.space.close(kernel);
    process.watcher.set(None);
    process.reset_channel.set(None);
    kernel.processes.remove(process);
    false
}
