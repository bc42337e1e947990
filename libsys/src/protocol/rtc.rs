//! `rtc`: the wall clock that runs while the machine is off.
//!
//! Served by the CMOS clock's driver. It is read once, when a system starts: between, time comes from the
//! monotonic clock ([`crate::time`]).

use crate::service::Context;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// A real-time clock.
#[protocol]
pub trait Rtc {
    /// The time, in whole seconds.
    ///
    /// Rights: any session. Errors: `NotReady`, `Lost`, `Device`. *replay*: it only reads.
    #[replay]
    fn now(&mut self) -> Result<UnixTime, RtcError>;

    /// Sets the clock; it counts on from there at once. What the clock cannot hold is `OutOfRange`.
    ///
    /// Rights: a session with [`Context::may_control`]. Errors: `Denied`, `OutOfRange`, `NotReady`, `Device`. *once*: a
    /// second setting would take back what another client set in between, and the seconds that passed. A server that dies in the middle of it leaves no
    /// half of a date: the next one finishes it.
    #[once]
    fn set(&mut self, cx: &Context, time: UnixTime) -> Result<(), RtcError>;
}

/// Seconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixTime(pub i64);

/// Why the clock was not read or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RtcError {
    /// It changes its registers at this moment, and does so for longer than it should: try again.
    NotReady,
    /// It was without power: its time means nothing until it is set.
    Lost,
    /// The clock cannot hold this time.
    OutOfRange,
    /// The session may not set the clock.
    Denied,
    /// The device holds values that are no time.
    Device,
}

impl RtcError {
    /// Whether it is hardly ever true: see [`Plausible`](crate::client::Plausible). Asking a clock again hides nothing.
    pub const fn is_implausible(&self) -> bool {
        matches!(self, RtcError::NotReady | RtcError::Device)
    }

    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            RtcError::NotReady => "the clock is busy",
            RtcError::Lost => "the clock was without power",
            RtcError::OutOfRange => "the clock cannot hold this time",
            RtcError::Denied => "not permitted",
            RtcError::Device => "the clock holds values that are no time",
        }
    }
}

impl core::fmt::Display for RtcError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for RtcError {}
