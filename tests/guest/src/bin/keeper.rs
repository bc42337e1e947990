//! `keeper`: a service that counts, to be upgraded to `keeper-next` and `keeper-falls`; and its client.
//!
//! | arguments | is |
//! |---|---|
//! | `serve` | the service, with records of the first form |
//! | `ask SERVICE add TIMES\|form` | a client |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use guest::keeper::{self, Form, Keeper};
use guest::say;
use libsys::time::Duration;
use libsys::{ExitStatus, env, service};

struct First;

impl Form for First {
    const FORM: u32 = 0;
    const FALLS: Option<Duration> = None;
}

fn run() -> ExitStatus {
    let words: Vec<&str> = env::arguments().iter().skip(1).map(|word| word.as_str()).collect();
    let outcome = match words.as_slice() {
        ["serve"] => service::main::<Keeper<First>>().map_err(|error| {
            libsys::error!("{error}");
            format!("{error}")
        }),
        ["ask", name, what @ ..] => keeper::ask(name, what),
        _ => Err("serve, or ask SERVICE".to_string()),
    };
    match outcome {
        Ok(()) => ExitStatus::SUCCESS,
        Err(error) => {
            say!("keeper: {error}");
            ExitStatus::FAILURE
        }
    }
}

libsys::main!(run);
