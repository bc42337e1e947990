//! How a server starts, or fails to.

use crate::Error;
use crate::client::{CallError, OpenError};
use crate::env::EnvError;
use crate::state::schema::SchemaError;
use alloc::string::String;
use core::fmt;

/// What [`super::Server::start`] returns.
pub type Result<T> = core::result::Result<T, StartError>;

/// Why a server could not start: one line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The manifest did not give it something, or not of that kind.
    Environment(EnvError),
    /// The device does not answer as it should: in what.
    Device(&'static str),
    /// A system call was refused.
    Kernel(Error),
    /// A server below refused.
    Peer(String),
    /// What another program has kept cannot be used.
    State(SchemaError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Environment(error) => error.fmt(f),
            StartError::Device(what) => write!(f, "the device is not what it should be: {what}"),
            StartError::Kernel(error) => write!(f, "{error}"),
            StartError::State(SchemaError::Newer) => {
                f.write_str("what is kept has a newer form than this program knows")
            }
            StartError::State(SchemaError::Full) => f.write_str("what is kept does not fit in this program's form"),
            StartError::Peer(reason) => write!(f, "a server below: {reason}"),
        }
    }
}

impl core::error::Error for StartError {}

impl From<EnvError> for StartError {
    fn from(error: EnvError) -> Self {
        StartError::Environment(error)
    }
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        StartError::Kernel(error)
    }
}

impl<E: fmt::Display> From<CallError<E>> for StartError {
    fn from(error: CallError<E>) -> Self {
        StartError::Peer(alloc::format!("{error}"))
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        StartError::Peer(alloc::format!("{error}"))
    }
}
