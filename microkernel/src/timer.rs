//! Deadlines of waiting threads, and when the CPUs' timers have to strike. There is no tick.

use crate::arch::{clock, timer};
use crate::ipc::end;
use crate::object::{Object, Thread};
use crate::{Cpu, Kernel, cpu::attention};

/// Shortest time for which a deadline is put off, in nanoseconds.
pub const SHORTEST: u64 = 100_000;

/// How long reaping may wait while threads run, in nanoseconds.
const REAP_PAUSE: u64 = 50_000;

/// Deadlines that one interrupt serves at most; the next follows at once.
const BATCH: u32 = 32;

/// Whether a thread's timer strikes at a deadline. That of a receive is left as it is when something arrives: the next one mostly has the same.
pub fn is_set(thread: &Thread, deadline: u64) -> bool {
    thread.timer.linked.get() && thread.timer.key.get() == deadline
}

/// Sets a waiting thread's deadline.
pub fn set(kernel: &Kernel, thread: &Object<Thread>, deadline: u64) {
    if is_set(thread, deadline) {
        return;
    }
    clear(kernel, thread);
    kernel.timers.insert(thread.to_ref(), deadline);
    let is_first = kernel.timers.first(kernel).is_some_and(|first| first.is(thread));
    if is_first {
        kernel.this_cpu().ask(attention::TIMER);
    }
}

/// Clears a thread's deadline, if it has one.
pub fn clear(kernel: &Kernel, thread: &Object<Thread>) {
    if thread.timer.linked.get() {
        kernel.timers.remove(thread);
    }
}

/// Ends the waits whose deadlines have passed.
pub fn expire(kernel: &Kernel, now: u64) {
    for _ in 0..BATCH {
        let Some(first) = kernel.timers.first(kernel) else { return };
        let deadline = first.timer.key.get();
        if deadline > now {
            return;
        }
        kernel.timers.remove(first);
        end::expire(kernel, first, deadline, now);
    }
}

/// Sets this CPU's timer for what comes first: a deadline, the end of the slice, work that waits, init's watchdog. It is never set later:
/// an interrupt for nothing finds out for what the next one is.
pub fn arm(kernel: &Kernel, cpu: &Cpu) {
    if kernel.timers.is_empty() && cpu.queue.is_empty() && kernel.watchdog.get() == u64::MAX && !kernel.has_work() {
        // A timer that is set strikes once for nothing: cheaper than to reset it each time.
        return;
    }
    let deadline = kernel.timers.first(kernel).map_or(u64::MAX, |first| first.timer.key.get());
    let mut next = deadline.min(kernel.watchdog.get());
    if let Some(current) = cpu.current.get(kernel)
        && cpu.queue.has_equal_or_above(current.rank.get())
        && current.takes_turns()
    {
        next = next.min(cpu.slice_end.get());
    }
    if kernel.has_work() && !cpu.is_idle() {
        next = next.min(clock::now() + REAP_PAUSE);
    }
    if next < cpu.armed.get() {
        cpu.armed.set(next);
        timer::arm(next);
    }
}
