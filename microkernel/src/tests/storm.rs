//! Anything, in any order: system calls of all kinds by threads of several processes on several CPUs, faults, kills, resets, cancels and
//! deadlines. The invariants of [`World::check`] hold at each step, and at the end nothing is left.

use super::world::World;
use crate::arch::processor;
use crate::ipc::{end, flight};
use crate::object::process::State;
use crate::object::reference::ObjectType;
use crate::{death, schedule, syscall};
use abi::schedule::Parameters;
use abi::{Class, ExitReason, Handle, Header, Kind, Policy, Syscall};
use proptest::prelude::*;

const PROCESSES: usize = 4;
const THREADS: usize = 3;

type Step = (u8, u64, u64, u64);

/// A handle of a kind of a process, as `choice` says; sometimes one that is none.
fn handle(world: &World, process: usize, kind: Option<Kind>, choice: u64) -> u64 {
    let (kernel, table) = (world.kernel(), &world.p(process).handles);
    let all = std::iter::successors(table.next_from(kernel, 0), |last| table.next_from(kernel, last.handle.slot() + 1));
    let fit: Vec<u64> = all.filter(|one| kind.is_none_or(|kind| one.kind == kind)).map(|one| one.handle.0).collect();
    if fit.is_empty() || choice % 31 == 30 { choice % 50 } else { fit[(choice / 31) as usize % fit.len()] }
}

fn request(a: u64) -> Header {
    let class = [Class::Fail, Class::Replay, Class::Once][(a % 3) as usize];
    let mut header = Header::words(1, class);
    if a >> 2 & 3 == 0 {
        header = header.with_handles((a >> 4) as usize % 5).with_reply_handles((a >> 7) as usize % 5);
    }
    if a >> 10 & 3 == 0 { header.with_deadline() } else { header }
}

fn system_call(world: &mut World, (kind, a, b, c): Step) {
    let cpu = world.cpus[a as usize % world.cpus.len()];
    let Some(current) = cpu.current.get(world.kernel()) else { return };
    let process = world.processes.iter().position(|process| current.process.is(process)).unwrap();
    let deadline = world.now + b % 3000;
    let handles = [1, 2, 3, 4].map(|n| Handle(handle(world, process, None, b.rotate_left(n * 11))));
    for page in [current.call_page(), current.serve_page()] {
        page.set_deadline(deadline);
        page.set_handles(handles);
    }
    let call = || handle(world, process, Some(Kind::Call), b);
    let channel = handle(world, process, Some(Kind::Channel), b);
    let account = handle(world, process, Some(Kind::Account), 0);
    let (number, arguments): (Syscall, Vec<u64>) = match kind % 24 {
        0..4 => (Syscall::Call, vec![handle(world, process, Some(Kind::Session), b), request(c).0]),
        4..7 => (Syscall::Receive, vec![channel, request(c).0]),
        7..10 => (Syscall::ReplyReceive, vec![channel, request(c).0]),
        10 => (Syscall::Reply, vec![0, request(c).0]),
        11 => (Syscall::CallKeep, vec![]),
        12 => {
            let number = [
                Syscall::CallReply,
                Syscall::CallResume,
                Syscall::CallPark,
                Syscall::CallProgress,
                Syscall::CallAbandon,
            ];
            (number[c as usize % 5], vec![if c & 32 == 0 { 0 } else { call() }, request(c >> 8).0])
        }
        13 => (Syscall::CallReply, vec![call(), request(c).0]),
        14 => (Syscall::CallPark, vec![call()]),
        15 => (Syscall::Signal, vec![channel, 1 << (c % 64)]),
        16 => (Syscall::HandleClose, vec![handle(world, process, None, b)]),
        17 => (Syscall::HandleDuplicate, vec![handle(world, process, None, b), u64::from(u16::MAX) & c >> 3, c]),
        18 => {
            let close =
                world.channels.iter().filter_map(|channel| channel.delivered_closes.first(world.kernel())).next();
            let (badge, client) = close.map_or((1, 1), |close| (close.badge, close.client));
            (Syscall::SessionAcknowledge, vec![channel, badge, client])
        }
        19 => (Syscall::SessionMint, vec![channel, c % 5, account]),
        20 => (Syscall::ThreadYield, vec![]),
        21 => (Syscall::ThreadAffinity, vec![0, 1 + c % 7]),
        22 => {
            let special = [
                Syscall::ThreadExit,
                Syscall::ChannelClose,
                Syscall::ChannelCreate,
                Syscall::HandleKeep,
                Syscall::HandleGrant,
            ];
            (special[c as usize % 5], vec![if c % 5 == 2 { account } else { channel }, (c >> 9) & 1, 0])
        }
        _ => {
            let number = Syscall::from_number(c % 61).unwrap();
            if number == Syscall::SystemPower {
                return;
            }
            (number, (0..10).map(|n| handle(world, process, None, c.rotate_left(n * 7))).collect())
        }
    };
    world.sys_on(cpu, number as u64, &arguments);
}

fn event(world: &mut World, (kind, a, b, c): Step) {
    let cpu = world.cpus[a as usize % world.cpus.len()];
    let process = 1 + b as usize % PROCESSES;
    world.kernel().enter(cpu);
    match kind % 8 {
        0 => {
            let reason = [ExitReason::Killed, ExitReason::Hung][c as usize & 1];
            death::kill(world.kernel(), world.p(process), None, reason, 0, 0);
        }
        1 => {
            let current = cpu.current.get(world.kernel());
            if let Some(thread) = current.filter(|thread| thread.process.is_running()) {
                let process = thread.process.get(world.kernel());
                death::kill(world.kernel(), process, Some(thread), ExitReason::PageFault, 0, 0);
            }
        }
        2 | 3 => {
            let _ = death::ask_reset(world.kernel(), world.p(process));
            world.leave(cpu);
            world.poll();
            populate(world, process);
        }
        4 => {
            let thread = c as usize % world.threads.len();
            let _ = end::cancel(world.kernel(), world.t(thread));
        }
        5 => {
            let thread = world.t(c as usize % world.threads.len());
            let priority = (c >> 32) as u8 % 4;
            let policy = [Policy::Fair, Policy::Fifo, Policy::RoundRobin]
                [if priority == 0 { 0 } else { 1 + (c >> 40) as usize % 2 }];
            schedule::set_parameters(world.kernel(), thread, Parameters { policy, priority, ..Parameters::DEFAULT });
        }
        _ => {
            world.now += c % 2_000_000;
            processor::set_time(world.now);
            world.strike(cpu);
            return;
        }
    }
    world.leave(cpu);
}

/// Makes a new process complete, and starts it.
fn populate(world: &mut World, process: usize) {
    if world.p(process).state.get() != State::New {
        return;
    }
    while world.p(process).threads.len() < THREADS as u32 {
        world.thread(process);
    }
    let channel = world.channels.len();
    if world.p(process).served.is_empty() {
        world.channel(process);
    }
    if world.p(process).handles.len() < 10 {
        let account = world.root().to_ref();
        world.give(process, account);
        for channel in (0..channel).rev().take(6).filter(|channel| !world.c(*channel).closed.get()) {
            world.session(channel, process, channel as u64);
        }
    }
    let kernel = world.kernel();
    syscall::process::start_process(kernel, world.p(process)).unwrap();
}

/// Ends everything, and checks that nothing is left.
fn finish(mut world: World) -> World {
    for process in (0..world.processes.len()).rev() {
        world.kernel().enter(world.cpus[0]);
        death::kill(world.kernel(), world.p(process), None, ExitReason::Killed, 0, 0);
        world.poll();
        world.check();
    }
    world.threads.clear();
    world.channels.clear();
    let supervisor = world.processes[0].clone();
    world.processes.clear();
    supervisor.outside_handles.set(0);
    death::abandoned(world.kernel(), supervisor.get(world.kernel()));
    drop(supervisor);
    world.poll();
    for cpu in world.cpus.clone() {
        assert!(cpu.is_idle() && cpu.queue.is_empty() && !cpu.handoff.is_some());
        world.interrupt(cpu);
    }
    world.poll();
    world
}

fn run(cpus: usize, fast: bool, steps: Vec<Step>) {
    let mut world = World::new(cpus, false);
    world.use_fast = fast;
    let own = world.channel(0);
    world.receive(0, own);
    for _ in 0..PROCESSES {
        world.process();
    }
    for process in 1..=PROCESSES {
        populate(&mut world, process);
    }
    // A second time, so that everybody has sessions of everybody.
    for process in 1..=PROCESSES {
        for channel in 1..=PROCESSES {
            world.session(channel, process, channel as u64);
        }
    }
    world.poll();
    for step in steps {
        if step.0 < 216 {
            system_call(&mut world, step)
        } else {
            event(&mut world, step)
        }
        world.check();
        if step.1 & 0x300 != 0 {
            world.poll();
            world.check();
        }
    }
    let world = finish(world);
    if let Some(process) = world.kernel().processes.first(world.kernel()) {
        panic!("{:?}: {:?} orphans {}", process.number(), process.state.get(), process.orphans());
    }
    let counts: Vec<u64> = world.totals().0;
    let mut expected = vec![0; ObjectType::COUNT];
    expected[ObjectType::Account as usize] = 1;
    assert_eq!(counts, expected, "objects left");
    let used = world.root().usage().used;
    assert_eq!((used.frames, used.handles, used.threads, used.sessions, used.processes), (1, 0, 0, 0, 0));
    assert!(world.kernel().timers.is_empty());
    let _ = flight::land_new;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_and_nothing_is_left(
        cpus in 1usize..4,
        fast in any::<bool>(),
        steps in prop::collection::vec(any::<Step>(), 0..400),
    ) {
        run(cpus, fast, steps);
    }
}
