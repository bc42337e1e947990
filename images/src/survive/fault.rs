//! The faults that strike a server.

use std::fmt;

use clap::ValueEnum;

/// A fault. [`super::strike`] puts it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// It is ended by somebody else, with the reason of a kill.
    Kill,
    /// It comes to a panic of its own code.
    Panic,
    /// It ends itself with a status.
    Exit,
    /// It stores a random word: nowhere, or into its own data.
    WildWrite,
    /// It goes on somewhere else: anywhere, or in its own code.
    WildJump,
    /// It goes round and round.
    Hang,
    /// It calls itself without end.
    StackOverflow,
    /// Whatever it asks its account for is refused, until the request is over.
    AccountExhausted,
    /// Its reply means nothing.
    UndecodableReply,
    /// The same request ends it whenever it is tried.
    DeadlyRequest,
}

impl Fault {
    /// All, in the order of the matrix.
    pub const ALL: [Fault; 10] = [
        Fault::Kill,
        Fault::Panic,
        Fault::Exit,
        Fault::WildWrite,
        Fault::WildJump,
        Fault::Hang,
        Fault::StackOverflow,
        Fault::AccountExhausted,
        Fault::UndecodableReply,
        Fault::DeadlyRequest,
    ];

    /// As it is written on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Panic => "panic",
            Fault::Exit => "exit",
            Fault::WildWrite => "wild-write",
            Fault::WildJump => "wild-jump",
            Fault::Hang => "hang",
            Fault::StackOverflow => "stack-overflow",
            Fault::AccountExhausted => "account-exhausted",
            Fault::UndecodableReply => "undecodable-reply",
            Fault::DeadlyRequest => "deadly-request",
        }
    }

    /// Whether a request has to be in work: no other event will do.
    pub fn strikes_requests(self) -> bool {
        matches!(self, Fault::UndecodableReply | Fault::DeadlyRequest)
    }

    /// Whether who sent the request may see an error.
    pub fn may_be_seen(self) -> bool {
        self == Fault::DeadlyRequest
    }

    /// Whether the supervisor takes the death for the server's own fault, and makes it wait.
    pub fn is_own(self) -> bool {
        self != Fault::Kill
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_the_names() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_str(fault.name(), false), Ok(fault));
        }
        assert_eq!(Fault::value_variants(), Fault::ALL);
    }
}
