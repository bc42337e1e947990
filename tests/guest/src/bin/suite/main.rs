//! `suite`: every system call, the good path and the bad one, one file a kernel object.
//!
//! Arguments choose the tests whose names contain one of them.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod handle;

use alloc::string::String;
use guest::test::{Test, run_all};
use libsys::ExitStatus;

guest::main!(run);

const GROUPS: &[(&str, &[Test])] = &[("handle", handle::TESTS)];

fn run(arguments: &[String]) -> ExitStatus {
    run_all(GROUPS, arguments)
}
