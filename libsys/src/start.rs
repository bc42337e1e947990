//! A program's first and last instructions.
//!
//! [`main!`](crate::main) names the function that a program runs. On the target, `_start` sets up the thread block, the heap
//! and the environment before it; on the host it is called from an ordinary `main`.
//!
//! A process that another one started gets the address of its [`block`]: a startup block, read-only. init gets its [`abi::boot`]
//! information instead, and finds its handles where the ABI has them.

pub(crate) mod block;
#[cfg(target_os = "none")]
mod target;

#[cfg(target_os = "none")]
pub(crate) use target::{environment, is_init, log_memory, set_log_memory};

use core::fmt::Display;

/// The exit status of a process: 0 is success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitStatus(pub u8);

impl ExitStatus {
    /// It did what it should.
    pub const SUCCESS: ExitStatus = ExitStatus(0);
    /// It did not.
    pub const FAILURE: ExitStatus = ExitStatus(1);
}

/// What a program's main function can return.
pub trait Termination {
    /// The exit status.
    fn status(self) -> ExitStatus;
}

impl Termination for () {
    fn status(self) -> ExitStatus {
        ExitStatus::SUCCESS
    }
}

impl Termination for ExitStatus {
    fn status(self) -> ExitStatus {
        self
    }
}

impl Termination for core::convert::Infallible {
    fn status(self) -> ExitStatus {
        match self {}
    }
}

impl<T: Termination, E: Display> Termination for Result<T, E> {
    /// An error is logged, and fails.
    fn status(self) -> ExitStatus {
        match self {
            Ok(value) => value.status(),
            Err(error) => {
                crate::error!("{error}");
                ExitStatus::FAILURE
            }
        }
    }
}

/// Ends the process. Threads stop where they are.
#[cfg(target_os = "none")]
pub fn exit(status: ExitStatus) -> ! {
    let _ = crate::sys::process_kill(abi::Handle::NONE, abi::ExitReason::Exit, status.0.into());
    unreachable!("a process after its end")
}

/// Ends the fake process that the calling thread is in.
#[cfg(not(target_os = "none"))]
pub fn exit(status: ExitStatus) -> ! {
    let _ = crate::sys::process_kill(abi::Handle::NONE, abi::ExitReason::Exit, status.0.into());
    panic!("a process after its end")
}

/// Names the function that a program runs: `libsys::main!(run);`, with a `run` that returns a
/// [`Termination`](crate::start::Termination). The file starts with
/// `#![cfg_attr(target_os = "none", no_std, no_main)]`.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "Rust" fn skink_main() -> $crate::start::ExitStatus {
            $crate::start::Termination::status($run())
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            let status = $crate::start::Termination::status($run());
            ::std::process::exit(status.0.into());
        }
    };
}

/// Names under which a program is in `/bin` besides its own: `libsys::names!("cat", "ls");`. The host tool reads them from the program
/// ([`abi::note::NamesNote`]), and makes links in the boot archive. The program sees in its first argument under which it was called.
#[macro_export]
macro_rules! names {
    ($($name:literal),+) => {
        #[cfg(target_os = "none")]
        const _: () = {
            const NAMES: &str = concat!($($name, "\n"),+);

            #[used]
            #[unsafe(link_section = ".note.skink.names")]
            static NOTE: $crate::abi::note::NamesNote<{ NAMES.len() }> = $crate::abi::note::NamesNote::new(NAMES);
        };
    };
}
