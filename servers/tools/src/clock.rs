//! The machine's clock.

use crate::Failure;
use alloc::format;
use libsys::client::{self, CallError};
use libsys::env;
use libsys::fs::Timestamp;
use libsys::protocol::RtcClient;
use libsys::protocol::registry::RegistryError;
use libsys::protocol::rtc::{RtcError, UnixTime};
use libsys::time::{self, Duration};

/// How often a clock that just counts on is asked again.
const TRIES: u32 = 20;

/// Seconds since 1970.
pub fn now() -> Result<i64, Failure> {
    let session = env::get().registry().connect("rtc", true).map_err(|error| {
        Failure::Error(match error {
            CallError::Failed(RegistryError::NoSuchName) => "this machine has no clock".into(),
            other => format!("no connection to the clock: {other}"),
        })
    })?;
    let clock: RtcClient = client::unchecked(session);
    let mut tries = 0;
    loop {
        tries += 1;
        match clock.now() {
            Ok(UnixTime(seconds)) => return Ok(seconds),
            Err(CallError::Failed(RtcError::NotReady)) if tries < TRIES => {
                time::sleep(Duration::from_millis(1));
            }
            Err(CallError::Failed(RtcError::Lost)) => {
                return Err(Failure::Error("the clock was without power, and has not been set".into()));
            }
            Err(error) => return Err(Failure::Error(format!("the clock: {error}"))),
        }
    }
}

/// The same as a time of a file.
pub fn timestamp() -> Result<Timestamp, Failure> {
    Ok(Timestamp { seconds: now()?, nanoseconds: 0 })
}
