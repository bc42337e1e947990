//! The Skink microkernel: scheduling, address spaces, IPC and interrupt forwarding.
//!
//! Everything but `arch` compiles on the host and is tested there.
#![cfg_attr(not(test), no_std)]

pub mod arch;
pub mod kernel;
pub mod list;
pub mod object;
