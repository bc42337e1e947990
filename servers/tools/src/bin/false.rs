//! `false`: fails.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::ExitStatus;

fn run() -> ExitStatus {
    ExitStatus::FAILURE
}

libsys::main!(run);
