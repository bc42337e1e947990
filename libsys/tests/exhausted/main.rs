//! Refusals for want of room that there is: a client is told of them by no server whose request comes again, and of a full account at once.

use libsys::abi::process::ProcessState;
use libsys::client::{self, CallError};
use libsys::env::{self, Env};
use libsys::fake::{self, FakeProcess};
use libsys::service::{self, Context, Kept, Reply, Result, Server};
use libsys::{Account, Channel, Handle, Limits, Memory, Object, Rights, Session, protocol};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The protocol's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreError {
    /// There is no room.
    Exhausted,
    /// There is no such thing.
    NotFound,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

type Stored = core::result::Result<u32, StoreError>;

/// A server that makes Memory.
#[protocol]
pub trait Store {
    /// Makes room in the server's account; how often the request was struck by faults before.
    #[replay]
    fn make(&mut self, cx: &Context, bytes: u64) -> core::result::Result<u32, StoreError>;

    /// The same, where it may not be done twice.
    #[fail]
    fn make_once(&mut self, cx: &Context, bytes: u64) -> core::result::Result<u32, StoreError>;

    /// The same in an account of somebody else's.
    #[replay]
    fn make_elsewhere(&mut self, cx: &Context, bytes: u64) -> core::result::Result<u32, StoreError>;

    /// Makes room, and takes less where there is not so much; then fails or not.
    #[replay]
    fn try_to_make(&mut self, cx: &Context, fails: bool) -> core::result::Result<u32, StoreError>;

    /// Answers later, that is, at once.
    #[replay]
    fn keep(&mut self, cx: &Context, reply: Reply<'_, u32>);
}

/// A server of memory.
struct Shop {
    other: Arc<Mutex<Option<Account>>>,
}

impl Server for Shop {
    fn start(_: &Env) -> Result<Shop> {
        unreachable!("the test makes it")
    }
}

impl Store for Shop {
    fn make(&mut self, cx: &Context, bytes: u64) -> Stored {
        let made = Memory::create(env::account(), bytes);
        made.map(|_| cx.faults()).map_err(|_| StoreError::Exhausted)
    }

    fn make_once(&mut self, cx: &Context, bytes: u64) -> Stored {
        self.make(cx, bytes)
    }

    fn make_elsewhere(&mut self, cx: &Context, bytes: u64) -> Stored {
        let other = self.other.lock().expect("sound");
        let made = Memory::create(other.as_ref().expect("given"), bytes);
        made.map(|_| cx.faults()).map_err(|_| StoreError::Exhausted)
    }

    fn try_to_make(&mut self, cx: &Context, fails: bool) -> Stored {
        let _ = Memory::create(env::account(), 1);
        if fails { Err(StoreError::NotFound) } else { Ok(cx.faults()) }
    }

    fn keep(&mut self, cx: &Context, reply: Reply<'_, u32>) {
        if let Ok(kept) = reply.keep() {
            let kept: Kept<u32> = kept;
            let _ = kept.reply(cx.faults());
        }
    }
}

libsys::serves!(Shop: Store);

/// The server in a process of its own, started again whenever it has died.
struct Served {
    process: FakeProcess,
    channel: Handle,
    is_over: Arc<AtomicBool>,
    keeper: Option<thread::JoinHandle<u32>>,
}

impl Served {
    fn start() -> Served {
        let process = FakeProcess::new();
        let channel = process.new_channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let keeper = thread::spawn(move || {
            let mut starts = 0;
            while !over.load(Ordering::Relaxed) {
                if starts > 0 {
                    process.restart();
                }
                starts += 1;
                process.run(|| {
                    let channel = ManuallyDrop::new(Channel::from_handle(channel));
                    let limits = Limits { frames: 1, handles: 1, ..Limits::default() };
                    let other = Arc::new(Mutex::new(fake::account().split(limits).ok()));
                    let _ = service::run(Shop { other }, &channel);
                });
            }
            starts
        });
        Served { process, channel, is_over, keeper: Some(keeper) }
    }

    fn client(&self) -> StoreClient {
        let channel = self.channel;
        let minted = loop {
            let minted = self.process.run(move || {
                let channel = ManuallyDrop::new(Channel::from_handle(channel));
                channel.mint(1, &fake::account()).expect("a session").into_handle()
            });
            match minted {
                Some(minted) => break minted,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        let session: Session = self.process.take(minted, Rights::all());
        client::open(session).expect("all methods")
    }

    /// How often it was started in all.
    fn end(mut self) -> u32 {
        self.is_over.store(true, Ordering::Relaxed);
        self.process.kill(libsys::abi::ExitReason::Killed);
        let starts = self.keeper.take().expect("running").join().expect("no panic");
        assert_eq!(self.process.exit_record().state, ProcessState::Dead as u32);
        starts
    }
}

#[test]
fn a_request_comes_again_where_the_refusal_is_not_true() {
    let served = Served::start();
    let client = served.client();
    assert_eq!(client.make(4096), Ok(0));
    served.process.refuse_charges(1);
    assert_eq!(client.make(4096), Ok(0), "the server asked again itself");
    served.process.refuse_charges(2);
    assert_eq!(client.make(4096), Ok(1), "the next incarnation has answered");
    assert_eq!(served.end(), 2);
}

#[test]
fn the_second_time_the_answer_stands() {
    let served = Served::start();
    let client = served.client();
    served.process.refuse_charges(u64::MAX);
    assert_eq!(client.make(4096), Err(CallError::Failed(StoreError::Exhausted)));
    served.process.refuse_charges(0);
    assert_eq!(client.make(4096), Ok(0));
    assert_eq!(served.end(), 2);
}

#[test]
fn a_full_account_is_told_of_at_once() {
    let served = Served::start();
    let client = served.client();
    assert_eq!(client.make(1 << 60), Err(CallError::Failed(StoreError::Exhausted)));
    assert_eq!(client.make_elsewhere(1 << 20), Err(CallError::Failed(StoreError::Exhausted)));
    assert_eq!(served.end(), 1);
}

#[test]
fn what_would_not_come_again_is_answered() {
    let served = Served::start();
    let client = served.client();
    served.process.refuse_charges(2);
    assert_eq!(client.make_once(4096), Err(CallError::Failed(StoreError::Exhausted)));
    assert_eq!(served.end(), 1);
}

#[test]
fn a_request_that_did_without_is_answered() {
    let served = Served::start();
    let client = served.client();
    served.process.refuse_charges(2);
    assert_eq!(client.try_to_make(false), Ok(0));
    assert_eq!(
        client.try_to_make(true),
        Err(CallError::Failed(StoreError::NotFound)),
        "nothing was refused to this one"
    );
    assert_eq!(served.end(), 1);
}

#[test]
fn a_call_that_cannot_be_kept_comes_again() {
    let served = Served::start();
    let client = served.client();
    served.process.refuse_charges(2);
    assert_eq!(client.keep(), Ok(1));
    assert_eq!(served.end(), 2);
}
