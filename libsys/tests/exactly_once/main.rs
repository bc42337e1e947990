//! Exactly once: clients of a server that is killed again and again notice nothing, and nothing is done twice or lost.

mod bank;

use bank::{BankClient, BankError, Board, Counter};
use libsys::abi::ExitReason;
use libsys::abi::process::ProcessState;
use libsys::channel::Event;
use libsys::client::{self, CallError, OpenError};
use libsys::fake::{self, FakeProcess};
use libsys::service;
use libsys::state::Records;
use libsys::{Channel, Error, Handle, Memory, Object, Rights, Session};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A bank in a process of its own, with the Memory that its records are in.
#[derive(Clone)]
struct Served {
    process: FakeProcess,
    channel: Handle,
    state: Handle,
    board: Arc<Board>,
    /// The thread of the last incarnation. A real kernel stops it at once; here it runs to its next system call.
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Served {
    fn start() -> Served {
        let process = FakeProcess::new();
        let channel = process.new_channel();
        let memory = Memory::create(&fake::account(), 256 << 10).expect("memory");
        let state = process.grant(&memory, Rights::all(), true);
        let served = Served { process, channel, state, board: Arc::default(), thread: Arc::default() };
        served.run();
        served
    }

    fn run(&self) {
        let (process, channel, state, board) = (self.process, self.channel, self.state, self.board.clone());
        let server = move || {
            // What a panic on its way out would close is the next incarnation's as well.
            let [channel, again] = [0; 2].map(|_| ManuallyDrop::new(Channel::from_handle(channel)));
            let memory = ManuallyDrop::new(Memory::from_handle(state));
            let records = Records::of(memory.map_writable().expect("mapped")).expect("room");
            assert!(!records.is_damaged());
            let _ = service::run(Counter::new(records, again, board), &channel);
        };
        let thread = thread::spawn(move || {
            process.run(server);
        });
        *self.thread.lock().expect("sound") = Some(thread);
    }

    fn client(&self, badge: u64) -> BankClient {
        let channel = self.channel;
        let minted = self.process.run(move || {
            let channel = ManuallyDrop::new(Channel::from_handle(channel));
            channel.mint(badge, &fake::account()).expect("a session").into_handle()
        });
        let session: Session = self.process.take(minted.expect("alive"), Rights::all());
        client::open(session).expect("all methods")
    }

    /// Kills it again and again, until told to stop; how often.
    fn torment(&self, stop: &Arc<AtomicBool>) -> JoinHandle<u32> {
        let (served, stop) = (self.clone(), stop.clone());
        thread::spawn(move || {
            let mut deaths = 0;
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(700 + 97 * u64::from(deaths % 11)));
                served.process.kill(ExitReason::Killed);
                served.restart_dead();
                deaths += 1;
            }
            deaths
        })
    }

    fn restart_dead(&self) {
        if self.process.exit_record().state == ProcessState::Dead as u32 {
            if let Some(thread) = self.thread.lock().expect("sound").take() {
                let _ = thread.join();
            }
            self.process.restart();
            self.run();
        }
    }
}

#[test]
fn a_server_that_is_killed_over_and_over_loses_nothing_and_does_nothing_twice() {
    const PAYMENTS: u64 = 200;
    let served = Served::start();
    let root = served.client(1);
    let clients: Vec<BankClient> = (0..3).map(|_| served.client(2)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let torment = served.torment(&stop);
    let savers: Vec<_> = clients
        .into_iter()
        .map(|root| {
            FakeProcess::current().spawn(move || {
                let (_, session) = root.open().expect("an account");
                let account: BankClient = client::open(session).expect("all methods");
                for payment in 1..=PAYMENTS {
                    assert_eq!(account.pay_in(1), Ok(payment));
                }
                account
            })
        })
        .collect();
    let accounts: Vec<BankClient> =
        savers.into_iter().map(|saver| saver.join().expect("joined").expect("no error")).collect();
    stop.store(true, Ordering::Relaxed);
    let deaths = torment.join().expect("no panic");
    assert!(deaths > 20, "{deaths} deaths are no trial");
    assert_eq!(root.total(), Ok((3 * PAYMENTS, 3)));
    assert_eq!(served.board.sum.load(Ordering::Relaxed), 3 * PAYMENTS);
    assert!(!served.board.was_ahead.load(Ordering::Relaxed), "nobody saw what was not committed");
    drop(accounts);
    while root.total() != Ok((0, 0)) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_session_that_a_reply_brings_is_minted_once_wherever_the_server_dies() {
    let served = Served::start();
    let root = served.client(1);
    let (_, session) = root.open().expect("an account");
    let account: Arc<BankClient> = Arc::new(client::open(session).expect("all methods"));
    for calls in 0..40 {
        served.process.kill_after(Some(calls));
        let account = account.clone();
        let saver = FakeProcess::current().spawn(move || {
            let share: BankClient = client::unchecked(account.share().expect("a share"));
            assert_eq!(share.pay_in(1), Ok(calls + 1));
        });
        while !saver.is_finished() {
            served.restart_dead();
            thread::yield_now();
        }
        served.process.kill_after(None);
        served.restart_dead();
        saver.join().expect("joined").expect("no error");
        while root.shares() != Ok(0) {
            thread::yield_now();
        }
    }
}

#[test]
fn what_was_staged_when_it_died_did_not_happen() {
    let served = Served::start();
    let (_, session) = served.client(1).open().expect("an account");
    let account: BankClient = client::open(session).expect("all methods");
    assert_eq!(account.pay_in(5), Ok(5));
    let done = Arc::new(AtomicBool::new(false));
    let restarting = {
        let (served, done) = (served.clone(), done.clone());
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                served.restart_dead();
                thread::sleep(Duration::from_millis(1));
            }
        })
    };
    assert_eq!(account.die(3, 2), Ok(8), "the third delivery answers");
    assert_eq!(account.die(3, 99), Err(CallError::Deadly));
    assert_eq!(account.pay_in(1), Ok(9), "and it alone");
    done.store(true, Ordering::Relaxed);
    restarting.join().expect("no panic");
}

#[test]
fn deferred_answers_are_kept_too() {
    let served = Served::start();
    let root = served.client(1);
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU32::new(0));
    let savers: Vec<_> = (0..3)
        .map(|_| {
            let (_, session) = root.open().expect("an account");
            let account: BankClient = client::open(session).expect("all methods");
            let answered = answered.clone();
            FakeProcess::current().spawn(move || {
                for payment in 1..=30 {
                    assert_eq!(account.pay_in_later(1), Ok(payment));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                account
            })
        })
        .collect();
    let torment = served.torment(&stop);
    while answered.load(Ordering::Relaxed) < 90 {
        root.wake().expect("a reply");
        thread::sleep(Duration::from_micros(300));
    }
    let accounts: Vec<_> = savers.into_iter().map(|saver| saver.join().expect("joined").expect("alive")).collect();
    stop.store(true, Ordering::Relaxed);
    torment.join().expect("no panic");
    assert_eq!(root.total(), Ok((90, accounts.len() as u32)));
}

#[test]
fn who_asked_to_be_signalled_is_signalled_by_the_next_incarnation() {
    let served = Served::start();
    let (watcher, saver) = (served.client(1), served.client(2));
    let events = fake::channel();
    watcher.notify(&events.signaller(6).expect("a handle"), 2).expect("subscribed");
    watcher.notify(&events.signaller(6).expect("a handle"), 4).expect("in its place");
    let (_, session) = saver.open().expect("an account");
    let account: BankClient = client::open(session).expect("all methods");
    for payment in 1..=5 {
        served.process.kill(ExitReason::Killed);
        served.restart_dead();
        assert_eq!(events.receive(None), Ok(Event::Signals(4)), "once at its start");
        assert_eq!(account.pay_in(1), Ok(payment));
        assert_eq!(events.receive(None), Ok(Event::Signals(4)));
    }
    watcher.notify(&events.signaller(6).expect("a handle"), 0).expect("ended");
    served.process.kill(ExitReason::Killed);
    served.restart_dead();
    assert_eq!(account.pay_in(1), Ok(6));
    assert_eq!(events.receive(Some(0)), Err(Error::TimedOut));
}

#[test]
fn an_error_is_an_answer() {
    let served = Served::start();
    assert_eq!(served.client(7).pay_in(1), Err(CallError::Failed(BankError::NoAccount)));
}

#[test]
fn a_session_that_nobody_fetches_is_given_up() {
    let served = Served::start();
    let root = served.client(1);
    assert_eq!(root.total(), Ok((0, 0)));
    let before = served.process.open_handles();
    // Wherever the server dies in the middle of the request: before the commit, between commit and reply, behind it.
    for calls in 0..40 {
        let client = FakeProcess::new();
        let session = client.grant(client::Client::link(&root).session(), Rights::all(), false);
        served.process.kill_after(Some(calls));
        let opening = client.spawn(move || {
            let bank: BankClient = client::unchecked(Session::from_handle(session));
            let opened = bank.open().map(drop);
            opened.and_then(|()| bank.share().map(drop))
        });
        while !opening.is_finished() && served.process.exit_record().state != ProcessState::Dead as u32 {
            thread::yield_now();
        }
        client.kill(ExitReason::Killed);
        served.process.kill_after(None);
        served.restart_dead();
        let _ = opening.join();
        while root.total() != Ok((0, 0)) || root.shares() != Ok(0) || served.process.open_handles() > before {
            thread::yield_now();
        }
    }
}

#[test]
fn a_reply_that_cannot_be_made_out_costs_nothing_that_it_brought() {
    let served = Served::start();
    let root = served.client(1);
    client::on_bad_reply(client::ask_again);
    for spoilt in 1..=2 {
        served.process.spoil_replies(spoilt);
        let (_, session) = root.open().expect("the reply that is kept, with the session that came before");
        let account: BankClient = client::open(session).expect("all methods");
        served.process.spoil_replies(spoilt);
        assert_eq!(account.pay_in(1), Ok(1), "and not twice");
        served.process.spoil_replies(spoilt);
        let share: BankClient = client::open(account.share().expect("minted again")).expect("all methods");
        assert_eq!(share.pay_in(1), Ok(2));
        drop((account, share));
    }
    served.process.spoil_replies(3);
    assert_eq!(root.open().map(drop), Err(CallError::BadReply));
    while root.total() != Ok((0, 0)) || root.shares() != Ok(0) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_server_that_denies_a_method_is_asked_again() {
    let served = Served::start();
    let root = served.client(1);
    client::on_bad_reply(client::ask_again);
    let (_, session) = root.open().expect("an account");
    let account: BankClient = client::open(session).expect("all methods");
    for denials in 0..=3 {
        let share = account.share().expect("a session");
        served.process.falsify_replies(denials, 1);
        let opened: Result<BankClient, OpenError> = client::open(share);
        assert_eq!(matches!(opened, Err(OpenError::Missing(_))), denials == 3, "{denials}: {opened:?}");
        assert_eq!(opened.is_ok(), denials < 3, "{denials}");
        served.process.falsify_replies(0, 0);
    }
}
