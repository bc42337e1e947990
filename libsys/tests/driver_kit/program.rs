//! A server's program: what its main function does around the loop, and several threads.

use crate::Started;
use libsys::client::{self, CallError};
use libsys::driver::{Env, Result};
use libsys::fake::FakeProcess;
use libsys::protocol::registry::Registry;
use libsys::service::{self, Server, Service};
use libsys::sys::Event;
use libsys::wire::{Header, Refusal};
use libsys::{Channel, Object, Rights, protocol};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Counts.
#[protocol]
pub trait Counter {
    /// Adds one, waits, and returns how many there are.
    #[once]
    fn add(&mut self, milliseconds: u64) -> u64;
}

/// A server whose clones share a number.
#[derive(Clone)]
struct Shared(Arc<AtomicU64>);

impl Server for Shared {
    fn start(_: &Env) -> Result<Self> {
        Ok(Shared(Arc::default()))
    }
}

impl Counter for Shared {
    fn add(&mut self, milliseconds: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(milliseconds));
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

libsys::serves!(Shared: Counter);

#[test]
fn threads_answer_side_by_side() {
    let process = FakeProcess::new();
    let channel = process.new_channel();
    let started = Started::with(&[], &[], process, channel);
    process.spawn(move || {
        let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
        Service::new(Shared(Arc::default())).run_threads(&channel, 2)
    });
    let slow: CounterClient = client::open(started.session(1)).expect("all methods");
    let quick: CounterClient = client::open(started.session(2)).expect("all methods");
    let waiting = FakeProcess::current().spawn(move || slow.add(300));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(quick.add(0), Ok(1), "while the other is in its method");
    assert_eq!(waiting.join().expect("joined").expect("alive"), Ok(2));
}

#[test]
fn a_service_says_that_it_is_ready_and_complains_of_bad_replies() {
    // init, as far as this goes: it notes the methods that it is asked for, and answers with nothing.
    let init = FakeProcess::new();
    let init_channel = init.new_channel();
    let (asked, methods) = mpsc::channel();
    init.spawn(move || {
        let channel = core::mem::ManuallyDrop::new(Channel::from_handle(init_channel));
        let mut event = channel.receive(None);
        loop {
            event = match event {
                Ok(Event::Call { header, .. }) => {
                    asked.send(header.method()).expect("a test that listens");
                    channel.reply_receive(Header::default(), [0; 8], None)
                }
                _ => channel.receive(None),
            }
        }
    });
    let registry = Started { process: init, channel: init_channel };
    let process = FakeProcess::new();
    let channel = process.new_channel();
    let registry = process.grant(&registry.session(1), Rights::all(), true);
    let started = Started::with(&[("registry", registry)], &[], process, channel);
    process.spawn(service::main::<Shared>);
    let identity = |name: &str| {
        <dyn Registry>::METHODS.iter().find(|method| method.name == name).expect("a method of this name").identity
    };
    let soon = Duration::from_secs(10);
    assert_eq!(methods.recv_timeout(soon), Ok(identity("ready")));
    let counter: CounterClient = client::open(started.session(1)).expect("all methods");
    assert_eq!(counter.add(0), Ok(1));

    // A client within that process, of servers that answer nonsense, or what is hardly ever true.
    let malformed = Refusal::Malformed as u32;
    for (status, ended) in [(u32::MAX, CallError::BadReply), (malformed, CallError::Malformed)] {
        let session = process.grant(&liar(status).session(1), Rights::all(), false);
        let answer = process.run(move || client::unchecked::<CounterClient>(Object::from_handle(session)).add(0));
        assert_eq!(answer, Some(Err(ended)));
        assert_eq!(methods.recv_timeout(soon), Ok(identity("complain")));
        assert_eq!(methods.recv_timeout(soon), Ok(identity("complain")));
        assert!(methods.try_recv().is_err(), "two complaints, then it is given up");
    }
    // An error that happens is believed at once.
    let session = process.grant(&liar(Refusal::Exhausted as u32).session(1), Rights::all(), false);
    let answer = process.run(move || client::unchecked::<CounterClient>(Object::from_handle(session)).add(0));
    assert_eq!(answer, Some(Err(CallError::Refused(Refusal::Exhausted))));
    assert!(methods.try_recv().is_err(), "nobody complains");
}

/// A server that ends all requests with a status.
fn liar(status: u32) -> Started {
    let process = FakeProcess::new();
    let channel = process.new_channel();
    process.spawn(move || {
        let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
        let mut event = channel.receive(None);
        loop {
            event = match event {
                Ok(Event::Call { .. }) => channel.reply_receive(Header(u64::from(status) << 32), [0; 8], None),
                _ => channel.receive(None),
            }
        }
    });
    Started { process, channel }
}
