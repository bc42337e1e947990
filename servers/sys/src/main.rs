//! `sys`: the live system as text, a file for each view, made at the moment when it is read from its start. Serves `filesystem` and `file`, read-only. Needs the resource `inspect`, and `state`.
//!
//! `handles` and `maps` are directories with a file for each process, by its number; `crashes` has one for each crash capsule that init keeps, with names of functions from the boot archive, if the
//! manifest gives that.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod texts;
mod tree;
mod views;

use filesystem::FileServer;

libsys::serve!(FileServer<tree::Tree>);
