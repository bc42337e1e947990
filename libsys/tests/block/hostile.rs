//! Rings with a peer that writes whatever it likes: no panic, no access outside, and never more than there can be.

use crate::world::{World, session};
use libsys::block::Submission;
use libsys::block::ring::{ClientRing, MAGIC, ServerRing, memory_bytes};
use libsys::client;
use libsys::protocol::BlockClient;
use libsys::protocol::block::{BlockError, BlockStatus, Operation};
use libsys::wire::Shared;
use libsys::{Memory, Object, Rights, WritableMapping, fake};
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

const DEPTH: u32 = 8;

fn pair() -> (ClientRing, ServerRing, WritableMapping) {
    let memory = Memory::create(&fake::account(), memory_bytes(DEPTH)).expect("memory");
    let mapping = || memory.map_writable().expect("a mapping");
    let client = ClientRing::new(mapping(), DEPTH).expect("a ring");
    let shared = Shared::whole(memory.duplicate(Rights::all()).expect("a handle"), memory_bytes(DEPTH));
    (client, ServerRing::attach(&shared).expect("a ring"), mapping())
}

#[test]
fn requests_and_completions_arrive_as_they_were() {
    let (mut client, mut server, _) = pair();
    let mut request = Submission::new(Operation::Discard, 5, 6);
    for id in 0..1000u64 {
        request.id = id;
        assert!(server.sleep() && client.submit(&request) && client.publish());
        assert!(!server.sleep(), "there is one");
        let mut found = Submission::default();
        assert_eq!(server.pop(&mut found), Ok(true));
        assert_eq!(found, request);
        assert_eq!(server.pop(&mut found), Ok(false));
        // A client that does not sleep is not signalled.
        assert!(server.complete(id, BlockStatus::Unsupported) && !server.publish());
        assert_eq!(client.pop(), Ok(Some((id, BlockStatus::Unsupported))));
        assert_eq!(client.pop(), Ok(None));
    }
    assert!((0..DEPTH).all(|_| client.submit(&request)) && !client.submit(&request));
    assert!(!server.complete(0, BlockStatus::Done), "nothing is in flight");
}

/// What one side is signalled by.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn ring(&self) {
        *self.0.lock().expect("no panic") = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let rung = self.0.lock().expect("no panic");
        let (mut rung, result) =
            self.1.wait_timeout_while(rung, Duration::from_secs(60), |rung| !*rung).expect("no panic");
        assert!(!result.timed_out(), "a signal is missing");
        *rung = false;
    }
}

#[test]
fn who_sleeps_is_signalled() {
    const REQUESTS: u64 = 100_000;
    let (mut client, mut server, _) = pair();
    let bells = [Bell::default(), Bell::default()];
    let [of_client, of_server] = &bells;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut request = Submission::default();
            let mut ended = 0;
            while ended < REQUESTS {
                while server.pop(&mut request).expect("an honest client") {
                    assert!(server.complete(request.id, BlockStatus::Done));
                    ended += 1;
                    // A batch of one, two, …
                    if request.id % 3 != 0 && server.publish() {
                        of_client.ring();
                    }
                }
                if server.publish() {
                    of_client.ring();
                }
                // Woken by something else now and then, so that it says again that it sleeps.
                if ended < REQUESTS && server.sleep() && (ended % 5 != 0 || server.sleep()) {
                    of_server.wait();
                }
            }
        });
        let mut request = Submission::new(Operation::Flush, 0, 0);
        let (mut submitted, mut ended) = (0, 0);
        while ended < REQUESTS {
            while submitted < REQUESTS && client.outstanding() < 1 + submitted as u32 % DEPTH {
                request.id = submitted;
                assert!(client.submit(&request));
                submitted += 1;
            }
            if client.publish() {
                of_server.ring();
            }
            while client.pop().expect("an honest server").is_some() {
                ended += 1;
            }
            if client.outstanding() > 0 && client.sleep() && (ended % 7 != 0 || client.sleep()) {
                of_client.wait();
            }
        }
    });
}

#[test]
fn what_is_no_queue_is_not_attached() {
    let memory = Memory::create(&fake::account(), memory_bytes(DEPTH)).expect("memory");
    let mapping = memory.map_writable().expect("a mapping");
    let attach = |offset, bytes| {
        let memory = memory.duplicate(Rights::all()).expect("a handle");
        ServerRing::attach(&Shared { memory, offset, bytes }).is_ok()
    };
    let all = memory_bytes(DEPTH);
    assert!(!attach(0, all), "no magic");
    mapping.word_u32(0).store(MAGIC, Ordering::Relaxed);
    for depth in [0, 3, 12, 512, u32::MAX] {
        mapping.word_u32(4).store(depth, Ordering::Relaxed);
        assert!(!attach(0, all), "depth {depth}");
    }
    mapping.word_u32(4).store(DEPTH, Ordering::Relaxed);
    assert!(attach(0, all));
    assert!(!attach(0, all - 1) && !attach(0, 0) && !attach(64, all) && !attach(8, all) && !attach(u64::MAX, all));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_hostile_client(words in prop::collection::vec((0usize..700, any::<u32>()), 1..40), small in any::<bool>()) {
        let (_, mut server, memory) = pair();
        let mut request = Submission::default();
        for (word, value) in words {
            // Small numbers lead further.
            memory.word_u32(word * 4).store(if small { value % 16 } else { value }, Ordering::Relaxed);
            for _ in 0..4 {
                match server.pop(&mut request) {
                    Ok(true) => prop_assert!(request.segments().len() <= 16),
                    Ok(false) => {}
                    Err(_) => return Ok(()),
                }
                prop_assert!(server.in_flight() <= DEPTH);
            }
            if server.in_flight() > 2 {
                prop_assert!(server.complete(request.id, BlockStatus::Done));
                let _ = server.publish();
            }
        }
    }

    #[test]
    fn a_hostile_server(words in prop::collection::vec((0usize..120, any::<u32>()), 1..40), small in any::<bool>()) {
        let (mut client, _, memory) = pair();
        for (word, value) in words {
            let _ = client.submit(&Submission::new(Operation::Flush, 0, 0));
            let _ = client.publish();
            memory.word_u32(word * 4).store(if small { value % 16 } else { value }, Ordering::Relaxed);
            for _ in 0..4 {
                if client.pop().is_err() {
                    return Ok(());
                }
                prop_assert!(client.outstanding() <= DEPTH);
            }
        }
    }
}

#[test]
fn a_client_that_spoils_its_ring_is_detached_alone() {
    let world = World::new(-1, 0, u64::MAX);
    let block: BlockClient = client::open(session(world.driver, world.channel, 9)).expect("a driver");
    let memory = Memory::create(&fake::account(), memory_bytes(DEPTH)).expect("memory");
    let mut ring = ClientRing::new(memory.map_writable().expect("a mapping"), DEPTH).expect("a ring");
    let channel = fake::channel();
    let queue = || Shared::whole(memory.duplicate(Rights::all()).expect("a handle"), memory_bytes(DEPTH));
    let buffer = Memory::create(&fake::account(), 4096).expect("memory");
    assert_eq!(block.lend(&buffer), Err(client::CallError::Failed(BlockError::NotAttached)));
    let signaller = channel.signaller(1).expect("a handle");
    let (doorbell, bits) = block.attach(&queue(), &signaller, 1).expect("attached");
    assert_eq!(block.lend(&buffer), Ok(0));
    assert_eq!(block.lend(&buffer), Ok(1));
    assert_eq!((block.take_back(0), block.lend(&buffer)), (Ok(()), Ok(0)));
    assert!(block.take_back(7).is_err());
    // More requests than there can be.
    memory.map_writable().expect("a mapping").word_u32(64).store(DEPTH + 1, Ordering::Relaxed);
    doorbell.signal(bits).expect("a signal");
    assert_eq!(channel.receive(None), Ok(libsys::channel::Event::Signals(1)), "it is told");
    assert_eq!(block.lend(&buffer), Err(client::CallError::Failed(BlockError::NotAttached)));
    // Others go on, and it can begin anew.
    world.with_disk(|mut disk| disk.flush().expect("flushed"));
    ring.reset().expect("room");
    block.attach(&queue(), &signaller, 1).expect("attached");
    assert!(block.unit(1).is_ok() && block.unit(2).is_err());
}
