//! A protocol with every kind of argument and result, and a server of it.

use libsys::service::{Context, Parked, Reply, Result, Server, Sessions, Subscribers};
use libsys::time::{self, TimerId, Timers};
use libsys::wire::Shared;
use libsys::{Channel, Handle, Memory, Session, env::Env, protocol};
use serde::{Deserialize, Serialize};

/// Six fields in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub item: u32,
    pub count: u16,
    pub price: u64,
    pub express: bool,
    pub discount: i32,
    pub warehouse: u8,
}

/// Three fields out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub number: u64,
    pub total: u64,
    pub late: bool,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EveryError {
    Empty,
    TooMuch { limit: u32 },
}

/// Everything that can travel.
#[protocol]
pub trait Every {
    /// Two scalars in, one out.
    #[replay]
    fn add(&mut self, one: u64, other: u64) -> u64;

    /// Every scalar.
    #[replay]
    #[allow(clippy::too_many_arguments)]
    fn scalars(
        &mut self,
        a: u8,
        b: i8,
        c: u16,
        d: i32,
        e: bool,
        f: char,
        g: i64,
        h: u32,
    ) -> (u8, i8, u16, i32, bool, char, i64, u32);

    /// Scalars, or an error.
    #[once]
    fn divide(&mut self, cx: &Context, dividend: i64, divisor: i64) -> std::result::Result<i64, EveryError>;

    /// Data both ways.
    #[once]
    fn order(&mut self, order: Order) -> std::result::Result<Receipt, EveryError>;

    /// Borrowed bytes and text; names that generated code might use.
    #[fail]
    fn write(
        &mut self,
        cx: &Context,
        request: u64,
        page: &[u8],
        server: &str,
        order: &Order,
    ) -> std::result::Result<u32, EveryError>;

    /// Owned bytes.
    #[fail]
    fn reverse(&mut self, payload: Vec<u8>) -> Vec<u8>;

    /// Room for bytes.
    #[replay]
    fn read(&mut self, offset: u64, result: &mut [u8]) -> std::result::Result<usize, EveryError>;

    /// Room for bytes beside borrowed text.
    #[replay]
    fn look_up(&mut self, name: &str, outgoing: &mut [u8]) -> usize;

    /// Handles both ways.
    #[fail]
    fn exchange(
        &mut self,
        session: Session,
        memory: Option<Memory>,
    ) -> std::result::Result<(Session, u32, Option<Memory>), EveryError>;

    /// A shared buffer.
    #[fail]
    fn share(&mut self, buffer: Shared) -> (Shared, String);

    /// A handle beside borrowed text.
    #[fail]
    fn name(&mut self, name: &str, memory: Option<Memory>) -> u32;

    /// Answered later.
    #[replay]
    fn wait(&mut self, cx: &Context, number: u32, reply: Reply<'_, std::result::Result<Order, EveryError>>);

    /// Answered at once, from what is borrowed.
    #[replay]
    fn echo(&mut self, cx: &Context, text: &str, reply: Reply<'_, String>);

    /// Answers all who wait, while its own request is borrowed.
    #[fail]
    fn wake(&mut self, message: &str) -> u32;

    /// What the server has seen, and how many sessions it keeps something for.
    #[replay]
    fn seen(&self) -> (Seen, u32);

    /// Dies if it is asked for the first time.
    #[replay]
    fn die(&mut self, cx: &Context, deaths: u32) -> u32;

    /// The same as a method that changes something.
    #[once]
    fn die_once(&mut self) -> u32;

    /// Sets a timer so many nanoseconds ahead.
    #[once]
    fn set_timer(&mut self, nanoseconds: u64);

    /// Nothing in, nothing out.
    #[fail]
    fn nothing(&self);

    /// A result that may not fit.
    #[replay]
    fn fill(&mut self, bytes: u32) -> Vec<u8>;
}

/// A server of [`Every`].
#[derive(Default)]
pub struct Shop {
    pub orders: Sessions<u64>,
    pub waiting: Parked<std::result::Result<Order, EveryError>, u32>,
    pub subscribers: Subscribers,
    pub seen: Seen,
    pub timers: Timers,
}

/// What the server has seen besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub signals: u64,
    pub closes: Vec<(u64, u64, bool)>,
    pub withdrawn: u32,
    pub sequences: Vec<(u64, u64)>,
    pub timers: u32,
}

pub fn an_order() -> Order {
    Order { item: 1, count: 300, price: 1 << 40, express: true, discount: -70_000, warehouse: 9 }
}

impl Server for Shop {
    fn start(_: &Env) -> Result<Self> {
        Ok(Shop::default())
    }

    fn signal(&mut self, bits: u64) {
        self.seen.signals |= bits;
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        self.seen.timers += 1;
        // An answer from here must not meet the one that the loop is about to send.
        while let Some((call, number)) = self.waiting.pop() {
            let _ = call.reply(Ok(Order { item: number, ..an_order() }));
        }
    }

    fn close(&mut self, badge: u64, client: u64, last: bool) {
        self.orders.close(badge, last);
        self.subscribers.close(badge, last);
        self.seen.closes.push((badge, client, last));
    }

    fn withdrawn(&mut self, call: Handle) {
        assert!(self.waiting.withdraw(call), "a call that nobody keeps");
        self.seen.withdrawn += 1;
    }
}

impl Every for Shop {
    fn add(&mut self, one: u64, other: u64) -> u64 {
        one.wrapping_add(other)
    }

    fn scalars(
        &mut self,
        a: u8,
        b: i8,
        c: u16,
        d: i32,
        e: bool,
        f: char,
        g: i64,
        h: u32,
    ) -> (u8, i8, u16, i32, bool, char, i64, u32) {
        (a, b, c, d, e, f, g, h)
    }

    fn divide(&mut self, cx: &Context, dividend: i64, divisor: i64) -> std::result::Result<i64, EveryError> {
        *self.orders.get_or_default(cx) += 1;
        let key = cx.key().expect("a once method has a key");
        self.seen.sequences.push((key.lane, key.sequence));
        dividend.checked_div(divisor).ok_or(EveryError::Empty)
    }

    fn order(&mut self, order: Order) -> std::result::Result<Receipt, EveryError> {
        if order.count > 1000 {
            return Err(EveryError::TooMuch { limit: 1000 });
        }
        Ok(Receipt { number: 7, total: order.price * u64::from(order.count), late: !order.express })
    }

    fn write(
        &mut self,
        cx: &Context,
        request: u64,
        page: &[u8],
        server: &str,
        order: &Order,
    ) -> std::result::Result<u32, EveryError> {
        assert_eq!(cx.key(), None);
        Ok(request as u32 + page.len() as u32 + server.len() as u32 + order.item)
    }

    fn reverse(&mut self, mut payload: Vec<u8>) -> Vec<u8> {
        payload.reverse();
        payload
    }

    fn read(&mut self, offset: u64, result: &mut [u8]) -> std::result::Result<usize, EveryError> {
        if offset > 100 {
            return Err(EveryError::Empty);
        }
        for (index, byte) in result.iter_mut().enumerate() {
            *byte = (offset + index as u64) as u8;
        }
        Ok(result.len())
    }

    fn look_up(&mut self, name: &str, outgoing: &mut [u8]) -> usize {
        let length = name.len().min(outgoing.len());
        outgoing[..length].copy_from_slice(&name.to_uppercase().as_bytes()[..length]);
        length
    }

    fn exchange(
        &mut self,
        session: Session,
        memory: Option<Memory>,
    ) -> std::result::Result<(Session, u32, Option<Memory>), EveryError> {
        let count = 1 + u32::from(memory.is_some());
        Ok((session, count, memory))
    }

    fn name(&mut self, name: &str, memory: Option<Memory>) -> u32 {
        name.len() as u32 + u32::from(memory.is_some())
    }

    fn share(&mut self, buffer: Shared) -> (Shared, String) {
        (buffer, "yours".into())
    }

    fn wait(&mut self, _: &Context, number: u32, reply: Reply<'_, std::result::Result<Order, EveryError>>) {
        match number {
            0 => reply.send(Err(EveryError::Empty)),
            u32::MAX => {}
            _ => self.waiting.park(reply, number).expect("room for a kept call"),
        }
    }

    fn echo(&mut self, cx: &Context, text: &str, reply: Reply<'_, String>) {
        reply.send(format!("{} says {text}", cx.badge()));
    }

    fn wake(&mut self, message: &str) -> u32 {
        let mut count = 0;
        while let Some((call, number)) = self.waiting.pop() {
            let _ = call.reply(Ok(Order { item: number, ..an_order() }));
            count += 1;
        }
        assert_eq!(message, "wake up", "an answer to another call overwrote the request");
        count
    }

    fn seen(&self) -> (Seen, u32) {
        (self.seen.clone(), self.orders.len() as u32)
    }

    fn die(&mut self, cx: &Context, deaths: u32) -> u32 {
        assert!(cx.faults() >= deaths, "it is to die");
        cx.faults()
    }

    fn die_once(&mut self) -> u32 {
        panic!("it is to die")
    }

    fn set_timer(&mut self, nanoseconds: u64) {
        self.timers.at(time::now() + nanoseconds);
    }

    fn nothing(&self) {}

    fn fill(&mut self, bytes: u32) -> Vec<u8> {
        vec![1; bytes.min(1 << 16) as usize]
    }
}

/// A second protocol on the same channel.
#[protocol]
pub trait Control {
    /// Names a channel to signal.
    #[once]
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64);

    /// Signals it.
    #[fail]
    fn strike(&mut self);
}

impl Control for Shop {
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) {
        self.subscribers.subscribe(cx, channel, bits);
    }

    fn strike(&mut self) {
        self.subscribers.notify();
    }
}

libsys::serves!(Shop: Every, Control);
