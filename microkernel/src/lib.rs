//! The Skink microkernel: scheduling, address spaces, IPC and interrupt forwarding.
//!
//! Everything but `arch` compiles on the host and is tested there.
#![cfg_attr(not(test), no_std)]
// Nothing enters the kernel on the host but its tests: what is not used is said for the target.
#![cfg_attr(not(target_os = "none"), allow(dead_code, unused_imports))]

mod address_space;
mod arch;
mod archive;
mod boot;
mod byte_ring;
mod cpu;
mod death;
mod elf_image;
mod entry;
mod frames;
mod handle_table;
mod ipc;
mod kernel;
mod list;
mod lock;
mod log;
mod object;
mod panic;
mod radix;
mod schedule;
mod shootdown;
mod sync;
mod syscall;
#[cfg(test)]
mod tests;
mod timer;
mod tree;

// What the whole kernel speaks of.
use cpu::Cpu;
use kernel::Kernel;
use list::{Link, List};
use shootdown::{Progress, Ticket};
use tree::{Node, Tree};
