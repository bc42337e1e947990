//! Why a disk did not do something.

use crate::Error;
use crate::client::{CallError, OpenError};
use crate::protocol::block::{BlockError, BlockStatus};
use crate::protocol::registry::RegistryError;
use core::fmt;

/// Why a disk did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The request ended so.
    Failed(BlockStatus),
    /// The server refused.
    Refused(BlockError),
    /// As many requests are outstanding as the queue is deep.
    Full,
    /// A call to the server or the registry failed.
    Unreachable(CallError<RegistryError>),
    /// The server is no block device: it lacks this method.
    NoDevice(&'static str),
    /// The kernel refused.
    Kernel(Error),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::Failed(status) => status.fmt(f),
            DiskError::Refused(error) => error.fmt(f),
            DiskError::Full => f.write_str("too many requests are outstanding"),
            DiskError::Unreachable(error) => error.fmt(f),
            DiskError::NoDevice(method) => write!(f, "no block device: it has no method `{method}`"),
            DiskError::Kernel(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DiskError {}

impl From<Error> for DiskError {
    fn from(error: Error) -> Self {
        DiskError::Kernel(error)
    }
}

impl From<CallError<BlockError>> for DiskError {
    fn from(error: CallError<BlockError>) -> Self {
        match error {
            CallError::Failed(error) => DiskError::Refused(error),
            // What the server said is dealt with.
            other => DiskError::Unreachable(other.map(|_| RegistryError::NotReady)),
        }
    }
}

impl From<CallError<RegistryError>> for DiskError {
    fn from(error: CallError<RegistryError>) -> Self {
        DiskError::Unreachable(error)
    }
}

impl From<OpenError> for DiskError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Missing(method) => DiskError::NoDevice(method),
            OpenError::Call(error) => DiskError::Unreachable(error.map(|none| match none {})),
        }
    }
}
