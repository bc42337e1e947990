//! The fast paths against the slow ones: what they leave behind is the same.

use super::scheduling::fifo;
use super::world::World;
use crate::arch::processor;
use crate::object::thread::State;
use abi::schedule::SLICE;
use abi::{Class, Delivery, Error, Handle, Header, OK, Syscall};

/// What user space and later system calls can see of two threads.
fn observed(world: &World, client: usize, server: usize) -> Vec<u64> {
    let mut all = Vec::new();
    for thread in [client, server] {
        let t = world.t(thread);
        all.extend([t.state.get() as u64, t.rank.get().into(), t.depth.get().into(), t.cpu.get().into()]);
        all.extend([u64::from(t.current.is_some()), t.request.get().0, t.badge.get(), t.run_time.get()]);
        all.extend([t.is_suspect().into(), t.call_since.get(), t.references().into()]);
        if matches!(t.state.get(), State::Running | State::Ready) {
            all.push(world.status(thread));
            all.extend((0..10).map(|n| world.result(thread, n)));
        }
        let mut bytes = vec![0; 8192];
        t.pages().read(0, &mut bytes).unwrap();
        // The registers are compared above: of the pages, what is not zero.
        all.extend(
            bytes.chunks(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).filter(|word| *word != 0),
        );
    }
    let channel = world.c(0);
    all.extend([
        channel.delivered.get(),
        channel.receivers.len().into(),
        channel.callers().into(),
        channel.signals.get(),
    ]);
    all.push(world.t(server).process.active_calls.get().into());
    all
}

#[test]
fn the_fast_path_does_what_the_slow_one_does() {
    for situation in 0..1024u32 {
        let has = |bit: u32| situation >> bit & 1 != 0;
        // It needs room.
        let mints = has(8) && (has(5) || has(7));
        let mut seen = Vec::new();
        for fast in [false, true] {
            let mut world = World::without_supervisor(1);
            let cpu = world.cpus[0];
            let (process, server) = world.team(1);
            let channel = world.channel(process);
            // The supervisor's is not the first: what is observed is.
            world.channels.swap(0, channel);
            let served = world.served[channel];
            // A server with a timer that is far away.
            let receive = if has(9) { Header::default().with_deadline() } else { Header::default() };
            world.t(server).serve_page().set_deadline(world.now + 100 * SLICE);
            world.sys_on(cpu, Syscall::Receive as u64, &[served, receive.0]);
            let (client_process, client) = world.team(1);
            let session = world.session(0, client_process, 0x1_0000_0001);
            if has(0) {
                world.set(client, fifo(4));
            }
            let (_, other) = world.team(1);
            if has(1) {
                world.set(other, fifo(2));
                world.set(client, fifo(4));
            }
            if has(2) {
                world.set(server, fifo(3));
                world.set(client, fifo(4));
            }
            if !cpu.current.holds(world.t(client)) {
                world.run_for(SLICE * 2 + 1);
            }
            if !cpu.current.holds(world.t(client)) {
                world.run_for(SLICE);
            }
            assert!(cpu.current.holds(world.t(client)), "{situation}");
            world.now += 1000;
            processor::set_time(world.now);
            world.use_fast = fast;
            let bytes = if has(3) { 40 } else { 0 };
            world.t(client).call_page().write_payload(0, &[7; 64]);
            world.t(server).serve_page().write_payload(0, &[9; 64]);
            let mut request = Header::words(5, if has(4) { Class::Replay } else { Class::Fail }).with_payload(bytes);
            if has(6) {
                request = Header::words(5, Class::Once).with_payload(bytes);
                world.t(client).call_page().set_lane(3);
                world.t(client).call_page().set_sequence(77);
            }
            if has(7) {
                request = request.with_reply_handles(2);
            }
            if has(5) {
                // Not the common case: the fast path has to leave it alone.
                request = request.with_handles(1).with_reply_handles(1);
            }
            let words: Vec<u64> = (100..108).collect();
            let mut states = Vec::new();
            for turn in 0..3 {
                if has(5) {
                    world.t(client).call_page().set_handles([Handle(session); 4]);
                }
                world.sys_on(cpu, Syscall::Call as u64, &[&[session, request.0 + (turn << 32)], &words[..]].concat());
                world.check();
                states.push(observed(&world, client, server));
                assert!(
                    cpu.current.holds(world.t(server)),
                    "{situation} {turn} {:?} {}",
                    world.state(client),
                    world.status(client)
                );
                let page = world.t(server).serve_page();
                assert!(!has(6) || (page.lane(), page.sequence()) == (3, 77), "situation {situation:#b}");
                world.now += 700;
                processor::set_time(world.now);
                if turn == 1 {
                    world.sys(server, Syscall::CallProgress, &[0]);
                }
                let mut reply = Header::words(6, Class::Fail).with_payload(bytes);
                if has(9) {
                    reply = reply.with_deadline();
                }
                if mints {
                    reply = reply.with_handles(1).with_minted();
                    world.t(server).serve_page().set_channel(Handle(served));
                    world.t(server).serve_page().set_badge(50 + turn);
                }
                world.sys_on(cpu, Syscall::ReplyReceive as u64, &[&[served, reply.0], &words[..]].concat());
                world.check();
                assert!(cpu.current.holds(world.t(client)), "{situation}");
                states.push(observed(&world, client, server));
                world.now += 300;
                processor::set_time(world.now);
            }
            let expected = if fast && !has(5) { 5 } else { 0 };
            assert_eq!(world.fast_taken, expected, "situation {situation:#b}");
            seen.push(states);
        }
        for (turn, (slow, fast)) in seen[0].iter().zip(&seen[1]).enumerate() {
            assert_eq!(slow, fast, "situation {situation:#b}, turn {turn}");
        }
    }
}

#[test]
fn a_deadline_of_an_earlier_receive_ends_nothing_else() {
    for fast in [false, true] {
        let mut world = World::without_supervisor(1);
        world.use_fast = fast;
        let cpu = world.cpus[0];
        let (process, server) = world.team(1);
        let channel = world.channel(process);
        let served = world.served[channel];
        // Nobody receives there.
        let deaf = world.process();
        let deaf = world.channel(deaf);
        let to_deaf = world.session(deaf, process, 1);
        let (client_process, client) = world.team(1);
        let to_server = world.session(channel, client_process, 1);
        let deadline = |world: &World, more: u64| world.t(server).serve_page().set_deadline(world.now + more);
        let with_deadline = Header::default().with_deadline().0;
        // The server's receive has a deadline, and ends before it.
        deadline(&world, 5_000);
        while !cpu.current.holds(world.t(server)) {
            world.run_for(SLICE);
        }
        deadline(&world, 5_000);
        world.sys_on(cpu, Syscall::Receive as u64, &[served, with_deadline]);
        world.sys_on(cpu, Syscall::Call as u64, &[to_server, 0]);
        assert!(cpu.current.holds(world.t(server)));
        // Its answer leads to a receive without one: that goes on beyond it.
        world.sys_on(cpu, Syscall::ReplyReceive as u64, &[served, 0]);
        world.run_for(10_000);
        assert_eq!(world.state(server), State::Receiving);
        // So does a call that the server makes itself.
        world.sys_on(cpu, Syscall::Call as u64, &[to_server, 0]);
        deadline(&world, 50_000);
        world.sys_on(cpu, Syscall::ReplyReceive as u64, &[served, with_deadline]);
        world.sys_on(cpu, Syscall::Call as u64, &[to_server, 0]);
        world.sys_on(cpu, Syscall::Call as u64, &[to_deaf, 0]);
        world.run_for(60_000);
        assert_eq!((world.state(client), world.state(server)), (State::Current, State::Queued));
        assert_eq!(crate::ipc::end::cancel(world.kernel(), world.t(server)), Ok(()));
        world.poll();
        world.run_for(SLICE);
        // A later deadline of a receive is what counts.
        deadline(&world, 50_000);
        world.sys_on(cpu, Syscall::ReplyReceive as u64, &[served, with_deadline]);
        world.sys_on(cpu, Syscall::Call as u64, &[to_server, 0]);
        deadline(&world, 90_000);
        world.sys_on(cpu, Syscall::ReplyReceive as u64, &[served, with_deadline]);
        world.run_for(80_000);
        assert_eq!(world.state(server), State::Receiving, "{fast}");
        world.run_for(20_000);
        assert_eq!((world.state(server) != State::Receiving, world.status(server)), (true, Error::TimedOut as u64));
    }
}

#[test]
fn a_fast_receive_does_what_the_slow_one_does() {
    const TURNS: u64 = 6;
    let mut seen = Vec::new();
    for fast in [false, true] {
        let mut world = World::without_supervisor(1);
        let cpu = world.cpus[0];
        let (process, thread) = world.team(1);
        let (other_process, other) = world.team(1);
        let channels = [world.channel(process), world.channel(other_process)];
        let (threads, served) = ([thread, other], channels.map(|channel| world.served[channel]));
        let signals = [world.share(other_process, served[1], process), world.share(process, served[0], other_process)];
        world.channels.swap(0, channels[0]);
        world.use_fast = fast;
        world.sys_on(cpu, Syscall::Receive as u64, &[served[0], 0]);
        let mut states = Vec::new();
        for turn in 0..TURNS {
            // The one that runs wakes the other, and waits.
            let who = threads.iter().position(|thread| cpu.current.holds(world.t(*thread))).expect("one runs");
            assert_eq!(who as u64, (turn + 1) % 2);
            world.now += 500;
            processor::set_time(world.now);
            world.sys_on(cpu, Syscall::Signal as u64, &[signals[who], 1 << turn]);
            world.sys_on(cpu, Syscall::Receive as u64, &[served[who], 0]);
            world.check();
            let woken = threads[1 - who];
            assert!(cpu.current.holds(world.t(woken)));
            let result = [world.status(woken), world.result(woken, 0), world.result(woken, 2)];
            assert_eq!(result, [OK, Delivery::Signals as u64, 1 << turn]);
            states.push((observed(&world, thread, other), world.t(thread).virtual_time.get()));
        }
        // The first receive of a thread on a channel is not the common case.
        assert_eq!(u64::from(world.fast_receives), if fast { TURNS - 1 } else { 0 });
        seen.push(states);
    }
    assert_eq!(seen[0], seen[1]);
}
