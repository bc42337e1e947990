//! `suite`: every system call, the good path and the bad one, one file a kernel object.
//!
//! Arguments choose the tests whose names contain one of them. What a program started by the shell is not given, devices above all, is
//! skipped there.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod account;
mod call;
mod channel;
mod death;
mod dma;
mod handle;
mod interrupt;
mod memory;
mod ports;
mod process;
mod resource;
mod schedule;
mod session;
mod system;
mod thread;
mod timer;

use alloc::string::String;
use guest::test::{Failure, Outcome, Test, run_all};
use libsys::{ExitStatus, Resource};

guest::main!(run);

const GROUPS: &[(&str, &[Test])] = &[
    ("account", account::TESTS),
    ("call", call::TESTS),
    ("channel", channel::TESTS),
    ("death", death::TESTS),
    ("dma", dma::TESTS),
    ("handle", handle::TESTS),
    ("interrupt", interrupt::TESTS),
    ("memory", memory::TESTS),
    ("ports", ports::TESTS),
    ("process", process::TESTS),
    ("resource", resource::TESTS),
    ("schedule", schedule::TESTS),
    ("session", session::TESTS),
    ("system", system::TESTS),
    ("thread", thread::TESTS),
    ("timer", timer::TESTS),
];

fn run(arguments: &[String]) -> ExitStatus {
    run_all(GROUPS, arguments)
}

/// A Resource that not everybody is given.
fn given(resource: &'static Option<Resource>) -> Outcome<&'static Resource> {
    resource.as_ref().ok_or(Failure::skip("no such resource was given"))
}
