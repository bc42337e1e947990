//! init (to come).
#![cfg_attr(target_os = "none", no_std, no_main)]

libsys::main!(run);

fn run() {}
