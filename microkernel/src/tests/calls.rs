//! Calls and sessions: the rows of `docs/states.md`, one by one.

mod sessions;

use self::sessions::{close, shut};
use super::world::{START, WAITS, World, header};
use crate::arch::processor;
use crate::object::Quantity;
use crate::object::reference::ObjectType;
use crate::object::thread::State;
use crate::schedule;
use abi::{Class, Delivery, Error, ExitReason, Handle, Header, OK, Rights, Syscall};

const DELIVERED: u64 = Delivery::CALL_STATUS;
const SECOND: u64 = 1_000_000_000;

/// A client and a server with `threads` threads, a channel between them, and a session of the client with badge 77.
struct Pair {
    world: World,
    client_process: usize,
    client: usize,
    server_process: usize,
    server: usize,
    channel: usize,
    session: u64,
}

impl Pair {
    fn new(threads: usize) -> Pair {
        let mut world = World::new(24, true);
        let (server_process, server) = world.started(threads);
        let (client_process, client) = world.started(1);
        let channel = world.channel(server_process);
        let session = world.session(channel, client_process, 77);
        Pair { world, client_process, client, server_process, server, channel, session }
    }

    fn call(&mut self, class: Class) {
        assert_eq!(self.world.call(self.client, self.session, class), WAITS);
    }

    fn receive(&mut self) -> u64 {
        self.world.receive(self.server, self.channel)
    }

    /// A call that is current in the server.
    fn current(class: Class) -> Pair {
        let mut pair = Pair::new(1);
        pair.call(class);
        assert_eq!(pair.receive(), DELIVERED);
        assert_eq!(pair.world.state(pair.client), State::Current);
        pair
    }

    /// A call that the server keeps. Gives the handle.
    fn kept(class: Class) -> (Pair, u64) {
        let mut pair = Pair::current(class);
        assert_eq!(pair.world.sys(pair.server, Syscall::CallKeep, &[]), OK);
        assert_eq!(pair.world.state(pair.client), State::Kept);
        let handle = pair.world.result(pair.server, 0);
        (pair, handle)
    }

    fn parked(class: Class) -> (Pair, u64) {
        let (mut pair, call) = Pair::kept(class);
        assert_eq!(pair.world.sys(pair.server, Syscall::CallPark, &[call]), OK);
        (pair, call)
    }

    /// How the client's call ended.
    #[track_caller]
    fn ended(&self, error: Error) {
        assert_eq!(self.world.state(self.client), State::Running);
        assert_eq!(self.world.status(self.client), error as u64);
    }

    fn orphans(&self) -> u32 {
        self.world.p(self.client_process).orphans()
    }

    /// The server receives that a kept call was withdrawn.
    fn gets_withdrawn(&mut self, call: u64) {
        assert_eq!(self.receive(), OK);
        assert_eq!(self.world.result(self.server, 0), Delivery::Withdrawn as u64);
        assert_eq!(self.world.result(self.server, 2), call);
    }
}

#[test]
fn a_waiting_server_gets_a_call_with_all_that_it_carries() {
    let mut pair = Pair::new(1);
    assert_eq!(pair.receive(), WAITS);
    let words: Vec<u64> = (0..8).map(|n| n * 1000 + 1).collect();
    let world = &mut pair.world;
    world.t(pair.client).call_page().write_payload(0, b"a payload of 24 bytes...");
    let header = header(Class::Replay).with_payload(24);
    let arguments = [&[pair.session, header.0], &words[..]].concat();
    assert_eq!(world.sys(pair.client, Syscall::Call, &arguments), WAITS);
    assert_eq!((world.state(pair.client), world.state(pair.server)), (State::Current, State::Running));
    assert_eq!((world.status(pair.server), world.result(pair.server, 0)), (DELIVERED, 77));
    assert_eq!(world.result(pair.server, 1), header.0);
    assert_eq!((2..10).map(|n| world.result(pair.server, n)).collect::<Vec<_>>(), words);
    let mut bytes = [0; 24];
    world.t(pair.server).pages().read(4096 + 128, &mut bytes).unwrap();
    assert_eq!(&bytes, b"a payload of 24 bytes...");
    assert_eq!(world.t(pair.server).serve_page().client(), world.p(pair.client_process).number());

    world.t(pair.server).serve_page().write_payload(0, b"answered");
    let reply: Vec<u64> = (0..8).map(|n| n + 500).collect();
    let arguments =
        [&[world.served[pair.channel], Header::words(9, Class::Fail).with_payload(8).0], &reply[..]].concat();
    assert_eq!(world.sys(pair.server, Syscall::ReplyReceive, &arguments), WAITS);
    assert_eq!((world.state(pair.client), world.state(pair.server)), (State::Running, State::Receiving));
    assert_eq!(
        (world.status(pair.client), world.result(pair.client, 1)),
        (OK, Header::words(9, Class::Fail).with_payload(8).0)
    );
    assert_eq!((2..10).map(|n| world.result(pair.client, n)).collect::<Vec<_>>(), reply);
    let mut bytes = [0; 8];
    world.t(pair.client).pages().read(128, &mut bytes).unwrap();
    assert_eq!(&bytes, b"answered");
}

#[test]
fn calls_that_are_refused_leave_nothing() {
    let mut pair = Pair::new(1);
    let (world, client) = (&mut pair.world, pair.client);
    let plain = header(Class::Fail);
    let before = world.totals();
    let call = |world: &mut World, handle, header: Header| world.sys(client, Syscall::Call, &[handle, header.0]);
    assert_eq!(call(world, 0, plain), Error::BadHandle as u64);
    assert_eq!(call(world, pair.session, Header(3 << 19)), Error::BadMessage as u64);
    assert_eq!(call(world, pair.session, Header(1 << 30)), Error::BadMessage as u64);
    assert_eq!(call(world, pair.session, plain.with_payload(3969)), Error::BadMessage as u64);
    world.t(client).call_page().set_handles([Handle(pair.session), Handle(0x999), Handle::NONE, Handle::NONE]);
    assert_eq!(call(world, pair.session, plain.with_handles(2)), Error::BadHandle as u64);
    world.t(client).call_page().set_deadline(START);
    assert_eq!(call(world, pair.session, plain.with_deadline()), Error::NotStarted as u64);
    assert_eq!(world.totals(), before);
}

#[test]
fn queued_then_received() {
    let mut pair = Pair::new(1);
    pair.call(Class::Fail);
    assert_eq!(pair.world.state(pair.client), State::Queued);
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.state(pair.client), State::Current);
}

#[test]
fn deadlock_is_refused() {
    // A process in a chain of its own: client -> server -> client's process.
    let mut pair = Pair::current(Class::Fail);
    let back = pair.world.channel(pair.client_process);
    let session = pair.world.session(back, pair.server_process, 1);
    assert_eq!(pair.world.call(pair.server, session, Class::Fail), Error::Deadlock as u64);
    // Itself.
    let own = pair.world.session(pair.channel, pair.server_process, 1);
    assert_eq!(pair.world.call(pair.server, own, Class::Fail), Error::Deadlock as u64);
    // A thread that waits takes it, even of the same process.
    let other = pair.world.thread(pair.client_process);
    assert_eq!(pair.world.receive(other, back), WAITS);
    assert_eq!(pair.world.call(pair.server, session, Class::Fail), WAITS);
    assert_eq!(pair.world.status(other), DELIVERED);
}

#[test]
fn a_chain_of_nine_is_refused() {
    let mut world = World::new(24, true);
    let mut threads = Vec::new();
    let mut channels = Vec::new();
    for _ in 0..10 {
        let (process, thread) = world.started(1);
        channels.push(world.channel(process));
        threads.push((process, thread));
    }
    for n in 1..10 {
        assert_eq!(world.receive(threads[n].1, channels[n]), WAITS);
    }
    for n in 0..8 {
        let session = world.session(channels[n + 1], threads[n].0, 0);
        assert_eq!(world.call(threads[n].1, session, Class::Fail), WAITS, "call {n}");
    }
    let session = world.session(channels[9], threads[8].0, 0);
    assert_eq!(world.call(threads[8].1, session, Class::Fail), Error::Deadlock as u64);
    for n in (1..9).rev() {
        assert_eq!(world.reply(threads[n].1), OK);
        assert_eq!(world.status(threads[n - 1].1), OK);
    }
    assert_eq!(world.call(threads[8].1, session, Class::Fail), WAITS);
}

#[test]
fn a_closed_channel_refuses() {
    let mut pair = Pair::new(1);
    let held = pair.world.held[pair.channel];
    assert_eq!(pair.world.sys(0, Syscall::ChannelClose, &[held]), OK);
    assert_eq!(pair.world.call(pair.client, pair.session, Class::Fail), Error::Closed as u64);
    assert_eq!(pair.receive(), Error::Closed as u64);
    assert_eq!(pair.world.sys(0, Syscall::Signal, &[held, 1]), Error::Closed as u64);
}

#[test]
fn queued_and_ended() {
    for was_delivered in [false, true] {
        let start = || {
            let mut pair = Pair::new(1);
            pair.call(Class::Replay);
            if was_delivered {
                assert_eq!(pair.receive(), DELIVERED);
                pair.server = pair.world.restart(pair.server_process, ExitReason::Killed, 1);
            }
            assert_eq!(pair.world.state(pair.client), State::Queued);
            pair
        };
        let mut pair = start();
        pair.world.cancel(pair.client);
        pair.ended(if was_delivered { Error::Unknown } else { Error::NotStarted });
        let mut pair = start();
        let held = pair.world.held[pair.channel];
        pair.world.sys(0, Syscall::ChannelClose, &[held]);
        pair.ended(if was_delivered { Error::Unknown } else { Error::Closed });
        let mut pair = start();
        pair.world.kill(pair.client_process, ExitReason::Killed);
        assert_eq!((pair.world.c(pair.channel).callers(), pair.orphans()), (0, 0));
    }
    let mut pair = Pair::new(1);
    assert_eq!(pair.world.call_until(pair.client, pair.session, Class::Fail, START + SECOND), WAITS);
    pair.world.advance(SECOND - 1);
    assert_eq!(pair.world.state(pair.client), State::Queued);
    pair.world.advance(1);
    pair.ended(Error::NotStarted);
}

#[test]
fn current_and_ended() {
    let mut pair = Pair::current(Class::Fail);
    assert_eq!(pair.receive(), Error::BadState as u64);
    assert_eq!(pair.world.reply(pair.server), OK);
    assert_eq!((pair.world.status(pair.client), pair.world.reply(pair.server)), (OK, Error::BadState as u64));

    let mut pair = Pair::current(Class::Fail);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallAbandon, &[0]), OK);
    pair.ended(Error::Abandoned);

    // An orphan: until the thread answers or abandons it.
    for number in [Syscall::Reply, Syscall::CallAbandon, Syscall::ReplyReceive] {
        let mut pair = Pair::current(Class::Fail);
        assert_eq!(pair.world.cancel(pair.client), OK);
        pair.ended(Error::Unknown);
        assert_eq!((pair.orphans(), pair.receive()), (1, Error::BadState as u64));
        let expected = if number == Syscall::CallAbandon { OK } else { Error::CallerGone as u64 };
        let arguments = if number == Syscall::ReplyReceive { pair.world.served[pair.channel] } else { 0 };
        assert_eq!(pair.world.sys(pair.server, number, &[arguments]), expected);
        assert_eq!((pair.orphans(), pair.receive()), (0, WAITS));
    }
    // Deadline.
    let mut pair = Pair::new(1);
    assert_eq!(pair.world.call_until(pair.client, pair.session, Class::Fail, START + SECOND), WAITS);
    assert_eq!(pair.receive(), DELIVERED);
    pair.world.advance(SECOND);
    pair.ended(Error::Unknown);
    assert_eq!(pair.orphans(), 1);
    // The caller dies.
    let mut pair = Pair::current(Class::Fail);
    pair.world.kill(pair.client_process, ExitReason::Killed);
    assert_eq!((pair.orphans(), pair.world.reply(pair.server)), (1, Error::CallerGone as u64));
    assert_eq!(pair.orphans(), 0);
}

#[test]
fn kept_and_ended() {
    let (mut pair, call) = Pair::kept(Class::Fail);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0, 5]), OK);
    assert_eq!((pair.world.status(pair.client), pair.world.result(pair.client, 2)), (OK, 5));
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0]), Error::BadHandle as u64);

    let (mut pair, call) = Pair::kept(Class::Fail);
    assert_eq!(pair.receive(), WAITS, "the thread is free");
    let other = pair.world.thread(pair.server_process);
    assert_eq!(pair.world.sys(other, Syscall::CallResume, &[call]), OK);
    assert_eq!((pair.world.state(pair.client), pair.world.t(other).depth.get()), (State::Current, 1));
    assert_eq!(pair.world.sys(other, Syscall::CallResume, &[call]), Error::BadHandle as u64);
    assert_eq!(pair.world.reply(other), OK);
    assert_eq!(pair.world.status(pair.client), OK);

    for number in [Syscall::CallAbandon, Syscall::HandleClose] {
        let (mut pair, call) = Pair::kept(Class::Fail);
        assert_eq!(pair.world.sys(pair.server, number, &[call]), OK);
        pair.ended(Error::Abandoned);
    }
    // Whose caller left: withdrawn, and an orphan until it is answered, abandoned or closed.
    for number in [Syscall::CallReply, Syscall::CallAbandon, Syscall::HandleClose] {
        for dies in [false, true] {
            let (mut pair, call) = Pair::kept(Class::Fail);
            if dies {
                pair.world.kill(pair.client_process, ExitReason::Killed);
            } else {
                assert_eq!(pair.world.cancel(pair.client), OK);
                pair.ended(Error::Unknown);
            }
            assert_eq!(pair.orphans(), 1);
            pair.gets_withdrawn(call);
            assert_eq!(pair.world.sys(pair.server, Syscall::CallPark, &[call]), Error::CallerGone as u64);
            assert_eq!(pair.world.sys(pair.server, Syscall::CallProgress, &[call]), Error::CallerGone as u64);
            let expected = if number == Syscall::CallReply { Error::CallerGone as u64 } else { OK };
            assert_eq!((pair.world.sys(pair.server, number, &[call, 0]), pair.orphans()), (expected, 0));
            assert_eq!(pair.world.sys(pair.server, Syscall::HandleInspect, &[call]), Error::BadHandle as u64);
        }
    }
}

#[test]
fn work_for_a_caller_that_left_goes_on_through_waits() {
    // It leaves while the server waits for something, with the call kept; and before that.
    for leaves_first in [false, true] {
        let mut pair = Pair::new(1);
        pair.call(Class::Fail);
        assert_eq!(pair.receive(), DELIVERED);
        let own = pair.world.channel(pair.server_process);
        for _ in 0..2 {
            if leaves_first {
                pair.world.kill(pair.client_process, ExitReason::Killed);
            }
            assert_eq!(pair.world.sys(pair.server, Syscall::CallKeep, &[]), OK);
            let call = pair.world.result(pair.server, 0);
            let held = pair.world.held[own];
            assert_eq!(pair.world.sys(0, Syscall::Signal, &[held, 1]), OK);
            assert_eq!(pair.world.receive(pair.server, own), OK);
            if !leaves_first {
                pair.world.kill(pair.client_process, ExitReason::Killed);
            }
            assert_eq!(pair.orphans(), 1);
            assert_eq!(pair.world.sys(pair.server, Syscall::CallResume, &[call]), OK);
            assert_eq!(pair.orphans(), 1);
        }
        assert_eq!((pair.world.reply(pair.server), pair.orphans()), (Error::CallerGone as u64, 0));
        assert_eq!(pair.world.p(pair.server_process).active_calls.get(), 0);
    }
}

#[test]
fn a_call_that_is_kept_when_its_caller_left_is_withdrawn() {
    let mut pair = Pair::new(1);
    pair.call(Class::Fail);
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.cancel(pair.client), OK);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallKeep, &[]), OK);
    let call = pair.world.result(pair.server, 0);
    pair.gets_withdrawn(call);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0]), Error::CallerGone as u64);
    assert_eq!(pair.orphans(), 0);
}

#[test]
fn parked_and_ended() {
    let (mut pair, call) = Pair::parked(Class::Fail);
    assert_eq!(pair.world.p(pair.server_process).active_calls.get(), 0);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0]), OK);
    assert_eq!(pair.world.status(pair.client), OK);
    let (mut pair, call) = Pair::parked(Class::Fail);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallResume, &[call]), OK);
    assert_eq!(pair.world.p(pair.server_process).active_calls.get(), 1);
    assert_eq!(pair.world.reply(pair.server), OK);
    let (mut pair, call) = Pair::parked(Class::Fail);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallAbandon, &[call]), OK);
    pair.ended(Error::Abandoned);
    let (mut pair, call) = Pair::parked(Class::Fail);
    assert_eq!(pair.world.cancel(pair.client), OK);
    pair.ended(Error::NotStarted);
    assert_eq!(pair.orphans(), 0);
    pair.gets_withdrawn(call);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0]), Error::CallerGone as u64);
}

#[test]
fn a_channel_that_closes_ends_kept_calls() {
    for parks in [false, true] {
        let (mut pair, call) = if parks { Pair::parked(Class::Fail) } else { Pair::kept(Class::Fail) };
        let held = pair.world.held[pair.channel];
        pair.world.sys(0, Syscall::ChannelClose, &[held]);
        pair.ended(if parks { Error::Closed } else { Error::Unknown });
        assert_eq!(pair.orphans(), u32::from(!parks));
        assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0]), Error::CallerGone as u64);
        assert_eq!(pair.orphans(), 0);
    }
    // A current one is answered still; receiving is over then.
    for fast in [false, true] {
        let mut pair = Pair::new(1);
        pair.world.use_fast = fast;
        pair.receive();
        pair.call(Class::Fail);
        let held = pair.world.held[pair.channel];
        pair.world.sys(0, Syscall::ChannelClose, &[held]);
        let served = pair.world.served[pair.channel];
        assert_eq!(pair.world.sys(pair.server, Syscall::ReplyReceive, &[served, 0]), Error::Closed as u64);
        assert_eq!(pair.world.reply(pair.server), OK);
        assert_eq!(pair.world.status(pair.client), OK);
    }
}

#[test]
fn a_server_dies_with_a_call() {
    for class in [Class::Fail, Class::Replay, Class::Once] {
        for reason in [ExitReason::Killed, ExitReason::Hung] {
            let mut pair = Pair::current(class);
            pair.world.kill(pair.server_process, reason);
            if class == Class::Fail {
                pair.ended(Error::PeerDied);
                continue;
            }
            assert_eq!(pair.world.state(pair.client), State::Queued);
            pair.server = pair.world.revive(pair.server_process, 1);
            pair.receive_signals();
            assert_eq!(pair.receive(), DELIVERED);
            assert!(Header(pair.world.result(pair.server, 1)).is_replayed());
            let page = pair.world.t(pair.server).serve_page();
            assert_eq!((page.faults(), page.hangs()), (0, u32::from(reason == ExitReason::Hung)));
        }
    }
    // Kept: faults are not counted; parked: whatever the class.
    for class in [Class::Fail, Class::Replay] {
        for parks in [false, true] {
            let (mut pair, _) = if parks { Pair::parked(class) } else { Pair::kept(class) };
            pair.world.fault(pair.server);
            if class == Class::Fail && !parks {
                pair.ended(Error::PeerDied);
                continue;
            }
            pair.server = pair.world.revive(pair.server_process, 1);
            pair.receive_signals();
            assert_eq!(pair.receive(), DELIVERED);
            assert_eq!(pair.world.t(pair.server).serve_page().faults(), 0);
            assert_eq!(pair.world.reply(pair.server), OK);
            assert_eq!(pair.world.status(pair.client), OK);
        }
    }
}

impl Pair {
    /// A new incarnation starts with every signal bit set.
    fn receive_signals(&mut self) {
        assert_eq!(self.receive(), OK);
        assert_eq!(self.world.result(self.server, 0), Delivery::Signals as u64);
        assert_eq!(self.world.result(self.server, 2), u64::MAX);
    }
}

#[test]
fn a_replay_brings_the_same_bytes_and_handles_again() {
    let mut pair = Pair::new(1);
    let gift = pair.world.channel(pair.client_process);
    let gift = pair.world.served[gift];
    let world = &mut pair.world;
    let page = world.t(pair.client).call_page();
    page.set_handles([Handle(gift), Handle(pair.session), Handle::NONE, Handle::NONE]);
    page.set_lane(3);
    page.set_sequence(9);
    page.write_payload(0, b"12345678");
    let header = header(Class::Once).with_handles(2).with_payload(8).with_reply_handles(2);
    assert_eq!(world.sys(pair.client, Syscall::Call, &[pair.session, header.0, 42]), WAITS);
    // The frame of the caller does not matter any more, nor does its table.
    assert_eq!(crate::ipc::flight::close(world.kernel(), world.p(pair.client_process), Handle(gift)), Ok(()));
    for faults in 0..3 {
        let world = &mut pair.world;
        assert_eq!(world.receive(pair.server, pair.channel), DELIVERED);
        let page = world.t(pair.server).serve_page();
        assert_eq!((page.lane(), page.sequence(), page.faults()), (3, 9, faults));
        assert_eq!(world.result(pair.server, 2), 42);
        let mut bytes = [0; 8];
        world.t(pair.server).pages().read(4096 + 128, &mut bytes).unwrap();
        assert_eq!(&bytes, b"12345678");
        let kinds = page.handles().map(|handle| world.p(pair.server_process).handles.describe(world.kernel(), handle));
        assert_eq!(kinds[0].map(|found| found.kind), Ok(abi::Kind::Channel));
        assert_eq!(kinds[1].map(|found| found.kind), Ok(abi::Kind::Session));
        assert!(kinds[2].is_err());
        world.fault(pair.server);
        pair.server = world.revive(pair.server_process, 1);
        // The session that died with the server's table is the server's own, and not the last use: nobody is told.
        pair.receive_signals();
    }
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallAbandon, &[0]), OK);
    pair.ended(Error::Abandoned);
}

#[test]
fn replays_come_first_and_in_order_of_arrival() {
    let mut pair = Pair::new(3);
    let clients: Vec<_> = (0..5)
        .map(|n| {
            let (process, thread) = pair.world.started(1);
            (thread, pair.world.session(pair.channel, process, n))
        })
        .collect();
    for (client, session) in &clients {
        pair.world.advance(10);
        assert_eq!(pair.world.call(*client, *session, Class::Replay), WAITS);
    }
    // Received in the order 0, 1, 2; by then 2 threads have progress to tell, in another order, and one is kept.
    for n in 0..3 {
        pair.world.advance(10);
        assert_eq!(pair.world.receive(pair.server + n, pair.channel), DELIVERED);
    }
    pair.world.advance(10);
    pair.world.sys(pair.server, Syscall::CallProgress, &[0]);
    pair.world.sys(pair.server + 1, Syscall::CallKeep, &[]);
    pair.server = pair.world.restart(pair.server_process, ExitReason::Killed, 5);
    pair.receive_signals();
    for n in 0..5 {
        assert_eq!(pair.world.receive(pair.server + n, pair.channel), DELIVERED);
        assert_eq!(pair.world.result(pair.server + n, 0), n as u64);
    }
}

#[test]
fn suspects_are_alone() {
    let mut pair = Pair::new(1);
    let (other_process, other) = pair.world.started(1);
    let second = pair.world.session(pair.channel, other_process, 5);
    pair.call(Class::Replay);
    assert_eq!(pair.receive(), DELIVERED);
    pair.world.fault(pair.server);
    pair.server = pair.world.revive(pair.server_process, 3);
    let [a, b, c] = [0, 1, 2].map(|n| pair.server + n);
    pair.receive_signals();
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.t(a).serve_page().faults(), 1);
    // Nothing beside it.
    assert_eq!(pair.world.receive(b, pair.channel), WAITS);
    assert_eq!(pair.world.call(other, second, Class::Replay), WAITS);
    assert_eq!((pair.world.state(other), pair.world.state(b)), (State::Queued, State::Receiving));
    // Until it ends.
    assert_eq!(pair.world.reply(a), OK);
    assert_eq!((pair.world.status(pair.client), pair.world.state(other)), (OK, State::Current));
    // The next call of the same thread is no suspect.
    assert_eq!(pair.world.receive(c, pair.channel), WAITS);
    pair.call(Class::Replay);
    assert_eq!((pair.world.state(pair.client), pair.world.state(c)), (State::Current, State::Running));
}

/// Two suspects that the server, which has three threads now, has parked. Gives the second client, and both handles.
fn parked_suspects() -> (Pair, usize, [u64; 2]) {
    let mut pair = Pair::new(2);
    let (other_process, other) = pair.world.started(1);
    let second = pair.world.session(pair.channel, other_process, 5);
    pair.call(Class::Replay);
    assert_eq!(pair.world.call(other, second, Class::Replay), WAITS);
    for thread in 0..2 {
        assert_eq!(pair.world.receive(pair.server + thread, pair.channel), DELIVERED);
    }
    // A hang is the fault of all that were current.
    pair.server = pair.world.restart(pair.server_process, ExitReason::Hung, 3);
    pair.receive_signals();
    let calls = [0; 2].map(|_| {
        assert_eq!(pair.receive(), DELIVERED);
        assert_eq!(pair.world.sys(pair.server, Syscall::CallKeep, &[]), OK);
        let call = pair.world.result(pair.server, 0);
        assert_eq!(pair.world.sys(pair.server, Syscall::CallPark, &[call]), OK);
        call
    });
    (pair, other, calls)
}

#[test]
fn suspects_resumed_together_are_alone() {
    let (mut pair, other, [first, second]) = parked_suspects();
    let [a, b, c] = [0, 1, 2].map(|n| pair.server + n);
    assert_eq!(pair.world.sys(a, Syscall::CallResume, &[first]), OK);
    // The other would be beside it: it goes back to the queue, as nothing was done for it.
    assert_eq!(pair.world.sys(b, Syscall::CallResume, &[second]), Error::CallerGone as u64);
    assert_eq!(pair.world.sys(b, Syscall::HandleInspect, &[second]), Error::BadHandle as u64);
    assert_eq!((pair.world.state(pair.client), pair.world.state(other)), (State::Current, State::Queued));
    assert_eq!(pair.world.receive(b, pair.channel), WAITS);
    assert_eq!(pair.world.reply(a), OK);
    assert_eq!((pair.world.status(pair.client), pair.world.state(other)), (OK, State::Current));
    // And nothing beside that one.
    assert_eq!(pair.world.receive(c, pair.channel), WAITS);
    pair.call(Class::Replay);
    assert_eq!(pair.world.state(pair.client), State::Queued);
    assert_eq!(pair.world.reply(b), OK);
    assert_eq!((pair.world.status(other), pair.world.state(pair.client)), (OK, State::Current));
}

#[test]
fn a_parked_suspect_that_is_answered_leaves_the_other_alone() {
    let (mut pair, other, [first, second]) = parked_suspects();
    let [a, b, _] = [0, 1, 2].map(|n| pair.server + n);
    assert_eq!(pair.world.sys(a, Syscall::CallResume, &[first]), OK);
    assert_eq!(pair.world.sys(b, Syscall::CallReply, &[second, 0]), OK);
    assert_eq!(pair.world.status(other), OK);
    assert_eq!(pair.world.receive(b, pair.channel), WAITS);
    let third = pair.world.session(pair.channel, pair.client_process, 6);
    let third = pair.world.share(pair.client_process, third, 0);
    assert_eq!(pair.world.call(0, third, Class::Replay), WAITS);
    assert_eq!(pair.world.state(0), State::Queued);
    assert_eq!(pair.world.reply(a), OK);
    assert_eq!(pair.world.state(0), State::Current);
}

/// A suspect that waits as the server has another call, with a receiver that waits.
fn waiting_suspect() -> (Pair, usize, u64) {
    let mut pair = Pair::new(1);
    let (other_process, other) = pair.world.started(1);
    let second = pair.world.session(pair.channel, other_process, 5);
    assert_eq!(pair.world.call(other, second, Class::Replay), WAITS);
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallKeep, &[]), OK);
    pair.world.advance(10);
    pair.call(Class::Replay);
    assert_eq!(pair.receive(), DELIVERED);
    pair.world.fault(pair.server);
    pair.server = pair.world.revive(pair.server_process, 3);
    pair.receive_signals();
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.state(other), State::Current, "it came first, and is innocent");
    assert_eq!(pair.world.receive(pair.server + 1, pair.channel), WAITS);
    (pair, other, second)
}

#[test]
fn a_suspect_waits_for_others_and_is_not_overtaken() {
    let (mut pair, other, _) = waiting_suspect();
    let (third_process, third) = pair.world.started(1);
    let session = pair.world.session(pair.channel, third_process, 6);
    assert_eq!(pair.world.call(third, session, Class::Replay), WAITS);
    assert_eq!(pair.world.state(third), State::Queued);
    assert_eq!(pair.world.receive(pair.server + 2, pair.channel), WAITS);
    assert_eq!(pair.world.reply(pair.server), OK);
    assert_eq!(pair.world.status(other), OK);
    assert_eq!((pair.world.state(pair.client), pair.world.state(third)), (State::Current, State::Queued));
    // It parks: the third's turn.
    let thread = (0..3).map(|n| pair.server + n).find(|thread| pair.world.status(*thread) == DELIVERED).unwrap();
    assert_eq!(pair.world.sys(thread, Syscall::CallKeep, &[]), OK);
    let call = pair.world.result(thread, 0);
    assert_eq!(pair.world.state(third), State::Queued);
    assert_eq!(pair.world.sys(thread, Syscall::CallPark, &[call]), OK);
    assert_eq!(pair.world.state(third), State::Current);
}

#[test]
fn a_suspect_that_leaves_is_waited_for_no_more() {
    let (mut pair, _, _) = waiting_suspect();
    let (third_process, third) = pair.world.started(1);
    let session = pair.world.session(pair.channel, third_process, 6);
    assert_eq!(pair.world.reply(pair.server), OK);
    assert_eq!(pair.world.state(pair.client), State::Current);
    assert_eq!(pair.world.receive(pair.server, pair.channel), WAITS);
    assert_eq!(pair.world.call(third, session, Class::Replay), WAITS);
    assert_eq!(pair.world.state(third), State::Queued);
    assert_eq!(pair.world.cancel(pair.client), OK);
    pair.ended(Error::Unknown);
    assert_eq!(pair.world.state(third), State::Current);
}

#[test]
fn who_faults_is_blamed_and_all_that_hang() {
    for hangs in [false, true] {
        let mut pair = Pair::new(2);
        let (other_process, other) = pair.world.started(1);
        let second = pair.world.session(pair.channel, other_process, 5);
        pair.call(Class::Replay);
        assert_eq!(pair.world.call(other, second, Class::Replay), WAITS);
        assert_eq!(pair.receive(), DELIVERED);
        assert_eq!(pair.world.receive(pair.server + 1, pair.channel), DELIVERED);
        if hangs {
            pair.world.kill(pair.server_process, ExitReason::Hung);
        } else {
            pair.world.fault(pair.server + 1);
        }
        let counts = [pair.client, other].map(|t| (pair.world.t(t).faults.get(), pair.world.t(t).hangs.get()));
        assert_eq!(counts, if hangs { [(0, 1), (0, 1)] } else { [(0, 0), (1, 0)] });
    }
}

#[test]
fn handles_that_do_not_fit_end_the_call() {
    let mut pair = Pair::new(1);
    let small = pair.world.machine.account(40);
    let world = &mut pair.world;
    // A server whose account has room for two handles more.
    let process = crate::object::Process::create(world.kernel(), small.get(world.kernel()), 0, [0; 16]).unwrap();
    world.managed.push(world.give(0, process.clone()));
    world.processes.push(process);
    let full = world.processes.len() - 1;
    let server = world.thread(full);
    world.start(full);
    let channel = world.channel(full);
    let session = world.session(channel, pair.client_process, 1);
    let used = small.usage();
    small.charge(crate::object::Quantity::Handles, used.limits.handles - used.used.handles - 2).unwrap();
    let charged = used.limits.handles - used.used.handles - 2;
    assert_eq!(world.receive(server, channel), WAITS);
    let before = small.usage();
    world.t(pair.client).call_page().set_handles([Handle(pair.session); 4]);
    let header = header(Class::Replay).with_handles(3);
    assert_eq!(world.sys(pair.client, Syscall::Call, &[session, header.0]), Error::PeerFull as u64);
    assert_eq!((world.state(server), small.usage()), (State::Receiving, before));
    // Queued, the next caller has its turn.
    assert_eq!(world.sys(pair.client, Syscall::Call, &[session, header.with_handles(2).0]), WAITS);
    assert_eq!(world.state(server), State::Running);
    world.kill(full, ExitReason::Killed);
    small.uncharge(crate::object::Quantity::Handles, charged);
    drop(small);
}

#[test]
fn replies_move_handles_and_consume_what_does_not_fit() {
    let mut pair = Pair::new(1);
    let (world, server_process) = (&mut pair.world, pair.server_process);
    let gifts: Vec<u64> = (0..3).map(|badge| world.session(pair.channel, server_process, 100 + badge)).collect();
    let handles = |world: &World, process: usize| world.p(process).handles.len();
    let before = (handles(world, pair.client_process), handles(world, server_process));
    let request = header(Class::Fail).with_reply_handles(2).0;
    assert_eq!(world.sys(pair.client, Syscall::Call, &[pair.session, request]), WAITS);
    assert_eq!(world.receive(pair.server, pair.channel), DELIVERED);
    let page = world.t(pair.server).serve_page();
    page.set_handles([Handle(gifts[0]), Handle(0xbad), Handle(gifts[1]), Handle(gifts[2])]);
    let reply = Header::default().with_handles(4).0;
    assert_eq!(world.sys(pair.server, Syscall::Reply, &[0, reply]), OK);
    let landed = world.t(pair.client).call_page().handles();
    assert!(!landed[0].is_none() && landed[1].is_none() && landed[2].is_none() && landed[3].is_none());
    assert_eq!((handles(world, pair.client_process), handles(world, server_process)), (before.0 + 1, before.1 - 3));
    // Their closes: not of the one that moved, as the server's own use of it is not the last.
    for (badge, last) in [(101, 1), (102, 1)] {
        assert_eq!(world.receive(pair.server, pair.channel), OK);
        assert_eq!((world.result(pair.server, 2), world.result(pair.server, 4)), (badge, last));
    }
    assert_eq!(world.receive(pair.server, pair.channel), WAITS);
}

#[test]
fn a_reply_to_an_orphan_consumes_its_handles() {
    let mut pair = Pair::current(Class::Fail);
    let gift = pair.world.session(pair.channel, pair.server_process, 100);
    assert_eq!(pair.world.cancel(pair.client), OK);
    pair.world.t(pair.server).serve_page().set_handles([Handle(gift); 4]);
    let reply = Header::default().with_handles(1).0;
    assert_eq!(pair.world.sys(pair.server, Syscall::Reply, &[0, reply]), Error::CallerGone as u64);
    assert_eq!(pair.world.sys(pair.server, Syscall::HandleInspect, &[gift]), Error::BadHandle as u64);
}

#[test]
fn a_reply_mints_a_session_for_its_caller() {
    let mut pair = Pair::new(1);
    let (world, server) = (&mut pair.world, pair.server);
    let client = world.p(pair.client_process).number();
    let served = world.served[pair.channel];
    let before = world.totals();
    let request = header(Class::Once).with_reply_handles(2).0;
    assert_eq!(world.receive(server, pair.channel), WAITS);
    assert_eq!(world.sys(pair.client, Syscall::Call, &[pair.session, request]), WAITS);
    let page = world.t(server).serve_page();
    page.set_badge(99);
    let reply = Header::words(6, Class::Fail).with_handles(1).with_minted().0;
    // What is wrong is found before the call is answered.
    let limited = world.share(pair.server_process, served, pair.server_process);
    let rights = Rights::RECEIVE.bits().into();
    assert_eq!(world.sys(server, Syscall::HandleDuplicate, &[limited, rights, 0]), OK);
    let receive_only = world.result(server, 0);
    for (channel, error) in [(0xbad, Error::BadHandle), (receive_only, Error::Denied)] {
        page.set_channel(Handle(channel));
        assert_eq!(world.sys(server, Syscall::ReplyReceive, &[served, reply]), error as u64);
        assert_eq!(world.sys(server, Syscall::Reply, &[0, reply]), error as u64);
        assert_eq!(world.state(pair.client), State::Current);
    }
    for handle in [limited, receive_only] {
        assert_eq!(world.sys(server, Syscall::HandleClose, &[handle]), OK);
    }
    page.set_channel(Handle(served));
    let none = Header::default().with_minted().0;
    assert_eq!(world.sys(server, Syscall::Reply, &[0, none]), Error::BadMessage as u64);
    let handles = world.p(pair.server_process).handles.len();
    assert_eq!(world.sys(server, Syscall::ReplyReceive, &[served, reply]), WAITS);
    assert_eq!(world.p(pair.server_process).handles.len(), handles, "it was never the server's");
    assert_eq!(world.outcome(pair.client), OK);
    let [minted, others @ ..] = world.t(pair.client).call_page().handles();
    assert!(!minted.is_none() && others.iter().all(|other| other.is_none()));
    assert_eq!(world.sys(pair.client, Syscall::Call, &[minted.0, header(Class::Fail).0]), WAITS);
    assert_eq!(world.result(server, 0), 99, "the badge");
    // There is no room for another.
    assert_eq!(world.sys(server, Syscall::Reply, &[0, reply]), Error::NoSlot as u64);
    assert_eq!(world.sys(server, Syscall::Reply, &[0, 0]), OK);
    shut(world, pair.client_process, minted.0);
    assert_eq!(close(&mut pair), Some((99, client, 1)));
    // It is acknowledged with the next receive, once.
    let world = &mut pair.world;
    let receive = Header::default().with_acknowledgement().0;
    assert_eq!(world.sys(server, Syscall::Receive, &[served, receive, 99, client]), WAITS);
    assert_eq!(world.totals(), before);
}

#[test]
fn nothing_is_minted_for_who_is_gone_or_later() {
    let mut pair = Pair::current(Class::Fail);
    let served = pair.world.served[pair.channel];
    let sessions = pair.world.kernel().counts.of(ObjectType::Session);
    let page = pair.world.t(pair.server).serve_page();
    page.set_channel(Handle(served));
    // The first handle is what is minted.
    page.set_handles([Handle(served); 4]);
    assert_eq!(pair.world.cancel(pair.client), OK);
    let reply = Header::default().with_handles(1).with_minted().0;
    assert_eq!(pair.world.sys(pair.server, Syscall::Reply, &[0, reply]), Error::CallerGone as u64);
    assert_eq!(pair.world.sys(pair.server, Syscall::HandleInspect, &[served]), OK);
    let (mut pair, call) = Pair::kept(Class::Fail);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, reply]), Error::BadMessage as u64);
    assert_eq!(pair.world.sys(pair.server, Syscall::CallReply, &[call, 0]), OK);
    assert_eq!(pair.world.kernel().counts.of(ObjectType::Session), sessions);
}

#[test]
fn a_session_that_cannot_be_minted_leaves_nothing() {
    let mut pair = Pair::new(1);
    let world = &mut pair.world;
    let served = world.served[pair.channel];
    let request = header(Class::Fail).with_reply_handles(1).0;
    assert_eq!(world.sys(pair.client, Syscall::Call, &[pair.session, request]), WAITS);
    assert_eq!(world.receive(pair.server, pair.channel), DELIVERED);
    world.t(pair.server).serve_page().set_channel(Handle(served));
    let before = world.totals();
    let usage = world.root().usage();
    let left = usage.limits.sessions - usage.used.sessions;
    world.root().charge(Quantity::Sessions, left).unwrap();
    let reply = Header::default().with_handles(1).with_minted().0;
    assert_eq!(world.sys(pair.server, Syscall::Reply, &[0, reply]), Error::AccountExhausted as u64);
    world.root().uncharge(Quantity::Sessions, left);
    assert_eq!(world.totals(), before);
    assert_eq!(world.sys(pair.server, Syscall::Reply, &[0, reply]), OK);
    assert!(!world.t(pair.client).call_page().handles()[0].is_none());
}

#[test]
fn downtime_does_not_count() {
    let mut pair = Pair::new(1);
    assert_eq!(pair.world.call_until(pair.client, pair.session, Class::Replay, START + 10 * SECOND), WAITS);
    assert_eq!(pair.receive(), DELIVERED);
    pair.world.advance(4 * SECOND);
    pair.world.kill(pair.server_process, ExitReason::Killed);
    pair.world.advance(20 * SECOND);
    assert_eq!(pair.world.state(pair.client), State::Queued);
    pair.server = pair.world.revive(pair.server_process, 1);
    pair.world.advance(5 * SECOND);
    assert_eq!(pair.world.state(pair.client), State::Queued);
    pair.receive_signals();
    assert_eq!(pair.receive(), DELIVERED);
    pair.world.advance(SECOND - 1);
    assert_eq!(pair.world.state(pair.client), State::Current);
    pair.world.advance(1);
    pair.ended(Error::Unknown);
    // What was before the call is not added.
    assert_eq!(pair.world.reply(pair.server), Error::CallerGone as u64);
    let deadline = pair.world.now + SECOND;
    assert_eq!(pair.world.call_until(pair.client, pair.session, Class::Replay, deadline), WAITS);
    pair.world.advance(SECOND);
    pair.ended(Error::NotStarted);
}

#[test]
fn downtime_further_down_does_not_count_either() {
    let mut pair = Pair::new(1);
    let (lower_process, lower) = pair.world.started(1);
    let channel = pair.world.channel(lower_process);
    let session = pair.world.session(channel, pair.server_process, 1);
    // An old outage, that is not this call's.
    pair.world.kill(lower_process, ExitReason::Killed);
    pair.world.advance(50 * SECOND);
    let lower = {
        let _ = lower;
        pair.world.revive(lower_process, 1)
    };
    assert_eq!(pair.world.receive(lower, channel), OK);
    let start = pair.world.now;
    assert_eq!(pair.world.call_until(pair.client, pair.session, Class::Replay, start + 10 * SECOND), WAITS);
    assert_eq!(pair.receive(), DELIVERED);
    assert_eq!(pair.world.call(pair.server, session, Class::Replay), WAITS);
    assert_eq!(pair.world.receive(lower, channel), DELIVERED);
    pair.world.advance(SECOND);
    pair.world.kill(lower_process, ExitReason::Killed);
    pair.world.advance(30 * SECOND);
    let lower = pair.world.revive(lower_process, 1);
    let _ = lower;
    pair.world.advance(9 * SECOND - 1);
    assert_eq!(pair.world.state(pair.client), State::Current);
    pair.world.advance(1);
    pair.ended(Error::Unknown);
}

#[test]
fn a_channel_whose_server_has_not_started_is_down() {
    let mut pair = Pair::new(1);
    let new = pair.world.process();
    let channel = pair.world.channel(new);
    let session = pair.world.session(channel, pair.client_process, 1);
    assert_eq!(pair.world.call_until(pair.client, session, Class::Fail, START + SECOND), WAITS);
    pair.world.advance(100 * SECOND);
    assert_eq!(pair.world.state(pair.client), State::Queued);
    pair.world.thread(new);
    pair.world.start(new);
    pair.world.advance(SECOND);
    pair.ended(Error::NotStarted);
}

#[test]
fn receive_has_a_deadline() {
    let mut pair = Pair::new(1);
    assert_eq!(pair.world.receive_until(pair.server, pair.channel, 0), Error::TimedOut as u64);
    assert_eq!(pair.world.receive_until(pair.server, pair.channel, START + SECOND), WAITS);
    // What is served has no deadline any more.
    pair.call(Class::Fail);
    pair.world.advance(2 * SECOND);
    assert_eq!((pair.world.state(pair.server), pair.world.status(pair.server)), (State::Running, DELIVERED));
    let (now, served) = (pair.world.now, pair.world.served[pair.channel]);
    pair.world.t(pair.server).serve_page().set_deadline(now + SECOND);
    let header = Header::default().with_deadline().0;
    assert_eq!(pair.world.sys(pair.server, Syscall::ReplyReceive, &[served, header]), WAITS);
    assert_eq!(pair.world.status(pair.client), OK);
    pair.world.advance(SECOND);
    assert_eq!(pair.world.status(pair.server), Error::TimedOut as u64);
    // A signal.
    assert_eq!(pair.world.receive_until(pair.server, pair.channel, now + 9 * SECOND), WAITS);
    let held = pair.world.held[pair.channel];
    assert_eq!(pair.world.sys(0, Syscall::Signal, &[held, 6]), OK);
    assert_eq!(pair.world.result(pair.server, 2), 6);
    pair.world.advance(90 * SECOND);
    assert_eq!(pair.world.status(pair.server), OK);
    // A cancel.
    assert_eq!(pair.receive(), WAITS);
    assert_eq!(pair.world.cancel(pair.server), OK);
    assert_eq!(pair.world.status(pair.server), Error::TimedOut as u64);
    assert_eq!(pair.world.cancel(pair.server), Error::BadState as u64);
}

#[test]
fn a_deadline_of_an_earlier_receive_ends_no_wait_for_a_flush() {
    let mut pair = Pair::new(2);
    let world = &mut pair.world;
    let deadline = world.now + SECOND;
    assert_eq!(world.receive_until(pair.server, pair.channel, deadline), WAITS);
    let held = world.held[pair.channel];
    assert_eq!(world.sys(0, Syscall::Signal, &[held, 6]), OK);
    let cpu = world.cpu_of(pair.server).unwrap();
    let other = world.cpus.iter().find(|one| one.index() != cpu.index()).unwrap().bit();
    world.kernel().enter(cpu);
    let ticket = world.kernel().shootdown.requests.announce(other);
    schedule::take_off_cpu(cpu, world.t(pair.server), State::Flushing);
    schedule::wait_for_flush(world.kernel(), world.t(pair.server), ticket);
    world.leave(cpu);
    world.now = deadline;
    processor::set_time(deadline);
    world.strike(cpu);
    assert_eq!(world.state(pair.server), State::Flushing);
    world.poll();
    assert_eq!((world.state(pair.server), world.status(pair.server)), (State::Running, OK));
}
