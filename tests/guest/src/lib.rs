//! What the programs that test the kernel from user space are written with.
//!
//! | module | what |
//! |---|---|
//! | [`raw`] | system calls as bare registers, also those that `libsys` would not make |
//! | [`system`] | how these programs start, as init or from the shell, and what they are given |
//! | [`console`] | their output |
//! | [`test`] | named tests, run and reported |
//! | [`process`] | other processes of the same program: functions run in them, servers, puppets |
//! | [`counts`] | what the system has in use, before and after |
//! | [`trouble`] | services that do to themselves what they are asked to |
//! | [`keeper`] | a service that is upgraded |
//! | [`disk`] | disks by name |
//! | [`pattern`] | what files are filled with |
//! | [`random`] | numbers that follow from a seed |
//!
//! On the host all of it compiles, for the lints; it runs on the target only, but for [`pattern`] and [`random`].
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod console;
pub mod counts;
pub mod disk;
pub mod keeper;
pub mod pattern;
pub mod process;
pub mod puppet;
pub mod random;
pub mod raw;
pub mod system;
pub mod test;
pub mod trouble;
