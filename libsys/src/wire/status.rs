//! How a request ended, as the reply's header says it.

use serde::{Deserialize, Serialize};

/// The method field of a reply's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The method's results follow.
    Done,
    /// The method's own error follows, in the payload.
    Failed,
    /// The method did not run.
    Refused(Refusal),
}

/// Why a server did not run a method, or could not send its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Refusal {
    /// The arguments do not decode, or are out of range.
    Malformed = 2,
    /// The server has no method of this identity.
    Unsupported = 3,
    /// The class of the request is not that of the method.
    WrongClass = 4,
    /// Handles are missing, too many, or of the wrong kind.
    WrongHandles = 5,
    /// The request was current at several deaths of the server: it is not tried again.
    Deadly = 6,
    /// The result does not fit in a message.
    Unencodable = 7,
    /// An earlier incarnation of the server died while it had this `once` request, which may have taken effect.
    Interrupted = 8,
    /// The server has no room to keep another reply by which it would know the request again.
    Exhausted = 9,
}

impl Status {
    /// The status as a number.
    #[inline(always)]
    pub const fn to_number(self) -> u32 {
        match self {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Refused(refusal) => refusal as u32,
        }
    }

    /// The status with this number.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Option<Status> {
        Some(match number {
            0 => Status::Done,
            1 => Status::Failed,
            2 => Status::Refused(Refusal::Malformed),
            3 => Status::Refused(Refusal::Unsupported),
            4 => Status::Refused(Refusal::WrongClass),
            5 => Status::Refused(Refusal::WrongHandles),
            6 => Status::Refused(Refusal::Deadly),
            7 => Status::Refused(Refusal::Unencodable),
            8 => Status::Refused(Refusal::Interrupted),
            9 => Status::Refused(Refusal::Exhausted),
            _ => return None,
        })
    }
}

/// The error of methods that have none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoError {}

impl core::fmt::Display for NoError {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for number in 0..10 {
            assert_eq!(Status::from_number(number).map(Status::to_number), Some(number));
        }
        assert_eq!(Status::from_number(10), None);
    }
}
