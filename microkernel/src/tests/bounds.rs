//! Paths through the kernel that are longer the more there is: each step does a bounded part, and in the end all is done.

use super::world::{WAITS, World, header};
use crate::death;
use crate::object::process::State as ProcessState;
use crate::object::thread::State;
use abi::{Class, Delivery, Error, ExitReason, Handle, OK, Syscall};

const CLIENTS: usize = 40;

/// A server with a channel, and clients with a session each. Gives the server's thread and the clients' first.
fn crowd() -> (World, usize, usize, usize, Vec<u64>) {
    let mut world = World::new(CLIENTS + 2, true);
    let (process, server) = world.started(1);
    let channel = world.channel(process);
    let (clients, first) = world.started(CLIENTS);
    let sessions = (0..CLIENTS).map(|n| world.session(channel, clients, n as u64)).collect();
    (world, server, channel, first, sessions)
}

/// The server keeps a call of every client.
fn keep_all(world: &mut World, server: usize, channel: usize, first: usize, sessions: &[u64], class: Class) {
    for (n, session) in sessions.iter().enumerate() {
        assert_eq!(world.call(first + n, *session, class), WAITS);
        assert_eq!(world.receive(server, channel), Delivery::CALL_STATUS);
        assert_eq!(world.sys(server, Syscall::CallKeep, &[]), OK);
    }
}

#[test]
fn a_death_returns_kept_calls_in_steps() {
    let (mut world, server, channel, first, sessions) = crowd();
    keep_all(&mut world, server, channel, first, &sessions, Class::Replay);
    let process = world.t(server).process.clone();
    let kernel = world.kernel();
    death::kill(kernel, process.get(kernel), None, ExitReason::Killed, 0, 0);
    let queued = |world: &World| (0..CLIENTS).filter(|n| world.state(first + n) == State::Queued).count();
    assert_eq!(queued(&world), 0);
    world.poll();
    assert_eq!((queued(&world), process.state.get()), (CLIENTS, ProcessState::Dead));
    // In order of arrival.
    let order = std::iter::from_fn(|| {
        let caller = world.c(channel).first_caller(world.kernel())?;
        world.c(channel).dequeue(caller).map(|_| caller.badge.get())
    });
    assert_eq!(order.collect::<Vec<_>>(), (0..CLIENTS as u64).collect::<Vec<_>>());
}

#[test]
fn a_deadline_may_pass_while_a_death_is_drained() {
    let (mut world, server, channel, first, sessions) = crowd();
    let deadline = world.now + 1000;
    assert_eq!(world.call_until(first, sessions[0], Class::Replay, deadline), WAITS);
    assert_eq!(world.receive(server, channel), Delivery::CALL_STATUS);
    assert_eq!(world.sys(server, Syscall::CallKeep, &[]), OK);
    let process = world.t(server).process.clone();
    death::kill(world.kernel(), process.get(world.kernel()), None, ExitReason::Killed, 0, 0);
    assert_eq!(world.cancel(first), OK);
    assert_eq!(world.status(first), Error::Unknown as u64);
    world.poll();
    assert_eq!((process.state.get(), world.t(first).process.orphans()), (ProcessState::Dead, 0));
    world.check();
}

#[test]
fn a_close_tells_callers_and_sessions_in_steps() {
    let (mut world, server, channel, first, sessions) = crowd();
    keep_all(&mut world, server, channel, first, &sessions[..CLIENTS / 2], Class::Fail);
    for (n, session) in sessions.iter().enumerate().skip(CLIENTS / 2) {
        assert_eq!(world.call(first + n, *session, Class::Fail), WAITS);
    }
    let listed = world.c(channel).sessions.len();
    crate::ipc::close_channel(world.kernel(), world.c(channel));
    assert_eq!((world.c(channel).sessions.len(), listed as usize), (listed, CLIENTS));
    let closing = world.t(server).process.closing.front(world.kernel()).unwrap();
    assert!(!crate::ipc::end::close_step(world.kernel(), closing));
    world.poll();
    for n in 0..CLIENTS {
        let expected = if n < CLIENTS / 2 { Error::Unknown } else { Error::Closed };
        assert_eq!((world.state(first + n), world.status(first + n)), (State::Running, expected as u64));
    }
    assert!(world.c(channel).sessions.is_empty());
    world.check();
}

#[test]
fn a_server_that_refuses_many_receives_again() {
    let (mut world, server, channel, first, sessions) = crowd();
    let process = world.t(server).process.clone();
    for (n, session) in sessions.iter().enumerate() {
        world.t(first + n).call_page().set_handles([Handle(*session); 4]);
        let request = header(Class::Fail).with_handles(4).0;
        assert_eq!(world.sys(first + n, Syscall::Call, &[*session, request]), WAITS);
    }
    // No room for four handles.
    let account = world.root();
    let usage = account.usage();
    let charged = usage.limits.handles - usage.used.handles - 3;
    account.charge(crate::object::Quantity::Handles, charged).unwrap();
    let mut tries = 0;
    while world.c(channel).has_callers() {
        assert_eq!(world.receive(server, channel), Syscall::Receive as u64);
        tries += 1;
    }
    assert!(tries >= CLIENTS / 8, "{tries}");
    assert!((0..CLIENTS).all(|n| world.status(first + n) == Error::PeerFull as u64));
    assert_eq!(world.receive(server, channel), WAITS);
    world.root().uncharge(crate::object::Quantity::Handles, charged);
    assert!(process.is_running());
}

#[test]
fn closes_are_acknowledged_in_any_order() {
    let (mut world, server, channel, _, sessions) = crowd();
    let (kernel, clients) = (world.kernel(), world.processes.len() - 1);
    for session in &sessions {
        crate::ipc::flight::close(kernel, world.p(clients), Handle(*session)).unwrap();
    }
    let closes: Vec<_> = (0..CLIENTS)
        .map(|_| {
            assert_eq!(world.receive(server, channel), OK);
            (world.result(server, 2), world.result(server, 3))
        })
        .collect();
    assert_eq!(world.c(channel).sessions.len() as usize, CLIENTS);
    let served = world.served[channel];
    for (badge, client) in closes.iter().rev() {
        assert_eq!(
            world.sys(server, Syscall::SessionAcknowledge, &[served, *badge, *client + 1]),
            Error::BadState as u64
        );
        assert_eq!(world.sys(server, Syscall::SessionAcknowledge, &[served, *badge, *client]), OK);
        assert_eq!(world.sys(server, Syscall::SessionAcknowledge, &[served, *badge, *client]), Error::BadState as u64);
    }
    assert!(world.c(channel).sessions.is_empty() && world.c(channel).delivered_closes.is_empty());
}
