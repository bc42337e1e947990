//! A server whose every promise outlives it: accounts, each a session of its own, with money in them.

use libsys::driver::Env;
use libsys::protocol;
use libsys::service::{Context, KeptSubscribers, Parked, Reply, Result, Server};
use libsys::state::{RecordKey, Records};
use libsys::{Channel, Session, fake};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Kinds of records.
const ACCOUNT: u16 = 1;
const NEXT: u16 = 2;
const SUBSCRIBER: u16 = 3;

/// Mark of a badge that says all about its session: a number of its own, and below it the account.
const SHARE: u64 = 1 << 60;
const NUMBER_SHIFT: u32 = 32;
const ACCOUNTS: u64 = (1 << NUMBER_SHIFT) - 1;

/// The account of a session.
fn account_of(badge: u64) -> u64 {
    if badge & SHARE == 0 { badge } else { badge & ACCOUNTS }
}

/// What everybody sees at once, outside of the process: the sum of all accounts.
#[derive(Debug, Default)]
pub struct Board {
    pub sum: AtomicU64,
    /// A new incarnation found more on it than it knew of.
    pub was_ahead: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BankError {
    NoAccount,
    Exhausted,
}

#[protocol]
pub trait Bank {
    /// Opens an account: a session of its own.
    #[once]
    fn open(&mut self) -> core::result::Result<(u64, Session), BankError>;

    /// Another session for the account of this one: kept by its badge alone, and minted when the reply leaves.
    #[once]
    fn share(&mut self, cx: &Context) -> core::result::Result<Session, BankError>;

    /// Pays in: what is there then.
    #[once]
    fn pay_in(&mut self, cx: &Context, amount: u64) -> core::result::Result<u64, BankError>;

    /// Waits until somebody wakes the savers; then pays in.
    #[once]
    fn pay_in_later(&mut self, cx: &Context, amount: u64, reply: Reply<'_, core::result::Result<u64, BankError>>);

    /// Wakes those who wait: how many.
    #[replay]
    fn wake(&mut self) -> u32;

    /// Signals whenever somebody has paid in.
    #[replay]
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> core::result::Result<(), BankError>;

    /// Changes nothing, and dies in the middle of it, after something was staged, as long as the faults are fewer.
    #[once]
    fn die(&mut self, cx: &Context, amount: u64, faults: u32) -> core::result::Result<u64, BankError>;

    /// What is in all accounts, and how many there are.
    #[replay]
    fn total(&mut self) -> (u64, u32);

    /// How many shares are open.
    #[replay]
    fn shares(&mut self) -> u32;
}

pub struct Counter {
    records: Records,
    channel: ManuallyDrop<Channel>,
    accounts: BTreeMap<u64, u64>,
    shares: BTreeSet<u64>,
    next: u64,
    waiting: Parked<core::result::Result<u64, BankError>, (u64, u64)>,
    subscribers: KeptSubscribers,
    board: Arc<Board>,
}

impl Counter {
    pub fn new(mut records: Records, channel: ManuallyDrop<Channel>, board: Arc<Board>) -> Counter {
        let accounts = records.all(ACCOUNT).into_iter().map(|(key, amount)| (key.first, amount)).collect();
        let next = records.get(RecordKey::new(NEXT, 0)).unwrap_or(1000);
        let mut subscribers = KeptSubscribers::recover(SUBSCRIBER, &records);
        subscribers.notify(&mut records);
        let sessions = channel.sessions().expect("a list").into_iter();
        let shares = sessions.map(|session| session.badge).filter(|badge| badge & SHARE != 0).collect();
        let mut counter =
            Counter { records, channel, accounts, shares, next, waiting: Parked::new(), subscribers, board };
        let is_ahead = counter.board.sum.load(Ordering::Relaxed) > counter.sum();
        counter.board.was_ahead.fetch_or(is_ahead, Ordering::Relaxed);
        counter.committed();
        counter
    }

    fn sum(&self) -> u64 {
        self.accounts.values().sum()
    }

    fn pay(&mut self, badge: u64, amount: u64) -> core::result::Result<u64, BankError> {
        if badge & SHARE != 0 && !self.shares.contains(&badge) {
            return Err(BankError::NoAccount);
        }
        let account = account_of(badge);
        let sum = self.accounts.get(&account).ok_or(BankError::NoAccount)? + amount;
        self.records.put(RecordKey::new(ACCOUNT, account), &sum).map_err(|_| BankError::Exhausted)?;
        self.accounts.insert(account, sum);
        self.subscribers.notify(&mut self.records);
        Ok(sum)
    }
}

impl Server for Counter {
    fn start(_: &Env) -> Result<Counter> {
        unreachable!("the test makes it")
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.records)
    }

    fn committed(&mut self) {
        self.board.sum.fetch_max(self.sum(), Ordering::Relaxed);
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        self.subscribers.close(&mut self.records, badge, last);
        if last && !self.shares.remove(&badge) && self.accounts.remove(&badge).is_some() {
            self.records.remove(RecordKey::new(ACCOUNT, badge));
        }
    }

    fn reopened(&mut self, badge: u64) {
        self.shares.insert(badge);
    }

    fn withdrawn(&mut self, call: libsys::Handle) {
        self.waiting.withdraw(call);
    }
}

impl Bank for Counter {
    fn open(&mut self) -> core::result::Result<(u64, Session), BankError> {
        let badge = self.next;
        let session = self.channel.mint(badge, &fake::account()).map_err(|_| BankError::Exhausted)?;
        self.records.put(RecordKey::new(NEXT, 0), &(badge + 1)).map_err(|_| BankError::Exhausted)?;
        self.records.put(RecordKey::new(ACCOUNT, badge), &0u64).map_err(|_| BankError::Exhausted)?;
        self.next += 1;
        self.accounts.insert(badge, 0);
        Ok((badge, session))
    }

    fn share(&mut self, cx: &Context) -> core::result::Result<Session, BankError> {
        let badge = SHARE | self.next << NUMBER_SHIFT | account_of(cx.badge());
        self.records.put(RecordKey::new(NEXT, 0), &(self.next + 1)).map_err(|_| BankError::Exhausted)?;
        self.next += 1;
        self.shares.insert(badge);
        Ok(self.channel.mint_with_reply(badge))
    }

    fn pay_in(&mut self, cx: &Context, amount: u64) -> core::result::Result<u64, BankError> {
        self.pay(cx.badge(), amount)
    }

    fn pay_in_later(&mut self, cx: &Context, amount: u64, reply: Reply<'_, core::result::Result<u64, BankError>>) {
        let _ = self.waiting.park(reply, (cx.badge(), amount));
    }

    fn wake(&mut self) -> u32 {
        let mut count = 0;
        while let Some((call, (badge, amount))) = self.waiting.pop() {
            let answer = self.pay(badge, amount);
            count += u32::from(call.reply(answer).is_ok());
        }
        count
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> core::result::Result<(), BankError> {
        self.subscribers.subscribe(&mut self.records, cx, channel, bits).map_err(|_| BankError::Exhausted)
    }

    fn die(&mut self, cx: &Context, amount: u64, faults: u32) -> core::result::Result<u64, BankError> {
        let sum = self.pay(cx.badge(), amount)?;
        assert!(cx.faults() >= faults, "asked to fall");
        Ok(sum)
    }

    fn total(&mut self) -> (u64, u32) {
        (self.sum(), self.accounts.len() as u32)
    }

    fn shares(&mut self) -> u32 {
        self.shares.len() as u32
    }
}

libsys::serves!(Counter: Bank);
