//! `keeper`: a service that counts, and keeps the count in records whose form differs between its programs; a part of `trouble`, for tests of upgrades.

use crate::say;
use alloc::format;
use alloc::string::String;
use libsys::client;
use libsys::env::{self, Env};
use libsys::protocol;
use libsys::service::{self, Server};
use libsys::state::{Migration, RecordKey, Records, Schema};
use libsys::time::{Duration, TimerId, Timers};

/// A service that counts.
#[protocol]
pub trait Keep {
    /// Adds one to the count, and returns it.
    ///
    /// Rights: any session. *once*: each call counts once.
    #[once]
    fn add(&mut self) -> u64;

    /// The form of the records of the program that serves.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn form(&mut self) -> u32;
}

/// The count in the first form.
const FIRST: RecordKey = RecordKey::new(1, 0);

/// The count in the second form, with how often it was changed in that.
const SECOND: RecordKey = RecordKey::new(2, 0);

/// The second form, and the way back.
const STEPS: [Migration; 1] = [Migration {
    up: |records| {
        let count: u64 = records.get(FIRST).unwrap_or_default();
        records.remove(FIRST);
        records.put(SECOND, &(count, 0u64))
    },
    down: |records| {
        let (count, _): (u64, u64) = records.get(SECOND).unwrap_or_default();
        records.remove(SECOND);
        records.put(FIRST, &count)
    },
}];

/// Which program this is, by its last byte: `0` has records of the first form, `1` of the second, `2` as well, but it dies by itself when it has
/// served for a second. A test that wants another program writes another byte into the file.
static PROGRAM: [u8; 16] = *b"keeper program 0";

/// Time after which the program dies that does so.
const FALLS: Duration = Duration::from_secs(1);

/// Which program this is.
fn program() -> u32 {
    // The compiler is not to know: the file may have been changed since.
    u32::from(core::hint::black_box(&PROGRAM)[PROGRAM.len() - 1] - b'0')
}

/// The service.
pub struct Keeper {
    records: Records,
    timers: Timers,
}

impl Server for Keeper {
    fn start(env: &Env) -> service::Result<Keeper> {
        let schema = if program() == 0 { Schema::FIRST } else { Schema { steps: &STEPS } };
        let records = Records::open_as(env, &schema)?;
        let mut timers = Timers::new();
        if program() == 2 {
            timers.after(FALLS);
        }
        Ok(Keeper { records, timers })
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.records)
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        panic!("this program does not hold");
    }
}

impl Keep for Keeper {
    fn add(&mut self) -> u64 {
        if program() == 0 {
            let count: u64 = self.records.get(FIRST).unwrap_or_default();
            // Records of a few bytes always fit.
            let _ = self.records.put(FIRST, &(count + 1));
            return count + 1;
        }
        let (count, changes): (u64, u64) = self.records.get(SECOND).unwrap_or_default();
        let _ = self.records.put(SECOND, &(count + 1, changes + 1));
        count + 1
    }

    fn form(&mut self) -> u32 {
        u32::from(program() > 0)
    }
}

libsys::serves!(Keeper: Keep);

/// The service's main function.
pub fn serve() -> Result<(), String> {
    service::main::<Keeper>().map_err(|error| {
        libsys::error!("{error}");
        format!("{error}")
    })
}

/// The client: `add TIMES` adds over and over, and says whether each call counted once; `form` prints the form.
pub fn ask(name: &str, what: &[&str]) -> Result<(), String> {
    let session = env::get().registry().connect(name, true).map_err(|error| format!("connect: {error}"))?;
    let keeper: KeepClient = client::unchecked(session);
    match what {
        ["form"] => say!("form {}", keeper.form().map_err(|error| format!("{error}"))?),
        ["add", times] => {
            let times: u64 = times.parse().map_err(|_| format!("`{times}` is not a number"))?;
            let mut last = keeper.add().map_err(|error| format!("{error}"))?;
            for _ in 1..times {
                let next = keeper.add().map_err(|error| format!("{error}"))?;
                if next != last + 1 {
                    return Err(format!("{next} follows {last}"));
                }
                last = next;
            }
            say!("count {last}");
        }
        _ => return Err("add TIMES or form".into()),
    }
    Ok(())
}
