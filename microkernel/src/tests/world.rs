//! Processes with threads that make system calls on several CPUs, and the invariants of all that.

use super::machine::Machine;
use crate::arch::{Context, processor};
use crate::cpu::{Cpu, attention};
use crate::ipc::{fast, flight};
use crate::kernel::Kernel;
use crate::object::any::AnyRef;
use crate::object::process::State as ProcessState;
use crate::object::reference::{ObjectType, Type};
use crate::object::thread::State;
use crate::object::{Channel, Object, Process, Ref, Session, Thread};
use crate::{lock, schedule, syscall, timer};
use abi::{Class, Handle, Header, Rights, Syscall, Usage};

/// What [`World::sys`] gives for a thread that waits, or ended.
pub const WAITS: u64 = u64::MAX;

/// Nanoseconds at the start.
pub const START: u64 = 1_000_000_000;

pub struct World {
    pub processes: Vec<Ref<Process>>,
    pub threads: Vec<Ref<Thread>>,
    pub channels: Vec<Ref<Channel>>,
    /// Handles of the supervisor, which is process 0, to the processes and channels; of the servers to their channels.
    pub managed: Vec<u64>,
    pub held: Vec<u64>,
    pub served: Vec<u64>,
    pub cpus: Vec<&'static Cpu>,
    pub now: u64,
    /// Each thread has a CPU of its own.
    pub pinned: bool,
    pub use_fast: bool,
    pub fast_taken: u32,
    pub fast_receives: u32,
    kicks: u64,
    pub machine: Machine,
}

pub fn header(class: Class) -> Header {
    Header::words(7, class)
}

impl World {
    /// A machine with a supervisor that runs.
    pub fn new(cpus: usize, pinned: bool) -> World {
        let machine = Machine::new(8192);
        let all: &'static [Cpu] = Vec::leak((0..cpus).map(|_| Cpu::new()).collect());
        for (index, cpu) in all.iter().enumerate() {
            cpu.arch.install(index);
            cpu.online.set(true);
        }
        machine.kernel.cpus.set(all);
        machine.kernel.enter(&all[0]);
        processor::set_time(START);
        let mut world = World {
            processes: Vec::new(),
            threads: Vec::new(),
            channels: Vec::new(),
            managed: Vec::new(),
            held: Vec::new(),
            served: Vec::new(),
            cpus: all.iter().collect(),
            now: START,
            pinned,
            use_fast: false,
            fast_taken: 0,
            fast_receives: 0,
            kicks: 0,
            machine,
        };
        let supervisor = Process::create(world.kernel(), world.root(), 0, *b"supervisor\0\0\0\0\0\0").unwrap();
        supervisor.outside_handles.set(1);
        world.processes.push(supervisor);
        world.managed.push(0);
        world.thread(0);
        let kernel = world.kernel();
        syscall::process::start_process(kernel, world.processes[0].get(kernel)).unwrap();
        world.poll();
        world
    }

    pub fn kernel(&self) -> &Kernel {
        &self.machine.kernel
    }

    pub fn root(&self) -> &Object<crate::object::Account> {
        self.machine.root.get(&self.machine.kernel)
    }

    pub fn p(&self, process: usize) -> &Object<Process> {
        self.processes[process].get(self.kernel())
    }

    pub fn t(&self, thread: usize) -> &Object<Thread> {
        self.threads[thread].get(self.kernel())
    }

    pub fn give<T: Type>(&self, process: usize, object: Ref<T>) -> u64 {
        flight::land_new(self.kernel(), self.p(process), AnyRef::new(object), u64::MAX).unwrap().0
    }

    /// A new process that the supervisor manages.
    pub fn process(&mut self) -> usize {
        let process = Process::create(self.kernel(), self.root(), 0, *b"process\0\0\0\0\0\0\0\0\0").unwrap();
        self.managed.push(self.give(0, process.clone()));
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// A new thread of a process.
    pub fn thread(&mut self, process: usize) -> usize {
        let number = self.threads.len();
        let context = Context::new(0x1_0000, 0x2_0000, 0, 0);
        let address = 0x100_0000 + 0x1_0000 * number as u64;
        let thread = Thread::create(self.kernel(), self.p(process), self.root(), context, address).unwrap();
        if self.pinned {
            thread.affinity.set(1 << number);
            assert!(number < self.cpus.len());
        }
        if self.p(process).is_running() {
            schedule::make_ready(self.kernel(), thread.get(self.kernel()));
        }
        self.threads.push(thread);
        self.poll();
        number
    }

    /// A running process with so many threads. Gives the process, and the first thread.
    pub fn started(&mut self, threads: usize) -> (usize, usize) {
        let process = self.process();
        let first = self.threads.len();
        (0..threads).for_each(|_| {
            self.thread(process);
        });
        self.start(process);
        (process, first)
    }

    pub fn start(&mut self, process: usize) {
        assert_eq!(self.sys(0, Syscall::ProcessStart, &[self.managed[process]]), 0);
    }

    pub fn kill(&mut self, process: usize, reason: abi::ExitReason) {
        assert_eq!(self.sys(0, Syscall::ProcessKill, &[self.managed[process], reason as u64, 0]), 0);
    }

    pub fn reset(&mut self, process: usize) -> u64 {
        self.sys(0, Syscall::ProcessReset, &[self.managed[process], 0, 0])
    }

    /// Kills, resets and starts a process with so many new threads. Gives the first.
    pub fn restart(&mut self, process: usize, reason: abi::ExitReason, threads: usize) -> usize {
        self.kill(process, reason);
        self.revive(process, threads)
    }

    pub fn revive(&mut self, process: usize, threads: usize) -> usize {
        assert_eq!(self.reset(process), 0);
        assert_eq!(self.p(process).state.get(), ProcessState::New);
        let first = self.threads.len();
        (0..threads).for_each(|_| {
            self.thread(process);
        });
        self.start(process);
        first
    }

    /// A fault of a thread, which runs.
    pub fn fault(&mut self, thread: usize) {
        let cpu = self.cpu_of(thread).expect("it runs");
        self.kernel().enter(cpu);
        let (kernel, thread) = (self.kernel(), self.t(thread));
        crate::death::kill(kernel, thread.process.get(kernel), Some(thread), abi::ExitReason::DivideError, 0, 0);
        self.leave(cpu);
        self.poll();
    }

    /// A channel served by a process, with handles of it (kept) and of the supervisor.
    pub fn channel(&mut self, server: usize) -> usize {
        let channel = Channel::create(self.kernel(), self.root(), self.p(server)).unwrap();
        let served = self.give(server, channel.clone());
        self.p(server).handles.set_keep(Handle(served), true).unwrap();
        self.served.push(served);
        self.held.push(self.give(0, channel.clone()));
        self.channels.push(channel);
        self.channels.len() - 1
    }

    pub fn c(&self, channel: usize) -> &Object<Channel> {
        self.channels[channel].get(self.kernel())
    }

    /// A new session of a process. Gives its handle.
    pub fn session(&self, channel: usize, process: usize, badge: u64) -> u64 {
        let session = Session::mint(self.kernel(), self.root(), self.c(channel), badge).unwrap();
        flight::land_new(self.kernel(), self.p(process), AnyRef::new(session), 0).unwrap().0
    }

    /// Copies a handle to another process.
    pub fn share(&self, from: usize, handle: u64, to: usize) -> u64 {
        let kernel = self.kernel();
        let copy = flight::take_copy(kernel, self.p(from), Handle(handle), Rights::empty(), Rights::all(), u64::MAX);
        flight::land(kernel, self.p(to), copy.unwrap()).unwrap().0
    }

    pub fn cpu_of(&self, thread: usize) -> Option<&'static Cpu> {
        self.cpus.iter().copied().find(|cpu| cpu.current.holds(self.t(thread)))
    }

    pub fn state(&self, thread: usize) -> State {
        self.t(thread).state.get()
    }

    /// `rax`.
    pub fn status(&self, thread: usize) -> u64 {
        self.t(thread).context.frame.rax.get()
    }

    pub fn result(&self, thread: usize, n: usize) -> u64 {
        self.t(thread).context.frame.argument(n).get()
    }

    /// Makes a system call of a thread that runs. Gives its status, or [`WAITS`].
    pub fn sys(&mut self, thread: usize, number: Syscall, arguments: &[u64]) -> u64 {
        let cpu = self.cpu_of(thread).unwrap_or_else(|| panic!("{thread} does not run: {:?}", self.state(thread)));
        self.sys_on(cpu, number as u64, arguments);
        self.poll();
        self.check();
        self.outcome(thread)
    }

    pub fn outcome(&self, thread: usize) -> u64 {
        match self.state(thread) {
            State::Running | State::Ready => self.status(thread),
            _ => WAITS,
        }
    }

    /// A system call of the thread that runs on a CPU, as `entry` has it.
    pub fn sys_on(&mut self, cpu: &'static Cpu, number: u64, arguments: &[u64]) {
        let kernel = self.kernel();
        let thread = cpu.current.get(kernel).unwrap();
        let frame = &thread.context.frame;
        frame.rax.set(number);
        for n in 0..10 {
            frame.argument(n).set(arguments.get(n).copied().unwrap_or(0));
        }
        let passed = match Syscall::from_number(number) {
            Some(Syscall::Call) if self.use_fast => fast::call(kernel, cpu),
            Some(Syscall::ReplyReceive) if self.use_fast => fast::reply_receive(kernel, cpu),
            _ => None,
        };
        if let Some(passed) = passed {
            self.fast_taken += 1;
            return self.pass(cpu, &passed);
        }
        if number == Syscall::Receive as u64 && self.use_fast && fast::receive(kernel, cpu) {
            self.fast_receives += 1;
            return;
        }
        kernel.enter(cpu);
        kernel.shootdown.enter(kernel, cpu.index() as usize);
        if thread.process.is_running() {
            syscall::dispatch(kernel, cpu, thread);
        } else {
            cpu.ask(attention::STOP);
        }
        self.leave(cpu);
    }

    /// What the exit code does after the fast path.
    fn pass(&self, cpu: &Cpu, passed: &lock::Passed) {
        let to = &cpu.current.get(self.kernel()).unwrap().context.frame;
        // SAFETY: the frame of a thread that waits.
        unsafe { &*passed.from }.frame.copy_words(to);
        to.rax.set(passed.status);
        to.rdi.set(passed.r0);
        to.rsi.set(passed.r1);
    }

    /// The end of an entry, as `entry::leave` has it.
    pub fn leave(&mut self, cpu: &'static Cpu) {
        let kernel = &mut *self.machine.kernel;
        for _ in 0..2 {
            if kernel.has_work() {
                kernel.work();
            }
        }
        schedule::wake_flushed(kernel);
        // Work may wait for other CPUs.
        for _ in 0..50 {
            if schedule::settle(kernel, cpu) || !kernel.has_work() {
                break;
            }
            kernel.work();
            schedule::wake_flushed(kernel);
        }
        kernel.reap();
        self.kicks |= kernel.shootdown.requests.kicks.take();
    }

    /// An interrupt of a CPU.
    pub fn interrupt(&mut self, cpu: &'static Cpu) {
        self.kernel().enter(cpu);
        self.kernel().shootdown.enter(self.kernel(), cpu.index() as usize);
        self.leave(cpu);
    }

    /// The timer of a CPU strikes.
    pub fn strike(&mut self, cpu: &'static Cpu) {
        self.kernel().enter(cpu);
        cpu.armed.set(u64::MAX);
        cpu.ask(attention::RESCHEDULE | attention::TIMER);
        timer::expire(self.kernel(), self.now);
        self.leave(cpu);
    }

    /// Lets all CPUs do what they are asked to, until nothing is left to do.
    pub fn poll(&mut self) {
        for _ in 0..1000 {
            let kernel = self.kernel();
            let (kicks, here) = (self.kicks, kernel.this_cpu().bit());
            let busy = |cpu: &Cpu| cpu.attention.get() != 0 || kicks & cpu.bit() & !here != 0;
            let Some(cpu) = self.cpus.iter().copied().find(|cpu| busy(cpu)) else {
                if !kernel.has_work() {
                    return;
                }
                self.machine.kernel.work();
                continue;
            };
            self.kicks &= !cpu.bit();
            self.interrupt(cpu);
        }
        panic!("it does not come to rest");
    }

    /// Time passes, and deadlines with it.
    pub fn advance(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        processor::set_time(self.now);
        self.strike(self.cpus[0]);
        self.poll();
        self.check();
    }

    pub fn receive(&mut self, thread: usize, channel: usize) -> u64 {
        self.sys(thread, Syscall::Receive, &[self.served[channel], 0])
    }

    /// Receives with a deadline.
    pub fn receive_until(&mut self, thread: usize, channel: usize, deadline: u64) -> u64 {
        self.t(thread).serve_page().set_deadline(deadline);
        self.sys(thread, Syscall::Receive, &[self.served[channel], Header::default().with_deadline().0])
    }

    pub fn call(&mut self, thread: usize, session: u64, class: Class) -> u64 {
        self.sys(thread, Syscall::Call, &[session, header(class).0])
    }

    pub fn call_until(&mut self, thread: usize, session: u64, class: Class, deadline: u64) -> u64 {
        self.t(thread).call_page().set_deadline(deadline);
        self.sys(thread, Syscall::Call, &[session, header(class).with_deadline().0])
    }

    pub fn reply(&mut self, thread: usize) -> u64 {
        self.sys(thread, Syscall::Reply, &[0, 0])
    }

    /// Cancels a thread by the supervisor.
    pub fn cancel(&mut self, thread: usize) -> u64 {
        let handle = self.give(0, self.threads[thread].clone());
        let status = self.sys(0, Syscall::ThreadCancel, &[handle]);
        self.sys(0, Syscall::HandleClose, &[handle]);
        status
    }

    /// Objects by type, and what the root account is charged.
    pub fn totals(&self) -> (Vec<u64>, Usage) {
        let counts = (0..ObjectType::COUNT).map(|n| self.kernel().counts.by_number(n)).collect();
        (counts, self.root().usage())
    }

    /// Checks what has to hold between any two entries.
    pub fn check(&self) {
        let kernel = self.kernel();
        let mut ready = 0;
        for process in kernel.processes.from(kernel, 0) {
            self.check_process(process);
            for thread in process.threads.iter(kernel) {
                self.check_thread(thread);
                ready += u32::from(thread.state.get() == State::Ready);
            }
        }
        let queued: u32 = self.cpus.iter().map(|cpu| cpu.queue.len() + u32::from(cpu.handoff.is_some())).sum();
        assert_eq!(queued, ready, "ready threads and queues");
    }

    fn check_process(&self, process: &Object<Process>) {
        let kernel = self.kernel();
        let mut active = 0;
        for thread in process.threads.iter(kernel) {
            active += u32::from(thread.current.is_some()) + u32::from(thread.orphan.is_some());
        }
        for call in process.kept.iter(kernel) {
            let counts = call.client.is_some() && !call.parked.get();
            active += u32::from(counts);
            assert!(call.client.get(kernel).is_none_or(|client| client.kept.holds(call)));
            assert_eq!(call.client.is_some(), call.channel.kept.contains(call), "a kept call is listed by its channel");
            assert!(!call.orphan.is_some());
        }
        assert!(process.kept_orphans.from(kernel, 0).all(|call| call.orphan.is_some() && call.server.is(process)));
        active += process.kept_orphans.len();
        assert_eq!(process.active_calls.get(), active, "active calls");
        let mut orphans = 0;
        for other in kernel.processes.from(kernel, 0) {
            orphans += other.threads.iter(kernel).filter(|thread| thread.orphan.holds(process)).count();
            orphans += other.kept_orphans.from(kernel, 0).filter(|call| call.orphan.holds(process)).count();
        }
        assert_eq!(process.orphans() as usize, orphans, "orphans");
        if let Some(alone) = process.alone.get(kernel) {
            assert!(alone.is_suspect() && matches!(alone.state.get(), State::Current | State::Kept));
        }
        for channel in process.served.iter(kernel) {
            assert!(!channel.closed.get());
            if !channel.receivers.is_empty() {
                assert!(process.is_running());
                assert!(
                    channel.signals.get() == 0 && channel.closes.is_empty() && channel.withdrawn.is_empty(),
                    "a lost wake-up"
                );
                if let Some(first) = channel.first_caller(kernel) {
                    let waits = process.alone.is_some() || first.is_suspect() && active > 0;
                    assert!(waits && process.has_suspect.get(), "a caller and a receiver wait for each other");
                }
            }
        }
        for session in process.served.iter(kernel).flat_map(|channel| channel.sessions.from(kernel, 0)) {
            for one in session.uses(kernel) {
                let Some(user) = one.process.get(kernel) else { continue };
                let mut next = user.handles.next_from(kernel, 0);
                let mut handles = 0;
                while let Some(found) = next {
                    handles += u32::from(found.object == session.number());
                    next = user.handles.next_from(kernel, found.handle.slot() + 1);
                }
                assert_eq!(handles, one.handles.get(), "handles of a use");
            }
        }
    }

    fn check_thread(&self, thread: &Object<Thread>) {
        let kernel = self.kernel();
        let process = &thread.process;
        let state = thread.state.get();
        let running = self.cpus.iter().filter(|cpu| cpu.current.holds(thread)).count();
        assert_eq!(running, usize::from(state == State::Running), "on a CPU");
        let in_queue = thread.queue.is_linked();
        match state {
            State::Ready => {
                let cpu = kernel.cpu(thread.cpu.get());
                assert!(process.is_running());
                assert!(thread.affinity.get() & cpu.bit() != 0, "a ready thread may run where it waits");
                let places = [cpu.handoff.holds(thread), cpu.queue.contains(thread)];
                assert_eq!(places.iter().filter(|place| **place).count(), 1, "a ready thread is in one place");
            }
            State::Receiving => {
                let channel = thread.serving.get(kernel).expect("a channel");
                assert!(channel.receivers.contains(thread) && process.is_running());
            }
            State::Queued => {
                let channel = thread.channel.get(kernel).expect("a channel");
                assert!(channel.is_queued(kernel, thread) && process.is_running());
                let is_told = channel.closed.get() && kernel.has_work();
                assert!(!channel.closed.get() || is_told, "nobody tells a caller of a closed channel");
            }
            State::Current => {
                let server = thread.server.get(kernel).expect("a server");
                assert!(server.current.holds(thread) && server.process.is_running());
                assert_eq!(server.depth.get(), thread.depth.get() + 1);
                assert!(server.rank.get() >= thread.rank.get());
                assert!(thread.called_channel(kernel).is_some());
            }
            State::Kept => {
                let call = thread.kept.get(kernel).expect("a call");
                assert!(call.client.holds(thread) && call.server.kept.contains(call));
                assert!(call.server.is_running() || call.server.reaping.is_linked() || kernel.is_on_cpu(&call.server));
            }
            State::New | State::Running | State::Flushing | State::Ended => {}
        }
        let waits = matches!(state, State::Receiving | State::Queued);
        assert!(!in_queue || waits || state == State::Ready && thread.rank.get() > 0, "{state:?} in a list");
        // One of an earlier receive may be set in any state of a thread that lives.
        assert!(!thread.timer.linked.get() || !matches!(state, State::New | State::Ended));
        assert!(!thread.fair.linked.get() || matches!(state, State::Ready | State::Queued | State::Flushing));
        assert_eq!(thread.server.get(kernel).is_some(), state == State::Current);
        assert_eq!(thread.kept.is_some(), state == State::Kept);
        if !thread.is_calling() {
            assert!(thread.reserved.get() == 0 && !thread.channel.is_some());
        }
        if let Some(client) = thread.current.get(kernel) {
            assert!(client.state.get() == State::Current && process.is_running() && client.server.names(thread));
        }
        assert!(thread.rank.get() >= thread.base_rank());
    }
}
