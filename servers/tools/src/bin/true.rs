//! `true`: succeeds, whatever its arguments.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::fmt::Write;
use libsys::{ExitStatus, env};

const HELP: &str = "usage: true
Does nothing, successfully.
";

fn run() -> ExitStatus {
    // Who does not ask for help needs no console.
    if env::arguments().get(1).is_some_and(|word| word == "--help")
        && let Ok(mut out) = tools::Stream::open(env::names::STDOUT)
    {
        // Nobody hears it: the status stays what it is.
        let _ = out.write_str(HELP).and_then(|()| out.flush().map_err(|_| core::fmt::Error));
    }
    ExitStatus::SUCCESS
}

libsys::main!(run);
