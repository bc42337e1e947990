//! `false`: fails, whatever its arguments.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::ExitStatus;

const HELP: &str = "usage: false
Does nothing, unsuccessfully.
";

fn run() -> ExitStatus {
    tools::constant(HELP, ExitStatus::FAILURE)
}

libsys::main!(run);
