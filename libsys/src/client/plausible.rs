//! Errors that are hardly ever true.
//!
//! A server that lives may be wrong. Some answers tell of that: arguments that the client's own code encoded do not decode, the method that was there is not, a file system in memory contradicts
//! itself. The client does not take such an answer for true at once. It does what it does about a reply that does not decode ([`super::complaint`]): it tells init and asks again, and where that
//! one says the same, tells init again, which replaces the server. What the next incarnation says is the answer.
//!
//! A device that fails is none of these: what was lost with it is told of once, and asking again would hide it.

use super::CallError;
use crate::wire::Refusal;

/// Which errors of a protocol are hardly ever true: none, of most protocols. An error type with a method `is_implausible` of its own says so itself, as that comes before this one.
pub trait Plausible {
    /// Whether a server that is right hardly ever says this to a client that is.
    fn is_implausible(&self) -> bool {
        false
    }
}

impl<E> Plausible for E {}

/// Whether a server should be asked again. `is_implausible` speaks for the protocol's own errors.
pub(super) fn is_doubtful<E>(error: &CallError<E>, is_implausible: impl FnOnce(&E) -> bool) -> bool {
    match error {
        CallError::Failed(error) => is_implausible(error),
        CallError::Malformed | CallError::Unsupported(_) => true,
        CallError::Refused(refusal) => {
            matches!(refusal, Refusal::WrongClass | Refusal::WrongHandles | Refusal::Unencodable)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::filesystem::FileError;
    use crate::protocol::registry::RegistryError;

    #[test]
    fn errors_that_happen_are_believed() {
        let of_files = |error: FileError| is_doubtful(&CallError::Failed(error), |error| error.is_implausible());
        assert!(of_files(FileError::Corrupt));
        assert!(![FileError::NotFound, FileError::Device, FileError::Exhausted].map(of_files).contains(&true));
        assert!(!RegistryError::NoSuchName.is_implausible(), "a type that says nothing of it");
        let other = |error: CallError<FileError>| is_doubtful(&error, |error| error.is_implausible());
        assert!(other(CallError::Malformed) && other(CallError::Refused(Refusal::WrongHandles)));
        assert!(!other(CallError::Deadly) && !other(CallError::Refused(Refusal::Exhausted)));
        assert!(!other(CallError::Closed) && !other(CallError::PeerDied));
    }
}
