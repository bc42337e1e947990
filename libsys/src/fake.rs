//! A kernel for the host: enough of Skink's behind the same system calls for protocols, services, locks and drivers to be
//! tested with `cargo test`.
//!
//! A [`FakeProcess`] has a handle table, an account and incarnations; its threads are threads of the host that
//! [`FakeProcess::run`] or [`FakeProcess::spawn`] brought in, or [`crate::thread::spawn`] started. A host thread that was brought in by nobody
//! gets a process of its own at its first system call. Calls, sessions, kept calls, signals, deadlines, closes, deaths
//! and replays follow `docs/states.md`.
//!
//! What it leaves out: scheduling and priorities; protection of mapped memory (a mapping is the object's host memory
//! itself); charges of handles and page tables; a downtime does not lengthen deadlines, they just do not expire in it. A
//! killed process's thread ends at its next system call, by unwinding.

mod calls;
mod death;
mod device;
mod kernel;
mod memory;
mod objects;
mod table;

use crate::env::{Env, Startup, names};
use abi::{Error, ExitReason, ExitRecord, Handle, Rights, Syscall};
use kernel::{Held, Kernel};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{LazyLock, Mutex, MutexGuard};

pub use device::{FakeInterrupt, PortDevice, dma_buffer, dma_domain, interrupt, ports};
pub use memory::FakeMapping;

/// Which process and thread a host thread is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) process: u64,
    pub(crate) incarnation: u64,
    pub(crate) thread: u64,
}

std::thread_local! {
    static WHO: Cell<Option<Who>> = const { Cell::new(None) };
}

/// Unwinds a thread whose process has ended.
struct Ended;

/// The calling thread's identity; a stranger gets a process of its own.
pub(crate) fn who() -> Who {
    WHO.get().unwrap_or_else(|| {
        let process = FakeProcess::new();
        let who = Kernel::lock().new_thread(process.number);
        WHO.set(Some(who));
        who
    })
}

/// Enters the fake kernel with the argument registers, which it leaves as results. Returns the status.
pub(crate) fn enter(call: Syscall, registers: &mut [u64; 10]) -> u64 {
    let who = who();
    let mut state = Kernel::lock();
    if !state.lives(who) {
        return end(state);
    }
    if state.burns_down(who.process) {
        state.kill(who.process, ExitReason::Killed, 0, None);
        return end(state);
    }
    if state.refuses(who.process, call) {
        return Error::AccountExhausted as u64;
    }
    match calls::system_call(&mut state, who, call, registers) {
        Ok(status) if state.lives(who) => status,
        Ok(_) => end(state),
        Err(error) => error as u64,
    }
}

/// Ends a thread of a process that is dead. A thread that unwinds already gets an error, as its drops enter here too.
fn end(state: Held) -> u64 {
    drop(state);
    if std::thread::panicking() {
        return Error::Stale as u64;
    }
    resume_unwind(std::boxed::Box::new(Ended))
}

/// Runs `body` as a new thread of a process on this host thread, and ends the process if it panics.
pub(crate) fn as_thread<R>(process: u64, body: impl FnOnce() -> R) -> Option<R> {
    let who = Kernel::lock().new_thread(process);
    let before = WHO.replace(Some(who));
    // What the block knows about the thread belongs to the process that it was in.
    let block = crate::thread::block::current();
    let parking = (block.parking.replace(0), block.pending.replace(0));
    let others = (block.shared.replace(core::ptr::null()), block.lane.replace(0));
    let pages = block.pages_taken.replace(0);
    let is_refused = block.is_refused.replace(false);
    let result = catch_unwind(AssertUnwindSafe(body));
    block.parking.set(parking.0);
    block.pending.set(parking.1);
    block.shared.set(others.0);
    block.lane.set(others.1);
    block.pages_taken.set(pages);
    block.is_refused.set(is_refused);
    WHO.set(before);
    if let Err(payload) = &result
        && !payload.is::<Ended>()
    {
        Kernel::lock().kill(process, ExitReason::Panic, 0, Some(who));
    }
    result.ok()
}

/// A process of the fake kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FakeProcess {
    number: u64,
}

impl FakeProcess {
    /// A process that runs, with an account of its own that is hardly limited.
    #[allow(clippy::new_without_default)]
    pub fn new() -> FakeProcess {
        FakeProcess { number: Kernel::lock().new_process(0, 0) }
    }

    /// The calling thread's process.
    pub fn current() -> FakeProcess {
        FakeProcess { number: who().process }
    }

    /// The process that the system under test made, by the number that its exit record says.
    pub fn with_number(number: u64) -> FakeProcess {
        FakeProcess { number }
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.number
    }

    /// Runs `body` as one of its threads; `None` when the process ended meanwhile, by a panic in `body` or otherwise.
    pub fn run<R>(self, body: impl FnOnce() -> R) -> Option<R> {
        as_thread(self.number, body)
    }

    /// As [`FakeProcess::run`], on a host thread of its own.
    pub fn spawn<R: Send + 'static>(
        self,
        body: impl FnOnce() -> R + Send + 'static,
    ) -> std::thread::JoinHandle<Option<R>> {
        std::thread::spawn(move || self.run(body))
    }

    /// A handle in its table to an object of the calling process.
    pub fn grant(self, object: &impl crate::Object, rights: Rights, keep: bool) -> Handle {
        let who = who();
        Kernel::lock().grant(who.process, self.number, object.handle(), rights, u64::MAX, keep).expect("a grant")
    }

    /// A handle in the calling process's table to an object in its table.
    pub fn take<O: crate::Object>(self, handle: Handle, rights: Rights) -> O {
        let who = who();
        O::from_handle(
            Kernel::lock().grant(self.number, who.process, handle, rights, u64::MAX, false).expect("a grant"),
        )
    }

    /// A handle in the calling process's table to the process itself.
    pub fn object(self) -> crate::Process {
        let who = who();
        crate::Object::from_handle(Kernel::lock().process_handle(who.process, self.number))
    }

    /// A channel that it serves, kept, as init makes them: the handle in its table.
    pub fn new_channel(self) -> Handle {
        Kernel::lock().new_channel(self.number, self.number, true)
    }

    /// Ends the incarnation.
    pub fn kill(self, reason: ExitReason) {
        Kernel::lock().kill(self.number, reason, 0, None);
    }

    /// Ends the incarnation at its system call after this many others, before that does anything; in place of what was said before. `None`: not at all.
    pub fn kill_after(self, calls: Option<u64>) {
        if let Some(process) = Kernel::lock().processes.get_mut(&self.number) {
            process.fuse = calls;
        }
    }

    /// Refuses its next so many system calls that charge an account for an object, whatever room that has; in place of what was said before.
    pub fn refuse_charges(self, calls: u64) {
        if let Some(process) = Kernel::lock().processes.get_mut(&self.number) {
            process.refusals = calls;
        }
    }

    /// Makes the status of its next so many replies a number that means nothing; in place of what was said before.
    pub fn spoil_replies(self, replies: u64) {
        if let Some(process) = Kernel::lock().processes.get_mut(&self.number) {
            process.spoilt = replies;
        }
    }

    /// Makes the first word of its next so many replies this number; in place of what was said before.
    pub fn falsify_replies(self, replies: u64, word: u64) {
        if let Some(process) = Kernel::lock().processes.get_mut(&self.number) {
            process.lies = (replies, word);
        }
    }

    /// Starts the next incarnation of a dead process.
    pub fn restart(self) {
        Kernel::lock().restart(self.number);
    }

    /// What [`crate::env`] says in it, in this and later incarnations; without it, it has an account and itself.
    pub fn set_startup(self, startup: Startup) {
        environments().retain(|(process, _), _| *process != self.number);
        startups().insert(self.number, startup);
    }

    /// How it ended.
    pub fn exit_record(self) -> ExitRecord {
        Kernel::lock().exit_record(self.number)
    }

    /// What is mapped in it, in order of addresses (for tests of what loads programs).
    pub fn mappings(self) -> std::vec::Vec<FakeMapping> {
        Kernel::lock().mappings(self.number)
    }

    /// Lets others read `bytes` at an address of it.
    pub fn set_readable(self, address: u64, bytes: std::vec::Vec<u8>) {
        if let Some(process) = Kernel::lock().processes.get_mut(&self.number) {
            process.readable.insert(address, bytes);
        }
    }

    /// Handles that are open in it.
    pub fn open_handles(self) -> usize {
        Kernel::lock().open_handles(self.number)
    }
}

/// A handle to the calling process's account.
pub fn account() -> crate::Account {
    let who = who();
    crate::Object::from_handle(Kernel::lock().account_handle(who.process))
}

/// A channel that the calling process serves.
pub fn channel() -> crate::Channel {
    let who = who();
    crate::Object::from_handle(Kernel::lock().new_channel(who.process, who.process, false))
}

/// A Resource of inspection in the calling process: it lists processes, by number alone.
pub fn inspection() -> crate::Resource {
    let who = who();
    let mut state = Kernel::lock();
    let object = state.add(kernel::Object::Resource);
    crate::Object::from_handle(state.make(who.process, object, false))
}

fn startups() -> MutexGuard<'static, HashMap<u64, Startup>> {
    static STARTUPS: LazyLock<Mutex<HashMap<u64, Startup>>> = LazyLock::new(Mutex::default);
    STARTUPS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// By process and incarnation.
fn environments() -> MutexGuard<'static, HashMap<(u64, u64), &'static Env>> {
    static ENVIRONMENTS: LazyLock<Mutex<HashMap<(u64, u64), &'static Env>>> = LazyLock::new(Mutex::default);
    ENVIRONMENTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The environment of the calling thread's process.
pub(crate) fn environment() -> &'static Env {
    let who = who();
    let key = (who.process, who.incarnation);
    if let Some(env) = environments().get(&key) {
        return env;
    }
    let mut startup = startups().get(&who.process).cloned().unwrap_or_default();
    let mut give = |name: &str, handle: Handle| {
        if !startup.handles.iter().any(|(known, _)| known == name) {
            startup.handles.push((name.into(), handle.0));
        }
    };
    let mut state = Kernel::lock();
    give(names::ACCOUNT, state.account_handle(who.process));
    give(names::PROCESS, state.process_handle(who.process, who.process));
    drop(state);
    environments().entry(key).or_insert_with(|| std::boxed::Box::leak(std::boxed::Box::new(Env::new(startup))))
}

/// Nanoseconds of the host's monotonic clock since the fake kernel was made.
pub(crate) fn nanoseconds() -> u64 {
    Kernel::nanoseconds()
}

#[cfg(test)]
mod tests;
