//! `log`: what the kernel and all programs have logged, in one order.
//!
//! Nobody calls the log server to write: every program logs into a ring of its own ([`crate::log`]), which the server drains.
//! It keeps as much as it has memory for; older records go first.

pub use crate::log::Level;

use crate::Channel;
use crate::service::Context;
use alloc::string::String;
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// The collected logs.
#[protocol]
pub trait Log {
    /// Records after a cursor ([`Cursor::START`] at first) of a level or more urgent ones, oldest first, as many as a message holds. None of
    /// them, and the same cursor, when there are none yet.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn read(&mut self, after: Cursor, least: Level) -> Records;

    /// Signals `bits` of `channel` when there are new records of a level or more urgent ones. It replaces what the session asked for
    /// before; `bits` of 0 end it. Ask first, then read, and nothing is missed.
    ///
    /// Rights: any session; the channel with `SIGNAL` for the bits. *replay*: asked twice it is the same.
    #[replay]
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64, least: Level);

    /// Which records go to the machine's serial line as well: of this level or more urgent ones; `None`: none.
    ///
    /// Rights: a session with [`Context::may_control`]. Error: `Denied`. *once*: another client may have set it since.
    #[once]
    fn show(&mut self, cx: &Context, least: Option<Level>) -> Result<(), LogError>;
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the oldest record that is left.
    pub const START: Cursor = Cursor(0);
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in nanoseconds of the monotonic clock.
    pub time: u64,
    /// How urgent it is.
    pub level: Level,
    /// Name of the program; `kernel` for the kernel's.
    pub source: String,
    /// Number of the process; 0 for the kernel.
    pub process: u64,
    /// Number of the thread, low half.
    pub thread: u32,
    /// What it says.
    pub text: String,
}

/// Some records, and where the next ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// To read on from.
    pub next: Cursor,
    /// Records that are gone, between the given cursor and the first of these.
    pub lost: u64,
}

/// Bytes that [`Records`] encode to at most, without the records.
const AROUND: usize = 24;

impl Records {
    /// Adds a record at the end if a message still holds it; whether it did. `bytes` is what all records so far
    /// encode to: 0 at first.
    pub fn push(&mut self, record: Record, bytes: &mut usize) -> bool {
        let Ok(size) = postcard::experimental::serialized_size(&record) else { return false };
        let fits = *bytes + size + AROUND <= abi::PAYLOAD_BYTES;
        if fits {
            *bytes += size;
            self.records.push(record);
        }
        fits
    }
}

/// Why the log server did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogError {
    /// The session may not do this.
    Denied,
}

impl LogError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            LogError::Denied => "not permitted",
        }
    }
}

impl core::fmt::Display for LogError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for LogError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_records_fit_in_a_message() {
        let record = Record {
            time: u64::MAX,
            level: Level::Debug,
            source: "a program's name".into(),
            process: u64::MAX,
            thread: u32::MAX,
            text: "x".repeat(abi::ring::LOG_TEXT_BYTES),
        };
        let (mut records, mut bytes) = (Records { next: Cursor(u64::MAX), lost: u64::MAX, ..Default::default() }, 0);
        while records.push(record.clone(), &mut bytes) {}
        assert_eq!(records.records.len(), 3);
        let mut page = [0; abi::PAYLOAD_BYTES];
        assert!(postcard::to_slice(&records, &mut page).is_ok());
    }
}
