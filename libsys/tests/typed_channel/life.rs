//! What happens in time: deferred answers, closes, keys, deadlines, deaths.

use crate::Served;
use crate::every::EveryError;
use libsys::abi::ExitReason;
use libsys::abi::process::ProcessState;
use libsys::client::{self, CallError, Client};
use libsys::fake::FakeProcess;
use std::thread;
use std::time::Duration;

#[test]
fn deferred_answers_come_at_once_or_later_or_never() {
    let served = Served::start();
    let shop = served.client(1);
    assert_eq!(shop.wait(0), Err(CallError::Failed(EveryError::Empty)));
    assert_eq!(shop.wait(u32::MAX), Err(CallError::Abandoned));
    assert_eq!(shop.echo("hello"), Ok("1 says hello".into()));
    let waiters: Vec<_> = (1..4)
        .map(|number| {
            let shop = served.client(10 + u64::from(number));
            FakeProcess::current().spawn(move || shop.wait(number))
        })
        .collect();
    let mut woken = 0;
    while woken < 3 {
        woken += shop.wake("wake up").expect("a reply");
        thread::sleep(Duration::from_millis(1));
    }
    for (number, waiter) in (1..4).zip(waiters) {
        assert_eq!(waiter.join().expect("joined").expect("alive").map(|order| order.item), Ok(number));
    }
    let statistics = client::statistics(shop.link().session()).expect("counts");
    assert_eq!((statistics.dropped, statistics.gone), (1, 0));
}

#[test]
fn a_close_frees_what_the_server_kept_for_the_session() {
    let served = Served::start();
    let observer = served.client(1);
    let shop = served.client(2);
    shop.divide(4, 2).expect("a reply");
    assert_eq!(observer.seen().expect("a reply").1, 1);
    let me = FakeProcess::current().number();
    drop(shop);
    let (seen, sessions) = loop {
        let (seen, sessions) = observer.seen().expect("a reply");
        if seen.closes.contains(&(2, me, true)) {
            break (seen, sessions);
        }
    };
    assert_eq!(sessions, 0);
    let others = seen.closes.iter().filter(|(_, client, _)| *client != me);
    assert!(others.clone().all(|(_, _, last)| !last), "the process that minted them let go of them first");
    assert_eq!(others.count() + 1, seen.closes.len(), "each close is acknowledged, and comes once");
}

#[test]
fn once_requests_carry_keys_that_count_up() {
    let shop = Served::start().client(1);
    for _ in 0..3 {
        shop.divide(4, 2).expect("a reply");
    }
    let (seen, _) = shop.seen().expect("a reply");
    let [first, second, third] = seen.sequences[..] else { panic!("three keys") };
    assert!(first.0 == second.0 && second.0 == third.0, "one thread, one lane");
    assert!(first.1 < second.1 && second.1 < third.1);
}

#[test]
fn a_timeout_withdraws_a_parked_call() {
    let served = Served::start();
    let observer = served.client(1);
    let shop = client::with_timeout(served.client(2), Duration::from_millis(20));
    assert_eq!(shop.wait(5), Err(CallError::NotStarted), "nothing was done for it");
    while observer.seen().expect("a reply").0.withdrawn == 0 {}
    assert_eq!(observer.wake("wake up"), Ok(0));
    assert_eq!(shop.add(1, 2), Ok(3), "the session is as good as before");
}

/// Restarts the server whenever it has died.
fn restart_always(served: &Served) {
    let again = Served { process: served.process, channel: served.channel };
    thread::spawn(move || {
        loop {
            if again.process.exit_record().state == ProcessState::Dead as u32 {
                again.restart();
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn the_class_decides_what_a_death_does() {
    let served = Served::start();
    let shop = served.client(1);
    restart_always(&served);
    assert_eq!(shop.die(1), Ok(1), "the second delivery answers");
    assert_eq!(shop.die_once(), Err(CallError::PeerDied), "until replies are kept");
    assert_eq!(client::statistics(shop.link().session()).expect("counts").interrupted, 1);
    assert_eq!(shop.add(1, 2), Ok(3));
}

#[test]
fn a_parked_call_outlives_the_server() {
    let served = Served::start();
    let shop = served.client(1);
    let waiter = served.client(2);
    let waiting = FakeProcess::current().spawn(move || waiter.wait(9));
    thread::sleep(Duration::from_millis(20));
    // Not by a panic: on the host that unwinds, and closes what the server holds.
    served.process.kill(ExitReason::Killed);
    served.restart();
    while shop.wake("wake up") != Ok(1) {}
    assert_eq!(waiting.join().expect("joined").expect("alive").map(|order| order.item), Ok(9));
}

#[test]
fn a_request_that_kills_again_and_again_is_refused() {
    let served = Served::start();
    let shop = served.client(1);
    restart_always(&served);
    assert_eq!(shop.die(99), Err(CallError::Deadly));
    assert_eq!(shop.add(1, 2), Ok(3), "and it alone");
    assert_eq!(client::statistics(shop.link().session()).expect("counts").deadly, 1);
}

#[test]
fn timers_run_between_calls() {
    let served = Served::start();
    let shop = served.client(1);
    let waiter = served.client(2);
    let waiting = FakeProcess::current().spawn(move || waiter.wait(9));
    thread::sleep(Duration::from_millis(20));
    shop.set_timer(1_000_000).expect("a reply");
    assert_eq!(waiting.join().expect("joined").expect("alive").map(|order| order.item), Ok(9), "from idle");
    // Due while calls keep coming.
    shop.set_timer(0).expect("a reply");
    for n in 0..100 {
        assert_eq!(shop.add(n, 1), Ok(n + 1));
    }
    assert_eq!(shop.seen().expect("a reply").0.timers, 2);
}

#[test]
fn signals_reach_the_server() {
    let served = Served::start();
    let shop = served.client(1);
    let channel = served.channel;
    served.process.run(move || libsys::sys::signal(channel, 1 << 20).expect("signalled")).expect("alive");
    while shop.seen().expect("a reply").0.signals & 1 << 20 == 0 {}
}
