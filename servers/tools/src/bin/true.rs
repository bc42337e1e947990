//! `true`: succeeds.
#![cfg_attr(target_os = "none", no_std, no_main)]

fn run() {}

libsys::main!(run);
