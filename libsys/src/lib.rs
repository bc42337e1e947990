//! What a program on Skink is written against: the system calls, owned handles for the kernel's objects, threads and
//! locks, time, logs, and the start of other programs.
//!
//! | layer | files |
//! |---|---|
//! | kernel entry | [`sys`], [`message`]: registers and message pages of the ABI |
//! | objects | one file a kernel object: [`account`], [`process`], [`thread_object`], [`memory`], [`channel`], [`session`], [`kept_call`], [`interrupt`], [`ports`], [`dma`], [`resource`] |
//! | a process's inside | [`start`], [`env`], [`heap`], [`panic`], [`thread`], [`sync`], [`time`], [`log`], [`state`] |
//! | between processes | [`ring`], [`mod@block`], [`program`], [`inspect`], [`archive`], [`symbols`], [`crash`] |
//! | files | [`fs`], [`path`], [`io`], [`pipe`] |
//! | typed channels | [`protocol`]: one file a protocol, and how to write one; [`client`], [`service`] and [`driver`]: the two sides; [`wire`]: what travels |
//!
//! Everything builds and runs on the host as well, over the kernel in [`fake`].
#![no_std]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

extern crate self as libsys;

pub use abi;
pub use libsys_macros::protocol;

pub mod block;
pub mod client;
pub mod driver;
pub mod protocol;
pub mod service;
pub mod wire;

pub mod message;
pub mod object;
pub mod sys;

pub mod archive;
pub mod boot;
#[cfg(any(test, target_os = "none"))]
mod compare;
#[cfg(any(test, target_os = "none"))]
mod copy;
pub mod crash;
pub mod env;
pub mod fs;
pub mod heap;
pub mod io;
pub mod log;
pub mod panic;
pub mod path;
pub mod pipe;
pub mod start;
pub mod state;
pub mod symbols;
pub mod sync;
pub mod thread;
pub mod time;

pub mod ring;

pub mod account;
pub mod channel;
pub mod dma;
pub mod interrupt;
pub mod kept_call;
pub mod mapping;
pub mod memory;
pub mod ports;
pub mod process;
pub mod resource;
pub mod session;
pub mod thread_object;

pub mod inspect;
pub mod program;
pub mod random;

#[cfg(not(target_os = "none"))]
pub mod fake;

pub use abi::{Class, Error, Handle, Header, Rights};
pub use account::{Account, Limits};
pub use channel::Channel;
pub use dma::DmaDomain;
pub use interrupt::Interrupt;
pub use kept_call::KeptCall;
pub use mapping::{Mapping, WritableMapping};
pub use memory::Memory;
pub use object::Object;
pub use ports::Ports;
pub use process::Process;
pub use resource::Resource;
pub use session::Session;
pub use start::{ExitStatus, exit};
pub use thread_object::ThreadObject;
