//! `date`: tells the time.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use core::fmt::Write;
use libsys::client::{self, CallError};
use libsys::protocol::RtcClient;
use libsys::protocol::registry::RegistryError;
use libsys::protocol::rtc::{RtcError, UnixTime};
use libsys::time::{self, Duration};
use libsys::{ExitStatus, env};
use tools::Failure;
use tools::calendar::DateTime;

const HELP: &str = "usage: date [-s]
Tells date and time, as the machine's clock has them (UTC).
  -s  in seconds since 1970
";

/// How often a clock that just counts on is asked again.
const TRIES: u32 = 20;

fn run() -> ExitStatus {
    tools::run(HELP, |arguments, out| {
        let in_seconds = match arguments {
            [] => false,
            [option] if option == "-s" => true,
            [word, ..] => return Err(Failure::Usage(format!("unexpected `{word}`"))),
        };
        let UnixTime(seconds) = now()?;
        if in_seconds {
            writeln!(out, "{seconds}")?;
        } else {
            let date = DateTime::of_unix(seconds);
            writeln!(out, "{} {date} UTC", date.weekday_name())?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn now() -> Result<UnixTime, Failure> {
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
            Ok(time) => return Ok(time),
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

libsys::main!(run);
