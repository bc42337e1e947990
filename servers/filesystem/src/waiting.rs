//! Calls that wait: for data that the volume does not have at hand, for something that takes several steps, for a medium, for a lock. They are parked, and tried again when something has moved.

use crate::volume::{NodeId, Result};
use libsys::Handle;
use libsys::service::Kept;

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// To copy data.
    Transfer(Transfer),
    /// To have a file so long.
    Truncate { badge: u64, bytes: u64 },
    /// To have a node, or all, on the medium.
    Sync { node: Option<NodeId>, data_only: bool },
    /// A lock.
    Lock { badge: u64, exclusive: bool },
}

/// A copy between a file and lent Memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) client: u64,
    pub(crate) badge: u64,
    /// `None`: where the open file stands.
    pub(crate) offset: Option<u64>,
    pub(crate) bytes: u32,
    pub(crate) buffer: u32,
    pub(crate) at: u32,
    pub(crate) is_write: bool,
}

/// The call itself.
#[derive(Debug)]
pub(crate) enum Call {
    /// Answered with a number of bytes.
    Count(Kept<Result<u32>>),
    /// Answered with nothing.
    Done(Kept<Result<()>>),
}

impl Call {
    pub(crate) fn is(&self, call: Handle) -> bool {
        match self {
            Call::Count(kept) => kept.is(call),
            Call::Done(kept) => kept.is(call),
        }
    }

    /// Answers it. A caller that is gone misses nothing.
    pub(crate) fn answer(self, result: Result<u32>) {
        let _ = match self {
            Call::Count(kept) => kept.reply(result),
            Call::Done(kept) => kept.reply(result.map(drop)),
        };
    }
}
