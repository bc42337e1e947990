//! `counter`: a number that only grows.

use libsys::protocol;
use libsys::service::Reply;
use serde::{Deserialize, Serialize};

/// A counter.
#[protocol]
pub trait Counter {
    /// The count.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn count(&mut self) -> u64;

    /// Adds to the count, and returns it.
    ///
    /// Rights: any session. Error: `TooLarge`. *once*: added twice it would be wrong.
    #[once]
    fn add(&mut self, number: u64) -> Result<u64, CounterError>;

    /// Waits until the count is at least `least`, and returns it.
    ///
    /// Rights: any session. *replay*: it only reads; while it waits it is parked.
    #[replay]
    fn wait_for(&mut self, least: u64, reply: Reply<'_, u64>);
}

/// Why a count does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CounterError {
    /// It would pass the server's limit.
    TooLarge,
}
