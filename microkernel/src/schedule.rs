//! Which thread runs where.
//!
//! Real-time threads by rank, before fair ones by virtual time (as in Linux's CFS: the thread that has had least, by weight). A caller
//! hands its CPU and the rest of its slice to the server thread, and gets both back with the reply: the
//! *owner* of a slice is the thread at the head of the chain of calls, and its virtual time pays.

use crate::arch::{self, clock};
use crate::ipc::inherit;
use crate::object::{Object, Process, Ref, Thread, thread::State};
use crate::{Cpu, Kernel, Ticket, cpu::attention, timer};
use abi::schedule::{DEFAULT_WEIGHT, Parameters, SLICE};

/// How far a fair thread that wakes may be ahead of those that ran meanwhile, in time-stamp counts of virtual time.
const WAKE_BONUS: u64 = 4_000_000;

/// How much less virtual time than the running thread's makes a waking thread preempt it.
const WAKE_GRANULARITY: u64 = 1_000_000;

/// How long a CPU that becomes idle stays awake, in time-stamp counts, where it was idle for less the last time.
const AWAKE: u64 = 1_000_000;

/// Threads woken at once after a shoot-down.
const WAKE_BATCH: usize = 16;

/// Counts the running thread's time up to now.
pub fn count_time(cpu: &Cpu, thread: &Thread, now: u64) {
    let ran = now.wrapping_sub(cpu.counted_until.replace(now));
    thread.run_time.set(thread.run_time.get().wrapping_add(ran));
}

/// Charges the time since the last charge to the owner of the slice.
fn charge_owner(kernel: &Kernel, cpu: &Cpu, now: u64) {
    let ran = now.saturating_sub(cpu.charged_until.replace(now));
    let Some(owner) = cpu.owner.get(kernel).filter(|owner| owner.base_rank() == 0) else { return };
    let weight = owner.parameters.get().weight as u64;
    let virtual_time = owner.virtual_time.get() + ran * DEFAULT_WEIGHT as u64 / weight;
    owner.virtual_time.set(virtual_time);
    // The owner's chain may go on elsewhere already.
    if owner.virtual_cpu.get() == cpu.index() {
        let passed = cpu.queue.least_virtual(kernel).map_or(virtual_time, |least| least.min(virtual_time));
        cpu.queue.virtual_now.set(cpu.queue.virtual_now.get().max(passed));
    }
}

/// Gives a thread that joins the fair ones of a CPU its virtual time there: that of the head of its chain, who pays. Virtual times of two
/// CPUs have nothing to do with each other: what moves is how far a thread is ahead.
fn place(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) {
    let head = thread.chain_head(kernel);
    let now = cpu.queue.virtual_now.get();
    let mut virtual_time = head.virtual_time.get();
    let place = head.virtual_cpu.replace(cpu.index());
    if place != cpu.index() {
        let there = kernel.cpu(place);
        virtual_time = now + virtual_time.saturating_sub(there.queue.virtual_now.get());
    }
    virtual_time = virtual_time.max(now.saturating_sub(WAKE_BONUS));
    head.virtual_time.set(virtual_time);
    thread.virtual_time.set(virtual_time);
    thread.virtual_cpu.set(cpu.index());
}

/// Puts a ready thread in a CPU's queue.
fn insert(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, first: bool) {
    if thread.rank.get() == 0 {
        place(kernel, cpu, thread);
    }
    cpu.queue.insert(thread, first);
}

/// Virtual time of who pays for what a CPU runs.
fn running_virtual(kernel: &Kernel, cpu: &Cpu, current: &Thread) -> u64 {
    cpu.owner.get(kernel).map_or(current.virtual_time.get(), |owner| owner.virtual_time.get())
}

/// Takes the running thread off its CPU, to wait in `state`.
pub fn take_off_cpu(cpu: &Cpu, thread: &Object<Thread>, state: State) {
    debug_assert!(cpu.current.holds(thread));
    count_time(cpu, thread, clock::tsc());
    arch::leave(&thread.context);
    thread.state.set(state);
    cpu.current.set(None);
}

/// Makes a thread run next on this CPU, on what is left of the slice.
pub fn hand_over(kernel: &Kernel, cpu: &Cpu, thread: Ref<Thread>) {
    let thread = thread.get(kernel);
    let allowed = thread.affinity.get() >> cpu.index() & 1 != 0;
    if !allowed || cpu.handoff.is_some() || !thread.process.is_running() {
        return make_ready(kernel, thread);
    }
    thread.state.set(State::Ready);
    thread.cpu.set(cpu.index());
    cpu.handoff.set(Some(thread.to_ref()));
}

/// Makes a waiting thread ready, on the CPU that suits it best. One whose process is not running stays as it is.
pub fn make_ready(kernel: &Kernel, thread: &Object<Thread>) {
    if !thread.process.is_running() {
        return;
    }
    thread.state.set(State::Ready);
    let cpu = choose_cpu(kernel, thread);
    thread.cpu.set(cpu.index());
    let is_woken_here = core::ptr::eq(cpu, kernel.this_cpu()) && cpu.current.is_some() && !kernel.is_interrupt.get();
    if thread.rank.get() == 0 && is_woken_here && cpu.queue.try_buddy(thread) {
        if cpu.armed.get() > cpu.slice_end.get() {
            cpu.ask(attention::TIMER);
        }
        return;
    }
    // What runs there has not been charged since it started: it would seem to have had nothing.
    charge_owner(kernel, cpu, clock::tsc());
    enqueue(kernel, cpu, thread, false);
}

/// Puts a ready thread in a CPU's queue, and tells the CPU where that matters.
fn enqueue(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, first: bool) {
    insert(kernel, cpu, thread, first);
    match cpu.current.get(kernel) {
        None => notify(kernel, cpu, attention::RESCHEDULE),
        Some(current) => {
            let (rank, running) = (thread.rank.get(), current.rank.get());
            let is_behind = || thread.virtual_time.get() + WAKE_GRANULARITY < running_virtual(kernel, cpu, current);
            if rank > running || rank == 0 && running == 0 && !first && is_behind() {
                notify(kernel, cpu, attention::RESCHEDULE);
            } else {
                // A slice has an end only while somebody waits for it.
                notify(kernel, cpu, attention::TIMER);
            }
        }
    }
}

/// Asks a CPU to look up, by an interrupt where it is another one.
pub fn notify(kernel: &Kernel, cpu: &Cpu, what: u32) {
    let had = cpu.attention.get();
    cpu.ask(what);
    if had & what == 0 && !core::ptr::eq(cpu, kernel.this_cpu()) {
        arch::apic::kick(cpu.index() as usize);
    }
}

/// The CPU for a thread that becomes ready: the one it ran on, unless another is idle.
fn choose_cpu<'k>(kernel: &'k Kernel, thread: &Thread) -> &'k Cpu {
    let affinity = thread.affinity.get();
    let allowed = |cpu: &Cpu| cpu.online.get() && affinity >> cpu.index() & 1 != 0;
    let free = |cpu: &Cpu| cpu.is_idle() && cpu.queue.is_empty() && !cpu.handoff.is_some();
    let here = kernel.this_cpu();
    let last = kernel.cpu(thread.cpu.get());
    if kernel.cpus.get().len() == 1 {
        return here;
    }
    let mut cpus = [last, here].into_iter().chain(kernel.cpus.get()).filter(|cpu| allowed(cpu));
    let first = cpus.next().unwrap_or(here);
    if free(first) { first } else { cpus.find(|cpu| free(cpu)).unwrap_or(first) }
}

/// Takes a ready thread out of whatever queue it is in.
pub fn dequeue(kernel: &Kernel, thread: &Object<Thread>) {
    let cpu = kernel.cpu(thread.cpu.get());
    if cpu.handoff.holds(thread) {
        cpu.handoff.set(None);
    } else {
        cpu.queue.remove(thread);
    }
}

/// Changes the rank at which a thread is scheduled.
pub fn set_rank(kernel: &Kernel, thread: &Object<Thread>, rank: u8) {
    let old = thread.rank.get();
    if old == rank {
        return;
    }
    let cpu = kernel.cpu(thread.cpu.get());
    match thread.state.get() {
        State::Ready if !cpu.handoff.holds(thread) => {
            cpu.queue.remove(thread);
            thread.rank.set(rank);
            enqueue(kernel, cpu, thread, false);
        }
        State::Queued => {
            let channel = thread.channel.get(kernel).expect("a queued caller has a channel");
            channel.dequeue(thread);
            thread.rank.set(rank);
            channel.enqueue(thread);
        }
        State::Running => {
            thread.rank.set(rank);
            if cpu.queue.has_above(rank) {
                notify(kernel, cpu, attention::RESCHEDULE);
            }
        }
        _ => thread.rank.set(rank),
    }
}

/// Puts the running thread back among the ready ones: the slice is over, it yields, or a higher rank is ready.
fn put_back(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, now: u64) {
    charge_owner(kernel, cpu, clock::tsc());
    let is_over = now >= cpu.slice_end.get() && thread.takes_turns();
    if is_over {
        // It goes on by its own rank, or its best caller's.
        inherit::renew(kernel, thread);
    }
    take_off_cpu(cpu, thread, State::Ready);
    if let Some(buddy) = cpu.queue.buddy.take() {
        // The slice is over: it waits for its turn as others do.
        insert(kernel, cpu, buddy.get(kernel), false);
    }
    // Where no other fair thread waits, one that a higher rank preempts goes on behind that, on the same slice.
    let goes_on = !is_over && thread.rank.get() == 0 && cpu.queue.least_virtual(kernel).is_none();
    if !goes_on || !cpu.queue.try_buddy(thread) {
        insert(kernel, cpu, thread, !is_over);
    }
}

/// The running thread lets others of its rank run.
pub fn yield_now(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) {
    if !cpu.queue.has_equal_or_above(thread.rank.get()) {
        return;
    }
    charge_owner(kernel, cpu, clock::tsc());
    if thread.rank.get() == 0 {
        place(kernel, cpu, thread);
        // Behind the first of the others.
        let least = cpu.queue.least_virtual(kernel).map_or(0, |least| least + 1);
        thread.virtual_time.set(thread.virtual_time.get().max(least));
    }
    take_off_cpu(cpu, thread, State::Ready);
    cpu.queue.insert(thread, false);
}

/// Decides what runs when the kernel is left, and makes it so. Returns false when nothing does.
pub fn settle(kernel: &Kernel, cpu: &Cpu) -> bool {
    if cpu.attention.get() == 0 && !cpu.handoff.is_some() {
        if cpu.current.is_some() {
            return true;
        }
        // The common case of a thread that waits: the one that it woke goes on, on the same slice.
        if let Some(buddy) = take_buddy(kernel, cpu, clock::tsc()) {
            run(kernel, cpu, buddy);
            return true;
        }
    }
    settle_all(kernel, cpu)
}

/// Takes the thread that the running one has woken, which goes on on the same slice: but the head of its own chain pays from now on.
pub fn take_buddy(kernel: &Kernel, cpu: &Cpu, now: u64) -> Option<Ref<Thread>> {
    // Where others wait the end of its slice has to be set.
    let is_bound = cpu.armed.get() <= cpu.slice_end.get() || cpu.queue.least_virtual(kernel).is_none();
    let buddy = is_bound.then(|| cpu.queue.take_buddy())??;
    pay(kernel, cpu, buddy.get(kernel), now);
    Some(buddy)
}

/// The head of a thread's chain pays for what this CPU runs from now on: a server that takes the next call works for another.
pub fn pay(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, now: u64) {
    let head = thread.chain_head(kernel);
    if !cpu.owner.holds(head) {
        charge_owner(kernel, cpu, now);
        cpu.owner.set(Some(head.to_ref()));
    }
}

#[inline(never)]
fn settle_all(kernel: &Kernel, cpu: &Cpu) -> bool {
    let asked = cpu.attention.replace(0);
    if let Some(current) = cpu.current.get(kernel) {
        if asked & attention::STOP != 0 && !current.process.is_running() {
            take_off_cpu(cpu, current, State::Ended);
            crate::death::progress(kernel, current.process.get(kernel));
        } else if asked & attention::MOVE != 0 && current.affinity.get() >> cpu.index() & 1 == 0 {
            take_off_cpu(cpu, current, State::Ready);
            make_ready(kernel, current);
        } else if asked & attention::RESCHEDULE != 0 {
            preempt(kernel, cpu, current);
        }
    }
    if asked & attention::LEAVE != 0
        && cpu.loaded.get(kernel).is_some_and(|process| process.is_dead())
        && !cpu.current.is_some()
    {
        kernel.load_kernel_space(cpu);
    }
    if let (Some(handoff), true) = (cpu.handoff.get(kernel), cpu.current.is_some()) {
        cpu.handoff.set(None);
        enqueue(kernel, cpu, handoff, true);
        if let Some(current) = cpu.current.get(kernel)
            && cpu.queue.has_above(current.rank.get())
        {
            preempt(kernel, cpu, current);
        }
    }
    let switches = !cpu.current.is_some();
    if switches {
        let Some(next) = next(kernel, cpu) else {
            timer::arm(kernel, cpu);
            return false;
        };
        run(kernel, cpu, next);
    }
    if switches || asked != 0 || kernel.has_work() {
        cpu.attention.set(cpu.attention.get() & !attention::TIMER);
        timer::arm(kernel, cpu);
    }
    true
}

/// Puts the running thread back if another should run.
fn preempt(kernel: &Kernel, cpu: &Cpu, current: &Object<Thread>) {
    let now = clock::now();
    let rank = current.rank.get();
    let slice_over = now >= cpu.slice_end.get() && current.takes_turns() && cpu.queue.has_equal_or_above(rank);
    let is_behind = || {
        charge_owner(kernel, cpu, clock::tsc());
        let least = cpu.queue.least_virtual(kernel).filter(|_| rank == 0);
        least.is_some_and(|least| least + WAKE_GRANULARITY < running_virtual(kernel, cpu, current))
    };
    if cpu.queue.has_above(rank) || slice_over || is_behind() {
        put_back(kernel, cpu, current, now);
    } else if now >= cpu.slice_end.get() {
        cpu.slice_end.set(now + SLICE);
    }
}

/// Until which time-stamp count a CPU that becomes idle stays awake: to end a halt costs more than what it waits for, where a disk answers.
pub fn awake_until(cpu: &Cpu) -> u64 {
    let idle = cpu.idle_time.get();
    let last = idle - cpu.idle_before.replace(idle);
    if last < AWAKE { clock::tsc() + AWAKE } else { 0 }
}

/// Takes the thread that should run next: the one that was handed the CPU, the best ready one, or one of another CPU.
fn next(kernel: &Kernel, cpu: &Cpu) -> Option<Ref<Thread>> {
    if let Some(handoff) = cpu.handoff.take() {
        if !cpu.queue.has_above(handoff.rank.get()) {
            return Some(handoff);
        }
        insert(kernel, cpu, handoff.get(kernel), true);
    }
    charge_owner(kernel, cpu, clock::tsc());
    if let Some(buddy) = cpu.queue.take_buddy() {
        cpu.owner.set(Some(buddy.get(kernel).chain_head(kernel).to_ref()));
        return Some(buddy);
    }
    let best = cpu.queue.best(kernel).map(Object::to_ref);
    if let Some(best) = &best {
        cpu.queue.remove(best);
    }
    let Some(thread) = best.or_else(|| steal(kernel, cpu)) else {
        // Nobody pays for idling.
        cpu.owner.set(None);
        return None;
    };
    cpu.slice_end.set(clock::now() + SLICE);
    cpu.owner.set(Some(thread.get(kernel).chain_head(kernel).to_ref()));
    Some(thread)
}

/// Forgets a thread that has ended: no CPU's slice is charged to it any more.
pub fn forget(kernel: &Kernel, thread: &Object<Thread>) {
    for cpu in kernel.cpus.get().iter().filter(|cpu| cpu.owner.holds(thread)) {
        cpu.owner.set(None);
    }
}

/// Takes a ready thread of another CPU.
fn steal(kernel: &Kernel, cpu: &Cpu) -> Option<Ref<Thread>> {
    let others = kernel.cpus.get().iter().filter(|other| !core::ptr::eq(*other, cpu) && !other.queue.is_empty());
    let (victim, thread) = others
        .filter_map(|other| Some((other, other.queue.best_for(kernel, cpu.index())?)))
        .max_by_key(|(other, _)| other.queue.len())?;
    let thread = thread.to_ref();
    victim.queue.remove(thread.get(kernel));
    place(kernel, cpu, thread.get(kernel));
    cpu.stolen.set(cpu.stolen.get() + 1);
    Some(thread)
}

/// Runs a thread on this CPU.
fn run(kernel: &Kernel, cpu: &Cpu, thread: Ref<Thread>) {
    let now = clock::tsc();
    let idle = now.saturating_sub(cpu.counted_until.replace(now));
    cpu.idle_time.set(cpu.idle_time.get() + idle);
    cpu.switches.set(cpu.switches.get() + 1);
    thread.state.set(State::Running);
    thread.cpu.set(cpu.index());
    let process = thread.process.get(kernel);
    if process.is_init.get() {
        crate::boot::init_runs(kernel);
    }
    load_space(kernel, cpu, process);
    arch::switch(&cpu.arch, &thread.context);
    cpu.current.set(Some(thread));
}

/// Loads a process's address space on this CPU.
#[inline(always)]
pub fn load_space(kernel: &Kernel, cpu: &Cpu, process: &Object<Process>) {
    if !cpu.loaded.names(process) {
        let bit = cpu.bit();
        if let Some(from) = cpu.loaded.get(kernel) {
            from.space.loaded.set(from.space.loaded.get() & !bit);
        }
        process.space.loaded.set(process.space.loaded.get() | bit);
        // SAFETY: the process lives, as a thread of it is to run. A flush that other CPUs wait for is done by this, but acknowledged only
        // when the interrupt comes that asks for it.
        unsafe { arch::load_space(process.space.root.get()) };
        // SAFETY: a process ends for good only after every CPU has left its address space (`Kernel::leave_space`).
        unsafe { cpu.loaded.set(process) };
    }
}

/// Sets a thread's own parameters.
pub fn set_parameters(kernel: &Kernel, thread: &Object<Thread>, parameters: Parameters) {
    let cpu = kernel.cpu(thread.cpu.get());
    if cpu.owner.holds(thread) {
        charge_owner(kernel, cpu, clock::tsc());
    }
    thread.parameters.set(parameters);
    inherit::renew(kernel, thread);
    if thread.state.get() == State::Running {
        // Whether it takes turns may have changed.
        notify(kernel, cpu, attention::TIMER);
    }
}

/// Sets the CPUs on which a thread may run; one that runs or waits elsewhere moves.
pub fn set_affinity(kernel: &Kernel, thread: &Object<Thread>, set: u64) {
    thread.affinity.set(set);
    if set >> thread.cpu.get() & 1 != 0 {
        return;
    }
    match thread.state.get() {
        State::Ready => {
            dequeue(kernel, thread);
            make_ready(kernel, thread);
        }
        State::Running => notify(kernel, kernel.cpu(thread.cpu.get()), attention::MOVE),
        _ => {}
    }
}

/// Lets a thread, which is off its CPU, wait until no CPU has stale translations.
pub fn wait_for_flush(kernel: &Kernel, thread: &Object<Thread>, ticket: Ticket) {
    thread.state.set(State::Flushing);
    kernel.flushing.insert(thread.to_ref(), ticket.0);
}

/// Wakes threads whose translations are flushed everywhere: a bounded number.
pub fn wake_flushed(kernel: &Kernel) {
    if !kernel.flushing.is_empty() {
        wake_some_flushed(kernel);
    }
}

#[cold]
fn wake_some_flushed(kernel: &Kernel) {
    for _ in 0..WAKE_BATCH {
        let first = kernel.flushing.first(kernel);
        let Some(thread) = first.filter(|first| kernel.shootdown.requests.is_done(Ticket(first.fair.key.get()))) else {
            return;
        };
        kernel.flushing.remove(thread);
        if thread.is_exiting.get() {
            thread.state.set(State::Ended);
            crate::death::thread_ended(kernel, thread);
        } else {
            make_ready(kernel, thread);
        }
    }
}
