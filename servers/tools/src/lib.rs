//! What small programs have in common: a console to write to and read from, and clear ends.
//!
//! The programs themselves are in `bin/`, a file each.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod calendar;
pub mod disks;
pub mod pci_names;
pub mod stream;

pub use stream::Stream;

use alloc::string::String;
use core::fmt::{self, Write};
use libsys::{ExitStatus, env};

/// Status of a program that was called in a wrong way.
pub const USAGE: ExitStatus = ExitStatus(2);

/// Why a program does not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was called in a wrong way.
    Usage(String),
    /// Something was refused.
    Error(String),
    /// Nobody hears it.
    Output,
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Failure {
        Failure::Output
    }
}

/// Runs a program: `--help` and failures are the same for all. `help` is its usage line and what follows.
pub fn run(help: &str, body: impl FnOnce(&[String], &mut Stream) -> Result<ExitStatus, Failure>) -> ExitStatus {
    let (name, arguments) = env::arguments().split_first().map_or(("?", &[][..]), |(name, rest)| (name.as_str(), rest));
    let Ok(mut out) = Stream::open(env::names::STDOUT) else {
        libsys::error!("no stdout was given");
        return ExitStatus::FAILURE;
    };
    let result = if arguments.first().is_some_and(|word| word == "--help") {
        out.write_str(help).map(|()| ExitStatus::SUCCESS).map_err(Failure::from)
    } else {
        body(arguments, &mut out)
    };
    let (status, said) = match result {
        Ok(status) => (status, Ok(())),
        Err(Failure::Output) => (ExitStatus::FAILURE, Ok(())),
        Err(Failure::Error(text)) => (ExitStatus::FAILURE, writeln!(out, "{name}: {text}")),
        Err(Failure::Usage(text)) => {
            let usage = help.lines().next().unwrap_or("");
            (USAGE, writeln!(out, "{name}: {text}\n{usage}"))
        }
    };
    if said.is_err() || out.flush().is_err() {
        return ExitStatus::FAILURE;
    }
    status
}
