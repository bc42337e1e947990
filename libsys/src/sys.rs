//! The system calls, one thin function each: arguments typed, status turned into a `Result`.
//!
//! The objects of the crate ([`crate::Channel`], [`crate::Memory`], …) own their handles and are
//! what programs use; these functions act on bare [`Handle`]s and are for the code below
//! them. What a call needs and refuses stands with its number in [`abi::Syscall`].
//!
//! On the host the same functions enter the fake kernel of [`crate::fake`]: [`entry`] is the only place
//! that knows.

mod account;
mod call;
mod channel;
mod device;
pub(crate) mod entry;
mod handle;
mod memory;
mod process;
mod system;

pub use abi::{Class, Error, Handle, Header, Rights};
pub use account::*;
pub use call::*;
pub use channel::*;
pub use device::*;
pub use handle::*;
pub use memory::*;
pub use process::*;
pub use system::*;
