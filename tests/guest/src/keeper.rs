//! `keeper`: a service that counts, and keeps the count in records of a form that differs between its programs; for tests of upgrades.

use crate::say;
use alloc::format;
use alloc::string::String;
use libsys::client;
use libsys::env::{self, Env};
use libsys::protocol;
use libsys::service::{self, Server};
use libsys::state::{Migration, RecordKey, Records, Schema};
use libsys::time::{Duration, TimerId, Timers};
use libsys::wire::{Answer, Method, Request};

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

/// A program of the service.
pub trait Form {
    /// Steps from the first form to its own.
    const FORM: u32;
    /// Time after which it panics.
    const FALLS: Option<Duration>;
}

/// The service.
pub struct Keeper<F> {
    records: Records,
    timers: Timers,
    form: core::marker::PhantomData<F>,
}

impl<F: Form> Server for Keeper<F> {
    fn start(env: &Env) -> service::Result<Keeper<F>> {
        let schema = if F::FORM == 0 { Schema::FIRST } else { Schema { steps: &STEPS } };
        let records = Records::open_as(env, &schema)?;
        let mut timers = Timers::new();
        if let Some(time) = F::FALLS {
            timers.after(time);
        }
        Ok(Keeper { records, timers, form: core::marker::PhantomData })
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

impl<F: Form> Keep for Keeper<F> {
    fn add(&mut self) -> u64 {
        if F::FORM == 0 {
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
        F::FORM
    }
}

impl<F: Form> service::Serve for Keeper<F> {
    const PROTOCOLS: &'static [&'static [Method]] = &[<dyn Keep>::METHODS];

    fn dispatch(&mut self, request: &Request) -> Answer {
        <dyn Keep>::dispatch(self, request)
    }
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
