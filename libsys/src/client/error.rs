//! The errors of typed calls.

use crate::wire::{Refusal, Status};
use abi::Error;
use core::fmt;

/// How a typed call ended without a result. `E` is the protocol's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The method itself failed.
    Failed(E),
    /// The server has no method of this name, with these types and this class.
    Unsupported(&'static str),
    /// The server could not decode the arguments, or found them out of range.
    Malformed,
    /// The server takes the method for one of another class, or missed handles or got wrong ones.
    Refused(Refusal),
    /// The request was current at several deaths of the server, which tries it no more.
    Deadly,
    /// The arguments do not fit in a message.
    TooLarge,
    /// The server's reply does not decode.
    BadReply,
    /// The deadline passed before any server saw the request.
    NotStarted,
    /// The deadline passed after a server had received the request: it may have taken effect or not.
    Unknown,
    /// The server let the request go without an answer.
    Abandoned,
    /// The server died, and the method's class is `fail` (or `once`, until replies are kept).
    PeerDied,
    /// The service is gone for good.
    Closed,
    /// The call could not be made: the kernel's reason.
    Kernel(Error),
}

impl<E> CallError<E> {
    /// The protocol's own error, if that is what it is.
    pub fn failed(self) -> Option<E> {
        match self {
            CallError::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The same with another error of the protocol.
    pub fn map<F>(self, f: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            CallError::Failed(error) => CallError::Failed(f(error)),
            CallError::Unsupported(method) => CallError::Unsupported(method),
            CallError::Malformed => CallError::Malformed,
            CallError::Refused(refusal) => CallError::Refused(refusal),
            CallError::Deadly => CallError::Deadly,
            CallError::TooLarge => CallError::TooLarge,
            CallError::BadReply => CallError::BadReply,
            CallError::NotStarted => CallError::NotStarted,
            CallError::Unknown => CallError::Unknown,
            CallError::Abandoned => CallError::Abandoned,
            CallError::PeerDied => CallError::PeerDied,
            CallError::Closed => CallError::Closed,
            CallError::Kernel(error) => CallError::Kernel(error),
        }
    }

    /// The error of a reply that says why the method did not run.
    #[cold]
    pub(crate) fn refused(refusal: Refusal, method: &'static str) -> CallError<E> {
        match refusal {
            Refusal::Malformed => CallError::Malformed,
            Refusal::Unsupported => CallError::Unsupported(method),
            Refusal::Deadly => CallError::Deadly,
            Refusal::Interrupted => CallError::PeerDied,
            other => CallError::Refused(other),
        }
    }
}

impl<E> From<Error> for CallError<E> {
    #[cold]
    fn from(error: Error) -> Self {
        match error {
            Error::NotStarted => CallError::NotStarted,
            Error::Unknown => CallError::Unknown,
            Error::Abandoned => CallError::Abandoned,
            Error::PeerDied => CallError::PeerDied,
            Error::Closed => CallError::Closed,
            other => CallError::Kernel(other),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Failed(error) => error.fmt(f),
            CallError::Unsupported(method) => write!(f, "the server has no method `{method}` of this form"),
            CallError::Malformed => f.write_str("the server refused the arguments"),
            CallError::Refused(refusal) => f.write_str(refusal.text()),
            CallError::Deadly => f.write_str("the request killed its server"),
            CallError::TooLarge => f.write_str("the arguments do not fit in a message"),
            CallError::BadReply => f.write_str("the server's reply is malformed"),
            CallError::NotStarted => f.write_str(Error::NotStarted.text()),
            CallError::Unknown => f.write_str(Error::Unknown.text()),
            CallError::Abandoned => f.write_str(Error::Abandoned.text()),
            CallError::PeerDied => f.write_str(Error::PeerDied.text()),
            CallError::Closed => f.write_str(Error::Closed.text()),
            CallError::Kernel(error) => f.write_str(error.text()),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CallError<E> {}

/// Why a client could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The server lacks this method, or has it with other types or of another class.
    Missing(&'static str),
    /// It could not be asked.
    Call(CallError<crate::wire::NoError>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Missing(method) => write!(f, "the server has no method `{method}` of this form"),
            OpenError::Call(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl Refusal {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed arguments",
            Refusal::Unsupported => "no such method",
            Refusal::WrongClass => "the method is of another class",
            Refusal::WrongHandles => "missing or wrong handles",
            Refusal::Deadly => "the request killed its server",
            Refusal::Unencodable => "the result does not fit in a message",
            Refusal::Interrupted => "the server died",
            Refusal::Exhausted => "the server has no room to remember the request by",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

const _: () = assert!(Status::Done.to_number() == 0, "replies of words alone have an empty header");
