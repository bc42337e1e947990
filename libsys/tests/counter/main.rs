//! The example of the book, `docs/writing-a-server.md`: a server with its protocol and a client, and its test on the fake
//! kernel. In a package of its own `server` is `src/main.rs`, and `counter` a file of `libsys/src/protocol/`.

mod client;
mod counter;
mod server;

use counter::{CounterClient, CounterError};
use libsys::client::CallError;
use libsys::env::Startup;
use libsys::fake::{FakeProcess, account};
use libsys::service;
use libsys::{Channel, Object, Rights, Session};
use server::Tally;
use std::mem::ManuallyDrop;
use std::thread::sleep;
use std::time::Duration;

/// Starts the server in a process of its own, and gives sessions to it.
fn start(parameters: &[(&str, &str)]) -> impl Fn(u64) -> CounterClient {
    let process = FakeProcess::new();
    let channel = process.new_channel();
    let parameters = parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let handles = vec![("channel".to_string(), channel.0)];
    process.set_startup(Startup { handles, parameters, ..Startup::default() });
    process.spawn(service::main::<Tally>);
    move |badge| {
        let minted = process.run(move || {
            let channel = ManuallyDrop::new(Channel::from_handle(channel));
            channel.mint(badge, &account()).expect("a session").into_handle()
        });
        let session: Session = process.take(minted.expect("alive"), Rights::all());
        libsys::client::open(session).expect("all methods")
    }
}

#[test]
fn it_counts_up_to_its_limit() {
    let connect = start(&[("limit", "10")]);
    let (one, other) = (connect(1), connect(2));
    assert_eq!(one.add(4), Ok(4));
    assert_eq!(other.add(7), Err(CallError::Failed(CounterError::TooLarge)));
    assert_eq!(other.count(), Ok(4));
    assert_eq!(client::fill(&one), Ok(10));
}

#[test]
fn a_reader_waits_until_the_count_is_reached() {
    let connect = start(&[]);
    let (adds, waits) = (connect(1), connect(2));
    let waiting = FakeProcess::current().spawn(move || waits.wait_for(3));
    sleep(Duration::from_millis(20));
    assert_eq!(adds.add(5), Ok(5));
    assert_eq!(waiting.join().expect("joined").expect("alive"), Ok(5));
    assert_eq!(adds.wait_for(1), Ok(5), "reached already");
}

#[test]
fn the_book_shows_this_code() {
    let book = include_str!("../../../docs/writing-a-server.md");
    for code in [include_str!("counter.rs"), include_str!("server.rs"), include_str!("client.rs")] {
        assert!(book.contains(code), "docs/writing-a-server.md differs from libsys/tests/counter");
    }
}
