//! `true`: succeeds, whatever its arguments.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::ExitStatus;

const HELP: &str = "usage: true
Does nothing, successfully.
";

fn run() -> ExitStatus {
    tools::constant(HELP, ExitStatus::SUCCESS)
}

libsys::main!(run);
