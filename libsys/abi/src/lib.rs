//! What the kernel and user space share: system call numbers, the registers they use, message
//! layout, handles and rights, errors, and the records that the kernel fills in.
//!
//! Nothing here has behaviour of its own. One file a noun; the same noun names a file in
//! the kernel (`microkernel/src/object/`), in `libsys`, in the guest tests and in the book.
//!
//! # Registers of a system call
//!
//! | register | in | out |
//! |---|---|---|
//! | `rax` | [`Syscall`] number | [`Status`]: 0, or an [`Error`] |
//! | `rdi` | argument 0: mostly the handle that is acted upon | result 0 |
//! | `rsi` | argument 1; the [`Header`] of a message | result 1; the header received |
//! | `rdx r8 r9 r10 r12 r13 r14 r15` | arguments 2 to 9; the eight words of a message | results 2 to 9; the words received |
//! | `rcx r11` | destroyed | destroyed |
//! | `rbx rbp rsp` | kept | kept |
#![cfg_attr(not(test), no_std)]

/// The number of this ABI. A program carries the number that it was built for in an ELF note
/// ([`note`]); another number is refused by name.
pub const ABI_VERSION: u32 = 2;

pub mod account;
pub mod archive;
pub mod boot;
pub mod error;
pub mod handle;
pub mod header;
pub mod inspect;
pub mod memory;
pub mod message;
pub mod note;
pub mod ports;
pub mod process;
pub mod ring;
pub mod schedule;
pub mod syscall;

pub use account::{Limits, Usage};
pub use error::{Error, OK, Status};
pub use handle::{Handle, Kind, Rights};
pub use header::{Class, Header};
pub use message::{MessagePage, PAYLOAD_BYTES, WORDS};
pub use process::{ExitReason, ExitRecord};
pub use schedule::{Parameters, Policy};
pub use syscall::{Delivery, Syscall};

/// Bytes in a page, the unit of memory that the processor maps.
pub const PAGE_BYTES: usize = 4096;
