#![cfg_attr(target_os = "none", no_std, no_main)]
//! init: see the [`supervisor`] library.

libsys::main!(supervisor::boot::run);
