//! Accounts: what everything is charged to.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How much an account may use of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Limits {
    /// Frames of 4 KiB: memory of processes, page tables, and the kernel objects themselves.
    pub frames: u64,
    /// Open handles.
    pub handles: u64,
    /// Threads.
    pub threads: u64,
    /// Sessions.
    pub sessions: u64,
    /// Processes.
    pub processes: u64,
}

/// What an account uses, beside its limits: what `account_read` writes at the start of the
/// call page's payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Usage {
    /// What it may use.
    pub limits: Limits,
    /// What it uses, what its sub-accounts were promised included.
    pub used: Limits,
    /// 1 once it was revoked.
    pub revoked: u64,
}
