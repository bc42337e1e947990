//! The end of an incarnation, and the way to the next: `docs/states.md`, table «Process».
//!
//! [`kill`] does at once what must not be seen half done: no thread of the dead runs again, its own calls end, the calls that it
//! had received go back to their queues or end. The rest (handles, address space) is done in steps
//! ([`step`]) at the end of kernel entries and when CPUs are idle.

use crate::arch::clock;
use crate::ipc::{self, end, flight, reply};
use crate::object::{Object, Process, Thread, dma_domain, interrupt, process::State, thread::State as ThreadState};
use crate::{Kernel, Progress, cpu::attention, schedule, timer};
use abi::{Error, ExitReason, ExitRecord};
use core::cell::Cell;

/// Slots of the handle table that are looked at in one step.
const SLOTS_A_STEP: u32 = 16;
/// Calls returned, or closes of sessions put back, in one step.
const CALLS_A_STEP: usize = 16;
/// Processes whose accounts are looked at in one step.
const PROCESSES_A_STEP: usize = 16;

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
    let shown = culprit.or_else(|| process.threads.iter(kernel).next());
    process.exit.set(Some(ExitRecord {
        reason: reason as u32,
        code,
        address,
        thread: culprit.map_or(0, Object::number),
        time: now,
        call: current.map_or(0, |client| client.request.get().0),
        client: current.map_or(0, |client| client.process.number()),
        registers: shown.map(|thread| thread.context.frame.registers()).unwrap_or_default(),
        ..ExitRecord::default()
    }));
    process.state.set(State::Draining);
    process.drain_slot.set(0);
    process.drain_channels.set(process.served.len());
    if process.down_since.get().is_none() {
        process.down_since.set(Some(now));
    }

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
    process.alone.set(None);
    interrupt::mask_all_of(kernel, process);
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

/// The search for processes whose accounts were revoked: round and round by number, until each was looked at after the last revocation.
pub(crate) struct Revoking {
    /// The process that is looked at next.
    next: Cell<u64>,
    /// Where the last round ends.
    end: Cell<u64>,
    /// Parts of the round that are left: 2 before it starts over, then 1; 0 where there is none.
    pub parts: Cell<u8>,
}

impl Revoking {
    pub const fn none() -> Revoking {
        Revoking { next: Cell::new(0), end: Cell::new(0), parts: Cell::new(0) }
    }

    /// An account was revoked.
    pub fn start(&self) {
        self.end.set(self.next.get());
        self.parts.set(2);
    }

    /// Looks at some processes.
    pub fn step(&self, kernel: &Kernel) {
        for _ in 0..PROCESSES_A_STEP {
            let parts = self.parts.get();
            match kernel.processes.first_from(kernel, self.next.get()) {
                _ if parts == 0 => return,
                Some(process) if parts == 2 || process.number() < self.end.get() => {
                    self.next.set(process.number() + 1);
                    let has_ended = process.is_dead() && process.handles.is_empty();
                    if !has_ended && process.account.is_revoked_above(kernel) {
                        revoke(kernel, process);
                    }
                }
                found => {
                    self.parts.set(parts - 1);
                    if found.is_none() {
                        self.next.set(0);
                    }
                }
            }
        }
    }
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
        ThreadState::Running => {
            schedule::notify(kernel, kernel.cpu(thread.cpu.get()), attention::STOP);
            return timer::clear(kernel, thread);
        }
        ThreadState::Ready => schedule::dequeue(kernel, thread),
        ThreadState::Receiving => {
            if let Some(channel) = thread.serving.take() {
                channel.receivers.remove(thread);
            }
        }
        ThreadState::Queued | ThreadState::Current | ThreadState::Kept => {
            end::leave(kernel, thread);
            end::release(kernel, thread);
        }
        ThreadState::Flushing => drop(kernel.flushing.remove(thread)),
        ThreadState::New | ThreadState::Ended => {}
    }
    thread.state.set(ThreadState::Ended);
    timer::clear(kernel, thread);
}

/// A thread of a living process has ended itself: it is off its CPU, and does not count as alive.
pub fn thread_ended(kernel: &Kernel, thread: &Object<Thread>) {
    let process = thread.process.get(kernel);
    timer::clear(kernel, thread);
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
    } || !process.closing.is_empty();
    if has_steps && !process.reaping.is_linked() {
        kernel.reaping.push_back(process.to_ref());
    }
}

/// Does a step for the process whose turn it is. Returns whether there is more to do.
pub fn step(kernel: &Kernel) -> bool {
    let Some(process) = kernel.reaping.pop_front() else { return false };
    let process = process.get(kernel);
    let goes_on = match process.state.get() {
        _ if !process.closing.is_empty() => close(kernel, process),
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

/// Goes on with a channel that is closing.
fn close(kernel: &Kernel, process: &Object<Process>) -> bool {
    if let Some(channel) = process.closing.front(kernel)
        && end::close_step(kernel, channel)
    {
        process.closing.remove(channel);
    }
    true
}

/// Calls that the dead process kept go back to their queues, or end. Orphans stay until the drain is over.
fn return_kept(kernel: &Kernel, process: &Object<Process>) -> bool {
    for _ in 0..CALLS_A_STEP {
        let Some(call) = process.kept.pop_front() else { return false };
        let Some(client) = call.client.take() else { continue };
        call.channel.kept.remove(&call);
        client.kept.set(None);
        return_call(kernel, process, client.get(kernel), call.parked.get());
    }
    true
}

/// The channels of the dead process: closes that were not acknowledged wait again, and every signal bit is set for the next incarnation.
fn renew_channels(kernel: &Kernel, process: &Object<Process>) -> bool {
    for _ in 0..CALLS_A_STEP {
        let left = process.drain_channels.get();
        let Some(channel) = process.served.front(kernel).filter(|_| left > 0) else { return false };
        if let Some(close) = channel.delivered_closes.pop_first() {
            channel.closes.push_back(close);
        } else if channel.withdrawn.pop_front().is_none() {
            channel.signals.set(u64::MAX);
            process.drain_channels.set(left - 1);
            if let Some(done) = process.served.pop_front() {
                process.served.push_back(done);
            }
        }
    }
    true
}

/// Returns calls and closes handles; then, once no orphan is left, the process is dead.
fn drain(kernel: &Kernel, process: &Object<Process>) -> bool {
    if dma_domain::process_died(kernel, process) || return_kept(kernel, process) || renew_channels(kernel, process) {
        return true;
    }
    let gives_all_up = process.abandoned.get() || process.account.is_revoked_above(kernel);
    let slot = process.drain_slot.get();
    for slot in slot..(slot + SLOTS_A_STEP).min(process.handles.end.get()) {
        process.drain_slot.set(slot + 1);
        if let Some(held) = process.handles.at(kernel, slot).filter(|held| !held.keep || gives_all_up) {
            let _ = flight::close(kernel, process, held.handle);
        }
    }
    if process.drain_slot.get() < process.handles.end.get() {
        return true;
    }
    if kernel.is_on_cpu(process) {
        return false;
    }
    // What it did for a caller that left may have reached further down, by calls that it made later: it is over when these are. In
    // this order processes that left calls in each other cannot wait for each other.
    let latest = process.latest_orphan(kernel);
    for thread in process.threads.iter(kernel) {
        if thread.orphan.is_some() && thread.in_orphans.key.get() <= latest {
            reply::end_current_orphan(kernel, thread);
        }
    }
    for _ in 0..CALLS_A_STEP {
        let first = process.kept_orphans.first(kernel);
        let Some(call) = first.filter(|call| call.in_server_orphans.key.get() <= latest) else { break };
        reply::end_kept_orphan(kernel, call);
    }
    let first = process.kept_orphans.first(kernel);
    if first.is_some_and(|call| call.in_server_orphans.key.get() <= latest) {
        return true;
    }
    if process.orphans() > 0 {
        // One of its own may have ended.
        return process.latest_orphan(kernel) > latest;
    }
    if first.is_some() || process.threads.iter(kernel).any(|thread| thread.orphan.is_some()) {
        return true;
    }
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
    if let Some(channel) = process.served.front(kernel) {
        ipc::close_channel(kernel, channel);
        return true;
    }
    process.space.close(kernel);
    process.watcher.set(None);
    process.reset_channel.set(None);
    kernel.processes.remove(process);
    false
}
