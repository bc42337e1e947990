//! How a command that is built in fails.

use alloc::format;
use alloc::string::String;
use core::fmt;
use libsys::Error;
use libsys::client::CallError;

/// Why a command did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was called in a wrong way.
    Usage(String),
    /// Something was refused or is not there.
    Error(String),
    /// It ends with this status; what there is to say has been said.
    Status(u8),
    /// Nobody reads what it writes: after Ctrl-C, or when the terminal is gone.
    Output,
}

/// A failure to be told.
pub fn error<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Error(text.into()))
}

/// A command called in a wrong way.
pub fn usage<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(text.into()))
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Failure {
        Failure::Output
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(format!("the kernel refuses: {error}"))
    }
}

impl<E: fmt::Display> From<CallError<E>> for Failure {
    fn from(error: CallError<E>) -> Failure {
        Failure::Error(format!("{error}"))
    }
}
