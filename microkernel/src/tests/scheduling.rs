//! Which thread runs where: policies, shares, inheritance, several CPUs.

use super::world::{WAITS, World};
use crate::arch::processor;
use crate::object::thread::State;
use crate::schedule;
use abi::schedule::{Parameters, SLICE};
use abi::{Class, Delivery, Error, Handle, Header, OK, Policy, Syscall};

const DELIVERED: u64 = Delivery::CALL_STATUS;

fn parameters(policy: Policy, priority: u8, weight: u32) -> Parameters {
    let parameters = Parameters { policy, priority, weight };
    assert!(parameters.is_valid());
    parameters
}

pub(super) fn fifo(priority: u8) -> Parameters {
    parameters(Policy::Fifo, priority, 1024)
}

impl World {
    pub(super) fn set(&mut self, thread: usize, parameters: Parameters) {
        schedule::set_parameters(self.kernel(), self.t(thread), parameters);
        self.poll();
        self.check();
    }

    pub(super) fn pin(&mut self, thread: usize, set: u64) {
        schedule::set_affinity(self.kernel(), self.t(thread), set);
        self.poll();
        self.check();
    }

    /// The supervisor waits, for ever.
    pub(super) fn without_supervisor(cpus: usize) -> World {
        let mut world = World::new(cpus, false);
        let own = world.channel(0);
        assert_eq!(world.receive(0, own), WAITS);
        world
    }

    /// A process that is started without the supervisor's help.
    pub(super) fn team(&mut self, threads: usize) -> (usize, usize) {
        let process = self.process();
        let first = self.threads.len();
        (0..threads).for_each(|_| {
            self.thread(process);
        });
        crate::syscall::process::start_process(self.kernel(), self.p(process)).unwrap();
        self.poll();
        (process, first)
    }

    /// Lets time pass, with the interrupts that the CPUs asked for.
    pub(super) fn run_for(&mut self, nanoseconds: u64) {
        let end = self.now + nanoseconds;
        while self.now < end {
            let next = self.cpus.iter().map(|cpu| cpu.armed.get()).min().unwrap().clamp(self.now + 1, end);
            self.now = next;
            processor::set_time(next);
            for cpu in self.cpus.clone() {
                if cpu.armed.get() <= next {
                    self.strike(cpu);
                }
            }
            self.poll();
        }
        self.check();
    }

    fn ran(&self, thread: usize) -> u64 {
        let running = self.cpu_of(thread).map_or(0, |cpu| self.now - cpu.counted_until.get());
        self.t(thread).run_time.get() + running
    }
}

fn close_to(value: u64, expected: u64) -> bool {
    value.abs_diff(expected) * 20 <= expected
}

#[test]
fn fair_threads_share_by_weight() {
    let mut world = World::without_supervisor(1);
    let (_, first) = world.team(3);
    for (thread, weight) in [(first, 1024), (first + 1, 2048), (first + 2, 512)] {
        world.set(thread, parameters(Policy::Fair, 0, weight));
    }
    let total = 7_000_000_000;
    world.run_for(total);
    for (thread, share) in [(first, 2), (first + 1, 4), (first + 2, 1)] {
        assert!(close_to(world.ran(thread), total * share / 7), "{thread}: {}", world.ran(thread));
    }
}

#[test]
fn who_comes_late_gets_no_more_than_his_share() {
    let mut world = World::without_supervisor(1);
    let (process, first) = world.team(1);
    world.run_for(10_000_000_000);
    let second = world.thread(process);
    world.run_for(1_000_000_000);
    assert!(close_to(world.ran(second), 500_000_000), "{}", world.ran(second));
    assert!(close_to(world.ran(first), 10_500_000_000));
}

#[test]
fn who_sleeps_alone_does_not_pay_for_it() {
    let mut world = World::without_supervisor(1);
    let (process, first) = world.team(1);
    let channel = world.channel(process);
    // It is alone, and sleeps for long; then others come.
    let deadline = world.now + 10_000_000_000;
    world.t(first).serve_page().set_deadline(deadline);
    let served = world.served[channel];
    let cpu = world.cpus[0];
    world.sys_on(cpu, Syscall::Receive as u64, &[served, Header::default().with_deadline().0]);
    assert!(cpu.is_idle());
    world.run_for(10_000_000_001);
    let second = world.thread(process);
    let before = world.ran(first);
    world.run_for(1_000_000_000);
    assert!(close_to(world.ran(first) - before, 500_000_000), "{}", world.ran(first) - before);
    assert!(close_to(world.ran(second), 500_000_000));
}

#[test]
fn a_client_pays_for_its_server() {
    for fast in [false, true] {
        let mut world = World::without_supervisor(1);
        world.use_fast = fast;
        let (process, server) = world.team(1);
        let channel = world.channel(process);
        let cpu = world.cpus[0];
        world.sys_on(cpu, Syscall::Receive as u64, &[world.served[channel], 0]);
        let (client_process, client) = world.team(1);
        let session = world.session(channel, client_process, 1);
        world.sys_on(cpu, Syscall::Call as u64, &[session, 0]);
        assert!(cpu.current.holds(world.t(server)));
        let (_, others) = world.team(2);
        world.run_for(3_000_000_000);
        let parts = [world.ran(client) + world.ran(server), world.ran(others), world.ran(others + 1)];
        assert!(parts.iter().all(|part| close_to(*part, 1_000_000_000)), "{parts:?}");
    }
}

#[test]
fn a_client_pays_for_the_server_that_it_woke_before() {
    let mut world = World::without_supervisor(1);
    let cpu = world.cpus[0];
    let (process, server) = world.team(1);
    let channel = world.channel(process);
    let served = world.served[channel];
    world.sys_on(cpu, Syscall::Receive as u64, &[served, 0]);
    let (client_process, client) = world.team(1);
    let session = world.session(channel, client_process, 1);
    let signal = world.share(process, served, client_process);
    let (_, other) = world.team(1);
    let until = world.now + 1_000_000_000;
    let wait_for = |world: &mut World, thread: usize| {
        while !cpu.current.holds(world.t(thread)) {
            world.run_for(10_000);
        }
    };
    while world.now < until {
        wait_for(&mut world, client);
        world.sys_on(cpu, Syscall::Signal as u64, &[signal, 1]);
        // The server, which runs for the signal first, takes this when it has done that.
        world.sys_on(cpu, Syscall::Call as u64, &[session, 0]);
        wait_for(&mut world, server);
        world.sys_on(cpu, Syscall::Receive as u64, &[served, 0]);
        world.run_for(100_000);
        wait_for(&mut world, server);
        world.sys_on(cpu, Syscall::ReplyReceive as u64, &[served, 0]);
    }
    let parts = [world.ran(client) + world.ran(server), world.ran(other)];
    assert!(parts.iter().all(|part| close_to(*part, 500_000_000)), "{parts:?}");
}

#[test]
fn real_time_runs_first_and_takes_turns_as_its_policy_says() {
    let mut world = World::without_supervisor(1);
    let (_, first) = world.team(5);
    let [low, a, b, high, fair] = [0, 1, 2, 3, 4].map(|n| first + n);
    world.set(low, fifo(3));
    world.set(a, parameters(Policy::RoundRobin, 7, 1024));
    world.set(b, parameters(Policy::RoundRobin, 7, 1024));
    let before = [a, b].map(|thread| world.ran(thread));
    world.run_for(SLICE * 10);
    for (thread, before) in [a, b].into_iter().zip(before) {
        assert!((world.ran(thread) - before).abs_diff(SLICE * 5) <= SLICE, "{thread}");
    }
    assert_eq!(world.ran(low) + world.ran(fair) + world.ran(high), 0);
    world.set(high, fifo(9));
    assert_eq!(world.state(high), State::Running);
    world.run_for(SLICE * 10);
    assert_eq!(world.ran(high), SLICE * 10);
    // Fifo keeps the CPU from its equals.
    world.set(low, fifo(9));
    world.run_for(SLICE * 10);
    assert_eq!((world.ran(high), world.ran(low)), (SLICE * 20, 0));
    world.sys(high, Syscall::ThreadYield, &[]);
    assert_eq!(world.state(low), State::Running);
    // A rank that falls gives way at once.
    world.set(low, Parameters::DEFAULT);
    assert_eq!(world.state(high), State::Running);
    world.set(high, Parameters::DEFAULT);
    assert!([a, b].iter().any(|thread| world.state(*thread) == State::Running));
}

#[test]
fn a_waking_thread_of_higher_rank_preempts() {
    let mut world = World::without_supervisor(1);
    let (process, driver) = world.team(1);
    world.set(driver, fifo(5));
    let channel = world.channel(process);
    assert_eq!(world.receive(driver, channel), WAITS);
    let (hog_process, hog) = world.team(1);
    let bell = world.give(hog_process, world.channels[channel].clone());
    world.run_for(1_000_000_000);
    assert_eq!(world.state(hog), State::Running);
    world.sys(hog, Syscall::Signal, &[bell, 2]);
    assert_eq!((world.state(driver), world.state(hog)), (State::Running, State::Ready));
    assert_eq!(world.result(driver, 2), 2);
}

#[test]
fn threads_move_to_idle_cpus_and_stay_where_they_may_be() {
    let mut world = World::without_supervisor(3);
    let (process, first) = world.team(3);
    assert!((first..first + 3).all(|thread| world.state(thread) == State::Running));
    let waiting = world.thread(process);
    let pinned = world.thread(process);
    assert_eq!([waiting, pinned].map(|t| world.state(t)), [State::Ready; 2]);
    world.pin(pinned, 0b010);
    // A CPU that falls idle takes what it may.
    let channel = world.channel(process);
    let on = |world: &World, thread: usize| world.cpu_of(thread).map(|cpu| cpu.index());
    for cpu in [0, 2] {
        let there = (first..first + 3).find(|thread| on(&world, *thread) == Some(cpu)).unwrap();
        assert_eq!(world.receive(there, channel), WAITS);
    }
    assert_eq!(world.state(waiting), State::Running);
    assert_eq!(world.state(pinned), State::Ready);
    world.run_for(SLICE * 2);
    assert!(world.ran(pinned) > 0 && on(&world, pinned).is_none_or(|cpu| cpu == 1));
    // The running one moves at once.
    world.pin(pinned, 0b101);
    assert!(world.state(pinned) == State::Running && on(&world, pinned) != Some(1));
}

#[test]
fn an_idle_cpu_steals() {
    let mut world = World::without_supervisor(2);
    let (process, first) = world.team(2);
    let channel = world.channel(process);
    let cpu = world.cpu_of(first).unwrap();
    let waiting = world.thread(process);
    world.pin(waiting, cpu.bit());
    world.t(waiting).affinity.set(u64::MAX);
    assert_eq!(world.state(waiting), State::Ready);
    assert_eq!(world.receive(first + 1, channel), WAITS);
    assert!(world.state(waiting) == State::Running && world.cpu_of(waiting).unwrap().stolen.get() == 1);
}

#[test]
fn a_thread_that_moves_takes_only_its_lead_along() {
    // One CPU's virtual time is far ahead of the other's.
    let mut world = World::without_supervisor(2);
    let (process, first) = world.team(1);
    let here = 1 << world.cpu_of(first).unwrap().index();
    world.pin(first, here);
    world.run_for(20_000_000_000);
    let (_, others) = world.team(1);
    world.pin(others, 3 & !here);
    world.run_for(SLICE);
    let mover = world.thread(process);
    world.pin(mover, here);
    world.run_for(1_000_000_000);
    world.pin(mover, 3 & !here);
    let before = world.ran(mover);
    world.run_for(1_000_000_000);
    assert!(close_to(world.ran(mover) - before, 500_000_000), "{}", world.ran(mover) - before);
}

#[test]
fn ranks_are_inherited_through_a_chain_and_by_queued_callers() {
    let mut world = World::new(24, true);
    let servers: Vec<_> = (0..3).map(|_| world.started(1)).collect();
    let channels: Vec<_> = servers.iter().map(|(process, _)| world.channel(*process)).collect();
    let rank = |world: &World, n: usize| world.t(servers[n].1).rank.get();
    let (client_process, client) = world.started(1);
    let session = world.session(channels[0], client_process, 1);
    assert_eq!(world.call(client, session, Class::Fail), WAITS);
    assert_eq!(world.receive(servers[0].1, channels[0]), DELIVERED);
    for n in 0..2 {
        let down = world.session(channels[n + 1], servers[n].0, 1);
        assert_eq!(world.call(servers[n].1, down, Class::Fail), WAITS);
        assert_eq!(world.receive(servers[n + 1].1, channels[n + 1]), DELIVERED);
    }
    // A real-time caller is queued at the top: all below work for it.
    let (urgent_process, urgent) = world.started(1);
    world.set(urgent, fifo(20));
    let session = world.session(channels[0], urgent_process, 2);
    assert_eq!(world.call(urgent, session, Class::Fail), WAITS);
    assert_eq!([0, 1, 2].map(|n| rank(&world, n)), [20; 3]);
    // It leaves.
    assert_eq!(world.cancel(urgent), OK);
    world.set(urgent, fifo(20));
    assert_eq!(world.call(urgent, session, Class::Fail), WAITS);
    // Replies: each gets his own back, the top one serves the urgent one.
    assert_eq!(world.reply(servers[2].1), OK);
    assert_eq!((rank(&world, 2), rank(&world, 1)), (0, 20));
    assert_eq!(world.reply(servers[1].1), OK);
    assert_eq!((rank(&world, 1), rank(&world, 0)), (0, 20));
    assert_eq!(world.reply(servers[0].1), OK);
    assert_eq!(rank(&world, 0), 20, "its queue lends it");
    assert_eq!(world.receive(servers[0].1, channels[0]), DELIVERED);
    assert_eq!(rank(&world, 0), 20);
    // Keeping ends it, resuming brings it back.
    assert_eq!(world.sys(servers[0].1, Syscall::CallKeep, &[]), OK);
    let call = world.result(servers[0].1, 0);
    assert_eq!(rank(&world, 0), 0);
    assert_eq!(world.sys(servers[0].1, Syscall::CallResume, &[call]), OK);
    assert_eq!(rank(&world, 0), 20);
    // The caller's parameters change.
    world.set(urgent, fifo(30));
    assert_eq!(rank(&world, 0), 30);
    assert_eq!(world.cancel(urgent), OK);
    assert_eq!(rank(&world, 0), 0);
}

#[test]
fn a_caller_of_real_time_that_leaves_does_not_corrupt_the_queue_of_its_server() {
    let mut world = World::without_supervisor(1);
    let (process, server) = world.team(1);
    let channel = world.channel(process);
    let cpu = world.cpus[0];
    world.sys_on(cpu, Syscall::Receive as u64, &[world.served[channel], 0]);
    let (client_process, client) = world.team(1);
    world.set(client, fifo(5));
    let session = world.session(channel, client_process, 1);
    assert_eq!(world.call(client, session, Class::Fail), WAITS);
    assert_eq!((world.state(server), world.t(server).rank.get()), (State::Running, 5));
    let (_, higher) = world.team(1);
    world.set(higher, fifo(9));
    assert_eq!(world.state(server), State::Ready);
    let kernel = world.kernel();
    kernel.enter(cpu);
    assert_eq!(crate::ipc::end::cancel(kernel, world.t(client)), Ok(()));
    world.leave(cpu);
    world.poll();
    world.check();
    assert_eq!(world.t(server).rank.get(), 0);
}

#[test]
fn who_wakes_a_higher_rank_goes_on_behind_it_unless_others_wait() {
    for others_wait in [false, true] {
        let mut world = World::without_supervisor(1);
        let cpu = world.cpus[0];
        let (process, server) = world.team(1);
        let channel = world.channel(process);
        let served = world.served[channel];
        world.set(server, fifo(3));
        world.use_fast = true;
        world.sys_on(cpu, Syscall::Receive as u64, &[served, 0]);
        let (client_process, client) = world.team(1);
        let signal = world.share(process, served, client_process);
        assert!(cpu.current.holds(world.t(client)));
        let other = others_wait.then(|| world.team(1).1);
        for turn in 0..3 {
            world.sys_on(cpu, Syscall::Signal as u64, &[signal, 1 << turn]);
            world.check();
            assert!(cpu.current.holds(world.t(server)));
            assert_eq!(cpu.queue.buddy.holds(world.t(client)), !others_wait);
            world.sys_on(cpu, Syscall::Receive as u64, &[served, 0]);
            world.check();
            let goes_on = cpu.current.holds(world.t(client));
            assert!(goes_on || others_wait);
            if !goes_on {
                break;
            }
        }
        // In the end both have had their turns.
        if let Some(other) = other {
            for _ in 0..4 {
                world.run_for(SLICE + 1);
            }
            let ran = |thread: usize| world.t(thread).run_time.get();
            assert!(ran(other) > 0 && ran(client) > 0);
        }
    }
}
