//! Sessions: how they close, and who is told.

use super::*;

/// The close that the server receives: badge, client, last.
pub(super) fn close(pair: &mut Pair) -> Option<(u64, u64, u64)> {
    let deadline = Header::default().with_deadline().0;
    pair.world.t(pair.server).serve_page().set_deadline(0);
    let served = pair.world.served[pair.channel];
    if pair.world.sys(pair.server, Syscall::Receive, &[served, deadline]) != OK {
        return None;
    }
    let result = |n| pair.world.result(pair.server, n);
    assert_eq!(result(0), Delivery::Close as u64);
    Some((result(2), result(3), result(4)))
}

pub(super) fn shut(world: &mut World, process: usize, handle: u64) {
    let kernel = &*world.machine.kernel;
    crate::ipc::flight::close(kernel, world.processes[process].get(kernel), Handle(handle)).unwrap();
    world.poll();
    world.check();
}

#[test]
fn a_session_closes_once_for_each_process_and_at_last() {
    let mut pair = Pair::new(1);
    let (other_process, _) = pair.world.started(1);
    let client = pair.world.p(pair.client_process).number();
    let other = pair.world.p(other_process).number();
    let second = pair.world.share(pair.client_process, pair.session, pair.client_process);
    let theirs = pair.world.share(pair.client_process, pair.session, other_process);
    let sessions = pair.world.root().usage().used.sessions;
    shut(&mut pair.world, pair.client_process, second);
    assert_eq!(close(&mut pair), None);
    shut(&mut pair.world, pair.client_process, pair.session);
    assert_eq!(close(&mut pair), Some((77, client, 0)));
    assert_eq!(close(&mut pair), None);
    shut(&mut pair.world, other_process, theirs);
    assert_eq!(close(&mut pair), Some((77, other, 1)));
    let served = pair.world.served[pair.channel];
    for (who, expected) in [(client, OK), (client, Error::BadState as u64), (other, OK)] {
        assert_eq!(pair.world.root().usage().used.sessions, sessions);
        assert_eq!(pair.world.sys(pair.server, Syscall::SessionAcknowledge, &[served, 77, who]), expected);
    }
    assert_eq!(pair.world.root().usage().used.sessions, sessions - 1);
    let counts = &pair.world.kernel().counts;
    assert_eq!((counts.of(ObjectType::Session), counts.of(ObjectType::SessionUse)), (0, 0));
}

#[test]
fn a_dead_client_closes_its_sessions() {
    let mut pair = Pair::new(1);
    let client = pair.world.p(pair.client_process).number();
    pair.world.kill(pair.client_process, ExitReason::Killed);
    assert_eq!(close(&mut pair), Some((77, client, 1)));
}

#[test]
fn closes_come_again_to_the_next_incarnation_until_acknowledged() {
    let mut pair = Pair::new(1);
    let client = pair.world.p(pair.client_process).number();
    shut(&mut pair.world, pair.client_process, pair.session);
    for _ in 0..2 {
        assert_eq!(close(&mut pair), Some((77, client, 1)));
        pair.server = pair.world.restart(pair.server_process, ExitReason::Killed, 1);
        pair.receive_signals();
    }
    assert_eq!(close(&mut pair), Some((77, client, 1)));
    let served = pair.world.served[pair.channel];
    assert_eq!(pair.world.sys(pair.server, Syscall::SessionAcknowledge, &[served, 77, client]), OK);
    pair.server = pair.world.restart(pair.server_process, ExitReason::Killed, 1);
    pair.receive_signals();
    assert_eq!(close(&mut pair), None);
}

#[test]
fn a_session_in_flight_is_not_closed() {
    // A session of the server's channel, sent on to a third process while its sender closes it.
    for outcome in ["received", "withdrawn", "back"] {
        let mut pair = Pair::new(1);
        let (third_process, third) = pair.world.started(1);
        let channel = pair.world.channel(third_process);
        let road = pair.world.session(channel, pair.client_process, 1);
        let client = pair.world.p(pair.client_process).number();
        pair.world.t(pair.client).call_page().set_handles([Handle(pair.session); 4]);
        let header = header(Class::Replay).with_handles(1).0;
        assert_eq!(pair.world.sys(pair.client, Syscall::Call, &[road, header]), WAITS);
        shut(&mut pair.world, pair.client_process, pair.session);
        assert_eq!(close(&mut pair), None, "what flies may come to be used");
        match outcome {
            "received" => {
                assert_eq!(pair.world.receive(third, channel), DELIVERED);
                assert_eq!(close(&mut pair), Some((77, client, 0)));
                pair.world.kill(third_process, ExitReason::Killed);
                assert!(close(&mut pair).is_none(), "the message still has it");
                pair.world.cancel(pair.client);
                assert_eq!(close(&mut pair).map(|close| close.2), Some(1));
            }
            "withdrawn" => {
                assert_eq!(pair.world.cancel(pair.client), OK);
                assert_eq!(close(&mut pair), Some((77, client, 1)));
            }
            _ => {
                // Its first user gets it back before anybody was told.
                let kernel = pair.world.kernel();
                let copy = pair.world.t(pair.client).sent.copy(kernel, 0).unwrap();
                let landed = crate::ipc::flight::land(kernel, pair.world.p(pair.client_process), copy);
                pair.world.cancel(pair.client);
                assert_eq!(close(&mut pair), None);
                shut(&mut pair.world, pair.client_process, landed.unwrap().0);
                assert_eq!(close(&mut pair), Some((77, client, 1)));
            }
        }
    }
}

#[test]
fn a_closed_channel_forgets_its_sessions() {
    let mut pair = Pair::new(1);
    let second = pair.world.session(pair.channel, pair.client_process, 78);
    shut(&mut pair.world, pair.client_process, second);
    let held = pair.world.held[pair.channel];
    assert_eq!(pair.world.sys(0, Syscall::ChannelClose, &[held]), OK);
    assert_eq!(pair.world.kernel().counts.of(ObjectType::Session), 1, "the one with a handle");
    shut(&mut pair.world, pair.client_process, pair.session);
    assert_eq!(pair.world.kernel().counts.of(ObjectType::SessionUse), 0);
    let _ = Rights::all();
}
