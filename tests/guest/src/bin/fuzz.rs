//! `fuzz CALLS SEED [THREADS]`: random system calls, and what is left of the system after them.
//!
//! Workers, one a CPU, run one after the other in processes with small accounts. Each makes a batch of calls with arguments that mostly make
//! sense, until it is through or has ended itself, which is as good; then the next takes its place. The same seed gives the
//! same arguments; what the other workers do meanwhile is not repeated. A worker that waits for ever is cancelled, and killed when
//! that does not help.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use abi::memory::Protection;
use abi::process::ProcessState;
use abi::{Class, ExitReason, Handle, Header, MessagePage, Rights, Syscall};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use guest::counts::{Counts, cpus};
use guest::process::{self, Server, reason};
use guest::random::Random;
use guest::system::system;
use guest::test::{Failure, Outcome};
use guest::{puppet, raw, say};
use libsys::message::CallPage;
use libsys::program::Child;
use libsys::time::{Instant, deadline_after};
use libsys::{Account, Channel, ExitStatus, Limits, Memory, Object, Process, WritableMapping, env, sys};

guest::main!(run);

/// Calls of one process.
const BATCH: u64 = 100_000;
/// Calls before the system is looked at first.
const WARM_UP: u64 = 20_000;
/// What a process may use.
const LIMITS: Limits = Limits { frames: 600, handles: 200, threads: 6, sessions: 24, processes: 4 };
/// How long a process may make no call before it is cancelled, and before it is killed.
const IDLE: Duration = Duration::from_millis(20);
const STUCK: Duration = Duration::from_millis(500);
/// Reasons for which processes end.
const REASONS: usize = 14;
/// How often it is said how far it is.
const NEWS: u64 = 10_000_000;

fn run(arguments: &[String]) -> ExitStatus {
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok());
    let (Some(calls), Some(seed)) = (number(0), number(1)) else {
        say!("usage: fuzz CALLS SEED");
        return ExitStatus::FAILURE;
    };
    say!("seed {seed}");
    match fuzz(calls, seed) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(failure) => {
            say!("FAIL: {failure:?}");
            ExitStatus::FAILURE
        }
    }
}

/// A place for one process after the other.
struct Worker {
    /// Counts calls, while its process makes them.
    counter: Memory,
    mapping: WritableMapping,
    /// Calls that were made before this process.
    before: u64,
    child: Option<Child>,
    /// What the counter stood at when it was looked at last, and since when.
    seen: (u64, Instant),
    /// How often it had to be helped.
    cancelled: u64,
    killed: u64,
    /// How often its processes ended for each reason.
    ends: [u64; REASONS],
}

/// What all of them share.
struct Shared {
    server: Server,
    session: libsys::Session,
    lent: Memory,
    sealed: Memory,
    /// A process that nobody but they may start, with its account.
    passive: (Process, Account),
}

/// A process that runs goes on without handles: this one does not.
impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.passive.1.revoke();
    }
}

fn fuzz(calls: u64, seed: u64) -> Outcome {
    // Once before counting: what the program itself needs is there then.
    round(WARM_UP, seed, cpus())?;
    let before = Counts::settled()?;
    let start = Instant::now();
    let Done { calls, processes, cancelled, killed, ends } = round(calls, seed, cpus())?;
    let seconds = start.elapsed().as_millis() as u64;
    say!(
        "{calls} calls of {processes} processes in {}.{:03} s; {cancelled} cancelled, {killed} killed",
        seconds / 1000,
        seconds % 1000
    );
    for (number, count) in ends.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        say!("{count} {}", ExitReason::from_number(number as u32).text());
    }
    before.wait_until_back()?;
    say!("nothing lost");
    Ok(())
}

/// What was done.
struct Done {
    calls: u64,
    processes: u64,
    cancelled: u64,
    killed: u64,
    ends: [u64; REASONS],
}

/// Makes at least so many calls.
fn round(calls: u64, seed: u64, workers: u64) -> Outcome<Done> {
    let account = system().account;
    let server = puppet::start()?;
    let session = server.session(5)?;
    let lent = Memory::create(account, 4 * 4096)?;
    let sealed = Memory::create(account, 2 * 4096)?;
    sealed.map_writable()?.copy_in(0, &[0xc3; 8192]);
    sealed.seal()?;
    let passive_account = account.split(LIMITS)?;
    let passive = Process::create(&passive_account, "passive")?;
    let mut shared = Shared { server, session, lent, sealed, passive: (passive, passive_account) };
    let mut workers: Vec<Worker> = (0..workers).map(|_| worker()).collect::<Result<_, _>>()?;
    let news = Channel::create(account)?;
    let (mut deaths, mut said) = (0, 0);
    let mut seeds = Random::new(seed);
    loop {
        let done: u64 = workers.iter().map(Worker::calls).sum();
        if done / NEWS > said {
            said = done / NEWS;
            say!("{done} calls, {deaths} processes");
        }
        let is_over = done >= calls;
        for (index, worker) in workers.iter_mut().enumerate() {
            if worker.child.is_none() {
                if is_over {
                    continue;
                }
                worker.start(&shared, &news, seeds.number(), calls.min(BATCH), index as u64)?;
                deaths += 1;
            }
            worker.watch(is_over)?;
        }
        shared.revive()?;
        if is_over && workers.iter().all(|worker| worker.child.is_none()) {
            let (cancelled, killed) =
                workers.iter().fold((0, 0), |sum, worker| (sum.0 + worker.cancelled, sum.1 + worker.killed));
            let ends = core::array::from_fn(|index| workers.iter().map(|worker| worker.ends[index]).sum());
            return Ok(Done { calls: done, processes: deaths, cancelled, killed, ends });
        }
        // A death, or time to look whether somebody is stuck.
        let _ = news.receive(Some(deadline_after(IDLE)));
    }
}

fn worker() -> Outcome<Worker> {
    let counter = Memory::create(system().account, 4096)?;
    let mapping = counter.map_writable()?;
    Ok(Worker {
        counter,
        mapping,
        before: 0,
        child: None,
        seen: (0, Instant::now()),
        cancelled: 0,
        killed: 0,
        ends: [0; REASONS],
    })
}

impl Shared {
    /// Has the server started again if they killed it. (They cannot: but its clients may have it crash.)
    fn revive(&mut self) -> Outcome {
        let record = self.server.process.exit_record()?;
        if record.state == ProcessState::Dead as u32 {
            self.server.restart()?;
        }
        let record = self.passive.0.exit_record()?;
        if record.state == ProcessState::Dead as u32 {
            self.passive.0.reset(None)?;
        }
        Ok(())
    }
}

impl Worker {
    fn counted(&self) -> u64 {
        self.mapping.load_u64(0, Relaxed)
    }

    fn calls(&self) -> u64 {
        self.before + self.counted()
    }

    fn start(&mut self, shared: &Shared, news: &Channel, seed: u64, calls: u64, cpu: u64) -> Outcome {
        self.before += self.counted();
        self.mapping.word_u64(0).store(0, Relaxed);
        let every = Rights::all();
        let read = Rights::DUPLICATE | Rights::READ | Rights::INSPECT;
        let launch = process::launch("fuzzer", make_calls)
            .limits(LIMITS)
            .parameter("seed", seed.to_string())
            .parameter("calls", calls.to_string())
            .grant("counter", &self.counter, Rights::READ | Rights::WRITE)
            .grant("session", &shared.session, every)
            .grant("lent", &shared.lent, every)
            .grant("read", &shared.lent, read)
            .grant("sealed", &shared.sealed, every)
            .grant("passive", &shared.passive.0, every)
            .grant("server", &shared.server.process, Rights::INSPECT | Rights::DUPLICATE)
            .grant_signal("news", news, 2)
            .affinity(1 << cpu)
            .watch(news, 1);
        self.child = Some(launch.spawn(system().account)?);
        self.seen = (0, Instant::now());
        Ok(())
    }

    /// Takes note of the end of its process, and helps one that is stuck.
    fn watch(&mut self, is_over: bool) -> Outcome {
        let Some(child) = &self.child else { return Ok(()) };
        let record = child.process.exit_record()?;
        if [ProcessState::Draining as u32, ProcessState::Dead as u32].contains(&record.state) {
            // A random call may end it as if it had panicked: then it has left no message.
            let message = libsys::panic::message_of(&child.process, record.code).unwrap_or_default();
            if reason(&record) == ExitReason::Panic && message.contains("panicked") {
                return Err(Failure::new(alloc::format!("the fuzzer: {message}")));
            }
            self.ends[record.reason as usize % REASONS] += 1;
            // All that it made and nobody else has ends with its account.
            child.account.revoke()?;
            self.child = None;
            return Ok(());
        }
        let now = Instant::now();
        let counted = self.counted();
        if counted != self.seen.0 {
            self.seen = (counted, now);
        } else if now - self.seen.1 > STUCK || is_over && now - self.seen.1 > IDLE * 4 {
            self.killed += 1;
            child.process.kill(ExitReason::Hung, 0)?;
        } else if now - self.seen.1 > IDLE {
            self.cancelled += 1;
            let _ = child.thread.cancel();
        }
        Ok(())
    }
}

/// What a thread of a worker has to choose from.
struct Fuzzer {
    random: Random,
    handles: [u64; 48],
    next: usize,
    addresses: [u64; 16],
    next_address: usize,
    pages: *mut MessagePage,
    now: u64,
}

/// Where workers map things: far from what they are made of.
const PLACE: u64 = 0x30_0000_0000;

fn make_calls() -> u64 {
    let parameter = |name: &str| env::parameter(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let Ok(counter) = env::get().take::<Memory>("counter") else { return 1 };
    let Ok(counter) = sys::memory_map(Handle::NONE, counter.handle(), 0, 0, 4096, Protection::READ | Protection::WRITE)
    else {
        return 2;
    };
    // SAFETY: mapped for good, unless this process undoes that itself: then it ends.
    let counter =
        unsafe { core::sync::atomic::AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(counter as usize)) };
    let page = CallPage::take();
    let pages = (page.payload().as_ptr() as usize & !4095) as u64;
    drop(page);
    let mut fuzzer = Fuzzer {
        random: Random::new(parameter("seed")),
        handles: [0; 48],
        next: 0,
        addresses: [PLACE; 16],
        next_address: 0,
        pages: ptr::with_exposed_provenance_mut(pages as usize),
        now: 0,
    };
    fuzzer.look_around();
    let calls = parameter("calls");
    for count in 0..calls {
        if count % 64 == 0 {
            fuzzer.now = libsys::time::now();
        }
        fuzzer.step();
        counter.fetch_add(1, Relaxed);
    }
    0
}

impl Fuzzer {
    /// Finds out what handles there are.
    fn look_around(&mut self) {
        for slot in 1..24 {
            let handle = Handle::new(slot, 1).0;
            if raw::call(Syscall::HandleInspect, [handle]).error().is_none() {
                self.keep(handle);
            }
        }
        let account = env::account().handle().0;
        if let Ok(channel) = raw::call(Syscall::ChannelCreate, [account]).handle() {
            self.keep(channel.0);
            if let Ok(session) = raw::call(Syscall::SessionMint, [channel.0, 9, account]).handle() {
                self.keep(session.0);
            }
        }
    }

    /// Remembers a handle, mostly in place of one that was made here.
    fn keep(&mut self, handle: u64) {
        self.handles[self.next] = handle;
        self.next = if self.next + 1 == self.handles.len() { 20 } else { self.next + 1 };
    }

    fn handle(&mut self) -> u64 {
        match self.random.below(32) {
            0 => 0,
            1 => Handle::new(self.random.below(256) as u32, self.random.below(40) as u32).0,
            2 => self.random.number(),
            _ => *self.random.pick(&self.handles),
        }
    }

    fn address(&mut self) -> u64 {
        match self.random.below(24) {
            0 => 0,
            1 => self.random.number(),
            2 => 0xffff_8000_0000_0000 | self.random.number(),
            3 => PLACE + self.random.below(1 << 20),
            4 => self.random.below(1 << 48) & !4095,
            5..12 => PLACE + self.random.below(64) * 4096,
            // Now and then what it is made of: its code, its stack.
            12 if self.random.one_in(40) => make_calls as fn() -> u64 as usize as u64 & !4095,
            12 if self.random.one_in(40) => self.pages as u64,
            12 if self.random.one_in(40) => ptr::from_ref(self) as u64 & !4095,
            _ => *self.random.pick(&self.addresses),
        }
    }

    fn size(&mut self) -> u64 {
        match self.random.below(12) {
            0 => 0,
            1 => self.random.number(),
            2 => self.random.below(5000),
            3 => self.random.below(600) * 4096,
            _ => self.random.below(8) * 4096,
        }
    }

    fn small(&mut self) -> u64 {
        match self.random.below(10) {
            0 => self.random.number(),
            1 => u64::MAX >> self.random.below(64),
            2 => 1 << self.random.below(64),
            _ => self.random.below(16),
        }
    }

    fn bits(&mut self) -> u64 {
        if self.random.one_in(4) { u64::MAX } else { 1 << self.random.below(64) }
    }

    /// Writes into the message pages what the next call finds there.
    fn mutate(&mut self) {
        let page = self.pages.wrapping_add(self.random.below(2) as usize);
        let soon = self.now + self.random.below(50_000);
        let deadline = if self.random.one_in(50_000) { u64::MAX } else { soon };
        let handles = core::array::from_fn(|_| Handle(self.handle()));
        let (lane, sequence) = (self.small(), self.small());
        let (at, word) = (self.random.below(abi::PAYLOAD_BYTES as u64) as usize & !7, self.random.number());
        // SAFETY: the thread's own pages, to which no reference lives; where the process has unmapped them, it ends.
        unsafe {
            (&raw mut (*page).handles).write_volatile(handles);
            (&raw mut (*page).deadline).write_volatile(deadline);
            (&raw mut (*page).lane).write_volatile(lane);
            (&raw mut (*page).sequence).write_volatile(sequence);
            (&raw mut (*page).payload).cast::<u8>().add(at).cast::<u64>().write_volatile(word);
        }
    }

    /// Both pages have a deadline that is not far: who waits does not wait for long.
    fn set_deadlines(&mut self) {
        // Mostly over already.
        let deadline = if self.random.one_in(32) { self.now + self.random.below(50_000) } else { self.now };
        for page in [self.pages, self.pages.wrapping_add(1)] {
            // SAFETY: as in `mutate`.
            unsafe { (&raw mut (*page).deadline).write_volatile(deadline) };
        }
    }

    fn header(&mut self) -> u64 {
        if self.random.one_in(60) {
            return self.random.number() | Header::default().with_deadline().0;
        }
        let methods = [
            puppet::ECHO,
            puppet::ABOUT,
            puppet::GIVE,
            puppet::MINT,
            puppet::STATUS,
            puppet::TWICE,
            puppet::ABANDON,
            puppet::RECEIVE,
            puppet::PARK,
            puppet::KEEP,
            puppet::RESUME,
        ];
        // Rarely what takes a server long.
        let method = if self.random.one_in(10_000) { puppet::CRASH } else { *self.random.pick(&methods) };
        let class = *self.random.pick(&[Class::Fail, Class::Replay, Class::Once]);
        let bytes = if self.random.one_in(3) { self.random.below(abi::PAYLOAD_BYTES as u64 + 1) as usize } else { 0 };
        let handles = if self.random.one_in(4) { self.random.below(5) as usize } else { 0 };
        let room = if self.random.one_in(4) { self.random.below(5) as usize } else { 0 };
        Header::words(method, class)
            .with_payload(bytes)
            .with_handles(handles)
            .with_reply_handles(room)
            .with_deadline()
            .0
    }

    /// Arguments for a system call.
    fn arguments(&mut self, call: Syscall) -> [u64; 10] {
        let mut a = [0; 10];
        match call {
            Syscall::Call | Syscall::ReplyReceive | Syscall::Receive | Syscall::Reply | Syscall::CallReply => {
                a = core::array::from_fn(|_| self.small());
                a[0] = self.handle();
                a[1] = self.header();
                a[2] = self.random.below(4);
                if self.random.one_in(4) {
                    self.mutate();
                }
                self.set_deadlines();
            }
            Syscall::MemoryCreate => a[..3].copy_from_slice(&[self.handle(), self.size(), self.random.below(3)]),
            Syscall::MemoryMap => {
                let protection = if self.random.one_in(8) { self.small() } else { *self.random.pick(&[1, 3, 5]) };
                let process = if self.random.one_in(3) { self.handle() } else { 0 };
                let offset = if self.random.one_in(3) { self.size() } else { 0 };
                a[..6].copy_from_slice(&[process, self.handle(), self.address(), offset, self.size(), protection]);
            }
            Syscall::MemoryUnmap => a[..2].copy_from_slice(&[0, self.address()]),
            Syscall::MemoryProtect => a[..3].copy_from_slice(&[0, self.address(), self.small()]),
            Syscall::ThreadCreate => {
                let process = if self.random.one_in(2) { self.handle() } else { 0 };
                let entry = if self.random.one_in(8) {
                    self.address()
                } else {
                    short_thread as unsafe extern "C" fn() as usize as u64
                };
                a[..7].copy_from_slice(&[
                    process,
                    entry,
                    self.address(),
                    self.handle(),
                    self.address() & !4095,
                    self.address(),
                    self.handle(),
                ]);
            }
            Syscall::HandleDuplicate => {
                a[..3].copy_from_slice(&[self.handle(), self.random.below(1 << 11), self.bits()])
            }
            Syscall::HandleGrant => {
                a[..5].copy_from_slice(&[
                    self.handle(),
                    self.handle(),
                    self.random.below(1 << 11),
                    self.bits(),
                    self.random.below(2),
                ]);
            }
            Syscall::HandleClose => {
                // Its first handles would be gone too soon.
                a[0] = if self.random.one_in(200) {
                    self.handle()
                } else {
                    self.handles[20 + self.random.below(28) as usize]
                };
            }
            Syscall::AccountSplit => {
                a = core::array::from_fn(|_| if self.random.one_in(6) { self.small() } else { self.random.below(40) });
                a[0] = self.handle();
            }
            Syscall::ProcessKill => {
                // Mostly others: the own end comes soon enough.
                let made = self.handles[20 + self.random.below(28) as usize];
                let process = if made == 0 || self.random.one_in(200) { self.handle() } else { made };
                let process = if process == 0 && !self.random.one_in(100) { u64::MAX } else { process };
                a[..3].copy_from_slice(&[process, self.random.below(16), self.small()]);
            }
            Syscall::ThreadExit => {
                a[0] = if self.random.one_in(2000) { 0 } else { self.random.number() };
            }
            Syscall::ThreadAffinity => a[..2].copy_from_slice(&[0, u64::MAX]),
            _ => {
                for argument in &mut a {
                    *argument = match self.random.below(8) {
                        0..=3 => self.handle(),
                        4 => self.address(),
                        5 => self.size(),
                        6 => self.bits(),
                        _ => self.small(),
                    };
                }
                if !self.random.one_in(8) {
                    a[0] = self.handle();
                }
            }
        }
        a
    }

    fn step(&mut self) {
        let call = *self.random.pick(Syscall::ALL);
        if call == Syscall::AccountRevoke && !self.random.one_in(500) {
            return;
        }
        let arguments = self.arguments(call);
        let number = if self.random.one_in(1000) { self.random.number() } else { call as u64 };
        let answer = raw::number(number, arguments);
        if answer.error().is_some() {
            return;
        }
        match call {
            Syscall::MemoryMap => {
                self.addresses[self.next_address % 16] = answer.results[0];
                self.next_address += 1;
            }
            Syscall::ChannelCreate
            | Syscall::SessionMint
            | Syscall::HandleDuplicate
            | Syscall::CallKeep
            | Syscall::AccountSplit
            | Syscall::ProcessCreate
            | Syscall::ThreadCreate
            | Syscall::MemoryCreate => {
                // What is in the way is closed, so that the account has room for more.
                let place = self.next;
                if place >= 20 {
                    raw::call(Syscall::HandleClose, [self.handles[place]]);
                }
                self.keep(answer.results[0]);
            }
            _ => {}
        }
    }
}

/// A thread without a stack, that asks who it is, tries to receive on what it was given, and ends.
#[unsafe(naked)]
unsafe extern "C" fn short_thread() {
    core::arch::naked_asm!(
        "mov rbx, rdi",
        "mov eax, {identify}",
        "syscall",
        "mov rdi, rbx",
        "mov eax, {receive}",
        "mov esi, {deadline}",
        "syscall",
        "mov eax, {exit}",
        "xor edi, edi",
        "xor esi, esi",
        "syscall",
        "ud2",
        identify = const Syscall::Identify as u64,
        receive = const Syscall::Receive as u64,
        exit = const Syscall::ThreadExit as u64,
        deadline = const Header::words(0, Class::Fail).with_deadline().0,
    )
}
