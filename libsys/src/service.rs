//! The loop of every server: receive, dispatch, reply, with signals, timers and closes in the same loop.
//!
//! A server is a type that implements [`Server`] and the traits of its protocols; [`crate::serve!`] names both
//! and makes the program's entry. One instance answers everything, one thing at a time, so its methods take
//! `&mut self` and need no locks. What it may hold on to:
//!
//! | type | for |
//! |---|---|
//! | [`Sessions`] | something for each session, gone with its close |
//! | [`Subscribers`], [`KeptSubscribers`] | channels to signal when something is ready; such that outlive the process |
//! | [`Reply`], [`Kept`], [`Parked`] | calls that are answered later |
//! | [`Timers`] | timers, lent to the loop by [`Server::timers`] |
//! | [`Records`] | what outlives the process, lent to the loop by [`Server::records`] |
//!
//! Whatever a client sends, the loop goes on: what does not decode is refused and counted ([`Statistics`]).

mod commit;
mod context;
pub(crate) mod damage;
mod entry;
pub(crate) mod exhausted;
mod outbox;
mod parked;
mod reply;
mod run;
mod sessions;
mod start;
mod statistics;
mod subscribers;

pub use context::{CONTROL, Context, GIVEN};
pub use entry::{distinct, main};
pub use parked::Parked;
pub use reply::{Kept, Reply, Slot};
pub use run::Service;
pub use sessions::Sessions;
pub use start::{Result, StartError};
pub use statistics::Statistics;
pub use subscribers::{KeptSubscribers, Subscribers};

pub(crate) use outbox::Outbox;

use crate::env::{self, Env};
use crate::protocol::registry::State;
use crate::state::Records;
use crate::time::{TimerId, Timers};
use crate::wire::{Answer, Method, Request};
use crate::{Channel, Handle};

/// Signal bit of init's: the service is asked to end, if its manifest entry has the line `quiesce`. As all bits are set at a restart, [`is_stopping`] says whether it is meant.
pub const QUIESCE: u64 = 1 << 63;

/// Whether init wants this service to end.
pub fn is_stopping() -> bool {
    let name = env::arguments().first().map_or("", |name| name);
    env::get().registry().info(name).is_ok_and(|service| service.state == State::Stopping)
}

/// A server: how it starts, and what it does besides answering calls.
pub trait Server: Sized {
    /// Makes the server from what the manifest gave it. An error is logged and ends the process.
    fn start(env: &Env) -> Result<Self>;

    /// Signal bits arrived: interrupts, peers, exits. In a server that was restarted, all bits are set
    /// once at first, as the last ones before a death are lost: look, and bear that there is nothing.
    fn signal(&mut self, bits: u64) {
        let _ = bits;
    }

    /// The server's timers, if it has any: the loop wakes up for them.
    fn timers(&mut self) -> Option<&mut Timers> {
        None
    }

    /// What the server keeps from one incarnation to the next, if it does: the loop commits what is staged after every event, and before an answer is sent,
    /// with the reply to a `once` request. Without it such requests end with an error when the server dies, or are repeated: [`Server::is_stateless`].
    fn records(&mut self) -> Option<&mut Records> {
        None
    }

    /// Whether nothing that a request changes outlives it: then a `once` request that comes again after a death is carried out again.
    /// Without [`Server::records`] it ends with an error otherwise.
    fn is_stateless(&self) -> bool {
        false
    }

    /// What was staged is true from now on: what others see at once may follow it, such as the index of a ring or a signal that is sent once. What is
    /// staged here is committed next, so it has to come to an end. A server that was restarted does the same at its start, for it may have died in between.
    fn committed(&mut self) {}

    /// An answer that an incarnation before this one had kept leaves now, as its caller asks again. It brings a session of this badge, which may never have been minted:
    /// [`Channel::sessions`](crate::Channel::sessions) need not have told of it at the start. Where nobody asks again there is no such session, and nothing to be closed.
    fn reopened(&mut self, badge: u64) {
        let _ = badge;
    }

    /// A timer has expired.
    fn timer(&mut self, timer: TimerId) {
        let _ = timer;
    }

    /// A client process closed a session; with `last`, no process has it any more. The loop acknowledges
    /// the close when this returns. After a restart it may come for sessions that this instance never saw.
    fn close(&mut self, badge: u64, client: u64, last: bool) {
        let _ = (badge, client, last);
    }

    /// The caller of a kept call is gone: let go of the [`Kept`] whose [`Kept::is`] says so.
    fn withdrawn(&mut self, call: Handle) {
        let _ = call;
    }
}

/// A server with its protocols: what [`crate::serves!`] and [`crate::serve!`] implement.
pub trait Serve: Server {
    /// The methods of each protocol.
    const PROTOCOLS: &'static [&'static [Method]];

    /// Runs the method that a request asks for.
    fn dispatch(&mut self, request: &Request) -> Answer;
}

/// Runs a server on a channel, in the calling thread, until the channel is closed.
pub fn run<S: Serve>(server: S, channel: &Channel) -> core::result::Result<(), crate::Error> {
    Service::new(server).run(channel)
}
