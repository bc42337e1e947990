//! Processes: the rows of `docs/states.md`, one by one.

use super::world::{WAITS, World, header};
use crate::object::process::State;
use crate::object::reference::ObjectType;
use crate::object::thread::State as ThreadState;
use abi::{Class, Delivery, Error, ExitReason, Handle, OK, Syscall};

const DELIVERED: u64 = Delivery::CALL_STATUS;

#[test]
fn starting() {
    let mut world = World::new(8, true);
    let process = world.process();
    let managed = world.managed[process];
    assert_eq!(world.sys(0, Syscall::ProcessStart, &[managed]), Error::BadState as u64, "no thread");
    let thread = world.thread(process);
    assert_eq!(world.state(thread), ThreadState::New);
    world.start(process);
    assert_eq!((world.p(process).state.get(), world.state(thread)), (State::Running, ThreadState::Running));
    assert_eq!(world.sys(0, Syscall::ProcessStart, &[managed]), Error::BadState as u64);
    assert_eq!(world.reset(process), Error::BadState as u64);
}

#[test]
fn a_new_process_can_be_killed_and_reset() {
    let mut world = World::new(8, true);
    let process = world.process();
    let thread = world.thread(process);
    world.kill(process, ExitReason::Killed);
    assert_eq!((world.p(process).state.get(), world.state(thread)), (State::Dead, ThreadState::Ended));
    world.revive(process, 1);
    assert_eq!((world.p(process).state.get(), world.p(process).incarnation.get()), (State::Running, 2));
}

#[test]
fn what_is_refused_of_the_dead() {
    let mut world = World::new(8, true);
    let (process, _) = world.started(1);
    let managed = world.managed[process];
    world.kill(process, ExitReason::Killed);
    let exit = world.p(process).exit.get().unwrap();
    world.kill(process, ExitReason::Hung);
    assert_eq!(world.p(process).exit.get().unwrap().reason, exit.reason, "killing the dead changes nothing");
    let root = world.give(0, world.root().to_ref());
    for (number, arguments) in [
        (Syscall::ProcessStart, vec![managed]),
        (Syscall::HandleGrant, vec![managed, root, u64::from(u32::MAX), 0, 0]),
        (Syscall::ThreadCreate, vec![managed, 0x1000, 0x2000, 0, 0x10_0000, 0, root]),
        (Syscall::ChannelCreate, vec![root, managed]),
        (Syscall::MemoryUnmap, vec![managed, 0x1000]),
    ] {
        let mut arguments = arguments;
        if number == Syscall::HandleGrant {
            arguments[2] = u64::from(abi::Rights::CHARGE.bits());
        }
        assert_eq!(world.sys(0, number, &arguments), Error::BadState as u64, "{number:?}");
    }
}

#[test]
fn the_last_thread_takes_the_process_along() {
    let mut world = World::new(8, true);
    let (process, first) = world.started(2);
    assert_eq!(world.sys(first, Syscall::ThreadExit, &[0, 0, 1]), WAITS);
    assert_eq!(world.p(process).state.get(), State::Running);
    assert_eq!(world.sys(first + 1, Syscall::ThreadExit, &[0, 0, 42]), WAITS);
    assert_eq!(world.p(process).state.get(), State::Dead);
    let exit = world.p(process).exit.get().unwrap();
    assert_eq!((exit.reason, exit.code), (ExitReason::Exit as u32, 42));
}

#[test]
fn a_thread_that_ends_abandons_its_call() {
    let mut world = World::new(8, true);
    let (process, server) = world.started(2);
    let (client_process, client) = world.started(1);
    let channel = world.channel(process);
    let session = world.session(channel, client_process, 1);
    for leaves in [false, true] {
        let server = server + usize::from(leaves);
        assert_eq!(world.call(client, session, Class::Replay), WAITS);
        assert_eq!(world.receive(server, channel), DELIVERED);
        if leaves {
            world.thread(process);
            world.cancel(client);
            assert_eq!(world.p(client_process).orphans(), 1);
        }
        assert_eq!(world.sys(server, Syscall::ThreadExit, &[0, 0, 0]), WAITS);
        let expected = if leaves { Error::Unknown } else { Error::Abandoned };
        assert_eq!((world.status(client), world.p(client_process).orphans()), (expected as u64, 0));
    }
}

#[test]
fn a_watcher_is_told_and_a_reset_reported() {
    let mut world = World::new(8, true);
    let (process, _) = world.started(1);
    let news = world.channel(0);
    let (managed, held) = (world.managed[process], world.held[news]);
    assert_eq!(world.sys(0, Syscall::ProcessWatch, &[managed, held, 4]), OK);
    world.kill(process, ExitReason::Killed);
    assert_eq!((world.receive(0, news), world.result(0, 2)), (OK, 4));
    assert_eq!(world.sys(0, Syscall::ProcessReset, &[managed, held, 8]), OK);
    assert_eq!((world.receive(0, news), world.result(0, 2)), (OK, 8));
    assert_eq!((world.p(process).state.get(), world.p(process).incarnation.get()), (State::New, 2));
    assert_eq!(world.sys(0, Syscall::ProcessReset, &[managed, held, 16]), OK);
    assert_eq!((world.receive(0, news), world.result(0, 2)), (OK, 16), "it is new already");
    // Watching the dead tells at once.
    world.thread(process);
    world.start(process);
    world.kill(process, ExitReason::Killed);
    assert_eq!(world.receive(0, news), OK);
    assert_eq!(world.sys(0, Syscall::ProcessWatch, &[managed, held, 32]), OK);
    assert_eq!((world.receive(0, news), world.result(0, 2)), (OK, 32));
}

/// A client and a server.
fn pair(world: &mut World) -> (usize, usize, usize, usize, usize, u64) {
    let (server_process, server) = world.started(1);
    let (client_process, client) = world.started(1);
    let channel = world.channel(server_process);
    let session = world.session(channel, client_process, 1);
    (server_process, server, client_process, client, channel, session)
}

#[test]
fn orphans_delay_the_reset() {
    for how in ["reply", "keep", "server dies", "kept and server dies", "kept handle marked to be kept"] {
        let mut world = World::new(8, true);
        let (server_process, server, client_process, client, channel, session) = pair(&mut world);
        assert_eq!(world.call(client, session, Class::Replay), WAITS);
        assert_eq!(world.receive(server, channel), DELIVERED);
        if how.starts_with("ke") {
            assert_eq!(world.sys(server, Syscall::CallKeep, &[]), OK);
        }
        let call = world.result(server, 0);
        if how.ends_with("marked to be kept") {
            assert_eq!(world.sys(server, Syscall::HandleKeep, &[call, 1]), OK);
        }
        world.kill(client_process, ExitReason::Killed);
        assert_eq!(world.p(client_process).state.get(), State::Draining);
        assert_eq!(world.reset(client_process), OK);
        assert_eq!(world.p(client_process).state.get(), State::Draining, "{how}");
        match how {
            "reply" => assert_eq!(world.reply(server), Error::CallerGone as u64),
            "keep" => assert_eq!(world.sys(server, Syscall::HandleClose, &[call]), OK),
            _ => world.kill(server_process, ExitReason::Killed),
        }
        assert_eq!(world.p(client_process).state.get(), State::New, "{how}");
        assert_eq!(world.p(client_process).incarnation.get(), 2);
        if how.contains("server dies") || how.contains("marked") {
            world.revive(server_process, 1);
        }
    }
}

#[test]
fn an_orphan_of_a_dead_server_waits_for_what_that_called() {
    let mut world = World::new(12, true);
    let (middle_process, middle, client_process, client, channel, session) = pair(&mut world);
    let (lower_process, lower) = world.started(1);
    let below = world.channel(lower_process);
    let down = world.session(below, middle_process, 2);
    assert_eq!(world.call(client, session, Class::Replay), WAITS);
    assert_eq!(world.receive(middle, channel), DELIVERED);
    world.advance(10);
    assert_eq!(world.call(middle, down, Class::Replay), WAITS);
    assert_eq!(world.receive(lower, below), DELIVERED);
    world.kill(client_process, ExitReason::Killed);
    world.kill(middle_process, ExitReason::Killed);
    assert_eq!((world.reset(client_process), world.reset(middle_process)), (OK, OK));
    let states = |world: &World| [client_process, middle_process].map(|p| world.p(p).state.get());
    assert_eq!(states(&world), [State::Draining; 2]);
    assert_eq!(world.reply(lower), Error::CallerGone as u64);
    assert_eq!(states(&world), [State::New; 2]);
}

#[test]
fn a_process_that_calls_itself_can_die() {
    for kept in [false, true] {
        let mut world = World::new(8, true);
        let (process, first) = world.started(2);
        let channel = world.channel(process);
        let session = world.session(channel, process, 1);
        assert_eq!(world.receive(first, channel), WAITS);
        assert_eq!(world.call(first + 1, session, Class::Replay), WAITS);
        assert_eq!(world.status(first), DELIVERED);
        if kept {
            assert_eq!(world.sys(first, Syscall::CallKeep, &[]), OK);
        }
        world.restart(process, ExitReason::Killed, 1);
        assert_eq!(world.p(process).incarnation.get(), 2);
    }
}

#[test]
fn a_reset_leaves_other_processes_sessions_and_keeps_marked_handles() {
    let mut world = World::new(8, true);
    let (server_process, server, _, client, channel, session) = pair(&mut world);
    let second = world.channel(server_process);
    let loose =
        world.sys(server, Syscall::HandleDuplicate, &[world.served[channel], u64::from(abi::Rights::SIGNAL.bits()), 1]);
    assert_eq!(loose, OK);
    let loose = world.result(server, 0);
    let server = world.restart(server_process, ExitReason::Killed, 1);
    assert_eq!(world.sys(server, Syscall::HandleInspect, &[loose]), Error::BadHandle as u64);
    for channel in [channel, second] {
        assert_eq!((world.receive(server, channel), world.result(server, 2)), (OK, u64::MAX));
    }
    assert_eq!(world.call(client, session, Class::Replay), WAITS);
    assert_eq!(world.receive(server, channel), DELIVERED);
    assert_eq!(world.reply(server), OK);
}

#[test]
fn threads_in_every_state_die() {
    let mut world = World::new(16, true);
    let (server_process, server) = world.started(2);
    let channel = world.channel(server_process);
    let (process, first) = world.started(6);
    let own = world.channel(process);
    let sessions: Vec<_> = (0..6).map(|n| world.session(channel, process, n)).collect();
    // Kept, current, queued, receiving, running, and one with a deadline.
    assert_eq!(world.call(first, sessions[0], Class::Fail), WAITS);
    assert_eq!(world.receive(server, channel), DELIVERED);
    assert_eq!(world.sys(server, Syscall::CallKeep, &[]), OK);
    assert_eq!(world.call(first + 1, sessions[1], Class::Fail), WAITS);
    assert_eq!(world.receive(server, channel), DELIVERED);
    assert_eq!(world.call(first + 2, sessions[2], Class::Fail), WAITS);
    assert_eq!(world.receive_until(first + 3, own, u64::MAX - 1), WAITS);
    assert_eq!(world.call_until(first + 4, sessions[4], Class::Fail, u64::MAX - 1), WAITS);
    world.kill(process, ExitReason::Killed);
    assert_eq!((world.p(process).orphans(), world.p(process).state.get()), (2, State::Draining));
    assert!((first..first + 6).all(|thread| world.state(thread) == ThreadState::Ended));
    assert!(world.kernel().timers.is_empty());
    assert_eq!(world.reply(server), Error::CallerGone as u64);
    assert_eq!(world.receive(server, channel), OK, "withdrawn");
    let call = world.result(server, 2);
    assert_eq!(world.sys(server, Syscall::CallReply, &[call, 0]), Error::CallerGone as u64);
    assert_eq!(world.p(process).state.get(), State::Dead);
}

#[test]
fn abandoned_processes_are_gone_when_dead() {
    for how in ["new", "dead", "running", "resetting"] {
        let mut world = World::new(8, true);
        let before = world.totals();
        let process = world.process();
        let thread = world.thread(process);
        if how != "new" {
            world.start(process);
        }
        let channel = world.channel(process);
        let managed = world.managed[process];
        let held = world.held[channel];
        assert_eq!(world.sys(0, Syscall::HandleClose, &[held]), OK);
        if how == "dead" || how == "resetting" {
            world.kill(process, ExitReason::Killed);
        }
        if how == "resetting" {
            world.reset(process);
        }
        assert_eq!(world.sys(0, Syscall::HandleClose, &[managed]), OK);
        if how == "running" {
            assert_eq!(world.state(thread), ThreadState::Running);
            assert_eq!(world.sys(thread, Syscall::ProcessKill, &[0, ExitReason::Exit as u64, 3]), WAITS);
        }
        world.processes.pop();
        world.threads.pop();
        world.channels.pop();
        world.poll();
        let after = world.totals();
        assert_eq!(after.0, before.0, "{how}");
        // The supervisor's table and slabs may have grown by frames.
        assert_eq!((after.1.used.handles, after.1.used.threads), (before.1.used.handles, before.1.used.threads));
    }
}

/// Revokes an account: the supervisor asks again until all its processes were found.
fn revoke(world: &mut World, account: u64) {
    let again = Syscall::AccountRevoke as u64;
    let status = (0..100).map(|_| world.sys(0, Syscall::AccountRevoke, &[account])).find(|status| *status != again);
    assert_eq!(status, Some(OK));
}

#[test]
fn revoked_accounts_are_found_among_many_processes() {
    let mut world = World::new(1, false);
    let accounts: Vec<_> = (0..2).map(|_| world.machine.account(800)).collect();
    let ends: Vec<_> = (0..90)
        .map(|n| {
            let account = accounts[usize::from(n % 40 == 39)].get(world.kernel());
            crate::object::Process::create(world.kernel(), account, 0, [0; 16]).unwrap()
        })
        .collect();
    let handle = world.give(0, accounts[1].clone());
    // The search starts where the last one ended, and goes around.
    world.kernel().revoking.start();
    world.kernel().revoking.step(world.kernel());
    revoke(&mut world, handle);
    for (n, process) in ends.iter().enumerate() {
        assert_eq!(process.exit.get().is_some(), n % 40 == 39);
    }
}

#[test]
fn a_revoked_account_kills_all_below() {
    let mut world = World::new(8, true);
    let account = world.machine.account(200);
    let limits = abi::Limits { frames: 60, handles: 20, threads: 2, sessions: 2, processes: 2 };
    let child = account.get(world.kernel()).split(world.kernel(), limits);
    let child = child.unwrap();
    let process = crate::object::Process::create(world.kernel(), child.get(world.kernel()), 0, [0; 16]).unwrap();
    world.managed.push(world.give(0, process.clone()));
    world.processes.push(process);
    let process = world.processes.len() - 1;
    world.thread(process);
    world.start(process);
    let handle = world.give(0, account.clone());
    revoke(&mut world, handle);
    assert_eq!(world.p(process).exit.get().unwrap().reason, ExitReason::Revoked as u32);
    assert_eq!(world.reset(process), OK);
    let managed = world.managed[process];
    assert_eq!(world.sys(0, Syscall::ProcessStart, &[managed]), Error::BadState as u64);
    drop((account, child));
}

#[test]
fn exhausted_accounts_are_told_so() {
    let mut world = World::new(4, true);
    let limits = abi::Limits { frames: 60, handles: 4, threads: 2, sessions: 2, processes: 2 };
    let account = world.root().split(world.kernel(), limits).unwrap();
    let process = crate::object::Process::create(world.kernel(), account.get(world.kernel()), 0, [0; 16]).unwrap();
    world.managed.push(world.give(0, process.clone()));
    world.processes.push(process);
    let process = world.processes.len() - 1;
    let thread = world.thread(process);
    world.start(process);
    let own = world.give(process, account.clone());
    let mut made = 0;
    loop {
        // The thread may be told to ask again, but not for ever.
        let status = (0..5)
            .map(|_| world.sys(thread, Syscall::MemoryCreate, &[own, 4096, 0]))
            .find(|s| *s != Syscall::MemoryCreate as u64);
        match status {
            Some(OK) => made += 1,
            Some(status) => break assert_eq!(status, Error::AccountExhausted as u64),
            None => panic!("it asks for ever"),
        }
    }
    assert_eq!(made, 3);
    let _ = (Handle::NONE, header(Class::Fail), ObjectType::Memory);
}

#[test]
fn processes_that_left_calls_in_each_other_can_die() {
    for first in 0..2 {
        let mut world = World::new(8, true);
        let sides: Vec<_> = (0..2).map(|_| world.started(2)).collect();
        let channels: Vec<_> = sides.iter().map(|(process, _)| world.channel(*process)).collect();
        for n in 0..2 {
            let session = world.session(channels[1 - n], sides[n].0, 1);
            assert_eq!(world.receive(sides[1 - n].1, channels[1 - n]), WAITS);
            world.advance(10);
            assert_eq!(world.call(sides[n].1 + 1, session, Class::Replay), WAITS);
            world.advance(10);
            assert_eq!(world.cancel(sides[n].1 + 1), OK);
        }
        world.kill(sides[first].0, ExitReason::Killed);
        assert_eq!(world.p(sides[first].0).state.get(), State::Draining);
        world.kill(sides[1 - first].0, ExitReason::Killed);
        assert_eq!([0, 1].map(|n| world.p(sides[n].0).state.get()), [State::Dead; 2]);
    }
}
