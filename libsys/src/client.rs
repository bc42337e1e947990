//! Typed clients: what the clients that `#[protocol]` makes have in common.
//!
//! ```
//! use libsys::Session;
//! use libsys::client::{self, CallError};
//! use libsys::protocol::rtc::{RtcClient, RtcError};
//!
//! fn print_time(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//!     let rtc: RtcClient = client::open(session)?; // checks that the server has every method
//!     match rtc.now() {
//!         Ok(time) => println!("{} s", time.0),
//!         Err(CallError::Failed(RtcError::Lost)) => println!("the clock was without power"),
//!         Err(other) => return Err(other.into()), // how the call ended without an answer of the method
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A session that the manifest gives comes as a client from [`Env::client`](crate::env::Env::client); other services are found by name:
//! `env.registry().connect("rtc", true)`.
//!
//! Neighbours: [`crate::wire`] says what travels, [`crate::service`] is the other side.

mod complaint;
mod error;
mod given;
mod key;
mod link;
mod plausible;

pub use complaint::{Complaint, Verdict, ask_again, on_bad_reply};
pub use error::{CallError, OpenError};
pub use key::Key;
pub use link::Link;
pub use plausible::Plausible;

use crate::Session;
use crate::service::Statistics;
use crate::wire::Method;
use core::time::Duration;

/// A client of a protocol.
pub trait Client: Sized {
    /// Name of the protocol's trait.
    const PROTOCOL: &'static str;

    /// The methods that the client was built with.
    const METHODS: &'static [Method];

    /// A client over a link, unchecked.
    fn over(link: Link) -> Self;

    /// Its link.
    fn link(&self) -> &Link;

    /// Its link, to change.
    fn link_mut(&mut self) -> &mut Link;
}

/// A client over a session, once the server said that it has every method the client was built with. A
/// server may have more of them.
pub fn open<C: Client>(session: Session) -> Result<C, OpenError> {
    let link = Link::new(session);
    link.check(C::METHODS)?;
    Ok(C::over(link))
}

/// A client over a session, unchecked: a method that the server lacks ends with [`CallError::Unsupported`].
pub fn unchecked<C: Client>(session: Session) -> C {
    C::over(Link::new(session))
}

/// The same client, each of whose calls gives up after a time: with [`CallError::NotStarted`], or with
/// [`CallError::Unknown`] where a server had the request already.
pub fn with_timeout<C: Client>(mut client: C, timeout: Duration) -> C {
    client.link_mut().set_timeout(Some(timeout));
    client
}

/// What the server behind a session has counted.
pub fn statistics(session: &Session) -> Result<Statistics, CallError<crate::wire::NoError>> {
    Statistics::of(session)
}
