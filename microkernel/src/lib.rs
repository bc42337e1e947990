//! The Skink microkernel: scheduling, address spaces, IPC and interrupt forwarding.
//!
//! Everything but `arch` compiles on the host and is tested there.
#![cfg_attr(not(test), no_std)]

pub mod address_space;
pub mod arch;
pub mod archive;
pub mod boot;
pub mod byte_ring;
pub mod cpu;
pub mod death;
pub mod elf_image;
pub mod entry;
pub mod frames;
pub mod handle_table;
pub mod ipc;
pub mod kernel;
pub mod list;
pub mod lock;
pub mod log;
pub mod object;
pub mod panic;
pub mod radix;
pub mod schedule;
pub mod shootdown;
pub mod sync;
pub mod syscall;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod tree;
