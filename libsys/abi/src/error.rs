//! The errors of system calls.

/// What a system call leaves in `rax`: 0, or the number of an [`Error`].
pub type Status = u64;

/// Status of a system call that succeeded.
pub const OK: Status = 0;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a system call was refused, or how a call ended without a reply.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u64)]
        pub enum Error {
            $($(#[$doc])* $name = $number,)*
        }

        impl Error {
            /// The error of a non-zero [`Status`]; `None` for 0 and for numbers of no meaning.
            pub const fn from_status(status: Status) -> Option<Error> {
                match status {
                    $($number => Some(Error::$name),)*
                    _ => None,
                }
            }

            /// A short description for people.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Error::$name => $text,)*
                }
            }
        }
    };
}

errors! {
    /// No system call has this number.
    BadSyscall = 1, "no such system call";
    /// An argument is out of its range or contradicts another.
    BadArgument = 2, "bad argument";
    /// The handle names nothing: never issued, closed, or of an earlier use of its slot.
    BadHandle = 3, "no such handle";
    /// The handle names an object of another kind.
    WrongKind = 4, "wrong kind of object";
    /// The handle lacks a right that the operation needs.
    Denied = 5, "the handle lacks the right";
    /// The account's limit is reached, or the account was revoked.
    AccountExhausted = 6, "account exhausted";
    /// The process's handle table has no free slot.
    NoSlot = 7, "handle table full";
    /// The object is not in a state that allows the operation.
    BadState = 8, "not possible in this state";
    /// The address range is taken by another mapping, or is not mapped.
    BadAddress = 9, "bad address range";
    /// Memory that is sealed cannot be written; unsealed memory cannot be executed.
    Sealed = 10, "sealed";
    /// The range is used exclusively by somebody else.
    Busy = 11, "in use";
    /// The header of the message contradicts itself: length, handles or class.
    BadMessage = 12, "malformed message header";
    /// The call would have to wait for a process that is already in its own chain of calls,
    /// or the chain is eight calls deep.
    Deadlock = 13, "would deadlock";
    /// The deadline passed, or the call was cancelled, before any server saw it.
    NotStarted = 14, "not started before the deadline";
    /// The deadline passed, or the call was cancelled, after a server had received it.
    Unknown = 15, "outcome unknown";
    /// The server let the call go without an answer.
    Abandoned = 16, "abandoned by the server";
    /// The server died while it had the call, and the call's class is `fail`.
    PeerDied = 17, "the server died";
    /// The channel is closed for good.
    Closed = 18, "closed";
    /// The caller is gone: the reply was dropped.
    CallerGone = 19, "the caller is gone";
    /// The receive's deadline passed.
    TimedOut = 20, "timed out";
    /// The receiver cannot take the handles of the message: its table or account is full.
    PeerFull = 21, "the receiver cannot take the handles";
    /// The frames are there, but no run of them is contiguous enough.
    NoContiguousMemory = 22, "no contiguous memory";
    /// The object is of an incarnation that has ended.
    Stale = 23, "of an earlier incarnation";
    /// The machine lacks what was asked for.
    Unsupported = 24, "not supported by this machine";
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for status in 1..=24 {
            let error = Error::from_status(status).expect("a dense range");
            assert_eq!(error as u64, status);
        }
        assert_eq!(Error::from_status(OK), None);
        assert_eq!(Error::from_status(25), None);
    }
}
